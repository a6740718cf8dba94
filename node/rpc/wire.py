"""Protobuf messages to domain values and back, with every bound checked on the way in: nodes, names, documents, search.

What must not live here: any decision, or the messages of logs (`wire_logs.py`). A message that breaks a bound is
refused as a whole, and always as MalformedMessage.
"""

from collections.abc import Sequence
from typing import Any, Final, TypeVar

import msgspec
from google.protobuf.message import DecodeError, Message

from federation import canonical
from federation.calls import EPOCH_BYTES
from federation.certificate_profile import CERTIFICATE_BYTES_MAX, CHAIN_CERTIFICATES_MAX
from federation.directory import NodeDescription
from federation.errors import BadCall, InvalidInput
from federation.naming import NAME_CHARS_MAX, NodeName, parse_name
from federation.search import ANSWER_BYTES_MAX, REQUEST_BYTES_MAX, SearchAnswer, SearchRequest
from node.ports import PeerHello, Resolved
from protos.lln.v1 import catalogue_pb2, directory_pb2, node_pb2

NUMBER_MAX: Final = 2**53 - 1
"""The largest size, index or time that is ever meant (RFC 7493 §2.2)."""
DESCRIPTION_BYTES_MAX: Final = 8_192
SIGNING_REQUEST_BYTES_MAX: Final = 4_096
STATISTICS_BYTES_MAX: Final = 3 * 1024 * 1024
HOPS_MAX: Final = 8
_ENDPOINT_CHARS_MAX: Final = 260
_VERSION_CHARS_MAX: Final = 32
_KEY_CHARS_MAX: Final = 80
_TOLD_CHARS_MAX: Final = 200
_STATUSES: Final = ("active", "suspended", "revoked", "moved")

AMessage = TypeVar("AMessage", bound=Message)
ADocument = TypeVar("ADocument")


class MalformedMessage(BadCall):
    code = "LLN-2311"
    zh = "消息无法读取或超出允许的范围。请确认双方程序版本。"
    en = "The message cannot be read or exceeds a bound. Check that both programs' versions agree."


# --- what every message needs ----------------------------------------------------------------------------------------


def read(kind: type[AMessage], payload: bytes) -> AMessage:
    """Parse a message; the parser itself refuses one that is nested more than 100 deep."""
    try:
        return kind.FromString(payload)
    except (DecodeError, RecursionError) as error:
        raise MalformedMessage(kind.DESCRIPTOR.full_name, "not such a message") from error


def within(what: str, found: int, most: int) -> int:
    """`found`, if it is a number from 0 to `most`."""
    if not 0 <= found <= most:
        raise MalformedMessage(what, f"{found}, at most {most}")
    return found


def read_bytes(what: str, found: bytes, most: int) -> bytes:
    within(f"{what}, bytes", len(found), most)
    return found


def read_text(what: str, found: str, most: int) -> str:
    within(f"{what}, characters", len(found), most)
    return found


def read_name(found: str) -> NodeName:
    """A node name in its one spelling."""
    try:
        name = parse_name(read_text("name", found, NAME_CHARS_MAX))
    except InvalidInput as error:
        raise MalformedMessage(error.subject, error.detail) from error
    if name != found:
        raise MalformedMessage(name, "a name is written in lower case and without space")
    return name


def read_document(kind: type[ADocument], found: bytes, most: int) -> ADocument:
    """A JSON document inside a message."""
    try:
        return canonical.decode(found, kind, bytes_max=most)
    except InvalidInput as error:
        raise MalformedMessage(kind.__name__, error.detail) from error


def write_document(document: Any) -> bytes:
    return canonical.encode(document)


def read_chain(found: Sequence[bytes]) -> tuple[bytes, ...]:
    """Certificates in DER, bounded and otherwise unread."""
    within("certificates", len(found), CHAIN_CERTIFICATES_MAX)
    return tuple(read_bytes("certificate", der, CERTIFICATE_BYTES_MAX) for der in found)


