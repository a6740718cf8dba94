"""What run.py decides before anything is installed; nothing here touches the network or makes a `.venv`."""

import ast
import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import run
from requirements import environment, installer
from requirements.installer import SetupFailed, diagnose

ROOT = Path(__file__).resolve().parents[2]
HOME = Path("/srv/lln/.venv")


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """An empty repository at a place with spaces and Chinese characters, with the lists of the real one."""
    place = tmp_path / "终身 学习 网"
    (place / "requirements").mkdir(parents=True)
    for name in ("node", "test", "bench"):
        (place / "requirements" / f"{name}.txt").write_text(f"{name}==1 \\\n    --hash=sha256:00\n", "utf-8")
    (place / "pyproject.toml").write_text('[project]\nname = "lln-node"\nversion = "0.1.0"\n', "utf-8")
    (place / "run.py").write_text("", "utf-8")
    home = place / ".venv"
    for name, value in {"ROOT": place, "HOME": home, "STAMP": home / "ready", "MARKER": home / "unfinished"}.items():
        monkeypatch.setattr(environment, name, value)
    return place


def furnish(place: Path, names: tuple[str, ...]) -> None:
    python = environment.home_python()
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    environment.STAMP.write_text(json.dumps(environment.stamp(names)), "utf-8")


def test_an_old_python_can_still_read_run_py():
    assert ast.parse((ROOT / "run.py").read_text("utf-8"), feature_version=(3, 6)).body


def test_without_a_command_it_says_how_to_use_it():
    told = subprocess.run([sys.executable, ROOT / "run.py"], capture_output=True, text=True, check=False)
    assert told.returncode == run.EXIT_USAGE
    assert "run.py demo" in told.stderr
    asked = subprocess.run([sys.executable, ROOT / "run.py", "--help"], capture_output=True, text=True, check=False)
    assert (asked.returncode, asked.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ("", [])),
        (["--once", "--json", "out.json"], ("", ["--once", "--json", "out.json"])),
        (["--wheels", "轮 子", "--once"], ("轮 子", ["--once"])),
        (["--once", "--wheels=/w"], ("/w", ["--once"])),
        (["--wheels"], ("", ["--wheels"])),
    ],
)
def test_the_folder_of_wheels_is_ours_and_the_rest_is_the_commands(words, expected, monkeypatch):
    monkeypatch.delenv("LLN_WHEELS", raising=False)
    assert run.take_wheels(words) == expected


def test_a_typed_folder_of_wheels_beats_the_environment(monkeypatch):
    monkeypatch.setenv("LLN_WHEELS", "/from-environment")
    assert run.take_wheels(["-x"]) == ("/from-environment", ["-x"])
    assert run.take_wheels(["--wheels", "/typed", "-x"]) == ("/typed", ["-x"])


def test_a_folder_without_wheels_is_refused(tmp_path):
    with pytest.raises(SetupFailed, match="whl"):
        environment.wheel_folder(str(tmp_path))


def test_a_fresh_repository_is_not_ready(repository):
    assert not environment.is_ready("demo")


def test_the_larger_list_makes_the_smaller_ready_but_not_the_reverse(repository):
    furnish(repository, environment.CONTAINS["test"])
    assert environment.is_ready("demo")
    assert environment.is_ready("test")
    assert not environment.is_ready("bench")


def test_a_changed_list_is_not_ready(repository):
    furnish(repository, ("node",))
    (repository / "requirements" / "node.txt").write_text("node==2\n", "utf-8")
    assert not environment.is_ready("demo")


def test_an_interrupted_set_up_is_not_ready(repository):
    furnish(repository, ("node",))
    environment.MARKER.touch()
    assert not environment.is_ready("demo")


def test_a_venv_of_another_python_is_not_ready(repository, monkeypatch):
    furnish(repository, ("node",))
    monkeypatch.setattr(environment, "PYTHON", "3.99")
    assert not environment.is_ready("demo")


def test_a_vanished_python_is_not_ready(repository):
    furnish(repository, ("node",))
    environment.home_python().unlink()
    assert not environment.is_ready("demo")


@pytest.mark.parametrize("held", ["", "[]", "{}", '{"made_for": 1, "lists": 2}', "\x00"])
def test_a_damaged_stamp_is_not_ready(repository, held):
    furnish(repository, ("node",))
    environment.STAMP.write_text(held, "utf-8")
    assert not environment.is_ready("demo")


def finder(present):
    return lambda name: name if name in present else None


@pytest.mark.parametrize(
    ("programs", "modules", "expected"),
    [
        ({"uv"}, {"venv", "ensurepip", "pip"}, "-m venv"),
        ({"uv", "virtualenv"}, {"venv", "pip"}, "uv venv"),
        ({"virtualenv"}, {"venv"}, "virtualenv --quiet"),
        (set(), {"virtualenv"}, "-m virtualenv"),
        (set(), {"venv", "pip"}, "--without-pip"),
    ],
)
def test_something_stands_in_for_a_missing_ensurepip(programs, modules, expected):
    assert expected in " ".join(environment.find_maker(finder(programs), finder(modules)))


