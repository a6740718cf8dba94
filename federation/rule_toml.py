"""A conversion rule as a person writes it (TOML).

What lives here: reading one, and naming every mistake in it with its place, line and remedy. What must not: what goes
together in a rule (`conversion_rules.check_rule`), or what it means.

Amounts and scores are written as people write them (2.5, "2.5" or 8) and kept in hundredths; numbers with a point are
taken as text from the file, so no float ever comes to be.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import structs

from federation.amounts import HUNDREDTHS_MAX, NotAnAmount, QualificationLevel, read_hundredths, written
from federation.catalogue import BilingualLine
from federation.conversion_rules import (
    RULE_BYTES_MAX,
    Cap,
    ConversionRule,
    Mistake,
    Residency,
    ReviewMode,
    Source,
    TableRow,
    Target,
    UnreadableRule,
    check_rule,
)

_TOLD_CHARS_MAX: Final = 60
_FOUND_CHARS_MAX: Final = 200
_MISTAKES_MAX: Final = 50

# A table of the file, and the field of the rule it stands for; one may be given many times.
REPEATED: Final[dict[str, tuple[str, type[msgspec.Struct]]]] = {
    "source": ("sources", Source),
    "target": ("targets", Target),
    "cap": ("caps", Cap),
    "table": ("table", TableRow),
}
_SINGLE: Final[dict[str, type[msgspec.Struct]]] = {
    "title": BilingualLine,
    "level": QualificationLevel,
    "minimum_level": QualificationLevel,
    "residency": Residency,
    "review": ReviewMode,
}
_IN_HUNDREDTHS: Final = frozenset(("amount", "minimum_amount", "minimum_score", "score_from", "step"))

_ID: Final = (
    "字母、数字和 . _ : -，以字母或数字开头",
    "letters, digits and . _ : - after a letter or digit",
)
_NODE: Final = (
    '节点名称，例如 "jiashan.jiaxing.zhejiang.lln.internal"',
    'a node name, such as "jiashan.jiaxing.zhejiang.lln.internal"',
)
_AMOUNT: Final = ("非负数，最多两位小数，例如 2.5", "a number of 0 or more with at most two decimals, such as 2.5")
_DAY: Final = ("日期，例如 2026-09-01", "a date, such as 2026-09-01")
_TRUTH: Final = ("true 或 false", "true or false")
_KIND: Final = (
    '"formal"、"vocational_training"、"other_non_formal" 或 "unformatted"',
    '"formal", "vocational_training", "other_non_formal" or "unformatted"',
)
_UNIT: Final = ('小写的单位代号，例如 "credit"', 'a unit in lower case, such as "credit"')
_PAIR: Final = ("两个正整数，例如 [1, 2]", "two whole numbers of at least 1, such as [1, 2]")
_LEVEL: Final = ('{ scheme = "…", value = "…" }', '{ scheme = "…", value = "…" }')
_TEXT: Final = ("一行文字", "a line of text")
_TABLES: Final = ("一个表，或 [[…]] 形式的多个表", "a table, or several written as [[…]]")

EXPECTED: Final[dict[str, tuple[str, str]]] = {
    "id": _ID,
    "version": ("从 1 起的整数", "a whole number from 1"),
    "authority": _NODE,
    "title": ('{ zh = "…", en = "…" }', '{ zh = "…", en = "…" }'),
    "zh": _TEXT,
    "en": _TEXT,
    "valid_from": _DAY,
    "valid_until": _DAY,
    "source": _TABLES,
    "target": _TABLES,
    "cap": _TABLES,
    "table": _TABLES,
    "residency": ("一个表", "a table"),
    "review": ("一个表", "a table"),
    "consumption": ('"whole"、"proportional" 或 "none"', '"whole", "proportional" or "none"'),
    "once_per": ('"network"、"receiver"、"programme" 或 "rule"', '"network", "receiver", "programme" or "rule"'),
    "rounding": ('"down"、"half_up" 或 "none"', '"down", "half_up" or "none"'),
    "step": ("正数，最多两位小数，例如 0.5", "a number above 0 with at most two decimals, such as 0.5"),
    "whole_only": _TRUTH,
    "converted_sources": _TRUTH,
    "exclusion_groups": ('名称的列表，例如 ["english"]', 'a list of names, such as ["english"]'),
    "cascade": ('"flag" 或 "cascade"', '"flag" or "cascade"'),
    "name": _TEXT,
    "achievements": (
        '成果编号的列表，结尾可用 *，例如 ["course:logistics-*"]',
        'a list of achievement ids, which may end in *, such as ["course:logistics-*"]',
    ),
    "issuers": ("节点名称的列表", "a list of node names"),
    "issuers_within": ("节点名称的列表", "a list of node names"),
    "from_others": _TRUTH,
    "kinds": (f"成果类别的列表，取自 {_KIND[0]}", f"a list of kinds out of {_KIND[1]}"),
    "unit": _UNIT,
    "level_scheme": ("资历等级体系的名称", "the name of a level scheme"),
    "count": ("1 到 16 的整数", "a whole number from 1 to 16"),
    "minimum_amount": _AMOUNT,
    "minimum_score": _AMOUNT,
    "score_scale": ('小写的计分制代号，例如 "percent"', 'a scale in lower case, such as "percent"'),
    "minimum_level": _LEVEL,
    "maximum_age_months": ("1 到 1200 的整数", "a whole number from 1 to 1200"),
    "achievement": ("成果编号", "the id of an achievement"),
    "kind": _KIND,
    "level": _LEVEL,
    "scheme": _TEXT,
    "value": ('等级，写成文字，例如 "5"', 'a level as text, such as "5"'),
    "ratio": _PAIR,
    "amount": _AMOUNT,
    "grade": ('等第，例如 "优秀"', 'a grade, such as "A"'),
    "score_from": _AMOUNT,
    "per": (
        '"source"、"institution"、"programme" 或 "period"',
        '"source", "institution", "programme" or "period"',
    ),
    "months": ("1 到 1200 的整数", "a whole number from 1 to 1200"),
    "over": ('"rule" 或 "all_rules"', '"rule" or "all_rules"'),
    "minimum_share": _PAIR,
    "reviewers": ("1 到 9 的整数", "a whole number from 1 to 9"),
    "notice_days": ("0 到 90 的整数", "a whole number from 0 to 90"),
}


def read_rule_toml(data: bytes) -> ConversionRule:
    """Read a rule file (docs/credits.md has every key).

    Raises UnreadableRule; its `mistakes` name every place that is wrong, in Chinese and English.
    """
    text, written_rule = _parse(data)
    reading = _Reading()
    plain = reading.table(written_rule, ConversionRule, "")
    if not reading.mistakes:
        try:
            rule = msgspec.convert({"document": "rule", **plain}, ConversionRule)
        except msgspec.ValidationError as error:
            reading.mistake("rule", "整体不合要求：", "As a whole it does not fit:", found=str(error))
        else:
            reading.mistakes += check_rule(rule)
            if not reading.mistakes:
                return rule
    lines = dict(_lines(text))
    raise UnreadableRule("rule file", [_with_line(each, lines) for each in reading.mistakes[:_MISTAKES_MAX]])


class _WrittenNumber:
    """A number with a point, as it stands in the file."""

    def __init__(self, text: str) -> None:
        self.text = text


def _parse(data: bytes) -> tuple[str, dict[str, Any]]:
    if len(data) > RULE_BYTES_MAX:
        told = f"{len(data)} > {RULE_BYTES_MAX}"
        raise UnreadableRule("rule file", [_mistake("file", "文件太大（字节）。", "Too large (bytes).", found=told)])
    try:
        text = data.decode("utf-8-sig")
        return text, tomllib.loads(text, parse_float=_WrittenNumber)
    except (ValueError, RecursionError, OverflowError) as error:
        mistake = _mistake(
            "file",
            "不是 UTF-8 编码的 TOML，请按所指位置改正。",
            "Not TOML in UTF-8; correct the place it names.",
            found=str(error),
        )
        raise UnreadableRule("rule file", [mistake]) from error


class _Reading:
    """One reading of a file: what is understood goes into plain values, what is not becomes a mistake."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []

    def mistake(self, place: str, zh: str, en: str, *, found: str = "") -> None:
        self.mistakes.append(_mistake(place, zh, en, found=found))

    def table(self, value: Mapping[str, Any], struct: type[msgspec.Struct], place: str) -> dict[str, Any]:
        """The fields of `struct` out of one table of the file."""
        fields = {_key_of(field.name): field for field in structs.fields(struct)}
        plain: dict[str, Any] = {}
        for key, found in value.items():
            at = f"{place}{key[:_TOLD_CHARS_MAX]}"
            if (field := fields.get(key)) is None:
                keys = ", ".join(sorted(fields))
                self.mistake(at, f"没有这个键；可用的键：{keys}。", f"No such key; there are: {keys}.")
            else:
                plain[field.name] = self.value(key, found, field.type, at)
        for key, field in fields.items():
            if field.required and key not in value:
                zh, en = EXPECTED[key]
                self.mistake(f"{place}{key}", f"缺少，应为{zh}。", f"Missing; expected {en}.")
        return plain

    def value(self, key: str, found: Any, expected: Any, place: str) -> Any:
        if key in REPEATED:
            return self.tables(found, key, place)
        if key in _SINGLE and isinstance(found, dict):
            return self.table(found, _SINGLE[key], f"{place}.")
        if key in _IN_HUNDREDTHS:
            found = self.hundredths(found, place)
            if found is None:
                return None
        try:
            msgspec.convert(found, expected)
        except (msgspec.ValidationError, OverflowError):
            zh, en = EXPECTED[key]
            self.mistake(place, f"应为{zh}。", f"Expected {en}.", found=_told(found))
        return found

    def tables(self, found: Any, key: str, place: str) -> list[dict[str, Any]]:
        several = [found] if isinstance(found, dict) else found
        if not (isinstance(several, list) and several and all(isinstance(each, dict) for each in several)):
            zh, en = EXPECTED[key]
            self.mistake(place, f"应为{zh}。", f"Expected {en}.", found=_told(found))
            return []
        struct = REPEATED[key][1]
        return [self.table(each, struct, f"{place}[{at}].") for at, each in enumerate(several, 1)]

    def hundredths(self, found: Any, place: str) -> int | None:
        match found:
            case bool():
                told = ""
            case int() if 0 <= found * 100 <= HUNDREDTHS_MAX:
                return found * 100
            case int():
                told = f"0 … {written(HUNDREDTHS_MAX)}"
            case str() | _WrittenNumber():
                text = found if isinstance(found, str) else found.text
                try:
                    return read_hundredths(text)
                except NotAnAmount as error:
                    told = error.detail
            case _:
                told = ""
        self.mistake(place, f"{NotAnAmount.zh}", f"{NotAnAmount.en}", found=told or _told(found))
        return None


