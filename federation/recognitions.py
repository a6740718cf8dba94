"""Recognition 认定: that one node accepts another's achievement, or one credential of it, as an EndorsementCredential.

What lives here: the type, and the way to signed bytes and back. What must not: what recognition is worth in credits
(`conversion.py`).
"""

from hashlib import sha256
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from federation import canonical, document_proofs
from federation import open_badges as ob
from federation.catalogue import EpochMs
from federation.credentials import CREDENTIAL_BYTES_MAX, UnwritableRecord, WrongIssuer
from federation.credit_records import (
    CredentialId,
    RecordIssuer,
    StatusSlot,
    Version,
)
from federation.credits import AchievementId, Sha256Hex
from federation.document_proofs import MalformedCredential
from federation.keys import NodeKey, Signer
from federation.open_badges_reading import CredentialShape, only, to_digest, to_issuer, to_slot
from federation.timestamps import to_text

TYPES: Final = ("VerifiableCredential", "EndorsementCredential")

_ACHIEVEMENT: Final = "recognised_achievement"
_CREDENTIAL: Final = "recognised_credential"
_VERSION: Final = "version "


class RecognisedAchievement(msgspec.Struct, frozen=True, kw_only=True, tag_field="recognised", tag="achievement"):
    """Everybody's credential of this version of an achievement."""

    id: AchievementId
    version: Version


class RecognisedCredential(msgspec.Struct, frozen=True, kw_only=True, tag_field="recognised", tag="credential"):
    """One learner's credential; `sha256` of its bytes as they were issued."""

    id: CredentialId
    sha256: Sha256Hex


class Recognition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`comment` says in the recogniser's words what is recognised as what."""

    id: CredentialId
    issuer: RecordIssuer
    of: RecognisedAchievement | RecognisedCredential
    comment: Annotated[str, Meta(max_length=2_000)] = ""
    valid_from_ms: EpochMs
    valid_until_ms: EpochMs | None = None
    status: StatusSlot | None = None

    def __post_init__(self) -> None:
        if self.valid_until_ms is not None and self.valid_until_ms < self.valid_from_ms:
            raise ValueError("a recognition's validity ends after it begins")


class VerifiedRecognition(msgspec.Struct, frozen=True, kw_only=True):
    """A recognition whose every known proof is good and its issuer's; only `verify` makes it."""

    recognition: Recognition
    issuer: NodeKey
    document: bytes
    sha256: str


class _Endorsed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    id: Annotated[str, Meta(max_length=300)]
    type: Annotated[tuple[str, ...], Meta(max_length=4)]
    endorsement_comment: Annotated[str, Meta(max_length=2_000)] = ""


class _Shape(CredentialShape, frozen=True, kw_only=True):
    credential_subject: _Endorsed


def build(recognition: Recognition) -> bytes:
    """The unsecured endorsement: canonical JSON without a proof; raises UnwritableRecord."""
    try:
        document = canonical.encode(_to_members(recognition))
        if read(document) == recognition:
            return document
    except (ValueError, canonical.UnencodableValue, MalformedCredential) as error:
        raise UnwritableRecord(recognition.id[:64], getattr(error, "detail", "") or str(error)) from error
    raise UnwritableRecord(recognition.id[:64], "it would be read as another recognition")


def issue(recognition: Recognition, signer: Signer, created_ms: int) -> bytes:
    """The recognition as its issuer's node signs it, to be stored verbatim; raises UnwritableRecord, WrongIssuer."""
    if recognition.issuer.did != signer.did:
        raise WrongIssuer(recognition.id[:64], f"issuer {recognition.issuer.did}, signer {signer.did}")
    return document_proofs.secure(build(recognition), signer, created_ms)


def read(document: bytes) -> Recognition:
    """What a recognition says, believed by nobody yet; raises MalformedCredential."""
    return _recognition(document_proofs.unverified_members(document, CREDENTIAL_BYTES_MAX))


def verify(document: bytes) -> VerifiedRecognition:
    """The recognition in an endorsement; raises as `credentials.verify` does."""
    proven = document_proofs.verify(document, bytes_max=CREDENTIAL_BYTES_MAX)
    recognition = _recognition(proven.members)
    issuer = document_proofs.signer_of(proven, recognition.issuer.did)
    return VerifiedRecognition(
        recognition=recognition, issuer=issuer, document=document, sha256=sha256(document).hexdigest()
    )


def _to_members(recognition: Recognition) -> dict[str, Any]:
    of = recognition.of
    if isinstance(of, RecognisedCredential):
        evidence = ob.to_evidence(_CREDENTIAL, of.id, "被认定的学分记录 Recognised record", ob.DIGEST + of.sha256)
    else:
        evidence = ob.to_evidence(
            _ACHIEVEMENT, of.id, "被认定的学习成果 Recognised achievement", _VERSION + str(of.version)
        )
    members: dict[str, Any] = {
        "@context": ob.CONTEXTS,
        "id": recognition.id,
        "type": TYPES,
        "name": "认定 Recognition",
        "issuer": ob.to_profile(recognition.issuer),
        "validFrom": to_text(recognition.valid_from_ms),
        "credentialSubject": {
            "id": of.id,
            "type": ("EndorsementSubject",),
            "endorsementComment": recognition.comment,
        },
        "evidence": (evidence,),
    }
    if recognition.valid_until_ms is not None:
        members["validUntil"] = to_text(recognition.valid_until_ms)
    if recognition.status is not None:
        members["credentialStatus"] = ob.to_status(recognition.status)
    return members


def _recognition(members: dict[str, Any]) -> Recognition:
    try:
        shape = msgspec.convert(members, _Shape)
        shape.check_is(TYPES, ob.CONTEXTS)
        valid_from_ms, valid_until_ms = shape.span()
        stated = {
            "id": shape.id,
            "issuer": to_issuer(shape.issuer),
            "of": _recognised(shape),
            "comment": shape.credential_subject.endorsement_comment,
            "valid_from_ms": valid_from_ms,
            "valid_until_ms": valid_until_ms,
            "status": to_slot(shape.credential_status),
        }
        return msgspec.convert(stated, Recognition)
    except (ValueError, msgspec.ValidationError) as error:
        raise MalformedCredential("recognition", canonical.reason(error)) from error


def _recognised(shape: _Shape) -> dict[str, Any]:
    told = only([one for one in shape.evidence if one.genre in (_ACHIEVEMENT, _CREDENTIAL)])
    if told is None or told.id != shape.credential_subject.id:
        raise ValueError("what is recognised is named once as the subject and once in evidence")
    if told.genre == _CREDENTIAL:
        return {"recognised": "credential", "id": told.id, "sha256": to_digest(told.description)}
    version = told.description.removeprefix(_VERSION)
    if not version.isascii() or not version.isdigit() or len(version) > 7:
        raise ValueError("a version was expected")
    return {"recognised": "achievement", "id": told.id, "version": int(version)}
