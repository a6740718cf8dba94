"""Signing in at one's institution: the way there and back, links that only an operator makes, and attacks on both."""

from itertools import count
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from joserfc.jwk import RSAKey

from node.host.clock import SystemClock
from node.host.providers import OidcProvider, is_safe
from node.portal.visits import FORM, HALFWAY, SESSION
from node.usecases.second_factor import code_at
from tests.support.portal_world import STAFF_PASSWORD
from tests.support.provider import CLIENT, SECRET, provider
from tests.support.web_client import Visitor

pytestmark = pytest.mark.asyncio(loop_scope="session")
_numbers = count(1)
BACK = "/sign-in/institution/back"


@pytest.fixture
def there(made):
    """A provider that the world's home takes for its institution's, for one test."""
    node = made.home.node
    with provider() as one:
        one.subject = f"teacher-{next(_numbers)}"
        node.provider = OidcProvider(
            issuer=one.issuer, title="嘉善教育云", client=CLIENT, secret=SECRET, clock=SystemClock()
        )
        yield one
        node.provider = None


async def newcomer(made, *roles):
    node, login = made.home.node, f"inst{next(_numbers)}"
    _, token = await node.staffing.invite(login, "统一", roles or ("registrar",))
    return (await node.staffing.set_up(token, login=login, name="统一", password=STAFF_PASSWORD)).person


async def linked(made, there):
    person = await newcomer(made)
    operator = Visitor(made.address, {SESSION: made.people["operator"].token})
    done = await operator.post(f"/people/{person.id}/link", {"subject": there.subject}, page="/people")
    assert done.location == "/people?done=linked"
    return person


async def begun(visitor, leads="/"):
    answer = await visitor.get(f"/sign-in/institution?{urlencode({'next': leads})}")
    assert answer.status == 303
    return answer.location


async def come_back(visitor, query):
    return await visitor.get(f"{BACK}?{urlencode(query)}")


async def test_somebody_linked_signs_in_and_goes_on_where_they_were_going(made, there):
    await linked(made, there)
    visitor = Visitor(made.address)
    assert "/sign-in/institution?next=" in (await visitor.get("/sign-in")).text
    address = await begun(visitor, "/desk/issue")
    assert address.startswith(f"{there.issuer}/authorize?")
    query = parse_qs(urlsplit(address).query)
    assert query["redirect_uri"] == [made.address + BACK]
    assert SECRET not in address
    answer = await come_back(visitor, there.sign_in(address))
    assert (answer.status, answer.location) == (303, "/desk/issue")
    assert (await visitor.get("/desk")).status == 200


async def test_whoever_is_not_linked_gets_no_account_and_is_told_what_to_say(made, there):
    before = len(await made.home.node.staffing.persons("", 1_000))
    visitor = Visitor(made.address)
    answer = await come_back(visitor, there.sign_in(await begun(visitor)))
    assert (answer.status, "LLN-1445" in answer.text, there.subject in answer.text) == (403, True, True)
    assert SESSION not in visitor.cookies
    assert len(await made.home.node.staffing.persons("", 1_000)) == before


async def test_an_answer_counts_in_the_browser_that_asked_and_once(made, there):
    await linked(made, there)
    visitor, other = Visitor(made.address), Visitor(made.address)
    mine = there.sign_in(await begun(visitor))
    await other.get("/sign-in")
    assert (await come_back(other, mine)).status == 422, "nobody is signed in by an address that somebody sends them"
    assert (await come_back(Visitor(made.address), mine)).status == 422
    assert (await come_back(Visitor(made.address, {FORM: ""}), mine)).status == 422
    form = visitor.cookies[FORM]
    assert (await come_back(visitor, mine)).status == 303
    again = Visitor(made.address, {FORM: form})
    assert (await come_back(again, mine)).status == 422
    wrong = there.sign_in(await begun(again))
    assert (await come_back(again, {**wrong, "state": "0" * 32})).status == 422
    assert (await come_back(again, {**wrong, "iss": "https://evil.example"})).status == 422
    assert SESSION not in again.cookies


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"aud": "another client"},
        {"nonce": "of another sign-in"},
        {"nonce": None},
        {"exp": 1_000},
        {"exp": None},
        {"sub": None},
        {"sub": ["teacher-7"]},
        {"sub": ""},
        {"iat": 9_999_999_999},
    ],
    ids=str,
)
async def test_a_token_that_says_something_else_is_not_believed(made, there, claims):
    await linked(made, there)
    there.claims = claims
    visitor = Visitor(made.address)
    answer = await come_back(visitor, there.sign_in(await begun(visitor)))
    assert (answer.status, "LLN-1444" in answer.text) == (403, True)
    assert SESSION not in visitor.cookies


