"""What each service of protos/lln/v1 does: parse, ask the use case, write the answer.

What lives here: one function per service that gives its methods. What must not: envelopes and refusals (`server.py`),
or any decision.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from google.protobuf.descriptor import FileDescriptor

from federation import canonical
from federation.calls import AdmittedCall
from federation.directory import NodeDescription
from federation.logs import Page
from federation.naming import NodeName
from federation.search import SearchAnswer, SearchRequest
from node.ports import ForkEvidence, HeldLog, LogHeadNote, PeerHello, PushReceipt, Resolved
from node.rpc import wire
from node.rpc.rules import rules_of
from node.rpc.server import Method, Streaming, Unary
from protos.lln.v1 import catalogue_pb2, desk_pb2, directory_pb2, logs_pb2, node_pb2

PROTOCOL_VERSION = 1
TOPICS_WATCHED_MAX = 8
ASK_BYTES_MAX = 4 * 1024 * 1024


class NodeInbound(Protocol):
    """`clock_offset_ms` of the answer is not used: the envelope's time speaks."""

    def hello(self) -> PeerHello: ...


class DirectoryInbound(Protocol):
    async def resolve(self, caller: NodeName, name: NodeName, hops_left: int) -> Resolved: ...

    async def renew(self, caller: NodeName, signing_request: bytes) -> tuple[bytes, ...]: ...

    async def describe(self, caller: NodeName, description: NodeDescription) -> None: ...


class LogsInbound(Protocol):
    async def held(self, caller: NodeName, after: str) -> tuple[Sequence[HeldLog], bool]: ...

    async def push(self, caller: NodeName, page: Page, confirmed_at_ms: int) -> PushReceipt: ...

    async def read(self, caller: NodeName, topic: str, start: int, limit: int) -> Page: ...

    def watch(self, topics: Sequence[str]) -> AsyncIterator[LogHeadNote]: ...

    async def report_fork(self, caller: NodeName, evidence: ForkEvidence) -> None: ...


class CatalogueInbound(Protocol):
    async def answer(self, caller: NodeName, request: SearchRequest) -> SearchAnswer: ...

    async def statistics(self) -> tuple[bytes, int]: ...


class DeskInbound(Protocol):
    async def ask(self, operation: str, request: bytes) -> bytes: ...


def node_service(node: NodeInbound, *, epoch: bytes, now_ms: "NowMs") -> Mapping[str, Method]:
    async def hello(_: AdmittedCall, payload: bytes) -> bytes:
        wire.read(node_pb2.HelloRequest, payload)
        told = node.hello()
        return node_pb2.HelloReply(
            chain=told.chain,
            epoch=epoch,
            at_ms=now_ms(),
            protocol_version=PROTOCOL_VERSION,
            software_version=told.software_version,
            lineage=[node_pb2.Address(name=name, endpoint=endpoint) for name, endpoint in told.lineage],
        ).SerializeToString()

    return _methods(node_pb2.DESCRIPTOR, "Node", {"Hello": hello})


def directory_service(directory: DirectoryInbound) -> Mapping[str, Method]:
    async def resolve(call: AdmittedCall, payload: bytes) -> bytes:
        asked = wire.read(directory_pb2.ResolveRequest, payload)
        found = await directory.resolve(call.caller.name, wire.name(asked.name), min(asked.hops_left, 8))
        return wire.write_resolved(found).SerializeToString()

    async def renew(call: AdmittedCall, payload: bytes) -> bytes:
        asked = wire.read(directory_pb2.RenewRequest, payload)
        chain = await directory.renew(call.caller.name, asked.signing_request)
        return directory_pb2.RenewReply(chain=chain).SerializeToString()

    async def describe(call: AdmittedCall, payload: bytes) -> bytes:
        asked = wire.read(directory_pb2.DescribeRequest, payload)
        await directory.describe(call.caller.name, wire.read_description(asked.description))
        return directory_pb2.DescribeReply().SerializeToString()

    return _methods(directory_pb2.DESCRIPTOR, "Directory", {"Resolve": resolve, "Renew": renew, "Describe": describe})


