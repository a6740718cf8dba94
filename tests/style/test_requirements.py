"""The lists of requirements agree with each other, with pyproject.toml, with what is imported, and with their page."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.style.rules import imports
from tests.style.tree import PRODUCT, ROOT, modules

REQUIREMENTS = ROOT / "requirements"
PIN = re.compile(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==(\S+)", re.MULTILINE)
PACKAGES = packages_distributions()
OURS = {*PRODUCT, "protos", "tests", "requirements", "run"}


def names(path: Path) -> set[str]:
    lines = (line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    return {re.split(r"[\[;<>=! ]", line)[0] for line in lines if line and not line.startswith("-")}


def pins(name: str) -> dict[str, str]:
    return dict(PIN.findall((REQUIREMENTS / f"{name}.txt").read_text("utf-8")))


def test_the_project_asks_for_what_a_node_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert {re.split(r"[\[;<>=! ]", each)[0] for each in project["dependencies"]} == names(REQUIREMENTS / "node.in")


@pytest.mark.parametrize("name", ["node", "test", "bench", "hub", "wallet"])
def test_what_is_asked_for_is_pinned_and_hashed(name):
    assert names(REQUIREMENTS / f"{name}.in") <= pins(name).keys()
    for entry in re.split(r"^(?=[a-z])", (REQUIREMENTS / f"{name}.txt").read_text("utf-8"), flags=re.MULTILINE):
        assert not entry or "--hash=sha256:" in entry


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [("node", "test"), ("test", "bench"), ("node", "hub"), ("node", "wallet"), ("wallet", "test")],
)
def test_the_larger_list_contains_the_smaller(smaller, larger):
    assert pins(smaller).items() <= pins(larger).items()


@pytest.mark.parametrize("name", ["node", "test", "bench", "hub", "wallet"])
def test_every_dependency_is_explained(name):
    page = ROOT / "docs" / "dependencies.md"
    told = page.read_text("utf-8") if page.exists() else ""
    assert [each for each in sorted(names(REQUIREMENTS / f"{name}.in")) if f"`{each}`" not in told] == []


def foreign_packages(tree: ast.AST) -> set[str]:
    """What stands behind the imports of a module, by the name it is installed under."""
    tops = {name.split(".")[0] for _, name in imports(tree)} - OURS - sys.stdlib_module_names
    return {PACKAGES.get(top, [top])[0].lower().replace("_", "-") for top in tops}


def unrequired(folders: tuple[str, ...], required: set[str]) -> dict[str, set[str]]:
    return {each.place: found for each in modules(*folders) if (found := foreign_packages(each.tree) - required)}


def test_what_is_imported_is_required():
    assert unrequired(PRODUCT, {*pins("node"), *pins("hub"), *pins("wallet")}) == {}
    assert unrequired(("tests", "protos/build.py"), {*pins("bench"), *pins("hub")}) == {}


def test_the_installer_stands_on_nothing():
    assert unrequired(("run.py", "requirements"), set()) == {}
