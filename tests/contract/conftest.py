"""Every store contract test runs once per engine; PostgreSQL's is a real server, started when it is first wanted."""

import itertools
from importlib.util import find_spec

import pytest

from tests.support import postgres_server

_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres():
    """A connection string without a database name."""
    found = postgres_server.binaries()
    if found is None or find_spec("psycopg") is None:
        pytest.skip("PostgreSQL or its driver is absent: its store was NOT tested (requirements/test.txt brings both)")
    with postgres_server.running(found) as conninfo:
        yield conninfo


@pytest.fixture
def database(postgres):
    """A connection string to an empty database."""
    import psycopg  # noqa: PLC0415  # not everybody has it

    name = f"lln{next(_numbers)}"
    with psycopg.connect(postgres, dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{postgres} dbname={name}"


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path):
    """Where a store may be made: a path for SQLite, a connection string for PostgreSQL."""
    return tmp_path / "node.db" if request.param == "sqlite" else request.getfixturevalue("database")
