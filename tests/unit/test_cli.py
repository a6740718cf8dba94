"""The command line on homes that no process runs: what is printed, in which language, with which exit code."""

import json

import pytest
from click.testing import CliRunner

from node.cli.main import COMMANDS, main
from node.cli.words import WORDS, ago, clean, credit_amount, padded, ui_language, width

ROWS = [
    {"id": "md-1", "title": {"zh": "木雕入门"}, "type": "online_course", "section": "hobbies_interests"},
    {"id": "md-2", "title": {"zh": "木雕进阶\u202e"}, "type": "online_course", "section": "hobbies_interests"},
]


@pytest.fixture
def lln(tmp_path):
    runner = CliRunner()

    def run(*words, ui="en", told=None):
        return runner.invoke(main, ["--home", str(tmp_path / "home"), "--ui", ui, *words], input=told)

    return run


@pytest.fixture
def founded(lln):
    assert lln("init", "--root", "lln.internal", "--title", "国家").exit_code == 0
    return lln


def _catalogue(tmp_path, rows=ROWS):
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return str(file)


def test_a_resource_goes_from_file_to_search_and_out_again(founded, tmp_path):
    file = _catalogue(tmp_path)
    plan = founded("resource", "import", file, "--as", "Wang")
    assert plan.exit_code == 0
    assert "only the plan" in plan.output
    assert "Written" in founded("resource", "import", file, "--as", "Wang", "--apply").output
    assert "same: 2" in founded("resource", "import", file, "--as", "Wang").output
    own_work = founded("resource", "review", "--all", "--as", "Wang", "--approve")
    assert own_work.exit_code == 1
    assert founded("resource", "review", "--all", "--as", "Li", "--approve").exit_code == 0
    assert "published 2" in founded("resource", "publish", "--all").output
    found = founded("search", "木雕", "--scope", "node")
    assert "1. 木雕" in found.output
    assert "\u202e" not in found.output
    assert json.loads(founded("search", "木雕", "--scope", "node", "--json").output)["total"] == 2
    assert "withdrawn 1" in founded("resource", "withdraw", "md-1", "--reason", "old", "--case", "c1").output
    assert json.loads(founded("search", "木雕", "--json").output)["total"] == 1
    assert "md-1" in founded("resource", "list", "--state", "withdrawn").output
    assert json.loads(founded("resource", "show", "md-2").output)["state"] == "published"


def test_a_refused_row_is_told_with_its_number_and_remedy(founded, tmp_path):
    file = _catalogue(tmp_path, [*ROWS, {"id": "bad", "title": {"zh": "x"}, "type": "song", "section": "silver_age"}])
    rejected = tmp_path / "rejected.csv"
    told = founded("resource", "import", file, "--as", "Wang", "--rejected", str(rejected))
    assert "row 3" in told.output
    assert "refused: 1" in told.output
    assert rejected.read_text(encoding="utf-8-sig").splitlines()[1].startswith("3,")


def test_a_log_is_shown_verified_and_proven(founded, tmp_path):
    founded("resource", "import", _catalogue(tmp_path), "--as", "a", "--apply")
    founded("resource", "review", "--all", "--as", "b", "--approve")
    founded("resource", "publish", "--all")
    assert "lln.internal/catalogue  2" in founded("log", "show").output
    assert "木雕入门" in founded("log", "show", "catalogue").output
    assert (
        "good" in founded("log", "verify", "catalogue").output or "hold" in founded("log", "verify", "catalogue").output
    )
    proof = tmp_path / "p.txt"
    assert founded("log", "prove", "catalogue", "1", "--out", str(proof)).exit_code == 0
    key = json.loads(founded("--json", "status").output)["key"]
    assert founded("log", "verify", "--proof", str(proof), "--key", key).exit_code == 0
    proof.write_bytes(proof.read_bytes().replace(b"index 1", b"index 0"))
    assert founded("log", "verify", "--proof", str(proof), "--key", key).exit_code == 3
    assert founded("log", "prove", "catalogue", "9").exit_code == 1


def test_how_a_node_is(founded):
    assert founded("status").output.splitlines()[0] == "✓ Everything works."
    assert founded("status", ui="zh").output.splitlines()[0] == "✓ 一切正常。"
    assert "! The node is not running" in founded("status").output
    assert "国家" in founded("tree").output
    assert founded("peers").exit_code == 0
    checked = founded("check")
    assert checked.exit_code == 0
    assert "✗" not in checked.output


def test_invites_are_made_listed_and_cancelled(founded):
    made = founded("invite", "zhejiang", "--title", "浙江", "--level", "provincial", "--kind", "authority")
    assert made.exit_code == 0
    assert made.stdout.strip().splitlines()[-1].startswith("LLN1-")
    listed = founded("invites")
    assert "open" in listed.output
    assert "cancelled" in founded("invites", "--cancel", listed.output.split()[0]).output
    assert founded("invite", "Bad Label", "--title", "x", "--level", "county", "--kind", "school").exit_code == 1
    assert founded("suspend", "nobody.lln.internal", "--reason", "x").exit_code == 1
    assert founded("revoke", "a.lln.internal", "--reason", "x", told="b\n").exit_code == 1


def test_an_error_says_what_happened_what_it_means_and_its_code(lln):
    told = lln("status")
    assert told.exit_code == 1
    assert "[LLN-151]" in told.output
    assert "lln init" in told.output
    assert lln("check").exit_code == 1
    assert lln("join", "LLN1-nonsense").exit_code == 1
    assert lln("search").exit_code == 2
    assert "Traceback" not in told.output


def test_every_command_has_help(lln):
    for name in COMMANDS:
        assert lln(name, "--help").exit_code == 0
    assert all(name in lln("--help").output for name in COMMANDS)


def test_words_are_complete_and_values_read_well(monkeypatch):
    assert all(zh and en for zh, en in WORDS.values())
    assert [ago(ms, "en") for ms in (0, 61_000, 7_200_000, 200_000_000)] == [
        "just now",
        "1 min ago",
        "2 h ago",
        "2 d ago",
    ]
    assert [credit_amount(one) for one in (200, 250, 205)] == ["2", "2.5", "2.05"]
    assert clean("a\x1b[31mb\u202ec\nd") == "a[31mbc d"
    assert width("木a") == 3
    assert padded("木", 4) == "木  "
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert ui_language(None) == "zh"
    assert ui_language("en") == "en"
