"""What a conversion is decided upon: a learner's lots, and what the receiver knows.

What lives here: the values that go into `conversion.evaluate`. What must not: anything that decides.
"""

from datetime import date
from typing import Annotated

import msgspec
from msgspec import Meta

from federation.amounts import Hundredths, QualificationLevel, Scales, Unit
from federation.conversion_rules import Grade, RuleId, ScoreScale, Version
from federation.credits import AchievementId, LotId, OutcomeKind, RecordState, ScopeKey
from federation.naming import NameField

ProgrammeId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:/-]*$", max_length=128)]
"""Empty where no programme is at hand."""


class SourceLot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A lot as a conversion sees it: what its record says, and how much of it is left."""

    id: LotId
    record_state: RecordState = "active"
    achievement: AchievementId
    achievement_version: Version = 1
    issuer: NameField
    kind: OutcomeKind
    unit: Unit
    granted: Hundredths
    available: Hundredths
    achieved_on: date
    expires_on: date | None = None
    level: QualificationLevel | None = None
    score: Hundredths | None = None
    score_scale: ScoreScale = "percent"
    grade: Grade | None = None
    is_converted: bool = False


class SourceMark(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where a grant came from, as far as caps go."""

    achievement: AchievementId
    issuer: NameField


class PriorGrant(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What this learner was granted before, one per grant and unit: what caps, residency and exclusion groups count."""

    rule_id: RuleId
    sources: tuple[SourceMark, ...]
    programme: ProgrammeId = ""
    unit: Unit
    amount: Hundredths
    granted_on: date
    exclusion_groups: tuple[str, ...] = ()


class EarnedHere(msgspec.Struct, frozen=True, kw_only=True):
    """What the learner has earned at the receiver itself, in the programme at hand if there is one."""

    unit: Unit
    amount: Hundredths


class ConsumedScope(msgspec.Struct, frozen=True, kw_only=True):
    """That a lot was used, or is reserved, in a scope."""

    lot_id: LotId
    scope_key: ScopeKey


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the receiver knows of one learner; `scales` is what the network has agreed on."""

    receiver: NameField
    programme: ProgrammeId = ""
    granted: tuple[PriorGrant, ...] = ()
    earned_here: tuple[EarnedHere, ...] = ()
    consumed: tuple[ConsumedScope, ...] = ()
    scales: Scales = Scales()
