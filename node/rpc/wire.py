"""Protobuf messages to domain values and back, with every bound checked on the way in.

What must not live here: any decision. A message that breaks a bound is refused as a whole.
"""

from collections.abc import Sequence
from typing import Any, Final, TypeVar

import msgspec
from google.protobuf.message import DecodeError, Message

from federation import canonical
from federation.directory import NodeDescription
from federation.errors import BadCall
from federation.logs import TOPICS, Entry, LogId, Page
from federation.naming import NodeName, parse_name
from federation.search import ANSWER_BYTES_MAX, REQUEST_BYTES_MAX, SearchAnswer, SearchRequest
from node.ports import HeldLog, Holding, PeerHello, PushReceipt, Resolved
from protos.lln.v1 import catalogue_pb2, directory_pb2, logs_pb2, node_pb2

M = TypeVar("M", bound=Message)
CHAIN_MAX: Final = 8
CERTIFICATE_BYTES_MAX: Final = 4_096
HELD_MAX: Final = 2_000
HOLDINGS_MAX: Final = 16
NOTE_BYTES_MAX: Final = 8_192
DESCRIPTION_BYTES_MAX: Final = 16_384
STATISTICS_BYTES_MAX: Final = 3 * 1024 * 1024
SIZE_MAX: Final = 2**53


class MalformedMessage(BadCall):
    code = "LLN-2311"
    zh = "消息无法读取或超出允许的范围。请确认双方程序版本。"
    en = "The message cannot be read or exceeds a bound. Check that both programs' versions agree."


def read(kind: type[M], payload: bytes) -> M:
    """Parse a message; raises MalformedMessage, also for one nested too deeply."""
    try:
        return kind.FromString(payload)
    except (DecodeError, RecursionError) as error:
        raise MalformedMessage(kind.DESCRIPTOR.full_name, "not such a message") from error


def within(subject: str, found: int, most: int) -> None:
    if found > most:
        raise MalformedMessage(subject, f"{found}, at most {most}")


def name(text: str) -> NodeName:
    return parse_name(text[:300])


def log_id(origin: str, topic: str) -> LogId:
    known = next((one for one in TOPICS if one == topic), None)
    if known is None:
        raise MalformedMessage("topic", topic[:64])
    return LogId(origin=name(origin), topic=known)


def document(data: bytes, kind: type[Any], bytes_max: int) -> Any:
    """A JSON document inside a message; the caller names the type it gets."""
    within(kind.__name__, len(data), bytes_max)
    return canonical.decode(data, kind, bytes_max=bytes_max)


# --- logs ------------------------------------------------------------------------------------------------------------


def write_page(page: Page) -> logs_pb2.Page:
    return logs_pb2.Page(
        origin=page.log.origin,
        topic=page.log.topic,
        start=page.start,
        entries=[
            logs_pb2.Entry(withheld=entry.withheld_hash)
            if entry.document is None
            else logs_pb2.Entry(document=entry.document)
            for entry in page.entries
        ],
        checkpoint=page.checkpoint_note,
        consistency=page.consistency_proof,
    )


def read_page(message: logs_pb2.Page) -> Page:
    """Bounds of size are the log's own to check (`federation.logs.accept_page`)."""
    within("page start", message.start, SIZE_MAX)
    return Page(
        log=log_id(message.origin, message.topic),
        start=message.start,
        entries=tuple(map(_read_entry, message.entries)),
        checkpoint_note=message.checkpoint,
        consistency_proof=tuple(message.consistency),
    )


def _read_entry(message: logs_pb2.Entry) -> Entry:
    which = message.WhichOneof("entry")
    if which is None:
        raise MalformedMessage("page", "an entry that is neither a document nor withheld")
    return Entry.full(message.document) if which == "document" else Entry.withheld(message.withheld)


def write_holding(holding: Holding) -> logs_pb2.Holding:
    return logs_pb2.Holding(holder=holding.holder, size=holding.size, indexed=holding.indexed, at_ms=holding.at_ms)


def write_receipt(receipt: PushReceipt) -> logs_pb2.PushReply:
    return logs_pb2.PushReply(
        size=receipt.size, cosignature=receipt.cosignature, holdings=map(write_holding, receipt.holdings)
    )