# --- nodes -----------------------------------------------------------------------------------------------------------


def write_lineage(lineage: Sequence[tuple[NodeName, str]]) -> list[node_pb2.Address]:
    return [node_pb2.Address(name=name, endpoint=endpoint) for name, endpoint in lineage]


def read_hello(message: node_pb2.HelloReply, *, called: NodeName, clock_offset_ms: int) -> PeerHello:
    if len(message.epoch) != EPOCH_BYTES:
        raise MalformedMessage("hello", f"an epoch of {len(message.epoch)} bytes")
    within("lineage", len(message.lineage), CHAIN_CERTIFICATES_MAX)
    lineage = tuple(
        (read_name(address.name), read_text("endpoint", address.endpoint, _ENDPOINT_CHARS_MAX))
        for address in message.lineage
    )
    return PeerHello(
        name=called,
        chain=read_chain(message.chain),
        software_version=read_text("software version", message.software_version, _VERSION_CHARS_MAX),
        clock_offset_ms=clock_offset_ms,
        lineage=lineage,
    )


def write_resolved(resolved: Resolved) -> directory_pb2.ResolveReply:
    return directory_pb2.ResolveReply(
        name=resolved.name,
        status=resolved.status,
        chain=resolved.chain,
        description=write_document(resolved.description),
        moved_to=resolved.moved_to or "",
        confirmed_at_ms=resolved.confirmed_at_ms,
        answered_by=resolved.answered_by,
        status_then=resolved.status_then,
        key_then=resolved.key_then,
    )


def read_resolved(message: directory_pb2.ResolveReply) -> Resolved:
    if message.status not in _STATUSES:
        raise MalformedMessage("status", message.status[:_VERSION_CHARS_MAX])
    return Resolved(
        name=read_name(message.name),
        status=message.status,
        chain=read_chain(message.chain),
        description=read_description(message.description),
        moved_to=read_name(message.moved_to) if message.moved_to else None,
        confirmed_at_ms=within("time", message.confirmed_at_ms, NUMBER_MAX),
        answered_by=read_name(message.answered_by),
        status_then=read_text("status then", message.status_then, _VERSION_CHARS_MAX),
        key_then=read_text("key then", message.key_then, _KEY_CHARS_MAX),
    )


def read_description(found: bytes) -> NodeDescription:
    return read_document(NodeDescription, found, DESCRIPTION_BYTES_MAX)


# --- search ----------------------------------------------------------------------------------------------------------


# Not kept and not signed by themselves, so their bytes need not be canonical, and floating scores cost nothing.
_request: Final = msgspec.json.Decoder(SearchRequest)
_answer: Final = msgspec.json.Decoder(SearchAnswer)


def write_search(request: SearchRequest) -> catalogue_pb2.SearchRequest:
    return catalogue_pb2.SearchRequest(request=msgspec.json.encode(request))


def read_search(message: catalogue_pb2.SearchRequest) -> SearchRequest:
    return _read_json(_request, message.request, REQUEST_BYTES_MAX)


def write_answer(answer: SearchAnswer) -> catalogue_pb2.SearchReply:
    return catalogue_pb2.SearchReply(answer=msgspec.json.encode(answer))


def read_answer(message: catalogue_pb2.SearchReply) -> SearchAnswer:
    return _read_json(_answer, message.answer, ANSWER_BYTES_MAX)


def _read_json(decoder: "msgspec.json.Decoder[ADocument]", found: bytes, most: int) -> ADocument:
    try:
        return decoder.decode(read_bytes("document", found, most))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage("document", str(error)[:_TOLD_CHARS_MAX]) from error


def read_statistics(message: catalogue_pb2.StatisticsReply) -> tuple[bytes, int]:
    """The statistics' bytes, and when they were taken."""
    return read_bytes("statistics", message.statistics, STATISTICS_BYTES_MAX), within("time", message.at_ms, NUMBER_MAX)
