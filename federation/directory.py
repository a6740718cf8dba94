"""The `directory` log: which nodes an authority admits, suspends, resumes, revokes and renews, which moved, and when.

What lives here: its documents, the table of legal transitions, and the judgement whether a caller's standing allows a
call, given how old our copy of the directory is. What must not: certificates' own checks (`certificates.py`).
"""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from federation.catalogue import BilingualLine, EpochMs, Salt
from federation.errors import Conflict, RefusedCall
from federation.naming import Level, NameField, NodeKind, NodeName

TOPIC: Final = "directory"

FRESH_MS: Final = 15 * 60_000
CUT_OFF_MS: Final = 24 * 3_600_000
CATALOGUE_ONLY_MS: Final = 7 * 24 * 3_600_000
CHAIN_MAX: Final = 8
TOPICS_MAX: Final = 3
FORMER_KEYS_MAX: Final = 64

Did = Annotated[str, Meta(pattern=r"^did:key:z[1-9A-HJ-NP-Za-km-z]{40,60}$", max_length=80)]
Certificate = Annotated[str, Meta(pattern=r"^[A-Za-z0-9+/]+=*$", max_length=8_192)]
"""One X.509 certificate, DER in base64 (RFC 4648 §4)."""
Endpoint = Annotated[str, Meta(pattern=r"^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$", max_length=260)]
Status = Literal["active", "suspended", "revoked", "moved"]
Freshness = Literal["fresh", "cut_off", "catalogue_only", "too_old"]


