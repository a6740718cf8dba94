"""Describing: the fields of one row as a resource, or every fault in plain words.

What lives here: cleaning text, deriving a missing id, and translating what the type refuses. What must not: columns,
cells or files. A parser's own message is never shown.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from federation.catalogue import Resource
from federation.spellings import plain
from node.intake.rows import RowFault
from node.intake.words import CHOICES

FIELD_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "id": ("编号", "the id"),
    "version": ("版本", "the version"),
    "title": ("名称", "the title"),
    "description": ("简介", "the description"),
    "keywords": ("关键词", "the keywords"),
    "type": ("类型", "the type"),
    "section": ("板块", "the section"),
    "stage": ("学段", "the stage"),
    "virtue": ("五育", "the virtue"),
    "subject": ("学科", "the subject"),
    "industry": ("行业", "the industry"),
    "occupation": ("职业", "the occupation"),
    "audience": ("对象", "the audience"),
    "language": ("语言", "the language"),
    "hours": ("学时", "the hours"),
    "credits": ("学分", "the credits"),
    "level": ("级别", "the level"),
    "accessibility": ("无障碍", "the accessibility"),
    "ai_generated": ("AI 生成", "ai_generated"),
    "licence": ("许可", "the licence"),
    "share_scope": ("共享范围", "the share scope"),
    "contributor": ("贡献者", "the contributor"),
    "provider": ("提供者", "the provider"),
    "identifiers": ("标识号", "the identifiers"),
    "location": ("链接", "the location"),
    "sha256": ("校验值", "the sha256"),
}

_HINTS: Final[Mapping[str, tuple[str, str]]] = {
    "title": (
        '填中文名称或英文名称；JSON Lines 里写 {"zh": "…", "en": "…"}。',
        'Give a title in Chinese or English; in JSON Lines {"zh": "…", "en": "…"}.',
    ),
    "description": (
        '每种语言最多 8000 个字符；JSON Lines 里写 {"zh": "…", "en": "…"}。',
        '8,000 characters at most in each language; in JSON Lines {"zh": "…", "en": "…"}.',
    ),
    "id": (
        "以字母或数字开头，只用字母、数字和 . _ : / -，最多 128 个字符；不填则由链接或名称得出。",
        "Begin with a letter or digit and use letters, digits and . _ : / - only, 128 at most; empty ids are derived.",
    ),
    "subject": ("填 GB/T 13745 代码，例如 520。", "Give a code of GB/T 13745, such as 520."),
    "industry": ("填 GB/T 4754 代码，例如 8340。", "Give a code of GB/T 4754, such as 8340."),
    "occupation": ("填职业分类大典代码，例如 6-09-03-01。", "Give an occupation code, such as 6-09-03-01."),
    "language": ("例如 zh-Hans、zh-Hant、en，或写中文、英文。", "Such as zh-Hans, zh-Hant or en."),
    "hours": ("0 至 100000 的整数。", "A whole number from 0 to 100000."),
    "credits": (
        "表格里写学分数，例如 2.5；JSON Lines 里写百分之一学分的整数，例如 250。",
        "In a table the credits, such as 2.5; in JSON Lines whole hundredths of a credit, such as 250.",
    ),
    "share_scope": (
        "全网、同级、本节点，或 subtree 加上级节点名称。",
        "network, siblings or node; or subtree with the name of an ancestor.",
    ),
    "sha256": ("64 位十六进制小写。", "64 hexadecimal digits in lower case."),
}

_MISSING: Final = re.compile(r"missing required field `(\w+)`")
_PATH: Final = re.compile(r" - at `\$\.?([^`]*)`$")
_REASONS: Final = tuple(
    (re.compile(pattern), zh, en)
    for pattern, zh, en in (
        (r"`array` of length <= (\d+)", "“{}”过多，最多 {} 项。", "{} has too many values; {} at most."),
        (r"length <= (\d+)", "“{}”过长，最多 {} 个字符。", "{} is too long; {} characters at most."),
        (r"`int` >= (-?\d+)", "“{}”须不小于 {}。", "{} must be at least {}."),
        (r"`int` <= (-?\d+)", "“{}”须不大于 {}。", "{} must be at most {}."),
        (r"enum value", "“{}”不在可选范围内。", "{} is not one of the choices."),
        (r"regex", "“{}”的写法不对。", "{} is not written as it should be."),
    )
)
"""What the type says when it refuses (msgspec's words), and how that is said to a person."""
_LEFT_OUT: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
"""Controls, marks that turn the direction of writing, and half characters: nothing a reader would miss."""
_LINE_END: Final = re.compile("\r\n|[\r\x85\u2028\u2029]")


def describe(fields: Mapping[str, Any]) -> Resource | tuple[RowFault, ...]:
    """A resource from the fields of its type (plain values, as in JSON), or every fault found.

    Text is cleaned on the way. Without an id, one is derived from the location, or from title and provider, so that
    the same row means the same resource every time. Names that the type does not know are left out.
    """
    cleaned = {name: _clean(name, value) for name, value in fields.items() if name in FIELD_WORDS}
    if not cleaned.get("id"):
        cleaned["id"] = _derived_id(cleaned)
    if not _has_title(cleaned.get("title")):
        cleaned.pop("title", None)
    try:
        return msgspec.convert(cleaned, Resource)
    except (msgspec.ValidationError, RecursionError):
        return tuple(_faults(cleaned))


def _faults(fields: Mapping[str, Any]) -> list[RowFault]:
    """Each field judged alone, so that a person learns of all faults at once."""
    found = []
    for field in msgspec.structs.fields(Resource):
        if field.name not in fields:
            if field.required:
                found.append(_missing(field.name))
            continue
        try:
            msgspec.convert(fields[field.name], field.type)
        except (msgspec.ValidationError, RecursionError) as error:
            found.append(_translated(field.name, str(error)))
    return found or [_unfit("title", "内容", "the content")]


def _translated(name: str, told: str) -> RowFault:
    path = _PATH.search(told)
    inner = path[1].replace("[...]", "").strip(".") if path else ""
    field = f"{name}.{inner}" if inner else name
    zh, en = FIELD_WORDS[name]
    if missing := _MISSING.search(told):
        return _fault(f"{field}.{missing[1]}", f"“{zh}”缺少 {missing[1]}。", f"{en} lacks {missing[1]}.", name)
    for pattern, reason_zh, reason_en in _REASONS:
        if found := pattern.search(told):
            bound = found[found.lastindex or 0]
            return _fault(field, reason_zh.format(zh, bound), reason_en.format(en, bound), name)
    return _unfit(field, f"“{zh}”", en)


def _missing(name: str) -> RowFault:
    zh, en = FIELD_WORDS[name]
    return _fault(name, f"缺少“{zh}”。", f"{en} is missing.", name)


def _unfit(field: str, zh: str, en: str) -> RowFault:
    return _fault(
        field, f"{zh}的内容不符合要求。", f"{en} is not of the kind that belongs here.", field.partition(".")[0]
    )


def _fault(field: str, reason_zh: str, reason_en: str, name: str) -> RowFault:
    remedy_zh, remedy_en = _remedy(name)
    reason_en = reason_en[:1].upper() + reason_en[1:]
    return RowFault(field=field, reason_zh=reason_zh, reason_en=reason_en, remedy_zh=remedy_zh, remedy_en=remedy_en)


def _remedy(name: str) -> tuple[str, str]:
    if name in CHOICES:
        words = CHOICES[name]
        return f"可填：{'、'.join(said[0] for said in words.values())}。", f"One of: {', '.join(words)}."
    return _HINTS.get(name, ("请修改后再导入，写法见 docs/resources.md。", "Correct it; docs/resources.md shows how."))


def _has_title(title: Any) -> bool:
    return not isinstance(title, dict) or any(title.values())


def _clean(name: str, value: Any) -> Any:
    """Text without what cannot be seen; lines in one line, prose with its line breaks."""
    if isinstance(value, str):
        return _clean_prose(value) if name == "description" else _clean_line(value)
    if isinstance(value, list):
        return [_clean(name, item) for item in value[:1_000]]
    if isinstance(value, dict):
        return {_clean_line(str(key)): _clean(name, item) for key, item in value.items()}
    return value


def _clean_line(text: str) -> str:
    return " ".join(_LEFT_OUT.sub("", text).split())


def _clean_prose(text: str) -> str:
    return _LEFT_OUT.sub("", _LINE_END.sub("\n", text).replace("\t", " ")).strip()


def _derived_id(fields: Mapping[str, Any]) -> str:
    location = fields.get("location")
    if location and isinstance(location, str):
        return _digest("location", location)
    title, provider = fields.get("title"), fields.get("provider", "")
    said = (title.get("zh") or title.get("en") or "") if isinstance(title, dict) else ""
    return _digest("title", plain(str(said)), plain(str(provider)))


def _digest(*parts: str) -> str:
    return "r-" + hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:24]
