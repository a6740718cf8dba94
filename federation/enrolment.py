"""Joining and late renewal, on the side of who asks: the requests, their transcripts and the proofs over them.

What lives here: what is signed and proven. What must not: the text of an invite (`invites.py`), or what the authority
makes of a request (`admission.py`).

A newcomer proves three things over one transcript, which names the network by its root certificate: possession of the
P-256 key (the signing request signs itself), possession of the Ed25519 node key (`key_proof`), and knowledge of the
invite's secret (`secret_proof`, an HMAC; the secret itself never travels).
"""

import hmac
from hashlib import sha256

import msgspec

from federation import canonical
from federation.directory import LogPosition, NodeDescription
from federation.framing import pae
from federation.invites import InviteCode
from federation.keys import Signer
from federation.naming import NodeName


class JoinRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a newcomer sends. `signing_request` PKCS #10 in DER; `description` a NodeDescription document.

    `former_chain`: of a node that moves here, the certificates (DER) for its name so far and the same node key.
    """

    invite_id: str
    name: str
    signing_request: bytes
    key: str
    sealing_key: bytes
    sealing_signature: bytes
    description: bytes
    key_proof: bytes = b""
    secret_proof: bytes = b""
    former_chain: tuple[bytes, ...] = ()


class JoinAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the authority answers: `chain` in DER, own certificate first, root left out; the description as admitted.

    `continues`: the logs that the authority holds of this name, to be fetched before the node says anything new.
    """

    chain: tuple[bytes, ...]
    parent_endpoint: str
    description: NodeDescription
    continues: tuple[LogPosition, ...] = ()


class LateRenewal(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a new certificate after the old one expired, signed by the node key alone."""

    name: str
    signing_request: bytes
    issued_at_ms: int
    key_proof: bytes = b""


def make_join_request(
    code: InviteCode,
    *,
    signer: Signer,
    sealing_key: bytes,
    signing_request: bytes,
    description: NodeDescription,
    former_chain: tuple[bytes, ...] = (),
) -> JoinRequest:
    """The request by which whoever holds `code` and the keys joins; `sealing_key` is the raw X25519 public key."""
    bare = JoinRequest(
        invite_id=code.id,
        name=code.name,
        signing_request=signing_request,
        key=signer.did,
        sealing_key=sealing_key,
        sealing_signature=signer.sign(sealing_statement(sealing_key)),
        description=canonical.encode(description),
        former_chain=former_chain,
    )
    transcript = join_transcript(bare, code.root_certificate)
    return msgspec.structs.replace(
        bare, key_proof=signer.sign(transcript), secret_proof=secret_proof(code.secret, transcript)
    )


def make_late_renewal(
    name: NodeName, *, signer: Signer, signing_request: bytes, root_certificate: bytes, now_ms: int
) -> LateRenewal:
    """The request of a node whose certificate has expired."""
    bare = LateRenewal(name=name, signing_request=signing_request, issued_at_ms=now_ms)
    return msgspec.structs.replace(bare, key_proof=signer.sign(renewal_transcript(bare, root_certificate)))


def sealing_statement(sealing_key: bytes) -> bytes:
    """What the node key signs to say that this X25519 key is its own."""
    return pae("sealing-key", sealing_key)


def join_transcript(request: JoinRequest, root_certificate: bytes) -> bytes:
    """Every field that counts, and the network: what both proofs of a join are over."""
    return pae(
        "join",
        sha256(root_certificate).digest(),
        request.invite_id.encode(),
        request.name.encode(),
        request.signing_request,
        request.key.encode(),
        request.sealing_key,
        request.sealing_signature,
        request.description,
        *request.former_chain,
    )


def renewal_transcript(request: LateRenewal, root_certificate: bytes) -> bytes:
    """What the node key signs in a late renewal."""
    return pae(
        "renew-expired",
        sha256(root_certificate).digest(),
        request.name.encode(),
        request.signing_request,
        b"%d" % request.issued_at_ms,
    )


def secret_proof(secret: bytes, transcript: bytes) -> bytes:
    """HMAC-SHA-256 (RFC 2104) of the invite's secret over the transcript."""
    return hmac.digest(secret, transcript, "sha256")
