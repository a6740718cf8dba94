"""The words of the pages in both languages, and how values read: amounts, days, moments, ages.

What lives here: the catalogue of messages (`words.toml`), and the forms of values. What must not: sentences that come
with an error or a finding; those carry their own.
"""

import tomllib
from collections.abc import Mapping
from datetime import date, datetime, timedelta, timezone
from functools import cache
from importlib import resources
from typing import Final, Literal

from markupsafe import Markup, escape

from federation.catalogue import BilingualLine, BilingualProse

Ui = Literal["zh", "en"]
CHINA: Final = timezone(timedelta(hours=8))
LANGUAGE_TAGS: Final[Mapping[Ui, str]] = {"zh": "zh-Hans", "en": "en"}


@cache
def catalogue() -> Mapping[str, tuple[str, str]]:
    """Every message by its name, `section.name`: (Chinese, English)."""
    text = resources.files("node.portal").joinpath("words.toml").read_text(encoding="utf-8")
    return {
        f"{section}.{name}": (pair[0], pair[1])
        for section, names in tomllib.loads(text).items()
        for name, pair in names.items()
    }


def say(ui: Ui, key: str, **values: object) -> str:
    """A message with its values put in; raises KeyError for one that is not in the catalogue.

    `{count:row|rows}` is a count with the word that goes with it. Where a value is marked up already, the message is
    too, and its other values are escaped.
    """
    text = catalogue()[key][0 if ui == "zh" else 1]
    values = {name: _Count(value) if type(value) is int else value for name, value in values.items()}
    if any(isinstance(value, Markup) for value in values.values()):
        return Markup(text).format(**values)  # noqa: S704  # our own catalogue
    return text.format(**values)


class _Count(int):
    def __format__(self, words: str) -> str:
        one, separator, many = words.partition("|")
        number = format(int(self), "," if separator else words)
        return f"{number} {one if self == 1 else many}" if separator else number


def value_word(ui: Ui, value: str) -> str:
    """A value of a document as a word; what is no word of ours (an industry code) stays as it is."""
    pair = catalogue().get(f"value.{value}")
    return value if pair is None else pair[0 if ui == "zh" else 1]


def both(ui: Ui, text: BilingualLine | BilingualProse) -> str:
    """The text in the language of the page, else in the other one, which is then marked for a screen reader."""
    own, other = (text.zh, text.en) if ui == "zh" else (text.en, text.zh)
    if own or not other:
        return own
    return Markup('<span lang="{}">{}</span>').format("en" if ui == "zh" else "zh-Hans", escape(other))


def amount(hundredths: int) -> str:
    whole, part = divmod(hundredths, 100)
    return f"{whole}.{part:02d}".rstrip("0").rstrip(".") if part else str(whole)


def quantity(ui: Ui, hundredths: int, unit: str) -> str:
    """An amount with its unit, of which English has one form for just one."""
    word = value_word(ui, unit)
    return f"{amount(hundredths)} {word.removesuffix('s') if ui == 'en' and hundredths == 100 else word}"


def day(ui: Ui, on: date) -> str:
    return f"{on.year} 年 {on.month} 月 {on.day} 日" if ui == "zh" else f"{on.day} {on:%B} {on.year}"


def day_at(ui: Ui, at_ms: int) -> str:
    """The day of a moment, in China time."""
    return day(ui, datetime.fromtimestamp(at_ms / 1_000, tz=CHINA).date())


def moment(ui: Ui, at_ms: int) -> str:
    """A moment to the minute, in China time."""
    at = datetime.fromtimestamp(at_ms / 1_000, tz=CHINA)
    return f"{day(ui, at.date())} {at:%H:%M}"


def ago(ui: Ui, milliseconds: int) -> str:
    """A span since then, as people say it."""
    seconds = max(0, milliseconds) // 1_000
    for size, zh, en in ((86_400, "天", "day"), (3_600, "小时", "hour"), (60, "分钟", "minute")):
        count = seconds // size
        if count:
            return f"{count} {zh}前" if ui == "zh" else f"{count} {en}{'s' if count > 1 else ''} ago"
    return "刚刚" if ui == "zh" else "just now"


def size(ui: Ui, count: int) -> str:
    """A number with separators, as both languages write it."""
    del ui
    return f"{count:,}"
