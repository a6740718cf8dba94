"""Enrolling, on the authority's side: giving out invites, and admitting who comes with one.

What lives here: invites and joins, late renewal, and whether the enrolment port has to be open. What must not: what
becomes of a node afterwards (`admitting.py`), the newcomer's side (`joining.py`), or the wire.
"""

import base64
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from federation.admission import (
    INVITE_TRANSITIONS,
    LATE_RENEWAL_MS,
    TRIES,
    AdmitNode,
    RefuseJoin,
    RepeatAnswer,
    decide_join,
    decide_late_renewal,
    newest_certificate,
)
from federation.certificate_profile import issued_at_ms, read_authority
from federation.directory import LogPosition, NodeAdmitted, NodeDescription, NodeRenewed, NodeRevoked, Standing
from federation.enrolment import JoinAnswer, JoinRequest, LateRenewal
from federation.errors import Conflict, InvalidInput, NotAllowed, NotFound, RefusedCall
from federation.invites import SECRET_BYTES, InviteCode, write_invite
from federation.issuance import DAY_MS, HOUR_MS
from federation.logs import TOPICS, LogId
from federation.naming import DEPTH_MAX, NodeName, child_name, depth
from node.ports import Clock, Identity, Invite, Randomness, Store, Transaction
from node.usecases.recording import make_salts, record_admission

INVITE_TTL_MS: Final = 7 * DAY_MS
INVITE_TTL_MIN_MS: Final = 60_000
INVITE_TTL_MAX_MS: Final = 90 * DAY_MS
REPEAT_WINDOW_MS: Final = DAY_MS
"""How long after a join the port stays open for whoever did not get the answer."""


REPLACED: Final = "replaced by another machine 更换机器"


class LeafMayNotInvite(NotAllowed):
    code = "LLN-1450"
    zh = "本节点不是主管机构，不能邀请下级。请由它的上级邀请。"
    en = "This node is a leaf institution and cannot admit others. Let its authority invite them."


class TooDeep(NotAllowed):
    code = "LLN-1451"
    zh = "层级过深：根节点以下最多 7 级。"
    en = "Too deep: a network has at most seven levels below its root."


class NameAlreadyAdmitted(Conflict):
    code = "LLN-1350"
    zh = "该名称已有节点入网。更换机器时请加 --replace；已暂停的节点须先恢复或撤销。"
    en = "A node by this name is admitted already. Add --replace for a new machine; resume or revoke a suspended one."


class InviteClosed(Conflict):
    code = "LLN-1351"
    zh = "邀请已使用、作废或取消，不能再取消。已入网的节点可以暂停或撤销。"
    en = "The invite is used, void or cancelled already. A node that has joined can be suspended or revoked."


class NoSuchInvite(NotFound):
    code = "LLN-1250"
    zh = "没有这个编号的邀请。请用 lln invites 查看。"
    en = "There is no invite with this id. See lln invites."


class UnfitInvite(InvalidInput):
    code = "LLN-1156"
    zh = "邀请内容不合要求：须有名称，有效期在 1 分钟至 90 天之间。"
    en = "The invite is not acceptable: it needs a title, and a life between one minute and 90 days."


class NewInvite(msgspec.Struct, frozen=True, kw_only=True):
    """An invite just made; `code` is the line to hand over and carries its secret."""

    invite: Invite
    code: str


