"""A learner moves from one home to another through whole running nodes; what is said of their records follows them."""

import asyncio

import pytest
from click.testing import CliRunner

from node.cli.main import main
from tests.rpc.test_live_credits import RULE, learner_with_record
from tests.support.live_nodes import Network, until

OLD, NEW, OTHER = "a.lln.internal", "b.lln.internal", "c.lln.internal"


@pytest.fixture
async def network(tmp_path):
    made = Network(tmp_path)
    await made.found()
    for name in (OLD, NEW, OTHER):
        await made.add(name)
    try:
        yield made
    finally:
        await made.stop_all()


async def issued_elsewhere(network, learner):
    """A record that a third county issues to the learner as a visitor, once it is held at home."""
    old, other = network[OLD], network[OTHER]
    handle = (await old.ask("learner.handle", learner=learner, node=OTHER)).handle
    await other.ask(
        "achievement.define",
        code="tea",
        name={"zh": "茶艺"},
        kind="other_non_formal",
        credits={"unit": "credit", "hundredths": 400},
    )
    rows = [{"row": 1, "learner": handle, "achievement": "tea", "achieved_on": "2026-06-01"}]
    plan = await other.ask("credit.issue", rows=rows, by="陈老师", apply=True)
    record = plan.rows[0].id
    await until(lambda: held(old, learner, record), "the record of the other county")
    return record


async def held(home, learner, record):
    listed = await home.ask("credit.list", learner=learner)
    return {row.id: row for row in listed.records}.get(record)


async def consented(home, learner, to, purpose="transfer", **said):
    said = {"every_record": True, "fields": ["records"], "days": 5} | said
    given = await home.ask("consent.give", learner=learner, purpose=purpose, recipient=to, confirmed=True, **said)
    return given.id


async def typed(network, name, *words, code=0):
    arguments = ["--home", str(network.folder / name), "--ui", "en", *words]
    done = await asyncio.to_thread(CliRunner().invoke, main, arguments)
    assert done.exit_code == code, done.output
    return done.output


async def moved(network, learner):
    """The learner registers at the new home and takes its code to the old one; the new account."""
    old, new = network[OLD], network[NEW]
    account = (await new.ask("learner.register", written={"name": "沈小满", "birth_date": "1961-03-05"})).id
    welcomed = await typed(network, NEW, "learner", "welcome", account, "--from", OLD)
    code = welcomed.splitlines()[-1]
    consent = await consented(old, learner, NEW)
    command = ("learner", "move", learner, "--to", NEW, "--consent", consent, "--code")
    assert "still here" in await typed(network, OLD, *command, code[:-1] + ("0" if code[-1] != "0" else "1"), code=1)
    consent = await consented(old, learner, NEW)
    asked = {"learner": learner, "to": NEW, "code": code, "consent": consent}
    await typed(network, OLD, "learner", "move", learner, "--to", NEW, "--consent", consent, "--code", code.lower())

    async def gone():
        return (await old.ask("learner.show", learner=learner)).state == "moved"

    await until(gone, "the answer of the new home")
    return account, asked


def _command(asked):
    return (
        "learner",
        "move",
        asked["learner"],
        "--to",
        asked["to"],
        "--code",
        asked["code"],
        "--consent",
        asked["consent"],
    )


async def test_an_account_moves_with_all_that_is_in_it_and_news_follows_it(network):
    old, new, other = network[OLD], network[NEW], network[OTHER]
    shown, own = await learner_with_record(old)
    learner = shown.id
    foreign = await issued_elsewhere(network, learner)
    before = await old.ask("credit.balance", learner=learner)
    account, asked = await moved(network, learner)

    listed = await new.ask("credit.list", learner=account)
    assert {row.id: row.issuer for row in listed.records} == {own: OLD, foreign: OTHER}
    assert await new.ask("credit.balance", learner=account) == before
    assert await old.ask("credit.balance", learner=learner) == before
    assert "can only be read" in await typed(network, OLD, *_command(asked))
    assert f"moved to          {NEW}" in await typed(network, OLD, "learner", "show", learner)
    told = await old.ask("learner.move", **asked)
    assert (told.state, told.to, told.records) == ("moved", NEW, 2)
    with pytest.raises(Exception, match="LLN-1380"):
        await old.ask("learner.handle", learner=learner, node=OTHER)

    await old.ask("credit.step", id=own, step="revoke", reason="登记有误", by="李老师")

    async def home_of_other():
        return (await other.ask("credit.show", id=foreign)).record.home == NEW

    await until(home_of_other, "the other county to hear where the learner is")
    await other.ask("credit.step", id=foreign, step="suspend", reason="核实中", by="陈老师")

    async def states():
        rows = (await new.ask("credit.list", learner=account)).records
        return {row.id: row.state for row in rows} == {own: "revoked", foreign: "suspended"}

    await until(states, "the news at the new home")


async def test_a_conversion_under_way_holds_the_move_up_until_it_ends(network):
    old, new, receiver = network[OLD], network[NEW], network[OTHER]
    shown, record = await learner_with_record(old)
    learner = shown.id
    reviewed = RULE.replace("b.lln.internal", OTHER) + "\n[review]\nreviewers = 1\n"
    await receiver.ask("rule.publish", toml=reviewed, apply=True)
    convert = await consented(old, learner, OTHER, "convert", uses="many")
    preview = await old.preview(learner=learner, to=OTHER, records=[record], consent=convert)
    await old.ask("convert.apply", id=preview.id)
    account = (await new.ask("learner.register", written={"name": "沈小满", "birth_date": "1961-03-05"})).id
    code = (await new.ask("learner.welcome", learner=account, node=OLD)).code
    asked = {"learner": learner, "to": NEW, "code": code, "consent": await consented(old, learner, NEW)}
    with pytest.raises(Exception, match="LLN-1355"):
        await old.ask("learner.move", **asked)
    await receiver.ask("case.review", id=preview.id, by="王老师", approve=True)

    async def converted():
        return (await old.ask("convert.status", id=preview.id)).state == "converted"

    await until(converted, "the conversion")
    before = await old.ask("credit.balance", learner=learner)
    await old.ask("learner.move", **asked)

    async def arrived():
        return len((await new.ask("credit.list", learner=account)).records) == 2

    await until(arrived, "the account")
    assert await new.ask("credit.balance", learner=account) == before
    again = await consented(new, account, OTHER, "convert", uses="many")
    preview = await new.preview(learner=account, to=OTHER, records=[record], consent=again)
    assert [one.code for one in preview.evaluation.refusals] == ["already_consumed"]
