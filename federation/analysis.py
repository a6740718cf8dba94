"""Analysis: from any text to the tokens it is found by, alike on every node (docs/search.md has the contract).

What lives here: folding and cutting. What must not: dictionaries of words (measured: bigrams find every two-character
word, and cut alike everywhere), or the query language (`query.py`).

NFKC → traditional to simplified characters → accents and what is invisible off → lower case → runs of CJK as
overlapping pairs of characters, everything else as words.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from operator import add
from typing import Final

ANALYSIS_VERSION: Final = 1
TEXT_CHARS_MAX: Final = 100_000
WORD_CHARS_MAX: Final = 64

_CJK: Final = (
    "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
_PICTURES: Final = "\u2600-\u27bf\U0001f300-\U0001faff"
_RUNS: Final = re.compile(
    rf"[{_CJK}]+"
    r"|c\+\+|[cf]#|\.net(?![a-z0-9])"
    rf"|[{_PICTURES}]"
    rf"|[^\W_{_CJK}]+",
)
_CJK_FROM: Final = "\u3005"
_IDEOGRAPHS_FROM, _IDEOGRAPHS_UNTIL = "\u4e00", "\ua000"
_CJK_RUN: Final = re.compile(f"[{_CJK}]+")
_BORDER: Final = "\x1f"
"""No letter, and nothing composes with it: what stands on either side folds as it would alone."""
_ASCII: Final = frozenset(map(chr, range(0x80)))
_COMMON_WIDE: Final = tuple(zip("，：；！？（）\u3000", ",:;!?() ", strict=True))
"""NFKC's own answer for the wide punctuation of every Chinese sentence; replacing these first is only quicker."""
_LATIN_WITH_ACCENTS: Final = (*range(0xC0, 0x250), *range(0x1E00, 0x1F00))
_MARKS: Final = range(0x300, 0x370)
_BMP_LAST: Final = 0xFFFF
_INVISIBLE: Final = (0xAD, *range(0x200B, 0x2010), *range(0x2060, 0x2065), 0xFEFF, *range(0xFE00, 0xFE10))
_COMMON: Final = (*range(0x20, 0x100), *range(0x2000, 0x2070), *range(0x3000, 0x3100), *range(0x4E00, 0xA000))


class Analysis:
    """The contract, with the table of characters it folds by.

    `folding` maps the code point of a traditional character to its simplified one (OpenCC's TSCharacters).
    """

    def __init__(self, folding: Mapping[int, str]) -> None:
        self._table = _table(folding)
        self._changing = _changing(self._table)

    def fold(self, text: str) -> str:
        """The one spelling under which texts are compared; at most 100,000 characters of it."""
        text = text[:TEXT_CHARS_MAX]
        if text.isascii():
            return text.lower()
        for wide, narrow in _COMMON_WIDE:
            text = text.replace(wide, narrow)
        if not unicodedata.is_normalized("NFKC", text):
            text = unicodedata.normalize("NFKC", text)
        if self._changing.search(text):
            text = text.translate(self._table)
        return text.lower()

    def fold_each(self, texts: Sequence[str]) -> list[str]:
        """`fold` of each: all at once where they are short, since beginning costs more than a line of text."""
        whole = _BORDER.join(texts)
        if len(whole) <= TEXT_CHARS_MAX and whole.count(_BORDER) == len(texts) - 1:
            return self.fold(whole).split(_BORDER)
        return [self.fold(text) for text in texts]

    def tokens(self, text: str) -> list[str]:
        """Tokens in order: pairs of neighbouring CJK characters (a lone one by itself), and words."""
        return tokens_of(self.fold(text))


def tokens_of(folded: str) -> list[str]:
    """The tokens of a text that has been folded already."""
    found: list[str] = []
    for run in _RUNS.findall(folded):
        if not (_IDEOGRAPHS_FROM <= run < _IDEOGRAPHS_UNTIL or (run >= _CJK_FROM and _CJK_RUN.match(run))):
            found.append(run[:WORD_CHARS_MAX])
        elif len(run) <= 2:
            found.append(run)
        else:
            found.extend(map(add, run, run[1:]))
    return found


def characters_of(folded: str) -> set[str]:
    """Every character of a folded text that is no ASCII, for queries of one character."""
    return set(folded) - _ASCII


def is_lone_character(token: str) -> bool:
    """Whether a token is one CJK character, which is looked for among characters rather than tokens."""
    return len(token) == 1 and _CJK_RUN.match(token) is not None


def _table(folding: Mapping[int, str]) -> dict[int, int | str | None]:
    """What each code point becomes. Common ones stand here as themselves: `str.translate` is twice as quick then."""
    table: dict[int, int | str | None] = {code: code for code in _COMMON}
    table.update((code, _without_accents(chr(code))) for code in _LATIN_WITH_ACCENTS)
    table.update(dict.fromkeys((*_MARKS, *_INVISIBLE)))
    for code, simplified in folding.items():
        final = folding.get(ord(simplified), simplified)
        table[code] = ord(final)
    return table


def _changing(table: Mapping[int, int | str | None]) -> re.Pattern[str]:
    """Finds whatever the table changes: to look is several times as quick as to translate what is as it should be."""
    changed = (chr(code) for code, final in table.items() if code <= _BMP_LAST and final not in (code, chr(code)))
    rare = "\U00010000-\U0010ffff"  # by name, each would be looked at one after the other
    return re.compile(f"[{''.join(map(re.escape, changed))}{rare}]")


def _without_accents(character: str) -> str:
    bare = "".join(c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c))
    return bare if bare.isalnum() else character
