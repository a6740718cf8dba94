"""Admission: what an authority decides about a request to join or to renew, as pure functions.

What lives here: the checks in their order, the states of an invite, and the refusals. What must not: how a request is
made and proven (`enrolment.py`), issuing (`issuance.py`), storing or sending.
"""

import base64
import hmac
from collections.abc import Sequence
from hashlib import sha256
from typing import Final, Literal, Protocol

import msgspec

from federation import canonical
from federation.certificate_profile import read_authority
from federation.certificates import VerifiedNode, verify_node_chain
from federation.directory import CHAIN_MAX, NodeDescription, Standing
from federation.enrolment import (
    JoinRequest,
    LateRenewal,
    join_transcript,
    renewal_transcript,
    sealing_statement,
    secret_proof,
)
from federation.errors import InvalidInput, LlnError, RefusedCall, UntrustedPeer
from federation.framing import pae
from federation.issuance import DAY_MS, SigningRequest, read_signing_request
from federation.keys import NodeKey
from federation.naming import NodeName, is_within

TRIES: Final = 5
CLOCK_WINDOW_MS: Final = 120_000
LATE_RENEWAL_MS: Final = 180 * DAY_MS
DESCRIPTION_BYTES_MAX: Final = 8_192
SEALING_KEY_BYTES: Final = 32
_FIELD_BYTES_MAX: Final = 8_192

InviteState = Literal["open", "used", "burnt", "cancelled"]
InviteEvent = Literal["admitted", "last_try_failed", "cancelled"]

INVITE_TRANSITIONS: Final[dict[tuple[InviteState, InviteEvent], InviteState]] = {
    ("open", "admitted"): "used",
    ("open", "last_try_failed"): "burnt",
    ("open", "cancelled"): "cancelled",
}


class InviteUnknown(RefusedCall):
    code = "LLN-2250"
    zh = "上级没有发出过这个邀请。请核对邀请码，或重新索取。"
    en = "The authority has not given out this invite. Check the code, or ask for a new one."


class InviteExpired(RefusedCall):
    code = "LLN-2251"
    zh = "邀请已过期。请向上级重新索取。"
    en = "The invite has expired. Ask the authority for a new one."


class InviteCancelled(RefusedCall):
    code = "LLN-2252"
    zh = "邀请已被上级取消。请向上级重新索取。"
    en = "The authority has cancelled the invite. Ask for a new one."


class InviteBurnt(RefusedCall):
    code = "LLN-2253"
    zh = "邀请因多次校验失败已作废。请向上级重新索取。"
    en = "The invite is void after too many failed proofs. Ask the authority for a new one."


class InviteUsed(RefusedCall):
    code = "LLN-2254"
    zh = "邀请已被另一套密钥使用。若不是本单位所为，请立即告知上级。"
    en = "The invite has been used with other keys. If that was not you, tell the authority at once."


class WrongSecret(RefusedCall):
    code = "LLN-2255"
    zh = "邀请的密码校验不成立，已计一次失败。请重新复制邀请码。"
    en = "The proof of the invite's secret does not hold, and a try is spent. Copy the invite again."


class WrongKeyProof(RefusedCall):
    code = "LLN-2256"
    zh = "密钥持有证明不成立，未作任何改动。"
    en = "A proof of possession of a key does not hold; nothing was changed."


class NotAsInvited(RefusedCall):
    code = "LLN-2257"
    zh = "入网请求与邀请不符。"
    en = "The request to join differs from what was invited."


class NameTaken(RefusedCall):
    code = "LLN-2258"
    zh = "该名称已有节点入网。更换机器时，请上级用 lln invite --replace 重新邀请。"
    en = "A node by this name is already admitted. To replace its machine, the authority runs lln invite --replace."


class MalformedJoin(RefusedCall):
    code = "LLN-2259"
    zh = "入网请求的内容不完整或过大。"
    en = "The request to join is incomplete or too large."


