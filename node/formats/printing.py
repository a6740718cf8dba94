"""Records and transcripts as text for paper: Chinese first, English second, dates as people in China read them.

What lives here: lines of text. What must not: layout of pages, or anything a machine is to read back.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from federation.catalogue import BilingualLine
from federation.credit_records import CreditRecord
from federation.credits import OutcomeKind
from federation.open_badges import to_decimal
from federation.short_codes import grouped
from node.formats.transcripts import Transcript, result_label

_CHINA: Final = timezone(timedelta(hours=8))
_KINDS: Final[dict[OutcomeKind, str]] = {
    "formal": "学历教育 Formal education",
    "vocational_training": "职业培训 Vocational training",
    "other_non_formal": "其他非学历教育 Other non-formal education",
    "unformatted": "无定式 Unformatted",
}


def transcript_text(transcript: Transcript, *, code: str = "") -> str:
    """The transcript; `code` is the short code by which it can be verified."""
    holder = transcript.holder
    lines = ["学习成果清单", "Transcript of learning outcomes", ""]
    if name := f"{holder.family_name}{holder.given_names}":
        lines.append(f"姓名 Name: {_one_line(name)}")
    lines += [
        f"出具机构 Issued by: {_both(transcript.issuer.title)}",
        f"出具日期 Issued on: {_china_day(transcript.issued_at_ms)}",
        f"记录数 Records: {len(transcript.records)}" + ("（部分 partial）" if transcript.is_partial else ""),
    ]
    if code:
        lines.append(f"核验短码 Verification code: {grouped(code)}")
    records = sorted((held.record for held in transcript.records), key=lambda one: (one.achieved_on, one.id))
    for number, record in enumerate(records, 1):
        lines += ["", f"{number}. {_both(record.achievement.name)}", *(f"   {line}" for line in _about(record))]
    return "\n".join(lines) + "\n"


def record_text(record: CreditRecord, *, code: str = "") -> str:
    """One record; `code` as above."""
    lines = ["学分记录 Credit record", "", _both(record.achievement.name), *_about(record)]
    if code:
        lines.append(f"核验短码 Verification code: {grouped(code)}")
    return "\n".join(lines) + "\n"


def _about(record: CreditRecord) -> Iterator[str]:
    yield f"颁发机构 Issuer: {_both(record.issuer.title)}"
    yield f"类别 Kind: {_KINDS[record.achievement.kind]}"
    yield f"取得日期 Achieved on: {record.achieved_on.isoformat()}"
    yield f"学分 Credits: {to_decimal(record.amount.hundredths)} {_one_line(record.amount.unit)}"
    if record.result is not None:
        yield f"成绩 Result: {_one_line(result_label(record))}"
    if record.hours is not None:
        yield f"学时 Hours: {record.hours}"
    if record.achievement.level is not None:
        level = record.achievement.level
        yield f"资历等级 Level: {_one_line(level.value)}（{_one_line(level.scheme)}）"
    if record.number:
        yield f"证书编号 Certificate number: {_one_line(record.number)}"
    if record.valid_until_ms is not None:
        yield f"有效期至 Valid until: {_china_day(record.valid_until_ms)}"
    if record.conversion is not None:
        rule = record.conversion.rule
        yield f"由其他学分转换而来 Converted under rule: {rule.id} v{rule.version}"
    yield f"编号 Id: {record.id}"


def _both(title: BilingualLine) -> str:
    return _one_line(" / ".join(text for text in (title.zh, title.en) if text))


def _one_line(text: str) -> str:
    """Nothing that somebody typed may begin a line of its own on paper, or steer a printer."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def _china_day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(_CHINA).date().isoformat()
