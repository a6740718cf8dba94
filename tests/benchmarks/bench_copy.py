"""A catalogue copied from child to parent, against an OAI-PMH harvest of the same records into table and index.

Both sides of both run in this process over loopback: our pages go through signed calls into the parent's store; theirs
are served by pyoai behind the standard library's WSGI server and read by scythe. Three stages: received (and, with us,
verified), stored, searchable.
"""

import asyncio
import json
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from oaipmh import common, metadata, server
from oaipmh_scythe import Scythe

from federation import canonical
from federation.catalogue import CRITERIA, BilingualLine, BilingualProse, Resource, ResourcePublished, Review
from federation.logs import LogId
from federation.naming import NodeName
from node.assembly import Node
from node.index.folding import standard_analysis
from node.index.tantivy_index import TantivyIndex
from tests.benchmarks.measuring import Figure, Flags
from tests.benchmarks.two_nodes import parent_and_child

NAME = "copy"
RECORDS, RECORDS_LARGE = 20_000, 100_000
PAGE = 500
GATES = {"received": ("≥ 15", "≥ 25"), "stored": ("≥ 7", "≥ 12"), "searchable": ("≥ 2", "≥ 4")}
WORDS = tuple(
    "课程资源学习手机老年书法烹饪摄影护理会计编程数据安全法律文化历史科学音乐舞蹈英语"[at : at + 2]
    for at in range(0, 40, 2)
)


def run(flags: Flags) -> list[Figure]:
    count = RECORDS_LARGE if flags.large else RECORDS
    documents = [_document(number) for number in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        ours = asyncio.run(_copy(Path(folder), documents))
        theirs = _harvest(Path(folder), documents)
    return [
        Figure(
            name=f"copy of {count:,} resources: {stage}",
            ours=f"{count / ours[stage]:,.0f}/s",
            rival_or_ceiling=f"{count / theirs[stage]:,.0f}/s",
            ratio=round(theirs[stage] / ours[stage], 2),
            gate=gate,
            aim=aim,
            note="CPU seconds of both sides together, one pass each",
        )
        for stage, (gate, aim) in GATES.items()
    ]


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
    entry = ResourcePublished(
        publisher="school.lln.internal",
        resource=resource,
        review=Review(reviewer="r", criteria=CRITERIA, at_ms=1),
        published_at_ms=1,
        salt="A" * 22,
    )
    return canonical.encode(entry)


# --- ours ------------------------------------------------------------------------------------------------------------


async def _copy(folder: Path, documents: list[bytes]) -> dict[str, float]:
    async with parent_and_child(folder) as (parent, child):
        log = LogId(origin=child.name, topic="catalogue")
        for start in range(0, len(documents), 2_000):
            batch = documents[start : start + 2_000]
            await child.store.write(lambda tx, batch=batch: tx.logs.append(log, batch))
        verified = await _verify_only(parent, child, log)
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
        from node.ports import StoredLog  # noqa: PLC0415

        self._held[head.log] = StoredLog(log=head.log, head=head, note=note, confirmed_at_ms=confirmed_at_ms)

    def confirm(self, log, note, confirmed_at_ms):  # as the port
        return None

    def holdings(self, log):  # as the port
        return ()


# --- theirs ----------------------------------------------------------------------------------------------------------


class _Provider:
    """An OAI-PMH repository over the same records, in Dublin Core, in batches of the same size."""

    def __init__(self, documents: list[bytes]) -> None:
        self._documents = documents
        self._when = datetime(2026, 1, 1)  # noqa: DTZ001  # pyoai wants naive dates

    def identify(self) -> common.Identify:
        return common.Identify(
            "bench", "http://127.0.0.1/", "2.0", ["a@school.example"], self._when, "no", "YYYY-MM-DDThh:mm:ssZ", []
        )

    def listRecords(self, metadataPrefix, set=None, from_=None, until=None, cursor=0, batch_size=PAGE):  # noqa: A002, N802, N803, PLR0917  # pyoai's names
        return [self._record(document) for document in self._documents[cursor : cursor + batch_size]]

    def _record(self, document: bytes) -> tuple[object, object, None]:
        resource = json.loads(document)["resource"]
        fields = {
            "title": [resource["title"]["zh"], resource["title"]["en"]],
            "description": [resource["description"]["zh"]],
            "identifier": [resource["location"]],
            "type": [resource["type"]],
            "rights": [resource["licence"]],
            "publisher": ["school.lln.internal"],
        }
        return common.Header(None, resource["id"], self._when, [], False), common.Metadata(None, fields), None


def _harvest(folder: Path, documents: list[bytes]) -> dict[str, float]:
    registry = metadata.MetadataRegistry()
    registry.registerWriter("oai_dc", server.oai_dc_writer)
    repository = server.BatchingServer(_Provider(documents), registry, resumption_batch_size=PAGE)

    def application(environ, start_response):  # WSGI
        asked = dict(pair.split("=", 1) for pair in environ["QUERY_STRING"].split("&") if "=" in pair)
        from urllib.parse import unquote  # noqa: PLC0415

        body = repository.handleRequest({key: unquote(value) for key, value in asked.items()})
        start_response("200 OK", [("Content-Type", "text/xml; charset=utf-8")])
        return [body]

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_: object) -> None:
            return

    httpd: WSGIServer = make_server("127.0.0.1", 0, application, handler_class=Quiet)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{httpd.server_port}/"
    try:
        started = time.process_time()
        if sum(1 for _ in _records(url)) != len(documents):
            raise RuntimeError("the harvest is not whole")
        received = time.process_time() - started
        return {"received": received, **_harvest_into(folder, url, len(documents))}
    finally:
        httpd.shutdown()


