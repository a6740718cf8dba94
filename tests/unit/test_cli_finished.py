"""`lln finished …`: what a learner says they have finished becomes a record once, or none, and by whom."""

import asyncio
import json

import msgspec
import pytest
from click.testing import CliRunner

from node import desk
from node.cli.main import main
from node.opening import open_node

WHY = "证书编号对不上"


@pytest.fixture
def lln(tmp_path):
    runner = CliRunner()

    def run(*words, ui="en", code=0):
        done = runner.invoke(main, ["--home", str(tmp_path / "home"), "--ui", ui, *words])
        assert done.exit_code == code, done.output
        assert "Traceback" not in done.output
        return done.output

    run("init", "--root", "lln.internal", "--title", "国家")
    care = ("--name", "养老护理员", "--kind", "vocational_training", "--credits", "4")
    run("achievement", "define", "care", *care)
    return run


@pytest.fixture
def learner(lln):
    return json.loads(lln("--json", "learner", "register", "--name", "何学完", "--birth-date", "1960-01-01"))["id"]


@pytest.fixture
def say(tmp_path, learner):
    """A learner's word, as the pages pass it on; its id."""

    def said(resource="md-1", remark=""):
        asked = {
            "learner": learner,
            "publisher": "lln.internal",
            "resource": resource,
            "title": f"护理 {resource}",
            "finished_on": "2026-06-30",
            "remark": remark,
        }
        return asyncio.run(_told(tmp_path / "home", asked)).id

    return said


async def _told(home, asked):
    async with open_node(home) as node:
        reply = await node.desk.ask("completion.tell", msgspec.json.encode(asked))
        return msgspec.json.decode(reply, type=desk.CompletionShown)


def records(lln, learner):
    return json.loads(lln("--json", "credit", "list", "--learner", learner))


def test_it_is_listed_planned_and_issued_once(lln, say, learner):
    word = say(remark="每周三晚上的课\u202e")
    listed = lln("finished", "list")
    assert f"{word}  waiting     {learner}  2026-06-30  护理 md-1" in listed
    assert "the learner says  每周三晚上的课" in listed
    assert "\u202e" not in listed
    assert "等待核实" in lln("finished", "list", ui="zh")
    accept = ("finished", "accept", word, "--achievement", "care", "--as", "甲")
    plan = lln(*accept)
    assert "养老护理员  4 credits  2026-06-30" in plan
    assert "only the plan" in plan
    assert records(lln, learner) == []
    [planned] = json.loads(lln("--json", *accept))["rows"]
    assert (planned["change"], planned["hundredths"]) == ("issue", 400)
    issued = json.loads(lln("--json", *accept, "--apply"))
    [record] = records(lln, learner)
    assert (issued["state"], issued["record"], issued["by"]) == ("issued", record["id"], "甲")
    assert "[LLN-1379]" in lln(*accept, "--apply", code=1)
    assert len(records(lln, learner)) == 1
    assert "in all 0" in lln("finished", "list")
    assert record["id"] in lln("finished", "list", "--state", "issued")
    assert record["id"] in lln("finished", "list", "--learner", learner)
    assert record["id"] in lln("finished", "show", word)


def test_a_stop_between_record_and_settling_ends_with_one_record(lln, say, learner):
    word = say()
    lln("credit", "issue", "--to", learner, "--achievement", "care", "--on", "2026-06-30", "--as", "甲", "--apply")
    lln("finished", "accept", word, "--achievement", "care", "--as", "甲", "--apply")
    [record] = records(lln, learner)
    assert json.loads(lln("--json", "finished", "show", word))["record"] == record["id"]


def test_the_registrar_says_another_day_and_amount(lln, say, learner):
    given = ("--on", "2026-07-01", "--credits", "2.5")
    lln("finished", "accept", say(), "--achievement", "care", *given, "--as", "甲", "--apply")
    [record] = records(lln, learner)
    assert (record["achieved_on"], record["hundredths"]) == ("2026-07-01", 250)


def test_it_is_declined_with_a_reason(lln, say, learner):
    word = say()
    decline = ("finished", "decline", word, "--as", "甲")
    assert "--reason" in lln(*decline, code=2)
    assert "the learner reads it" in lln(*decline, "--reason", " ", code=2)
    assert "缺证明" in lln(*decline, "--reason", "缺证明")
    assert json.loads(lln("--json", "finished", "show", word))["reason"] == "缺证明"
    accept = ("finished", "accept", word, "--achievement", "care", "--as", "乙", "--apply")
    assert "[LLN-1379]" in lln(*accept, code=1)
    assert "[LLN-1379]" in lln("finished", "pass-on", word, "--reason", WHY, "--as", "乙", code=1)
    assert records(lln, learner) == []


def test_what_was_passed_on_comes_first_and_somebody_else_decides(lln, say, learner):
    words = sorted(say(f"md-{number}") for number in range(3))
    last = words[-1]
    assert "[LLN-1163]" in lln("finished", "pass-on", last, "--reason", " ", "--as", "甲", code=1)
    assert f"passed on  {WHY}" in lln("finished", "pass-on", last, "--reason", WHY, "--as", "甲")
    assert [one["id"] for one in json.loads(lln("--json", "finished", "list"))] == [last, *words[:-1]]
    accept = ("finished", "accept", last, "--achievement", "care", "--apply", "--as")
    for same in ("甲", " 甲\u3000"):
        assert "[LLN-1385]" in lln(*accept, same, code=1)
        assert "[LLN-1385]" in lln("finished", "decline", last, "--reason", "不", "--as", same, code=1)
        assert "[LLN-1385]" in lln("finished", "pass-on", last, "--reason", "再看", "--as", same, code=1)
    assert records(lln, learner) == []
    assert '"issued"' in lln("--json", *accept, "乙")
    assert len(records(lln, learner)) == 1


def test_what_cannot_be_is_refused_in_words(lln, say, learner):
    word = say()
    assert "[LLN-1272]" in lln("finished", "show", "F0000000000000000", code=1)
    lln("finished", "show", "nonsense", code=2)
    lln("finished", "list", "--learner", learner, "--state", "issued", code=2)
    refused = lln("finished", "accept", word, "--achievement", "nothing", "--as", "甲", "--apply", code=1)
    assert "lln achievement list" in refused
    assert '"told"' in lln("--json", "finished", "show", word)
