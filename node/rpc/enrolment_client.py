"""Knocking at an enrolment port: what a newcomer, or a node whose certificate has expired, sends to its authority.

What lives here: one call over TLS that is verified up to the root in the invite and for the authority's name. What must
not: what is asked, or what is made of the answer (`node/usecases/joining.py`).
"""

from typing import Final

import grpc
import msgspec

from federation.certificate_profile import to_pem
from federation.directory import LogPosition
from federation.enrolment import JoinAnswer, JoinRequest, LateRenewal
from federation.errors import BadCall, InvalidInput, PeerUnreachable, UntrustedPeer
from federation.logs import TOPICS
from node.rpc import wire
from node.rpc.channels import RefusedByPeer
from node.rpc.enrolment_server import MESSAGE_BYTES_MAX, SERVICE
from node.usecases.joining import EnrolmentDoor
from protos.lln.v1 import enrolment_pb2

_ENDPOINT_CHARS_MAX: Final = 260
_HANDSHAKE_SIGNS: Final = ("CERTIFICATE_VERIFY_FAILED", "handshake failed", "Hostname Verification", "Peer name")


class AuthorityNotRecognised(UntrustedPeer):
    code = "LLN-2150"
    zh = "应答的不是邀请所说的上级：其证书不能验证到邀请中的根证书，或名称不符。请核对邀请与两台机器的时钟。"
    en = "Whoever answered is not the authority of the invite: check the invite, and the clocks of both machines."


class MalformedAnswer(UntrustedPeer):
    code = "LLN-2152"
    zh = "上级的答复不完整，未保存任何内容。请确认双方程序版本。"
    en = "The authority's answer is incomplete; nothing was kept. Check that both programs' versions agree."


class EnrolmentPortShut(PeerUnreachable):
    code = "LLN-2550"
    zh = "联系不上上级的入网端口。请核对网络与地址；邀请用完或过期后该端口会关闭。"
    en = "The authority's enrolment port cannot be reached. Check the address; it is shut while no invite is open."


class GrpcDoors:
    """`node.usecases.joining.Doors` over gRPC; a channel per call, since there are few."""

    async def join(self, door: EnrolmentDoor, request: JoinRequest, *, timeout_s: float) -> JoinAnswer:
        message = enrolment_pb2.JoinRequest(
            invite_id=request.invite_id,
            name=request.name,
            signing_request=request.signing_request,
            key=request.key,
            sealing_key=request.sealing_key,
            sealing_signature=request.sealing_signature,
            description=request.description,
            key_proof=request.key_proof,
            secret_proof=request.secret_proof,
            former_chain=request.former_chain,
        )
        return await _ask(door, "Join", message.SerializeToString(), timeout_s)

    async def renew_expired(self, door: EnrolmentDoor, request: LateRenewal, *, timeout_s: float) -> JoinAnswer:
        message = enrolment_pb2.RenewExpiredRequest(
            name=request.name,
            signing_request=request.signing_request,
            issued_at_ms=request.issued_at_ms,
            key_proof=request.key_proof,
        )
        return await _ask(door, "RenewExpired", message.SerializeToString(), timeout_s)


async def _ask(door: EnrolmentDoor, method: str, payload: bytes, timeout_s: float) -> JoinAnswer:
    credentials = grpc.ssl_channel_credentials(root_certificates=to_pem((door.root_certificate,)))
    options = (
        ("grpc.ssl_target_name_override", door.authority),
        ("grpc.enable_retries", 0),
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.use_local_subchannel_pool", 1),
    )
    async with grpc.aio.secure_channel(door.endpoint, credentials, options=options) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{SERVICE}/{method}")
        try:
            body = await call(payload, timeout=timeout_s)
        except grpc.aio.AioRpcError as failure:
            raise _told(door, failure) from failure
    return _read_answer(door, body)


def _read_positions(reply: enrolment_pb2.JoinReply) -> tuple[LogPosition, ...]:
    wire.within("logs", len(reply.continues), len(TOPICS))
    told = [{"topic": one.topic, "size": one.size, "root": one.root.hex()} for one in reply.continues]
    try:
        return msgspec.convert(told, tuple[LogPosition, ...])
    except msgspec.ValidationError as error:
        raise wire.MalformedMessage("continues", str(error)[:300]) from error


def _told(door: EnrolmentDoor, failure: grpc.aio.AioRpcError) -> PeerUnreachable | UntrustedPeer:
    """Both are refusals to go on; which of them is only a matter of what to tell the person in front of it."""
    details = (failure.details() or "")[:300]
    if any(sign in details for sign in _HANDSHAKE_SIGNS):
        return AuthorityNotRecognised(door.endpoint, f"expected {door.authority}: {details}")
    return EnrolmentPortShut(door.endpoint, f"{failure.code().name}: {details}")


def _read_answer(door: EnrolmentDoor, body: bytes) -> JoinAnswer:
    try:
        reply = wire.read(enrolment_pb2.JoinReply, body)
        if reply.error_code:
            code, subject, detail = (told[:300] for told in (reply.error_code, reply.error_subject, reply.error_detail))
            raise RefusedByPeer(door.authority, code, subject, detail)
        wire.within("endpoint characters", len(reply.parent_endpoint), _ENDPOINT_CHARS_MAX)
        return JoinAnswer(
            chain=wire.read_chain(reply.chain),
            parent_endpoint=reply.parent_endpoint,
            description=wire.read_description(reply.description),
            continues=_read_positions(reply),
        )
    except (BadCall, InvalidInput) as error:
        raise MalformedAnswer(door.authority, error.detail) from error