def _records(url: str) -> Iterator[dict[str, list[str]]]:
    with Scythe(url) as scythe:
        for record in scythe.list_records(metadata_prefix="oai_dc"):
            yield {"id": [record.header.identifier], **record.get_metadata()}


def _harvest_into(folder: Path, url: str, count: int) -> dict[str, float]:
    database = sqlite3.connect(folder / "harvest.db", isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE record (id TEXT PRIMARY KEY, document BLOB) WITHOUT ROWID")
    started = time.process_time()
    batch: list[tuple[str, bytes]] = []
    for fields in _records(url):
        batch.append((fields["id"][0], json.dumps(fields).encode()))
        if len(batch) == PAGE:
            _insert(database, batch)
            batch = []
    _insert(database, batch)
    stored = time.process_time() - started
    asyncio.run(_index_harvest(folder, database))
    searchable = time.process_time() - started
    if database.execute("SELECT count(*) FROM record").fetchone()[0] != count:
        raise RuntimeError("the table is not whole")
    return {"stored": stored, "searchable": searchable}


def _insert(database: sqlite3.Connection, batch: list[tuple[str, bytes]]) -> None:
    database.execute("BEGIN")
    database.executemany("INSERT OR REPLACE INTO record VALUES (?, ?)", batch)
    database.execute("COMMIT")


async def _index_harvest(folder: Path, database: sqlite3.Connection) -> None:
    root = NodeName("lln.internal")
    index = TantivyIndex(
        folder / "harvest-index", analysis=standard_analysis(), own_name=root, root=root, writer_bytes=256_000_000
    )
    rows = database.execute("SELECT document FROM record")
    position = 0
    while chunk := rows.fetchmany(1_000):
        entries = [(position + at, _as_entry(json.loads(row[0]))) for at, row in enumerate(chunk)]
        position += len(chunk)
        await index.apply(NodeName("school.lln.internal"), entries, upto=position)
    await index.commit()
    await index.close()


def _as_entry(fields: dict[str, list[str]]) -> bytes:
    """What a harvester has to make of Dublin Core before it can be indexed like anything else."""
    resource = Resource(
        id=fields["id"][0],
        title=BilingualLine(zh=fields["title"][0], en=fields["title"][1]),
        description=BilingualProse(zh=fields["description"][0]),
        type="online_course",
        section="workplace_skills",
        location=fields["identifier"][0],
    )
    return canonical.encode(
        ResourcePublished(
            publisher="school.lln.internal",
            resource=resource,
            review=Review(reviewer="r", criteria=CRITERIA, at_ms=1),
            published_at_ms=1,
            salt="A" * 22,
        )
    )
