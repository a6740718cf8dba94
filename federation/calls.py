"""Signed calls: what is signed in a request and in a reply, and the order in which it is checked (DESIGN.md §4).

What lives here: the two headers, the gate in front of every method, and the check of a reply. What must not: protobuf,
sockets or a clock; header bytes are signed and compared as they were sent, and time is passed in.
"""

from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from hmac import compare_digest
from typing import Final, Literal

import msgspec

from federation.certificates import VerifiedNode
from federation.errors import BadCall, RefusedCall
from federation.framing import pae
from federation.keys import SUITE_ED25519, NodeKey, Signer
from federation.naming import NodeName, Relation, relation_of

WINDOW_MS: Final = 120_000
TTL_MS_MAX: Final = 60_000
NONCE_BYTES: Final = 16
EPOCH_BYTES: Final = 8
HEADER_BYTES_MAX: Final = 2_048
OPERATION_ID_CHARS_MAX: Final = 64
NONCES_PER_CALLER_MAX: Final = 65_536
PEERS_MAX: Final = 8_192

Caller = Literal["self", "parent", "child", "sibling", "ancestor", "descendant", "network"]
_INCLUDED: Final[dict[Relation, frozenset[Caller]]] = {
    "self": frozenset(("self",)),
    "parent": frozenset(("parent", "ancestor", "network")),
    "child": frozenset(("child", "descendant", "network")),
    "sibling": frozenset(("sibling", "network")),
    "ancestor": frozenset(("ancestor", "network")),
    "descendant": frozenset(("descendant", "network")),
    "network": frozenset(("network",)),
}


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


class BadSignature(BadCall):
    code = "LLN-234"
    zh = "调用的签名与 TLS 对端的节点密钥不符。"
    en = "The call's signature is not that of the node at the other end of the TLS connection."


class ReplayedCall(BadCall):
    code = "LLN-235"
    zh = "这个调用已经收到过一次，已拒绝重放。"
    en = "This very call has been received before; a replay is refused."


class PayloadAltered(BadCall):
    code = "LLN-236"
    zh = "消息内容与签名不一致，途中被改动。"
    en = "The message is not the one that was signed; it was altered on the way."


class WrongEpoch(BadCall):
    code = "LLN-237"
    zh = "对端已经重新启动，请重新握手后再发送。"
    en = "The callee has restarted since; say hello again and send a new call."


class BadReply(BadCall):
    code = "LLN-238"
    zh = "答复的签名不成立，或不是对这个调用的答复，已丢弃。"
    en = "The reply is not signed by the node that was called, or answers another call; it was discarded."


class MalformedEnvelope(BadCall):
    code = "LLN-239"
    zh = "缺少签名信封，或信封格式不正确。"
    en = "The signed envelope is missing or malformed."


class OperationIdMissing(BadCall):
    code = "LLN-2310"
    zh = "会改变数据的调用必须带操作编号。"
    en = "A call that changes something must carry an operation id."


class TooManyCalls(RefusedCall):
    code = "LLN-225"
    zh = "对端调用过于频繁，已被限流，稍后会自动恢复。"
    en = "The peer calls too often and is held back; this passes by itself."


class RelationRefused(RefusedCall):
    code = "LLN-226"
    zh = "这个方法不对这种关系的节点开放。"
    en = "This method is not open to a node in this relation."


class CallHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller signs; sizes and meanings as in protos/lln/v1/call.proto."""

    suite: str
    caller: str
    audience: str
    audience_epoch: bytes
    method: str
    issued_at_ms: int
    ttl_ms: int
    nonce: bytes
    operation_id: str
    payload_sha256: bytes


class ReplyHeader(msgspec.Struct, frozen=True, kw_only=True):
    suite: str
    responder: str
    call_sha256: bytes
    status: int
    body_sha256: bytes
    at_ms: int


class MethodRules(msgspec.Struct, frozen=True, kw_only=True):
    """Who may make a call, and how large and long it may be; from the method's options in the .proto."""

    method: str
    callers: frozenset[Caller]
    changes: bool
    reads_catalogue: bool
    introduces: bool
    streams_signed_content: bool
    request_bytes_max: int
    deadline_ms_max: int


class SignedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call as it arrived, nothing of it believed yet: `header` was read from exactly `header_bytes`."""

    header: CallHeader
    header_bytes: bytes
    signature: bytes
    payload: bytes


class AdmittedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that passed every check; only the gate makes them. `provisional`: our directory was not fresh."""

    caller: VerifiedNode
    relation: Relation
    operation_id: str
    nonce: bytes
    provisional: bool


class RateLimit(msgspec.Struct, frozen=True, kw_only=True):
    calls_per_second: float
    burst: int


def sign_call(header_bytes: bytes, signer: Signer) -> bytes:
    return signer.sign(pae("lln.call.v1", header_bytes))


def sign_reply(header_bytes: bytes, signer: Signer) -> bytes:
    return signer.sign(pae("lln.reply.v1", header_bytes))


def call_digest(header_bytes: bytes, signature: bytes) -> bytes:
    """What a reply names the call by."""
    return sha256(header_bytes + signature).digest()


def check_reply(
    header: ReplyHeader,
    header_bytes: bytes,
    signature: bytes,
    *,
    call_sha256: bytes,
    body: bytes,
    responder: NodeName,
    key: NodeKey,
) -> None:
    """Raise BadReply unless `responder` signed exactly this answer to exactly this call."""
    if header.suite != SUITE_ED25519 or header.responder != responder:
        raise BadReply(responder, f"signed as {header.responder[:80]}")
    if not compare_digest(header.call_sha256, call_sha256):
        raise BadReply(responder, "answers another call")
    if not key.verify(pae("lln.reply.v1", header_bytes), signature):
        raise BadReply(responder, "the signature does not hold")
    if not compare_digest(header.body_sha256, sha256(body).digest()):
        raise BadReply(responder, "the answer was altered on the way")


