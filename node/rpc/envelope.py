"""The signed envelope on the wire: header bytes, and the metadata they travel in.

What lives here: protobuf bytes to headers and back. What must not: any check beyond form (`federation/calls.py`).
"""

from collections.abc import Iterable
from typing import Final

from google.protobuf.message import DecodeError

from federation.calls import HEADER_BYTES_MAX, CallHeader, MalformedEnvelope, ReplyHeader, SignedCall
from federation.errors import LlnError
from federation.keys import SIGNATURE_BYTES
from protos.lln.v1 import call_pb2

CALL: Final = "lln-call-bin"
REPLY: Final = "lln-reply-bin"
SIGNATURE: Final = "lln-signature-bin"
ERROR: Final = "lln-error-bin"

Metadata = Iterable[tuple[str, str | bytes]]


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


def read_call(metadata: Metadata | None, payload: bytes) -> SignedCall:
    """The call in a request's metadata; whatever else is in there is ignored. Raises MalformedEnvelope."""
    header_bytes = value_of(metadata, CALL)
    signature = value_of(metadata, SIGNATURE)
    if not header_bytes or len(header_bytes) > HEADER_BYTES_MAX or len(signature) != SIGNATURE_BYTES:
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


def read_reply(metadata: Metadata | None) -> tuple[ReplyHeader, bytes, bytes] | None:
    """The reply header, its bytes and its signature; None where the answer bears none, which proves nothing."""
    header_bytes = value_of(metadata, REPLY)
    if not header_bytes or len(header_bytes) > HEADER_BYTES_MAX:
        return None
    try:
        read = call_pb2.ReplyHeader.FromString(header_bytes)
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
    return header, header_bytes, value_of(metadata, SIGNATURE)


def write_error(error: LlnError) -> bytes:
    return call_pb2.ErrorDetail(
        code=error.code, subject=error.subject[:300], detail=error.detail[:1_000]
    ).SerializeToString()


def read_error(body: bytes) -> tuple[str, str, str]:
    """(code, subject, detail) of a verified error; raises MalformedEnvelope."""
    try:
        read = call_pb2.ErrorDetail.FromString(body)
    except DecodeError as error:
        raise MalformedEnvelope("reply", "the error detail cannot be read") from error
    return read.code[:16], read.subject[:300], read.detail[:1_000]


def value_of(metadata: Metadata | None, key: str) -> bytes:
    """The first value under `key`, empty where there is none."""
    for name, value in metadata or ():
        if name == key:
            return value if isinstance(value, bytes) else value.encode()
    return b""