def test_with_nothing_to_stand_in_the_package_to_install_is_named():
    with pytest.raises(SetupFailed) as failed:
        environment.find_maker(finder(set()), finder({"venv"}))
    assert "python3-venv" in failed.value.zh
    assert "python3-venv" in failed.value.en


@pytest.mark.parametrize(
    ("told", "zh", "may_pass", "is_harmless"),
    [
        ("ERROR: Could not install: [Errno 28] No space left on device", "磁盘已满", False, False),
        ("ERROR: [Errno 30] Read-only file system: 'x'", "无法写入", False, False),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM", "摘要不符", True, True),
        ("WARNING: Retrying (Retry(total=0)) after connection broken", "下载没有完成", True, True),
        ("ERROR: No matching distribution found for grpcio", "安装没有完成", False, True),
        ("Installing collected packages: a, b\nKilled", "安装没有完成", False, False),
        ("WARNING: Retrying (x)\nInstalling collected packages: a\nKilled", "安装没有完成", False, False),
    ],
)
def test_an_installers_words_are_understood(told, zh, may_pass, is_harmless):
    failed = diagnose(told, HOME, None)
    assert zh in failed.zh
    assert (failed.may_pass, failed.is_harmless) == (may_pass, is_harmless)


def test_offline_a_missing_package_is_no_matter_of_trying_again():
    failed = diagnose("connection refused\nERROR: No matching distribution found for anyio==4", HOME, Path("/wheels"))
    assert "/wheels" in failed.en
    assert "anyio" in failed.told
    assert not failed.may_pass


def test_what_an_error_lists_is_told_with_it():
    failed = diagnose("Collecting a\nERROR: these are not pinned:\n    coverage[toml]>=7 from x", HOME, None)
    assert failed.told == "ERROR: these are not pinned:\ncoverage[toml]>=7 from x"


@pytest.mark.parametrize(
    ("number", "zh"), [(errno.ENOSPC, "磁盘已满"), (errno.EROFS, "无法写入"), (errno.EIO, "准备时出错")]
)
def test_a_failed_write_is_told_in_words(number, zh):
    assert zh in environment.disk_trouble(OSError(number, os.strerror(number), "/srv/lln/.venv")).zh


def test_pip_hears_where_to_download_but_not_where_to_install(monkeypatch, tmp_path):
    settings = tmp_path / "pip.conf"
    settings.write_text("[global]\nindex-url = https://mirror.test/simple\n[install]\nuser = true\n", "utf-8")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(settings))
    monkeypatch.setenv("PIP_TARGET", "/elsewhere")
    monkeypatch.setenv("PIP_TIMEOUT", "99")
    heard = installer.pip_surroundings([sys.executable, "-I", "-m", "pip"])
    assert heard["PIP_INDEX_URL"] == "https://mirror.test/simple"
    assert heard["PIP_TIMEOUT"] == "99"
    assert heard["PIP_CONFIG_FILE"] == os.devnull
    assert not {"PIP_USER", "PIP_TARGET"} & heard.keys()


def test_the_installers_progress_names_the_package_and_its_size():
    progress = installer.Progress(15)
    progress.read("Collecting tantivy==0.27.0 (from -r node.txt (line 9))\n")
    progress.read("  Downloading tantivy-0.27.0-cp311-cp311-manylinux_2_17_x86_64.whl (6.3 MB)\n")
    assert (progress.seen, progress.doing) == (1, "下载 downloading tantivy (6.3 MB)")


def test_what_an_installer_says_and_its_exit_status_come_back():
    script = "print('Collecting a'); import sys; sys.exit(7)"
    assert installer.watch([sys.executable, "-c", script], dict(os.environ), 1, ()) == (7, "Collecting a\n")


def test_the_project_is_linked_by_a_relative_path(repository):
    folder = repository / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (repository / "node" / "cli").mkdir(parents=True)
    (repository / "node" / "cli" / "main.py").write_text("import sys\ndef main(): print(sys.argv); return 5\n", "utf-8")
    environment.link_project()
    link = repository / "lln link"
    link.symlink_to(folder / "bin" / "lln")
    bare = {"PATH": os.environ["PATH"]}  # no PYTHONPATH that leads to the real repository
    told = subprocess.run([link, "tree", "a b"], capture_output=True, text=True, check=False, cwd="/", env=bare)
    assert (told.returncode, told.stdout) == (5, "['lln', 'tree', 'a b']\n")
    assert stat.S_IMODE((folder / "bin" / "lln").stat().st_mode) == 0o755
    version = "import importlib.metadata as m; print(m.version('lln-node'))"
    asked = subprocess.run(
        [environment.home_python(), "-c", version], capture_output=True, text=True, check=True, env=bare, cwd="/"
    )
    assert asked.stdout == "0.1.0\n"
