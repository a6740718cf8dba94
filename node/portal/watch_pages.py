"""For programs that watch the node: is it there, can it serve, and how is it.

What lives here: `/healthz`, `/readyz`, `/metrics`, `/.well-known/did.json`. What must not: anything that names a
person.
"""

from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, urlsplit

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from federation.errors import LlnError
from node import desk
from node.portal.border import is_loopback
from node.portal.pages import Page
from node.portal.visits import Visit

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
Sample = tuple[str, str, str, dict[str, str], float]


async def health(visit: Visit) -> Response:
    return visit.finish(PlainTextResponse("ok\n"))


async def ready(visit: Visit) -> Response:
    """Whether the database answers and the index is open."""
    try:
        await visit.ask("node.status", desk.Nothing(), desk.NodeState)
    except LlnError as error:
        return visit.finish(PlainTextResponse(f"{error.code}\n", status_code=503))
    return visit.finish(PlainTextResponse("ready\n"))


async def did_document(visit: Visit) -> Response:
    """Who this node is to verifiers that start from its address: the same key as in its certificate and its records."""
    state = await visit.ask("node.status", desk.Nothing(), desk.NodeState)
    host = quote(urlsplit(visit.behind.address).netloc, safe="")
    did = f"did:web:{host}"
    key = {
        "id": f"{did}#node",
        "type": "Multikey",
        "controller": did,
        "publicKeyMultibase": state.key.removeprefix("did:key:"),
    }
    document = {
        "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"],
        "id": did,
        "alsoKnownAs": [state.key],
        "verificationMethod": [key],
        "assertionMethod": [key["id"]],
    }
    content = msgspec.json.encode(document)
    return visit.finish(Response(content, media_type="application/did+json"))


async def metrics(visit: Visit) -> Response:
    """In Prometheus' text format; to others than this machine only where the settings say so."""
    is_forwarded = "x-forwarded-for" in visit.request.headers
    if not visit.behind.shows_metrics and (is_forwarded or not is_loopback(visit.address)):
        raise HTTPException(404)
    state = await visit.ask("node.status", desk.Nothing(), desk.NodeState)
    lines: list[str] = []
    told = ""
    for name, kind, help_text, labels, value in (*_of_node(state), *_of_portal(visit)):
        if name != told:
            lines += [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"]
            told = name
        shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        lines.append(f"{name}{{{shown}}} {value:g}" if shown else f"{name} {value:g}")
    return visit.finish(Response("\n".join(lines) + "\n", headers={"Content-Type": METRICS_TYPE}))


def _of_node(state: desk.NodeState) -> Iterator[Sample]:
    yield "lln_info", "gauge", "What runs here.", {"node": state.name, "version": state.software_version}, 1
    yield "lln_uptime_seconds", "gauge", "Since the start.", {}, (state.now_ms - state.started_at_ms) / 1_000
    yield "lln_searchable", "gauge", "Resources in the index.", {}, state.searchable
    for resource_state, count in sorted(state.resources.items()):
        yield "lln_resources", "gauge", "Own resources, by state.", {"state": resource_state}, count
    for log in state.logs:
        yield "lln_log_entries", "gauge", "Entries held, by log.", {"origin": log.origin, "topic": log.topic}, log.size
    for status, count in sorted(state.children.items()):
        yield "lln_children", "gauge", "Nodes directly below, by status.", {"status": status}, count
    severities = [finding.severity for finding in state.findings]
    for severity in ("notice", "warning", "fault"):
        yield (
            "lln_findings",
            "gauge",
            "What is not as it should be.",
            {"severity": severity},
            severities.count(severity),
        )
    for code, count in sorted(state.refused.items()):
        yield "lln_calls_refused_total", "counter", "Calls refused, by error code.", {"code": code}, count
    yield "lln_connections_total", "counter", "Connections begun.", {}, state.connections
    if state.certificate_ends_ms is not None:
        left_s = (state.certificate_ends_ms - state.now_ms) / 1_000
        yield "lln_certificate_seconds", "gauge", "Until the node certificate ends.", {}, left_s
    if state.backed_up_at_ms is not None:
        age_s = (state.now_ms - state.backed_up_at_ms) / 1_000
        yield "lln_backup_age_seconds", "gauge", "Since the last backup.", {}, age_s


def _of_portal(visit: Visit) -> Iterator[Sample]:
    border = visit.behind.counts
    for status, count in sorted(border().answered.items()):
        yield "lln_pages_total", "counter", "Pages answered, by status.", {"status": str(status)}, count
    yield "lln_page_seconds_total", "counter", "Time spent answering pages.", {}, border().seconds


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


PAGES: Final = (
    Page(path="/healthz", answer=health),
    Page(path="/readyz", answer=ready),
    Page(path="/metrics", answer=metrics),
    Page(path="/.well-known/did.json", answer=did_document),
)
