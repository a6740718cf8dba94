"""The Logs service: logs and their copies, pushed by children, read and watched by whoever may see them."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Protocol

from federation.calls import AdmittedCall
from federation.logs import ENTRIES_MAX, Page
from federation.naming import NodeName
from node.ports import HeldLog, LogHeadNote, PushReceipt
from node.rpc import wire, wire_logs
from node.rpc.services import Service, make_service
from protos.lln.v1 import logs_pb2


class LogsInbound(Protocol):
    async def held(self, caller: NodeName, after: str) -> tuple[Sequence[HeldLog], bool]:
        """Logs held here of `caller` and those below it, after the origin line `after`; True when there are more."""
        ...

    async def push(self, caller: NodeName, page: Page, confirmed_at_ms: int) -> PushReceipt:
        """Take in one page; raises BadLog, RefusedCall. Harmless to repeat."""
        ...

    async def read(self, caller: NodeName, topic: str, start: int, limit: int) -> Page:
        """A page of one of this node's own logs as `caller` may see it."""
        ...

    async def recall(self, caller: NodeName, topic: str, start: int) -> Page:
        """Entries of the caller's own log as they are held here, for a caller that has lost them."""
        ...

    def watch(self, topics: Sequence[str]) -> AsyncGenerator[LogHeadNote, None]:
        """The own checkpoints, now and at each change."""
        ...


def logs_service(inbound: LogsInbound) -> Service:
    async def held(call: AdmittedCall, asked: logs_pb2.HeldRequest) -> logs_pb2.HeldReply:
        logs, more = await inbound.held(call.caller.name, asked.after)
        return wire_logs.write_held(logs, more=more)

    async def push(call: AdmittedCall, asked: logs_pb2.PushRequest) -> logs_pb2.PushReply:
        confirmed_at_ms = wire.within("time", asked.confirmed_at_ms, wire.NUMBER_MAX)
        page = wire_logs.read_page(asked.page)
        return wire_logs.write_receipt(await inbound.push(call.caller.name, page, confirmed_at_ms))

    async def read(call: AdmittedCall, asked: logs_pb2.ReadRequest) -> logs_pb2.ReadReply:
        start = wire.within("start", asked.start, wire.NUMBER_MAX)
        limit = wire.within("limit", asked.limit, ENTRIES_MAX)
        page = await inbound.read(call.caller.name, asked.topic, start, limit)
        return wire_logs.write_read(page)

    async def recall(call: AdmittedCall, asked: logs_pb2.ReadRequest) -> logs_pb2.ReadReply:
        start = wire.within("start", asked.start, wire.NUMBER_MAX)
        page = await inbound.recall(call.caller.name, asked.topic, start)
        return wire_logs.write_read(page)

    async def watch(_: AdmittedCall, asked: logs_pb2.WatchRequest) -> AsyncGenerator[logs_pb2.Head, None]:
        wire.within("topics", len(asked.topics), wire_logs.TOPICS_WATCHED_MAX)
        async with aclosing(inbound.watch(list(asked.topics))) as heads:
            async for head in heads:
                yield wire_logs.write_head(head)

    return make_service(
        logs_pb2.DESCRIPTOR.services_by_name["Logs"],
        {"Held": held, "Push": push, "Read": read, "Recall": recall},
        {"Watch": watch},
    )