class NodeDescription(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a node says of itself; codes are opaque, and place in the tree never follows from them.

    `division_code` GB/T 2260; `institution_code` the 10-digit school code or the 18-character USCC; `contact` a role
    mailbox; `endpoint` host:port if the node can be dialled.
    """

    title: BilingualLine
    level: Level
    kind: NodeKind
    division_code: Annotated[str, Meta(pattern=r"^[0-9]{2,12}$")] | None = None
    institution_code: Annotated[str, Meta(pattern=r"^[0-9A-Z]{10,18}$")] | None = None
    endpoint: Endpoint | None = None
    contact: Annotated[str, Meta(max_length=200)] = ""
    mlps_level: Annotated[int, Meta(ge=1, le=5)] | None = None
    filing_number: Annotated[str, Meta(max_length=64)] = ""
    pilot_tags: Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=16)] = ()
    software_version: Annotated[str, Meta(max_length=32)] = ""


class _Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="entry"):
    authority: NameField
    name: NameField
    at_ms: EpochMs
    salt: Salt


class LogPosition(msgspec.Struct, frozen=True, kw_only=True):
    """The end of one log at some time; `root` is the tree hash of its first `size` entries, in hex."""

    topic: Literal["directory", "catalogue", "credits"]
    size: Annotated[int, Meta(ge=1, le=2**53 - 1)]
    root: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]


class NodeAdmitted(_Entry, frozen=True, kw_only=True, tag="node_admitted"):
    """`sealing_key`: X25519, raw in base64url, with the node key's signature over it (both 0 or both present).

    `continues`: how far the authority held each log of `replaces_key` when it admitted another key under the name: what
    that key signed counts up to there, and the new one goes on from there. `moved_from`: the name under which the same
    key was certified before, as its former chain has proven.
    """

    description: NodeDescription
    key: Did
    certificate: Certificate
    sealing_key: Annotated[str, Meta(max_length=64)] = ""
    sealing_signature: Annotated[str, Meta(max_length=128)] = ""
    replaces_key: Did | None = None
    continues: Annotated[tuple[LogPosition, ...], Meta(max_length=TOPICS_MAX)] = ()
    moved_from: NameField | None = None


class NodeRenewed(_Entry, frozen=True, kw_only=True, tag="node_renewed"):
    certificate: Certificate


class NodeDescribed(_Entry, frozen=True, kw_only=True, tag="node_described"):
    description: NodeDescription


class NodeSuspended(_Entry, frozen=True, kw_only=True, tag="node_suspended"):
    reason: Annotated[str, Meta(min_length=1, max_length=500)]


class NodeResumed(_Entry, frozen=True, kw_only=True, tag="node_resumed"):
    reason: Annotated[str, Meta(min_length=1, max_length=500)]


class NodeRevoked(_Entry, frozen=True, kw_only=True, tag="node_revoked"):
    reason: Annotated[str, Meta(min_length=1, max_length=500)]


class NodeMoved(_Entry, frozen=True, kw_only=True, tag="node_moved"):
    """`proof`: certificates for the new name and the same node key, own one first, root left out: anybody can check."""

    to: NameField
    proof: Annotated[tuple[Certificate, ...], Meta(max_length=CHAIN_MAX)] = ()


DirectoryEntry = NodeAdmitted | NodeRenewed | NodeDescribed | NodeSuspended | NodeResumed | NodeRevoked | NodeMoved

TRANSITIONS: Final[dict[tuple[Status | None, type[_Entry]], Status]] = {
    (None, NodeAdmitted): "active",
    ("active", NodeRenewed): "active",
    ("active", NodeDescribed): "active",
    ("active", NodeSuspended): "suspended",
    ("active", NodeRevoked): "revoked",
    ("active", NodeMoved): "moved",
    ("suspended", NodeResumed): "active",
    ("suspended", NodeRevoked): "revoked",
    ("revoked", NodeAdmitted): "active",  # a replaced machine: new keys under the old name
    ("moved", NodeAdmitted): "active",  # it came back
}


class FormerKey(msgspec.Struct, frozen=True, kw_only=True):
    """A node key that was replaced: what it signed counts up to `until`, for each log; a log not named there has no
    entries of its.
    """

    key: str
    until: tuple[LogPosition, ...]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where one node stands with its authority, after all entries so far.

    `certificates`: every certificate still accepted, newest last (the one before stays good during a renewal).
    """

    authority: NodeName
    name: NodeName
    status: Status
    description: NodeDescription
    key: str
    certificates: tuple[str, ...]
    sealing_key: str = ""
    since_ms: int
    reason: str = ""
    moved_to: NodeName | None = None
    former_keys: tuple[FormerKey, ...] = ()


class IllegalTransition(Conflict):
    code = "LLN-131"
    zh = "节点当前状态不允许这个操作。请先用 lln tree 查看它的状态。"
    en = "The node's present status does not allow this. See its status with lln tree first."


class CallerNotAdmitted(RefusedCall):
    code = "LLN-221"
    zh = "对端不在其上级的目录中，或目录里登记的是另一张证书。"
    en = "The peer is not in its authority's directory, or another certificate is recorded there."


class CallerSuspended(RefusedCall):
    code = "LLN-222"
    zh = "对端节点已被其上级暂停。请联系它的上级。"
    en = "The peer has been suspended by its authority. Ask that authority."


class CallerRevoked(RefusedCall):
    code = "LLN-223"
    zh = "对端节点已被其上级撤销。"
    en = "The peer has been revoked by its authority."


class DirectoryTooOld(RefusedCall):
    code = "LLN-224"
    zh = "本节点与上级失联过久，无法确认对端是否仍被许可。恢复与上级的连接后会自动继续。"
    en = "This node has been cut off too long to know whether the peer is still admitted; it resumes by itself."


def apply_entry(before: Standing | None, entry: DirectoryEntry) -> Standing:
    """The standing after `entry`; raises IllegalTransition and changes nothing otherwise."""
    status = TRANSITIONS.get((before.status if before else None, type(entry)))
    if status is None:
        found = before.status if before else "not admitted"
        raise IllegalTransition(entry.name, f"{type(entry).__name__} does not follow '{found}'")
    if isinstance(entry, NodeAdmitted):
        return Standing(
            authority=NodeName(entry.authority),
            name=NodeName(entry.name),
            status=status,
            description=entry.description,
            key=entry.key,
            certificates=(entry.certificate,),
            sealing_key=entry.sealing_key,
            since_ms=entry.at_ms,
            former_keys=_former_keys(before, entry),
        )
    if before is None:  # the table admits only NodeAdmitted from nothing
        raise IllegalTransition(entry.name, "nothing precedes it")
    if isinstance(entry, NodeRenewed):
        return msgspec.structs.replace(before, certificates=(*before.certificates[-1:], entry.certificate))
    if isinstance(entry, NodeDescribed):
        return msgspec.structs.replace(before, description=entry.description)
    return msgspec.structs.replace(
        before,
        status=status,
        since_ms=entry.at_ms,
        reason=entry.reason if isinstance(entry, NodeSuspended | NodeResumed | NodeRevoked) else before.reason,
        moved_to=NodeName(entry.to) if isinstance(entry, NodeMoved) else None,
    )


def _former_keys(before: Standing | None, entry: NodeAdmitted) -> tuple[FormerKey, ...]:
    if before is None:
        return ()
    if before.key == entry.key:
        return before.former_keys
    return (*before.former_keys, FormerKey(key=before.key, until=entry.continues))[-FORMER_KEYS_MAX:]


def replay(entries: Sequence[DirectoryEntry]) -> dict[NodeName, Standing]:
    """Every node's standing after the whole log; raises IllegalTransition at the first entry that does not follow."""
    standings: dict[NodeName, Standing] = {}
    for entry in entries:
        name = NodeName(entry.name)
        standings[name] = apply_entry(standings.get(name), entry)
    return standings


def freshness(age_ms: int) -> Freshness:
    """How far a directory confirmed `age_ms` ago still carries (DESIGN.md §3, Status)."""
    if age_ms < FRESH_MS:
        return "fresh"
    if age_ms <= CUT_OFF_MS:
        return "cut_off"
    return "catalogue_only" if age_ms <= CATALOGUE_ONLY_MS else "too_old"


def judge(standing: Standing | None, *, name: NodeName, certificate: str, age_ms: int, reads_catalogue: bool) -> bool:
    """Whether a call from `name`, holding `certificate` (DER in base64), may go on; True means provisionally.

    Raises the refusal otherwise. A bad standing is believed however old the copy is; only good ones go stale.
    """
    if standing is None:
        raise CallerNotAdmitted(name, "its authority's directory does not name it")
    check_standing(standing)
    if certificate not in standing.certificates:
        raise CallerNotAdmitted(name, "another certificate is recorded for it")
    return carries(name, age_ms=age_ms, reads_catalogue=reads_catalogue)


def check_standing(standing: Standing) -> None:
    """Raises CallerSuspended or CallerRevoked for a node that is not active."""
    if standing.status == "suspended":
        raise CallerSuspended(standing.name, standing.reason)
    if standing.status in ("revoked", "moved"):
        raise CallerRevoked(standing.name, f"moved to {standing.moved_to}" if standing.moved_to else standing.reason)


def carries(name: NodeName, *, age_ms: int, reads_catalogue: bool) -> bool:
    """Whether what was known `age_ms` ago still carries a call from `name` (DESIGN.md §3, Status): fresh, as it is;
    up to 24 hours everything and up to 7 days reads of the catalogue, provisionally (True). Raises DirectoryTooOld.
    """
    age = freshness(age_ms)
    if age == "too_old" or (age == "catalogue_only" and not reads_catalogue):
        raise DirectoryTooOld(name, f"directory last confirmed {age_ms // 3_600_000} hours ago")
    return age != "fresh"
