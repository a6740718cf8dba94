"""How a credit record is read: from the members of an Open Badges 3.0 credential back to a `CreditRecord`.

What lives here: the shapes that this program accepts, bounded in every part, and the way from them. What must not: the
way there (`open_badges.py`), or belief: nothing here looks at a proof.

Members that no shape names are signed all the same, and ignored. Every ValueError below says what was not as expected;
msgspec makes a ValidationError of it.
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, TypeVar
from urllib.parse import unquote

import msgspec
from msgspec import Meta

from federation import open_badges as ob
from federation.amounts import HUNDREDTHS_MAX
from federation.credit_records import (
    SOURCES_MAX,
    CredentialId,
    CreditRecord,
    StatusListId,
    Subject,
)
from federation.credits import AchievementId
from federation.directory import Did
from federation.timestamps import to_day, to_ms

T = TypeVar("T")

_Text = Annotated[str, Meta(max_length=700)]
_Prose = Annotated[str, Meta(max_length=4_000)]
_Types = Annotated[tuple[_Text, ...], Meta(min_length=1, max_length=4)]
_DECIMAL: Final = re.compile(r"(0|[1-9][0-9]{0,7})(?:\.([0-9]{1,2}))?\Z")
_WHOLE: Final = re.compile(r"(?:0|[1-9][0-9]{0,6})\Z")
_RULE: Final = re.compile(rf"{ob.RULE_URN}(?P<id>.+)@(?P<version>[1-9][0-9]{{0,6}})\Z")


class _Shape(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    pass


class _Typed(_Shape, frozen=True, kw_only=True):
    type: _Types


class IdentifierShape(_Shape, frozen=True, kw_only=True):
    identifier: _Text
    identifier_type: _Text


_Identifiers = Annotated[tuple[IdentifierShape, ...], Meta(max_length=16)]


class ProfileShape(_Typed, frozen=True, kw_only=True):
    id: Did
    name: _Text
    other_identifier: _Identifiers = ()


class _Criteria(_Shape, frozen=True, kw_only=True):
    narrative: _Prose = ""


class _Alignment(_Typed, frozen=True, kw_only=True):
    target_name: _Text
    target_url: Annotated[str, Meta(max_length=2_000)]
    target_framework: _Text = ""
    target_type: _Text = ""


class _ResultDescription(_Typed, frozen=True, kw_only=True):
    id: _Text
    result_type: _Text
    value_max: _Text = ""


class _Result(_Typed, frozen=True, kw_only=True):
    result_description: _Text = ""
    value: _Text = ""


class _Achievement(_Typed, frozen=True, kw_only=True):
    id: AchievementId
    name: _Text
    criteria: _Criteria
    achievement_type: _Text
    version: _Text
    other_identifier: _Identifiers
    alignment: Annotated[tuple[_Alignment, ...], Meta(max_length=8)] = ()
    credits_available: Decimal | None = None
    result_description: Annotated[tuple[_ResultDescription, ...], Meta(max_length=8)] = ()


class _Subject(_Typed, frozen=True, kw_only=True):
    id: Subject
    activity_end_date: _Text
    credits_earned: Decimal
    achievement: _Achievement
    license_number: Annotated[str, Meta(max_length=64)] = ""
    result: Annotated[tuple[_Result, ...], Meta(max_length=8)] = ()


class EvidenceShape(_Shape, frozen=True, kw_only=True):
    id: _Text
    genre: _Text = ""
    description: _Text = ""


class StatusShape(_Shape, frozen=True, kw_only=True):
    type: Literal["BitstringStatusListEntry"]
    status_purpose: Literal["revocation"]
    status_list_index: Annotated[str, Meta(max_length=8)]
    status_list_credential: StatusListId


class CredentialShape(_Shape, frozen=True, kw_only=True):
    """What every credential of this network has: a record, a recognition, a status list."""

    context: Annotated[tuple[_Text, ...], Meta(min_length=1, max_length=8)] = msgspec.field(name="@context")
    id: Annotated[str, Meta(min_length=1, max_length=300)]
    type: _Types
    issuer: ProfileShape
    valid_from: _Text
    valid_until: _Text | None = None
    credential_status: StatusShape | None = None
    evidence: Annotated[tuple[EvidenceShape, ...], Meta(max_length=SOURCES_MAX + 4)] = ()

    def check_is(self, types: Sequence[str], contexts: Sequence[str]) -> None:
        """The very contexts: any other could give other meanings to the same names."""
        if self.context != tuple(contexts):
            raise ValueError("not in the contexts of this network's credentials")
        if sorted(self.type) != sorted(types):
            raise ValueError(f"expected the types {', '.join(types)}")

    def span(self) -> tuple[int, int | None]:
        return to_ms(self.valid_from), None if self.valid_until is None else to_ms(self.valid_until)


class RecordShape(CredentialShape, frozen=True, kw_only=True):
    id: CredentialId
    credential_subject: _Subject


def to_record(shape: RecordShape) -> CreditRecord:
    """The record that a credential states; raises ValueError or msgspec.ValidationError."""
    shape.check_is(ob.TYPES, ob.CONTEXTS)
    subject = shape.credential_subject
    identified = _by_type(subject.achievement.other_identifier)
    unit = identified.get(ob.UNIT, "")
    valid_from_ms, valid_until_ms = shape.span()
    stated = {
        "id": shape.id,
        "achievement": _achievement(subject.achievement, unit, identified),
        "subject": subject.id,
        "issuer": to_issuer(shape.issuer),
        "amount": _amount(unit, subject.credits_earned),
        "achieved_on": to_day(subject.activity_end_date),
        "valid_from_ms": valid_from_ms,
        "valid_until_ms": valid_until_ms,
        **_results(subject),
        "number": subject.license_number,
        "status": to_slot(shape.credential_status),
    }
    if shape.evidence:
        stated |= _history(shape.evidence)
    # Every bound stands at the type, and is checked here, once.
    return msgspec.convert(stated, CreditRecord)


def to_issuer(shape: ProfileShape) -> dict[str, Any]:
    identified = _by_type(shape.other_identifier)
    return {"did": shape.id, "node": identified.get(ob.NODE, ""), "title": _title(shape.name, identified)}


def to_slot(shape: StatusShape | None) -> dict[str, Any] | None:
    if shape is None:
        return None
    return {"list": shape.status_list_credential, "index": _whole(shape.status_list_index)}


def to_digest(description: str) -> str:
    """The hex digits after `sha-256:`."""
    if not description.startswith(ob.DIGEST):
        raise ValueError(f"a description that begins with {ob.DIGEST} was expected")
    return description.removeprefix(ob.DIGEST)


def _achievement(shape: _Achievement, unit: str, identified: dict[str, str]) -> dict[str, Any]:
    worth = shape.credits_available
    return {
        "id": shape.id,
        "version": _whole(shape.version),
        "name": _title(shape.name, identified),
        "kind": shape.achievement_type.removeprefix(ob.KIND),
        "criteria": shape.criteria.narrative,
        "level": only([_level(one) for one in shape.alignment if one.target_type == ob.LEVEL]),
        "credits": None if worth is None else _amount(unit, worth),
    }


def _level(shape: _Alignment) -> dict[str, str]:
    scheme, _, value = shape.target_url.removeprefix(ob.LEVEL_URN).partition(":")
    if (unquote(scheme), unquote(value)) != (shape.target_framework, shape.target_name):
        raise ValueError("a level's URN names another level")
    return {"scheme": shape.target_framework, "value": shape.target_name}


def _results(subject: _Subject) -> dict[str, Any]:
    described = {one.id: one for one in subject.achievement.result_description}
    found: list[dict[str, Any]] = []
    hours: list[int] = []
    for result in subject.result:
        about = described.get(result.result_description)
        match about.result_type if about else "":
            case "RawScore" if about:
                of = {"hundredths": _from_text(result.value), "scale_hundredths": _from_text(about.value_max)}
                found.append({"form": "score", **of})
            case "LetterGrade":
                found.append({"form": "grade", "text": result.value})
            case ob.HOURS:
                hours.append(_whole(result.value))
    return {"result": only(found), "hours": only(hours)}


def _history(evidence: Sequence[EvidenceShape]) -> dict[str, Any]:
    """What stands behind a record: evidence, the record it supersedes, what it was converted from."""
    own = only([one.id for one in evidence if one.genre == "evidence"])
    return {
        "evidence_sha256": None if own is None else own.removeprefix(ob.EVIDENCE_URN),
        "supersedes": only([one.id for one in evidence if one.genre == "supersedes"]),
        "conversion": _conversion(evidence),
    }


def _conversion(evidence: Sequence[EvidenceShape]) -> dict[str, Any] | None:
    sources = [one for one in evidence if one.genre == "conversion_source"]
    rule = only([one for one in evidence if one.genre == "conversion_rule"])
    if rule is None and not sources:
        return None
    named = _RULE.match(rule.id) if rule else None
    if rule is None or named is None:
        raise ValueError("a conversion names its sources and one rule")
    return {
        "sources": [{"id": one.id, "sha256": to_digest(one.description)} for one in sources],
        "rule": {"id": named["id"], "version": int(named["version"]), "digest": to_digest(rule.description)},
    }


def _by_type(identifiers: Sequence[IdentifierShape]) -> dict[str, str]:
    by_type = {one.identifier_type: one.identifier for one in identifiers}
    if len(by_type) < len(identifiers):
        raise ValueError("something is stated twice that can be so once")
    return by_type


def _title(name: str, identified: dict[str, str]) -> dict[str, str]:
    zh, en = identified.get(ob.NAME_ZH, ""), identified.get(ob.NAME_EN, "")
    if name != (zh or en):
        raise ValueError("a name is not the one it is said to be in its language")
    return {"zh": zh, "en": en}


def only(found: Sequence[T]) -> T | None:
    if len(found) > 1:
        raise ValueError("something is stated twice that can be so once")
    return found[0] if found else None


def _amount(unit: str, number: Decimal) -> dict[str, Any]:
    """Exactly, or not at all: a third decimal is refused, since nobody may round what was signed."""
    if not 0 <= number <= HUNDREDTHS_MAX // 100:
        raise ValueError("an amount of credits is out of bounds")
    scaled = number.scaleb(2)
    if scaled != scaled.to_integral_value():
        raise ValueError("an amount of credits has more than two decimals")
    return {"unit": unit, "hundredths": int(scaled)}


def _from_text(text: str) -> int:
    found = _DECIMAL.match(text)
    if not found:
        raise ValueError("a score with at most two decimals was expected")
    return int(found[1]) * 100 + int((found[2] or "").ljust(2, "0"))


def _whole(text: str) -> int:
    if not _WHOLE.match(text):
        raise ValueError("a whole number was expected")
    return int(text)
