"""The Catalogue service: search among nodes, and the statistics by which their answers are merged."""

from typing import Protocol

from federation.calls import AdmittedCall
from federation.naming import NodeName
from federation.search import SearchAnswer, SearchRequest
from node.rpc import wire
from node.rpc.services import Service, make_service
from protos.lln.v1 import catalogue_pb2


class CatalogueInbound(Protocol):
    async def answer(self, caller: NodeName, request: SearchRequest) -> SearchAnswer:
        """What `caller` gets for a search; raises RefusedCall where it asks for others."""
        ...

    async def statistics(self) -> tuple[bytes, int]:
        """The published term statistics, and when they were taken."""
        ...


def catalogue_service(inbound: CatalogueInbound) -> Service:
    async def search(call: AdmittedCall, asked: catalogue_pb2.SearchRequest) -> catalogue_pb2.SearchReply:
        return wire.write_answer(await inbound.answer(call.caller.name, wire.read_search(asked)))

    async def statistics(_: AdmittedCall, __: catalogue_pb2.StatisticsRequest) -> catalogue_pb2.StatisticsReply:
        encoded, at_ms = await inbound.statistics()
        return catalogue_pb2.StatisticsReply(statistics=encoded, at_ms=at_ms)

    return make_service(
        catalogue_pb2.DESCRIPTOR.services_by_name["Catalogue"], {"Search": search, "Statistics": statistics}
    )
