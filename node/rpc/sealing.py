"""Sealing what passes relays: HPKE (RFC 9180) to the key in the receiver's signed hello, and back.

What lives here: making and opening sealed texts. What must not: when that is due (`channels.py`, `server.py`).
"""

from collections.abc import Callable

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from federation.calls import MethodRules
from federation.errors import PeerUnreachable
from federation.naming import NodeName
from federation.sealing import (
    KEY_BYTES,
    SealBroken,
    call_info,
    open_sealed,
    reply_info,
    split_reply_key,
    with_reply_key,
)
from node.ports import Identity, Randomness


class SealedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A payload ready to pass relays; `open_reply` reads what comes back and raises SealBroken."""

    payload: bytes
    open_reply: Callable[[bytes], bytes]


class OpenedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A payload as its caller meant it; `seal_reply` is for the way back."""

    payload: bytes
    seal_reply: Callable[[bytes], bytes]


def seal_call(
    payload: bytes, to_key: bytes, *, identity: Identity, audience: NodeName, method: str, randomness: Randomness
) -> SealedCall:
    """Raises PeerUnreachable where the receiver told no key that could be used."""
    caller = identity.name
    reply_key = X25519PrivateKey.from_private_bytes(randomness.token(KEY_BYTES))
    inner = with_reply_key(reply_key.public_key().public_bytes_raw(), payload)
    try:
        sealed = identity.seal(inner, to_key, call_info(caller, audience, method))
    except SealBroken as unusable:
        raise PeerUnreachable(audience, "its hello told no sealing key") from unusable
    back = reply_info(caller, audience, method)
    return SealedCall(payload=sealed, open_reply=lambda body: open_sealed(body, reply_key, back))


def open_call(sealed: bytes, identity: Identity, *, caller: NodeName, rules: MethodRules) -> OpenedCall:
    """Raises SealBroken."""
    opened = identity.unseal(sealed, call_info(caller, identity.name, rules.method))
    reply_key, payload = split_reply_key(opened)
    back = reply_info(caller, identity.name, rules.method)
    return OpenedCall(payload=payload, seal_reply=lambda body: identity.seal(body, reply_key, back))
