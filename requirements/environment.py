"""`.venv` beside run.py: whether it is ready, and how it is made, finished or remade.

A stamp, written last of all, says what `.venv` holds and for which Python and place; with it, a second start does
nothing. A marker stands while an installer works: a `.venv` that still has it was interrupted, and is remade from pip's
cache. What must not live here: how an installer is found, fed and understood (`requirements/installer.py`), or anything
from outside the standard library.
"""

import contextlib
import errno
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

from requirements import installer
from requirements.installer import SetupFailed, say

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".venv"
STAMP = HOME / "lln-ready.json"
MARKER = HOME / "lln-unfinished"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
BASE_PYTHON = getattr(sys, "_base_executable", None) or sys.executable
LISTS = {"demo": ("node",), "test": ("test",), "shots": ("test",), "bench": ("test", "bench")}
CONTAINS = {"node": ("node",), "test": ("node", "test"), "bench": ("node", "test", "bench")}
FREE_MB_MIN = {"node": 300, "test": 600, "bench": 700}
FREE_BYTES_MIN = 20_000_000  # less than this after a failure, and the failure was a full disk
EXIT_FAILED = 3
EXIT_INTERRUPTED = 130
NO_VENV = (
    "这个 Python 不能建立虚拟环境：缺少 venv 或 ensurepip。请运行 sudo apt install python3-venv，再重试。",
    "This Python cannot make a virtual environment (venv or ensurepip is missing): sudo apt install python3-venv",
)


def set_up(command: str, wheels: str) -> int:
    """Make `.venv` hold what the command needs; 0, or an exit code after having said what is wrong."""
    try:
        if not is_ready(command):
            folder = wheel_folder(wheels)
            with one_at_a_time() as lock:
                prepare(command, folder, lock)
    except KeyboardInterrupt:
        say("已中断，再运行一次即可接着做。", "Interrupted; run the same again and it goes on.")
        return EXIT_INTERRUPTED
    except (OSError, SetupFailed) as error:
        failed = error if isinstance(error, SetupFailed) else disk_trouble(error)
        told = f"{failed.told.rstrip()}\n" if failed.told else ""
        sys.stderr.write(f"{told}✗ {failed.zh}\n  {failed.en}\n")
        return EXIT_FAILED
    return 0


def is_ready(command: str) -> bool:
    """Whether `.venv` holds exactly what the command's lists say, for this Python at this place."""
    wanted = stamp(LISTS[command])
    try:
        held = json.loads(STAMP.read_text("utf-8"))
        is_same = held["made_for"] == wanted["made_for"] and wanted["lists"].items() <= held["lists"].items()
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False
    return is_same and home_python().exists() and not MARKER.exists()


def stamp(names: tuple[str, ...]) -> dict[str, dict[str, str]]:
    made_for = {"python": PYTHON, "place": str(ROOT), "project": "==".join(project())}
    lists = {name: hashlib.sha256((ROOT / "requirements" / f"{name}.txt").read_bytes()).hexdigest() for name in names}
    return {"made_for": made_for, "lists": lists}


