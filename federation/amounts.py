"""Amounts, ratios, units and qualification levels.

What lives here: integer hundredths with a unit, pairs of whole numbers as ratios, level schemes and the crosswalks
between them, all of which are data. What must not: floats, rounding (`conversion.py` rounds, as a rule tells it to), or
a guess: what no table connects is not comparable.
"""

import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from federation import canonical
from federation.catalogue import BilingualLine
from federation.errors import InvalidInput

HUNDREDTHS_MAX: Final = 10**9
RATIO_TERM_MAX: Final = 100_000
SCALES_BYTES_MAX: Final = 262_144
_TOLD_CHARS_MAX: Final = 40
_WHOLE_DIGITS_MAX: Final = 12
# Full-width digits and point only: folding by NFKC would read 2² as 22 and ½ as 1⁄2.
_FULL_WIDTH: Final = {
    ord(wide): ord(narrow) for wide, narrow in zip("０１２３４５６７８９．", "0123456789.", strict=True)
}
_NUMBER: Final = re.compile(r"(?P<whole>[0-9]+)(?:\.(?P<decimals>[0-9]+))?")

Hundredths = Annotated[int, Meta(ge=0, le=HUNDREDTHS_MAX)]
"""An amount, or a score, in whole hundredths: 250 is 2.5."""
Unit = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
"""What an amount counts: `credit` 学分, `hour` 学时, … Which units there are is data (`Scales.units`)."""
SchemeId = Annotated[str, Meta(min_length=1, max_length=64)]
LevelValue = Annotated[str, Meta(min_length=1, max_length=64)]
RatioTerm = Annotated[int, Meta(ge=1, le=RATIO_TERM_MAX)]


class NotAnAmount(InvalidInput):
    code = "LLN-1161"
    zh = "不是可接受的数量：只写数字，例如 2 或 2.5，最多两位小数，不带单位。程序从不四舍五入，位数太多请先自行确定。"
    en = (
        "Not an amount: write digits alone, such as 2 or 2.5, with at most two decimals and no unit. "
        "Nothing is rounded for you; decide on two decimals first."
    )


class Amount(msgspec.Struct, frozen=True, kw_only=True):
    """So many hundredths of a unit."""

    hundredths: Hundredths
    unit: Unit

    def __str__(self) -> str:
        return f"{written(self.hundredths)} {self.unit}"


class Ratio(msgspec.Struct, frozen=True, array_like=True):
    """`gives` for every `takes`, both at least 1; in JSON the pair [gives, takes]. Ratio(3, 8): 8 become 3."""

    gives: RatioTerm
    takes: RatioTerm

    @property
    def fraction(self) -> Fraction:
        return Fraction(self.gives, self.takes)

    def __str__(self) -> str:
        return f"{self.gives}:{self.takes}"


class QualificationLevel(msgspec.Struct, frozen=True, kw_only=True):
    """A level 资历等级 within a named scheme; two schemes are compared through a crosswalk or not at all."""

    scheme: SchemeId
    value: LevelValue

    def __str__(self) -> str:
        return f"{self.scheme}:{self.value}"


class UnitDefinition(msgspec.Struct, frozen=True, kw_only=True):
    unit: Unit
    title: BilingualLine


class LevelScheme(msgspec.Struct, frozen=True, kw_only=True):
    """A scheme and its values, lowest first."""

    scheme: SchemeId
    title: BilingualLine
    values: Annotated[tuple[LevelValue, ...], Meta(min_length=1, max_length=64)]


class LevelCrosswalk(msgspec.Struct, frozen=True, kw_only=True):
    """A published table between two schemes: each pair says which value of `to_scheme` a value of `from_scheme` equals.

    It is read in the one direction in which it was published; the way back is another table.
    """

    from_scheme: SchemeId
    to_scheme: SchemeId
    pairs: Annotated[tuple[tuple[LevelValue, LevelValue], ...], Meta(min_length=1, max_length=256)]


class UnitCrosswalk(msgspec.Struct, frozen=True, kw_only=True):
    """How many of `to_unit` a number of `from_unit` is; only for showing, a conversion takes its ratio from a rule."""

    from_unit: Unit
    to_unit: Unit
    ratio: Ratio


