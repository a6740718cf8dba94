"""What a node signs: one unambiguous byte string per purpose.

What lives here: the framing that every signature of the program goes through, in the manner of DSSE's
pre-authentication encoding (secure-systems-lab/dsse, protocol.md). Only two texts are signed without it, because C2SP
frames them itself: a checkpoint's note text and `cosignature/v1` (`checkpoints.py`). Neither can be mistaken for a
framed message, since neither begins with its prefix and a space. What must not live here: keys or
algorithms (`keys.py`).
"""

from typing import Final

_PREFIX: Final = b"LLNv1"


def pae(purpose: str, *parts: bytes) -> bytes:
    """The bytes to sign for `purpose` over `parts`: all lengths written out, so no two inputs give the same bytes.

    `LLNv1 SP LEN(purpose) SP purpose SP COUNT(parts)`, then for each part `SP LEN(part) SP part`; lengths are ASCII
    decimal numbers of bytes. A purpose is named by the program, never by a peer.
    """
    assert purpose.isascii() and purpose, purpose  # noqa: S101, PT018  # our own mistake, never an input
    framed = [b"%b %d %b %d" % (_PREFIX, len(purpose), purpose.encode(), len(parts))]
    framed += [b"%d %b" % (len(part), part) for part in parts]
    return b" ".join(framed)
