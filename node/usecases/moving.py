"""Moving: a node keeps its keys and gets another authority, and so another name.

What lives here: the mover's steps in their order, what becomes of its catalogue, and the old authority's entry. What
must not: joining as such (`joining.py`), files or the wire.

The logs under the old name are closed: nobody can sign them on under a name that is no longer theirs; every copy stays
and verifies. What is published now is appended again to the catalogue log under the new name, and whoever knows of the
move no longer finds the old copies (`indexing.py`), so that nothing is found twice.
"""

import base64
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from typing import Final, Protocol, cast

import msgspec

from federation import canonical, catalogue
from federation.admission import decide_move
from federation.catalogue import DOCUMENT_BYTES_MAX, CatalogueEntry, Resource, ResourcePublished
from federation.directory import NodeMoved, Standing
from federation.errors import Conflict, NotAllowed, NotFound, PeerRefused, PeerUnreachable, UntrustedPeer
from federation.invites import InviteCode
from federation.logs import LogId
from federation.naming import NodeName, is_within, parent_of
from node.ports import Clock, Identity, Randomness, Resolved, ResourceRow, Store, Transaction, Write
from node.usecases.recording import append_documents, make_salts, record_admission

NAME_NOTE: Final = "own name"
ROWS_AT_ONCE: Final = 1_000
TIMEOUT_S: Final = 10.0
RESOLVE_HOPS: Final = 8
SCOPE_LOST: Final = "share scope names an authority no longer above 共享范围中的机构已不是本节点的上级"


class RootStays(NotAllowed):
    code = "LLN-1452"
    zh = "根节点没有上级，不能迁移。"
    en = "The root of a network has no authority above it and cannot move."


class ChildrenStay(NotAllowed):
    code = "LLN-1453"
    zh = "本节点还有下级，整棵子树不能一起迁移。请先让每个下级各自迁走，或由本节点撤销它们。"
    en = "This node has children, and a subtree does not move as one. Let each child move first, or revoke it here."


class NowhereToMove(Conflict):
    code = "LLN-1353"
    zh = "不能迁到那里：邀请属于另一个网络，或就在本节点现在的同一条线上。"
    en = "The node cannot move there: the invite is of another network, or for a place on this node's own line."


class NotOurChild(NotFound):
    code = "LLN-1252"
    zh = "没有这个名称的直接下级。请用 lln tree 查看下级节点。"
    en = "There is no direct child by this name. See lln tree."


# --- the node that moves ---------------------------------------------------------------------------------------------


class Farewells(Protocol):
    """Calls to the authority so far, by the node that it still knows under the old name."""

    async def move(self, to: NodeName, chain: tuple[bytes, ...], operation_id: str, *, timeout_s: float) -> None:
        """Raises PeerUnreachable, UntrustedPeer or PeerRefused."""
        ...


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """`untold`: why the old authority could not be told; empty when it has recorded the move."""

    old: NodeName
    new: NodeName
    untold: str = ""


def check_may_move(code: InviteCode, here: Identity, children: Sequence[Standing]) -> None:
    """Whether the node `here` can move to where `code` invites; raises RootStays, ChildrenStay or NowhereToMove."""
    if here.name == here.root:
        raise RootStays(here.name)
    staying = [child.name for child in children if child.status in ("active", "suspended")]
    if staying:
        raise ChildrenStay(here.name, ", ".join(staying[:10]))
    if code.root_certificate != here.root_certificate:
        raise NowhereToMove(code.name, f"the network of {code.root}")
    if is_within(code.name, here.name) or is_within(here.name, code.name):
        raise NowhereToMove(code.name, f"this node is {here.name}")


async def say_farewell(here: Identity, new: NodeName, chain: tuple[bytes, ...], farewells: Farewells) -> Moved:
    """Tell the authority so far; `chain` is for `new` and this node's key.

    An authority that does not answer holds nobody up: it may be gone for good. One that refuses does (PeerRefused),
    unless it refuses because it has the move recorded already, as after a crash at this point.
    """
    authority = parent_of(here.name, here.root)
    assert authority is not None, here.name  # noqa: S101  # `check_may_move` was asked
    operation = f"move-{sha256(b''.join(chain)).hexdigest()[:40]}"
    try:
        await farewells.move(authority, chain, operation, timeout_s=TIMEOUT_S)
    except PeerRefused as refusal:
        if f"moved to {new}" not in str(refusal):
            raise
    except (PeerUnreachable, UntrustedPeer) as outage:
        return Moved(old=here.name, new=new, untold=str(outage))
    return Moved(old=here.name, new=new)


