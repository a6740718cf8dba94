"""The file of an offer: what somebody has just sent, what they sent before and is still in hand, what is tied already.

What lives here: from the form to a kept file, the address at which a resource's file is, and how a file reads. What
must not: who may open it (`file_pages.py`), or the rest of the form (`contributor_pages.py`).
"""

import asyncio
from hashlib import sha256
from typing import Final
from urllib.parse import quote

import msgspec

from federation.catalogue import Resource
from federation.errors import LlnError
from node.intake.file_kinds import ENDINGS_TAKEN, FileKind, kind_of, shown_name
from node.portal.form_reading import Arrived
from node.portal.visits import Visit
from node.ports import ResourceRow
from node.ports.files import FileRow, KeptFile

MEGABYTE: Final = 1_000_000


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """What stands for the file of the form: one that is kept, under the name `held` until the form is right; or why
    there is none. All empty where none was chosen.
    """

    file: KeptFile | None = None
    held: str = ""
    problem: str = ""


async def chosen(visit: Visit) -> Chosen:
    """The file that came with the form, or the one that came with it before something else had to be put right."""
    arrived, held = visit.arrived, visit.text("held")
    if arrived is not None:
        return await _taken(visit, arrived)
    if not held or visit.text("without_file"):
        return Chosen()
    kept = visit.behind.files_in_hand.get(held, visit.signed_in.id, visit.now_ms)
    return Chosen(file=kept, held=held) if kept else Chosen(problem=visit.say("give.file_forgotten"))


async def _taken(visit: Visit, arrived: Arrived) -> Chosen:
    if arrived.trouble is not None:
        return Chosen(problem=visit.told(arrived.trouble))
    staged = arrived.staged
    if staged is None:
        return Chosen(problem=visit.say("give.file_empty"))
    try:
        await staged.finish()
        kind = await asyncio.to_thread(_kind, arrived)
        name = shown_name(arrived.name, kind)
        kept = await visit.behind.filing.keep(visit.signed_in, staged, name=name, media_type=kind.media_type)
    except LlnError as refused:
        return Chosen(problem=visit.told(refused))
    return Chosen(file=kept, held=visit.behind.files_in_hand.put(visit.signed_in.id, kept, visit.now_ms))


def _kind(arrived: Arrived) -> FileKind:
    assert arrived.staged is not None  # noqa: S101  # looked at by the caller
    with arrived.staged.path.open("rb") as file:
        return kind_of(file, arrived.name)


def id_for(person_id: str, digest: str) -> str:
    """The id of a resource that is a file: the same for the same file of the same person, and nobody else's."""
    return "r-" + sha256(f"file\0{person_id}\0{digest}".encode()).hexdigest()[:24]


def path_of(resource_id: str, digest: str) -> str:
    return f"/file/{digest}/{quote(resource_id)}"


def location_of(visit: Visit, resource_id: str, digest: str) -> str:
    """Where everybody opens the file; "" while others can open no address of ours: better none than a wrong one."""
    public = visit.behind.public_address
    return f"{public}{path_of(resource_id, digest)}" if public else ""


def was_file(resource: Resource) -> bool:
    """Whether a version had a file of this node's, which may be gone: after a withdrawal its link leads nowhere."""
    digest = resource.sha256
    return bool(digest) and (not resource.location or f"/file/{digest}/" in resource.location)


async def file_of(visit: Visit, resource: Resource | None) -> FileRow | None:
    """The file of one version of a resource of ours."""
    return None if resource is None else await visit.behind.filing.of(resource.id, resource.sha256)


async def files_of(visit: Visit, row: ResourceRow) -> tuple[FileRow | None, FileRow | None]:
    """(of the published version, of the one that is worked on)."""
    return await file_of(visit, row.published), await file_of(visit, row.resource)


def size_of(byte_count: int) -> str:
    """As people read it: 820 KB, 1.2 MB."""
    if byte_count < 1_000:
        return f"{byte_count} B"
    if byte_count < MEGABYTE:
        return f"{byte_count / 1_000:.0f} KB"
    return f"{byte_count / MEGABYTE:.1f} MB"


def drawn(visit: Visit) -> dict[str, object]:
    """What every page with the form or with a file needs to draw them."""
    limits = visit.behind.filing.limits
    return {
        "takes_files": visit.behind.filing.takes_files,
        "file_mb": limits.file_bytes // MEGABYTE,
        "endings": ENDINGS_TAKEN,
        "is_near_only": not visit.behind.public_address,
    }
