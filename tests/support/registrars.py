"""Registrars of a test's own, and sheets of credits for learners of its own.

What must not live here: expectations.
"""

from itertools import count

from node.portal.visits import SESSION
from tests.support.portal_world import STAFF_PASSWORD, register
from tests.support.web_client import Visitor

_numbers = count(1)


async def registrar(made, name):
    """A registrar of the test's own, whose uploads are nobody else's: (visitor, session)."""
    node = made.home.node
    _, token = await node.staffing.invite(name, "登记员", ["registrar"])
    set_up = await node.staffing.set_up(token, login=name, name="登记员", password=STAFF_PASSWORD)
    session = await node.signing_in.begin(set_up.person, "sign_in")
    return Visitor(made.address, {SESSION: session.token}), session


async def newcomers(made, many):
    numbers = [f"S{next(_numbers):04}" for _ in range(many)]
    for number in numbers:
        await register(made.home, f"学员{number}", number)
    return numbers


def sheet(rows):
    return "\n".join(["学号,学习成果,取得日期,学分", *rows]).encode()


async def records_of(made, number):
    [found] = (await made.home.ask("learner.list", text=number, limit=2)).rows
    return (await made.home.ask("credit.list", learner=found.id)).records