class Enrolling:
    """What an authority does about newcomers."""

    def __init__(
        self,
        *,
        store: Store,
        identity: Identity,
        clock: Clock,
        randomness: Randomness,
        endpoint: Callable[[], str],
        enrolment_endpoint: Callable[[], str],
    ) -> None:
        """`endpoint` and `enrolment_endpoint`: where others can dial this node now, as host:port."""
        self._store = store
        self._identity = identity
        self._clock = clock
        self._randomness = randomness
        self._endpoint = endpoint
        self._enrolment_endpoint = enrolment_endpoint

    async def invite(
        self, label: str, description: NodeDescription, ttl_ms: int = INVITE_TTL_MS, *, replaces: bool = False
    ) -> NewInvite:
        """Invite a direct child; an invite still open for the same name is cancelled by the new one.

        `replaces`: for another machine of a node that is admitted; the one before is revoked when the new one joins.

        Raises LeafMayNotInvite, TooDeep, MalformedName, UnfitInvite or NameAlreadyAdmitted.
        """
        name = self._free_place(label)
        if not INVITE_TTL_MIN_MS <= ttl_ms <= INVITE_TTL_MAX_MS or not str(description.title).strip():
            raise UnfitInvite(name, f"title {str(description.title)!r}, life {ttl_ms // HOUR_MS} h")
        invite = Invite(
            id=self._randomness.token(8).hex(),
            name=name,
            description=description,
            secret=self._randomness.token(SECRET_BYTES),
            expires_at_ms=self._clock.now_ms() + ttl_ms,
            tries_left=TRIES,
            state="open",
            replaces=replaces,
        )
        code = InviteCode(
            id=invite.id,
            name=name,
            endpoint=self._enrolment_endpoint(),
            description=description,
            expires_at_ms=invite.expires_at_ms,
            secret=invite.secret,
            root_certificate=self._identity.root_certificate,
        )
        await self._store.write(lambda transaction: self._put_invite(transaction, invite))
        return NewInvite(invite=invite, code=write_invite(code))

    async def invites(self) -> Sequence[Invite]:
        """Every invite ever given out; secrets of open ones included, so this is not for showing as it is."""
        return await self._store.read(lambda transaction: transaction.invites.all())

    async def cancel_invite(self, invite_id: str) -> None:
        """Raises NoSuchInvite or InviteClosed."""

        def unit(transaction: Transaction) -> None:
            invite = transaction.invites.get(invite_id)
            if invite is None:
                raise NoSuchInvite(invite_id[:40], "not given out by this node")
            if invite.state != "open":
                raise InviteClosed(invite.name, f"it is {invite.state}")
            transaction.invites.put(_cancelled(invite))

        await self._store.write(unit)

    async def accept_join(self, request: JoinRequest) -> JoinAnswer:
        """Admit a newcomer: certificate, directory entry, standing and used invite are one transaction.

        The answer is durable before it is given, and the same request gets the same answer again. Raises the refusals
        of `federation.admission`, RefusedCertificate or IssuerExpired.
        """
        salts = make_salts(self._randomness, 2)
        now_ms = self._clock.now_ms()
        answered = await self._store.write(lambda transaction: self._join(transaction, request, salts, now_ms))
        if isinstance(answered, RefusedCall):
            raise answered
        return answered

    async def renew_expired(self, request: LateRenewal) -> JoinAnswer:
        """A new certificate for a child whose last one has expired; raises the refusals of `federation.admission`."""
        [salt] = make_salts(self._randomness, 1)
        now_ms = self._clock.now_ms()
        return await self._store.write(lambda transaction: self._renew(transaction, request, salt, now_ms))

    async def is_enrolment_port_needed(self, now_ms: int) -> bool:
        """Whether somebody may have to be let in: an open invite, a join just made, a certificate just expired."""
        return await self._store.read(lambda transaction: self._is_needed(transaction, now_ms))

    def _free_place(self, label: str) -> NodeName:
        own = self._identity
        if depth(own.name, own.root) >= DEPTH_MAX:
            raise TooDeep(own.name, f"it stands {DEPTH_MAX} levels below {own.root}")
        certificate = own.chain[0] if own.chain else own.root_certificate
        if read_authority(certificate).claims.path_length == 0:
            raise LeafMayNotInvite(own.name, "its certificate admits nobody below it")
        return child_name(label.strip().lower(), own.name)

    def _put_invite(self, transaction: Transaction, invite: Invite) -> None:
        standing = transaction.standings.get(self._identity.name, invite.name)
        taken = ("suspended",) if invite.replaces else ("active", "suspended")
        if standing is not None and standing.status in taken:
            raise NameAlreadyAdmitted(invite.name, f"it is {standing.status}")
        for other in transaction.invites.all():
            if other.name == invite.name and other.state == "open":
                transaction.invites.put(_cancelled(other))
        transaction.invites.put(invite)

    def _join(
        self, transaction: Transaction, request: JoinRequest, salts: Sequence[str], now_ms: int
    ) -> JoinAnswer | RefusedCall:
        """A refusal is returned, not raised: raising would undo the try that it has spent."""
        invite = transaction.invites.get(request.invite_id)
        standing = transaction.standings.get(self._identity.name, invite.name) if invite else None
        decision = decide_join(
            invite, request, standing=standing, root_certificate=self._identity.root_certificate, now_ms=now_ms
        )
        match decision:
            case AdmitNode() if invite:
                return self._admit(transaction, invite, request, decision, salts=salts, now_ms=now_ms, before=standing)
            case RepeatAnswer() if invite and standing:
                return self._answer(invite.chain, standing, _held(transaction, invite.name))
            case RefuseJoin(error=error, tries_left=tries_left, state=state):
                if invite and (tries_left, state) != (invite.tries_left, invite.state):
                    secret = invite.secret if state == "open" else b""
                    spent = msgspec.structs.replace(invite, tries_left=tries_left, state=state, secret=secret)
                    transaction.invites.put(spent)
                return error
            case _:
                raise AssertionError(decision)

    def _admit(
        self,
        transaction: Transaction,
        invite: Invite,
        request: JoinRequest,
        decision: AdmitNode,
        *,
        salts: Sequence[str],
        now_ms: int,
        before: Standing | None,
    ) -> JoinAnswer:
        held = _held(transaction, invite.name)
        if before is not None and before.status == "active":
            record_admission(
                transaction,
                NodeRevoked(
                    authority=self._identity.name, name=invite.name, at_ms=now_ms, salt=salts[1], reason=REPLACED
                ),
            )
        certificate = self._identity.issue_certificate(
            invite.name, decision.key.did, decision.description.kind, request.signing_request, now_ms
        )
        standing = record_admission(
            transaction,
            NodeAdmitted(
                authority=self._identity.name,
                name=invite.name,
                at_ms=now_ms,
                salt=salts[0],
                description=decision.description,
                key=decision.key.did,
                certificate=base64.b64encode(certificate).decode(),
                sealing_key=_base64url(request.sealing_key),
                sealing_signature=_base64url(request.sealing_signature),
                replaces_key=before.key if before and before.key != decision.key.did else None,
                continues=held if before and before.key != decision.key.did else (),
                moved_from=decision.moved_from,
            ),
        )
        used = msgspec.structs.replace(
            invite,
            state=INVITE_TRANSITIONS["open", "admitted"],
            secret=b"",
            joined_key=decision.key.did,
            transcript_sha256=decision.essentials,
            chain=(certificate, *self._identity.chain),
        )
        transaction.invites.put(used)
        return self._answer(used.chain, standing, held)

    def _renew(self, transaction: Transaction, request: LateRenewal, salt: str, now_ms: int) -> JoinAnswer:
        standing = transaction.standings.get(self._identity.name, NodeName(request.name))
        granted = decide_late_renewal(
            request, standing=standing, root_certificate=self._identity.root_certificate, now_ms=now_ms
        )
        assert standing is not None  # noqa: S101  # decide_late_renewal refuses whoever has none
        if granted is not None:
            certificate = self._identity.issue_certificate(
                standing.name, standing.key, standing.description.kind, request.signing_request, now_ms
            )
            standing = record_admission(
                transaction,
                NodeRenewed(
                    authority=self._identity.name,
                    name=standing.name,
                    at_ms=now_ms,
                    salt=salt,
                    certificate=base64.b64encode(certificate).decode(),
                ),
            )
        return self._answer((newest_certificate(standing), *self._identity.chain), standing)

    def _is_needed(self, transaction: Transaction, now_ms: int) -> bool:
        standings = {standing.name: standing for standing in transaction.standings.of(self._identity.name)}
        return any(_may_renew_late(standing, now_ms) for standing in standings.values()) or any(
            _may_still_knock(invite, standings.get(invite.name), now_ms) for invite in transaction.invites.all()
        )

    def _answer(self, chain: tuple[bytes, ...], standing: Standing, held: tuple[LogPosition, ...] = ()) -> JoinAnswer:
        return JoinAnswer(
            chain=chain, parent_endpoint=self._endpoint(), description=standing.description, continues=held
        )


