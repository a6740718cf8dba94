"""Data Integrity proofs on JSON documents (W3C VC Data Integrity 1.0, Data Integrity EdDSA Cryptosuites v1.0).

What lives here: adding a proof to a document, and verifying all that it carries. What must not: what the document says
(`credentials.py`, `status_lists.py`), or RDF: whoever can canonicalise a graph hands the function in
(`node/formats/wallets.py`), and without it a document with such a proof is not verified here.
"""

from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, Literal

import msgspec

from federation import canonical
from federation.canonical import MalformedDocument, UnencodableValue
from federation.errors import BadCredential
from federation.keys import SIGNATURE_BYTES, MalformedKey, NodeKey, Signer, base58_decode, base58_encode
from federation.timestamps import to_text

JCS: Final = "eddsa-jcs-2022"
RDFC: Final = "eddsa-rdfc-2022"
PROOFS_MAX: Final = 8
DEPTH_MAX: Final = 32

Suite = Literal["eddsa-jcs-2022", "eddsa-rdfc-2022"]
Canonicalise = Callable[[dict[str, Any]], bytes]
"""From a JSON-LD document to its canonical N-Quads (RDFC-1.0); raises MalformedCredential or UnverifiedCredential."""

_TYPE: Final = "DataIntegrityProof"
_PROOF_VALUE_CHARS_MAX: Final = 96
_CONTEXT: Final = "@context"


class MalformedCredential(BadCredential):
    code = "LLN-2701"
    zh = "不是本网络可读的凭证：内容、字段或大小不符合要求。"
    en = "Not a credential this network can read: it is not what was expected, incomplete, or out of bounds."


class TamperedCredential(BadCredential):
    code = "LLN-2702"
    zh = "凭证的签名与内容不符：内容被改动，或签名不是颁发者的。请向颁发者重新索取。"
    en = "A proof does not match the credential: it was changed, or its issuer did not sign it. Ask the issuer for it."


class UnverifiedCredential(BadCredential):
    code = "LLN-2703"
    zh = "凭证没有本程序能够核验的签名，因此不能采信。"
    en = "The credential carries no proof that this program can verify, so it is not believed."


class VerifiedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A document all of whose known proofs are good, and at least one of them; only `verify` makes it.

    `signers` and `suites` in the order of the proofs; `members` is what they signed, the document without its proofs.
    """

    members: dict[str, Any]
    signers: tuple[NodeKey, ...]
    suites: tuple[Suite, ...]


class _Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What a proof of a known type must say; its other members are signed along with it."""

    verificationMethod: str  # noqa: N815  # the W3C's spelling
    proofPurpose: Literal["assertionMethod"]  # noqa: N815
    proofValue: str  # noqa: N815
    cryptosuite: Suite


def secure(document: bytes, signer: Signer, created_ms: int) -> bytes:
    """The document with an eddsa-jcs-2022 proof after those it has (vc-di-eddsa §3.3.1), as canonical bytes.

    Raises MalformedCredential for what is not a JSON object, UnencodableValue.
    """
    return add_proof(document, signer, created_ms, suite=JCS, canonicalise=canonical.encode)


def secure_members(members: dict[str, Any], signer: Signer, created_ms: int) -> bytes:
    """`secure` for members that were put together a moment ago and have no proof yet; raises UnencodableValue."""
    proof = _prove(members, signer, created_ms, suite=JCS, canonicalise=canonical.encode)
    return canonical.encode({**members, "proof": (proof,)})


def add_proof(
    document: bytes,
    signer: Signer,
    created_ms: int,
    *,
    suite: Suite,
    canonicalise: Canonicalise,
    in_front: bool = False,
) -> bytes:
    """The document with one more proof, as canonical bytes; the proofs it has stay good, since none signs another."""
    members = unverified_members(document, len(document))
    proofs = _take_proofs(members)
    if len(proofs) >= PROOFS_MAX:
        raise MalformedCredential("document", f"{len(proofs)} proofs already, at most {PROOFS_MAX}")
    proof = _prove(members, signer, created_ms, suite=suite, canonicalise=canonicalise)
    members["proof"] = [proof, *proofs] if in_front else [*proofs, proof]
    return canonical.encode(members)


def verify(document: bytes, *, bytes_max: int, rdf: Canonicalise | None = None) -> VerifiedDocument:
    """Check every proof of a known suite (vc-di-eddsa §3.2.2, §3.3.2); one bad one spoils the rest.

    Raises MalformedCredential, TamperedCredential, or UnverifiedCredential when no proof is of a known suite, or one
    is of a suite that needs `rdf`.
    """
    members = unverified_members(document, bytes_max)
    signers: list[NodeKey] = []
    suites: list[Suite] = []
    for stated in _take_proofs(members):
        if stated.get("type") != _TYPE or stated.get("cryptosuite") not in (JCS, RDFC):
            continue
        proof = _read_proof(stated)
        canonicalise = canonical.encode if proof.cryptosuite == JCS else rdf
        if canonicalise is None:
            raise UnverifiedCredential("proof", f"{proof.cryptosuite} is not verified without RDF canonicalisation")
        signers.append(_verified_signer(members, stated, proof, canonicalise))
        suites.append(proof.cryptosuite)
    if not signers:
        raise UnverifiedCredential("document", "no proof of a known suite")
    return VerifiedDocument(members=members, signers=tuple(signers), suites=tuple(suites))


