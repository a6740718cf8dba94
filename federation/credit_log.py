"""The `credits` log: what a node says of credits in the open, and the salted commitments to what it does not.

What lives here: its documents, the commitment and its opening. What must not: what an event changes (`credits.py`), or
what a rule means (`conversion.py`): a rule is a document that passes through.

In the open stand achievements, rules and recognitions of achievements. Of everything that happens to one learner's
record only a commitment is logged: SHA-256 over a salt and the event document, both of which stay with the record.
The entry says what kind of event it is and on which day (UTC). It holds no name, number, score or credential id;
without the salt nobody can try a guess against it, and once the record and its salt are erased it is 32 random bytes.
That an event of a kind happened on a day is not hidden: the number of entries and the times of checkpoints tell that
much in any log.
"""

import base64
import hmac
from hashlib import sha256
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from federation import canonical, merkle
from federation.canonical import MalformedDocument
from federation.catalogue import EpochMs, Salt
from federation.credit_records import Achievement, CredentialId
from federation.credits import Sha256Hex
from federation.errors import BadCredential
from federation.framing import pae
from federation.naming import NameField

TOPIC: Final = "credits"
DOCUMENT_BYTES_MAX: Final = 65_536
SALT_BYTES: Final = 32
SALT_BYTES_MIN: Final = 16
DAY_MS: Final = 86_400_000

EventKind = Literal[
    "issue",
    "suspend",
    "resume",
    "revoke",
    "supersede",
    "expire",
    "reserve",
    "commit",
    "void",
    "convert",
    "recognise",
]

ISSUING_KINDS: Final = frozenset({"issue", "convert"})
"""Events by which a credential comes into being."""
_PURPOSE: Final = "credit-event"


class MalformedCreditEntry(BadCredential):
    code = "LLN-2705"
    zh = "学分存证日志的条目或事件不符合要求，未采用。"
    en = "An entry or event of a credits log is not as expected; it was not used."


class CreditEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened to one record; kept with it, logged as a commitment.

    `sha256` of the credential's bytes as issued; `about` whatever the event concerns besides: a receipt, a lot, the
    record that supersedes this one.
    """

    kind: EventKind
    credential: CredentialId
    sha256: Sha256Hex
    at_ms: EpochMs
    about: Annotated[str, Meta(max_length=300)] = ""


class _Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="entry"):
    issuer: NameField


class EventCommitted(_Entry, frozen=True, kw_only=True, tag="event_committed"):
    """Something happened to somebody's record; `day_ms` is the first moment of that day, UTC."""

    kind: EventKind
    commitment: Sha256Hex
    day_ms: EpochMs


class AchievementDefined(_Entry, frozen=True, kw_only=True, tag="achievement_defined"):
    """A version of an achievement, from now on issued by this node and open to rules and recognition.

    `grades` from lowest to highest, where it is graded in words; `valid_for_days` None: for ever; `number_pattern`
    shows how certificates are numbered, for people to read.
    """

    achievement: Achievement
    grades: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...], Meta(max_length=32)] = ()
    valid_for_days: Annotated[int, Meta(ge=1, le=36_500)] | None = None
    number_pattern: Annotated[str, Meta(max_length=64)] = ""
    at_ms: EpochMs
    salt: Salt


class RulePublished(_Entry, frozen=True, kw_only=True, tag="rule_published"):
    """A version of a conversion rule; `rule` is the rule's document, of which the canonical bytes count."""

    rule: dict[str, Any]
    at_ms: EpochMs
    salt: Salt

    @property
    def document(self) -> bytes:
        return canonical.encode(self.rule)


class RecognitionMade(_Entry, frozen=True, kw_only=True, tag="recognition_made"):
    """A recognition of an achievement, as the signed endorsement (`recognitions.py`); canonical bytes, as issued.

    A recognition of one learner's credential is an event of that record and is never logged in the open.
    """

    recognition: dict[str, Any]
    at_ms: EpochMs
    salt: Salt

    @property
    def document(self) -> bytes:
        return canonical.encode(self.recognition)


CreditEntry = EventCommitted | AchievementDefined | RulePublished | RecognitionMade


def read_entry(document: bytes) -> CreditEntry:
    """One document of a `credits` log; raises MalformedCreditEntry."""
    try:
        entry: CreditEntry = canonical.decode(document, CreditEntry, bytes_max=DOCUMENT_BYTES_MAX)
    except MalformedDocument as error:
        raise MalformedCreditEntry("credits log", error.detail) from error
    return entry


def read_event(document: bytes) -> CreditEvent:
    """The event document that a commitment was opened with; raises MalformedCreditEntry."""
    try:
        return canonical.decode(document, CreditEvent, bytes_max=DOCUMENT_BYTES_MAX)
    except MalformedDocument as error:
        raise MalformedCreditEntry("credit event", error.detail) from error


def commit(event: CreditEvent, *, issuer: NameField, salt: bytes) -> tuple[bytes, EventCommitted]:
    """The event's document, to be kept with its salt, and the entry to be logged. `salt`: 16 or more random bytes."""
    document = canonical.encode(event)
    entry = EventCommitted(
        issuer=issuer,
        kind=event.kind,
        commitment=commitment_of(document, salt),
        day_ms=event.at_ms - event.at_ms % DAY_MS,
    )
    return document, entry


def commitment_of(event_document: bytes, salt: bytes) -> str:
    """SHA-256, in hex, over the framed salt and event: nobody can move the border between the two."""
    assert len(salt) >= SALT_BYTES_MIN, len(salt)  # noqa: S101  # random, from our own machine
    return sha256(pae(_PURPOSE, salt, event_document)).hexdigest()


def opens(entry: EventCommitted, event_document: bytes, salt: bytes) -> bool:
    """Whether this event, with this salt, is what the entry committed to, on the day and of the kind it says."""
    if len(salt) < SALT_BYTES_MIN or not hmac.compare_digest(commitment_of(event_document, salt), entry.commitment):
        return False
    event = read_event(event_document)
    return event.kind == entry.kind and event.at_ms - event.at_ms % DAY_MS == entry.day_ms


def leaf_of(event_document: bytes, salt: bytes, issuer: NameField) -> bytes:
    """The leaf hash of the entry that commits to an event; raises MalformedCreditEntry."""
    document, entry = commit(read_event(event_document), issuer=issuer, salt=salt)
    if document != event_document:
        raise MalformedCreditEntry("credit event", "not in the one spelling that is committed to")
    return merkle.leaf_hash(canonical.encode(entry))


def is_issue_of(event_document: bytes, credential: CredentialId, sha256_hex: Sha256Hex) -> bool:
    """Whether an event says that exactly this credential came into being; raises MalformedCreditEntry."""
    event = read_event(event_document)
    return event.kind in ISSUING_KINDS and (event.credential, event.sha256) == (credential, sha256_hex)


def salt_to_text(salt: bytes) -> str:
    """Base64url without padding, as salts stand in documents."""
    return base64.urlsafe_b64encode(salt).rstrip(b"=").decode()


def salt_from_text(text: str) -> bytes:
    """The way back; raises ValueError."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
