"""HPKE with an ephemeral key that is drawn from the seed, so that sealed texts, too, are the same every time.

What lives here: sealing in base mode (RFC 9180 §5.1.1) for the product's one suite. What must not: opening, which the
product's own library does; that it can is the proof of what is made here. Never for use outside a simulation.
"""

import hmac
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

_KEM: Final = b"KEM" + b"\x00\x20"  # DHKEM(X25519, HKDF-SHA256)
_HPKE: Final = b"HPKE" + b"\x00\x20" + b"\x00\x01" + b"\x00\x03"  # and HKDF-SHA256, ChaCha20Poly1305
_BASE_MODE: Final = b"\x00"
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


def seal(plain: bytes, to_key: bytes, info: bytes, ephemeral: bytes) -> bytes:
    """Encapsulated key, then the sealed text; raises ValueError for a key that is none."""
    secret_key = X25519PrivateKey.from_private_bytes(ephemeral)
    enclosed = secret_key.public_key().public_bytes_raw()
    shared = secret_key.exchange(X25519PublicKey.from_public_bytes(to_key))
    prk = _extract(_KEM, b"", b"eae_prk", shared)
    secret = _extract(_HPKE, _expand(_KEM, prk, b"shared_secret", enclosed + to_key, _KEY_BYTES), b"secret", b"")
    context = _BASE_MODE + _extract(_HPKE, b"", b"psk_id_hash", b"") + _extract(_HPKE, b"", b"info_hash", info)
    key = _expand(_HPKE, secret, b"key", context, _KEY_BYTES)
    nonce = _expand(_HPKE, secret, b"base_nonce", context, _NONCE_BYTES)
    return enclosed + ChaCha20Poly1305(key).encrypt(nonce, plain, None)


def _extract(suite: bytes, salt: bytes, label: bytes, secret: bytes) -> bytes:
    """LabeledExtract (RFC 9180 §4)."""
    return hmac.digest(salt, b"HPKE-v1" + suite + label + secret, sha256)


def _expand(suite: bytes, key: bytes, label: bytes, info: bytes, size: int) -> bytes:
    """LabeledExpand (RFC 9180 §4); one block is enough for all that is asked here."""
    labelled = size.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(key, labelled + b"\x01", sha256)[:size]
