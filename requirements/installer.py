"""Feeding one list of requirements to pip or uv, telling how far it is, and understanding why it failed.

What must not live here: where `.venv` is or when it is ready (`requirements/environment.py`), the address of any index,
or anything from outside the standard library.
"""

import ast
import contextlib
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

STUCK_MAX = 3  # tries in a row that come no further than one before
HEARTBEAT_S = 15.0
LINE_CHARS_MAX = 240
WRITING = "Installing collected"  # before pip says this, it has only downloaded
NETWORK = re.compile("retrying|connection|timed out|timeout|name resolution|ssl|proxy|incompleteread|http error|tcp")
SOURCE_ONLY = {"bench": ("jieba",)}  # published without a wheel; built with the setuptools that the test list pins
SETTINGS_KEPT = (
    *("index-url", "extra-index-url", "find-links", "trusted-host", "proxy", "cert", "client-cert"),
    *("cache-dir", "timeout", "default-timeout", "retries", "keyring-provider"),
)


class SetupFailed(Exception):
    """What happened and what to do, in Chinese and in English; `told` is what the failing program said itself.

    `may_pass`: trying again may help. `is_harmless`: it failed before anything was written into `.venv`.
    """

    def __init__(self, zh: str, en: str, told: str = "", *, may_pass: bool = False, is_harmless: bool = False) -> None:
        super().__init__(zh, en)
        self.zh, self.en, self.told, self.may_pass, self.is_harmless = zh, en, told, may_pass, is_harmless


def say(zh: str, en: str) -> None:
    sys.stderr.write(f"· {zh} {en}\n")
    sys.stderr.flush()


def install(python: Path, base_python: str, listed: Path, wheels: Path | None, lock: tuple[int, ...]) -> None:
    """Install exactly what `listed` says, trying again while the network is at fault and each try comes further.

    `lock`: descriptors that the installer inherits. Errors: SetupFailed.
    """
    total = len(re.findall(r"^[a-z0-9.-]+==", listed.read_text("utf-8"), re.MULTILINE))
    words = ["--require-hashes", "--only-binary", ":all:", "-r", str(listed)]
    for package in SOURCE_ONLY.get(listed.stem, ()):
        words += ["--no-binary", package, "--no-build-isolation"]
    if wheels:
        words += ["--no-index", "--find-links", str(wheels)]
    command, surroundings = find_installer(python, base_python)
    say(f"安装 {listed.name} 里的 {total} 个软件包。", f"Installing the {total} packages of {listed.name}.")
    furthest, stuck = 0, 0
    while True:
        status, told = watch([*command, *words], surroundings, total, lock)
        if status == 0:
            return
        failed = diagnose(told, python.parent.parent, wheels)
        reached = told.count("Collecting ")
        furthest, stuck = max(furthest, reached), 0 if reached > furthest else stuck + 1
        if not failed.may_pass or stuck == STUCK_MAX:
            raise failed
        say("网络不顺，接着再试。", "The network failed; going on.")


def find_installer(python: Path, base_python: str) -> tuple[list[str], dict[str, str]]:
    """The command that installs beside `python`, and its environment: its own pip, else uv, else the system's pip."""
    own = [str(python), "-I", "-m", "pip"]
    if subprocess.run([*own, "--version"], capture_output=True, check=False).returncode == 0:
        return [*own, "install", "--progress-bar", "off"], pip_surroundings(own)
    if uv := shutil.which("uv"):
        mirror = {"UV_DEFAULT_INDEX": os.environ["PIP_INDEX_URL"]} if os.environ.get("PIP_INDEX_URL") else {}
        return [uv, "pip", "install", "--no-progress", "--python", str(python)], {**mirror, **os.environ}
    system = [base_python, "-I", "-m", "pip"]
    return [*system, "--python", str(python), "install", "--progress-bar", "off"], pip_surroundings(system)


