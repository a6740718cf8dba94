"""Offline proof 离线证明: one document by which a credential can be verified years later and with no network.

What lives here: what is in a bundle, putting one together, and verifying it from the pinned root alone. What must not:
asking anybody, or the table of outcomes (`credential_verdicts.py`).

The moment that a bundle speaks of is when the issuer's authority cosigned its log: then the certificates were valid,
the node was admitted and the commitment to the issue stood in the log. Whether the credential is still good at a later
moment depends on its dates and on the status lists, which grow stale.
"""

import base64
from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from federation import canonical, credentials, credit_log, status_lists
from federation.canonical import MalformedDocument
from federation.certificate_profile import CHAIN_CERTIFICATES_MAX, read_authority
from federation.certificates import VerifiedNode, verify_node_chain
from federation.checkpoints import BadCosignature, verify_cosignature
from federation.credential_verdicts import (
    Answers,
    Inclusion,
    Signature,
    Verdict,
    bit_of,
    dates_of,
    judge,
)
from federation.credentials import CREDENTIAL_BYTES_MAX, VerifiedCredential
from federation.credit_log import EventCommitted, MalformedCreditEntry
from federation.document_proofs import TamperedCredential, UnverifiedCredential
from federation.errors import BadCredential, BadLog, UntrustedPeer
from federation.keys import NodeKey
from federation.log_proofs import PROOF_BYTES_MAX, LogProof, verify_proof
from federation.logs import LogId
from federation.naming import NodeName
from federation.status_lists import LIST_BYTES_MAX, VerifiedStatusList
from federation.timestamps import MS_MAX

FORMAT: Final = "lln-bundle-v1"
BUNDLE_BYTES_MAX: Final = 2 * 1024 * 1024

_Certificate = Annotated[str, Meta(pattern=r"^[A-Za-z0-9+/]+=*$", max_length=8_192)]


class MalformedBundle(BadCredential):
    code = "LLN-2706"
    zh = "不是可读的离线证明文件，或文件不完整。请向颁发者重新索取。"
    en = "Not an offline proof this program can read, or an incomplete one. Ask the issuer for it again."


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that proves one credential; documents stand in it as the very text that was signed.

    `log_proof` is a C2SP tlog-proof of the entry that commits to the issue, with its cosigned checkpoint; `event` and
    `salt` open that commitment. `chain`: DER in base64, the issuer's own certificate first; `root` the network's.
    """

    format: Literal["lln-bundle-v1"] = FORMAT
    credential: Annotated[str, Meta(max_length=CREDENTIAL_BYTES_MAX)]
    revocation_list: Annotated[str, Meta(max_length=LIST_BYTES_MAX)] = ""
    suspension_list: Annotated[str, Meta(max_length=LIST_BYTES_MAX)] = ""
    event: Annotated[str, Meta(max_length=credit_log.DOCUMENT_BYTES_MAX)]
    salt: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{22,86}$")]
    log_proof: Annotated[str, Meta(max_length=PROOF_BYTES_MAX)]
    chain: Annotated[tuple[_Certificate, ...], Meta(max_length=CHAIN_CERTIFICATES_MAX)]
    root: _Certificate


class BundleVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle proves. `credential` None: not even its signature holds. `issuer` None: not of this network.

    `logged_at_ms`: when the authority vouched that the issue stood in the log; None where nothing vouches for that.
    """

    verdict: Verdict
    credential: VerifiedCredential | None
    issuer: VerifiedNode | None
    logged_at_ms: int | None


def make_bundle(
    *,
    credential: bytes,
    lists: Sequence[bytes],
    event: bytes,
    salt: bytes,
    log_proof: bytes,
    chain: Sequence[bytes],
    root: bytes,
) -> bytes:
    """The bundle as canonical bytes; `lists` the revocation list and its sister, or nothing for a record without slot.

    `log_proof` is what `log_proofs.write_proof` gives for the full entry. Raises MalformedBundle for what is not text.
    """
    try:
        revocation_list, suspension_list = (one.decode() for one in lists) if lists else ("", "")
        bundle = Bundle(
            credential=credential.decode(),
            revocation_list=revocation_list,
            suspension_list=suspension_list,
            event=event.decode(),
            salt=credit_log.salt_to_text(salt),
            log_proof=log_proof.decode(),
            chain=tuple(base64.b64encode(der).decode() for der in chain),
            root=base64.b64encode(root).decode(),
        )
    except ValueError as error:
        raise MalformedBundle("bundle", "a part of it is not text") from error
    return canonical.encode(bundle)


def read_bundle(document: bytes) -> Bundle:
    """The parts of a bundle, believed by nobody yet; raises MalformedBundle."""
    try:
        return canonical.decode(document, Bundle, bytes_max=BUNDLE_BYTES_MAX)
    except MalformedDocument as error:
        raise MalformedBundle("bundle", error.detail) from error


def root_fingerprint(root: bytes) -> str:
    """SHA-256 of a root certificate (DER), in hex: what a verifier pins, on paper if need be."""
    return sha256(root).hexdigest()


