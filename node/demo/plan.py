"""What the demonstration consists of: its tree, its catalogue and its questions, read from `config/demo`.

What must not live here: starting anything.
"""

import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final

import msgspec

from federation.catalogue import Resource
from federation.directory import NodeDescription
from federation.errors import InvalidInput
from federation.naming import NodeName, parse_name
from federation.search import Filters, SearchScope

ROOT: Final = NodeName("lln.internal")
RESOURCE_FIELDS: Final = frozenset(Resource.__struct_fields__)


class DemoDataUnreadable(InvalidInput):
    code = "LLN-1180"
    zh = "演示数据无法读取。请检查文件内容，或不带 --catalogue 运行。"
    en = "The demonstration's data cannot be read. Check the file, or run without --catalogue."


class PlannedNode(msgspec.Struct, frozen=True, kw_only=True):
    name: NodeName
    parent: NodeName | None
    description: NodeDescription
    is_dialable: bool

    @property
    def level(self) -> int:
        return self.name.count(".")


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One search of the tour, and what has to come of it: `expects_id` is found, or, with `expects_none`, is not."""

    asker: NodeName
    query: str
    scope: SearchScope
    under: NodeName | None = None
    filters: Filters = Filters()
    expects_id: str = ""
    expects_publisher: NodeName | None = None
    expects_none: bool = False
    top: int = 10
    shows_zh: str = ""
    shows_en: str = ""


def full_name(path: str) -> NodeName:
    """A label path as `config/demo` writes it, as a node name."""
    return ROOT if path == ROOT else parse_name(f"{path}.{ROOT}")


def read_tree() -> list[PlannedNode]:
    """Every node, parents before their children."""
    nodes = []
    for row in _toml("federation.toml")["node"]:
        label, parent, dialable = row.pop("label"), row.pop("parent", None), row.pop("dialable", True)
        path = label if parent in (None, ROOT) else f"{label}.{parent}"
        nodes.append(
            PlannedNode(
                name=full_name(path),
                parent=full_name(parent) if parent else None,
                description=msgspec.convert(row, NodeDescription),
                is_dialable=dialable,
            )
        )
    return nodes


def read_questions() -> list[Question]:
    return [
        Question(
            asker=full_name(row["from"]),
            query=row["query"],
            scope=row["scope"],
            under=full_name(row["ancestor"]) if "ancestor" in row else None,
            filters=msgspec.convert(
                {key: value if isinstance(value, list) else [value] for key, value in row.get("filters", {}).items()},
                Filters,
            ),
            expects_id=row.get("expects_id", ""),
            expects_publisher=full_name(row["expects_publisher"]) if "expects_publisher" in row else None,
            expects_none=row.get("expects_none", False),
            top=row.get("top", 10),
            shows_zh=row.get("shows", {}).get("zh", ""),
            shows_en=row.get("shows", {}).get("en", ""),
        )
        for row in _toml("searches.toml")["search"]
    ]


def read_own_catalogue() -> dict[NodeName, list[Resource]]:
    """The sample catalogue that the program carries, by publisher."""
    folder = resources.files("config").joinpath("demo", "catalogue")
    lines = [
        line
        for file in sorted(folder.iterdir(), key=lambda one: one.name)
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    return by_publisher(lines, publishers=[])


def read_catalogue_file(path: Path, publishers: Sequence[NodeName]) -> dict[NodeName, list[Resource]]:
    """Any JSON Lines catalogue; rows that name no publisher of this tree are dealt out among `publishers`."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DemoDataUnreadable(str(path), str(error)) from error
    return by_publisher(lines, publishers=publishers)


def by_publisher(lines: Sequence[str], *, publishers: Sequence[NodeName]) -> dict[NodeName, list[Resource]]:
    found: dict[NodeName, list[Resource]] = {}
    for number, line in enumerate(line for line in lines if line.strip()):
        try:
            row = msgspec.json.decode(line, type=dict[str, Any])
            publisher = _publisher(row.pop("publisher", ""), number, publishers)
            found.setdefault(publisher, []).append(msgspec.convert(_as_resource(row, number), Resource))
        except msgspec.MsgspecError as error:
            raise DemoDataUnreadable(f"line {number + 1}", str(error)) from error
    return found


def _publisher(path: str, number: int, publishers: Sequence[NodeName]) -> NodeName:
    if not publishers:
        return full_name(path)
    if path and full_name(path) in publishers:
        return full_name(path)
    return publishers[number % len(publishers)]


def _as_resource(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    """A row of our own fields as it is; of a foreign catalogue, what can be told of it."""
    if "section" in row and "type" in row and isinstance(row.get("title"), dict):
        return {key: value for key, value in row.items() if key in RESOURCE_FIELDS}
    title, text = row.get("title") or row.get("name"), row.get("description") or row.get("text") or row.get("note")
    return {
        "id": f"row-{number + 1}",
        "title": _bilingual(title, 300),
        "description": _bilingual(text, 8_000),
        "type": "online_course",
        "section": "continuing_education",
        "language": _language(row),
        "location": str(row.get("url") or "")[:2_000],
    }


def _bilingual(value: Any, chars_max: int) -> dict[str, str]:
    if isinstance(value, dict):
        zh = next((str(text) for key, text in value.items() if str(key).startswith("zh") and text), "")
        en = next((str(text) for key, text in value.items() if str(key).startswith("en") and text), "")
        return {"zh": zh[:chars_max], "en": en[:chars_max]}
    text = str(value or "")[:chars_max]
    return {"en": text} if text.isascii() else {"zh": text}


def _language(row: Mapping[str, Any]) -> str:
    told = str(row.get("lang") or row.get("language") or "zh-Hans")
    return told if told[:2].isalpha() and len(told) <= 35 else "zh-Hans"


def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads(resources.files("config").joinpath("demo", name).read_text(encoding="utf-8"))