class NotRenewable(RefusedCall):
    code = "LLN-2260"
    zh = "不能续期：节点未获准、已暂停或撤销，或证书过期已超过 180 天。请联系上级。"
    en = "Not renewable: the node is not active here, or its certificate expired over 180 days ago. Ask the authority."


class ClockTooFar(RefusedCall):
    code = "LLN-2261"
    zh = "两台机器的时钟相差超过 2 分钟。请先校准时钟。"
    en = "The clocks of the two machines differ by more than two minutes. Set the clock first."


class MoveUnproven(RefusedCall):
    code = "LLN-2262"
    zh = "迁移的证明不成立：两处的证书须属于本网络、密钥相同、名称不同。"
    en = "The move is not proven: both certificates must be of this network, for the same key, under different names."


class InviteTerms(Protocol):
    """What the authority remembers of an invite."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> NodeName: ...
    @property
    def description(self) -> NodeDescription: ...
    @property
    def secret(self) -> bytes: ...
    @property
    def expires_at_ms(self) -> int: ...
    @property
    def tries_left(self) -> int: ...
    @property
    def state(self) -> InviteState: ...
    @property
    def transcript_sha256(self) -> bytes: ...
    @property
    def replaces(self) -> bool: ...


class AdmitNode(msgspec.Struct, frozen=True, kw_only=True):
    """Every proof holds: issue, record and answer. `essentials` tells a repeat of this join from another one.

    `moved_from`: the name that the same node key had before, proven by its certificates.
    """

    key: NodeKey
    request: SigningRequest
    description: NodeDescription
    essentials: bytes
    moved_from: NodeName | None = None


class RepeatAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The same join again, by who holds the same keys: give the same answer, change nothing."""


class RefuseJoin(msgspec.Struct, frozen=True, kw_only=True):
    """Record `tries_left` and `state` of the invite, then answer with `error`."""

    error: RefusedCall
    tries_left: int
    state: InviteState


JoinDecision = AdmitNode | RepeatAnswer | RefuseJoin


def decide_join(
    invite: InviteTerms | None,
    request: JoinRequest,
    *,
    standing: Standing | None,
    root_certificate: bytes,
    now_ms: int,
) -> JoinDecision:
    """What an authority does about a request; `invite` and `standing` are what it holds under the id and the name."""
    # 1. Bounded, and about an invite of ours.
    if invite is None:
        return RefuseJoin(error=InviteUnknown(request.invite_id[:16]), tries_left=0, state="cancelled")
    try:
        _check_bounds(request)
        # 2. Used before: the same keys get the same answer, whenever they ask; nobody else gets any.
        if invite.state == "used":
            return _decide_repeat(invite, request, standing, root_certificate)
        # 3. Still open.
        _check_open(invite, now_ms)
        # 4. For the name that was invited.
        if request.name != invite.name:
            raise NotAsInvited(request.name[:80], f"the invite is for {invite.name}")
        # 5. By somebody who knows the secret. From here on whoever asks holds the invite.
        transcript = join_transcript(request, root_certificate)
        if not hmac.compare_digest(secret_proof(invite.secret, transcript), request.secret_proof):
            return _spend_try(invite)
        # 6.-8. Who holds the node key, the P-256 key, and the node key that vouches for the sealing key.
        key = _proven_key(request, transcript)
        asked = _signing_request(request.name, request.signing_request)
        if not key.verify(sealing_statement(request.sealing_key), request.sealing_signature):
            raise WrongKeyProof(request.name, "the sealing key is not signed by the node key")
        # 9. Under a name that is free.
        if standing is not None and not _is_free(standing, replaces=invite.replaces):
            raise NameTaken(invite.name, f"it is {standing.status}")
        # 10. That moves here from where it says, if it says so.
        moved_from = _former_name(request, root_certificate, now_ms)
        description = admitted_description(invite.description, request.description)
    except RefusedCall as error:
        return RefuseJoin(error=error, tries_left=invite.tries_left, state=invite.state)
    return AdmitNode(
        key=key,
        request=asked,
        description=description,
        essentials=_essentials(request, asked),
        moved_from=moved_from,
    )


