"""Numbered, forward-only statements: one folder for SQLite, one below it for PostgreSQL, under the same numbers.

What must not live here: a change to a file that has been released.
"""

from importlib import resources
from importlib.resources.abc import Traversable


def for_sqlite() -> list[str]:
    """The statements in order; the last one's number is the schema's version."""
    return _read(resources.files(__name__))


def for_postgres() -> list[str]:
    return _read(resources.files(__name__).joinpath("postgres"))


def _read(folder: Traversable) -> list[str]:
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [file.read_text(encoding="utf-8") for file in files]
