"""A file that was offered, handed out: to everybody who may see its resource, before that to author and reviewers.

What lives here: who may open it, and the headers under which it goes. What must not: what is taken
(`node/intake/file_kinds.py`), or the bytes themselves, which the answer reads from disk piece by piece.

It is always saved and never shown in place: whatever is in it runs nowhere, and has no origin if it did (RFC 6266,
Content Security Policy Level 3 §6.3.2).
"""

import asyncio
import re
from typing import Final
from urllib.parse import quote

from starlette.responses import FileResponse, Response

from federation.errors import LlnError, NotFound, Unavailable
from node import desk
from node.portal.pages import Page
from node.portal.search_pages import own_published
from node.portal.visits import Visit
from node.ports import ResourceRow

POLICY: Final = "sandbox; default-src 'none'"
_DIGEST: Final = re.compile(r"[0-9a-f]{64}\Z")
_UNFIT: Final = re.compile(r"[^A-Za-z0-9._ -]")


class FileUnknown(NotFound):
    code = "LLN-1245"
    zh = "没有这个文件，或者它已被撤下、换成了新的，或者还在审核中。请回到资源页面，从那里打开。"
    en = "There is no such file, or it was withdrawn or replaced, or is under review. Open it from the resource's page."


class FileLost(Unavailable):
    code = "LLN-1674"
    zh = "文件暂时取不到：它不在本节点的 files 目录里，可能没有随备份一起恢复。请联系系统管理员。"
    en = "The file cannot be had for now: it is not in the folder files/, perhaps since a restore. Ask an operator."


async def hand_out(visit: Visit) -> Response:
    digest, resource_id = visit.request.path_params["digest"], visit.request.path_params["id"]
    row = await visit.behind.filing.of(resource_id, digest) if _DIGEST.match(digest) else None
    if row is None or not await _may_open(visit, resource_id, digest):
        raise FileUnknown(resource_id[:128])
    place = visit.behind.filing.place(row)
    if not await asyncio.to_thread(place.is_file):
        raise FileLost(resource_id[:128])
    headers = {
        "content-disposition": disposition(row.name),
        "content-security-policy": POLICY,
        "etag": f'"{digest}"',
    }
    return visit.finish(FileResponse(place, media_type=row.media_type, headers=headers))


async def _may_open(visit: Visit, resource_id: str, digest: str) -> bool:
    """Whether the resource names this file in a version that the visitor may see."""
    try:
        named = visit.read(desk.ResourceNamed, id=resource_id)
        row = await visit.ask("resource.show", named, ResourceRow)
    except LlnError:
        return False
    return await _is_shown(visit, row, digest) or _is_at_work(visit, row, digest)


async def _is_shown(visit: Visit, row: ResourceRow, digest: str) -> bool:
    """In the catalogue: exactly for whoever is shown the resource's page."""
    if row.published is None or row.published.sha256 != digest:
        return False
    try:
        await own_published(visit, row.id)
    except LlnError:
        return False
    return True


def _is_at_work(visit: Visit, row: ResourceRow, digest: str) -> bool:
    """On its way there: for its author, and for those who review."""
    if visit.person is None or row.state == "withdrawn" or row.resource.sha256 != digest:
        return False
    return row.author == visit.person.known_as or visit.person.has("reviewer")


def disposition(name: str) -> str:
    """RFC 6266 §4.3: the name in ASCII for old programs, and as it is for the others."""
    plain = _UNFIT.sub("_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


PAGES: Final = (Page(path="/file/{digest}/{id:path}", answer=hand_out),)