def pip_surroundings(pip: list[str]) -> dict[str, str]:
    """What pip may see of its user's settings: where and how to download, never what to install or where to.

    A `user = true`, a `target` or a `require-virtualenv` in somebody's pip.conf is theirs, and would break ours.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    kept |= {"PIP_RETRIES": "3", "PIP_TIMEOUT": "30"}
    told = subprocess.run([*pip, "config", "list"], capture_output=True, text=True, errors="replace", check=False)
    for line in sorted(told.stdout.splitlines(), key=lambda line: line.startswith(":env:")):
        key, _, value = line.partition("=")
        setting = key.rpartition(".")[2]
        if setting in SETTINGS_KEPT:
            with contextlib.suppress(ValueError, SyntaxError):
                kept["PIP_" + setting.upper().replace("-", "_")] = str(ast.literal_eval(value))
    return kept | {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONUNBUFFERED": "1"}


def watch(command: list[str], surroundings: dict[str, str], total: int, lock: tuple[int, ...]) -> tuple[int, str]:
    """Run an installer and tell how far it is; its exit status and all that it said."""
    with subprocess.Popen(
        command,
        env=surroundings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        pass_fds=lock,
    ) as child:
        lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=pass_lines, args=(child.stdout, lines), daemon=True).start()
        progress = Progress(total)
        told: list[str] = []
        try:
            while (line := next_line(lines, progress)) is not None:
                told.append(line)
                progress.read(line)
        except KeyboardInterrupt:
            child.terminate()
            raise
        finally:
            progress.end()
    return child.returncode, "".join(told)


def pass_lines(stream: Iterable[str] | None, lines: "queue.Queue[str | None]") -> None:
    for line in stream or ():
        lines.put(line)
    lines.put(None)


def next_line(lines: "queue.Queue[str | None]", progress: "Progress") -> str | None:
    while True:
        try:
            return lines.get(timeout=1)
        except queue.Empty:
            progress.tick()


class Progress:
    """One line that says where an installer is: redrawn on a terminal, told now and then elsewhere."""

    def __init__(self, total: int) -> None:
        self.total, self.seen, self.doing = total, 0, "解析 resolving"
        self.started = self.told_at = time.monotonic()
        self.is_terminal = sys.stderr.isatty()

    def read(self, line: str) -> None:
        if line.startswith(("Collecting ", "Requirement already")):
            self.seen += 1
        elif found := re.match(r"\s*Downloading (\S+?)-\S+(\s\(.*\))?", line):
            self.doing = f"下载 downloading {found[1].rpartition('/')[2]}{found[2] or ''}"
        elif line.startswith(WRITING):
            self.doing = "写入 writing"
        elif "Retrying (" in line:
            self.doing = "网络慢，重试 slow network, retrying"
        self.tick()

    def tick(self) -> None:
        now = time.monotonic()
        line = f"  [{min(self.seen, self.total)}/{self.total}] {self.doing}, {now - self.started:.0f} s"
        if self.is_terminal:
            sys.stderr.write(f"\r{line[: shutil.get_terminal_size().columns - 12]}\x1b[K")
        elif now - self.told_at >= HEARTBEAT_S:
            self.told_at = now
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    def end(self) -> None:
        if self.is_terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


# --- what went wrong -------------------------------------------------------------------------------------------------


def diagnose(told: str, home: Path, wheels: Path | None) -> SetupFailed:
    """Which of the usual troubles an installer's words point to."""
    low = told.lower()
    is_harmless = WRITING not in told
    if "no space left" in low or "disk quota" in low:
        return disk_is_full(str(home))
    if "read-only file system" in low or "permission denied" in low:
        return cannot_write(str(home))
    is_mismatch = "do not match the hashes" in low or "hash mismatch" in low  # older pips: also a download cut short
    may_pass = is_harmless and not wheels and (is_mismatch or bool(NETWORK.search(low)))
    if is_mismatch:
        advice = (
            "有文件与登记的摘要不符，没有安装。请换一个软件源，或运行 pip cache purge 后再试。",
            "A file does not match its pinned hash and was not installed. Use another index, or run: pip cache purge",
        )
    elif wheels:
        advice = (
            f"{wheels} 里缺少上面提到的软件包，请补齐后再运行一次。",
            f"{wheels} lacks what is named above; add it, then run this again.",
        )
    elif may_pass:
        advice = (
            "下载没有完成。再运行一次会接着下载；也可以设置 PIP_INDEX_URL 使用就近的镜像，或用 --wheels 离线安装。",
            "The download did not finish. Run this again to go on; or set PIP_INDEX_URL to a mirror, or use --wheels.",
        )
    else:
        advice = (
            "安装没有完成，原因见上。可以换一个软件源或 Python 版本，再运行一次。",
            "The installation did not finish, for the reason above. Try another index or Python, then run this again.",
        )
    return SetupFailed(*advice, last_words(told), may_pass=may_pass, is_harmless=is_harmless)


def last_words(told: str) -> str:
    """The lines that say why, each with the line that follows it, cut to a readable length."""
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    errors = [place for place, line in enumerate(lines) if line.lower().startswith(("error", "×", "╰"))]
    wanted = {place + step for place in errors[-3:] for step in (0, 1)} or range(len(lines) - 3, len(lines))
    return "\n".join(line[:LINE_CHARS_MAX] for place, line in enumerate(lines) if place in wanted)


def disk_is_full(place: str) -> SetupFailed:
    return SetupFailed(
        f"磁盘已满，无法写入 {place}（或临时文件夹）。请腾出空间后再运行一次。",
        f"The disk is full: {place} or the temporary folder. Make room, then run this again.",
    )


def cannot_write(place: str) -> SetupFailed:
    return SetupFailed(
        f"无法写入 {place}。请把整个文件夹复制到可以写入的地方，再运行一次。",
        f"Cannot write to {place}. Copy the whole folder to where you may write, then run this again.",
    )
