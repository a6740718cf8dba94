"""A catalogue copied from child to parent, against an OAI-PMH harvest of the same records into table and index.

Both sides of both run in this process over loopback: our pages go through signed calls into the parent's store; theirs
are served by pyoai from a table of its own, behind the standard library's WSGI server, and read by scythe. What arrives
is the same resource, field by field. Three stages: received (ours: signatures and Merkle root verified; theirs: XML
parsed and each field checked), stored (durably, page by page), searchable (in the same index).
"""

import asyncio
import gc
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from statistics import median
from urllib.parse import unquote
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import msgspec
import uvloop
from oaipmh import common, metadata, server
from oaipmh_scythe import Scythe

from federation import canonical
from federation.catalogue import CRITERIA, BilingualLine, BilingualProse, Resource, ResourcePublished, Review
from federation.logs import LogId
from federation.naming import NodeName
from node.assembly import Node
from node.index.folding import standard_analysis
from node.index.tantivy_index import TantivyIndex
from node.ports import ResourceRow, StoredLog, Transaction
from tests.benchmarks.load import Load
from tests.benchmarks.measuring import OTHERS_SHARE_MAX, Figure, Flags
from tests.benchmarks.two_nodes import parent_and_child

NAME = "copy"
SMALLEST = {"RECORDS": 1_000, "PASSES": 1}
RECORDS = 100_000
PASSES = 3
PAGE = 500
WRITER_BYTES = 256_000_000
PUBLISHER = NodeName("school.lln.internal")
GATES = {"received": ("≥ 15", "≥ 25"), "stored": ("≥ 7", "≥ 12"), "searchable": ("≥ 2", "≥ 4")}
WORDS = tuple(
    "课程资源学习手机老年书法烹饪摄影护理会计编程数据安全法律文化历史科学音乐舞蹈英语"[at : at + 2]
    for at in range(0, 40, 2)
)


def run(_: Flags) -> list[Figure]:
    documents = [_document(number) for number in range(RECORDS)]
    before = Load.now()
    passes = [_one_pass(documents) for _ in range(PASSES)]
    share = Load.now().others_share_since(before)
    return [
        Figure(
            name=f"copy of {RECORDS:,} resources: {stage}",
            ours=f"{RECORDS / median(ours[stage] for ours, _ in passes):,.0f}/s",
            rival_or_ceiling=f"{RECORDS / median(theirs[stage] for _, theirs in passes):,.0f}/s",
            ratio=round(median(theirs[stage] / ours[stage] for ours, theirs in passes), 2),
            gate=gate,
            aim=aim,
            disturbed=share is not None and share > OTHERS_SHARE_MAX,
            note=f"CPU seconds of both sides together, median of {PASSES} passes in turns",
        )
        for stage, (gate, aim) in GATES.items()
    ]


def _one_pass(documents: list[bytes]) -> tuple[dict[str, float], dict[str, float]]:
    with tempfile.TemporaryDirectory() as named:
        folder = Path(named)
        gc.collect()
        ours = uvloop.run(_copy(folder, documents))
        with _providing(folder, documents) as url:
            gc.collect()
            received = _harvest_only(url, documents)
            gc.collect()
            theirs = _harvest(folder, url, len(documents))
    return ours, {"received": received, **theirs}


def _document(number: int) -> bytes:
    words = [WORDS[(number * 7 + at * 13) % len(WORDS)] for at in range(60)]
    resource = Resource(
        id=f"resource-{number:07d}",
        title=BilingualLine(zh=f"{words[0]}{words[1]}第{number}讲", en=f"Lecture {number}"),
        description=BilingualProse(zh="，".join(words)),
        type="online_course",
        section="workplace_skills",
        audience=("worker",),
        licence="CC BY 4.0",
        location=f"https://school.example/{number}",
    )
    return _as_entry(resource)


# --- ours ------------------------------------------------------------------------------------------------------------


async def _copy(folder: Path, documents: list[bytes]) -> dict[str, float]:
    async with parent_and_child(folder) as (parent, child):
        log = LogId(origin=child.name, topic="catalogue")
        for start in range(0, len(documents), 2_000):
            batch = documents[start : start + 2_000]
            await child.store.write(lambda tx, at=start, batch=batch: _publish(tx, log, at, batch))
        verified = await _verify_only(parent, child, log)
        gc.collect()
        started = time.process_time()
        await child.forwarding.round(parent.name)
        stored = time.process_time() - started
        held = await parent.store.read(lambda tx: tx.logs.get(log))
        if held is None or held.head.size != len(documents):
            raise RuntimeError("the copy is not whole")
        await parent.indexing.catch_up()
        await parent.index.commit()
        searchable = time.process_time() - started
        if parent.index.count() != len(documents):
            raise RuntimeError("the index is not whole")
    return {"received": verified, "stored": stored, "searchable": searchable}


