"""The Post service: what must arrive here, from whoever is admitted."""

from collections.abc import Sequence
from typing import Protocol

from federation.calls import AdmittedCall
from federation.naming import NodeName
from node.ports import Answered, PostItem, Write
from node.rpc import wire_post
from node.rpc.answers import Change
from node.rpc.services import Service, make_service
from protos.lln.v1 import post_pb2


class PostInbound(Protocol):
    async def deliver(
        self, caller: NodeName, key: str, items: Sequence[PostItem], write: Write[Sequence[Answered]]
    ) -> Sequence[Answered]:
        """Take in what can be taken in, each once for ever; `write` keeps the answers. `key`: the caller's node key."""
        ...


def post_service(inbound: PostInbound) -> Service:
    async def deliver(call: AdmittedCall, asked: post_pb2.DeliverRequest, change: Change) -> None:
        items, caller = wire_post.read_items(asked), call.caller
        await inbound.deliver(caller.name, caller.key.did, items, change.writing(wire_post.write_answers))

    return make_service(post_pb2.DESCRIPTOR.services_by_name["Post"], {}, changes={"Deliver": deliver})