def logs_service(logs: LogsInbound, *, now_ms: "NowMs") -> Mapping[str, Method]:
    async def held(call: AdmittedCall, payload: bytes) -> bytes:
        asked = wire.read(logs_pb2.HeldRequest, payload)
        told, more = await logs.held(call.caller.name, asked.after[:600])
        return wire.write_held(told, more=more).SerializeToString()

    async def push(call: AdmittedCall, payload: bytes) -> bytes:
        asked = wire.read(logs_pb2.PushRequest, payload)
        receipt = await logs.push(call.caller.name, wire.read_page(asked.page), asked.confirmed_at_ms)
        return wire.write_receipt(receipt).SerializeToString()

    async def read(call: AdmittedCall, payload: bytes) -> bytes:
        asked = wire.read(logs_pb2.ReadRequest, payload)
        page = await logs.read(call.caller.name, asked.topic, asked.start, asked.limit)
        return logs_pb2.ReadReply(page=wire.write_page(page)).SerializeToString()

    async def watch(_: AdmittedCall, payload: bytes) -> AsyncIterator[bytes]:
        asked = wire.read(logs_pb2.WatchRequest, payload)
        wire.within("topics", len(asked.topics), TOPICS_WATCHED_MAX)
        async for head in logs.watch(list(asked.topics)):
            yield logs_pb2.Head(origin=head.log.origin, topic=head.log.topic, checkpoint=head.note).SerializeToString()

    async def report_fork(call: AdmittedCall, payload: bytes) -> bytes:
        asked = wire.read(logs_pb2.ReportForkRequest, payload)
        wire.within("note bytes", max(len(asked.one), len(asked.other)), wire.NOTE_BYTES_MAX)
        evidence = ForkEvidence(
            log=wire.log_id(asked.origin, asked.topic),
            one=asked.one,
            other=asked.other,
            found_by=wire.name(asked.found_by),
            found_at_ms=now_ms(),
        )
        await logs.report_fork(call.caller.name, evidence)
        return logs_pb2.ReportForkReply().SerializeToString()

    return _methods(
        logs_pb2.DESCRIPTOR,
        "Logs",
        {"Held": held, "Push": push, "Read": read, "ReportFork": report_fork},
        {"Watch": watch},
    )


def catalogue_service(catalogue: CatalogueInbound) -> Mapping[str, Method]:
    async def search(call: AdmittedCall, payload: bytes) -> bytes:
        return wire.write_answer(await catalogue.answer(call.caller.name, wire.read_search(payload)))

    async def statistics(_: AdmittedCall, payload: bytes) -> bytes:
        wire.read(catalogue_pb2.StatisticsRequest, payload)
        encoded, at_ms = await catalogue.statistics()
        return catalogue_pb2.StatisticsReply(statistics=encoded, at_ms=at_ms).SerializeToString()

    return _methods(catalogue_pb2.DESCRIPTOR, "Catalogue", {"Search": search, "Statistics": statistics})


def desk_service(desk: DeskInbound) -> Mapping[str, Method]:
    async def ask(_: AdmittedCall, payload: bytes) -> bytes:
        asked = wire.read(desk_pb2.AskRequest, payload)
        wire.within("question bytes", len(asked.request), ASK_BYTES_MAX)
        reply = await desk.ask(asked.operation[:64], asked.request)
        return desk_pb2.AskReply(reply=reply).SerializeToString()

    return _methods(desk_pb2.DESCRIPTOR, "Desk", {"Ask": ask})


class NowMs(Protocol):
    def __call__(self) -> int: ...


def description_bytes(description: NodeDescription) -> bytes:
    return canonical.encode(description)


def _methods(
    file: FileDescriptor,
    service: str,
    unary: Mapping[str, Unary],
    streaming: Mapping[str, Streaming] | None = None,
) -> Mapping[str, Method]:
    """Every method the .proto declares, with its rules; a KeyError here is a method nobody wrote."""
    streams = streaming or {}
    rules = rules_of(file.services_by_name[service])
    return {
        name: Method(rules=rule, streaming=streams[name]) if name in streams else Method(rules=rule, unary=unary[name])
        for name, rule in rules.items()
    }