def _publish(tx: Transaction, log: LogId, start: int, documents: list[bytes]) -> None:
    """What publishing leaves: the entries, and for each resource the row that says which of them is in force."""
    tx.logs.append(log, documents)
    published = (msgspec.json.decode(document, type=ResourcePublished) for document in documents)
    tx.resources.put(
        [
            ResourceRow(
                id=entry.resource.id,
                resource=entry.resource,
                state="published",
                author="a",
                review=entry.review,
                published=entry.resource,
                log_index=index,
                updated_at_ms=1,
            )
            for index, entry in enumerate(published, start)
        ]
    )


async def _verify_only(parent: Node, child: Node, log: LogId) -> float:
    """The same signed calls and the same checks, into a parent that keeps heads but no entries."""
    real = parent.accepting._store
    parent.accepting._store = _Forgetful(real)
    stored = await child.store.read(lambda tx: tx.logs.get(log))
    assert stored is not None
    started = time.process_time()
    size = 0
    while size < stored.head.size:
        page = await child.store.read(
            lambda tx, at=size: child.forwarding._cutting.page(tx, stored, at, viewer=parent.name)
        )
        size = (await child.peers.push(parent.name, page, 1, timeout_s=30)).size
    taken = time.process_time() - started
    parent.accepting._store = real
    return taken


class _Forgetful:
    """A store whose copies are heads in memory; everything else is read from the real one."""

    def __init__(self, real: object) -> None:
        self._real = real
        self._held: dict[LogId, object] = {}

    async def write(self, unit: object) -> object:
        return await self._real.read(lambda tx: unit(_Transaction(tx, self._held)))  # type: ignore[attr-defined,operator]


class _Transaction:
    def __init__(self, real: object, held: dict[LogId, object]) -> None:
        self.standings, self.notes = real.standings, real.notes  # type: ignore[attr-defined]
        self.logs = _Heads(held)


class _Heads:
    def __init__(self, held: dict[LogId, object]) -> None:
        self._held = held

    def get(self, log: LogId) -> object:
        return self._held.get(log)

    def extend(self, head, rows, entries, note, confirmed_at_ms):  # as the port
        self._held[head.log] = StoredLog(log=head.log, head=head, note=note, confirmed_at_ms=confirmed_at_ms)

    def confirm(self, log, note, confirmed_at_ms):  # as the port
        return None

    def holdings(self, log):  # as the port
        return ()


# --- theirs ----------------------------------------------------------------------------------------------------------


class _Provider:
    """An OAI-PMH repository over the same records in a table of its own: whole in Dublin Core, in batches of 500."""

    def __init__(self, path: Path, documents: list[bytes]) -> None:
        self._when = datetime(2026, 1, 1)  # noqa: DTZ001  # pyoai wants naive dates
        self._table = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._table.execute("CREATE TABLE resource (place INTEGER PRIMARY KEY, document BLOB)")
        self._table.execute("BEGIN")
        self._table.executemany("INSERT INTO resource VALUES (?, ?)", enumerate(documents))
        self._table.execute("COMMIT")

    def identify(self) -> common.Identify:
        return common.Identify(
            "bench", "http://127.0.0.1/", "2.0", ["a@school.example"], self._when, "no", "YYYY-MM-DDThh:mm:ssZ", []
        )

    def listRecords(self, metadataPrefix, set=None, from_=None, until=None, cursor=0, batch_size=PAGE):  # noqa: A002, N802, N803, PLR0917  # pyoai's names
        rows = self._table.execute(
            "SELECT document FROM resource WHERE place >= ? ORDER BY place LIMIT ?", (cursor, batch_size)
        )
        return [self._record(document) for (document,) in rows]

    def _record(self, document: bytes) -> tuple[object, object, None]:
        resource = msgspec.json.decode(document, type=ResourcePublished).resource
        fields = {
            "title": [resource.title.zh, resource.title.en],
            "description": [resource.description.zh],
            "identifier": [resource.location],
            "type": [resource.type],
            "subject": [resource.section],
            "coverage": list(resource.audience),
            "language": [resource.language],
            "rights": [resource.licence],
            "publisher": [PUBLISHER],
        }
        return common.Header(None, resource.id, self._when, [], False), common.Metadata(None, fields), None

    def close(self) -> None:
        self._table.close()


