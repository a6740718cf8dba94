"""Calls to the credit banks of other nodes, as the use cases see them.

What lives here: each call as typed values, with bounds on what comes back. What must not: roads and lines (`peers.py`).
"""

from collections.abc import Sequence
from typing import Final

from federation.conversion_rules import RULE_BYTES_MAX
from federation.credentials import CREDENTIAL_BYTES_MAX
from federation.log_proofs import PROOF_BYTES_MAX
from federation.naming import NodeName
from federation.reconciliation import PAGE_BYTES_MAX
from federation.status_lists import LIST_BYTES_MAX
from node.ports import HeldStatusList, ShownProof, ShownRecord
from node.rpc import wire
from node.rpc.peers import GrpcPeers
from protos.lln.v1 import credits_pb2

EVALUATION_BYTES_MAX: Final = 1_048_576
RULES_MAX: Final = 100
SHOWN_RECORDS_MAX: Final = 100
EVENT_BYTES_MAX: Final = 4_096
SALT_CHARS_MAX: Final = 86


class CreditCalls:
    """`node.ports.CreditPeers` over signed gRPC. Errors as `node.ports.Peers`."""

    def __init__(self, peers: GrpcPeers) -> None:
        self._peers = peers

    async def preview(self, to: NodeName, document: bytes, *, timeout_s: float) -> bytes:
        asked = credits_pb2.PreviewRequest(request=document)
        return await self._peers.ask(to, "/lln.v1.Credits/Preview", asked, timeout_s=timeout_s, read=_evaluation)

    async def status_list(self, to: NodeName, list_id: str, *, timeout_s: float) -> HeldStatusList:
        asked = credits_pb2.StatusListRequest(list=list_id)
        return await self._peers.ask(to, "/lln.v1.Credits/StatusList", asked, timeout_s=timeout_s, read=_list)

    async def proof(self, to: NodeName, code: str, *, timeout_s: float) -> ShownProof:
        asked = credits_pb2.ProofRequest(code=code)
        return await self._peers.ask(to, "/lln.v1.Credits/Proof", asked, timeout_s=timeout_s, read=_proof)

    async def inclusion(self, to: NodeName, log_index: int, leaf_hash: bytes, *, timeout_s: float) -> bytes:
        asked = credits_pb2.InclusionRequest(log_index=log_index, leaf_hash=leaf_hash)
        return await self._peers.ask(to, "/lln.v1.Credits/Inclusion", asked, timeout_s=timeout_s, read=_inclusion)

    async def find_rules(self, to: NodeName, text: str, limit: int, *, timeout_s: float) -> Sequence[bytes]:
        asked = credits_pb2.FindRulesRequest(text=text, limit=limit)
        return await self._peers.ask(to, "/lln.v1.Credits/FindRules", asked, timeout_s=timeout_s, read=_rules)

    async def reconcile(self, to: NodeName, asked: bytes, *, timeout_s: float) -> bytes:
        question = credits_pb2.ReconcileRequest(asked=asked)
        return await self._peers.ask(to, "/lln.v1.Credits/Reconcile", question, timeout_s=timeout_s, read=_dealings)


def _evaluation(body: bytes) -> bytes:
    told = wire.read(credits_pb2.PreviewReply, body)
    return wire.read_bytes("evaluation", told.evaluation, EVALUATION_BYTES_MAX)


def _list(body: bytes) -> HeldStatusList:
    told = wire.read(credits_pb2.StatusListReply, body)
    return HeldStatusList(
        document=wire.read_bytes("status list", told.credential, LIST_BYTES_MAX),
        fetched_at_ms=wire.within("time", told.fetched_at_ms, wire.NUMBER_MAX),
    )


def _proof(body: bytes) -> ShownProof:
    told = wire.read(credits_pb2.ProofReply, body)
    wire.within("records", len(told.records), SHOWN_RECORDS_MAX)
    return ShownProof(
        records=tuple(map(_shown, told.records)), until_ms=wire.within("time", told.until_ms, wire.NUMBER_MAX)
    )


def _shown(told: credits_pb2.ShownRecord) -> ShownRecord:
    return ShownRecord(
        credential=wire.read_bytes("credential", told.credential, CREDENTIAL_BYTES_MAX),
        event=wire.read_bytes("event", told.event, EVENT_BYTES_MAX),
        salt=wire.read_text("salt", told.salt, SALT_CHARS_MAX),
        log_index=wire.within("index", told.log_index, wire.NUMBER_MAX),
    )


def _inclusion(body: bytes) -> bytes:
    told = wire.read(credits_pb2.InclusionReply, body)
    return wire.read_bytes("log proof", told.proof, PROOF_BYTES_MAX)


def _rules(body: bytes) -> Sequence[bytes]:
    told = wire.read(credits_pb2.FindRulesReply, body)
    wire.within("rules", len(told.rules), RULES_MAX)
    return [wire.read_bytes("rule", one, RULE_BYTES_MAX) for one in told.rules]


def _dealings(body: bytes) -> bytes:
    told = wire.read(credits_pb2.ReconcileReply, body)
    return wire.read_bytes("dealings", told.page, PAGE_BYTES_MAX)
