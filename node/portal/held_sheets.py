"""Sheets between their plan and the word to go ahead: kept here for a while, so that nobody sends a file twice.

What lives here: a bounded number of sheets of resources, each for whoever sent it. What must not: reading files, or
writing anything. A restart forgets them; whoever comes back then sends the file again.
"""

from collections import OrderedDict
from typing import Final

import msgspec

from federation.errors import NotFound
from node.desk import ImportRow

SHEETS_MAX: Final = 32
HELD_MS: Final = 60 * 60_000


class SheetForgotten(NotFound):
    code = "LLN-1269"
    zh = "这份表格放得太久，已经不在了，什么都没有提交。请重新上传一次。"
    en = "The sheet was kept for too long and is gone; nothing was submitted. Upload it once more."


class _Held(msgspec.Struct, frozen=True, kw_only=True):
    owner: str
    rows: tuple[ImportRow, ...]
    until_ms: int


class HeldSheets:
    def __init__(self) -> None:
        self._held: OrderedDict[str, _Held] = OrderedDict()

    def keep(self, token: str, owner: str, rows: tuple[ImportRow, ...], now_ms: int) -> None:
        """For HELD_MS, in place of the former one of the same person; the oldest goes where there are too many."""
        for key in [key for key, one in self._held.items() if one.owner == owner or one.until_ms <= now_ms]:
            del self._held[key]
        while len(self._held) >= SHEETS_MAX:
            self._held.popitem(last=False)
        self._held[token] = _Held(owner=owner, rows=rows, until_ms=now_ms + HELD_MS)

    def take(self, token: str, owner: str, now_ms: int) -> tuple[ImportRow, ...]:
        """Once; raises SheetForgotten, and so, too, for somebody else's."""
        held = self._held.get(token)
        if held is None or held.owner != owner or held.until_ms <= now_ms:
            raise SheetForgotten
        del self._held[token]
        return held.rows
