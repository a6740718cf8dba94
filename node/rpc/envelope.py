"""The signed envelope on the wire: header bytes, and the metadata they travel in.

What lives here: protobuf bytes to headers and back. What must not: any check beyond form (`federation/calls.py`).
Whatever else stands in the metadata is neither signed nor read.
"""

from collections.abc import Iterable
from typing import Final

import msgspec
from google.protobuf.message import DecodeError

from federation.calls import HEADER_BYTES_MAX, CallHeader, MalformedEnvelope, ReplyHeader, SignedCall, SignedReply
from federation.errors import LlnError
from federation.keys import SIGNATURE_BYTES
from protos.lln.v1 import call_pb2

CALL: Final = "lln-call-bin"
REPLY: Final = "lln-reply-bin"
SIGNATURE: Final = "lln-signature-bin"
ERROR: Final = "lln-error-bin"

SUBJECT_CHARS_MAX: Final = 300
DETAIL_CHARS_MAX: Final = 1_000
_CODE_CHARS_MAX: Final = 16
_ERROR_BYTES_MAX: Final = 4 * (SUBJECT_CHARS_MAX + DETAIL_CHARS_MAX) + 64

Metadata = Iterable[tuple[str, str | bytes]]


class Sealed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A header's bytes and their signature, as they stand in metadata: nothing of them read, nothing believed."""

    header_bytes: bytes = b""
    signature: bytes = b""


class ToldError(msgspec.Struct, frozen=True, kw_only=True):
    """What a refusal says: the error's code, so that its own sentence can be shown, and what it is about."""

    code: str
    subject: str = ""
    detail: str = ""
    retry_after_ms: int = 0


def find(metadata: Metadata | None, header_key: str) -> Sealed:
    """The envelope in `metadata`, its parts empty where they are missing, oversize, or given twice."""
    header_bytes = signature = b""
    for key, value in () if metadata is None else metadata:
        if key == header_key:
            header_bytes = b"" if header_bytes or isinstance(value, str) else value
        elif key == SIGNATURE:
            signature = b"" if signature or isinstance(value, str) else value
    return Sealed(header_bytes=header_bytes if len(header_bytes) <= HEADER_BYTES_MAX else b"", signature=signature)


def error_in(metadata: Metadata | None) -> bytes:
    """The error detail's bytes in `metadata`, unverified; empty where there is none."""
    found = [value for key, value in metadata or () if key == ERROR]
    return found[0] if len(found) == 1 and isinstance(found[0], bytes) else b""


def write_call(header: CallHeader) -> bytes:
    return call_pb2.CallHeader(
        suite=header.suite,
        caller=header.caller,
        audience=header.audience,
        audience_epoch=header.audience_epoch,
        method=header.method,
        issued_at_ms=header.issued_at_ms,
        ttl_ms=header.ttl_ms,
        nonce=header.nonce,
        operation_id=header.operation_id,
        payload_sha256=header.payload_sha256,
    ).SerializeToString()


def read_call(sealed: Sealed, payload: bytes) -> SignedCall:
    """The call that `sealed` speaks for, unverified; raises MalformedEnvelope."""
    header_bytes, signature = sealed.header_bytes, sealed.signature
    if not header_bytes or len(signature) != SIGNATURE_BYTES:
        raise MalformedEnvelope("call", f"{len(header_bytes)} header bytes, {len(signature)} signature bytes")
    try:
        read = call_pb2.CallHeader.FromString(header_bytes)
    except DecodeError as error:
        raise MalformedEnvelope("call", "the header cannot be read") from error
    header = CallHeader(
        suite=read.suite,
        caller=read.caller,
        audience=read.audience,
        audience_epoch=read.audience_epoch,
        method=read.method,
        issued_at_ms=read.issued_at_ms,
        ttl_ms=read.ttl_ms,
        nonce=read.nonce,
        operation_id=read.operation_id,
        payload_sha256=read.payload_sha256,
    )
    return SignedCall(header=header, header_bytes=header_bytes, signature=signature, payload=payload)


def write_reply(header: ReplyHeader) -> bytes:
    return call_pb2.ReplyHeader(
        suite=header.suite,
        responder=header.responder,
        call_sha256=header.call_sha256,
        status=header.status,
        body_sha256=header.body_sha256,
        at_ms=header.at_ms,
    ).SerializeToString()


def read_reply(sealed: Sealed) -> SignedReply | None:
    """The reply header that came, unverified; None where there is none, which proves nothing."""
    if not sealed.header_bytes:
        return None
    try:
        read = call_pb2.ReplyHeader.FromString(sealed.header_bytes)
    except DecodeError:
        return None
    header = ReplyHeader(
        suite=read.suite,
        responder=read.responder,
        call_sha256=read.call_sha256,
        status=read.status,
        body_sha256=read.body_sha256,
        at_ms=read.at_ms,
    )
    return SignedReply(header=header, header_bytes=sealed.header_bytes, signature=sealed.signature)


def write_error(error: LlnError, *, retry_after_ms: int = 0) -> bytes:
    return call_pb2.ErrorDetail(
        code=error.code,
        subject=_sound(error.subject[:SUBJECT_CHARS_MAX]),
        detail=_sound(error.detail[:DETAIL_CHARS_MAX]),
        retry_after_ms=retry_after_ms,
    ).SerializeToString()


def read_error(body: bytes) -> ToldError | None:
    """What a refusal says; None where it cannot be read."""
    if not body or len(body) > _ERROR_BYTES_MAX:
        return None
    try:
        read = call_pb2.ErrorDetail.FromString(body)
    except DecodeError:
        return None
    return ToldError(
        code=read.code[:_CODE_CHARS_MAX],
        subject=read.subject[:SUBJECT_CHARS_MAX],
        detail=read.detail[:DETAIL_CHARS_MAX],
        retry_after_ms=read.retry_after_ms,
    )


def _sound(text: str) -> str:
    """Without half characters, which protobuf refuses to write: what a peer typed may be quoted here."""
    return text.encode(errors="replace").decode()
