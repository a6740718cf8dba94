"""docs/errors.md and the portal's faults.json, written from the error classes: `python -m tests.style.errors_page`.

What lives here: finding every class and laying out the page. What must not: any sentence about an error; those stand in
the classes.
"""

import importlib
import pkgutil
import sys

import msgspec

from federation.errors import LlnError
from tests.style.tree import PRODUCT, ROOT

PAGE = ROOT / "docs" / "errors.md"
FAULTS = ROOT / "node" / "portal" / "faults.json"
HEAD = """# 错误代码 · Error codes

Every failure that the program names has a code that never changes. `LLN-1xx`: this node, or the person in front of it;
`LLN-2xx`: a peer. Each says what it means and what to do; the line that a command prints adds what it is about and what
was found. The indentation is the tree: a handler for the outer one catches the inner ones.
程序能说出名字的每种失败都有一个永远不变的代码：`LLN-1xx` 在本节点，`LLN-2xx` 在对端。

This page is written by `python -m tests.style.errors_page` from the classes; edit those.

| 代码 code | name | 含义与办法 | meaning and remedy |
|---|---|---|---|
"""


def error_classes() -> list[type[LlnError]]:
    """Every error of the product, in the order of the tree; all modules are imported so that none is missed."""
    for folder in PRODUCT:
        package = importlib.import_module(folder)
        for found in pkgutil.walk_packages(package.__path__, f"{folder}."):
            if not found.name.endswith("__main__"):
                importlib.import_module(found.name)
    return list(below(LlnError))


def below(parent: type[LlnError]) -> list[type[LlnError]]:
    children = [child for child in parent.__subclasses__() if child.__module__.split(".")[0] in PRODUCT]
    ordered = sorted(children, key=lambda child: sort_key(child.code))
    return [parent, *(each for child in ordered for each in below(child))]


def sort_key(code: str) -> tuple[str, str]:
    """LLN-2410 stands after LLN-241 and before LLN-250."""
    return code[:6], code


def page() -> str:
    rows = []
    for error in error_classes():
        depth = len(error.__mro__) - LlnError.__mro__.__len__()
        cells = (
            f'<a id="{error.code.lower()}"></a>`{error.code}`',
            f"{'　' * depth}{error.__name__}",
            error.zh,
            error.en,
        )
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return HEAD + "\n".join(rows) + "\n"


def faults() -> bytes:
    """The same for the portal's help, which must not have to load the whole program."""
    told = [{"code": error.code, "zh": error.zh, "en": error.en} for error in error_classes()]
    return msgspec.json.format(msgspec.json.encode(told), indent=1) + b"\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    FAULTS.write_bytes(faults())
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}: {len(error_classes())} errors\n")
