"""What the keys of one simulation have signed, so that a signature which was made here is not computed a second time.

What lives here: a key that remembers, and verification that asks it first. What must not: a way to call a signature
good that real verification would refuse. Ed25519 verifies whatever the key itself signed (RFC 8032 §5.1.7); whatever
is not found exactly as it was signed, byte for byte and by that key, is verified as anywhere else.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from federation.keys import KeyInMemory, NodeKey

REMEMBERED_MAX: Final = 50_000
"""Twice as many at most: the older half is forgotten when the younger is full."""


class _Signed:
    def __init__(self) -> None:
        self._young: dict[bytes, tuple[bytes, bytes]] = {}
        self._old: dict[bytes, tuple[bytes, bytes]] = {}

    def remember(self, signature: bytes, key: bytes, message: bytes) -> None:
        if len(self._young) >= REMEMBERED_MAX:
            self._old, self._young = self._young, {}
        self._young[signature] = key, message

    def knows(self, signature: bytes, key: bytes, message: bytes) -> bool:
        found = self._young.get(signature)
        if found is None and (found := self._old.get(signature)) is not None:
            self._young[signature] = found
        return found == (key, message)

    def forget_all(self) -> None:
        self._young, self._old = {}, {}


_SIGNED: Final = _Signed()


class RememberingKey(KeyInMemory):
    """A node key of a simulated machine."""

    def sign(self, message: bytes) -> bytes:
        signature = super().sign(message)
        _SIGNED.remember(signature, self.public.raw, message)
        return signature


@contextmanager
def verified_once() -> Iterator[None]:
    """While it lasts, `NodeKey.verify` knows what any RememberingKey has signed."""
    really = NodeKey.verify

    def verify(key: NodeKey, message: bytes, signature: bytes) -> bool:
        return _SIGNED.knows(signature, key.raw, message) or really(key, message, signature)

    NodeKey.verify = verify  # type: ignore[method-assign,assignment]  # given back below
    try:
        yield
    finally:
        NodeKey.verify = really  # type: ignore[method-assign]
        _SIGNED.forget_all()
