"""Signed calls: what is signed in a request and in a reply, and the order in which it is checked (DESIGN.md §4).

What lives here: the two headers, the gate in front of every method, and the check of a reply. What must not: protobuf,
sockets or a clock; header bytes are signed and compared as they were sent, and time is passed in.
"""

from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from typing import Final

import msgspec

from federation.callers import Callers, RateLimit
from federation.certificates import VerifiedNode
from federation.errors import BadCall, PeerUnreachable, RefusedCall
from federation.framing import pae
from federation.keys import SIGNATURE_BYTES, SUITE_ED25519, NodeKey, Signer
from federation.naming import NAME_CHARS_MAX, NodeName, Relation, relation_of

WINDOW_MS: Final = 120_000
TTL_MS_MAX: Final = 60_000
NONCE_BYTES: Final = 16
EPOCH_BYTES: Final = 8
DIGEST_BYTES: Final = 32
HEADER_BYTES_MAX: Final = 1_024
METHOD_CHARS_MAX: Final = 100
OPERATION_ID_CHARS_MAX: Final = 64
_TOLD_CHARS_MAX: Final = 80
_TIME_MS_MAX: Final = 2**53
_RELATIONS_REMEMBERED_MAX: Final = 4_096

_CALL_FRAME: Final = pae("lln.call.v1", b"").removesuffix(b"0 ")
_REPLY_FRAME: Final = pae("lln.reply.v1", b"").removesuffix(b"0 ")

_INCLUDED_IN: Final[dict[Relation, frozenset[Relation]]] = {
    "self": frozenset(("self", "network")),
    "parent": frozenset(("parent", "ancestor", "network")),
    "child": frozenset(("child", "descendant", "network")),
    "sibling": frozenset(("sibling", "network")),
    "ancestor": frozenset(("ancestor", "network")),
    "descendant": frozenset(("descendant", "network")),
    "network": frozenset(("network",)),
}
"""For each relation the words of a method's rules that it is meant by: a wider word includes the narrower."""


class OversizeCall(BadCall):
    code = "LLN-231"
    zh = "调用超过了这个方法允许的大小。"
    en = "The call is larger than this method allows."


class WrongAudience(BadCall):
    code = "LLN-232"
    zh = "调用是写给另一个节点或另一个方法的。"
    en = "The call was signed for another node or another method."


class ClockApart(BadCall):
    code = "LLN-233"
    zh = "两台机器的时钟相差超过两分钟。请校准时钟(例如启用 NTP)。"
    en = "The two machines' clocks are more than two minutes apart. Set the clock, for example by enabling NTP."


class WrongSignature(BadCall):
    code = "LLN-234"
    zh = "调用的签名与 TLS 对端的节点密钥不符。"
    en = "The call's signature is not that of the node at the other end of the TLS connection."


class PayloadAltered(BadCall):
    code = "LLN-236"
    zh = "消息内容与签名不一致，途中被改动。"
    en = "The message is not the one that was signed; it was altered on the way."


class WrongEpoch(BadCall):
    code = "LLN-237"
    zh = "对端已经重新启动，请重新握手后再发送。"
    en = "The callee has restarted since; say hello again and send a new call."


class OperationIdMissing(BadCall):
    code = "LLN-238"
    zh = "会改变数据的调用必须带操作编号。"
    en = "A call that changes something must carry an operation id."


class MalformedEnvelope(BadCall):
    code = "LLN-239"
    zh = "缺少签名信封，或信封格式不正确。"
    en = "The signed envelope is missing or malformed."


class RelationRefused(RefusedCall):
    code = "LLN-226"
    zh = "这个方法不对这种关系的节点开放。"
    en = "This method is not open to a node in this relation."


class UnprovenReply(PeerUnreachable):
    code = "LLN-253"
    zh = "收到了答复，但签名不成立或不是对这个调用的答复，已丢弃。"
    en = "An answer came, but its signature does not hold or it answers another call; it was discarded."


