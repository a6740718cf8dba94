"""Verifying, offline proofs and codes through whole running nodes: issued at a county, looked at from a sibling."""

import pytest

from federation.errors import LlnError
from tests.support.live_nodes import ROOT, Network, until

COUNTY, SIBLING, SCHOOL = f"a.{ROOT}", f"b.{ROOT}", f"school.a.{ROOT}"
ODD = "面塑\u2028入门 👩‍🎓 𠮷 <b>&\"'"


@pytest.fixture
async def network(tmp_path):
    made = Network(tmp_path)
    await made.found()
    for name in (COUNTY, SIBLING):
        await made.add(name)
    try:
        yield made
    finally:
        await made.stop_all()


async def issued(home, *, to=None, name="面塑入门", number="2026001", on="2026-05-01", **row):
    """A learner of `home` with a record that `home`, or another node, has issued."""
    learner = await home.ask(
        "learner.register", written={"name": "沈小满", "student_number": number, "birth_date": "1961-03-05"}
    )
    issuer = to or home
    await issuer.ask(
        "achievement.define",
        code="dough",
        name={"zh": name},
        kind="other_non_formal",
        credits={"unit": "credit", "hundredths": 250},
    )
    who = {"learner": learner.id}
    if to is not None:
        who = {"learner": (await home.ask("learner.handle", learner=learner.id, node=issuer.node.name)).handle}
    rows = [{"row": 2, "achievement": "dough", "achieved_on": on, **who, **row}]
    plan = await issuer.ask("credit.issue", rows=rows, by="王老师", apply=True)
    assert [one.change for one in plan.rows] == ["issue"], plan
    return learner.id, plan.rows[0].id


async def credential_of(node, record):
    return bytes((await node.ask("credit.show", id=record)).credential).decode()


async def verdict(node, text):
    [told] = (await node.ask("credit.verify", text=text)).verdicts
    return told


def answers(told):
    return {one.question: one.answer for one in told.answers}


async def bundle_of(node, record):
    async def made():
        try:
            return (await node.ask("credit.export", id=record, form="bundle")).content
        except LlnError as error:
            if "LLN-1613" not in str(error):  # not witnessed yet
                raise
            return None

    return await until(made, "a witnessed proof")


async def test_a_record_is_valid_at_a_sibling_from_the_file_alone(network):
    _, record = await issued(network[COUNTY])
    told = await verdict(network[SIBLING], await credential_of(network[COUNTY], record))
    assert (told.outcome, told.exit_code) == ("valid", 0)
    assert answers(told) == {
        "signature": "good",
        "issuer": "admitted",
        "status": "clear",
        "dates": "within",
        "log": "unproven",
    }
    assert (told.id, told.issuer, told.hundredths) == (record, COUNTY, 250)
