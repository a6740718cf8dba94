"""What a page is: its address, who may open it, and what draws it.

What must not live here: any page.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from starlette.responses import Response

from node.portal.visits import Visit
from node.ports.people import Role

ANYBODY: Final = None
SIGNED_IN: Final[tuple[Role, ...]] = ()


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """`roles`: ANYBODY, SIGNED_IN for whoever has an account, or the roles that open it.

    `shows`: that it is a page to look at, whose address needs nothing filled in. `takes_file`: that its form may bring
    a file, larger than forms are otherwise, which is read to disk.
    """

    path: str
    answer: Callable[[Visit], Awaitable[Response]]
    roles: tuple[Role, ...] | None = ANYBODY
    methods: tuple[str, ...] = ("GET",)
    shows: bool = False
    takes_file: bool = False

    @property
    def name(self) -> str:
        return f"{self.methods[0]} {self.path}"
