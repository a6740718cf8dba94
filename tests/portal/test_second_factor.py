"""One-time codes at the pages: setting up, signing in, and attacks on both."""

import re
from itertools import count

import pytest

from federation.budgets import Allowance, Budgets
from node.portal.visits import DEVICE, HALFWAY, SESSION
from node.usecases.second_factor import STEP_MS, code_at
from node.usecases.signing_in import HALFWAY_MS
from tests.support.portal_world import STAFF_PASSWORD
from tests.support.web_client import TOKEN, Visitor

pytestmark = pytest.mark.asyncio(loop_scope="session")
_numbers = count(1)
SETUP = "/account/code"


class Later:
    """The node's clock for codes, moved on by hand: each test's codes are of steps of its own."""

    def __init__(self, clock):
        self.clock = clock
        self.ahead_ms = 0

    def now_ms(self):
        return self.clock.now_ms() + self.ahead_ms

    def step(self):
        return self.now_ms() // STEP_MS


@pytest.fixture
def later(made, monkeypatch):
    second = made.home.node.second
    moved = Later(second._clock)
    monkeypatch.setattr(second, "_clock", moved)
    monkeypatch.setattr(made.home.node.signing_in, "_by_address", Budgets(Allowance(per_second=60 / 900, burst=60)))
    return moved


async def newcomer(made, role="registrar"):
    """Somebody of the staff: (visitor, login, codes on paper)."""
    node, login = made.home.node, f"second{next(_numbers)}"
    _, token = await node.staffing.invite(login, "动态", [role])
    made_up = await node.staffing.set_up(token, login=login, name="动态", password=STAFF_PASSWORD)
    session = await node.signing_in.begin(made_up.person, "sign_in")
    return Visitor(made.address, {SESSION: session.token, DEVICE: session.device}), login, made_up.codes


async def set_up(visitor, later):
    """One-time codes, set up as a person would: the secret."""
    begun = await visitor.post(SETUP, {"do": "begin", "password": STAFF_PASSWORD})
    assert begun.headers["cache-control"] == "no-store"
    secret = re.search(r"secret=([A-Z2-7]{32})", begun.text)[1]
    assert "data:image/svg+xml;base64," in begun.text
    done = await visitor.post(SETUP, {"do": "confirm", "code": code_at(secret, later.step())})
    assert (done.status, done.location) == (303, f"{SETUP}?done=on")
    return secret


async def half(visitor, login, leads="/"):
    visitor.cookies.pop(SESSION, None)
    fields = {"login": login, "password": STAFF_PASSWORD, "next": leads}
    answer = await visitor.post("/sign-in", fields)
    assert (answer.status, answer.location.partition("?")[0]) == (303, "/sign-in/code")
    assert SESSION not in visitor.cookies, "the password alone opens nothing"
    return answer


async def prove(visitor, code, leads="/"):
    return await visitor.post("/sign-in/code", {"code": code, "next": leads})


async def test_a_sign_in_takes_both_and_leads_where_it_was_going(made, later):
    visitor, login, _ = await newcomer(made)
    secret = await set_up(visitor, later)
    later.ahead_ms += STEP_MS * 2
    await half(visitor, login, "/desk/issue")
    assert (await visitor.get("/desk")).status == 303
    assert (await Visitor(made.address, {SESSION: visitor.cookies[HALFWAY]}).get("/desk")).status == 303
    wrong = await prove(visitor, "000000" if code_at(secret, later.step()) != "000000" else "000001")
    assert (wrong.status, "动态码不对" in wrong.text) == (422, True)
    right = await prove(visitor, code_at(secret, later.step()), "/desk/issue")
    assert (right.status, right.location) == (303, "/desk/issue")
    assert (await visitor.get("/desk")).status == 200
    assert HALFWAY not in visitor.cookies


async def test_a_code_that_was_used_is_not_taken_again(made, later):
    visitor, login, _ = await newcomer(made)
    secret = await set_up(visitor, later)
    used = code_at(secret, later.step())
    await half(visitor, login)
    assert (await prove(visitor, used)).status == 422, "the one that set it up is used, too"
    later.ahead_ms += STEP_MS
    code = code_at(secret, later.step())
    assert (await prove(visitor, code)).status == 303
    thief = Visitor(made.address)
    await half(thief, login)
    replayed = await prove(thief, code)
    assert (replayed.status, SESSION in thief.cookies) == (422, False)


async def test_half_a_sign_in_ends_is_used_once_and_is_nobody_elses(made, later):
    visitor, login, _ = await newcomer(made)
    secret = await set_up(visitor, later)
    later.ahead_ms += STEP_MS * 2
    await half(visitor, login)
    token = visitor.cookies[HALFWAY]
    assert (await prove(Visitor(made.address, {HALFWAY: "planted"}), code_at(secret, later.step()))).status == 422
    later.ahead_ms += HALFWAY_MS
    late = await prove(visitor, code_at(secret, later.step()))
    assert (late.status, "只做了一半" in late.text) == (422, True)
    later.ahead_ms -= HALFWAY_MS - STEP_MS
    assert (await prove(visitor, code_at(secret, later.step()))).status == 303
    later.ahead_ms += STEP_MS
    assert (await prove(Visitor(made.address, {HALFWAY: token}), code_at(secret, later.step()))).status == 422


