"""Whether many nodes, merged, find what one central index finds: a real catalogue split unevenly over them.

Each node has an index of its own and answers with its best twenty, rescored with the statistics that the authority
above publishes; the ten best of all are compared with those of one index that holds everything. Statistics of a tenth
of the catalogue stand for some that are old. What must not live here: timing.
"""

import asyncio
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

from federation.merging import merge
from federation.naming import NodeName
from federation.scoring import statistics_for
from federation.search import Hit, SearchRequest
from node.index.folding import standard_analysis
from node.index.tantivy_index import TantivyIndex
from tests.benchmarks.catalogues import ROOT, entry_of, passages, questions, real_resources, resource_of
from tests.benchmarks.measuring import Figure, Flags

NAME = "merging"
SMALLEST = {"NODES": (3,), "QUESTIONS": {3: 4}}
NODES = (30, 1_000)
QUESTIONS = {30: 100, 1_000: 24}
CANDIDATES = 20
FIRST = 10
SIZES_FALL_BY = 0.8
"""The n-th largest node holds a share of about 1 / n to this power."""
SETS = ("xquad.zh-Hans", "xquad.en")

Entries = list[tuple[int, bytes]]


def run(flags: Flags) -> list[Figure]:
    del flags
    return [figure for count in NODES for figure in asyncio.run(measure(count))]


async def measure(nodes: int) -> list[Figure]:
    held = split(nodes)
    asked = [text for name in SETS for text, _ in questions(name)[: QUESTIONS[nodes] // len(SETS)]]
    with tempfile.TemporaryDirectory() as folder:
        central = opened(Path(folder) / "central", ROOT)
        for name, entries in held.items():
            await central.apply(name, entries, upto=len(entries))
        await central.commit()
        ideal = [keys(merge([await best(central, text)])) for text in asked]
        shared = await central.statistics()
        stale = await statistics_of_a_tenth(Path(folder) / "tenth", held)
        merged = await asked_of_all(Path(folder) / "nodes", held, asked, (shared, stale))
        terms = {term for text in asked for term in (await answer(central, text)).statistics.frequencies}
        await central.close()
    small = set(sorted(held, key=lambda name: len(held[name]))[: nodes // 2])
    figures = []
    for words, found in zip(("", ", statistics of a tenth"), merged, strict=True):
        pairs = [(set(one), set(should)) for one, should in zip(found, ideal, strict=True) if should]
        overlaps = [len(one & should) / len(should) for one, should in pairs]
        figures.append(
            Figure(
                name=f"{nodes:,} nodes: the ten best{words}",
                ours="merged",
                rival_or_ceiling="one central index",
                ratio=round(sum(overlaps) / len(overlaps), 3),
                gate="≥ 0.99" if not words else "",
                unit="overlap",
                note=f"{len(overlaps)} questions, {len(terms):,} terms, {sum(map(len, held.values())):,} resources",
            )
        )
    deserved = share(ideal, small)
    figures.append(
        Figure(
            name=f"{nodes:,} nodes: places of the smaller half",
            ours=f"{share(merged[0], small):.3f}",
            rival_or_ceiling=f"deserved {deserved:.3f}",
            ratio=round(abs(share(merged[0], small) / deserved - 1), 3),
            gate="≤ 0.1",
            unit="apart",
        )
    )
    return figures


def split(nodes: int) -> dict[NodeName, Entries]:
    """The whole catalogue over so many publishers, a few large and most small; none is empty."""
    chance = random.Random(nodes)  # noqa: S311  # a fixed plan, no secret
    made = [
        resource_of(number, " ", text, id_prefix=f"passage-{name.partition('.')[2]}")
        for name in SETS
        for number, (_, text) in enumerate(passages(name))
    ]
    catalogue = [*made, *real_resources()]
    chance.shuffle(catalogue)
    names = [NodeName(f"n{number}.{ROOT}") for number in range(nodes)]
    weights = [(number + 1) ** -SIZES_FALL_BY for number in range(nodes)]
    holders = [*names, *chance.choices(names, weights, k=len(catalogue) - nodes)]
    held: dict[NodeName, Entries] = {name: [] for name in names}
    for resource, name in zip(catalogue, holders, strict=True):
        held[name].append((len(held[name]), entry_of(resource, name)))
    return held


async def statistics_of_a_tenth(folder: Path, held: dict[NodeName, Entries]) -> bytes:
    index = opened(folder, ROOT)
    for name, entries in held.items():
        await index.apply(name, entries[::10], upto=len(entries))
    await index.commit()
    told = await index.statistics()
    await index.close()
    return told


async def asked_of_all(
    folder: Path, held: dict[NodeName, Entries], asked: Sequence[str], published: Sequence[bytes]
) -> list[list[list[str]]]:
    """For each of the published statistics, and each question, the ten best of all nodes together."""
    hits: list[list[list[Sequence[Hit]]]] = [[[] for _ in asked] for _ in published]
    for name, entries in held.items():
        index = opened(folder / name, name)
        await index.apply(name, entries, upto=len(entries))
        await index.commit()
        for at, text in enumerate(asked):
            own = (await answer(index, text)).statistics.frequencies
            for which, encoded in enumerate(published):
                hits[which][at].append(await best(index, text, statistics=statistics_for(encoded, own)))
        await index.close()
    return [[keys(merge(answers)) for answers in by_question] for by_question in hits]


def opened(folder: Path, name: NodeName) -> TantivyIndex:
    return TantivyIndex(folder, analysis=standard_analysis(), own_name=name, root=ROOT, writer_bytes=15_000_000)


async def answer(index: TantivyIndex, text: str, **more: object):  # type: ignore[no-untyped-def]  # a SearchAnswer
    request = SearchRequest(text=text, scope="network", asker=ROOT, facets=False, limit=CANDIDATES, **more)  # type: ignore[arg-type]
    return await index.search(request, viewer=ROOT, candidates=50)


async def best(index: TantivyIndex, text: str, **more: object) -> Sequence[Hit]:
    return (await answer(index, text, **more)).hits[:CANDIDATES]  # type: ignore[no-any-return]


def keys(cards: Sequence[Hit]) -> list[str]:
    return [card.key for card in cards[:FIRST]]


def share(found: Sequence[Sequence[str]], small: set[NodeName]) -> float:
    """How many of all places are held by the nodes in `small`."""
    places = [key.partition("#")[0] in small for keys_found in found for key in keys_found]
    return sum(places) / len(places)
