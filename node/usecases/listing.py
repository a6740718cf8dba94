"""Listing: status lists, which tell everybody which records are revoked or suspended, and nothing else.

What lives here: rendering this node's own lists from its slots, keeping copies for the nodes below, and getting those
of others. What must not: raising a bit (`amending.py`), or what a raised bit means (`verifying.py`).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import msgspec

from federation import canonical, status_lists
from federation.errors import LlnError, NotFound, PeerRefused, RefusedCall
from federation.keys import NodeKey
from federation.naming import NodeName, is_within, parent_of
from federation.status_lists import LIST_BYTES_MAX, Purpose, list_id, sister_of
from node.ports import Clock, CreditPeers, HeldStatusList, Identity, Store, Transaction
from node.ports.crediting import MirrorRow
from node.usecases.issuing import lists_begun

MIRROR_KIND: Final = "credit.status"
VALID_FOR_MS: Final = 30 * 86_400_000
RENDERED_FOR_MS: Final = 60_000
"""How long a rendered list is served while nothing has changed; a change renders it anew at once."""
FETCH_TIMEOUT_S: Final = 5.0
KeysOf = Callable[[NodeName], Awaitable[Sequence[NodeKey]]]
Unit = Callable[[Transaction], bytes]


class StatusListUnknown(NotFound):
    code = "LLN-1298"
    zh = "本节点没有这份状态列表，也没有它的副本。"
    en = "Neither that status list nor a copy of it is here."


class NotTheirList(RefusedCall):
    code = "LLN-2293"
    zh = "状态列表只能由签发它的节点，或其上级，送来存副本。"
    en = "A status list is brought for mirroring by the node that signed it, or by one above that."


class MirroredList(msgspec.Struct, frozen=True, kw_only=True):
    """A signed list on its way to the parent, as text."""

    list: str
    issuer: str
    credential: str


class FetchedList(msgspec.Struct, frozen=True, kw_only=True):
    """What could be had of somebody's list, `document` empty where nothing; `is_offline`: its issuer did not answer."""

    document: bytes
    is_offline: bool


