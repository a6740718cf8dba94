"""The Node service: hello, by which the two ends of a channel get to know each other."""

from collections.abc import Callable
from typing import Final, Protocol

from federation.calls import AdmittedCall
from federation.versions import agree
from node.ports import Clock, PeerHello
from node.rpc.services import Service, make_service
from node.rpc.wire import write_lineage
from protos.lln.v1 import node_pb2

FEATURES: Final = ("search", "logs", "links", "relays")


class NodeInbound(Protocol):
    def hello(self) -> PeerHello:
        """The own chain, version and lineage with addresses; its name and clock offset are not read."""
        ...


def node_service(inbound: NodeInbound, *, epoch: Callable[[], bytes], clock: Clock, sealing_key: bytes) -> Service:
    """`epoch`: the gate's own at the moment."""

    async def hello(_: AdmittedCall, asked: node_pb2.HelloRequest) -> node_pb2.HelloReply:
        version = agree(asked.protocol_version)
        told = inbound.hello()
        return node_pb2.HelloReply(
            chain=told.chain,
            epoch=epoch(),
            at_ms=clock.now_ms(),
            protocol_version=version,
            software_version=told.software_version,
            features=FEATURES,
            lineage=write_lineage(told.lineage),
            sealing_key=sealing_key,
        )

    return make_service(node_pb2.DESCRIPTOR.services_by_name["Node"], {"Hello": hello})
