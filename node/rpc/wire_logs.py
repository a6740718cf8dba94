"""The messages of logs: pages, heads, holdings and receipts, to domain values and back.

What lives here: form and bounds, so that nothing larger than a page is ever built. What must not: whether a page holds
(`federation/logs.py`).
"""

from collections.abc import Sequence
from typing import Final

from federation.logs import DOCUMENT_BYTES_MAX, ENTRIES_MAX, PAGE_BYTES_MAX, TOPICS, Entry, LogId, Page
from federation.merkle import HASH_BYTES, PROOF_HASHES_MAX
from federation.naming import DEPTH_MAX
from federation.notes import NOTE_BYTES_MAX
from node.ports import HeldLog, Holding, LogHeadNote, PushReceipt
from node.rpc.wire import NUMBER_MAX, MalformedMessage, read_bytes, read_name, within
from protos.lln.v1 import logs_pb2

HELD_MAX: Final = 2_000
TOPICS_WATCHED_MAX: Final = 8
_COSIGNATURE_BYTES_MAX: Final = 1_024
_HOLDINGS_MAX: Final = DEPTH_MAX + 1
_TOPIC_CHARS_TOLD: Final = 64


def read_log_id(origin: str, topic: str) -> LogId:
    known = next((one for one in TOPICS if one == topic), None)
    if known is None:
        raise MalformedMessage("topic", topic[:_TOPIC_CHARS_TOLD])
    return LogId(origin=read_name(origin), topic=known)


def write_page(page: Page) -> logs_pb2.Page:
    return logs_pb2.Page(
        origin=page.log.origin,
        topic=page.log.topic,
        start=page.start,
        entries=map(_write_entry, page.entries),
        checkpoint=page.checkpoint_note,
        consistency=page.consistency_proof,
    )


def read_page(message: logs_pb2.Page) -> Page:
    within("entries", len(message.entries), ENTRIES_MAX)
    within("hashes in a proof", len(message.consistency), PROOF_HASHES_MAX)
    entries = tuple(map(_read_entry, message.entries))
    within("page, bytes", sum(entry.size_bytes for entry in entries), PAGE_BYTES_MAX)
    return Page(
        log=read_log_id(message.origin, message.topic),
        start=within("start", message.start, NUMBER_MAX),
        entries=entries,
        checkpoint_note=read_bytes("checkpoint", message.checkpoint, NOTE_BYTES_MAX),
        consistency_proof=tuple(map(_read_hash, message.consistency)),
    )


def write_head(head: LogHeadNote) -> logs_pb2.Head:
    return logs_pb2.Head(origin=head.log.origin, topic=head.log.topic, checkpoint=head.note)


def read_head(message: logs_pb2.Head) -> LogHeadNote:
    return LogHeadNote(
        log=read_log_id(message.origin, message.topic),
        note=read_bytes("checkpoint", message.checkpoint, NOTE_BYTES_MAX),
    )


def write_receipt(receipt: PushReceipt) -> logs_pb2.PushReply:
    return logs_pb2.PushReply(
        size=receipt.size,
        cosignature=receipt.cosignature,
        holdings=[
            logs_pb2.Holding(holder=one.holder, size=one.size, indexed=one.indexed, at_ms=one.at_ms)
            for one in receipt.holdings[:_HOLDINGS_MAX]
        ],
    )


def read_receipt(message: logs_pb2.PushReply, log: LogId) -> PushReceipt:
    """`log` is the one that was pushed: a receipt speaks of no other."""
    within("holdings", len(message.holdings), _HOLDINGS_MAX)
    holdings = tuple(
        Holding(
            log=log,
            holder=read_name(one.holder),
            size=within("size", one.size, NUMBER_MAX),
            indexed=within("indexed", one.indexed, NUMBER_MAX),
            at_ms=within("time", one.at_ms, NUMBER_MAX),
        )
        for one in message.holdings
    )
    return PushReceipt(
        size=within("size", message.size, NUMBER_MAX),
        cosignature=read_bytes("cosignature", message.cosignature, _COSIGNATURE_BYTES_MAX),
        holdings=holdings,
    )


def write_held(held: Sequence[HeldLog], *, more: bool) -> logs_pb2.HeldReply:
    logs = [
        logs_pb2.HeldLog(origin=one.log.origin, topic=one.log.topic, size=one.size, confirmed_at_ms=one.confirmed_at_ms)
        for one in held
    ]
    return logs_pb2.HeldReply(logs=logs, more=more)


def read_held(message: logs_pb2.HeldReply) -> list[HeldLog]:
    within("logs held", len(message.logs), HELD_MAX)
    return [
        HeldLog(
            log=read_log_id(one.origin, one.topic),
            size=within("size", one.size, NUMBER_MAX),
            confirmed_at_ms=within("time", one.confirmed_at_ms, NUMBER_MAX),
        )
        for one in message.logs
    ]


def _write_entry(entry: Entry) -> logs_pb2.Entry:
    if entry.document is None:
        return logs_pb2.Entry(withheld=entry.withheld_hash)
    return logs_pb2.Entry(document=entry.document)


def _read_entry(message: logs_pb2.Entry) -> Entry:
    which = message.WhichOneof("entry")
    if which == "document":
        return Entry.full(read_bytes("document", message.document, DOCUMENT_BYTES_MAX))
    if which == "withheld":
        return Entry.withheld(_read_hash(message.withheld))
    raise MalformedMessage("page", "an entry that is neither a document nor withheld")


def _read_hash(found: bytes) -> bytes:
    if len(found) != HASH_BYTES:
        raise MalformedMessage("hash", f"{len(found)} bytes, expected {HASH_BYTES}")
    return found
