"""One small network for all tests of the pages in a worker; none of them changes what another looks at."""

import pytest_asyncio

from node.portal.visits import SESSION
from tests.support.portal_world import PASSWORD, world
from tests.support.web_client import Visitor


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def made(tmp_path_factory):
    async with world(tmp_path_factory.mktemp("portal")) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def visitor_of(made):
    """A visitor in a role, or nobody in particular for ""."""

    def visiting(role=""):
        cookies = {SESSION: made.people[role].token} if role else {}
        return Visitor(made.address, cookies)

    return visiting


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def other_learner(made):
    node = made.home.node
    there = await made.home.ask(
        "learner.register", written={"name": "旁人", "student_number": "F-7", "birth_date": "1960-01-01"}
    )
    _, token = await node.staffing.invite("bystander", "旁人", ("learner",), learner=there.id)
    set_up = await node.staffing.set_up(token, login="bystander", name="旁人", password=PASSWORD)
    began = await node.signing_in.begin(set_up.person, "sign_in")
    return Visitor(made.address, {SESSION: began.token})
