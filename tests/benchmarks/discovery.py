"""Which benchmarks there are, and running one where nothing that ran before it has left a mark.

What must not live here: measuring (`measuring.py`) or telling (`__main__.py`).
"""

import ast
import importlib
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.benchmarks.measuring import Figure, Flags

FOLDER = Path(__file__).resolve().parent


def discovered() -> dict[str, str]:
    """The benchmarks here: name → module, read from their sources so that nothing heavy is loaded before its turn."""
    found = {}
    for path in sorted(FOLDER.glob("bench_*.py")):
        found[declared_name(path.read_text("utf-8")) or path.stem] = f"tests.benchmarks.{path.stem}"
    return found


def declared_name(source: str) -> str:
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.AnnAssign):
            targets: list[ast.expr] = [statement.target]
        elif isinstance(statement, ast.Assign):
            targets = statement.targets
        else:
            continue
        is_name = any(isinstance(target, ast.Name) and target.id == "NAME" for target in targets)
        if is_name and isinstance(statement.value, ast.Constant):
            return str(statement.value.value)
    return ""


def in_own_process(module: str, flags: Flags) -> list[Figure]:
    """Run one benchmark in a fresh process; what it raises is raised here."""
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(run_one, module, flags).result()


def run_one(module: str, flags: Flags) -> list[Figure]:
    measured = importlib.import_module(module)
    if flags.smallest:
        shrink()
    return list(measured.run(flags))


def shrink() -> None:
    """Give every size in this process that a module here has in `SMALLEST` (name → value) its smallest value."""
    for name, module in tuple(sys.modules.items()):
        if name.startswith("tests.benchmarks."):
            for size, smallest in getattr(module, "SMALLEST", {}).items():
                if not hasattr(module, size):
                    raise AttributeError(f"{name} has no {size} that could be made small")
                setattr(module, size, smallest)
