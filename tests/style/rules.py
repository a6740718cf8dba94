"""The house rules that no linter knows, each a function from a module to what it does not allow there.

A line that must break a rule says so and why: `# allowed: bare-task, stop() awaits it`. Sizes, names and the purity of
federation/ know no exception. What must not live here: which rooms a rule applies to (`test_house.py`).
"""

import ast
import re
from collections.abc import Iterator

from tests.style.tree import Finding, Module, functions

MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
REASON_CHARS_MIN = 10
NAMES_REFUSED = {
    *("utils", "util", "helpers", "helper", "common", "misc", "manager", "handler", "handlers", "processor"),
    *("data", "info", "base"),
}
PURE_IMPORTS = {
    *("federation", "msgspec", "nacl", "cryptography"),
    *(
        "__future__",
        "abc",
        "array",
        "base64",
        "binascii",
        "bisect",
        "collections",
        "contextlib",
        "copy",
        "dataclasses",
        "datetime",
    ),
    *("decimal", "enum", "fractions", "functools", "graphlib", "hashlib", "heapq", "hmac", "ipaddress", "itertools"),
    *("json", "math", "numbers", "operator", "re", "statistics", "string", "struct", "textwrap", "tomllib", "types"),
    *("typing", "unicodedata", "urllib.parse", "zlib"),
}
IMPURE_USES = {
    *("open", "print", "input", "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today"),
    *("datetime.date.today", "nacl.utils.random", "nacl.signing.SigningKey.generate", "nacl.bindings.randombytes"),
    *("nacl.public.PrivateKey.generate", "cryptography.x509.random_serial_number"),
}
IMPURE_METHODS = {"generate_private_key", "random_serial_number", "randombytes"}
EFFECTS = {
    *("time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.perf_counter_ns"),
    *("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today"),
    *("os.environ", "os.getenv", "os.environb", "os.urandom", "os.getrandom", "uuid.uuid1", "uuid.uuid4"),
    *("nacl.utils.random", "nacl.signing.SigningKey.generate"),
}
EFFECT_MODULES = ("random", "secrets")
WIRE = ("grpc", "grpc_health", "grpc_reflection", "google.protobuf", "protos")
TASK_STARTERS = ("create_task", "ensure_future", "gather")
SQL = re.compile(r"\b(SELECT\s.+\sFROM|INSERT\s+INTO|UPDATE\s.+\sSET|DELETE\s+FROM)\b", re.DOTALL)
UNFINISHED = re.compile("|".join(("TO" + "DO", "FIX" + "ME", r"\bXX" + r"X\b", "raise NotImplemented" + "Error")))
ENDED = re.compile(r"#.*\b(ended|awaited|cancelled) by\b")
QUESTION_MARKS = {"marks"}  # functions that make "?, ?, ?"
SKIP = re.compile(r"\bpytest\.(skip|importorskip|mark\.(skip|skipif|xfail))$")
ABSENT = re.compile(r"shared|absent|beside the repository", re.IGNORECASE)


def allowed(module: Module, finding: Finding) -> bool:
    line = module.lines[finding.line - 1]
    return bool(re.search(rf"#.*\ballowed: {re.escape(finding.rule)}, \S", line))


def judged(module: Module, rule: str, found: Iterator[tuple[int, str]]) -> list[Finding]:
    findings = [Finding(module.place, line, rule, told) for line, told in found]
    return [finding for finding in findings if not allowed(module, finding)]


# --- size and name ---------------------------------------------------------------------------------------------------


def sizes(module: Module) -> list[Finding]:
    found = []
    if len(module.lines) > MODULE_LINES_MAX:
        found.append(Finding(module.place, 1, "module-lines", f"{len(module.lines)} > {MODULE_LINES_MAX}"))
    for function in functions(module.tree):
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        if lines > FUNCTION_LINES_MAX:
            told = f"{function.name} has {lines} > {FUNCTION_LINES_MAX}"
            found.append(Finding(module.place, function.lineno, "function-lines", told))
    return found