class CallHeader(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a caller signs; sizes and meanings as in protos/lln/v1/call.proto."""

    suite: str = SUITE_ED25519
    caller: str
    audience: str
    audience_epoch: bytes
    method: str
    issued_at_ms: int
    ttl_ms: int
    nonce: bytes
    operation_id: str
    payload_sha256: bytes


class ReplyHeader(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a responder signs; `body_sha256` is of the reply message, or of the error detail if `status` is not 0."""

    suite: str = SUITE_ED25519
    responder: str
    call_sha256: bytes
    status: int
    body_sha256: bytes
    at_ms: int


class MethodRules(msgspec.Struct, frozen=True, kw_only=True):
    """Who may make a call, and how large and long it may be; from the method's options in the .proto."""

    method: str
    callers: frozenset[Relation]
    changes: bool = False
    reads_catalogue: bool = False
    introduces: bool = False
    streams_signed_content: bool = False
    sealed: bool = False
    waits: bool = False
    request_bytes_max: int
    deadline_ms_max: int


class SignedCall(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A call as it arrived, nothing of it believed yet: `header` was read from exactly `header_bytes`."""

    header: CallHeader
    header_bytes: bytes
    signature: bytes
    payload: bytes


class SignedReply(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A reply as it arrived, nothing of it believed yet: `header` was read from exactly `header_bytes`."""

    header: ReplyHeader
    header_bytes: bytes
    signature: bytes


class AdmittedCall(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A call that passed every check; only the gate makes them. `provisional`: our directory was not fresh."""

    caller: VerifiedNode
    relation: Relation
    operation_id: str
    provisional: bool
    ttl_ms: int


Judge = Callable[[VerifiedNode, bool], bool]
"""(a node whose chain is verified, whether the call only reads the catalogue) -> whether it may go on provisionally;
raises a RefusedCall where the directory says no."""


def call_text(header_bytes: bytes) -> bytes:
    """What a caller signs: `pae("lln.call.v1", header_bytes)`, put together faster."""
    return b"%b%d %b" % (_CALL_FRAME, len(header_bytes), header_bytes)


def reply_text(header_bytes: bytes) -> bytes:
    """What a responder signs: `pae("lln.reply.v1", header_bytes)`, put together faster."""
    return b"%b%d %b" % (_REPLY_FRAME, len(header_bytes), header_bytes)


def sign_call(header_bytes: bytes, signer: Signer) -> bytes:
    return signer.sign(call_text(header_bytes))


def sign_reply(header_bytes: bytes, signer: Signer) -> bytes:
    return signer.sign(reply_text(header_bytes))


def call_digest(header_bytes: bytes, signature: bytes) -> bytes:
    """What a reply names its call by; the signature has one length, so no two calls are run together alike."""
    return sha256(header_bytes + signature).digest()


class Gate:
    """Every call passes here, in this order; what is remembered between calls is bounded.

    `epoch`: random for each start of the process, so that no call of an earlier start is ever taken for a new one; and
    for each time the clock was set back, so that calls of its first pass through that time are not, either.
    """

    def __init__(
        self, *, own_name: NodeName, root: NodeName, epoch: bytes, judge: Judge, limit: RateLimit | None = None
    ) -> None:
        assert len(epoch) == EPOCH_BYTES, epoch  # noqa: S101  # our own, never an input
        self.epoch = epoch
        self._own_name = own_name
        self._judge = judge
        self._callers = Callers(limit or RateLimit())
        self._latest_ms = 0
        self._relation = lru_cache(_RELATIONS_REMEMBERED_MAX)(lambda caller: relation_of(caller, own_name, root))

    def is_set_back(self, now_ms: int) -> bool:
        """Whether the clock has gone back so far that fresh calls look like old ones: time for `begin_epoch`."""
        return now_ms < self._latest_ms - WINDOW_MS

    def begin_epoch(self, epoch: bytes) -> None:
        """Callers are told that theirs is over, say hello, and go on."""
        assert len(epoch) == EPOCH_BYTES, epoch  # noqa: S101  # our own, never an input
        self.epoch, self._latest_ms = epoch, 0
        self._callers.forget_nonces()

    def admit(self, call: SignedCall, rules: MethodRules, *, peer: VerifiedNode, now_ms: int) -> AdmittedCall:
        """Let in a call that came over the TLS connection of the verified `peer`, or raise the refusal."""
        header = call.header
        self._latest_ms = max(self._latest_ms, now_ms)
        # 1. Sizes, before anything is hashed.
        if len(call.payload) > rules.request_bytes_max:
            raise OversizeCall(rules.method, f"{len(call.payload)} bytes, at most {rules.request_bytes_max}")
        _check_form(call)
        # 2. Written for this node, this method, and this start of its process.
        if header.audience != self._own_name or header.method != rules.method:
            told = f"{header.audience[:_TOLD_CHARS_MAX]}{header.method}"
            raise WrongAudience(told, f"arrived at {self._own_name}{rules.method}")
        if header.audience_epoch != self.epoch and (header.audience_epoch or not rules.introduces):
            raise WrongEpoch(self._own_name, "the call names another start of this process")
        # 3. Written now, and not yet given up by its caller.
        _check_time(header, peer.name, now_ms)
        # 4. No more than its share, counted for the TLS peer, whatever name the header bears.
        self._callers.take_turn(peer.name, now_ms)
        # 5. By the node at the other end of the TLS connection.
        if header.caller != peer.name:
            raise WrongSignature(header.caller[:_TOLD_CHARS_MAX], f"came over the connection of {peer.name}")
        if not peer.key.verify(call_text(call.header_bytes), call.signature):
            raise WrongSignature(peer.name, "the signature does not hold")
        # 6. For the first time. Only now: an unsigned call must not fill this memory.
        self._callers.use_nonce(peer.name, header.nonce, expires_ms=_expires_ms(header), now_ms=now_ms)
        # 7. With the message that was signed.
        if header.payload_sha256 != sha256(call.payload).digest():
            raise PayloadAltered(peer.name, rules.method)
        # 8. By a node that is admitted today. A node's own people are not in any directory that it could ask.
        relation: Relation = self._relation(peer.name)
        provisional = relation != "self" and self._judge(peer, rules.reads_catalogue)
        # 9. In a relation that this method is open to, and so that a repeat will be known.
        if rules.callers.isdisjoint(_INCLUDED_IN[relation]):
            raise RelationRefused(peer.name, f"{rules.method} is not for a {relation}")
        if rules.changes and not header.operation_id:
            raise OperationIdMissing(peer.name, rules.method)
        return AdmittedCall(
            caller=peer,
            relation=relation,
            operation_id=header.operation_id,
            provisional=provisional,
            ttl_ms=header.ttl_ms,
        )

    def judge_again(self, call: AdmittedCall, rules: MethodRules) -> None:
        """Step 8 once more, for a stream that outlives its call; raises the refusal."""
        if call.relation != "self":
            self._judge(call.caller, rules.reads_catalogue)


def check_reply(
    reply: SignedReply,
    *,
    call_sha256: bytes,
    status: int,
    body: bytes,
    responder: NodeName,
    key: NodeKey,
    now_ms: int,
) -> None:
    """Raise UnprovenReply unless `responder`, whose node key is `key`, signed exactly this answer to exactly this call.

    `status` is what the transport reported, `body` the bytes that came with it. The time of a refusal is not judged: it
    may be a refusal for the clock, and the call's digest has shown that it is fresh.
    """
    header = reply.header
    if header.suite != SUITE_ED25519 or header.responder != responder:
        raise UnprovenReply(responder, f"signed as {header.responder[:_TOLD_CHARS_MAX]}")
    if header.call_sha256 != call_sha256:
        raise UnprovenReply(responder, "it answers another call")
    if not key.verify(reply_text(reply.header_bytes), reply.signature):
        raise UnprovenReply(responder, "the signature does not hold")
    if header.status != status:
        raise UnprovenReply(responder, f"status {header.status} was signed, and {status} arrived")
    if header.body_sha256 != sha256(body).digest():
        raise UnprovenReply(responder, "it was altered on the way")
    if status == 0 and abs(header.at_ms - now_ms) > WINDOW_MS:
        raise UnprovenReply(responder, f"its clock is {(header.at_ms - now_ms) / 1_000:+.0f} s from this node's")


def _check_form(call: SignedCall) -> None:
    header = call.header
    is_sound = (
        len(call.header_bytes) <= HEADER_BYTES_MAX
        and len(call.signature) == SIGNATURE_BYTES
        and header.suite == SUITE_ED25519
        and len(header.caller) <= NAME_CHARS_MAX
        and len(header.method) <= METHOD_CHARS_MAX
        and len(header.nonce) == NONCE_BYTES
        and len(header.payload_sha256) == DIGEST_BYTES
        and len(header.audience_epoch) in (0, EPOCH_BYTES)
        and 0 <= header.issued_at_ms <= _TIME_MS_MAX
        and 0 < header.ttl_ms <= TTL_MS_MAX
        and len(header.operation_id) <= OPERATION_ID_CHARS_MAX
    )
    if not is_sound:
        raise MalformedEnvelope(header.caller[:_TOLD_CHARS_MAX], "a field of the call header is out of its bounds")


def _check_time(header: CallHeader, peer: NodeName, now_ms: int) -> None:
    ahead_ms = header.issued_at_ms - now_ms
    if ahead_ms > WINDOW_MS or now_ms > _expires_ms(header):
        raise ClockApart(peer, f"its clock is {ahead_ms / 1_000:+.0f} s from this node's, or the call came too late")


def _expires_ms(header: CallHeader) -> int:
    return header.issued_at_ms + header.ttl_ms + WINDOW_MS