def _key_of(field: str) -> str:
    return next((key for key, (name, _) in REPEATED.items() if name == field), field)


def _mistake(place: str, zh: str, en: str, *, found: str = "") -> Mistake:
    return Mistake(place=place, zh=zh, en=en, found=found[:_FOUND_CHARS_MAX])


def _told(found: Any) -> str:
    text = found.text if isinstance(found, _WrittenNumber) else found
    is_short = isinstance(text, str | bool) or (isinstance(text, int) and abs(text) <= HUNDREDTHS_MAX)
    return repr(text)[:_TOLD_CHARS_MAX] if is_short else type(found).__name__


# --- on which line ---------------------------------------------------------------------------------------------------

_HEADER: Final = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_.-]+)\s*\]")
_KEY: Final = re.compile(r"\s*([A-Za-z0-9_-]+)\s*[=.]")


def _lines(text: str) -> Iterator[tuple[str, int]]:
    """Places with the lines they stand on, by the look of the lines: good enough to lead a person there."""
    before, counts = "", dict[str, int]()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            before = _place_of(header[2], counts, is_new=header[1] == "[[")
            yield before, number
            before += "."
        elif key := _KEY.match(line):
            yield f"{before}{key[1]}", number


def _place_of(header: str, counts: dict[str, int], *, is_new: bool) -> str:
    """`target.table`, met for the third time under the second target: `target[2].table[3]`."""
    place, parts = "", header.split(".")
    for at, part in enumerate(parts):
        place = f"{place}.{part}" if place else part
        if is_new and at == len(parts) - 1:
            counts[place] = counts.get(place, 0) + 1
        if part in REPEATED:
            place = f"{place}[{counts.get(place, 1)}]"
    return place


def _with_line(mistake: Mistake, lines: Mapping[str, int]) -> Mistake:
    """The line of the place, or of the nearest thing around it that has one."""
    place = mistake.place
    while place and place not in lines:
        place = place.rpartition(".")[0]
    return structs.replace(mistake, line=lines.get(place, 0))
