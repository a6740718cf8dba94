"""The house rules, applied to the house."""

import pytest

from tests.style import rules
from tests.style.tree import PRODUCT, ROOT, Module, modules, tracked_files

ROOMS = {".ci", "config", "docs", "federation", "node", "protos", "requirements", "tests"}
PUT_TOGETHER = ("node.assembly", "node.parts", "node.beginnings")
EFFECT_ROOMS = ("node.host", "node.cli", *PUT_TOGETHER, "node.demo")  # demo starts processes, as a person would
RPC_ENTRANCES = ("node.rpc", *PUT_TOGETHER, "node.runtime", "node.checking", "node.cli", "node.demo", "node.simulation")
OURS = (*PRODUCT, "run.py", "requirements", "protos/build.py")


def check_keeps(rule, *, among: list[Module]) -> None:
    findings = sorted(finding for module in among for finding in rule(module))
    assert not findings, "\n" + "\n".join(map(str, findings))


def outside(rooms: tuple[str, ...], *folders: str) -> list[Module]:
    return [module for module in modules(*folders) if not module.is_in(*rooms)]


def test_there_is_something_to_check():
    assert {module.name for module in modules(*PRODUCT)} >= {"federation.errors", "node.ports", "config.settings"}


def test_every_top_level_folder_is_a_room_of_the_plan():
    folders = {path.relative_to(ROOT).parts[0] for path in tracked_files() if len(path.relative_to(ROOT).parts) > 1}
    assert folders <= ROOMS


@pytest.mark.parametrize("rule", [rules.sizes, rules.names, rules.module_docstring, rules.unfinished])
def test_size_and_name(rule):
    check_keeps(rule, among=modules(*OURS))


def test_federation_is_pure():
    check_keeps(rules.impurities, among=modules("federation"))


def test_clock_environment_and_randomness_come_in_through_ports():
    check_keeps(rules.effects, among=outside(EFFECT_ROOMS, "node", "config"))


def test_only_rpc_knows_what_is_on_the_wire():
    check_keeps(rules.wire_imports, among=outside(("node.rpc",), *PRODUCT))


def test_rpc_is_entered_from_the_rooms_that_put_the_node_together():
    outsiders = outside(RPC_ENTRANCES, *PRODUCT)
    check_keeps(lambda module: rules.imports_of(module, "node.rpc"), among=outsiders)


@pytest.mark.parametrize("rule", [rules.bare_tasks, rules.broad_excepts, rules.assembled_sql])
def test_tasks_exceptions_and_statements(rule):
    check_keeps(rule, among=modules(*PRODUCT))


@pytest.mark.parametrize("rule", [rules.mocks, rules.unfinished, rules.quiet_skips])
def test_tests_are_finished_and_real(rule):
    check_keeps(rule, among=[module for module in modules("tests") if not module.is_in("tests.style")])


def test_every_test_can_fail():
    check_keeps(rules.empty_tests, among=modules("tests"))
