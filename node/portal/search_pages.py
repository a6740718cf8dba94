"""Home, search and resource pages: how people find what they would like to learn.

What lives here: the question in the address, the answer in two parts, and its twins as JSON and CSV. What must not:
scores, merging or whom to ask (`node/usecases/searching.py`).

Results of this node are there at once. What the network adds follows in the same page, without any script: where it
takes longer than AT_ONCE_S, the page begins, and the rest of it is sent when it has come.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, get_args
from urllib.parse import urlencode

import msgspec
from starlette.responses import Response, StreamingResponse

from federation.catalogue import Audience, Resource, ResourceType, Review, Section, Stage
from federation.errors import LlnError, NotFound
from federation.naming import is_name
from federation.search import FacetCount, Hit, SearchAnswer
from node import desk
from node.portal.addresses import web_address
from node.portal.linked import linked_data
from node.portal.offer_files import path_of, size_of
from node.portal.pages import Page
from node.portal.tables import as_csv, as_json
from node.portal.visits import Visit
from node.ports import ResourceRow
from node.ports.files import FileRow

AT_ONCE_S: Final = 0.35
PER_PAGE: Final = 10
NEAR_SHOWN: Final = 5
FACET_VALUES_SHOWN: Final = 8
NAMES_SHOWN: Final = 5
PAGES_MAX: Final = 100
REST_MARK: Final = "<!--the rest of the network-->"
FACETS: Final = ("section", "audience", "type", "stage", "industry", "language")
EXAMPLES: Final = ("智能手机", "书法", "护理", "English")
_KNOWN: Final[Mapping[str, frozenset[str]]] = {
    "section": frozenset(get_args(Section)),
    "audience": frozenset(get_args(Audience)),
    "type": frozenset(get_args(ResourceType)),
    "stage": frozenset(get_args(Stage)),
}


class ResourceMissing(NotFound):
    code = "LLN-1266"
    zh = "没有找到这个资源：它可能已经出库，或者所在节点现在没有回应。请搜索它的名称。"
    en = "The resource was not found: it is withdrawn, or its node does not answer now. Search for its title."


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The question as it stands in the address."""

    text: str
    filters: dict[str, tuple[str, ...]]
    is_here: bool
    is_public: bool
    """Whether nobody vouches for who asks: then only what is shared with everybody is looked for."""
    page: int

    @classmethod
    def of(cls, visit: Visit) -> "Asked":
        query = visit.request.query_params
        filters = {
            facet: tuple(dict.fromkeys(value[:64] for value in query.getlist(facet) if _is_value(facet, value)))[:16]
            for facet in FACETS
        }
        page = visit.query("page")
        return cls(
            text=visit.query("q").strip()[:1_000],
            filters={facet: values for facet, values in filters.items() if values},
            is_here=visit.person is not None and visit.query("scope") == "node",
            is_public=visit.person is None,
            page=min(PAGES_MAX, max(1, int(page))) if page.isascii() and page.isdigit() else 1,
        )

    @property
    def is_empty(self) -> bool:
        return not self.text and not self.filters

    def question(self, *, here: bool, limit: int = PER_PAGE, page: int | None = None) -> desk.SearchAsked:
        at = self.page if page is None else page
        return msgspec.convert(
            {
                "text": self.text,
                "scope": "public" if self.is_public else "node" if here else "network",
                "limit": limit,
                "offset": min(1_000, (at - 1) * limit),
                **self.filters,
            },
            desk.SearchAsked,
        )

    def address(self, path: str = "/search", **changes: Any) -> str:
        """`page`, `filters`, `is_here` or `text` changed."""
        asked = msgspec.structs.replace(self, **changes)
        query: list[tuple[str, str]] = [("q", asked.text)]
        query += [(facet, value) for facet, values in asked.filters.items() for value in values]
        query += [("scope", "node")] if asked.is_here else []
        query += [("page", str(asked.page))] if asked.page > 1 else []
        return f"{path}?{urlencode(query)}"

    def toggled(self, facet: str, value: str) -> str:
        chosen = self.filters.get(facet, ())
        now = tuple(one for one in chosen if one != value) if value in chosen else (*chosen, value)
        filters = {**self.filters, facet: now}
        return self.address(filters={name: values for name, values in filters.items() if values}, page=1)


