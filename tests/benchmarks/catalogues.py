"""Real texts of ../shared/data as resources, and as many more as are asked for, made of their sentences.

What lives here: reading those files and recombining what they say. What must not: measuring, or any index. Nothing of
them is copied into the repository; without them the benchmarks of search say so and stop.
"""

import gzip
import json
import random
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from federation import canonical
from federation.catalogue import (
    CRITERIA,
    Audience,
    BilingualLine,
    BilingualProse,
    Resource,
    ResourcePublished,
    ResourceType,
    Review,
    Section,
    ShareScope,
)
from federation.naming import NodeName

DATA: Final = Path(__file__).resolve().parents[3] / "shared" / "data"
ROOT: Final = NodeName("lln.internal")
FILES: Final = (
    "ntnu_courses.zh-Hant",
    "visualstudio_docs.zh-Hans",
    "free_programming_books.zh_en",
    "openstax_sections_ccby.en",
    "oi_wiki.zh-Hans",
    "d2l_sections.zh-Hans_en",
    "cs_self_learning.zh-Hans_en",
)
SECTIONS: Final = cast(tuple[Section, ...], Section.__args__)  # type: ignore[attr-defined]
AUDIENCES: Final = cast(tuple[Audience, ...], Audience.__args__)  # type: ignore[attr-defined]
TYPES: Final = cast(tuple[ResourceType, ...], ResourceType.__args__)  # type: ignore[attr-defined]
INDUSTRIES: Final = ("A01", "C13", "F51", "G58", "I65", "J66", "M73", "O80", "P83", "Q84", "R86", "S91")
SMALLEST: Final = {"FILES": ("cs_self_learning.zh-Hans_en",)}
_SENTENCE: Final = re.compile(r"[^。！？；.!?;]+[。！？；.!?;]?")
_CHINESE: Final = re.compile("[\u4e00-\u9fff]")
SALT: Final = "A" * 22


class DataAbsent(RuntimeError):
    """The files these figures are measured on are not beside the repository."""


def rows_of(name: str) -> Iterator[dict[str, Any]]:
    path = DATA / f"{name}.jsonl.gz"
    if not path.exists():
        raise DataAbsent(f"{path.name} is not in ../shared/data: this benchmark needs it")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


@cache
def real_resources() -> tuple[Resource, ...]:
    """Every distinct record of the catalogues, about 19,000, in Chinese of both scripts and English."""
    seen: set[str] = set()
    found: list[Resource] = []
    for name in FILES:
        for row in rows_of(name):
            title, described = _title_of(row), _description_of(row)
            if title and f"{title}\n{described}" not in seen:
                seen.add(f"{title}\n{described}")
                found.append(resource_of(len(found), title, described, id_prefix=name.split("_")[0].split(".")[0]))
    return tuple(found)


def _title_of(row: dict[str, Any]) -> str:
    name = row["name"]
    return str(next(iter(name.values()), "") if isinstance(name, dict) else name)[:300]


def _description_of(row: dict[str, Any]) -> str:
    described = row.get("description", "")
    if isinstance(described, dict):
        described = next(iter(described.values()), "")
    parts = (described, row.get("objective"), row.get("text"), row.get("note"), row.get("isPartOf"))
    return "\n".join(str(part) for part in parts if part)[:8_000]


def resource_of(number: int, title: str, described: str, *, id_prefix: str = "made") -> Resource:
    """A resource of these texts; its other fields follow from its number, unevenly, as in life."""
    is_chinese = _CHINESE.search(title + described) is not None
    spread = random.Random(number)  # noqa: S311  # the same catalogue every time
    return Resource(
        id=f"{id_prefix}-{number:07d}",
        title=BilingualLine(zh=title) if is_chinese else BilingualLine(en=title),
        description=BilingualProse(zh=described) if is_chinese else BilingualProse(en=described),
        type=TYPES[int(len(TYPES) * spread.random() ** 2)],
        section=SECTIONS[int(len(SECTIONS) * spread.random() ** 1.5)],
        audience=tuple(sorted({spread.choice(AUDIENCES) for _ in range(2)})),
        industry=spread.choice(INDUSTRIES),
        language="zh-Hans" if is_chinese else "en",
        licence="CC BY 4.0",
        location=f"https://courses.example/{id_prefix}/{number}",
    )


def made_resources(count: int, *, seed: int = 0) -> Iterator[Resource]:
    """`count` resources made of real titles and sentences, put together anew; the same ones for the same seed."""
    chinese, english = _sentences()
    titles = [str(resource.title) or resource.title.en for resource in real_resources()]
    draw = random.Random(seed)  # noqa: S311  # the same catalogue every time
    for number in range(count):
        one, other = draw.choice(titles), draw.choice(titles)
        pool = chinese if _CHINESE.search(one) else english
        title = f"{one[: draw.randint(4, 24)]} {other[: draw.randint(4, 24)]}"
        described = "".join(draw.choice(pool) for _ in range(draw.randint(2, 5)))
        yield resource_of(number, title, described)


@cache
def _sentences() -> tuple[tuple[str, ...], tuple[str, ...]]:
    chinese: list[str] = []
    english: list[str] = []
    for resource in real_resources():
        described = resource.description.zh or resource.description.en
        for sentence in _SENTENCE.findall(described):
            if 8 <= len(sentence) <= 200:
                (chinese if _CHINESE.search(sentence) else english).append(sentence)
    return tuple(chinese), tuple(english)


def entry_of(resource: Resource, publisher: NodeName) -> bytes:
    """The document of a catalogue log that publishes it."""
    return canonical.encode(
        ResourcePublished(
            publisher=publisher,
            resource=resource,
            review=Review(reviewer="r-1", criteria=CRITERIA, at_ms=1),
            published_at_ms=1,
            salt=SALT,
        )
    )


def publishers(count: int) -> tuple[NodeName, ...]:
    """Schools of a tree four levels deep: provinces, cities, schools."""
    return tuple(NodeName(f"s{n}.c{n % 97}.p{n % 31}.{ROOT}") for n in range(count))


def entries(resources: Iterator[Resource], names: Sequence[NodeName]) -> Iterator[tuple[NodeName, bytes]]:
    """Each resource as an entry of one of `names`; one in twenty goes no further than its province or its siblings."""
    for number, resource in enumerate(resources):
        publisher = names[number * 7919 % len(names)]
        yield publisher, entry_of(_scoped(resource, number, publisher), publisher)


def _scoped(resource: Resource, number: int, publisher: NodeName) -> Resource:
    if number % 20:
        return resource
    province = NodeName(".".join(publisher.split(".")[-3:]))
    scope = ShareScope(reach="siblings") if number % 40 else ShareScope(reach="subtree", ancestor=province)
    return msgspec.structs.replace(resource, share_scope=scope)


def questions(language: str) -> list[tuple[str, str]]:
    """(question, id of the passage that answers it) of a question set, such as `xquad.en`."""
    path = DATA / "queries" / f"{language}.queries.tsv.gz"
    if not path.exists():
        raise DataAbsent(f"{path.name} is not in ../shared/data/queries: this benchmark needs it")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [line.rstrip("\n").split("\t") for line in lines]
    return [(row[1], row[2]) for row in rows]


def passages(language: str) -> list[tuple[str, str]]:
    """(id, text) of the passages of a question set."""
    return [(row["id"], row["text"]) for row in rows_of(f"queries/{language}.corpus")]