def verify_bundle(document: bytes, *, root_sha256: str, as_of_ms: int) -> BundleVerdict:
    """What a bundle proves as of a moment, to whoever trusts the root with this fingerprint and nothing else.

    Raises MalformedBundle, and nothing else: all other failures are outcomes.
    """
    bundle = read_bundle(document)
    # 1. The credential, by itself.
    try:
        credential = credentials.verify(bundle.credential.encode())
    except TamperedCredential:
        return _unproven("bad")
    except UnverifiedCredential:
        return _unproven("unverified")
    except BadCredential as error:
        raise MalformedBundle("bundle", error.detail) from error
    # 2. The log entry: what was committed to is the issue of these very bytes.
    trace = _trace(bundle, credential, root_sha256, as_of_ms)
    # 3. The status lists; one that does not verify says nothing.
    held = (_verified_list(bundle.revocation_list), _verified_list(bundle.suspension_list))
    answers = Answers(
        signature="good",
        issuer="admitted" if trace.issuer else "unknown",
        revocation=bit_of(credential.record, "revocation", held[0], as_of_ms),
        suspension=bit_of(credential.record, "suspension", held[1], as_of_ms),
        dates=dates_of(credential.record, as_of_ms),
        inclusion=trace.inclusion,
        list_age_ms=_age_ms(held, as_of_ms),
    )
    return BundleVerdict(
        verdict=judge(answers), credential=credential, issuer=trace.issuer, logged_at_ms=trace.logged_at_ms
    )


def _unproven(signature: Signature) -> BundleVerdict:
    answers = Answers(signature=signature, issuer="unknown", revocation="unknown", suspension="unknown", dates="within")
    return BundleVerdict(verdict=judge(answers), credential=None, issuer=None, logged_at_ms=None)


class _Trace(msgspec.Struct, frozen=True, kw_only=True):
    """Who issued, if that is a node of this network, and whether its log has the issue."""

    issuer: VerifiedNode | None = None
    logged_at_ms: int | None = None
    inclusion: Inclusion = "unproven"


def _trace(bundle: Bundle, credential: VerifiedCredential, root_sha256: str, as_of_ms: int) -> _Trace:
    root, *chain = (_certificate(one) for one in (bundle.root, *bundle.chain))
    if root_fingerprint(root) != root_sha256:
        return _Trace()
    try:
        # Whose cosignature to look for stands in a certificate that is only verified after it, at the moment it names.
        witness = _witness(chain, root)
        logged_at_ms = None if witness is None else _cosigned_at_ms(bundle, witness)
        node = verify_node_chain(chain, root, as_of_ms if logged_at_ms is None else logged_at_ms)
    except (UntrustedPeer, ValueError):
        return _Trace()
    except BadLog:
        return _Trace(inclusion="disproven")
    if (node.name, node.key) != (credential.record.issuer.node, credential.issuer):
        return _Trace()
    is_logged = _is_logged(bundle, credential, node, witness)
    return _Trace(issuer=node, logged_at_ms=logged_at_ms, inclusion="proven" if is_logged else "disproven")


def _certificate(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise MalformedBundle("bundle", "a certificate that is not base64") from error


def _witness(chain: Sequence[bytes], root: bytes) -> tuple[NodeName, NodeKey] | None:
    """The authority right above the issuer; the root has none."""
    if not chain:
        return None
    claims = read_authority([*chain, root][1]).claims
    return claims.name, NodeKey.parse(claims.did)


def _cosigned_at_ms(bundle: Bundle, witness: tuple[NodeName, NodeKey]) -> int:
    name, key = witness
    at_ms = 1_000 * verify_cosignature(LogProof.parse(bundle.log_proof.encode()).note, name, key).timestamp
    if at_ms > MS_MAX:  # C2SP allows what no calendar does
        raise BadCosignature(name, "cosigned after the year 9999")
    return at_ms


def _is_logged(
    bundle: Bundle, credential: VerifiedCredential, node: VerifiedNode, witness: tuple[NodeName, NodeKey] | None
) -> bool:
    """Whether the node's log commits to the issue of exactly these bytes."""
    witnesses = {} if witness is None else {str(witness[0]): witness[1]}
    try:
        log = LogId(origin=node.name, topic=credit_log.TOPIC)
        proof = verify_proof(bundle.log_proof.encode(), log=log, key=node.key, witnesses=witnesses)
        entry = credit_log.read_entry(proof.document or b"")
        document, salt = bundle.event.encode(), credit_log.salt_from_text(bundle.salt)
        if not isinstance(entry, EventCommitted) or not credit_log.opens(entry, document, salt):
            return False
        is_issue = credit_log.is_issue_of(document, credential.record.id, credential.sha256)
    except (BadLog, MalformedCreditEntry, ValueError):
        return False
    return is_issue and entry.issuer == node.name


def _verified_list(text: str) -> VerifiedStatusList | None:
    """A list that does not verify says nothing."""
    try:
        return status_lists.verify(text.encode())
    except BadCredential:
        return None


def _age_ms(held: Sequence[VerifiedStatusList | None], as_of_ms: int) -> int | None:
    signed = [one.statuses.valid_from_ms for one in held if one is not None]
    return as_of_ms - min(signed) if signed else None