class FacetValue(msgspec.Struct, frozen=True, kw_only=True):
    value: str
    count: int | None
    address: str
    is_chosen: bool


async def home(visit: Visit) -> Response:
    return visit.page("home.html", examples=EXAMPLES)


async def search(visit: Visit) -> Response:
    asked = Asked.of(visit)
    if asked.is_empty:
        return visit.page("search.html", asked=asked, near=None, rest="")
    if asked.is_here:
        answer = await visit.ask("search", asked.question(here=True), SearchAnswer)
        return visit.page("search.html", asked=asked, near=None, rest=_rest(visit, asked, answer, ()))
    far = asyncio.create_task(_ask_far(visit, asked))  # awaited by the page, or by what is sent of it later
    done, _ = await asyncio.wait({far}, timeout=AT_ONCE_S)
    if done:
        return visit.page("search.html", asked=asked, near=None, rest=_rest(visit, asked, far.result(), ()))
    is_shown_at_once = (
        asked.page == 1 and not asked.is_public
    )  # there is no scope of what this node alone tells everybody
    first = asked.question(here=True, limit=NEAR_SHOWN) if is_shown_at_once else None
    near = await visit.ask("search", first, SearchAnswer) if first else None
    before, _, after = visit.draw("search.html", asked=asked, near=near, rest=None, mark=REST_MARK).partition(REST_MARK)
    shown = tuple(hit.key for hit in near.hits) if near else ()

    async def parts() -> AsyncIterator[str]:
        try:
            yield before
            yield _rest(visit, asked, await far, shown)
            yield after
        finally:
            far.cancel()

    return visit.finish(StreamingResponse(parts(), media_type="text/html; charset=utf-8"))


async def _ask_far(visit: Visit, asked: Asked) -> SearchAnswer | None:
    """The whole network's answer; None where that could not be had."""
    try:
        return await visit.ask("search", asked.question(here=False), SearchAnswer)
    except LlnError:
        return None


def _rest(visit: Visit, asked: Asked, answer: SearchAnswer | None, shown: Sequence[str]) -> str:
    if answer is None:
        return visit.draw("search_failed.html", asked=asked)
    coverage = answer.coverage
    silent = list(coverage.silent)
    silent += [one.node for one in answer.sources if one.outcome not in ("ok", "empty") and one.node not in silent]
    lacking = max(len(silent), coverage.nodes_in_scope - coverage.nodes_answered)
    offset = (asked.page - 1) * PER_PAGE
    return visit.draw(
        "search_rest.html",
        asked=asked,
        answer=answer,
        hits=[hit for hit in answer.hits if hit.key not in shown],
        is_continued=bool(shown),
        facets=_facets(asked, answer.facets),
        silent=silent[:NAMES_SHOWN],
        lacking=lacking,
        has_next=offset + len(answer.hits) < answer.total and len(answer.hits) > 0 and asked.page < PAGES_MAX,
        first=offset + 1,
    )


def _facets(asked: Asked, counts: Sequence[FacetCount]) -> list[tuple[str, list[FacetValue]]]:
    """Each facet with its values: the chosen ones first, even where nothing is counted for them any more."""
    found = []
    for facet in FACETS:
        counted = {one.value: one.count for one in counts if one.facet == facet and one.value}
        chosen = asked.filters.get(facet, ())
        values = [*chosen, *(value for value in counted if value not in chosen)][:FACET_VALUES_SHOWN]
        if len(values) > 1 or chosen:
            found.append(
                (
                    facet,
                    [
                        FacetValue(
                            value=value,
                            count=counted.get(value),
                            address=asked.toggled(facet, value),
                            is_chosen=value in chosen,
                        )
                        for value in values
                    ],
                )
            )
    return found


def _is_value(facet: str, value: str) -> bool:
    known = _KNOWN.get(facet)
    return value in known if known else bool(value) and value.isprintable()


