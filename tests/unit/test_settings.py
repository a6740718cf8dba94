"""Settings: what a template writes is what the loader reads, and a wrong key is named."""

from pathlib import Path
from typing import get_args

import pytest

from config.settings import Listen, Parent, SettingsRejected, changed_settings, first_settings, read_settings
from federation.catalogue import BilingualLine
from federation.directory import NodeDescription
from federation.naming import Level


def _description(level):
    return NodeDescription(
        title=BilingualLine(zh='九龙坡"区\\', en="Jiulongpo"), level=level, kind="authority", endpoint="127.0.0.1:7443"
    )


@pytest.mark.parametrize("level", get_args(Level))
def test_every_template_is_read_back_as_it_was_filled(tmp_path: Path, level):
    listen = Listen(grpc="127.0.0.1:0", enrolment="127.0.0.1:0")
    parent = Parent(endpoint="parent.example:7443")
    path = tmp_path / "config.toml"
    path.write_text(first_settings(_description(level), listen, parent), encoding="utf-8")
    settings = read_settings(path)
    assert (settings.node, settings.listen, settings.parent) == (_description(level), listen, parent)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[node]\ntitle = {zh='a'}\nlevel='county'\nkind='authority'\n[listen]\nport = 3\n", "port"),
        ("[node]\ntitle = {zh='a'}\nlevel='village'\nkind='authority'\n", "node.level"),
        ("[node\n", "not TOML"),
        ("", "node"),
    ],
)
def test_a_wrong_key_is_refused_by_name(tmp_path: Path, text, named):
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsRejected, match=named):
        read_settings(path)


def test_a_missing_file_says_what_writes_it(tmp_path: Path):
    with pytest.raises(SettingsRejected, match="lln init"):
        read_settings(tmp_path / "config.toml")


def test_a_changed_key_leaves_everything_else_as_the_operator_wrote_it():
    text = first_settings(_description("county"), Listen(), Parent(endpoint="old.example:7443"))
    parent = Parent(endpoint="new.example:7443", enrolment_endpoint="new.example:7444")
    changed = changed_settings(text, "parent", parent, ("endpoint", "enrolment_endpoint"))
    before, after = set(text.splitlines()), set(changed.splitlines())
    assert before - after == {'endpoint = "old.example:7443"'}
    assert after - before == {'endpoint = "new.example:7443"', 'enrolment_endpoint = "new.example:7444"'}
    gone = changed_settings(changed, "parent", Parent(), ("endpoint", "enrolment_endpoint"))
    assert "new.example" not in gone
    assert changed_settings(gone, "parent", parent, ("endpoint",)).count('endpoint = "new.example:7443"') == 1


def test_a_section_that_is_not_there_is_added():
    text = 'node = {title = {zh = "甲"}, level = "county", kind = "authority"}\n'
    changed = changed_settings(text, "parent", Parent(endpoint="new.example:7443"), ("endpoint",))
    assert changed == f'{text}[parent]\nendpoint = "new.example:7443"\n'


def test_what_could_not_be_read_afterwards_is_not_written():
    text = 'node = {title = {zh = "甲"}, level = "county", kind = "authority"}\nparent = {endpoint = "a.example:1"}\n'
    with pytest.raises(SettingsRejected, match="by hand"):
        changed_settings(text, "parent", Parent(endpoint="new.example:7443"), ("endpoint",))