class Listing:
    """The one writer of mirrors; own lists are rendered, never stored."""

    def __init__(self, *, store: Store, clock: Clock, identity: Identity, peers: CreditPeers, keys_of: KeysOf) -> None:
        self._store = store
        self._clock = clock
        self._identity = identity
        self._parent = parent_of(identity.name, identity.root)
        self._peers = peers
        self._keys_of = keys_of
        self._rendered: dict[str, tuple[int, frozenset[int], bytes]] = {}

    async def status_list(self, wanted: str) -> HeldStatusList:
        """An own list as it stands now, or the copy of somebody else's; raises StatusListUnknown."""
        own = await self._own(wanted)
        if own is not None:
            return HeldStatusList(document=own, fetched_at_ms=0)
        mirror = await self._store.read(lambda tx: tx.credits.mirrors.get(wanted))
        if mirror is None:
            raise StatusListUnknown(wanted)
        return HeldStatusList(document=mirror.document, fetched_at_ms=mirror.fetched_at_ms)

    async def fetch(self, issuer: NodeName, wanted: str) -> FetchedList:
        """Somebody's list from its issuer, else from the issuer's parent, else the copy here, if there is any."""
        is_offline = False
        if issuer != self._identity.name:
            try:
                held = await self._peers.status_list(issuer, wanted, timeout_s=FETCH_TIMEOUT_S)
                return FetchedList(document=held.document, is_offline=False)
            except LlnError as error:  # its parent may have a copy
                is_offline = not _is_refusal(error)
            above = parent_of(issuer, self._identity.root)
            if above is not None and above != self._identity.name:
                with contextlib.suppress(LlnError):
                    held = await self._peers.status_list(above, wanted, timeout_s=FETCH_TIMEOUT_S)
                    return FetchedList(document=held.document, is_offline=is_offline)
        try:
            held = await self.status_list(wanted)
        except StatusListUnknown:
            return FetchedList(document=b"", is_offline=is_offline)
        return FetchedList(document=held.document, is_offline=is_offline)

    async def take_copy(self, sender: NodeName, document: bytes) -> Unit:
        """A list that a child brings, of its own or from below it; kept, and handed on to the parent.

        Raises NotTheirList, MalformedStatusList, TamperedCredential.
        """
        brought = canonical.decode(document, MirroredList, bytes_max=2 * LIST_BYTES_MAX)
        issuer = NodeName(brought.issuer)
        verified = status_lists.verify(brought.credential.encode())
        is_theirs = is_within(issuer, sender) and brought.list.startswith(f"https://{issuer}/")
        if not is_theirs or verified.statuses.id != brought.list or verified.issuer not in await self._keys_of(issuer):
            raise NotTheirList(brought.list, f"brought by {sender}")
        now_ms = self._clock.now_ms()
        row = MirrorRow(id=brought.list, owner=issuer, document=brought.credential.encode(), fetched_at_ms=now_ms)

        def unit(tx: Transaction) -> bytes:
            held = tx.credits.mirrors.get(row.id)
            newest_ms = status_lists.verify(held.document).statuses.valid_from_ms if held else 0
            if newest_ms <= verified.statuses.valid_from_ms:
                tx.credits.mirrors.put([row])
            return b"{}"

        return unit

    async def run(self) -> None:
        """Bring the parent a copy of every own list that has changed since, and once a day in any case."""
        told: dict[str, tuple[int, bytes]] = {}
        while True:
            if self._parent is not None:
                await self._bring(self._parent, told)
            await self._clock.sleep(RENDERED_FOR_MS / 1_000)

    async def _bring(self, parent: NodeName, told: dict[str, tuple[int, bytes]]) -> None:
        now_ms = self._clock.now_ms()
        for wanted in await self._store.read(self._own_lists):
            raised = await self._store.read(partial(_raised, wanted))
            mark = canonical.digest(canonical.encode({"list": wanted, "raised": sorted(raised)}))
            at_ms, before = told.get(wanted, (0, b""))
            if mark == before and now_ms - at_ms < 86_400_000:
                continue
            document = await self._own(wanted)
            if document is None:
                continue
            brought = MirroredList(list=wanted, issuer=self._identity.name, credential=document.decode())
            item_id = f"status.{mark.hex()[:16]}.{now_ms}"
            await self._store.write(partial(_post, parent, canonical.encode(brought), item_id, now_ms))
            told[wanted] = (now_ms, mark)
            await asyncio.sleep(0)

    async def _own(self, wanted: str) -> bytes | None:
        """An own list, rendered where something has changed or time has passed; None where it is not ours."""
        lists = await self._store.read(self._own_lists)
        if wanted not in lists:
            return None
        raised, now_ms = await self._store.read(partial(_raised, wanted)), self._clock.now_ms()
        at_ms, before, document = self._rendered.get(wanted, (0, frozenset(), b""))
        if document and before == raised and now_ms - at_ms < RENDERED_FOR_MS:
            return document
        document = status_lists.publish(
            raised,
            list_id=wanted,
            signer=self._identity,
            now_ms=now_ms,
            valid_for_ms=VALID_FOR_MS,
        )
        self._rendered[wanted] = (now_ms, raised, document)
        return document

    def _own_lists(self, tx: Transaction) -> tuple[str, ...]:
        numbers = range(1, lists_begun(tx) + 1)
        first = [list_id(self._identity.name, number) for number in numbers]
        return tuple(name for one in first for name in (one, sister_of(one)))


def _post(parent: NodeName, document: bytes, item_id: str, now_ms: int, tx: Transaction) -> None:
    tx.outbox.add(parent, MIRROR_KIND, document, item_id, now_ms)


def _is_refusal(error: LlnError) -> bool:
    """Whether the issuer itself has said no, for good."""
    return isinstance(error, PeerRefused) and not error.retry_after_ms


def _purpose_of(wanted: str) -> Purpose:
    return "suspension" if wanted.endswith("/suspension") else "revocation"


def _raised(wanted: str, tx: Transaction) -> frozenset[int]:
    """The places of a list whose bit is raised: those of few records, found by the state of their slot."""
    purpose = _purpose_of(wanted)
    base = wanted.rpartition("/")[0] + "/"
    found: set[int] = set()
    after = ""
    while rows := tx.credits.slots.in_state(purpose, after):
        found.update(row.index for row in rows if row.list.startswith(base))
        after = rows[-1].id
    return frozenset(found)
