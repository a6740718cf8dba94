"""How a credit record is written: an Open Badges 3.0 AchievementCredential, in the terms of OB 3.0 and no others.

What lives here: the vocabulary, and the way from a `CreditRecord` to JSON members. What must not: the way back
(`open_badges_reading.py`), bytes (`credentials.py`), proofs (`document_proofs.py`).

What OB 3.0 has no word for stands where it leaves room: `otherIdentifier` with an `ext:` type (names by language, the
unit of credits, the node's name), `alignment` (the level), results of an `ext:` type (hours), `evidence` with a genre
(what a record was converted from, by which rule, what it supersedes).
"""

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

from federation.amounts import QualificationLevel
from federation.catalogue import BilingualLine
from federation.credit_records import (
    Achievement,
    Conversion,
    CreditRecord,
    RecordIssuer,
    Score,
    StatusSlot,
)
from federation.credits import RuleReference
from federation.timestamps import day_to_text, to_text

VC_CONTEXT: Final = "https://www.w3.org/ns/credentials/v2"
OB_CONTEXT: Final = "https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.3.json"
EXTENSIONS_CONTEXT: Final = "https://purl.imsglobal.org/spec/ob/v3p0/extensions.json"
CONTEXTS: Final = (VC_CONTEXT, OB_CONTEXT, EXTENSIONS_CONTEXT)
TYPES: Final = ("VerifiableCredential", "AchievementCredential")
SCHEMA_TYPE: Final = "1EdTechJsonSchemaValidator2019"
SCHEMA: Final = "https://purl.imsglobal.org/spec/ob/v3p0/schema/json/ob_v3p0_achievementcredential_schema.json"

NAME_ZH: Final = "ext:lln_name_zh"
NAME_EN: Final = "ext:lln_name_en"
NODE: Final = "ext:lln_node"
UNIT: Final = "ext:lln_unit"
LEVEL: Final = "ext:lln_level"
HOURS: Final = "ext:lln_hours"
KIND: Final = "ext:lln_"
LEVEL_URN: Final = "urn:lln:level:"
RULE_URN: Final = "urn:lln:rule:"
EVIDENCE_URN: Final = "urn:lln:sha256:"
DIGEST: Final = "sha-256:"


def to_members(record: CreditRecord) -> dict[str, Any]:
    """The unsecured credential as JSON members."""
    members: dict[str, Any] = {
        "@context": CONTEXTS,
        "id": record.id,
        "type": TYPES,
        "name": str(record.achievement.name),
        "issuer": to_profile(record.issuer),
        "validFrom": to_text(record.valid_from_ms),
        "credentialSubject": _subject(record),
        "credentialSchema": ({"id": SCHEMA, "type": SCHEMA_TYPE},),
    }
    if record.valid_until_ms is not None:
        members["validUntil"] = to_text(record.valid_until_ms)
    if record.status is not None:
        members["credentialStatus"] = to_status(record.status)
    if evidence := tuple(_evidence(record)):
        members["evidence"] = evidence
    return members


def to_profile(issuer: RecordIssuer) -> dict[str, Any]:
    identifiers = (_identifier(NODE, issuer.node), *_names(issuer.title))
    return {"id": issuer.did, "type": ("Profile",), "name": str(issuer.title), "otherIdentifier": identifiers}


def to_status(slot: StatusSlot) -> dict[str, Any]:
    """The one entry that OB 3.0 has room for; the suspension list is the sister of the list named here."""
    return {
        "id": f"{slot.list}#{slot.index}",
        "type": "BitstringStatusListEntry",
        "statusPurpose": "revocation",
        "statusListIndex": str(slot.index),
        "statusListCredential": slot.list,
    }


def to_evidence(genre: str, id: str, name: str, description: str = "") -> dict[str, Any]:  # noqa: A002  # OB's word
    described = {"description": description} if description else {}
    return {"id": id, "type": ("Evidence",), "genre": genre, "name": name, **described}


def to_decimal(hundredths: int) -> str:
    """250 hundredths are "2.5", 200 are "2"."""
    whole, rest = divmod(hundredths, 100)
    return f"{whole}.{rest:02}".rstrip("0") if rest else str(whole)


