"""The Credits service: what is asked of a node's credit bank and answered at once."""

from collections.abc import Sequence
from typing import Final, Protocol

from federation.calls import AdmittedCall
from federation.naming import NodeName
from federation.reconciliation import ASKED_BYTES_MAX
from node.ports import HeldStatusList, ShownProof
from node.rpc import wire
from node.rpc.services import Service, make_service
from protos.lln.v1 import credits_pb2

REQUEST_BYTES_MAX: Final = 262_144
LIST_CHARS_MAX: Final = 300
WORDS_CHARS_MAX: Final = 200
RULES_MAX: Final = 100
CODE_CHARS_MAX: Final = 16
LEAF_BYTES_MAX: Final = 32


class CreditsInbound(Protocol):
    async def preview(self, caller: NodeName, request: bytes) -> bytes:
        """An Evaluation document for a ConversionRequest document."""
        ...

    async def status_list(self, list_id: str) -> HeldStatusList:
        """A signed list; raises NotFound where neither it nor a copy is here."""
        ...

    async def find_rules(self, text: str, limit: int) -> Sequence[bytes]: ...

    async def proof(self, caller: NodeName, code: str) -> ShownProof:
        """What a short code of this node stands for; raises ProofUnknown whatever is wrong with the code."""
        ...

    async def inclusion(self, log_index: int, leaf_hash: bytes) -> bytes:
        """A tlog-proof from this node's credits log, for an entry whose leaf hash the caller knows."""
        ...

    async def reconcile(self, caller: NodeName, asked: bytes) -> bytes:
        """A DealingsPage document for a DealingsAsked document."""
        ...


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

    async def proof(call: AdmittedCall, asked: credits_pb2.ProofRequest) -> credits_pb2.ProofReply:
        shown = await inbound.proof(call.caller.name, wire.read_text("code", asked.code, CODE_CHARS_MAX))
        records = (
            credits_pb2.ShownRecord(credential=one.credential, event=one.event, salt=one.salt, log_index=one.log_index)
            for one in shown.records
        )
        return credits_pb2.ProofReply(records=records, until_ms=shown.until_ms)

    async def inclusion(_: AdmittedCall, asked: credits_pb2.InclusionRequest) -> credits_pb2.InclusionReply:
        index = wire.within("index", asked.log_index, wire.NUMBER_MAX)
        leaf_hash = wire.read_bytes("leaf hash", asked.leaf_hash, LEAF_BYTES_MAX)
        return credits_pb2.InclusionReply(proof=await inbound.inclusion(index, leaf_hash))

    async def reconcile(call: AdmittedCall, asked: credits_pb2.ReconcileRequest) -> credits_pb2.ReconcileReply:
        question = wire.read_bytes("dealings asked for", asked.asked, ASKED_BYTES_MAX)
        return credits_pb2.ReconcileReply(page=await inbound.reconcile(call.caller.name, question))

    return make_service(
        credits_pb2.DESCRIPTOR.services_by_name["Credits"],
        {
            "Preview": preview,
            "StatusList": status_list,
            "FindRules": find_rules,
            "Proof": proof,
            "Inclusion": inclusion,
            "Reconcile": reconcile,
        },
    )