def names(module: Module) -> list[Finding]:
    stem = module.place.rpartition("/")[2].removesuffix(".py")
    refused = NAMES_REFUSED & {*module.name.split("."), *stem.strip("_").split("_")}
    return [Finding(module.place, 1, "file-name", f"{name!r} says nothing of the field") for name in sorted(refused)]


def module_docstring(module: Module) -> list[Finding]:
    is_empty = not module.text.strip()
    if is_empty or ast.get_docstring(module.tree):
        return []
    return [Finding(module.place, 1, "module-docstring", "a room says what lives in it and what must not")]


# --- purity, clock, wire ---------------------------------------------------------------------------------------------


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every module that is imported, wherever the import stands; for `from a import b` both `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def starts_with(name: str, *prefixes: str) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def uses(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every dotted name that is used, told by what it was imported as: `from time import monotonic as m; m()` too."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known |= {
                a.asname or a.name.partition(".")[0]: a.name if a.asname else a.name.partition(".")[0]
                for a in node.names
            }
        elif isinstance(node, ast.ImportFrom) and node.module:
            known |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and (dotted := dotted_name(node)):
            first, _, rest = dotted.partition(".")
            yield node.lineno, ".".join(part for part in (known.get(first, first), rest) if part)


def dotted_name(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := dotted_name(node.value)):
        return f"{before}.{node.attr}"
    return ""


def impurities(module: Module) -> list[Finding]:
    def found() -> Iterator[tuple[int, str]]:
        for line, name in imports(module.tree):
            if not starts_with(name, *PURE_IMPORTS):
                yield line, f"federation/ may not import {name}"
        for line, name in uses(module.tree):
            if name in IMPURE_USES or name.rpartition(".")[2] in IMPURE_METHODS:
                yield line, f"federation/ may not use {name}"
        for node in ast.walk(module.tree):
            if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
                yield node.lineno, "federation/ waits for nothing"

    return [Finding(module.place, line, "purity", told) for line, told in found()]


def effects(module: Module) -> list[Finding]:
    found = ((at, f"{name} comes in through a port") for at, name in uses(module.tree) if is_effect(name))
    return judged(module, "effect", found)


def is_effect(name: str) -> bool:
    return name in EFFECTS or (starts_with(name, *EFFECT_MODULES) and name not in EFFECT_MODULES)


def wire_imports(module: Module) -> list[Finding]:
    return judged(module, "wire", ((at, name) for at, name in imports(module.tree) if starts_with(name, *WIRE)))


def imports_of(module: Module, room: str) -> list[Finding]:
    found = ((line, name) for line, name in imports(module.tree) if starts_with(name, room))
    return judged(module, "room", found)


# --- tasks, exceptions, SQL ------------------------------------------------------------------------------------------


def bare_tasks(module: Module) -> list[Finding]:
    """asyncio.create_task and its like, where nobody is said to end the task: `# ended by close()`."""

    def found() -> Iterator[tuple[int, str]]:
        for node in ast.walk(module.tree):
            is_call = isinstance(node, ast.Call) and task_starter(node.func)
            if is_call and not ENDED.search(module.lines[node.lineno - 1]):
                yield node.lineno, "a task without a parent; use a TaskGroup, or say `# ended by …` on that line"

    return judged(module, "bare-task", found())


def task_starter(called: ast.expr) -> bool:
    if isinstance(called, ast.Name):
        return called.id in TASK_STARTERS
    if not isinstance(called, ast.Attribute) or called.attr not in TASK_STARTERS:
        return False
    owner = ast.unparse(called.value)
    return owner == "asyncio" or "loop" in owner.lower()


