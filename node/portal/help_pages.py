"""Help, and what every error code means.

What lives here: the pages. What must not: sentences about errors; those stand in the classes, and are collected in
`faults.json` by `python -m tests.style.errors_page`, so that no page has to load the whole program.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response

from node.portal.drawing import STATIC_TYPES, static_files
from node.portal.pages import Page
from node.portal.visits import Visit

_CODE: Final = re.compile(r"^(?:LLN[\s-]*)?([0-9]{3,4})$", re.IGNORECASE)


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    zh: str
    en: str

    @property
    def is_remote(self) -> bool:
        return self.code.startswith("LLN-2")


@cache
def faults() -> Mapping[str, Fault]:
    """Every error by its code."""
    written = resources.files("node.portal").joinpath("faults.json").read_bytes()
    return {fault.code: fault for fault in msgspec.json.decode(written, type=list[Fault])}


def fold_code(text: str) -> str:
    """A code as it is written, from what somebody typed; "" for what is none."""
    read = _CODE.match(text.strip()[:20])
    return f"LLN-{read[1]}" if read else ""


async def help_page(visit: Visit) -> Response:
    typed = visit.query("code")
    if typed:
        return visit.go(f"/help/{fold_code(typed) or 'LLN'}")
    return visit.page("help.html", faults=faults().values())


async def help_code(visit: Visit) -> Response:
    fault = faults().get(fold_code(visit.request.path_params["code"]))
    return visit.page("help_code.html", status=200 if fault else 404, fault=fault)


async def static(visit: Visit) -> Response:
    """The style sheet, the script and the picture; an address that carries the right mark is good for ever."""
    name, mark = visit.request.path_params["name"], visit.request.path_params["mark"]
    if name not in STATIC_TYPES:
        raise HTTPException(404)
    held = static_files()[name]
    kept = "public, max-age=31536000, immutable" if mark == held.mark else "no-cache"
    return Response(held.content, headers={"Content-Type": held.media_type, "Cache-Control": kept})


PAGES: Final = (
    Page(path="/help", answer=help_page, shows=True),
    Page(path="/help/{code}", answer=help_code),
    Page(path="/static/{mark}/{name}", answer=static),
)
