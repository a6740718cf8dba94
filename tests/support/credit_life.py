"""A life of credits between two live nodes, for tests that look at what it leaves behind."""

from federation.errors import LlnError
from tests.support.live_nodes import until

COUNTY, SIBLING = "a.lln.internal", "b.lln.internal"
RULE = """
id = "community"
version = 1
authority = "{authority}"
title = {{ zh = "社区课程互认" }}
valid_from = 2026-01-01
converted_sources = {converted}

[[source]]
name = "course"
kinds = ["other_non_formal"]
unit = "credit"
issuers_within = ["lln.internal"]

[[target]]
achievement = "urn:lln:{authority}:community"
version = 1
title = {{ zh = "社区教育课程" }}
kind = "other_non_formal"
unit = "credit"
ratio = [1, 1]
"""


async def publish_rule(receiver, *, converted=False):
    told = await receiver.ask(
        "rule.publish", toml=RULE.format(authority=receiver.node.name, converted=str(converted).lower()), apply=True
    )
    assert told.change == "new"


async def define(issuer, code="dough"):
    await issuer.ask(
        "achievement.define",
        code=code,
        name={"zh": "面塑入门"},
        kind="other_non_formal",
        credits={"unit": "credit", "hundredths": 250},
        level={"scheme": "NQF-demo", "value": "2"},
    )


async def issue(issuer, *learners, code="dough"):
    """One record for each; a learner is an account of the issuer, or a handle."""
    rows = [
        {"row": row, "learner": learner, "achievement": code, "achieved_on": f"2026-05-{row:02}"}
        for row, learner in enumerate(learners, 2)
    ]
    plan = await issuer.ask("credit.issue", rows=rows, by="王老师", apply=True)
    assert [row.change for row in plan.rows] == ["issue"] * len(learners), plan
    return [row.id for row in plan.rows]


async def consent(home, learner, records, to):
    given = await home.ask(
        "consent.give",
        learner=learner,
        purpose="convert",
        fields=["records"],
        recipient=to,
        records=records,
        days=30,
        confirmed=True,
    )
    return given.id


async def convert(home, learner, records, to, *, wanted="converted"):
    """The request's state once it is as wanted, and the derived records have come home."""
    agreed = await consent(home, learner, records, to)
    preview = await home.preview(learner=learner, to=to, records=records, consent=agreed)
    await home.ask("convert.apply", id=preview.id)

    async def ended():
        state = await home.ask("convert.status", id=preview.id)
        return state if state.state == wanted else None

    state = await until(ended, f"the conversion to be {wanted}")

    async def arrived():
        listed = await home.ask("credit.list", learner=learner)
        return set(state.results) <= {row.id for row in listed.records}

    await until(arrived, "the derived records")
    return state


async def until_reachable(node, other):
    """A node that has just joined is known at once, and where it is dialled a moment later."""

    async def answers():
        try:
            return await node.ask("ledger.reconcile", peer=other)
        except LlnError:
            return None

    await until(answers, f"{other} to answer")


async def register(home, name="沈小满", **written):
    shown = await home.ask("learner.register", written={"name": name, "birth_date": "1961-03-05", **written})
    return shown.id
