"""Balances and progress: how much of what, and how far in a programme 课程群.

What lives here: adding up by unit, kind and level, and counting each lot once in a programme. What must not: a total
across kinds; there is none without a rule.
"""

from collections.abc import Iterable
from datetime import date
from typing import Annotated, Final

import msgspec
from msgspec import Meta, structs

from federation.amounts import Hundredths, QualificationLevel, Unit
from federation.catalogue import BilingualLine
from federation.conversion_facts import SourceLot
from federation.conversion_rules import AchievementPattern, matches
from federation.credits import AchievementId, LotId, OutcomeKind
from federation.matching import fill_places
from federation.naming import NameField

COURSES_MIN: Final = 3
COURSES_MAX: Final = 10


class Balance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one learner holds of one unit, kind and level."""

    unit: Unit
    kind: OutcomeKind
    level: QualificationLevel | None = None
    granted: int
    available: int
    lots: int


class ProgrammeCourse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One place in a programme: the achievements that fill it, and how much of a unit they must bring."""

    achievements: Annotated[tuple[AchievementPattern, ...], Meta(min_length=1, max_length=64)]
    title: BilingualLine
    unit: Unit
    amount: Hundredths


class Programme(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """课程群/微专业: three to ten courses; `required` of them (default all) earn the proof."""

    id: AchievementId
    version: Annotated[int, Meta(ge=1, le=1_000_000)]
    authority: NameField
    title: BilingualLine
    courses: Annotated[tuple[ProgrammeCourse, ...], Meta(min_length=COURSES_MIN, max_length=COURSES_MAX)]
    required: Annotated[int, Meta(ge=1, le=COURSES_MAX)] | None = None


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Which lot fills which course (None: still open), and whether the proof is earned."""

    programme: str
    filled: tuple[LotId | None, ...]
    required: int
    is_complete: bool


def balances_of(lots: Iterable[SourceLot], as_of: date) -> tuple[Balance, ...]:
    """Lots that count on that day, added up by unit, kind and level, in that order; nothing is added across them."""
    sums: dict[tuple[str, str, str, str], Balance] = {}
    for lot in lots:
        if not counts(lot, as_of):
            continue
        level = lot.level
        key = (lot.unit, lot.kind, level.scheme if level else "", level.value if level else "")
        held = sums.get(key, Balance(unit=lot.unit, kind=lot.kind, level=level, granted=0, available=0, lots=0))
        sums[key] = structs.replace(
            held, granted=held.granted + lot.granted, available=held.available + lot.available, lots=held.lots + 1
        )
    return tuple(sums[key] for key in sorted(sums))


def progress_in(programme: Programme, lots: Iterable[SourceLot], as_of: date) -> Progress:
    """The most courses that lots can fill, each lot once; older lots are preferred, and earlier courses.

    What was consumed elsewhere does not count: a lot fills a course with what is available of it.
    """
    counted = sorted((lot for lot in lots if counts(lot, as_of)), key=lambda lot: (lot.achieved_on, lot.id))
    courses = programme.courses
    places = fill_places([[at for at, course in enumerate(courses) if _fills(lot, course)] for lot in counted])
    filled: list[LotId | None] = [None] * len(courses)
    for lot, place in zip(counted, places, strict=True):
        if place is not None:
            filled[place] = lot.id
    required = min(programme.required or len(courses), len(courses))
    done = sum(each is not None for each in filled)
    return Progress(programme=programme.id, filled=tuple(filled), required=required, is_complete=done >= required)


def counts(lot: SourceLot, as_of: date) -> bool:
    """Whether a lot's record is active on that day: neither suspended nor ended, achieved and not expired."""
    is_running = lot.expires_on is None or as_of <= lot.expires_on
    return lot.record_state == "active" and lot.achieved_on <= as_of and is_running


def _fills(lot: SourceLot, course: ProgrammeCourse) -> bool:
    return (
        lot.unit == course.unit
        and lot.available >= course.amount
        and any(matches(lot.achievement, pattern) for pattern in course.achievements)
    )
