"""Ed25519 node keys as `did:key`, and what it means to sign.

Ed25519 goes through libsodium (PyNaCl), which refuses low-order and non-canonical keys. What must not live here: X.509
keys (`certificates.py`) and key files (`node/host/key_files.py`).
"""

from functools import lru_cache
from typing import Final, Protocol, Self

import nacl.bindings
import nacl.exceptions
from nacl.signing import SigningKey

from federation.errors import UntrustedPeer

SUITE_ED25519: Final = "ed25519"
KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
_MULTICODEC_ED25519: Final = b"\xed\x01"  # multicodec table, ed25519-pub
_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE58_VALUES: Final = {digit: value for value, digit in enumerate(_BASE58)}
_BASE58_CHUNK_DIGITS: Final = 10
_BASE58_CHUNK: Final = 58**_BASE58_CHUNK_DIGITS
_DID_CHARS_MAX: Final = 64
_KEYS_REMEMBERED_MAX: Final = 4_096  # reading one costs as much as half a verification


class MalformedKey(UntrustedPeer):
    code = "LLN-211"
    zh = "公钥格式不正确：应为 did:key:z6Mk… 形式的 Ed25519 公钥。"
    en = "Not a usable public key: expected an Ed25519 did:key:z6Mk…."


class Signer(Protocol):
    """Whoever can sign as one node; two implementers: a key in memory, and one that asks a device."""

    @property
    def did(self) -> str: ...

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature (RFC 8032 §5.1.6) over exactly `message`."""
        ...


class NodeKey:
    """A node's public key; equal keys are equal, and it can be a dictionary key."""

    __slots__ = ("did", "raw")

    def __init__(self, raw: bytes) -> None:
        if len(raw) != KEY_BYTES or not _is_sound_point(raw):
            raise MalformedKey(raw[:KEY_BYTES].hex(), "not a canonical point of the prime-order group")
        self.raw = raw
        self.did = "did:key:z" + base58_encode(_MULTICODEC_ED25519 + raw)

    @classmethod
    @lru_cache(maxsize=_KEYS_REMEMBERED_MAX)
    def parse(cls, did: str) -> Self:
        """Read a `did:key` (did:key method §3.1); raises MalformedKey."""
        if not did.startswith("did:key:z") or len(did) > _DID_CHARS_MAX:
            raise MalformedKey(did[:_DID_CHARS_MAX], "expected did:key:z…")
        decoded = base58_decode(did.removeprefix("did:key:z"))
        if decoded[:2] != _MULTICODEC_ED25519:
            raise MalformedKey(did, "expected the multicodec prefix of Ed25519")
        key = cls(decoded[2:])
        if key.did != did:
            raise MalformedKey(did, "not the one canonical spelling of this key")
        return key

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` over `message` is this key's (RFC 8032 §5.1.7, cofactorless, canonical S)."""
        if len(signature) != SIGNATURE_BYTES:
            return False
        try:
            nacl.bindings.crypto_sign_open(signature + message, self.raw)
        except nacl.exceptions.BadSignatureError:
            return False
        return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NodeKey) and self.raw == other.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def __repr__(self) -> str:
        return f"NodeKey({self.did})"


class KeyInMemory:
    """A Signer over a 32-byte Ed25519 seed held in memory."""

    def __init__(self, seed: bytes) -> None:
        signing_key = SigningKey(seed)
        self._secret = bytes(signing_key) + bytes(signing_key.verify_key)
        self.public = NodeKey(bytes(signing_key.verify_key))
        self.seed = seed

    @property
    def did(self) -> str:
        return self.public.did

    def sign(self, message: bytes) -> bytes:
        return nacl.bindings.crypto_sign(message, self._secret)[:SIGNATURE_BYTES]


def _is_sound_point(raw: bytes) -> bool:
    return bool(nacl.bindings.crypto_core_ed25519_is_valid_point(raw))


def base58_encode(raw: bytes) -> str:
    """The digits of multibase's base58btc, without its leading `z`."""
    number = int.from_bytes(raw, "big")
    digits: list[str] = []
    while number:  # ten digits at a time: dividing a long number is what costs
        number, chunk = divmod(number, _BASE58_CHUNK)
        for _ in range(_BASE58_CHUNK_DIGITS):
            chunk, digit = divmod(chunk, 58)
            digits.append(_BASE58[digit])
    leading_zeros = len(raw) - len(raw.lstrip(b"\0"))
    return "1" * leading_zeros + "".join(reversed(digits)).lstrip("1")


def base58_decode(text: str) -> bytes:
    """The bytes that base58btc digits stand for; raises MalformedKey. Bound the text first: long ones take long."""
    number = 0
    try:
        for start in range(0, len(text), _BASE58_CHUNK_DIGITS):
            chunk = 0
            digits = text[start : start + _BASE58_CHUNK_DIGITS]
            for character in digits:
                chunk = chunk * 58 + _BASE58_VALUES[character]
            number = number * 58 ** len(digits) + chunk
    except KeyError as error:
        raise MalformedKey(text[:_DID_CHARS_MAX], f"{error.args[0]!r} is not a base58 digit") from error
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    leading_zeros = len(text) - len(text.lstrip("1"))
    return b"\0" * leading_zeros + raw