async def test_a_token_of_another_key_or_none_is_not_believed(made, there):
    await linked(made, there)
    there.published = RSAKey.generate_key(2048)
    visitor = Visitor(made.address)
    assert (await come_back(visitor, there.sign_in(await begun(visitor)))).status == 403
    there.published = None
    for algorithm in ("HS256", "none"):
        there.algorithm = algorithm
        assert (await come_back(visitor, there.sign_in(await begun(visitor)))).status == 403
    assert SESSION not in visitor.cookies


@pytest.mark.parametrize(
    "known",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://evil.example/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": 7},
    ],
    ids=str,
)
async def test_a_provider_that_names_unsafe_addresses_is_not_followed(made, there, known):
    await linked(made, there)
    visitor = Visitor(made.address)
    back = there.sign_in(await begun(visitor))
    there.known = known
    assert (await come_back(visitor, back)).status == 403


@pytest.mark.parametrize("path", ["elsewhere", "endless", "nowhere"])
async def test_a_provider_that_redirects_or_never_ends_is_away(made, there, path):
    await linked(made, there)
    visitor = Visitor(made.address)
    back = there.sign_in(await begun(visitor))
    there.known = {"jwks_uri": f"{there.issuer}/{path}"}
    answer = await come_back(visitor, back)
    assert (answer.status, "LLN-1641" in answer.text) == (503, True)


async def test_one_time_codes_are_asked_for_all_the_same(made, there):
    person = await linked(made, there)
    second = made.home.node.second
    secret = await second.begin(person, STAFF_PASSWORD)
    await second.confirm(person, code_at(secret, second._clock.now_ms() // 30_000))
    visitor = Visitor(made.address)
    answer = await come_back(visitor, there.sign_in(await begun(visitor)))
    assert answer.location.startswith("/sign-in/code")
    assert HALFWAY in visitor.cookies
    assert SESSION not in visitor.cookies


async def test_a_link_is_one_persons_and_ends_with_the_account(made, there):
    person = await linked(made, there)
    other = await newcomer(made)
    operator = Visitor(made.address, {SESSION: made.people["operator"].token})
    taken = await operator.post(f"/people/{other.id}/link", {"subject": there.subject}, page="/people")
    assert (taken.status, "LLN-1342" in taken.text) == (409, True)
    await made.home.node.staffing.close(person.id, made.people["operator"].person)
    visitor = Visitor(made.address)
    assert (await come_back(visitor, there.sign_in(await begun(visitor)))).status == 403
    ended = await operator.post(f"/people/{person.id}/link", {"subject": ""}, page="/people")
    assert ended.status == 303
    freed = await operator.post(f"/people/{other.id}/link", {"subject": there.subject}, page="/people")
    assert freed.status == 303


async def test_a_node_without_a_provider_offers_none(made):
    visitor = Visitor(made.address)
    assert "/sign-in/institution" not in (await visitor.get("/sign-in")).text
    assert (await visitor.get("/sign-in/institution")).status == 404
    assert (await visitor.get(f"{BACK}?code=x&state=y")).status == 404


async def test_addresses_of_tls_are_safe_and_others_are_not():
    assert is_safe("https://a.example/x", beside="https://b.example")
    assert is_safe("http://127.0.0.1:9/x", beside="http://127.0.0.1:8")
    for unsafe in ("http://a.example", "http://127.0.0.1/x", "file:///etc/passwd", "ftp://a.example", "https://", ""):
        assert not is_safe(unsafe, beside="https://b.example"), unsafe
