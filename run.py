#!/usr/bin/env python3
"""Set this repository up, then run it. Nothing but Python 3.11 or newer has to be there.

    python3 run.py demo  [...]        a whole network on this machine · 在本机运行一个完整的网络
    python3 run.py test  [...]        every check and every test; with words, those go to pytest alone · 全部检查与测试
    python3 run.py shots [DIR]        a picture of every page · 每个网页的截图
    python3 run.py bench [NAME] [...] measure against rivals and ceilings · 与同类方案对比测速
    ... --wheels DIR                  install from a folder of wheels, no network (or LLN_WHEELS=DIR) · 离线安装

Words after the command are handed on to it: `--help` after one says which.
An own index or proxy: what pip reads is read (PIP_INDEX_URL, PIP_PROXY, pip.conf). Running again resumes.

What lives here: the commands, and the check that Python is new enough. What must not: how `.venv` is made
(`requirements/environment.py`), or syntax newer than Python 3.6, because an old interpreter must be able to read this
file far enough to say that it is old.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PYTHON_MIN = (3, 11)
NEWER_PYTHONS = ("python3.13", "python3.12", "python3.11", "python3.14")
ROOT = Path(__file__).resolve().parent
COMMANDS = {"demo": "node.demo", "test": "tests", "shots": "tests.portal.shots", "bench": "tests.benchmarks"}
EXIT_USAGE = 2


def main() -> int:
    """Set up what the command needs, then become it; its exit code is ours."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal without 中文 shows ?
    command, words = (sys.argv[1] if len(sys.argv) > 1 else ""), sys.argv[2:]
    if command not in COMMANDS:
        is_asked = command in ("-h", "--help", "help")
        print(__doc__.split("\n\nWhat lives here")[0], file=sys.stdout if is_asked else sys.stderr)
        return 0 if is_asked else EXIT_USAGE
    sys.path.insert(0, str(ROOT))
    from requirements import environment  # noqa: PLC0415  # only a new enough Python can read it

    wheels, words = take_wheels(words)
    status = environment.set_up(command, wheels)
    return status or become(environment.home_python(), command, words)


def take_wheels(words: "list[str]") -> "tuple[str, list[str]]":
    """The folder of wheels to install from ("" for none), and the words that are the command's own."""
    folder, rest = os.environ.get("LLN_WHEELS", ""), list(words)
    for place, word in enumerate(words):
        if word == "--wheels" and place + 1 < len(words):
            folder, rest = words[place + 1], words[:place] + words[place + 2 :]
        elif word.startswith("--wheels="):
            folder, rest = word.split("=", 1)[1], words[:place] + words[place + 1 :]
    return folder, rest


def become(python: Path, command: str, words: "list[str]") -> int:
    """Start the command in place of this process: signals and the exit code need nobody to pass them on.

    The tests run in the repository; the demo and the benchmarks stay where the user is, for the files they name.
    """
    surroundings = {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "PYTHONPATH")}
    surroundings["PYTHONPATH"] = str(ROOT)
    surroundings["PATH"] = os.pathsep.join([str(python.parent), os.environ.get("PATH", os.defpath)])
    surroundings["VIRTUAL_ENV"] = str(python.parent.parent)
    started = [str(python), "-P", "-m", COMMANDS[command], *words]
    if command == "test":
        os.chdir(str(ROOT))
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "nt":
        return subprocess.call(started, env=surroundings)
    return os.execve(started[0], started, surroundings)


def hand_to_newer_python() -> int:
    """Go on with a newer Python of this machine, or say what to do."""
    probe = f"import sys; sys.exit(sys.version_info < {PYTHON_MIN})"
    for name in NEWER_PYTHONS:
        found = shutil.which(name)
        if found and subprocess.call([found, "-c", probe], stderr=subprocess.DEVNULL) == 0:
            return subprocess.call([found, *sys.argv])
    here = sys.version.split()[0]
    told = (
        f"✗ 这里是 Python {here}，需要 3.11 或更新的版本。请安装后再运行一次，例如：sudo apt install python3.11\n"
        f"  This is Python {here}; 3.11 or newer is needed. Install one, then run this again.\n"
    )
    sys.stderr.buffer.write(told.encode(sys.stderr.encoding or "utf-8", "replace"))
    return EXIT_USAGE


if __name__ == "__main__":
    sys.exit(main() if sys.version_info >= PYTHON_MIN else hand_to_newer_python())
