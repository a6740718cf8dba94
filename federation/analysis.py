"""Analysis: from any text to the tokens it is found by, alike on every node (docs/search.md has the contract).

What lives here: folding and cutting. What must not: dictionaries of words (measured: bigrams find every two-character
word, and cut alike everywhere), or the query language (`query.py`).

NFKC → traditional to simplified characters → accents and what is invisible off → lower case → runs of CJK as
overlapping pairs of characters, everything else as words.
"""

import re
import unicodedata
from array import array
from collections.abc import Iterable, Mapping, Sequence
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
_GONE: Final = "\xad"
"""A soft hyphen, itself invisible: what stands in the place of everything that goes."""
_FAR: Final = re.compile("[\U00010000-\U0010ffff]")


class Analysis:
    """The contract, with the table of characters it folds by.

    `folding` maps the code point of a traditional character to its simplified one (OpenCC's TSCharacters).
    """

    def __init__(self, folding: Mapping[int, str]) -> None:
        changes = _changes(folding)
        self._near = _written_out(changes)
        self._far = {code: final for code, final in changes.items() if code > _BMP_LAST}
        self._changing = _finding(code for code in changes if code <= _BMP_LAST)

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
            text = text.translate(self._near).replace(_GONE, "")
            if _FAR.search(text):
                text = text.translate(self._far)
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


def _changes(folding: Mapping[int, str]) -> dict[int, str]:
    """What each code point becomes, of those that become something else; what goes becomes `_GONE`."""
    changes = {code: _without_accents(chr(code)) for code in _LATIN_WITH_ACCENTS}
    changes.update(dict.fromkeys((*_MARKS, *_INVISIBLE), _GONE))
    changes.update((code, folding.get(ord(simplified), simplified)) for code, simplified in folding.items())
    return {
        code: final for code, final in changes.items() if len(final) == 1 and (final != chr(code) or final == _GONE)
    }


def _written_out(changes: Mapping[int, str]) -> str:
    """The first plane as a text, each code point at its own place: a tenth of a dictionary of them, and as quick."""
    codes = array("I", range(_BMP_LAST + 1))
    for code, final in changes.items():
        if code <= _BMP_LAST:
            codes[code] = ord(final)
    return codes.tobytes().decode("utf-32", "surrogatepass")


def _finding(changed: Iterable[int]) -> re.Pattern[str]:
    """Finds whatever changes: to look is several times as quick as to translate what is as it should be."""
    return re.compile(f"[{''.join(re.escape(chr(code)) for code in changed)}\U00010000-\U0010ffff]")


def _without_accents(character: str) -> str:
    bare = "".join(c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c))
    return bare if bare.isalnum() else character
