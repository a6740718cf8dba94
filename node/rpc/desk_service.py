"""The Desk service: the node's own people, by the command line of the same machine."""

from typing import Final, Protocol

from federation.calls import AdmittedCall
from node.rpc import wire
from node.rpc.services import Service, make_service
from protos.lln.v1 import desk_pb2

OPERATION_CHARS_MAX: Final = 64


class DeskInbound(Protocol):
    async def ask(self, operation: str, request: bytes) -> bytes:
        """Run one operation of `node/desk` by name, JSON document in and out; raises LlnError."""
        ...


def desk_service(inbound: DeskInbound) -> Service:
    async def ask(_: AdmittedCall, asked: desk_pb2.AskRequest) -> desk_pb2.AskReply:
        operation = wire.read_text("operation", asked.operation, OPERATION_CHARS_MAX)
        return desk_pb2.AskReply(reply=await inbound.ask(operation, asked.request))

    return make_service(desk_pb2.DESCRIPTOR.services_by_name["Desk"], {"Ask": ask})
