"""Which operations may have been answered before: a memory of fixed size that can say no, so that nobody has to look.

What lives here: a Bloom filter (Bloom 1970) over operations. What must not: answers (`answers.py`), or the store.
It never says no to what was added. The more it holds, the more often it says yes to what was not; then the store is
asked, as it would be without it.
"""

from hashlib import blake2b
from typing import Final

from federation.naming import NodeName

_BITS: Final = 1 << 21  # 256 KiB; one in a thousand is asked for in vain at 140,000 answers, one in ten at 400,000
_PLACES: Final = 4
_PLACE_BITS: Final = 32


class SeenOperations:
    def __init__(self) -> None:
        self._bits = bytearray(_BITS >> 3)

    def add(self, caller: NodeName, operation_id: str) -> None:
        for place in _places(caller, operation_id):
            self._bits[place >> 3] |= 1 << (place & 7)

    def may_hold(self, caller: NodeName, operation_id: str) -> bool:
        return all(self._bits[place >> 3] >> (place & 7) & 1 for place in _places(caller, operation_id))


def _places(caller: NodeName, operation_id: str) -> list[int]:
    """A name holds no newline, so no two operations are run together alike."""
    digest = blake2b(f"{caller}\n{operation_id}".encode(errors="surrogatepass"), digest_size=16).digest()
    number = int.from_bytes(digest, "little")
    return [number >> at & (_BITS - 1) for at in range(0, _PLACES * _PLACE_BITS, _PLACE_BITS)]
