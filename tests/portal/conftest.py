"""One small network for all tests of the pages in a worker; none of them changes what another looks at."""

import pytest_asyncio

from node.portal.visits import SESSION
from tests.support.portal_world import world
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
