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
_ACCENTED: Final = re.compile("[\u00c0-\u024f\u1e00-\u1eff\u0300-\u036f]")
_MARKS: Final = re.compile("[\u0300-\u036f]")


class Analysis:
    """The contract, with the table of characters it folds by.

    `folding` maps the code point of a traditional character to its simplified one (OpenCC's TSCharacters).
    """

    def __init__(self, folding: Mapping[int, str]) -> None:
        self._folding = folding

    def fold(self, text: str) -> str:
        """The one spelling under which texts are compared; at most 100,000 characters of it."""
        text = text[:TEXT_CHARS_MAX]
        if text.isascii():
            return text.lower()
        if not unicodedata.is_normalized("NFKC", text):
            text = unicodedata.normalize("NFKC", text)
        folded = text.translate(self._folding).lower()
        if _ACCENTED.search(folded):
            folded = _MARKS.sub("", unicodedata.normalize("NFKD", folded))
            folded = unicodedata.normalize("NFC", folded)
        return folded

    def tokens(self, text: str) -> list[str]:
        """Tokens in order: pairs of neighbouring CJK characters (a lone one by itself), and words."""
        found: list[str] = []
        for cjk, symbol, word in _RUNS.findall(self.fold(text)):
            if cjk:
                if len(cjk) == 1:
                    found.append(cjk)
                else:
                    found.extend(map(add, cjk, cjk[1:]))
            else:
                found.append(symbol or word[:64])
        return found

    def characters(self, text: str) -> set[str]:
        """Every CJK character of the text, for queries of one character."""
        return {character for run, _, _ in _RUNS.findall(self.fold(text)) for character in run}


def is_lone_character(token: str) -> bool:
    """Whether a token is one CJK character, which is looked for among characters rather than tokens."""
    return len(token) == 1 and re.match(f"[{_CJK}]", token) is not None
