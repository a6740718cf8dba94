"""The tour: load the catalogue, wait for its copies, ask the questions, and hold each answer against what it should be.

What lives here: the steps and what they record. What must not: processes (`federation.py`) or options (`__main__.py`).
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from federation.catalogue import CRITERIA, Resource
from federation.errors import Unavailable
from federation.naming import NodeName
from federation.search import SearchAnswer
from node import desk
from node.demo.federation import Federation
from node.demo.plan import ROOT, Question

AUTHOR: Final = "editor"
REVIEWER: Final = "reviewer"
BATCH: Final = 1_000
COPIES_TIMEOUT_S: Final = 120.0
SHOWN_HITS: Final = 3


class CopiesMissing(Unavailable):
    code = "LLN-1681"
    zh = "等了很久，上级仍没有收齐资源目录的副本。请看各节点的 node.log。"
    en = "The copies of the catalogue did not all arrive in time. See node.log of the nodes."


class AskedSearch(msgspec.Struct, frozen=True, kw_only=True, rename={"asker": "from"}):
    """What one question of the tour led to; `ms` as the asking person waits."""

    asker: str
    query: str
    scope: str
    hits: tuple[dict[str, object], ...]
    total: int
    silent: tuple[str, ...]
    ms: int
    expected: str
    held: bool


class HeldCopy(msgspec.Struct, frozen=True, kw_only=True):
    log: str
    origin: str
    holder: str
    size: int
    root: str


async def load(federation: Federation, catalogue: dict[NodeName, list[Resource]]) -> int:
    """Import, review by somebody else, publish, at every publisher; returns how many were published."""

    async def one(publisher: NodeName) -> int:
        rows = [desk.ImportRow(row=at, resource=one) for at, one in enumerate(catalogue[publisher], start=1)]
        published = 0
        for start in range(0, len(rows), BATCH):
            batch = tuple(rows[start : start + BATCH])
            ids = tuple(row.resource.id for row in batch)
            await federation.ask(
                publisher,
                "resource.import",
                desk.ImportAsked(rows=batch, author=AUTHOR, apply=True),
                desk.ImportPlan,
            )
            await federation.ask(
                publisher,
                "resource.review",
                desk.ReviewAsked(ids=ids, reviewer=REVIEWER, approve=True, criteria=CRITERIA),
                desk.ResourceOutcomes,
            )
            done = await federation.ask(
                publisher, "resource.publish", desk.ResourcesNamed(ids=ids), desk.ResourceOutcomes
            )
            published += sum(outcome.state == "published" for outcome in done.outcomes)
        return published

    return sum(await federation.each(list(catalogue), one))


async def await_copies(federation: Federation) -> list[HeldCopy]:
    """Wait until every catalogue has reached the hub, is indexed there, and every directory its children."""
    deadline = time.monotonic() + COPIES_TIMEOUT_S
    while True:
        copies = await gather_copies(federation)
        missing = _missing(federation, copies)
        if not missing and await _is_indexed(federation):
            return copies
        if time.monotonic() > deadline:
            raise CopiesMissing(missing[0] if missing else "index", f"{len(missing)} copies after {COPIES_TIMEOUT_S} s")
        await asyncio.sleep(0.3)


async def gather_copies(federation: Federation) -> list[HeldCopy]:
    names = [node.name for node in federation.nodes]
    held = await federation.each(names, lambda name: federation.ask(name, "log.list", desk.Nothing(), desk.Logs))
    return [
        HeldCopy(log=log.topic, origin=log.origin, holder=name, size=log.size, root=log.root)
        for name, logs in zip(names, held, strict=True)
        for log in logs.logs
    ]


async def ask_questions(
    federation: Federation, questions: Sequence[Question], told: Callable[[Question, AskedSearch, SearchAnswer], None]
) -> list[AskedSearch]:
    """One after the other, as a person would; each is told as soon as it is answered."""
    asked = []
    for question in questions:
        started = time.perf_counter()
        answer = await federation.ask(question.asker, "search", _as_asked(question), SearchAnswer)
        ms = int((time.perf_counter() - started) * 1_000)
        record = AskedSearch(
            asker=question.asker,
            query=question.query,
            scope=question.scope,
            hits=tuple(_shown(answer)),
            total=answer.total,
            silent=answer.coverage.silent,
            ms=ms,
            expected=_expectation(question),
            held=holds(question, answer),
        )
        told(question, record, answer)
        asked.append(record)
    return asked


def holds(question: Question, answer: SearchAnswer) -> bool:
    """Whether an answer is what the question expects, folded cards included."""
    ids = [{hit.id, *(also.id for also in hit.also_at)} for hit in answer.hits[: question.top]]
    if question.expects_none:
        return all(question.expects_id not in one for one in ids) if question.expects_id else not answer.total
    publishers = [{hit.publisher, *(also.publisher for also in hit.also_at)} for hit in answer.hits[: question.top]]
    return any(
        question.expects_id in one and (question.expects_publisher is None or question.expects_publisher in names)
        for one, names in zip(ids, publishers, strict=True)
    )


def questions_about(catalogue: dict[NodeName, list[Resource]], askers: Sequence[NodeName]) -> list[Question]:
    """For a catalogue that brings no questions: titles of some of its resources, asked from elsewhere."""
    questions: list[Question] = []
    for at, (publisher, resources) in enumerate(catalogue.items()):
        elsewhere = [name for name in askers if name != publisher]
        chosen = next((one for one in resources[len(resources) // 2 :] if one.share_scope.reach == "network"), None)
        if chosen is not None and elsewhere:
            query = chosen.title.zh or chosen.title.en
            asker = elsewhere[at % len(elsewhere)]
            questions.append(Question(asker=asker, query=query, scope="network", expects_id=chosen.id, top=50))
    return questions


def _as_asked(question: Question) -> desk.SearchAsked:
    return desk.SearchAsked(
        text=question.query,
        scope=question.scope,
        under=question.under,
        limit=max(10, question.top),
        **msgspec.structs.asdict(question.filters),
    )


def _expectation(question: Question) -> str:
    if question.expects_none:
        return f"not {question.expects_id}" if question.expects_id else "nothing"
    return f"{question.expects_id} in the first {question.top}"


def _shown(answer: SearchAnswer) -> list[dict[str, object]]:
    return [
        {
            "publisher": hit.publisher,
            "id": hit.id,
            "title": str(hit.title),
            "score": hit.score,
            "age_s": hit.age_s,
            "also_at": [also.publisher for also in hit.also_at],
        }
        for hit in answer.hits
    ]


def _missing(federation: Federation, copies: Sequence[HeldCopy]) -> list[str]:
    """Logs that the hub does not hold as their origin does, and directories that a child does not."""
    held = {(copy.origin, copy.log, copy.holder): copy.root for copy in copies}
    at_hub = [
        f"{copy.origin}/{copy.log} at {ROOT}"
        for copy in copies
        if copy.holder == copy.origin and held.get((copy.origin, copy.log, ROOT)) != copy.root
    ]
    at_children = [
        f"{node.parent}/directory at {node.name}"
        for node in federation.nodes
        if node.parent
        and held.get((node.parent, "directory", node.name)) != held.get((node.parent, "directory", node.parent))
    ]
    return at_hub + at_children


async def _is_indexed(federation: Federation) -> bool:
    """Whether every node has made searchable all that it holds."""
    names = [node.name for node in federation.nodes]
    held = await federation.each(names, lambda name: federation.ask(name, "log.list", desk.Nothing(), desk.Logs))
    return all(log.indexed is None or log.indexed >= log.size for logs in held for log in logs.logs)