class Scales(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The units, schemes and crosswalks that a network has agreed on; data, never built in.

    Valid from birth: nothing is defined twice, and a crosswalk speaks only of schemes, values and units that are there.
    """

    units: Annotated[tuple[UnitDefinition, ...], Meta(max_length=64)] = ()
    schemes: Annotated[tuple[LevelScheme, ...], Meta(max_length=64)] = ()
    level_crosswalks: Annotated[tuple[LevelCrosswalk, ...], Meta(max_length=256)] = ()
    unit_crosswalks: Annotated[tuple[UnitCrosswalk, ...], Meta(max_length=256)] = ()

    def __post_init__(self) -> None:
        _require_unique("unit", [each.unit for each in self.units])
        _require_unique("scheme", [each.scheme for each in self.schemes])
        _require_unique("level crosswalk", [(each.from_scheme, each.to_scheme) for each in self.level_crosswalks])
        _require_unique("unit crosswalk", [(each.from_unit, each.to_unit) for each in self.unit_crosswalks])
        values = {each.scheme: each.values for each in self.schemes}
        for scheme, ladder in values.items():
            _require_unique(f"level of {scheme}", ladder)
        for walk in self.level_crosswalks:
            _require_unique(f"level in {walk.from_scheme} → {walk.to_scheme}", [before for before, _ in walk.pairs])
            _require_known(f"level of {walk.from_scheme}", {b for b, _ in walk.pairs}, values.get(walk.from_scheme, ()))
            _require_known(
                f"level of {walk.to_scheme}", {after for _, after in walk.pairs}, values.get(walk.to_scheme, ())
            )
        units = [each.unit for each in self.units]
        for steps in self.unit_crosswalks:
            _require_known("unit", {steps.from_unit, steps.to_unit}, units)


def read_hundredths(text: str) -> int:
    """Read "2.5" or "２．５" as 250, without rounding and without a unit; raises NotAnAmount."""
    told = text[:_TOLD_CHARS_MAX]
    found = _NUMBER.fullmatch(text.strip().translate(_FULL_WIDTH))
    if found is None:
        raise NotAnAmount(told, "expected digits, with a point before the decimals")
    whole, decimals = found["whole"], (found["decimals"] or "").rstrip("0")
    if len(decimals) > 2:
        raise NotAnAmount(told, f"{len(decimals)} decimals, at most 2")
    if len(whole) > _WHOLE_DIGITS_MAX or (hundredths := int(whole + decimals.ljust(2, "0"))) > HUNDREDTHS_MAX:
        raise NotAnAmount(told, f"at most {written(HUNDREDTHS_MAX)}")
    return hundredths


def written(hundredths: int) -> str:
    """An amount as people write it: 250 is "2.5", 800 is "8"; `read_hundredths` reads it back."""
    whole, rest = divmod(hundredths, 100)
    return f"{whole}.{rest:02d}".rstrip("0").removesuffix(".")


def read_scales(data: bytes) -> Scales:
    """Read a JSON document of scales whose tables agree with one another; raises MalformedDocument."""
    return canonical.decode(data, Scales, bytes_max=SCALES_BYTES_MAX)


def compare_levels(one: QualificationLevel, other: QualificationLevel, scales: Scales) -> int | None:
    """-1, 0 or 1 as `one` is below, equal to or above `other`; None where no table says.

    Of two schemes with a crosswalk each way, the one from the scheme that sorts first is read, whichever level is asked
    about first: so that the answer to the turned question is the turned answer.
    """
    if one.scheme == other.scheme:
        return _compare_in(one.scheme, one.value, other.value, scales)
    if one.scheme > other.scheme:
        turned = compare_levels(other, one, scales)
        return None if turned is None else -turned
    if (across := _carried(one, other.scheme, scales)) is not None:
        return _compare_in(other.scheme, across, other.value, scales)
    if (back := _carried(other, one.scheme, scales)) is not None:
        return _compare_in(one.scheme, one.value, back, scales)
    return None


def in_unit(amount: Amount, unit: Unit, scales: Scales) -> Amount | None:
    """The same amount in another unit, if a crosswalk says how and it comes out in whole hundredths; None otherwise."""
    if amount.unit == unit:
        return amount
    for walk in scales.unit_crosswalks:
        if (walk.from_unit, walk.to_unit) == (amount.unit, unit):
            hundredths, rest = divmod(amount.hundredths * walk.ratio.gives, walk.ratio.takes)
            return Amount(hundredths=hundredths, unit=unit) if rest == 0 and hundredths <= HUNDREDTHS_MAX else None
    return None


def _compare_in(scheme: SchemeId, one: LevelValue, other: LevelValue, scales: Scales) -> int | None:
    ladder = next((each.values for each in scales.schemes if each.scheme == scheme), ())
    if one in ladder and other in ladder:
        return (ladder.index(one) > ladder.index(other)) - (ladder.index(one) < ladder.index(other))
    return 0 if one == other else None  # the same word of the same scheme, even of one that nobody has described


def _carried(level: QualificationLevel, scheme: SchemeId, scales: Scales) -> LevelValue | None:
    for walk in scales.level_crosswalks:
        if (walk.from_scheme, walk.to_scheme) == (level.scheme, scheme):
            return next((after for before, after in walk.pairs if before == level.value), None)
    return None


def _require_unique(what: str, named: Sequence[object]) -> None:
    if len(set(named)) < len(named):
        raise ValueError(f"scales: a {what} is given twice")


def _require_known(what: str, used: set[str], known: Iterable[str]) -> None:
    if missing := sorted(used - set(known)):
        raise ValueError(f"scales: no such {what}: {missing[0]}")