def read_receipt(message: logs_pb2.PushReply, log: LogId) -> PushReceipt:
    within("holdings", len(message.holdings), HOLDINGS_MAX)
    within("cosignature bytes", len(message.cosignature), NOTE_BYTES_MAX)
    return PushReceipt(
        size=message.size,
        cosignature=message.cosignature,
        holdings=tuple(
            Holding(log=log, holder=name(told.holder), size=told.size, indexed=told.indexed, at_ms=told.at_ms)
            for told in message.holdings
        ),
    )


def write_held(held: Sequence[HeldLog], *, more: bool) -> logs_pb2.HeldReply:
    return logs_pb2.HeldReply(
        logs=[
            logs_pb2.HeldLog(
                origin=log.log.origin, topic=log.log.topic, size=log.size, confirmed_at_ms=log.confirmed_at_ms
            )
            for log in held
        ],
        more=more,
    )


def read_held(message: logs_pb2.HeldReply) -> list[HeldLog]:
    within("held logs", len(message.logs), HELD_MAX)
    return [
        HeldLog(log=log_id(log.origin, log.topic), size=log.size, confirmed_at_ms=log.confirmed_at_ms)
        for log in message.logs
    ]


# --- nodes -----------------------------------------------------------------------------------------------------------


def read_chain(chain: Sequence[bytes]) -> tuple[bytes, ...]:
    within("certificates", len(chain), CHAIN_MAX)
    within("certificate bytes", max(map(len, chain), default=0), CERTIFICATE_BYTES_MAX)
    return tuple(chain)


def read_lineage(message: node_pb2.HelloReply) -> tuple[tuple[NodeName, str], ...]:
    within("lineage", len(message.lineage), CHAIN_MAX)
    return tuple((name(address.name), address.endpoint[:260]) for address in message.lineage)


def read_hello(message: node_pb2.HelloReply, *, called: NodeName, clock_offset_ms: int) -> PeerHello:
    return PeerHello(
        name=called,
        chain=read_chain(message.chain),
        software_version=message.software_version[:32],
        clock_offset_ms=clock_offset_ms,
        lineage=read_lineage(message),
    )


def write_resolved(resolved: Resolved) -> directory_pb2.ResolveReply:
    return directory_pb2.ResolveReply(
        name=resolved.name,
        status=resolved.status,
        chain=resolved.chain,
        description=canonical.encode(resolved.description),
        moved_to=resolved.moved_to or "",
        confirmed_at_ms=resolved.confirmed_at_ms,
        answered_by=resolved.answered_by,
    )


def read_resolved(message: directory_pb2.ResolveReply) -> Resolved:
    return Resolved(
        name=name(message.name),
        status=message.status[:16],
        chain=read_chain(message.chain),
        description=read_description(message.description),
        moved_to=name(message.moved_to) if message.moved_to else None,
        confirmed_at_ms=message.confirmed_at_ms,
        answered_by=name(message.answered_by),
    )


def read_description(data: bytes) -> NodeDescription:
    found: NodeDescription = document(data, NodeDescription, DESCRIPTION_BYTES_MAX)
    return found


# --- search ----------------------------------------------------------------------------------------------------------

_search_request = msgspec.json.Decoder(SearchRequest)
_search_answer = msgspec.json.Decoder(SearchAnswer)


def write_search(request: SearchRequest) -> bytes:
    return catalogue_pb2.SearchRequest(request=msgspec.json.encode(request)).SerializeToString()


def read_search(payload: bytes) -> SearchRequest:
    return _json(_search_request, read(catalogue_pb2.SearchRequest, payload).request, REQUEST_BYTES_MAX)


def write_answer(answer: SearchAnswer) -> bytes:
    return catalogue_pb2.SearchReply(answer=msgspec.json.encode(answer)).SerializeToString()


def read_answer(payload: bytes) -> SearchAnswer:
    return _json(_search_answer, read(catalogue_pb2.SearchReply, payload).answer, ANSWER_BYTES_MAX)


T = TypeVar("T")


def _json(decoder: "msgspec.json.Decoder[T]", data: bytes, bytes_max: int) -> T:
    within("document bytes", len(data), bytes_max)
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage("document", str(error)[:200]) from error
