"""The Credits service: what is asked of a node's credit bank and answered at once."""

from collections.abc import Sequence
from typing import Final, Protocol

from federation.calls import AdmittedCall
from federation.naming import NodeName
from node.ports import HeldStatusList
from node.rpc import wire
from node.rpc.services import Service, make_service
from protos.lln.v1 import credits_pb2

REQUEST_BYTES_MAX: Final = 262_144
LIST_CHARS_MAX: Final = 300
WORDS_CHARS_MAX: Final = 200
RULES_MAX: Final = 100


class CreditsInbound(Protocol):
    async def preview(self, caller: NodeName, request: bytes) -> bytes:
        """An Evaluation document for a ConversionRequest document."""
        ...

    async def status_list(self, list_id: str) -> HeldStatusList:
        """A signed list; raises NotFound where neither it nor a copy is here."""
        ...

    async def find_rules(self, text: str, limit: int) -> Sequence[bytes]: ...


def credits_service(inbound: CreditsInbound) -> Service:
    async def preview(call: AdmittedCall, asked: credits_pb2.PreviewRequest) -> credits_pb2.PreviewReply:
        request = wire.read_bytes("conversion request", asked.request, REQUEST_BYTES_MAX)
        return credits_pb2.PreviewReply(evaluation=await inbound.preview(call.caller.name, request))

    async def status_list(_: AdmittedCall, asked: credits_pb2.StatusListRequest) -> credits_pb2.StatusListReply:
        held = await inbound.status_list(wire.read_text("status list", asked.list, LIST_CHARS_MAX))
        return credits_pb2.StatusListReply(credential=held.document, fetched_at_ms=held.fetched_at_ms)

    async def find_rules(_: AdmittedCall, asked: credits_pb2.FindRulesRequest) -> credits_pb2.FindRulesReply:
        text = wire.read_text("words", asked.text, WORDS_CHARS_MAX)
        limit = wire.within("rules", asked.limit, RULES_MAX)
        return credits_pb2.FindRulesReply(rules=await inbound.find_rules(text, limit))

    return make_service(
        credits_pb2.DESCRIPTOR.services_by_name["Credits"],
        {"Preview": preview, "StatusList": status_list, "FindRules": find_rules},
    )
