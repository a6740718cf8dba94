"""Passwords by argon2id, off the event loop.

What lives here: hashing and checking. What must not: which passwords are acceptable (`node/usecases/signing_in.py`).
"""

import asyncio
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeVar

from federation.errors import Unavailable

if TYPE_CHECKING:
    from argon2 import PasswordHasher

T = TypeVar("T")
AT_ONCE: Final = 2
WAITING_MAX: Final = 64
MEMORY_KIB: Final = 19_456  # with two passes and one lane, as OWASP advises for argon2id


class PasswordsBusy(Unavailable):
    code = "LLN-1665"
    zh = "现在登录的人太多，请过一会儿再试。"
    en = "Too many people are signing in at this moment; try again shortly."


class ArgonPasswords:
    """`node.ports.people.Passwords`. Two at once, so that guessing never takes the node's memory or its cores."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def kept(self, password: str) -> str:
        return await self._run(lambda: self._hasher.hash(password))

    async def holds(self, password: str, kept: str) -> bool:
        return await self._run(lambda: self._verify(kept or self._nobodys, password)) and bool(kept)

    @cached_property
    def _hasher(self) -> "PasswordHasher":
        from argon2 import PasswordHasher  # noqa: PLC0415  # imported by whoever signs in, not by every node

        return PasswordHasher(time_cost=2, memory_cost=MEMORY_KIB, parallelism=1)

    @cached_property
    def _nobodys(self) -> str:
        """A hash of nothing in particular, so that an unknown login takes as long as a known one."""
        return self._hasher.hash("nobody's password")

    def _verify(self, kept: str, password: str) -> bool:
        from argon2.exceptions import Argon2Error, InvalidHashError  # noqa: PLC0415  # as above

        try:
            return self._hasher.verify(kept, password)
        except (Argon2Error, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= WAITING_MAX:
            raise PasswordsBusy
        self._waiting += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1
