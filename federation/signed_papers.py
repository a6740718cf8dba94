"""A document with the signature of one node beside it, as receipts travel and are kept.

What lives here: signing canonical bytes for a named purpose, and opening what somebody has signed. What must not: what
the documents say, or whose key is to be believed.
"""

from collections.abc import Iterable
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from federation import canonical
from federation.errors import UntrustedPeer
from federation.framing import pae
from federation.keys import NodeKey, Signer

PAPER_BYTES_MAX: Final = 196_608
_DOCUMENT_CHARS_MAX: Final = 131_072


class PaperNotSigned(UntrustedPeer):
    code = "LLN-2198"
    zh = "这份文件没有应有机构的有效签名，未予采用。请向该机构重新索取。"
    en = "The paper does not carry a good signature of whoever should have signed it. Ask for it again."


class Paper(msgspec.Struct, frozen=True, kw_only=True):
    """`document`: canonical JSON as text, the bytes that are signed; `signature`: Ed25519, hex."""

    document: Annotated[str, Meta(max_length=_DOCUMENT_CHARS_MAX)]
    signature: Annotated[str, Meta(pattern=r"^[0-9a-f]{128}$")]


def sign_paper(document: msgspec.Struct, *, purpose: str, signer: Signer) -> bytes:
    """The paper's own canonical bytes; equal input, equal bytes. Raises UnencodableValue."""
    signed = canonical.encode(document)
    signature = signer.sign(pae(purpose, signed))
    return canonical.encode(Paper(document=signed.decode(), signature=signature.hex()))


def read_paper(data: bytes) -> bytes:
    """The document in a paper, believed by nobody yet; raises MalformedDocument."""
    return canonical.decode(data, Paper, bytes_max=PAPER_BYTES_MAX).document.encode()


def open_paper(data: bytes, *, purpose: str, keys: Iterable[NodeKey]) -> bytes:
    """The document in a paper that one of `keys` has signed for `purpose`; raises MalformedDocument, PaperNotSigned."""
    paper = canonical.decode(data, Paper, bytes_max=PAPER_BYTES_MAX)
    signed = paper.document.encode()
    message, signature = pae(purpose, signed), bytes.fromhex(paper.signature)
    if not any(key.verify(message, signature) for key in keys):
        raise PaperNotSigned(purpose, "no key of the node that should have signed it fits")
    return signed
