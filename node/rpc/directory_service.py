"""The Directory service: who is who, and what children ask of their authority."""

from typing import Protocol

from federation.calls import AdmittedCall
from federation.directory import NodeDescription
from federation.naming import NodeName
from node.ports import Resolved
from node.rpc import wire
from node.rpc.services import Service, make_service
from protos.lln.v1 import directory_pb2


class DirectoryInbound(Protocol):
    async def resolve(self, caller: NodeName, name: NodeName, hops_left: int) -> Resolved:
        """Who `name` is, climbing at most `hops_left` times; raises NotFound."""
        ...

    async def renew(self, caller: NodeName, signing_request: bytes) -> tuple[bytes, ...]:
        """A new chain (DER, own certificate first, root left out) for a direct child.

        May come twice for one operation, after a crash between the change and the keeping of its answer.
        """
        ...

    async def describe(self, caller: NodeName, description: NodeDescription) -> None:
        """Record what a direct child says of itself; may come twice, as `renew`."""
        ...

    async def move(self, caller: NodeName, chain: tuple[bytes, ...]) -> None:
        """Record that a direct child has another name now, which `chain` (DER) proves."""
        ...


def directory_service(inbound: DirectoryInbound) -> Service:
    async def resolve(call: AdmittedCall, asked: directory_pb2.ResolveRequest) -> directory_pb2.ResolveReply:
        hops_left = wire.within("hops", asked.hops_left, wire.HOPS_MAX)
        return wire.write_resolved(await inbound.resolve(call.caller.name, wire.read_name(asked.name), hops_left))

    async def renew(call: AdmittedCall, asked: directory_pb2.RenewRequest) -> directory_pb2.RenewReply:
        request = wire.read_bytes("signing request", asked.signing_request, wire.SIGNING_REQUEST_BYTES_MAX)
        return directory_pb2.RenewReply(chain=await inbound.renew(call.caller.name, request))

    async def describe(call: AdmittedCall, asked: directory_pb2.DescribeRequest) -> directory_pb2.DescribeReply:
        await inbound.describe(call.caller.name, wire.read_description(asked.description))
        return directory_pb2.DescribeReply()

    async def move(call: AdmittedCall, asked: directory_pb2.MoveRequest) -> directory_pb2.MoveReply:
        await inbound.move(call.caller.name, wire.read_chain(asked.chain))
        return directory_pb2.MoveReply()

    return make_service(
        directory_pb2.DESCRIPTOR.services_by_name["Directory"],
        {"Resolve": resolve, "Renew": renew, "Describe": describe, "Move": move},
    )
