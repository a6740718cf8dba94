"""Which engine a node's store runs on.

What lives here: the choice, and the lock that keeps a home to one process. What must not: anything one engine does.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from federation.naming import NodeName
from node.ports import Store, Transaction
from node.storage.errors import DriverMissing
from node.storage.locks import held_alone
from node.storage.log_rows import Seal
from node.storage.sqlite_store import open_readonly, open_sqlite

T = TypeVar("T")


class Readings(Protocol):
    """A store that can only be looked at; `faults` are in the engine's own words, none where it is sound."""

    async def read(self, unit: Callable[[Transaction], T]) -> T: ...
    async def faults(self) -> tuple[str, ...]: ...


@asynccontextmanager
async def open_store(
    path: Path, *, own_node: NodeName, seal: Seal, now_ms: Callable[[], int], postgres: str | None = None
) -> AsyncIterator[Store]:
    """The store of the home whose database is, or would be, at `path`; in PostgreSQL where a connection string says so.

    Raises the errors of `open_sqlite` and `open_postgres`, and DriverMissing.
    """
    if postgres is None:
        async with open_sqlite(path, own_node=own_node, seal=seal, now_ms=now_ms) as file:
            yield file
        return
    with _driver_needed():
        from node.storage.postgres_store import open_postgres  # noqa: PLC0415  # an optional dependency
    with held_alone(path.with_name(f"{path.name}.lock")):
        async with open_postgres(postgres, own_node=own_node, seal=seal, now_ms=now_ms) as database:
            yield database


@asynccontextmanager
async def open_to_look(path: Path, *, own_node: NodeName, postgres: str | None = None) -> AsyncIterator[Readings]:
    """The same store, to look at while a node may be running on it; nothing is locked, made or migrated.

    Raises the errors of `open_readonly` and `open_postgres_readonly`, and DriverMissing.
    """
    if postgres is None:
        async with open_readonly(path, own_node=own_node) as file:
            yield file
        return
    with _driver_needed():
        from node.storage.postgres_store import open_postgres_readonly  # noqa: PLC0415  # an optional dependency
    async with open_postgres_readonly(postgres, own_node=own_node) as database:
        yield database


@contextmanager
def _driver_needed() -> Iterator[None]:
    try:
        yield
    except ImportError as absent:
        raise DriverMissing("psycopg", str(absent)) from absent
