"""The trees that can be simulated: who stands under whom, and who can be dialled.

What lives here: the presets' shapes, a tree of any size, and reading one from a file of divisions. What must not:
anything that runs. Names are made up; only the shapes are real.
"""

import csv
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final

import msgspec

from federation.catalogue import BilingualLine
from federation.directory import NodeDescription
from federation.errors import InvalidInput
from federation.naming import Level, NodeKind, NodeName, parse_name
from node.simulation.chance import Chance, chance_of

ROOT: Final = NodeName("lln.internal")
NODES_MAX: Final = 20_000
DEPTH_MAX: Final = 8
_FILE_BYTES_MAX: Final = 16 * 1024 * 1024
_LEVELS: Final[tuple[Level, ...]] = ("national", "provincial", "municipal", "county", "school")
_LEVEL_BY_WORD: Final[Mapping[str, Level]] = {**{level: level for level in _LEVELS}, "prefecture": "municipal"}


class UnknownTree(InvalidInput):
    code = "LLN-1171"
    zh = "没有这种模拟规模，或文件不是行政区划表。请用 lln simulate --help 查看可用的规模。"
    en = "There is no such preset, or the file is no table of divisions. See lln simulate --help for the presets."


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """One node of a tree; the root has no parent. `is_dialable`: others can open a connection to it."""

    name: NodeName
    parent: NodeName | None
    level: Level
    kind: NodeKind
    is_dialable: bool

    @property
    def is_authority(self) -> bool:
        return self.kind != "school"

    @property
    def endpoint(self) -> str:
        return f"{self.name}:7443"

    def description(self, software_version: str, title: str = "") -> NodeDescription:
        return NodeDescription(
            title=BilingualLine(zh=title or self.name[:60]),
            level=self.level,
            kind=self.kind,
            endpoint=self.endpoint if self.is_dialable else None,
            software_version=software_version,
        )


_Division = tuple[str, str]
"""A code, and the level that the table tells for it, "" where it tells none."""
Tree = tuple[Place, ...]
"""Parents before their children."""


def preset(name: str) -> Tree:
    """Raises UnknownTree."""
    if name not in PRESETS:
        raise UnknownTree(name[:40], f"known: {', '.join(PRESETS)}")
    return PRESETS[name]()


def seed_tree() -> Tree:
    """The demonstration's tree (config/demo/federation.toml): five levels, uneven."""
    told = resources.files("config").joinpath("demo", "federation.toml").read_text(encoding="utf-8")
    return tuple(_planned(row) for row in tomllib.loads(told)["node"])


def county(schools: int) -> Tree:
    """A hub, one county under it, and its schools, none of which can be dialled."""
    under = _place("county", _ROOT_PLACE, "county")
    return (_ROOT_PLACE, under, *(_school(f"s{number:04}", under) for number in range(schools)))


def province() -> Tree:
    """One province as the root: 13 cities, 110 counties, 1,000 schools."""
    top = msgspec.structs.replace(_ROOT_PLACE, level="provincial")
    cities = [_place(f"c{number:02}", top, "municipal") for number in range(13)]
    counties = [_place(f"d{number:03}", cities[number % 13], "county") for number in range(110)]
    schools = [_school(f"s{number:04}", counties[number % 110]) for number in range(1_000)]
    return (top, *cities, *counties, *schools)


def nation() -> Tree:
    """The hub, 31 provinces, 333 prefectures, 2,846 counties; nobody below them."""
    provinces = [_place(f"p{number:02}", _ROOT_PLACE, "provincial") for number in range(31)]
    prefectures = [_place(f"c{number:03}", provinces[number % 31], "municipal") for number in range(333)]
    counties = [_place(f"d{number:04}", prefectures[number % 333], "county") for number in range(2_846)]
    return (_ROOT_PLACE, *provinces, *prefectures, *counties)


