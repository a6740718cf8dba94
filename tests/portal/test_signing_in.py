"""Signing in at the pages, and attacks on it."""

import re
from itertools import count

import pytest

from node.portal.visits import DEVICE, SESSION, inner_path
from tests.support.portal_world import PASSWORD, STAFF_PASSWORD
from tests.support.web_client import TOKEN, Visitor

pytestmark = pytest.mark.asyncio(loop_scope="session")
_numbers = count(1)


async def newcomer(made, *roles):
    """Somebody who has an account but no session: (login, password)."""
    login = f"newcomer{next(_numbers)}"
    _, token = await made.home.node.staffing.invite(login, "新人", roles or ("learner",))
    await made.home.node.staffing.set_up(token, login=login, name="新人", password=STAFF_PASSWORD)
    return login, STAFF_PASSWORD


async def sign_in(visitor, login, password, **fields):
    return await visitor.post("/sign-in", {"login": login, "password": password, **fields})


async def test_a_set_up_link_works_once_and_leads_in(made):
    _, token = await made.home.node.staffing.invite(f"first{next(_numbers)}", "", ("operator",))
    visitor = Visitor(made.address)
    path, fields = f"/setup/{token}", {"login": f"opened{next(_numbers)}", "name": "管理员"}
    short = await visitor.post(path, {**fields, "password": "short", "repeated": "short"})
    assert (short.status, "12" in short.text) == (422, True)
    differing = await visitor.post(path, {**fields, "password": STAFF_PASSWORD, "repeated": "x"})
    assert differing.status == 422
    done = await visitor.post(path, {**fields, "password": STAFF_PASSWORD, "repeated": STAFF_PASSWORD})
    assert done.status == 200
    assert len(re.findall(r"[0-9A-Z]{4}(?:-[0-9A-Z]{4}){3}", done.text)) == 8
    assert (await visitor.get("/node")).status == 200
    assert (await Visitor(made.address).get(path)).status == 404


async def test_a_token_that_somebody_planted_is_not_taken_over(made):
    login, password = await newcomer(made)
    planted = "ATTACKERS" * 5
    visitor = Visitor(made.address, {SESSION: planted})
    answer = await sign_in(visitor, login, password)
    assert answer.status == 303
    assert visitor.cookies[SESSION] != planted
    assert (await Visitor(made.address, {SESSION: planted}).get("/account")).status == 303
    before = visitor.cookies[SESSION]
    again = Visitor(made.address, {SESSION: before})
    await again.post("/sign-out", page="/account")
    assert (await Visitor(made.address, {SESSION: before}).get("/account")).status == 303


async def test_signing_in_again_ends_the_session_before(made):
    login, password = await newcomer(made)
    visitor = Visitor(made.address)
    await sign_in(visitor, login, password)
    before = visitor.cookies.pop(SESSION)
    page = await visitor.get("/sign-in")
    visitor.cookies[SESSION] = before
    token = TOKEN.search(page.text)[1]
    await visitor.post("/sign-in", {"login": login, "password": password}, token=token)
    assert visitor.cookies[SESSION] != before
    assert (await Visitor(made.address, {SESSION: before}).get("/account")).status == 303


async def test_cookies_are_out_of_reach_of_scripts_and_other_sites(made):
    login, password = await newcomer(made)
    visitor = Visitor(made.address)
    answer = await sign_in(visitor, login, password)
    line = answer.headers["set-cookie"]
    assert "httponly" in line.lower()
    assert "samesite=lax" in line.lower()


async def test_nobody_learns_which_logins_there_are(made):
    login, _ = await newcomer(made)
    known = await sign_in(Visitor(made.address), login, "not it at all")
    unknown = await sign_in(Visitor(made.address), "nobody-of-that-name", "not it at all")
    assert known.status == unknown.status == 422

    def plain(answer, typed):
        return re.sub(r'value="[^"]*"', "", answer.text).replace(typed, "")

    assert plain(known, login) == plain(unknown, "nobody-of-that-name")
    recovered = [
        await Visitor(made.address).post(
            "/recover", {"login": one, "code": "X" * 16, "password": PASSWORD, "repeated": PASSWORD}
        )
        for one in (login, "nobody-of-that-name")
    ]
    assert plain(recovered[0], login) == plain(recovered[1], "nobody-of-that-name")


async def test_guessing_is_stopped_and_locks_nobody_out_of_their_own_browser(made):
    login, password = await newcomer(made)
    own = Visitor(made.address)
    await sign_in(own, login, password)
    own.cookies.pop(SESSION)
    assert own.cookies[DEVICE]
    guesser = Visitor(made.address)
    answers = [await sign_in(guesser, login, f"guess number {at}") for at in range(12)]
    assert "LLN-1664" not in answers[0].text
    refused = await sign_in(guesser, login, password)
    assert refused.status == 422
    assert SESSION not in guesser.cookies
    assert (await sign_in(own, login, password)).status == 303


@pytest.mark.parametrize(
    "leads",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "\\\\evil", "/a\r\nb"],
)
async def test_nobody_is_sent_elsewhere_after_signing_in(made, leads):
    assert inner_path(leads) == "/"
    login, password = await newcomer(made)
    answer = await sign_in(Visitor(made.address), login, password, next=leads)
    assert (answer.status, answer.location) == (303, "/my")


async def test_a_change_of_language_leads_back_to_this_site(made):
    answer = await Visitor(made.address).get("//evil.example/?ui=en")
    assert answer.status in (303, 404)
    assert not answer.location.startswith("//")


async def test_a_recovery_code_works_once_and_ends_every_session(made):
    node, login = made.home.node, f"newcomer{next(_numbers)}"
    _, token = await node.staffing.invite(login, "", ("learner",))
    made_up = await node.staffing.set_up(token, login=login, name="忘", password=PASSWORD)
    old = await node.signing_in.begin(made_up.person, "sign_in")
    fields = {
        "login": login,
        "code": made_up.codes[3].lower(),
        "password": "另一句只有我知道的话",
        "repeated": "另一句只有我知道的话",
    }
    visitor = Visitor(made.address)
    assert (await visitor.post("/recover", fields)).status == 303
    assert (await visitor.get("/account")).status == 200
    assert (await Visitor(made.address, {SESSION: old.token}).get("/account")).status == 303
    assert (await Visitor(made.address).post("/recover", fields)).status == 422


async def test_roles_are_taken_away_at_once_and_the_last_operator_stays(made):
    login, password = await newcomer(made, "registrar")
    visitor = Visitor(made.address)
    await sign_in(visitor, login, password)
    assert (await visitor.get("/desk")).status == 200
    operator = Visitor(made.address, {SESSION: made.people["operator"].token})
    persons = await made.home.node.staffing.persons()
    theirs = next(one for one in persons if one.owner == login)
    changed = await operator.post(f"/people/{theirs.id}", {"do": "close"}, page="/people")
    assert changed.status == 303
    assert (await visitor.get("/desk")).status == 303
    own = made.people["operator"].person
    refused = await operator.post(f"/people/{own.id}", {"role": "auditor"}, page="/people")
    assert refused.status == 422
    told = await Visitor(made.address, {SESSION: made.people["auditor"].token}).get("/audit")
    assert "停用账号" in told.text
    assert login in told.text
