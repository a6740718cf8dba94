"""The Post service: what must arrive here, from whoever is admitted."""

from collections.abc import Sequence
from typing import Protocol

from federation.calls import AdmittedCall
from federation.naming import NodeName
from node.ports import Answered, PostItem, Write
from node.rpc import wire, wire_post
from node.rpc.answers import Change
from node.rpc.services import Service, make_service
from protos.lln.v1 import post_pb2


class PostInbound(Protocol):
    async def deliver(
        self, caller: NodeName, key: str, items: Sequence[PostItem], write: Write[Sequence[Answered]]
    ) -> Sequence[Answered]:
        """Take in what can be taken in, each once for ever; `write` keeps the answers. `key`: the caller's node key."""
        ...

    def heard_up(self, caller: NodeName, name: NodeName) -> None:
        """`caller` says that `name` is up again."""
        ...


def post_service(inbound: PostInbound) -> Service:
    async def deliver(call: AdmittedCall, asked: post_pb2.DeliverRequest, change: Change) -> None:
        items, caller = wire_post.read_items(asked), call.caller
        await inbound.deliver(caller.name, caller.key.did, items, change.writing(wire_post.write_answers))

    async def up(call: AdmittedCall, asked: post_pb2.UpRequest) -> post_pb2.UpReply:
        inbound.heard_up(call.caller.name, wire.read_name(asked.name))
        return post_pb2.UpReply()

    return make_service(post_pb2.DESCRIPTOR.services_by_name["Post"], {"Up": up}, changes={"Deliver": deliver})
