"""A transcript as ELMO 1.x, the XML of EMREX (the schema is emrex-eu/elmo-schemas, v1).

What lives here: writing one; the order of elements is the schema's. What must not: reading XML, which this program
does nowhere. ELMO carries no proof of ours: whoever receives one verifies the records by their ids.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final

from federation.catalogue import BilingualLine
from federation.credit_records import CreditRecord, RecordIssuer
from federation.open_badges import to_decimal
from federation.timestamps import to_text
from node.formats.transcripts import Transcript, result_label

NAMESPACE: Final = "https://github.com/emrex-eu/elmo-schemas/tree/v1"

_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0 §2.2, Char
_LANGUAGE: Final = "{http://www.w3.org/XML/1998/namespace}lang"


def write(transcript: Transcript) -> bytes:
    """The transcript as an XML document in UTF-8, one report for each issuer."""
    elmo = ET.Element("elmo", xmlns=NAMESPACE)
    issued_at = to_text(transcript.issued_at_ms)
    _put(elmo, "generatedDate", issued_at)
    holder = ET.SubElement(elmo, "learner")
    _put(holder, "identifier", transcript.holder.subject, type="local")
    _put(holder, "givenNames", transcript.holder.given_names)
    _put(holder, "familyName", transcript.holder.family_name)
    records = sorted((held.record for held in transcript.records), key=lambda record: record.issuer.did)
    for _, of_issuer in groupby(records, key=lambda record: record.issuer.did):
        _report(elmo, list(of_issuer), issued_at)
    ET.indent(elmo)
    document: bytes = ET.tostring(elmo, encoding="utf-8", xml_declaration=True)
    return document


def _report(elmo: ET.Element, records: list[CreditRecord], issued_at: str) -> None:
    report = ET.SubElement(elmo, "report")
    _issuer(ET.SubElement(report, "issuer"), records[0].issuer)
    for record in sorted(records, key=lambda one: (one.achieved_on, one.id)):
        _specification(ET.SubElement(report, "learningOpportunitySpecification"), record)
    _put(report, "issueDate", issued_at)


def _issuer(element: ET.Element, issuer: RecordIssuer) -> None:
    _put(element, "country", "CN")
    _put(element, "identifier", issuer.node, type="lln")
    _put(element, "identifier", issuer.did, type="did")
    _titles(element, issuer.title)
    _put(element, "url", f"https://{issuer.node}/")


def _specification(element: ET.Element, record: CreditRecord) -> None:
    achievement = record.achievement
    _put(element, "identifier", f"{achievement.id}@{achievement.version}", type="local")
    _titles(element, achievement.name)
    if achievement.kind == "formal":
        _put(element, "type", "Course")
    if achievement.criteria:
        _put(element, "description", achievement.criteria)
    specifies = ET.SubElement(element, "specifies")
    _instance(ET.SubElement(specifies, "learningOpportunityInstance"), record)


def _instance(element: ET.Element, record: CreditRecord) -> None:
    _put(element, "identifier", record.id, type="local")
    _put(element, "date", record.achieved_on.isoformat())
    _put(element, "status", "passed")
    if record.result is not None:
        _put(element, "resultLabel", result_label(record))
    credit = ET.SubElement(element, "credit")
    _put(credit, "scheme", record.amount.unit)
    _put(credit, "value", to_decimal(record.amount.hundredths))
    if record.achievement.level is not None:
        level = ET.SubElement(element, "level")
        _put(level, "type", record.achievement.level.scheme)
        _put(level, "value", record.achievement.level.value)
    if record.hours is not None:
        _put(element, "engagementHours", str(record.hours))


def _titles(element: ET.Element, title: BilingualLine) -> None:
    for language, text in _languages(title):
        _put(element, "title", text, language=language)


def _languages(title: BilingualLine) -> Iterator[tuple[str, str]]:
    pairs: Iterable[tuple[str, str]] = (("zh", title.zh), ("en", title.en))
    return ((language, text) for language, text in pairs if text)


def _put(parent: ET.Element, name: str, text: str, *, language: str = "", **attributes: str) -> None:
    """Text as XML can hold it: a character it has no way to write is shown as one that is missing."""
    element = ET.SubElement(parent, name, attributes | ({_LANGUAGE: language} if language else {}))
    element.text = _NOT_XML.sub("\ufffd", text)