async def take_up_name(
    store: Store, *, name: NodeName, forgotten: Sequence[str], clock: Clock, randomness: Randomness
) -> int:
    """At each start: where the node had another name at the last one, publish anew, under this one, what is published.

    One transaction with the note of the name, so that a crash leaves all of it or none. `forgotten`: the notes on nodes
    that were above it there. Returns how many entries.
    A resource shared with a subtree that this node has left is not published anew: it goes back to its author.
    """
    if await store.read(lambda tx: tx.notes.get(NAME_NOTE)) == name.encode():
        return 0
    now_ms = clock.now_ms()

    def unit(tx: Transaction) -> int:
        noted = tx.notes.get(NAME_NOTE)
        tx.notes.put(NAME_NOTE, name.encode())
        if noted is None or noted == name.encode():
            return 0
        for note in forgotten:
            tx.notes.put(note, b"")
        closed = LogId(origin=NodeName(noted.decode()), topic=catalogue.TOPIC)
        return _publish_anew(tx, closed, name, now_ms, randomness)

    return await store.write(unit)


def _publish_anew(tx: Transaction, old: LogId, name: NodeName, now_ms: int, randomness: Randomness) -> int:
    log = LogId(origin=name, topic=catalogue.TOPIC)
    grown = tx.logs.get(log)
    size = grown.head.size if grown else 0
    after, appended = "", 0
    while rows := tx.resources.list((), after, ROWS_AT_ONCE):
        after = rows[-1].id
        salts = iter(make_salts(randomness, len(rows)))
        changed, entries = [], []
        for row in rows:
            if row.published is None:
                continue
            if _is_scope_lost(row.published, name):
                changed.append(_given_back(row, now_ms))
                continue
            said = _as_said(tx, old, row)
            entries.append(msgspec.structs.replace(said, publisher=name, published_at_ms=now_ms, salt=next(salts)))
            changed.append(msgspec.structs.replace(row, log_index=size + appended, updated_at_ms=now_ms))
            appended += 1
        if entries:
            append_documents(tx, log, entries)
        tx.resources.put(changed)
    return appended


def _as_said(tx: Transaction, old: LogId, row: ResourceRow) -> ResourcePublished:
    """The entry in force, with the review it was published under, as the closed log has it."""
    assert row.log_index is not None, row.id  # noqa: S101  # what is published stands in the log
    [entry] = tx.logs.entries(old, row.log_index, 1)
    assert entry.document is not None, row.id  # noqa: S101  # nobody withholds from a node what it said itself
    said = cast("CatalogueEntry", canonical.decode(entry.document, CatalogueEntry, bytes_max=DOCUMENT_BYTES_MAX))
    assert isinstance(said, ResourcePublished), row.id  # noqa: S101  # as above
    return said


def _is_scope_lost(resource: Resource, name: NodeName) -> bool:
    scope = resource.share_scope
    return scope.reach == "subtree" and scope.ancestor is not None and not is_within(name, scope.ancestor)


def _given_back(row: ResourceRow, now_ms: int) -> ResourceRow:
    return msgspec.structs.replace(
        row,
        state="returned",
        review=None,
        remark=SCOPE_LOST,
        published=None,
        log_index=None,
        updated_at_ms=now_ms,
    )


# --- the authority that is left --------------------------------------------------------------------------------------


class Moving:
    """An authority records that a child has another one; the proof is the same, whoever brings it."""

    def __init__(
        self,
        *,
        store: Store,
        identity: Identity,
        clock: Clock,
        randomness: Randomness,
        resolve: Callable[[NodeName, NodeName, int], Awaitable[Resolved]],
    ) -> None:
        """`resolve`: who a name is, as `node.usecases.resolving` answers it."""
        self._store = store
        self._identity = identity
        self._clock = clock
        self._randomness = randomness
        self._resolve = resolve

    async def record(self, name: NodeName, chain: tuple[bytes, ...], write: Write[Standing]) -> Standing:
        """The child `name` is certified elsewhere now, as `chain` (DER, own certificate first) proves.

        Once recorded, asked again with the same name it is the same answer. Raises NotOurChild, MoveUnproven or
        IllegalTransition.
        """
        [salt], now_ms = make_salts(self._randomness, 1), self._clock.now_ms()

        def unit(tx: Transaction) -> Standing:
            standing = tx.standings.get(self._identity.name, name)
            if standing is None:
                raise NotOurChild(name, f"not admitted by {self._identity.name}")
            to = decide_move(standing, chain, root_certificate=self._identity.root_certificate, now_ms=now_ms)
            if standing.status == "moved" and standing.moved_to == to:
                return standing
            return record_admission(
                tx,
                NodeMoved(
                    authority=self._identity.name,
                    name=name,
                    at_ms=now_ms,
                    salt=salt,
                    to=to,
                    proof=tuple(base64.b64encode(der).decode() for der in chain),
                ),
            )

        return await write(unit)

    async def record_by_word(self, name: NodeName, to: NodeName) -> Standing:
        """For a child that could not say so itself (`lln moved`): its new certificates are asked for above.

        Raises as `record`, and what resolving raises where the new name is not known yet.
        """
        found = await self._resolve(self._identity.name, to, RESOLVE_HOPS)
        return await self.record(name, found.chain, self._store.write)
