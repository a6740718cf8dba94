"""Every store contract test runs once per engine."""

import pytest


@pytest.fixture(params=["sqlite"])
def place(request, tmp_path):
    """Where a store may be made: a path for SQLite, a connection string for PostgreSQL."""
    return tmp_path / "node.db"
