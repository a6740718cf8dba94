"""The index, and merging, on the demo's own catalogue and questions: every expectation of the tour holds."""

import json
import tomllib
from pathlib import Path

import msgspec
import pytest

from federation import canonical
from federation.catalogue import CRITERIA, Resource, ResourcePublished, Review
from federation.merging import merge, page
from federation.naming import NodeName
from federation.search import Filters, SearchRequest
from node.index.folding import standard_analysis
from node.index.tantivy_index import TantivyIndex

ROOT = NodeName("lln.internal")
DEMO = Path(__file__).parents[2] / "config" / "demo"
SEARCHES = tomllib.loads((DEMO / "searches.toml").read_text(encoding="utf-8"))["search"]


def _name(path):
    return NodeName(path if path == ROOT else f"{path}.{ROOT}")


def _entries():
    by_publisher = {}
    for file in sorted((DEMO / "catalogue").glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            publisher = _name(row.pop("publisher"))
            entry = ResourcePublished(
                publisher=publisher,
                resource=msgspec.convert(row, Resource),
                review=Review(reviewer="r", criteria=CRITERIA, at_ms=1),
                published_at_ms=1,
                salt="A" * 22,
            )
            by_publisher.setdefault(publisher, []).append(canonical.encode(entry))
    return by_publisher


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("index")


async def _index(folder):
    index = TantivyIndex(folder, analysis=standard_analysis(), own_name=ROOT, root=ROOT, writer_bytes=15_000_000)
    if not index.positions():
        for publisher, documents in _entries().items():
            await index.apply(publisher, list(enumerate(documents)), upto=len(documents))
        await index.commit()
    return index


@pytest.mark.parametrize("search", SEARCHES, ids=[f"{one['query']}-{one['scope']}" for one in SEARCHES])
async def test_each_question_of_the_tour_is_answered_as_expected(folder, search):
    index = await _index(folder)
    asker = _name(search["from"])
    filters = {key: tuple(v) if isinstance(v, list) else (v,) for key, v in search.get("filters", {}).items()}
    request = SearchRequest(
        text=search["query"],
        scope=search["scope"],
        asker=asker,
        under=_name(search["ancestor"]) if "ancestor" in search else None,
        filters=msgspec.convert(filters, Filters),
        limit=50,
    )
    answer = await index.search(request, viewer=asker, candidates=100)
    await index.close()
    cards = page(merge([answer.hits]), limit=search.get("top", 10), offset=0)
    shown = [{card.id, *(also.id for also in card.also_at)} for card in cards]
    if search.get("expects_none"):
        wanted = search.get("expects_id")
        found = {hit.id for hit in answer.hits}
        assert (wanted not in found) if wanted else (answer.total == 0 and not answer.facets)
        return
    assert any(search["expects_id"] in ids for ids in shown), [card.title.zh for card in cards]
    if "expects_also_at" in search:
        card = next(card for card, ids in zip(cards, shown, strict=True) if search["expects_id"] in ids)
        places = {card.publisher, *(also.publisher for also in card.also_at)}
        assert {_name(path) for path in search["expects_also_at"]} <= places