class Gate:
    """Every call passes here, in this order; what is remembered between calls is bounded."""

    def __init__(self, *, own_name: NodeName, root: NodeName, epoch: bytes, limit: RateLimit) -> None:
        self.epoch = epoch
        self._own_name = own_name
        self._root = root
        self._nonces: dict[NodeName, OrderedDict[bytes, int]] = {}
        self._buckets = _Buckets(limit)

    def admit(
        self,
        call: SignedCall,
        rules: MethodRules,
        *,
        peer: VerifiedNode,
        now_ms: int,
        judge: Callable[[VerifiedNode, bool], bool],
    ) -> AdmittedCall:
        """Let a call of the verified TLS peer in, or raise the refusal.

        `judge(peer, reads_catalogue)` asks the directory, and returns whether its answer is provisional.
        """
        header = call.header
        # 1. Sizes, before anything is hashed.
        if len(call.payload) > rules.request_bytes_max:
            raise OversizeCall(rules.method, f"{len(call.payload)} bytes, at most {rules.request_bytes_max}")
        _check_form(header)
        # 2. Written for this node, this process and this method.
        if header.audience != self._own_name or header.method != rules.method:
            raise WrongAudience(header.audience[:80], f"{header.method[:80]} arrived at {self._own_name}{rules.method}")
        if header.audience_epoch != self.epoch and not (rules.introduces and not header.audience_epoch):
            raise WrongEpoch(self._own_name, "the call names another start of this process")
        # 3. Written now.
        apart_ms = header.issued_at_ms - now_ms
        if abs(apart_ms) > WINDOW_MS:
            raise ClockApart(peer.name, f"its clock is {apart_ms / 1_000:+.0f} s from {self._own_name}'s")
        # 4. No more than its share, counted for the TLS peer, whatever name the header bears.
        self._buckets.take(peer.name, now_ms)
        # 5. By the node at the other end of the TLS connection.
        if header.caller != peer.name:
            raise BadSignature(header.caller[:80], f"came over the connection of {peer.name}")
        if not peer.key.verify(pae("lln.call.v1", call.header_bytes), call.signature):
            raise BadSignature(peer.name, "the signature does not hold")
        # 6. For the first time. Only now: an unsigned call must not fill this memory.
        self._remember_nonce(peer.name, header, now_ms)
        # 7. With the message that was signed.
        if not compare_digest(header.payload_sha256, sha256(call.payload).digest()):
            raise PayloadAltered(peer.name, rules.method)
        # 8. By a node that is admitted today.
        relation = relation_of(peer.name, self._own_name, self._root)
        provisional = relation != "self" and judge(peer, rules.reads_catalogue)
        # 9. In a relation that this method is open to.
        if rules.callers.isdisjoint(_INCLUDED[relation]):
            raise RelationRefused(peer.name, f"{rules.method} is not for a {relation}")
        if rules.changes and not header.operation_id:
            raise OperationIdMissing(peer.name, rules.method)
        return AdmittedCall(
            caller=peer,
            relation=relation,
            operation_id=header.operation_id,
            nonce=header.nonce,
            provisional=provisional,
        )

    def _remember_nonce(self, caller: NodeName, header: CallHeader, now_ms: int) -> None:
        seen = self._nonces.get(caller)
        if seen is None:
            if len(self._nonces) >= PEERS_MAX:
                self._forget_expired(now_ms)
            seen = self._nonces.setdefault(caller, OrderedDict())
        while seen and next(iter(seen.values())) < now_ms:
            seen.popitem(last=False)
        if header.nonce in seen:
            raise ReplayedCall(caller, "its nonce has been used")
        if len(seen) >= NONCES_PER_CALLER_MAX:
            raise TooManyCalls(caller, f"more than {NONCES_PER_CALLER_MAX} calls within {2 * WINDOW_MS // 1_000} s")
        seen[header.nonce] = now_ms + 2 * WINDOW_MS  # a call issued at most one window ahead is refused after two

    def _forget_expired(self, now_ms: int) -> None:
        for caller in [name for name, seen in self._nonces.items() if next(reversed(seen.values()), 0) < now_ms]:
            del self._nonces[caller]


class _Buckets:
    """A token bucket for each peer; the table is bounded, and the fullest buckets are forgotten first."""

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self._of: OrderedDict[NodeName, tuple[float, int]] = OrderedDict()

    def take(self, peer: NodeName, now_ms: int) -> None:
        tokens, at_ms = self._of.pop(peer, (float(self._limit.burst), now_ms))
        gained = max(0, now_ms - at_ms) * self._limit.calls_per_second / 1_000
        tokens = min(float(self._limit.burst), tokens + gained)
        self._of[peer] = (max(0.0, tokens - 1), now_ms)
        if len(self._of) > PEERS_MAX:
            self._of.popitem(last=False)
        if tokens < 1:
            raise TooManyCalls(peer, f"more than {self._limit.calls_per_second:g} calls a second")


def _check_form(header: CallHeader) -> None:
    sound = (
        header.suite == SUITE_ED25519
        and len(header.nonce) == NONCE_BYTES
        and len(header.payload_sha256) == sha256().digest_size
        and len(header.audience_epoch) in (0, EPOCH_BYTES)
        and 0 < header.ttl_ms <= TTL_MS_MAX
        and len(header.operation_id) <= OPERATION_ID_CHARS_MAX
    )
    if not sound:
        raise MalformedEnvelope(header.caller[:80], "a field of the call header is out of its bounds")
