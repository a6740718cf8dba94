"""The messages of logs: pages, heads, holdings and receipts, to domain values and back.

What lives here: form and bounds, so that nothing larger than a page is ever built. What must not: whether a page holds
(`federation/logs.py`).
"""

from collections.abc import Sequence
from itertools import pairwise
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
    message = logs_pb2.Page()
    _fill(message, page)
    return message


def write_push(page: Page, confirmed_at_ms: int) -> logs_pb2.PushRequest:
    message = logs_pb2.PushRequest(confirmed_at_ms=confirmed_at_ms)
    _fill(message.page, page)
    return message


def write_read(page: Page) -> logs_pb2.ReadReply:
    message = logs_pb2.ReadReply()
    _fill(message.page, page)
    return message


def read_page(message: logs_pb2.Page) -> Page:
    within("entries", len(message.entries), ENTRIES_MAX)
    within("hashes in a proof", len(message.consistency), PROOF_HASHES_MAX)
    return Page(
        log=read_log_id(message.origin, message.topic),
        start=within("start", message.start, NUMBER_MAX),
        entries=_read_entries(message),
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


def _fill(message: logs_pb2.Page, page: Page) -> None:
    """In place, within the message that will be sent: a page that is handed over is copied, with all it holds."""
    message.origin, message.topic, message.start = page.log.origin, page.log.topic, page.start
    message.entries.extend(
        [entry.withheld_hash if entry.document is None else entry.document for entry in page.entries]
    )
    message.withheld.extend([place for place, entry in enumerate(page.entries) if entry.document is None])
    message.checkpoint = page.checkpoint_note
    message.consistency.extend(page.consistency_proof)


def _read_entries(message: logs_pb2.Page) -> tuple[Entry, ...]:
    within("withheld entries", len(message.withheld), len(message.entries))
    contents, places = list(message.entries), list(message.withheld)
    sizes = list(map(len, contents))
    within("document, bytes", max(sizes, default=0), DOCUMENT_BYTES_MAX)
    within("page, bytes", sum(sizes), PAGE_BYTES_MAX)
    entries = list(map(Entry, contents))
    if places:
        if not _is_ascending(places) or places[-1] >= len(contents):
            raise MalformedMessage("page", f"{len(places)} withheld places that are not those of its entries")
        for place in places:
            entries[place] = Entry.withheld(_read_hash(contents[place]))
    return tuple(entries)


def _is_ascending(places: Sequence[int]) -> bool:
    return all(one < next_ for one, next_ in pairwise(places))


def _read_hash(found: bytes) -> bytes:
    if len(found) != HASH_BYTES:
        raise MalformedMessage("hash", f"{len(found)} bytes, expected {HASH_BYTES}")
    return found
