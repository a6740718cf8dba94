"""The Directory service: who is who, and what children ask of their authority.

What changes something is one unit, written by the `write` that it is given, which keeps the answer with it.
"""

from typing import Protocol

from federation.calls import AdmittedCall
from federation.directory import NodeDescription, Standing
from federation.naming import NodeName
from node.ports import Resolved, Write
from node.rpc import wire
from node.rpc.answers import Change
from node.rpc.services import Service, make_service
from protos.lln.v1 import directory_pb2


class DirectoryInbound(Protocol):
    async def resolve(self, caller: NodeName, name: NodeName, hops_left: int, at_ms: int) -> Resolved:
        """Who `name` is, and was at `at_ms` unless 0, climbing at most `hops_left` times; raises NotFound."""
        ...

    async def renew(
        self, caller: NodeName, signing_request: bytes, write: Write[tuple[bytes, ...]]
    ) -> tuple[bytes, ...]:
        """A new chain (DER, own certificate first, root left out) for a direct child."""
        ...

    async def describe(self, caller: NodeName, description: NodeDescription, write: Write[Standing]) -> Standing:
        """Record what a direct child says of itself."""
        ...

    async def move(self, caller: NodeName, chain: tuple[bytes, ...], write: Write[Standing]) -> Standing:
        """Record that a direct child has another name now, which `chain` (DER) proves."""
        ...


def directory_service(inbound: DirectoryInbound) -> Service:
    async def resolve(call: AdmittedCall, asked: directory_pb2.ResolveRequest) -> directory_pb2.ResolveReply:
        hops_left = wire.within("hops", asked.hops_left, wire.HOPS_MAX)
        at_ms = wire.within("time", asked.at_ms, wire.NUMBER_MAX)
        found = await inbound.resolve(call.caller.name, wire.read_name(asked.name), hops_left, at_ms)
        return wire.write_resolved(found)

    async def renew(call: AdmittedCall, asked: directory_pb2.RenewRequest, change: Change) -> None:
        request = wire.read_bytes("signing request", asked.signing_request, wire.SIGNING_REQUEST_BYTES_MAX)
        await inbound.renew(call.caller.name, request, change.writing(_renewed))

    async def describe(call: AdmittedCall, asked: directory_pb2.DescribeRequest, change: Change) -> None:
        description = wire.read_description(asked.description)
        await inbound.describe(call.caller.name, description, change.writing(_described))

    async def move(call: AdmittedCall, asked: directory_pb2.MoveRequest, change: Change) -> None:
        await inbound.move(call.caller.name, wire.read_chain(asked.chain), change.writing(_moved))

    return make_service(
        directory_pb2.DESCRIPTOR.services_by_name["Directory"],
        {"Resolve": resolve},
        changes={"Renew": renew, "Describe": describe, "Move": move},
    )


def _renewed(chain: tuple[bytes, ...]) -> directory_pb2.RenewReply:
    return directory_pb2.RenewReply(chain=chain)


def _described(_: Standing) -> directory_pb2.DescribeReply:
    return directory_pb2.DescribeReply()


def _moved(_: Standing) -> directory_pb2.MoveReply:
    return directory_pb2.MoveReply()