def project() -> tuple[str, str]:
    """The project's name and version."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return table["name"], table["version"]


def home_python() -> Path:
    return HOME / "Scripts" / "python.exe" if os.name == "nt" else HOME / "bin" / "python"


def wheel_folder(named: str) -> Path | None:
    if not named:
        return None
    folder = Path(named).expanduser().resolve()
    if not any(folder.glob("*.whl")):
        raise SetupFailed(f"文件夹里没有 .whl 文件：{folder}", f"No .whl files in {folder}.")
    return folder


@contextlib.contextmanager
def one_at_a_time() -> Iterator[tuple[int, ...]]:
    """Hold run.py locked while setting up; an installer that outlives us inherits the lock and keeps it."""
    with (ROOT / "run.py").open("rb") as held:
        try:
            import fcntl  # noqa: PLC0415  # Windows has none
        except ImportError:
            yield ()
            return
        with contextlib.suppress(OSError):  # a file system without locks: go on without one
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("另一个 run.py 正在准备，等它完成。", "Another run.py is setting up; waiting for it.")
                fcntl.flock(held, fcntl.LOCK_EX)
        yield (held.fileno(),)


def prepare(command: str, wheels: Path | None, lock: tuple[int, ...]) -> None:
    """Make, finish or remake `.venv`. A crash anywhere leaves the marker, or a `.venv` that is merely not ready."""
    if is_ready(command):  # somebody else did it while we waited
        return
    started = time.monotonic()
    if MARKER.exists() or (HOME.exists() and not fits()):
        say("清除未完成或不适用的 .venv。", "Removing a .venv that is unfinished or does not fit.")
        shutil.rmtree(HOME)
    if not HOME.exists():
        make(LISTS[command][-1])
    MARKER.touch()
    STAMP.unlink(missing_ok=True)
    try:
        for name in LISTS[command]:
            installer.install(home_python(), BASE_PYTHON, ROOT / "requirements" / f"{name}.txt", wheels, lock)
    except SetupFailed as failed:
        if failed.is_harmless:
            MARKER.unlink()
        raise
    link_project()
    STAMP.write_text(json.dumps(stamp(CONTAINS[LISTS[command][-1]])), "utf-8")
    MARKER.unlink()
    say(f"准备就绪，用时 {time.monotonic() - started:.0f} 秒。", "Ready.")


def fits() -> bool:
    """Whether the Python in `.venv` starts and is of this version."""
    probe = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        told = subprocess.run([home_python(), "-I", "-c", probe], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return told.stdout.strip() == PYTHON


def make(name: str) -> None:
    """Make an empty `.venv`, unfinished until the marker goes.

    Errors: SetupFailed where the disk has no room or this Python can make none.
    """
    free_mb = shutil.disk_usage(ROOT).free // 1_000_000
    if free_mb < FREE_MB_MIN[name]:
        raise SetupFailed(
            f"磁盘空间不足：需要 {FREE_MB_MIN[name]} MB，剩余 {free_mb} MB。请腾出空间后再运行一次。",
            f"Too little disk: {FREE_MB_MIN[name]} MB needed, {free_mb} MB free. Make room and run again.",
        )
    maker = find_maker(shutil.which, importlib.util.find_spec)
    say("建立虚拟环境 .venv。", "Making .venv.")
    HOME.mkdir()
    MARKER.touch()
    told = subprocess.run([*maker, str(HOME)], capture_output=True, text=True, errors="replace", check=False)
    if told.returncode != 0:
        words = told.stdout + told.stderr
        is_full = shutil.disk_usage(ROOT).free < FREE_BYTES_MIN
        raise installer.disk_is_full(str(HOME)) if is_full else SetupFailed(*NO_VENV, words)


def find_maker(which: Callable[[str], str | None], find_spec: Callable[[str], object]) -> list[str]:
    """The command that makes a virtual environment here, the folder's name left off.

    Debian ships Python without `ensurepip`, and then `venv` cannot put pip inside: uv, virtualenv or the system's own
    pip stand in for it.
    """
    if find_spec("venv") and find_spec("ensurepip"):
        return [BASE_PYTHON, "-I", "-m", "venv"]
    if uv := which("uv"):
        return [uv, "venv", "--quiet", "--allow-existing", "--python", BASE_PYTHON]
    if virtualenv := which("virtualenv"):
        return [virtualenv, "--quiet", "--python", BASE_PYTHON]
    if find_spec("virtualenv"):
        return [BASE_PYTHON, "-I", "-m", "virtualenv", "--quiet"]
    if find_spec("venv") and find_spec("pip"):
        return [BASE_PYTHON, "-I", "-m", "venv", "--without-pip"]
    raise SetupFailed(*NO_VENV)


def link_project() -> None:
    """Make the repository importable in `.venv`, and `lln` a command there, without building anything.

    The path is relative, so neither the encoding of a place's name nor a move of the whole folder breaks it.
    """
    name, version = project()
    probe = "import sysconfig; print(sysconfig.get_path('purelib'))"
    told = subprocess.run([home_python(), "-I", "-X", "utf8", "-c", probe], capture_output=True, check=True)
    packages = Path(told.stdout.decode("utf-8").strip())
    (packages / "lln-node.pth").write_text(os.path.relpath(ROOT, packages) + "\n", "ascii")
    for older in packages.glob("lln_node-*.dist-info"):
        shutil.rmtree(older)
    about = packages / f"lln_node-{version}.dist-info"
    about.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (about / "METADATA").write_text(metadata, "utf-8")
    (about / "RECORD").write_text(f"lln-node.pth,,\n{about.name}/METADATA,,\n{about.name}/RECORD,,\n", "ascii")
    start = "import sys; sys.argv[0] = 'lln'; from node.cli.main import main; sys.exit(main())"
    if os.name == "nt":
        (home_python().parent / "lln.cmd").write_text(f'@"%~dp0python.exe" -P -c "{start}" %*\n', "ascii")
        return
    launcher = home_python().parent / "lln"
    here = '"$(dirname -- "$(readlink -f -- "$0")")"'
    launcher.write_text(f'#!/bin/sh\nexec {here}/python -P -c "{start}" "$@"\n', "ascii")
    launcher.chmod(0o755)


def disk_trouble(error: OSError) -> SetupFailed:
    """What a failed write means, in words."""
    place = error.filename or str(HOME)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return installer.disk_is_full(place)
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return installer.cannot_write(place)
    return SetupFailed(f"准备时出错：{error}", f"Setting up failed: {error}")
