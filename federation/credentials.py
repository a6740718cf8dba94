"""A credit record as an Open Badges 3.0 credential: build, issue, read, verify (DESIGN.md §7).

What lives here: the way from a `CreditRecord` to the bytes that are stored and relayed verbatim, and back. What must
not: the look of the JSON (`open_badges.py`), the arithmetic of proofs (`document_proofs.py`), or whether the issuer is
admitted and the record still in force (`credential_verdicts.py`).
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

import msgspec

from federation import canonical, document_proofs
from federation.credit_records import CreditRecord
from federation.document_proofs import (
    Canonicalise,
    MalformedCredential,
    Suite,
)
from federation.errors import InvalidInput
from federation.keys import NodeKey, Signer
from federation.open_badges import to_members
from federation.open_badges_reading import RecordShape, to_record

CREDENTIAL_BYTES_MAX: Final = 65_536
ISSUED_BYTES_MAX: Final = CREDENTIAL_BYTES_MAX - 4 * 1_024
"""What is left is for the proofs that are added to copies."""


class UnwritableRecord(InvalidInput):
    code = "LLN-1190"
    zh = "学分记录的某一项超出允许的范围，不能颁发。请按提示修改后再试。"
    en = "Something in the credit record is out of bounds, so it cannot be issued. Correct it as described."


class WrongIssuer(InvalidInput):
    code = "LLN-1191"
    zh = "文件写明的颁发者不是本节点的密钥，不能用它签名。"
    en = "The document names another issuer than this node's key, so this key does not sign it."


class VerifiedCredential(msgspec.Struct, frozen=True, kw_only=True):
    """A credit record whose every known proof is good and its issuer's; only `verify` makes it.

    `document` is as it came in; `sha256` (hex) is of exactly these bytes; `suites` are the cryptosuites of its proofs.
    """

    record: CreditRecord
    issuer: NodeKey
    document: bytes
    sha256: str
    suites: tuple[Suite, ...]


def build(record: CreditRecord) -> bytes:
    """The unsecured credential: canonical JSON (RFC 8785) without a proof. Raises UnwritableRecord."""
    return _written(record, canonical.encode)


def issue(record: CreditRecord, signer: Signer, created_ms: int) -> bytes:
    """The record as its issuer's node signs it: canonical bytes with one eddsa-jcs-2022 proof, to be stored verbatim.

    Raises UnwritableRecord, or WrongIssuer when the record names another key than the signer's.
    """
    if record.issuer.did != signer.did:
        raise WrongIssuer(record.id[:64], f"issuer {record.issuer.did}, signer {signer.did}")
    return _written(record, lambda members: document_proofs.secure_members(members, signer, created_ms))


def _written(record: CreditRecord, write: Callable[[dict[str, Any]], bytes]) -> bytes:
    """The bytes, of a record that will be read back as the very same: nothing out of bounds is ever signed."""
    try:
        members = to_members(record)
        if _record(members) != record:
            raise UnwritableRecord(record.id[:64], "it would be read as another record")
        document = write(members)
    except (ValueError, canonical.UnencodableValue, MalformedCredential) as error:
        raise UnwritableRecord(record.id[:64], getattr(error, "detail", "") or str(error)) from error
    if len(document) > ISSUED_BYTES_MAX:
        raise UnwritableRecord(record.id[:64], f"{len(document)} bytes, at most {ISSUED_BYTES_MAX}")
    return document


def read(document: bytes) -> CreditRecord:
    """What a credential says, believed by nobody yet; raises MalformedCredential."""
    return _record(document_proofs.unverified_members(document, CREDENTIAL_BYTES_MAX))


def verify(document: bytes, *, rdf: Canonicalise | None = None) -> VerifiedCredential:
    """The record in a credential, each of its known proofs checked against the issuer's key.

    Raises MalformedCredential, TamperedCredential, UnverifiedCredential. An eddsa-rdfc-2022 proof beside the others is
    checked with `rdf`, and refused without. Says nothing of dates, status, admission.
    """
    proven = document_proofs.verify(document, bytes_max=CREDENTIAL_BYTES_MAX, rdf=rdf)
    record = _record(proven.members)
    issuer = document_proofs.signer_of(proven, record.issuer.did)
    return VerifiedCredential(
        record=record, issuer=issuer, document=document, sha256=sha256(document).hexdigest(), suites=proven.suites
    )


def _record(members: dict[str, Any]) -> CreditRecord:
    """Read from the value that was signed, never from its text: that may hold digits which no double keeps."""
    try:
        return to_record(msgspec.convert(members, RecordShape))
    except (ValueError, msgspec.ValidationError) as error:
        raise MalformedCredential("credential", canonical.reason(error)) from error
