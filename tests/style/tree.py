"""The repository as the style checks see it: tracked files, and Python modules already parsed.

What must not live here: any rule (`rules.py`, `test_rules.py`).
"""

import ast
import functools
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("federation", "node", "config")
LEFT_OUT = {
    ".venv",
    ".git",
    "__pycache__",
    "build",
    "dist",
    ".hypothesis",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Module:
    """One Python file: where it is from the root of the repository, its dotted name, text and syntax tree."""

    place: str
    name: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def is_in(self, *rooms: str) -> bool:
        return any(self.name == room or self.name.startswith(f"{room}.") for room in rooms)


@dataclass(frozen=True, order=True, slots=True)
class Finding:
    """Something a rule does not allow, and where."""

    place: str
    line: int
    rule: str
    told: str

    def __str__(self) -> str:
        return f"{self.place}:{self.line}: {self.rule}: {self.told}"


def module_of(text: str, name: str = "federation.example") -> Module:
    return Module(place=f"{name.replace('.', '/')}.py", name=name, text=text, tree=ast.parse(text))


def modules(*folders: str) -> list[Module]:
    """Every module below these folders (or the file itself), generated code left out."""
    return [module for folder in folders for module in _modules_below(folder)]


@functools.cache
def _modules_below(folder: str) -> tuple[Module, ...]:
    start = ROOT / folder
    paths = [start] if start.is_file() else sorted(start.rglob("*.py"))
    read = []
    for path in paths:
        if "_pb2" in path.name or "__pycache__" in path.parts:
            continue
        place = path.relative_to(ROOT)
        name = ".".join(place.with_suffix("").parts).removesuffix(".__init__")
        text = path.read_text("utf-8")
        read.append(Module(place=place.as_posix(), name=name, text=text, tree=ast.parse(text)))
    return tuple(read)


@functools.cache
def tracked_files() -> tuple[Path, ...]:
    """What git tracks; without git (a source archive), every file that is not made by a tool."""
    told = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if told.returncode == 0:
        return tuple(
            path for name in told.stdout.decode("utf-8").split("\0") if name and (path := ROOT / name).is_file()
        )
    return tuple(path for path in ROOT.rglob("*") if path.is_file() and not LEFT_OUT & set(path.parts))


def pages() -> list[Path]:
    return [path for path in tracked_files() if path.suffix == ".md"]


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
