"""Reconciling: whether this node and another have written down the same of the conversions between them.

What lives here: this node's lines, for itself and for the peer that asks, and fetching the peer's. What must not:
where two sides differ (`federation/reconciliation.py`), or changing anything.

A peer is shown the reservations that it made here and the holds that it should have here, and nothing else. Messages
are on their way while the two are read, so a difference counts only when it is there twice.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from federation import canonical
from federation.errors import Unavailable
from federation.naming import NodeName, parse_name
from federation.reconciliation import (
    ASKED_BYTES_MAX,
    LINES_MAX,
    LINES_WITH_PAPERS_MAX,
    PAGE_BYTES_MAX,
    SENTENCES,
    Dealing,
    DealingsAsked,
    DealingsPage,
    Discrepancy,
    Side,
    compare,
    held_line,
    lent_line,
)
from node.desk.ledgers import DiscrepancyShown, ReconcileAsked, Reconciled
from node.ports import Clock, CreditPeers, Store, Transaction
from node.usecases.ledgering import USED, ledger_of
from node.usecases.regaining import lost_of
from node.usecases.weighing import case_of

ROWS_AT_ONCE: Final = 100
"""Rows that one page looks through: a lot or a case has at most a few lines with one peer."""
LINES_OF_PEER_MAX: Final = 200_000
PAGES_OF_PEER_MAX: Final = 200_000
"""Most pages of a large peer have few lines, or none."""
CALL_TIMEOUT_S: Final = 15.0
SECOND_LOOK_S: Final = 2.0
_CHAPTERS: Final = ("cases", "reserved", USED)

TakeReceipts = Callable[[Sequence[str]], Awaitable[int]]
Book = Mapping[Side, dict[str, Dealing]]


class TooManyDealings(Unavailable):
    code = "LLN-1640"
    zh = "与这个机构之间的往来太多，一次核对不完。请联系维护者。"
    en = "There are more dealings with that institution than can be compared at once. Ask the maintainers."


class Reconciling:
    def __init__(
        self, *, store: Store, clock: Clock, own_name: NodeName, peers: CreditPeers, take_receipts: TakeReceipts
    ) -> None:
        self._store = store
        self._clock = clock
        self._own_name = own_name
        self._peers = peers
        self._take_receipts = take_receipts

    async def answer(self, caller: NodeName, document: bytes) -> bytes:
        """A page of what lies between this node and the caller; raises MalformedDocument."""
        asked = canonical.decode(document, DealingsAsked, bytes_max=ASKED_BYTES_MAX)
        now_ms = self._clock.now_ms()
        page = await self._store.read(partial(_page, self._own_name, caller, now_ms, asked))
        return canonical.encode(page)

    async def reconcile(self, asked: ReconcileAsked) -> Reconciled:
        """Compare with a peer, and look again where something differs; raises as the call, and TooManyDealings.

        With `restore`, receipts of commits that this node has lost are fetched first, and the commits made again.
        """
        peer = parse_name(asked.peer)
        regained = await self._regain(peer) if asked.restore else 0
        ours, theirs = await self._both(peer)
        found = _differences(ours, theirs)
        if found:
            await self._clock.sleep(SECOND_LOOK_S)
            ours, theirs = await self._both(peer)
            again = _differences(ours, theirs)
            found = [one for one in found if one in again]
        return Reconciled(
            peer=peer,
            lent=len(ours["issuer"]),
            converted=len(ours["receiver"]),
            discrepancies=tuple(self._shown(peer, issuer, one) for issuer, one in found),
            regained=regained,
            missing=(await self._store.read(lost_of)).missing,
        )

    async def _regain(self, peer: NodeName) -> int:
        """Page by page: the commits that the peer has receipts of and this node does not know."""
        regained = 0
        async for page in self._pages_of(peer, papers=True):
            regained += await self._take_receipts([line.paper for line in page.lines if line.paper])
        return regained

    async def _pages_of(self, peer: NodeName, *, papers: bool = False) -> AsyncIterator[DealingsPage]:
        """Everything that the peer has written down; raises as the call, and TooManyDealings for one without end."""
        after = ""
        for _ in range(PAGES_OF_PEER_MAX):
            question = canonical.encode(DealingsAsked(after=after, papers=papers))
            told = await self._peers.reconcile(peer, question, timeout_s=CALL_TIMEOUT_S)
            page = canonical.decode(told, DealingsPage, bytes_max=PAGE_BYTES_MAX)
            yield page
            if page.next in ("", after):
                return
            after = page.next
        raise TooManyDealings(peer, f"more than {PAGES_OF_PEER_MAX} pages")

    async def _both(self, peer: NodeName) -> tuple[Book, Book]:
        ours, theirs = _empty(), _empty()
        after, more = "", True
        while more:
            asked = DealingsAsked(after=after)
            page = await self._store.read(partial(_page, self._own_name, peer, self._clock.now_ms(), asked))
            after, more = _enter(ours, page, peer), bool(page.next)
            await asyncio.sleep(0)
        async for page in self._pages_of(peer):
            _enter(theirs, page, peer)
        return ours, theirs

    def _shown(self, peer: NodeName, we_are: Side, found: Discrepancy) -> DiscrepancyShown:
        issuer, receiver = (self._own_name, peer) if we_are == "issuer" else (peer, self._own_name)
        zh, en = SENTENCES[found.difference]
        return DiscrepancyShown(
            case=found.case,
            reservation=found.reservation,
            record=found.lot,
            issuer=issuer,
            receiver=receiver,
            difference=found.difference,
            issuer_says=found.issuer_says,
            receiver_says=found.receiver_says,
            zh=zh,
            en=en,
        )


def _empty() -> Book:
    return {"issuer": {}, "receiver": {}}


def _enter(book: Book, page: DealingsPage, peer: NodeName) -> str:
    for line in page.lines:
        book[line.side][line.reservation] = line
    if sum(map(len, book.values())) > LINES_OF_PEER_MAX:
        raise TooManyDealings(peer, f"more than {LINES_OF_PEER_MAX}")
    return page.next


def _differences(ours: Book, theirs: Book) -> list[tuple[Side, Discrepancy]]:
    """With what this node is in each: the issuer of the lot, or the receiver of the conversion."""
    return [
        *(("issuer", one) for one in compare(ours["issuer"], theirs["receiver"])),
        *(("receiver", one) for one in compare(theirs["issuer"], ours["receiver"])),
    ]


# --- this node's lines -----------------------------------------------------------------------------------------------


def _page(own_name: NodeName, peer: NodeName, at_ms: int, asked: DealingsAsked, tx: Transaction) -> DealingsPage:
    """What lies between this node and a peer, chapter by chapter: cases here, then lots with and without reservations
    under way. Lots that nobody ever reserved are in no chapter.
    """
    chapter, _, key = asked.after.partition("/")
    lines_max = LINES_WITH_PAPERS_MAX if asked.papers else LINES_MAX
    chapter = chapter or _CHAPTERS[0]
    lines: list[Dealing] = []
    last = ""
    for row, dealings in _rows(tx, own_name, peer, at_ms=at_ms, chapter=chapter, key=key, papers=asked.papers):
        if lines and len(lines) + len(dealings) > lines_max:
            break
        lines += dealings[:lines_max]
        last = row
    if last:
        following = f"{chapter}/{last}"
    else:
        at = _CHAPTERS.index(chapter) + 1
        following = f"{_CHAPTERS[at]}/" if at < len(_CHAPTERS) else ""
    return DealingsPage(lines=tuple(lines), next=following)


def _rows(
    tx: Transaction, own_name: NodeName, peer: NodeName, *, at_ms: int, chapter: str, key: str, papers: bool
) -> Iterator[tuple[str, list[Dealing]]]:
    """Cases or lots after one, each with its lines."""
    if chapter == "cases":
        for row in tx.credits.cases.all(key, ROWS_AT_ONCE):
            yield row.id, [held_line(hold, with_paper=papers) for hold in case_of(row).holds if hold.issuer == peer]
        return
    for lot in tx.credits.lots.in_state(chapter, key, ROWS_AT_ONCE):
        ledger = ledger_of(tx, lot.id)
        held = ledger.reservations if ledger else ()
        theirs = [one for one in held if one.reservation.receiver == peer]
        yield lot.id, [lent_line(one, issuer=own_name, at_ms=at_ms) for one in theirs]