def _subject(record: CreditRecord) -> dict[str, Any]:
    achievement = record.achievement
    described, results = _results(record)
    members: dict[str, Any] = {
        "id": record.subject,
        "type": ("AchievementSubject",),
        "activityEndDate": day_to_text(record.achieved_on),
        "creditsEarned": _number(record.amount.hundredths),
        "achievement": {
            **_achievement(achievement, record.amount.unit),
            **({"resultDescription": described} if described else {}),
        },
    }
    if record.number:
        members["licenseNumber"] = record.number
    if results:
        members["result"] = results
    return members


def _achievement(achievement: Achievement, unit: str) -> dict[str, Any]:
    names = achievement.name
    members: dict[str, Any] = {
        "id": achievement.id,
        "type": ("Achievement",),
        "achievementType": KIND + achievement.kind,
        "name": str(names),
        "description": " ".join(name for name in (names.zh, names.en) if name),
        "criteria": {"narrative": achievement.criteria},
        "version": str(achievement.version),
        "inLanguage": "zh" if names.zh else "en",
        "otherIdentifier": (_identifier(UNIT, unit), *_names(names)),
    }
    if achievement.level is not None:
        members["alignment"] = (_alignment(achievement.level),)
    if achievement.credits is not None:
        members["creditsAvailable"] = _number(achievement.credits.hundredths)
    return members


def _results(record: CreditRecord) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What kinds of result there are, and the results; the former belong to the achievement in OB 3.0."""
    described: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []

    def add(word: str, name: str, result_type: str, value: str, **bounds: str) -> None:
        about = f"{record.achievement.id}#{word}"
        described.append(
            {"id": about, "type": ("ResultDescription",), "name": name, "resultType": result_type, **bounds}
        )
        results.append({"type": ("Result",), "resultDescription": about, "value": value})

    if isinstance(record.result, Score):
        scale = to_decimal(record.result.scale_hundredths)
        add("score", "成绩 Score", "RawScore", to_decimal(record.result.hundredths), valueMin="0", valueMax=scale)
    elif record.result is not None:
        add("grade", "等第 Grade", "LetterGrade", record.result.text)
    if record.hours is not None:
        add("hours", "学时 Hours", HOURS, str(record.hours))
    return described, results


def _alignment(level: QualificationLevel) -> dict[str, Any]:
    return {
        "type": ("Alignment",),
        "targetFramework": level.scheme,
        "targetName": level.value,
        "targetType": LEVEL,
        "targetUrl": f"{LEVEL_URN}{quote(level.scheme, safe='')}:{quote(level.value, safe='')}",
    }


def _evidence(record: CreditRecord) -> Iterator[dict[str, Any]]:
    if record.evidence_sha256 is not None:
        yield to_evidence("evidence", EVIDENCE_URN + record.evidence_sha256, "证据 Evidence")
    if record.supersedes is not None:
        yield to_evidence("supersedes", record.supersedes, "被更正的记录 Superseded record")
    if record.conversion is not None:
        yield from _conversion(record.conversion)


def _conversion(conversion: Conversion) -> Iterator[dict[str, Any]]:
    for source in conversion.sources:
        yield to_evidence("conversion_source", source.id, "原学分记录 Source record", DIGEST + source.sha256)
    rule = conversion.rule
    yield to_evidence("conversion_rule", _rule_urn(rule), "转换规则 Conversion rule", DIGEST + rule.digest)


def _rule_urn(rule: RuleReference) -> str:
    return f"{RULE_URN}{rule.id}@{rule.version}"


def _names(title: BilingualLine) -> Iterator[dict[str, Any]]:
    if title.zh:
        yield _identifier(NAME_ZH, title.zh)
    if title.en:
        yield _identifier(NAME_EN, title.en)


def _identifier(identifier_type: str, identifier: str) -> dict[str, Any]:
    return {"type": "IdentifierEntry", "identifierType": identifier_type, "identifier": identifier}


def _number(hundredths: int) -> int | float:
    """The JSON number; the float is a way to write two decimals, and nobody calculates with it."""
    return hundredths // 100 if hundredths % 100 == 0 else float(to_decimal(hundredths))