def decide_move(standing: Standing, chain: Sequence[bytes], *, root_certificate: bytes, now_ms: int) -> NodeName:
    """The new name of a node that `standing` records under its old one, if `chain` (DER, own certificate first) proves
    it: some authority of this network has certified the very same node key. Raises MoveUnproven.
    """
    shown = _verified_chain(standing.name, chain, root_certificate, now_ms)
    if shown.key.did != standing.key:
        raise MoveUnproven(standing.name, f"the certificate for {shown.name} is for another key")
    if is_within(shown.name, standing.name) or is_within(standing.name, shown.name):
        raise MoveUnproven(standing.name, f"{shown.name} is on the same line")
    return shown.name


def decide_late_renewal(
    request: LateRenewal, *, standing: Standing | None, root_certificate: bytes, now_ms: int
) -> SigningRequest | None:
    """The request to grant, or None where the newest certificate still holds and is the answer.

    Raises ClockTooFar, NotRenewable, WrongKeyProof or MalformedJoin.
    """
    # 1. Bounded; of a node that is active here.
    if len(request.name) > 253 or len(request.signing_request) > _FIELD_BYTES_MAX:
        raise MalformedJoin("late renewal", "a field is too large")
    if standing is None or standing.status != "active":
        raise NotRenewable(request.name[:80], standing.status if standing else "not in the directory")
    # 2. Asked just now, so that a recorded request cannot be used later.
    if abs(request.issued_at_ms - now_ms) > CLOCK_WINDOW_MS:
        raise ClockTooFar(request.name, f"{(request.issued_at_ms - now_ms) // 1000:+d} s from the authority's clock")
    # 3. By the node key in the directory.
    if not NodeKey.parse(standing.key).verify(renewal_transcript(request, root_certificate), request.key_proof):
        raise WrongKeyProof(request.name, "not signed by the node key in the directory")
    # 4. For the same P-256 key; within the time allowed.
    asked = same_keys(request.signing_request, standing)
    expired_ms = now_ms - read_authority(newest_certificate(standing)).claims.not_after_ms
    if expired_ms > LATE_RENEWAL_MS:
        raise NotRenewable(request.name, f"expired {expired_ms // DAY_MS} days ago")
    return asked if expired_ms > 0 else None


def same_keys(signing_request: bytes, standing: Standing) -> SigningRequest:
    """A renewal keeps name and keys: the request, if it is for those recorded; raises NotAsInvited, WrongKeyProof."""
    asked = _signing_request(standing.name, signing_request)
    if asked.public_key != read_authority(newest_certificate(standing)).claims.public_key:
        raise NotAsInvited(standing.name, "a renewal keeps the keys; to change them, be invited anew")
    return asked


def newest_certificate(standing: Standing) -> bytes:
    """The certificate in force, DER."""
    return base64.b64decode(standing.certificates[-1])


def admitted_description(invited: NodeDescription, document: bytes) -> NodeDescription:
    """What will be recorded: title, level, kind and division are the authority's words, the rest the newcomer's."""
    described = read_description(document)
    return msgspec.structs.replace(
        described,
        title=invited.title,
        level=invited.level,
        kind=invited.kind,
        division_code=invited.division_code or described.division_code,
        institution_code=invited.institution_code or described.institution_code,
    )


def read_description(document: bytes) -> NodeDescription:
    """Parse a description from a peer; raises MalformedJoin."""
    try:
        return canonical.decode(document, NodeDescription, bytes_max=DESCRIPTION_BYTES_MAX)
    except InvalidInput as error:
        raise MalformedJoin("description", error.detail) from error


def _is_free(standing: Standing, *, replaces: bool) -> bool:
    """Whether somebody may join under a recorded name. A suspension is not shed by a new machine."""
    return standing.status in ("revoked", "moved") or (replaces and standing.status == "active")


