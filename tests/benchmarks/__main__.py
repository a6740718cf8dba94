"""Measure, and print what was promised beside what was found: `python3 run.py bench [NAME]`.

Every `bench_*.py` in this folder has a `NAME` and a `run(flags) -> list[Figure]`, and
in `SMALLEST` the sizes with which it only shows that it runs; each is run in a process of its own.
It ends with 1 when a gate was missed or a benchmark broke. What must not live here: how anything is measured.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import sys
import time
import traceback
import unicodedata
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks.discovery import discovered, in_own_process
from tests.benchmarks.measuring import ROUNDS_MIN, Figure, Flags

COLUMNS = ("figure", "ours", "rival or ceiling", "ratio", "gate", "aim", "held", "note")
PACKAGES_SHOWN = (
    *("cryptography", "grpcio", "jieba", "msgspec", "oaipmh", "oaipmh-scythe", "openbadgeslib", "protobuf"),
    *("pymerkle", "pynacl", "tantivy", "uvloop"),
)


def main() -> int:
    wanted = arguments()
    found = {name: module for name, module in discovered().items() if wanted.name in name or wanted.name in module}
    if not found:
        print(f"没有名为 {wanted.name} 的测速 no benchmark of that name; there are: {', '.join(discovered())}")
        return 2
    if wanted.list:
        print("\n".join(found))
        return 0
    flags = Flags(
        large=wanted.large, small=wanted.small, smallest=wanted.smallest, rounds=wanted.rounds, kills=wanted.kills
    )
    figures, broken = [], []
    for name, module in found.items():
        started = time.monotonic()
        print(f"· {name} …", end=" ", file=sys.stderr, flush=True)
        try:
            figures += in_own_process(module, flags)
        except Exception:  # noqa: BLE001  # a benchmark that breaks must not hide what the others found
            traceback.print_exc()
            broken.append(name)
        print(f"{time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    print("\n".join(aligned([COLUMNS, *map(cells, figures)])))
    if wanted.json:
        wanted.json.write_text(json.dumps([{**asdict(f), "held": f.held} for f in figures], indent=1) + "\n", "utf-8")
    if wanted.markdown:
        wanted.markdown.write_text(markdown(figures, wanted), "utf-8")
    missed = [figure.name for figure in figures if figure.held == "missed"]
    for told, names in (("没有达到 missed", missed), ("没有跑完 broken", broken)):
        if names:
            print(f"{told}: {', '.join(names)}")
    return 1 if missed or broken else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 run.py bench", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("name", nargs="?", default="", help="only those whose name contains this")
    parser.add_argument("--list", action="store_true", help="name them and stop")
    parser.add_argument("--large", action="store_true", help="also the runs of a million documents")
    parser.add_argument("--small", action="store_true", help="`portal` of few learners and resources")
    parser.add_argument("--smallest", action="store_true", help="so small that the figures say nothing: does it run?")
    parser.add_argument("--rounds", type=int, default=ROUNDS_MIN, help=f"rounds of each comparison ({ROUNDS_MIN})")
    parser.add_argument("--kills", type=int, default=100, help="how many processes `crashes` kills (100)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table as docs/benchmarks.md has it")
    return parser.parse_args()


# --- telling ---------------------------------------------------------------------------------------------------------


def cells(figure: Figure) -> tuple[str, ...]:
    held = f"{figure.held}, disturbed" if figure.disturbed else figure.held
    ratio = f"{figure.ratio:,.3g} {figure.unit}".strip()
    return (figure.name, figure.ours, figure.rival_or_ceiling, ratio, figure.gate, figure.aim, held, figure.note)


def aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell + " " * (w - width(cell)) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def markdown(figures: list[Figure], wanted: argparse.Namespace) -> str:
    """The page docs/benchmarks.md: what was measured, where, and the command that measures it again."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *map(cells, figures)]
    words = [part for part in (wanted.name, "--large" if wanted.large else "") if part]
    return "\n".join(
        [
            "# Benchmarks",
            "",
            "Made by `" + " ".join(["python3 run.py bench", *words, "--markdown docs/benchmarks.md"]) + "`.",
            "Ours and a rival run in turns, in short shuffled slices; the ratio is the median of the per-round ratios",
            "of CPU time unless the row says otherwise. “Disturbed”: other processes took more than 15 % of the cores.",
            "",
            *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows),
            "",
            *(f"- {line}" for line in machine()),
            "",
        ]
    )


def machine() -> list[str]:
    held = {name: version for name in PACKAGES_SHOWN if (version := installed(name))}
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 0
    return [
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}",
        f"{platform.python_implementation()} {platform.python_version()}",
        ", ".join(f"{name} {version}" for name, version in held.items()),
    ]


def installed(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
