"""Everything that must hold, in one command: `python3 run.py test`.

    python3 run.py test                 every check, then every test with branch coverage, on all cores
    python3 run.py test --checks        the checks alone: style, types, contracts, drift
    python3 run.py test -k withdraw     with any other words: pytest with those words, and nothing else
    python3 run.py test tests/unit -x

All of them run even when one fails, each with its time; it fails when any failed. pytest goes last, so that its count
is the last thing to be read. Benchmarks are no tests: `python3 run.py bench`.
"""

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINT_IMPORTS = "from importlinter.cli import lint_imports_command; lint_imports_command(['--no-logo'])"
CHECKS = {
    "ruff check": ["-m", "ruff", "check", "--quiet"],
    "ruff format": ["-m", "ruff", "format", "--check", "--quiet"],
    "mypy --strict": ["-m", "mypy"],
    "import contracts": ["-c", LINT_IMPORTS],
    "proto drift": ["-m", "protos.build", "--check"],
}
# -v takes back the -q of pyproject.toml: the last line is then the one that everybody knows.
WHOLE = ["-v", "-n", "auto", "--maxprocesses=8", "--dist=loadfile", "--cov", "--cov-report=term:skip-covered"]
PYTEST = ["-m", "pytest"]


def main(words: list[str]) -> int:
    if words in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    if words and words != ["--checks"]:
        return start([*PYTEST, *words])
    failed = [name for name, command in CHECKS.items() if not passes(name, command)]
    status = 0
    if not words:
        print(f"pytest {' '.join(WHOLE)}", flush=True)
        status = start([*PYTEST, *WHOLE])
    if failed:
        print(f"没有通过 failed: {', '.join([*failed, *(['pytest'] if status else [])])}")
    return status or int(bool(failed))


def start(command: list[str]) -> int:
    return subprocess.call([sys.executable, *command], cwd=ROOT)


def passes(name: str, command: list[str]) -> bool:
    """Run one check; its own words are shown only where it fails."""
    started = time.monotonic()
    told = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    verdict = "ok" if told.returncode == 0 else "FAILED"
    print(f"{name:<18}{verdict:<8}{time.monotonic() - started:6.1f} s", flush=True)
    if told.returncode != 0:
        print(told.stdout + told.stderr, flush=True)
    return told.returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
