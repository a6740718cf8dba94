"""A credit record 学分记录 as this program thinks of it: who achieved what, where, with what result, worth how much.

What lives here: the types, valid from birth. What must not: their JSON (`open_badges.py`), signatures
(`document_proofs.py`), or what becomes of a record after it is issued (`credits.py`).
"""

from datetime import date
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from federation.amounts import HUNDREDTHS_MAX, Amount, Hundredths, QualificationLevel
from federation.catalogue import BilingualLine, EpochMs
from federation.credits import AchievementId, OutcomeKind, RuleReference, Sha256Hex
from federation.directory import Did
from federation.naming import NameField

SOURCES_MAX: Final = 32
SLOTS: Final = 131_072
"""Places in one status list: the least that hides whose bit is looked at (Bitstring Status List §1.3)."""

CredentialId = Annotated[
    str, Meta(pattern=r"^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$", max_length=45)
]
Subject = Annotated[str, Meta(pattern=r"^urn:[a-z0-9][a-z0-9-]{1,31}:[A-Za-z0-9._:=-]+$", max_length=128)]
"""A learner under a pseudonym that only issuer and receiver share; opaque."""
StatusListId = Annotated[str, Meta(pattern=r"^https://[a-z0-9.-]+/status/[0-9]{1,9}/revocation$", max_length=300)]
Version = Annotated[int, Meta(ge=1, le=1_000_000)]
Title = BilingualLine


class Achievement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """学习成果: what can be achieved, in one immutable version; `credits` is what it is worth in full, if it says."""

    id: AchievementId
    version: Version = 1
    name: Title
    kind: OutcomeKind
    criteria: Annotated[str, Meta(max_length=4_000)] = ""
    level: QualificationLevel | None = None
    credits: Amount | None = None

    def __post_init__(self) -> None:
        if not str(self.name):
            raise ValueError("an achievement has a name in Chinese or in English")


class Score(msgspec.Struct, frozen=True, kw_only=True, tag_field="form", tag="score"):
    """A result as a number: 8650 hundredths of a scale that ends at 10000 are 86.5 of 100."""

    hundredths: Hundredths
    scale_hundredths: Annotated[int, Meta(ge=1, le=HUNDREDTHS_MAX)]

    def __post_init__(self) -> None:
        if self.hundredths > self.scale_hundredths:
            raise ValueError("a score lies within its scale")


class Grade(msgspec.Struct, frozen=True, kw_only=True, tag_field="form", tag="grade"):
    """A result as a word: 优秀, pass, B+."""

    text: Annotated[str, Meta(min_length=1, max_length=64)]


class RecordIssuer(msgspec.Struct, frozen=True, kw_only=True):
    """The node that issues, and vouches with its node key; its name may change later, its key is what counts."""

    did: Did
    node: NameField
    title: Title

    def __post_init__(self) -> None:
        if not str(self.title):
            raise ValueError("an issuer has a title in Chinese or in English")


class StatusSlot(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Where a record's bit stands: in the revocation list named here and, at the same index, in its sister list."""

    list: StatusListId
    index: Annotated[int, Meta(ge=0, lt=SLOTS)]


class SourceCredential(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A credential that credits were converted from; `sha256` of its bytes as they were issued."""

    id: CredentialId
    sha256: Sha256Hex


class Conversion(msgspec.Struct, frozen=True, kw_only=True):
    """转换: what a record was converted from, and by which rule."""

    sources: Annotated[tuple[SourceCredential, ...], Meta(min_length=1, max_length=SOURCES_MAX)]
    rule: RuleReference


class CreditRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One learner's achievement at one issuer. `conversion` None: original; `supersedes`: the record it corrects.

    `hours` whole hours of learning; `number` what the certificate on paper is numbered; `evidence_sha256` of whatever
    the issuer keeps as evidence.
    """

    id: CredentialId
    achievement: Achievement
    subject: Subject
    issuer: RecordIssuer
    amount: Amount
    achieved_on: date
    valid_from_ms: EpochMs
    valid_until_ms: EpochMs | None = None
    result: Score | Grade | None = None
    hours: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    number: Annotated[str, Meta(max_length=64)] = ""
    evidence_sha256: Sha256Hex | None = None
    status: StatusSlot | None = None
    conversion: Conversion | None = None
    supersedes: CredentialId | None = None

    def __post_init__(self) -> None:
        if self.valid_until_ms is not None and self.valid_until_ms < self.valid_from_ms:
            raise ValueError("a record's validity ends after it begins")
        worth = self.achievement.credits
        if worth is not None and worth.unit != self.amount.unit:
            raise ValueError("credits are earned in the unit that the achievement is worth")