def _check_bounds(request: JoinRequest) -> None:
    texts = (request.invite_id, request.name, request.key)
    parts = (request.signing_request, request.sealing_signature, request.key_proof, request.secret_proof)
    if max(map(len, texts)) > 253 or max(map(len, parts)) > _FIELD_BYTES_MAX:
        raise MalformedJoin("join", "a field is too large")
    if len(request.former_chain) > CHAIN_MAX or max(map(len, request.former_chain), default=0) > _FIELD_BYTES_MAX:
        raise MalformedJoin("join", "a former chain that is too long")
    if len(request.sealing_key) != SEALING_KEY_BYTES or len(request.description) > DESCRIPTION_BYTES_MAX:
        raise MalformedJoin("join", "sealing key or description of a wrong size")


def _former_name(request: JoinRequest, root_certificate: bytes, now_ms: int) -> NodeName | None:
    if not request.former_chain:
        return None
    shown = _verified_chain(request.name, request.former_chain, root_certificate, now_ms)
    if shown.key.did != request.key or shown.name == request.name:
        raise MoveUnproven(request.name, f"the former certificate is of {shown.name}, for {shown.key.did}")
    return shown.name


def _verified_chain(subject: str, chain: Sequence[bytes], root_certificate: bytes, now_ms: int) -> VerifiedNode:
    try:
        return verify_node_chain(chain, root_certificate, now_ms)
    except LlnError as error:
        raise MoveUnproven(subject, str(error)[:300]) from error


def _decide_repeat(
    invite: InviteTerms, request: JoinRequest, standing: Standing | None, root_certificate: bytes
) -> RepeatAnswer:
    if request.name != invite.name:
        raise InviteUsed(invite.name, f"the invite was for {invite.name}")
    key = _proven_key(request, join_transcript(request, root_certificate))
    asked = _signing_request(request.name, request.signing_request)
    if _essentials(request, asked) != invite.transcript_sha256:
        raise InviteUsed(invite.name, "its keys are not these")
    if standing is None or standing.key != key.did or standing.status not in ("active", "suspended"):
        raise InviteUsed(invite.name, "the node that joined with it is no longer admitted")
    return RepeatAnswer()


def _check_open(invite: InviteTerms, now_ms: int) -> None:
    if invite.state == "burnt":
        raise InviteBurnt(invite.name)
    if invite.state == "cancelled":
        raise InviteCancelled(invite.name)
    if now_ms > invite.expires_at_ms:
        raise InviteExpired(invite.name, f"{(now_ms - invite.expires_at_ms) // 3_600_000} hours ago")


def _spend_try(invite: InviteTerms) -> RefuseJoin:
    left = max(0, invite.tries_left - 1)
    state = invite.state if left else INVITE_TRANSITIONS[invite.state, "last_try_failed"]
    return RefuseJoin(error=WrongSecret(invite.name, f"{left} tries left"), tries_left=left, state=state)


def _proven_key(request: JoinRequest, transcript: bytes) -> NodeKey:
    try:
        key = NodeKey.parse(request.key)
    except UntrustedPeer as error:
        raise WrongKeyProof(request.name, error.detail) from error
    if not key.verify(transcript, request.key_proof):
        raise WrongKeyProof(request.name, "the transcript is not signed by the node key")
    return key


def _signing_request(name: str, signing_request: bytes) -> SigningRequest:
    try:
        asked = read_signing_request(signing_request)
    except LlnError as error:
        raise WrongKeyProof(name, error.detail) from error
    if asked.name != name:
        raise NotAsInvited(name, f"the signing request is for {asked.name}")
    return asked


def _essentials(request: JoinRequest, asked: SigningRequest) -> bytes:
    """Which node this is: name and all keys. A signing request made anew is other bytes for the same key."""
    parts = (request.invite_id.encode(), request.name.encode(), request.key.encode(), asked.public_key)
    return sha256(pae("join-essentials", *parts, request.sealing_key)).digest()
