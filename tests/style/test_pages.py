"""The pages keep up with the program: each command, setting, call and dependency is told of, and no link is dead."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from config.settings import Settings
from federation.catalogue import BilingualLine
from tests.style.command_line import command_line, commands
from tests.style.tree import ROOT, pages, tracked_files

TEXT = "\n".join(page.read_text("utf-8") for page in pages() if page.parent == ROOT / "docs" or page.parent == ROOT)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
SERVICE = re.compile(r"^service (\w+) \{(.*?)^\}", re.DOTALL | re.MULTILINE)
REQUIREMENTS = ROOT / "requirements"
PIN = re.compile(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==(\S+)", re.MULTILINE)
# Written in two parts, so that this file does not hold what it looks for.
ELSEWHERE = re.compile(
    r"(?<![\w.~-])/(?:wo" + r"rk|ro" + r"ot)/|pyp" + r"i\.org|pythonhos" + r"ted|npm" + r"js\.|tuna\.tsin" + r"ghua"
)


# --- commands, settings, calls ---------------------------------------------------------------------------------------


def test_every_command_is_told_of():
    silent = [command for command in commands(command_line()) if not re.search(rf"\b{re.escape(command)}\b", TEXT)]
    assert not silent, "docs/operating.md has no word of: " + ", ".join(silent)


def settings(schema: type[msgspec.Struct], before: str = "") -> Iterator[str]:
    for field in msgspec.structs.fields(schema):
        section = next(
            (t for t in possible_types(field.type) if isinstance(t, type) and issubclass(t, msgspec.Struct)), None
        )
        if section is None or section is BilingualLine:
            yield f"{before}{field.encode_name}"
        else:
            yield from settings(section, f"{before}{field.encode_name}.")


def is_struct(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, msgspec.Struct)


def possible_types(annotation: object) -> Iterator[object]:
    yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from possible_types(part)


def test_settings_are_found_in_their_sections():
    assert {"listen.grpc", "search.timeout_s"} <= set(settings(Settings))


def test_every_setting_is_told_of():
    silent = [key for key in settings(Settings) if not re.search(rf"(?<![\w.]){re.escape(key)}(?!\w)", TEXT)]
    assert not silent, "docs/operating.md has no word of: " + ", ".join(silent)


def calls() -> Iterator[str]:
    for proto in sorted((ROOT / "protos" / "lln" / "v1").glob("*.proto")):
        for service, body in re.findall(
            r"^service (\w+) \{(.*?)^\}", proto.read_text("utf-8"), re.DOTALL | re.MULTILINE
        ):
            yield from (f"{service}.{method}" for method in re.findall(r"\brpc (\w+)\(", body))


def test_every_call_is_told_of():
    silent = [call for call in calls() if not re.search(rf"\b{call.replace('.', '[./]')}\b", TEXT)]
    assert not silent, "docs/architecture.md or docs/protocol.md has no word of: " + ", ".join(silent)


def test_calls_are_found_in_the_protos():
    assert {"Node.Hello", "Logs.Push"} <= set(calls())


# --- links and places ------------------------------------------------------------------------------------------------


def test_no_link_is_dead():
    dead = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages()
        for target in LINK.findall(without_code(page.read_text("utf-8")))
        if not re.match(r"[a-z]+:|#", target) and not (page.parent / target.partition("#")[0]).exists()
    ]
    assert dead == []


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```|`[^`\n]*`", "", text, flags=re.DOTALL | re.MULTILINE)


def test_nothing_names_a_registry_or_a_place_on_somebodys_machine():
    found = []
    for path in tracked_files():
        try:
            lines = path.read_text("utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}:{at}" for at, line in enumerate(lines, 1) if ELSEWHERE.search(line)]
    assert found == []


def test_what_is_looked_for_can_be_found():
    assert ELSEWHERE.search("see /wo" + "rk/x")
    assert ELSEWHERE.search("https://pyp" + "i.org/simple")
    assert not ELSEWHERE.search("https://example.edu.cn/wo" + "rk/a and framework/b")


# --- requirements ----------------------------------------------------------------------------------------------------


def names(path: Path) -> set[str]:
    lines = (line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    return {re.split(r"[\[;<>=! ]", line)[0] for line in lines if line and not line.startswith("-")}


def pins(name: str) -> dict[str, str]:
    return dict(PIN.findall((REQUIREMENTS / f"{name}.txt").read_text("utf-8")))


def test_the_project_asks_for_what_a_node_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert {re.split(r"[\[;<>=! ]", each)[0] for each in project["dependencies"]} == names(REQUIREMENTS / "node.in")


@pytest.mark.parametrize("name", ["node", "test", "bench", "hub"])
def test_what_is_asked_for_is_pinned_and_hashed(name):
    assert names(REQUIREMENTS / f"{name}.in") <= pins(name).keys()
    for entry in re.split(r"^(?=[a-z])", (REQUIREMENTS / f"{name}.txt").read_text("utf-8"), flags=re.MULTILINE):
        assert not entry or "--hash=sha256:" in entry


@pytest.mark.parametrize(("smaller", "larger"), [("node", "test"), ("test", "bench"), ("node", "hub")])
def test_the_larger_list_contains_the_smaller(smaller, larger):
    assert pins(smaller).items() <= pins(larger).items()


@pytest.mark.parametrize("name", ["node", "test", "bench", "hub"])
def test_every_dependency_is_explained(name):
    page = ROOT / "docs" / "dependencies.md"
    told = page.read_text("utf-8") if page.exists() else ""
    assert [each for each in sorted(names(REQUIREMENTS / f"{name}.in")) if f"`{each}`" not in told] == []