# --- twins -----------------------------------------------------------------------------------------------------------


async def search_json(visit: Visit) -> Response:
    asked = Asked.of(visit)
    return visit.finish(as_json(await visit.ask("search", asked.question(here=asked.is_here), SearchAnswer)))


async def search_csv(visit: Visit) -> Response:
    asked = Asked.of(visit)
    answer = await visit.ask("search", asked.question(here=asked.is_here, limit=100, page=1), SearchAnswer)
    head = ("title", "provider", "type", "section", "hours", "credits", "licence", "location", "publisher", "id")
    rows = [
        (
            str(hit.title),
            hit.provider or hit.publisher,
            hit.type,
            hit.section,
            hit.hours,
            None if hit.credits is None else hit.credits / 100,
            hit.licence,
            hit.location,
            hit.publisher,
            hit.id,
        )
        for hit in answer.hits
    ]
    return visit.finish(as_csv("search.csv", head, rows))


# --- one resource ----------------------------------------------------------------------------------------------------


async def resource(visit: Visit) -> Response:
    """A resource of this node as it is published; of another, as the network's catalogue shows it."""
    node, resource_id = visit.request.path_params["node"], visit.request.path_params["id"]
    if not is_name(node):
        raise ResourceMissing(resource_id[:128])
    if node == visit.behind.name:
        shown, review = await own_published(visit, resource_id)
        file = await visit.behind.filing.of(resource_id, shown.sha256)
        return _resource_page(visit, node, shown, own=shown, review=review, file=file)
    found = await _elsewhere(visit, node, resource_id)
    return _resource_page(visit, node, found, hit=found)


async def found(visit: Visit, node: str, resource_id: str) -> Resource | Hit:
    """A resource as the visitor may see it; raises ResourceMissing."""
    if not is_name(node):
        raise ResourceMissing(resource_id[:128])
    if node == visit.behind.name:
        return (await own_published(visit, resource_id))[0]
    return await _elsewhere(visit, node, resource_id)


def _resource_page(
    visit: Visit,
    node: str,
    it: Resource | Hit,
    *,
    own: Resource | None = None,
    review: Review | None = None,
    hit: Hit | None = None,
    file: FileRow | None = None,
) -> Response:
    href, host = web_address(it.location)
    saves = path_of(it.id, file.state) if file else ""
    linked = linked_data(it, href, file)
    told: dict[str, Any] = {"own": own, "review": review, "hit": hit, "file": file, "saves": saves, "size_of": size_of}
    return visit.page("resource.html", node=node, href=href, host=host, linked=linked, **told)


async def own_published(visit: Visit, resource_id: str) -> tuple[Resource, Review | None]:
    """What of our own the visitor may see as it is in the catalogue; raises ResourceMissing."""
    try:
        row = await visit.ask("resource.show", visit.read(desk.ResourceNamed, id=resource_id), ResourceRow)
    except LlnError as absent:
        raise ResourceMissing(resource_id[:128]) from absent
    if row.published is None:
        raise ResourceMissing(resource_id[:128])
    if visit.person is None and row.published.share_scope.reach != "network":
        raise ResourceMissing(resource_id[:128])
    is_same = row.published.version == row.resource.version
    return row.published, row.review if is_same else None


async def _elsewhere(visit: Visit, node: str, resource_id: str) -> Hit:
    """Other nodes' resources are known by being found, as whoever asks may see them."""
    scope = "public" if visit.person is None else "network"
    asked = visit.read(desk.SearchAsked, text="", scope=scope, key=(f"{node}#{resource_id}",), limit=20, facets=False)
    answer = await visit.ask("search", asked, SearchAnswer)
    for hit in answer.hits:
        if hit.id == resource_id and hit.publisher == node:
            return hit
    raise ResourceMissing(f"{node} {resource_id[:128]}")


PAGES: Final = (
    Page(path="/", answer=home, shows=True),
    Page(path="/search", answer=search, shows=True),
    Page(path="/search.json", answer=search_json),
    Page(path="/search.csv", answer=search_csv),
    Page(path="/resource/{node}/{id:path}", answer=resource),
)