def broad_excepts(module: Module) -> list[Finding]:
    """`except Exception` that goes on without saying why; one that ends in `raise` only cleans up or translates."""

    def found() -> Iterator[tuple[int, str]]:
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.ExceptHandler) or ends_in_raise(node):
                continue
            caught = ast.unparse(node.type) if node.type else "everything"
            is_broad = node.type is None or re.search(r"\b(Base)?Exception\b", caught)
            if is_broad and not has_reason(module.lines[node.lineno - 1]):
                yield node.lineno, f"catches {caught} and goes on; say why on that line"

    return judged(module, "broad-except", found())


def ends_in_raise(handler: ast.ExceptHandler) -> bool:
    return isinstance(handler.body[-1], ast.Raise)


def has_reason(line: str) -> bool:
    comment = re.sub(r"#\s*noqa:[A-Z0-9, ]*", "", "".join(line.partition("#")[1:]))
    return len(comment.strip("# ")) >= REASON_CHARS_MIN


def assembled_sql(module: Module) -> list[Finding]:
    def found() -> Iterator[tuple[int, str]]:
        for node in ast.walk(module.tree):
            if SQL.search(assembled_text(node)):
                yield node.lineno, "a statement is whole; values are parameters"

    return judged(module, "assembled-sql", found())


def assembled_text(node: ast.AST) -> str:
    """The constant text of a string that is put together with something else, or ""."""
    if isinstance(node, ast.JoinedStr) and any(map(is_value, node.values)):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "?" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod | ast.Add):
        return " ".join(constants(node))
    is_method = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    if is_method and node.func.attr in ("format", "replace", "join", "format_map"):
        return " ".join(constants(node))
    return ""


def is_value(part: ast.expr) -> bool:
    """Whether a part of an f-string is put in from outside; a row of question marks is not."""
    if not isinstance(part, ast.FormattedValue):
        return False
    is_call = isinstance(part.value, ast.Call)
    return not (is_call and dotted_name(part.value.func) in QUESTION_MARKS)


def constants(node: ast.AST) -> Iterator[str]:
    return (part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str))


# --- tests -----------------------------------------------------------------------------------------------------------


def mocks(module: Module) -> list[Finding]:
    found = ((at, name) for at, name in imports(module.tree) if starts_with(name, "unittest.mock", "mock"))
    return judged(module, "mock", found)


def unfinished(module: Module) -> list[Finding]:
    lines = enumerate(module.lines, 1)
    return judged(module, "unfinished", ((at, line.strip()) for at, line in lines if UNFINISHED.search(line)))


def empty_tests(module: Module) -> list[Finding]:
    """Tests without an assertion of their own or in a function of their module that they call."""
    able = {"run_state_machine_as_test", "suppress"}
    while more := {f.name for f in functions(module.tree) if f.name not in able and can_fail(f, able)}:
        able |= more
    found = (
        (function.lineno, f"{function.name} cannot fail")
        for function in functions(module.tree)
        if function.name.startswith("test_") and function.name not in able
    )
    return judged(module, "empty-test", found)


def can_fail(function: ast.AST, able: set[str]) -> bool:
    """`try … except TheirError` counts: it says that nothing else is raised."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert | ast.Try):
            return True
        if isinstance(node, ast.Call):
            name = dotted_name(node.func).rpartition(".")[2] or getattr(node.func, "attr", "")
            if name in able or name in ("raises", "fail") or name.startswith(("check_", "assert_", "expect_")):
                return True
    return False


def quiet_skips(module: Module) -> list[Finding]:
    """Skipped tests: allowed only aloud, where ../shared is absent."""

    def found() -> Iterator[tuple[int, str]]:
        aloud = {id(call.func) for call in ast.walk(module.tree) if isinstance(call, ast.Call) and is_aloud(call)}
        for node in ast.walk(module.tree):
            is_skip = isinstance(node, ast.Attribute) and SKIP.search(dotted_name(node))
            if is_skip and id(node) not in aloud:
                yield (
                    node.lineno,
                    "a test is run or not there; only what needs ../shared may skip, saying it is absent",
                )

    return judged(module, "quiet-skip", found())


def is_aloud(call: ast.Call) -> bool:
    return bool(ABSENT.search(" ".join(constants(call))))
