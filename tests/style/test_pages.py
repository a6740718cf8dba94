"""The pages keep up with the program: each command, setting and call is told of, and no link is dead."""

import re
from collections.abc import Iterator

import msgspec

from config.settings import Settings
from federation.catalogue import BilingualLine
from tests.style.command_line import command_line, commands
from tests.style.tree import ROOT, pages, tracked_files

TEXT = "\n".join(page.read_text("utf-8") for page in pages() if page.parent == ROOT / "docs" or page.parent == ROOT)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
SERVICE = re.compile(r"^service (\w+) \{(.*?)^\}", re.DOTALL | re.MULTILINE)
# Written in two parts, so that this file does not hold what it looks for.
ELSEWHERE = re.compile(
    r"(?<![\w.~-])/(?:wo" + r"rk|ro" + r"ot)/|pyp" + r"i\.org|pythonhos" + r"ted|npm" + r"js\.|tuna\.tsin" + r"ghua"
)


# --- rooms, commands, settings, calls ---------------------------------------------------------------------------------


def test_every_module_of_the_inner_rooms_stands_in_the_plan_of_the_house():
    plan = (ROOT / "docs" / "architecture.md").read_text("utf-8").split("```text", 1)[1].split("```", 1)[0]
    modules = [path.stem for room in ("federation", "node/usecases") for path in (ROOT / room).glob("[a-z]*.py")]
    assert len(modules) > 40
    silent = [name for name in sorted(modules) if not re.search(rf"\b{name}\b", plan)]
    assert not silent, "docs/architecture.md has no word of: " + ", ".join(silent)


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