def signer_of(proven: VerifiedDocument, issuer_did: str) -> NodeKey:
    """The one key behind all proofs, which is the issuer's. Raises TamperedCredential, UnverifiedCredential.

    One proof must be over the JSON itself: an RDF graph is also that of other documents, with members renamed or added
    that no context knows, and it is the JSON that is read here.
    """
    if any(key.did != issuer_did for key in proven.signers):
        raise TamperedCredential("proof", f"signed by another key than the issuer's, {issuer_did}")
    if JCS not in proven.suites:
        raise UnverifiedCredential("proof", f"no {JCS} proof, which is over the document itself")
    return proven.signers[0]


def unverified_members(document: bytes, bytes_max: int) -> dict[str, Any]:
    """The members of a document, proofs included, believed by nobody yet; raises MalformedCredential."""
    try:
        return canonical.decode(document, dict[str, Any], bytes_max=bytes_max, depth_max=DEPTH_MAX)
    except MalformedDocument as error:
        raise MalformedCredential("document", error.detail) from error


@lru_cache(maxsize=4_096)
def method_of(did: str) -> str:
    """The verification method of a `did:key`: the key, named by itself (did:key method §3.1.2)."""
    return f"{did}#{did.removeprefix('did:key:')}"


def _prove(
    members: dict[str, Any], signer: Signer, created_ms: int, *, suite: Suite, canonicalise: Canonicalise
) -> dict[str, Any]:
    options = {
        "type": _TYPE,
        "cryptosuite": suite,
        "created": to_text(created_ms),
        "verificationMethod": method_of(signer.did),
        "proofPurpose": "assertionMethod",
    }
    in_context = {**options, _CONTEXT: members[_CONTEXT]} if _CONTEXT in members else options
    signature = signer.sign(_to_sign(members, in_context, canonicalise))
    stated = in_context if suite == JCS else options  # only jcs leaves the context in (§3.3.1; §3.2.1)
    return {**stated, "proofValue": "z" + base58_encode(signature)}


def _take_proofs(members: dict[str, Any]) -> list[dict[str, Any]]:
    """The proofs, taken out of the document they were put into; a set is an array, a single one may stand alone."""
    stated = members.pop("proof", [])
    proofs = stated if isinstance(stated, list) else [stated]
    if len(proofs) > PROOFS_MAX or not all(isinstance(proof, dict) for proof in proofs):
        raise MalformedCredential("proof", f"expected at most {PROOFS_MAX} objects")
    return proofs


def _read_proof(stated: dict[str, Any]) -> _Proof:
    if "previousProof" in stated or "expires" in stated:
        raise UnverifiedCredential("proof", "proofs that follow another, or that expire, are not read")
    try:
        return msgspec.convert(stated, _Proof)
    except msgspec.ValidationError as error:
        raise MalformedCredential("proof", str(error)[:200]) from error


def _verified_signer(
    members: dict[str, Any], stated: dict[str, Any], proof: _Proof, canonicalise: Canonicalise
) -> NodeKey:
    options = {name: value for name, value in stated.items() if name != "proofValue"}
    signed = members
    if _CONTEXT in options:
        signed = _in_context_of_proof(members, options[_CONTEXT])
    elif proof.cryptosuite == RDFC and _CONTEXT in members:
        options[_CONTEXT] = members[_CONTEXT]  # vc-di-eddsa §3.2.5: without terms, no graph
    key = _key_of(proof.verificationMethod)
    try:
        message = _to_sign(signed, options, canonicalise)
    except UnencodableValue as error:
        raise MalformedCredential("document", error.detail) from error
    if not key.verify(message, _signature(proof.proofValue)):
        raise TamperedCredential("proof", f"not what {key.did} signed")
    return key


def _in_context_of_proof(members: dict[str, Any], named: Any) -> dict[str, Any]:
    """vc-di-eddsa §3.3.2: the document begins with the contexts that the proof names, and is signed under these."""
    found = members.get(_CONTEXT)
    if found == named:
        return members
    if not isinstance(named, list) or not isinstance(found, list) or found[: len(named)] != named:
        raise TamperedCredential("proof", "made in another context than the document's")
    return {**members, _CONTEXT: named}


def _key_of(method: str) -> NodeKey:
    did, _, _ = method.partition("#")
    try:
        key = NodeKey.parse(did)
    except MalformedKey as error:
        raise MalformedCredential("proof", error.detail) from error
    if method != method_of(did):
        raise MalformedCredential("proof", "its verification method is not a did:key that names itself")
    return key


def _signature(value: str) -> bytes:
    if not value.startswith("z") or len(value) > _PROOF_VALUE_CHARS_MAX:
        raise MalformedCredential("proof", "expected a proof value in base58btc")
    try:
        signature = base58_decode(value[1:])
    except MalformedKey as error:
        raise MalformedCredential("proof", error.detail) from error
    if len(signature) != SIGNATURE_BYTES:
        raise MalformedCredential("proof", f"a signature of {len(signature)} bytes, expected {SIGNATURE_BYTES}")
    return signature


def _to_sign(members: dict[str, Any], options: dict[str, Any], canonicalise: Canonicalise) -> bytes:
    """Hash of the proof's options, hash of the document without proofs (vc-di-eddsa §3.3.4)."""
    return sha256(canonicalise(options)).digest() + sha256(canonicalise(members)).digest()
