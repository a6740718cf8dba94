"""Two versions of a resource side by side, field by field, in words; and what differs inside a text.

What lives here: how each field reads, and which parts of it are new or gone. What must not: pages, or a judgement.
"""

import re
from collections.abc import Callable, Mapping
from difflib import SequenceMatcher
from typing import Any, Final, Literal

import msgspec

from federation.catalogue import Accessibility, BilingualLine, BilingualProse, Resource, ResourceLevel, ShareScope
from node.intake.describing import FIELD_WORDS
from node.portal import wording

PHRASES_MAX: Final = 400
_PHRASE: Final = re.compile(r"[^。！？；，、.!?;,\n]*[。！？；，、.!?;,\n]|[^。！？；，、.!?;,\n]+")
_LEFT_OUT: Final = frozenset(("id", "version"))
_PLACE: Final = frozenset(("location", "sha256"))
_AIDS: Final = ("captions", "transcript", "large_type")


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A run of text: in both versions, in the earlier one alone (`gone`), or in the later one alone (`new`)."""

    kind: Literal["same", "gone", "new"]
    text: str


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One field of both versions; `before` empty where there is no earlier version."""

    label: str
    before: tuple[Piece, ...]
    after: tuple[Piece, ...]
    differs: bool


def compare(
    ui: wording.Ui, before: Resource | None, after: Resource, *, without_place: bool = False
) -> tuple[Compared, ...]:
    """Every field that says something in either version, in the order of the type; `without_place` where a file of
    ours stands for where it is, and is shown by itself.
    """
    left_out = _LEFT_OUT | _PLACE if without_place else _LEFT_OUT
    found = []
    for name in Resource.__struct_fields__:
        if name in left_out:
            continue
        was = reads(ui, name, getattr(before, name)) if before else ""
        now = reads(ui, name, getattr(after, name))
        if was or now:
            gone, new = pieces(was, now) if before else ((), (Piece(kind="same", text=now),))
            found.append(Compared(label=label(ui, name), before=gone, after=new, differs=was != now))
    return tuple(found)


def label(ui: wording.Ui, field: str) -> str:
    zh, en = FIELD_WORDS.get(field, (field, field))
    if ui == "zh":
        return zh
    said = en.removeprefix("the ").replace("_", " ")
    return said[:1].upper() + said[1:]


def reads(ui: wording.Ui, name: str, value: Any) -> str:
    """A field's value in words; "" where it says nothing."""
    if value is None or value in ("", ()):
        return ""
    if name == "credits":
        return wording.amount(value)
    for kind, read in _READ.items():
        if isinstance(value, kind):
            return read(ui, value)
    return wording.value_word(ui, value) if name in ("type", "section", "stage", "virtue", "language") else str(value)


def pieces(before: str, after: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """Both texts cut where they part, phrase by phrase; as wholes where they are too long for that."""
    old, new = _PHRASE.findall(before), _PHRASE.findall(after)
    if max(len(old), len(new)) > PHRASES_MAX:
        is_same = before == after
        return (_piece("same" if is_same else "gone", before),), (_piece("same" if is_same else "new", after),)
    was: list[Piece] = []
    now: list[Piece] = []
    for tag, start, end, new_start, new_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        kind: Literal["same", "changed"] = "same" if tag == "equal" else "changed"
        if end > start:
            was.append(_piece("same" if kind == "same" else "gone", "".join(old[start:end])))
        if new_end > new_start:
            now.append(_piece("same" if kind == "same" else "new", "".join(new[new_start:new_end])))
    return tuple(was), tuple(now)


def _piece(kind: Literal["same", "gone", "new"], text: str) -> Piece:
    return Piece(kind=kind, text=text)


def _both(ui: wording.Ui, text: BilingualLine | BilingualProse) -> str:
    del ui
    return "\n".join(one for one in (text.zh, text.en) if one)


def _scope(ui: wording.Ui, scope: ShareScope) -> str:
    said = wording.say(ui, f"scope.{scope.reach}")
    return f"{said} {scope.ancestor}" if scope.ancestor else said


def _aids(ui: wording.Ui, has: Accessibility) -> str:
    told = [wording.say(ui, f"resource.{aid}") for aid in _AIDS if getattr(has, aid)]
    return _listed(ui, told)


def _level(ui: wording.Ui, level: ResourceLevel) -> str:
    del ui
    return f"{level.scheme} {level.value}"


def _truth(ui: wording.Ui, *, value: bool) -> str:
    return wording.say(ui, "resource.ai_yes" if value else "resource.ai_no")


def _listed(ui: wording.Ui, words: Any) -> str:
    return ("、" if ui == "zh" else ", ").join(wording.value_word(ui, one) for one in words)


_READ: Final[Mapping[type, Callable[[wording.Ui, Any], str]]] = {
    BilingualLine: _both,
    BilingualProse: _both,
    ShareScope: _scope,
    Accessibility: _aids,
    ResourceLevel: _level,
    bool: lambda ui, value: _truth(ui, value=value),
    tuple: _listed,
}