def random_tree(nodes: int, seed: int) -> Tree:
    """A tree of `nodes` nodes, three to five levels deep and as uneven as real ones; raises UnknownTree."""
    if not 2 <= nodes <= NODES_MAX:
        raise UnknownTree(f"{nodes} nodes", f"from 2 to {NODES_MAX}")
    chance = chance_of(seed, "tree")
    authorities = [_ROOT_PLACE]
    for number in range(max(1, nodes // 6)):
        above = _not_too_deep(chance, authorities)
        authorities.append(_place(f"a{number:03}", above, _LEVELS[_LEVELS.index(above.level) + 1]))
    schools = [_school(f"s{number:04}", chance.choice(authorities)) for number in range(nodes - len(authorities))]
    return tuple(sorted((*authorities, *schools), key=lambda place: (place.name.count("."), place.name)))


def read_divisions(path: Path) -> Tree:
    """A table of divisions: columns code and parent, and level where it is told; the nation's code has no parent.

    The tree is as deep as the table says, districts directly under a province included. Raises UnknownTree.
    """
    try:
        if path.stat().st_size > _FILE_BYTES_MAX:
            raise UnknownTree(str(path), f"larger than {_FILE_BYTES_MAX} bytes")
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [(row["code"], row["parent"], row.get("level", "")) for row in csv.DictReader(file)]
    except (OSError, KeyError, csv.Error, UnicodeDecodeError) as error:
        raise UnknownTree(str(path), f"not a table with columns code and parent: {error}") from error
    if len(rows) > NODES_MAX:
        raise UnknownTree(str(path), f"{len(rows)} rows, at most {NODES_MAX}")
    below: dict[str, list[_Division]] = defaultdict(list)
    for code, parent, level in rows:
        below[parent].append((code, level))
    tops = below.get("", [])
    if len(tops) != 1:
        raise UnknownTree(str(path), f"{len(tops)} rows without a parent, expected one")
    tree = tuple(_divided(_ROOT_PLACE, tops[0][0], below, 0))
    if len(tree) != len(rows):
        raise UnknownTree(str(path), f"{len(rows) - len(tree)} rows hang from no row that leads to the top")
    return tree


def _planned(row: dict[str, Any]) -> Place:
    above = row.get("parent")
    line = [part for part in (row["label"], above) if part and part != ROOT]
    return Place(
        name=parse_name(".".join((*line, ROOT))),
        parent=None if above is None else parse_name(ROOT if above == ROOT else f"{above}.{ROOT}"),
        level=row["level"],
        kind=row["kind"] if row["kind"] in _ADMITTING else "school",
        is_dialable=row.get("dialable", True),
    )


def _divided(place: Place, code: str, below: Mapping[str, Sequence[_Division]], depth: int) -> Iterator[Place]:
    if depth > DEPTH_MAX:
        raise UnknownTree(code, f"deeper than {DEPTH_MAX} levels")
    yield place
    deeper = _LEVELS[min(_LEVELS.index(place.level) + 1, 3)]
    for inner, told in below.get(code, ()):
        level = _LEVEL_BY_WORD.get(told, deeper)
        yield from _divided(_place(f"d{inner}", place, level), inner, below, depth + 1)


def _not_too_deep(chance: Chance, authorities: list[Place]) -> Place:
    return chance.choice([place for place in authorities if _LEVELS.index(place.level) < 3])


def _place(label: str, above: Place, level: Level) -> Place:
    name = parse_name(f"{label}.{above.name}")
    return Place(name=name, parent=above.name, level=level, kind="authority", is_dialable=True)


def _school(label: str, above: Place) -> Place:
    name = parse_name(f"{label}.{above.name}")
    return Place(name=name, parent=above.name, level="school", kind="school", is_dialable=False)


_ROOT_PLACE: Final = Place(name=ROOT, parent=None, level="national", kind="authority", is_dialable=True)
_ADMITTING: Final = ("authority", "open_university", "credit_bank")

PRESETS: Final = {
    "seed": seed_tree,
    "county-75": lambda: county(75),
    "county-1000": lambda: county(1_000),
    "province": province,
    "nation": nation,
}