def _held(transaction: Transaction, name: NodeName) -> tuple[LogPosition, ...]:
    """How far this authority holds the logs of a child."""
    stored = (transaction.logs.get(LogId(origin=name, topic=topic)) for topic in TOPICS)
    return tuple(
        LogPosition(topic=one.log.topic, size=one.head.size, root=one.head.root().hex())
        for one in stored
        if one is not None and one.head.size
    )


def _may_renew_late(standing: Standing, now_ms: int) -> bool:
    return standing.status == "active" and 0 < now_ms - _ends_ms(standing.certificates[-1]) <= LATE_RENEWAL_MS


def _may_still_knock(invite: Invite, standing: Standing | None, now_ms: int) -> bool:
    if invite.state == "open":
        return now_ms <= invite.expires_at_ms
    if invite.state != "used" or now_ms > invite.expires_at_ms + REPEAT_WINDOW_MS:  # it was used before it expired
        return False
    is_admitted = standing is not None and standing.status == "active" and standing.key == invite.joined_key
    return is_admitted and now_ms <= issued_at_ms(invite.chain[0]) + REPEAT_WINDOW_MS


@lru_cache(maxsize=8_192)
def _ends_ms(certificate: str) -> int:
    """When a certificate (DER in base64) ends; asked again and again about the same children."""
    return read_authority(base64.b64decode(certificate)).claims.not_after_ms


def _cancelled(invite: Invite) -> Invite:
    state = INVITE_TRANSITIONS[invite.state, "cancelled"]
    return msgspec.structs.replace(invite, state=state, secret=b"")


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
