"""What payloads are sealed under when they pass relays: the statement that binds a sealed text to its call.

What lives here: the suite, the framing, what stands inside, and opening. What must not: sealing, which draws on the
machine's randomness (`node/host/identity.py`).
"""

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from federation.errors import BadCall
from federation.framing import pae
from federation.naming import NodeName

SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
KEY_BYTES: Final = 32


class SealBroken(BadCall):
    code = "LLN-2301"
    zh = "经转发的内容没有密封，或不是密封给本节点的。请让对端重新握手后再试。"
    en = "What came through relays is not sealed, or not to this node. Let the peer say hello again and retry."


def call_info(caller: NodeName, audience: NodeName, method: str) -> bytes:
    return pae("lln.seal.call.v1", caller.encode(), audience.encode(), method.encode())


def reply_info(caller: NodeName, audience: NodeName, method: str) -> bytes:
    return pae("lln.seal.reply.v1", caller.encode(), audience.encode(), method.encode())


def with_reply_key(reply_key: bytes, payload: bytes) -> bytes:
    """What is sealed in a call: the key to which its reply is to be sealed, and the payload."""
    return reply_key + payload


def split_reply_key(opened: bytes) -> tuple[bytes, bytes]:
    """Raises SealBroken."""
    if len(opened) < KEY_BYTES:
        raise SealBroken("sealed call", f"{len(opened)} bytes")
    return opened[:KEY_BYTES], opened[KEY_BYTES:]


def open_sealed(sealed: bytes, key: X25519PrivateKey, info: bytes) -> bytes:
    """What was sealed to `key` under `info` (RFC 9180 §6.1); raises SealBroken."""
    try:
        return SUITE.decrypt(sealed, key, info)
    except (InvalidTag, ValueError) as error:
        raise SealBroken("sealed text", str(error) or "it does not open") from error