async def test_a_code_on_paper_works_in_its_place_once(made, later):
    visitor, login, codes = await newcomer(made)
    await set_up(visitor, later)
    await half(visitor, login)
    assert (await prove(visitor, codes[0].lower())).status == 303
    await half(visitor, login)
    assert (await prove(visitor, codes[0])).status == 422
    assert (await prove(visitor, codes[1])).status == 303


async def test_a_new_password_by_a_code_on_paper_still_takes_the_second_half(made, later):
    visitor, login, codes = await newcomer(made)
    secret = await set_up(visitor, later)
    thief = Visitor(made.address)
    fields = {
        "login": login,
        "code": codes[0],
        "password": "a new one of the tests",
        "repeated": "a new one of the tests",
    }
    answer = await thief.post("/recover", fields)
    assert (answer.location.partition("?")[0], SESSION in thief.cookies) == ("/sign-in/code", False)
    later.ahead_ms += STEP_MS
    assert (await prove(thief, code_at(secret, later.step()))).status == 303


async def test_guessing_codes_is_stopped_by_the_budget_of_passwords(made, later):
    visitor, login, _ = await newcomer(made)
    secret = await set_up(visitor, later)
    thief = Visitor(made.address)
    await half(thief, login)
    answers = [await prove(thief, f"{at:06}") for at in range(11)]
    assert "LLN-1664" not in answers[0].text
    assert "尝试的次数太多" in answers[-1].text
    later.ahead_ms += STEP_MS
    refused = await prove(thief, code_at(secret, later.step()))
    assert (refused.status, SESSION in thief.cookies) == (422, False), "the right one is refused as well"
    password = await thief.post("/sign-in", {"login": login, "password": STAFF_PASSWORD})
    assert "尝试的次数太多" in password.text, "it is one budget"


async def test_setting_up_and_ending_take_the_password_and_end_other_sessions(made, later):
    visitor, login, _ = await newcomer(made)
    wrong = await visitor.post(SETUP, {"do": "begin", "password": "not it at all"})
    assert (wrong.status, "otpauth" in wrong.text) == (422, False)
    early = await visitor.post(SETUP, {"do": "confirm", "code": "000000"})
    assert (early.status, "还没有开始设置" in early.text) == (422, True)
    other = Visitor(made.address)
    await other.post("/sign-in", {"login": login, "password": STAFF_PASSWORD})
    assert (await other.get("/account")).status == 200
    secret = await set_up(visitor, later)
    assert (await other.get("/account")).status == 303
    assert secret not in (await visitor.get(SETUP)).text, "it is shown while it is set up, and never again"
    ended = {"do": "end", "password": STAFF_PASSWORD}
    assert (await visitor.post(SETUP, {**ended, "code": code_at(secret, later.step())})).status == 422
    later.ahead_ms += STEP_MS
    assert (await visitor.post(SETUP, {**ended, "code": code_at(secret, later.step())})).status == 303
    assert (
        await Visitor(made.address).post("/sign-in", {"login": login, "password": STAFF_PASSWORD})
    ).location == "/desk"


async def test_where_the_settings_ask_for_it_no_role_opens_anything_before(made, later, monkeypatch):
    monkeypatch.setattr(made.home.node.second, "_is_required", True)
    visitor, _, _ = await newcomer(made)
    sent_on = await visitor.get("/desk")
    assert (sent_on.status, sent_on.location) == (303, SETUP)
    assert "本节点要求工作人员启用动态码" in (await visitor.get(SETUP)).text
    token = TOKEN.search((await visitor.get("/account")).text)[1]
    refused = await visitor.post("/desk/learners", {"name": "x"}, token=token)
    assert (refused.status, "LLN-1442" in refused.text) == (403, True)
    secret = await set_up(visitor, later)
    assert (await visitor.get("/desk")).status == 200
    later.ahead_ms += STEP_MS
    ended = {"do": "end", "password": STAFF_PASSWORD, "code": code_at(secret, later.step())}
    assert "要求工作人员" in (await visitor.post(SETUP, ended)).text
    learner = Visitor(made.address, {SESSION: made.people["learner"].token})
    assert (await learner.get("/my")).status == 200, "learners are not asked"


async def test_who_did_it_stands_in_the_audit_trail_and_no_secret_does(made, later):
    visitor, _, _ = await newcomer(made)
    secret = await set_up(visitor, later)
    doings = await made.home.node.noting.latest("", 20)
    assert "second_on" in {one.state for one in doings}
    assert secret not in str(doings)


async def test_another_link_for_somebody_who_lost_the_phone_ends_the_codes(made, later):
    visitor, login, _ = await newcomer(made)
    await set_up(visitor, later)
    person = await made.home.node.signing_in.person_of(visitor.cookies[SESSION])
    _, token = await made.home.node.staffing.renew_link(person.id, None)
    await made.home.node.staffing.set_up(token, login=login, name="", password=STAFF_PASSWORD)
    answer = await Visitor(made.address).post("/sign-in", {"login": login, "password": STAFF_PASSWORD})
    assert answer.location == "/desk"
