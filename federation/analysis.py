"""Analysis: from any text to the tokens it is found by, alike on every node (docs/search.md has the contract).

What lives here: folding and cutting. What must not: dictionaries of words (measured: bigrams find every two-character
word, and cut alike everywhere), or the query language (`query.py`).

NFKC → traditional to simplified characters → lower case, accents off → runs of CJK as overlapping pairs of characters,
everything else as words.
"""

import re
import unicodedata
from collections.abc import Mapping
from operator import add
from typing import Final

ANALYSIS_VERSION: Final = 1
TEXT_CHARS_MAX: Final = 100_000

_CJK: Final = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_RUNS: Final = re.compile(
    rf"([{_CJK}]+)"
    r"|(c\+\+|[cf]#|\.net(?![a-z0-9]))"
    rf"|([^\W_{_CJK}]+)",
)
_CJK_RUN: Final = re.compile(f"[{_CJK}]+")
_ACCENTED_CHARACTERS: Final = "\u00c0-\u024f\u1e00-\u1eff\u0300-\u036f"
_ACCENTED: Final = re.compile(f"[{_ACCENTED_CHARACTERS}]")
_COMMON_WIDE: Final = tuple(zip("，：；！？（）\u3000", ",:;!?() ", strict=True))
"""NFKC's own answer for the wide punctuation of every Chinese sentence; finding these first is only quicker."""
_MARKS: Final = re.compile("[\u0300-\u036f]")


class Analysis:
    """The contract, with the table of characters it folds by.

    `folding` maps the code point of a traditional character to its simplified one (OpenCC's TSCharacters).
    """

    def __init__(self, folding: Mapping[int, str]) -> None:
        self._folding = dict(folding)
        self._foldable = re.compile(f"[{''.join(map(re.escape, map(chr, folding)))}{_ACCENTED_CHARACTERS}]")

    def fold(self, text: str) -> str:
        """The one spelling under which texts are compared; at most 100,000 characters of it."""
        text = text[:TEXT_CHARS_MAX]
        if text.isascii():
            return text.lower()
        for wide, narrow in _COMMON_WIDE:  # so that most Chinese text needs no normalisation beyond
            text = text.replace(wide, narrow)
        if not unicodedata.is_normalized("NFKC", text):
            text = unicodedata.normalize("NFKC", text)
        if not self._foldable.search(text):
            return text.lower()
        folded = text.translate(self._folding).lower()
        if _ACCENTED.search(folded):
            folded = _MARKS.sub("", unicodedata.normalize("NFKD", folded))
            folded = unicodedata.normalize("NFC", folded)
        return folded

    def tokens(self, text: str) -> list[str]:
        """Tokens in order: pairs of neighbouring CJK characters (a lone one by itself), and words."""
        return tokens_of(self.fold(text))


def tokens_of(folded: str) -> list[str]:
    """The tokens of a text that has been folded already."""
    found: list[str] = []
    for cjk, symbol, word in _RUNS.findall(folded):
        if cjk:
            if len(cjk) == 1:
                found.append(cjk)
            else:
                found.extend(map(add, cjk, cjk[1:]))
        else:
            found.append(symbol or word[:64])
    return found


def characters_of(folded: str) -> set[str]:
    """Every CJK character of a folded text, for queries of one character."""
    return set("".join(_CJK_RUN.findall(folded)))


def is_lone_character(token: str) -> bool:
    """Whether a token is one CJK character, which is looked for among characters rather than tokens."""
    return len(token) == 1 and _CJK_RUN.match(token) is not None