@contextmanager
def _providing(folder: Path, documents: list[bytes]) -> Iterator[str]:
    """pyoai over HTTP on loopback, and no TLS: the harvest is spared that."""
    registry = metadata.MetadataRegistry()
    registry.registerWriter("oai_dc", server.oai_dc_writer)
    provider = _Provider(folder / "provider.db", documents)
    repository = server.BatchingServer(provider, registry, resumption_batch_size=PAGE)

    def application(environ, start_response):  # WSGI
        asked = dict(pair.split("=", 1) for pair in environ["QUERY_STRING"].split("&") if "=" in pair)
        body = repository.handleRequest({key: unquote(value) for key, value in asked.items()})
        start_response("200 OK", [("Content-Type", "text/xml; charset=utf-8"), ("Content-Length", str(len(body)))])
        return [body]

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_: object) -> None:
            return

    httpd: WSGIServer = make_server("127.0.0.1", 0, application, handler_class=Quiet)
    serving = threading.Thread(target=httpd.serve_forever, daemon=True)
    serving.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}/"
    finally:
        httpd.shutdown()
        serving.join()
        httpd.server_close()
        provider.close()


def _records(url: str) -> Iterator[Resource]:
    """Each record as a resource that has been checked, field by field: what a harvester may believe without proof."""
    with Scythe(url) as scythe:
        for record in scythe.list_records(metadata_prefix="oai_dc"):
            yield _resource_of(record.header.identifier, record.metadata)


def _resource_of(identifier: str, fields: dict[str, list[str]]) -> Resource:
    zh, en = fields["title"]
    described = {
        "id": identifier,
        "title": {"zh": zh, "en": en},
        "description": {"zh": fields["description"][0]},
        "type": fields["type"][0],
        "section": fields["subject"][0],
        "audience": fields["coverage"],
        "language": fields["language"][0],
        "licence": fields["rights"][0],
        "location": fields["identifier"][0],
    }
    return msgspec.convert(described, Resource)


def _harvest_only(url: str, documents: list[bytes]) -> float:
    started = time.process_time()
    received = last = 0
    for last in _records(url):  # noqa: B007  # the last is looked at below
        received += 1
    taken = time.process_time() - started
    if received != len(documents) or last != msgspec.json.decode(documents[-1], type=ResourcePublished).resource:
        raise RuntimeError("the harvest is not whole")
    return taken


def _harvest(folder: Path, url: str, count: int) -> dict[str, float]:
    database = sqlite3.connect(folder / "harvest.db", isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE record (id TEXT PRIMARY KEY, document BLOB)")
    started = time.process_time()
    records = _records(url)
    while batch := [(resource.id, _as_entry(resource)) for resource in islice(records, PAGE)]:
        database.execute("BEGIN")
        database.executemany("INSERT OR REPLACE INTO record VALUES (?, ?)", batch)
        database.execute("COMMIT")
    stored = time.process_time() - started
    asyncio.run(_index_harvest(folder, database))
    searchable = time.process_time() - started
    if database.execute("SELECT count(*) FROM record").fetchone()[0] != count:
        raise RuntimeError("the table is not whole")
    database.close()
    return {"stored": stored, "searchable": searchable}


async def _index_harvest(folder: Path, database: sqlite3.Connection) -> None:
    root = NodeName("lln.internal")
    index = TantivyIndex(
        folder / "harvest-index", analysis=standard_analysis(), own_name=root, root=root, writer_bytes=WRITER_BYTES
    )
    rows = database.execute("SELECT document FROM record ORDER BY rowid")
    position = 0
    while chunk := rows.fetchmany(1_000):
        entries = [(position + at, row[0]) for at, row in enumerate(chunk)]
        position += len(chunk)
        await index.apply(PUBLISHER, entries, upto=position)
    await index.commit()
    if index.count() != position:
        raise RuntimeError("the harvest's index is not whole")
    await index.close()


def _as_entry(resource: Resource) -> bytes:
    """The document by which a harvested resource is kept and indexed like anything else."""
    return canonical.encode(
        ResourcePublished(
            publisher=PUBLISHER,
            resource=resource,
            review=Review(reviewer="r", criteria=CRITERIA, at_ms=1),
            published_at_ms=1,
            salt="A" * 22,
        )
    )
