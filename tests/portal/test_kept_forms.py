"""What was typed when a session ended comes back to whoever typed it, and to nobody else. No other site can use it."""

import re
from itertools import count

import pytest

from node.portal.again_pages import NEVER_KEPT
from node.portal.holding import HOLD_MS, Holding
from node.portal.visits import DEVICE, FORM, SESSION
from tests.style.tree import ROOT
from tests.support.portal_world import DEVICE_MARK, KEPT, STAFF_PASSWORD
from tests.support.web_client import TOKEN, Visitor

pages = pytest.mark.asyncio(loop_scope="session")
_numbers = count(1)
NEW = {"name": "林晚来", "birth_date": "1960-02-03", "contact": "0573-1234567"}


async def registrar(made):
    """A registrar of the test's own: (visitor, login)."""
    node, login = made.home.node, f"keeper{next(_numbers)}"
    _, token = await node.staffing.invite(login, "登记员", ["registrar"])
    set_up = await node.staffing.set_up(token, login=login, name="登记员", password=STAFF_PASSWORD)
    session = await node.signing_in.begin(set_up.person, "sign_in")
    return Visitor(made.address, {SESSION: session.token, DEVICE: session.device}), login


async def opened(visitor, path="/desk/learners"):
    """A form as somebody has it before them: its tokens."""
    text = (await visitor.get(path)).text
    return TOKEN.search(text)[1], DEVICE_MARK.search(text)[1]


async def expire(made, visitor):
    await made.home.node.signing_in.sign_out(visitor.cookies[SESSION])


async def sign_in(visitor, login, leads):
    visitor.cookies.pop(SESSION, None)
    return await visitor.post("/sign-in", {"login": login, "password": STAFF_PASSWORD, "next": leads}, page="/sign-in")


async def how_many(made, name):
    return sum(one.name == name for one in (await made.home.ask("learner.list", limit=500)).rows)


async def send_again(visitor, page, **changes):
    fields = dict(re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)">', page.text))
    token = fields.pop("form_token")
    return await visitor.post("/desk/learners", {**fields, **changes}, token=token)


@pages
async def test_what_was_typed_comes_back_after_signing_in_and_is_sent_by_another_press(made):
    visitor, login = await registrar(made)
    token, mark = await opened(visitor)
    await expire(made, visitor)
    typed = {**NEW, "name": "林晚来甲", "form_device": mark}
    ended = await visitor.post("/desk/learners", typed, token=token)
    assert (ended.status, "已为您保留" in ended.text) == (401, True)
    assert "林晚来甲" not in ended.text, "nothing of it stands in the page for whoever sits down next"
    leads = f"/again/{KEPT.search(ended.text)[1]}"
    let_in = await sign_in(visitor, login, leads)
    assert (let_in.status, let_in.location) == (303, leads)
    back = await visitor.get(leads)
    assert "林晚来甲" in back.text
    assert await how_many(made, "林晚来甲") == 0, "a form is never sent by signing in"
    assert (await send_again(visitor, back)).status == 200
    assert await how_many(made, "林晚来甲") == 1
    assert (await visitor.get(leads)).status == 404, "sent, it is not kept any longer"


@pages
async def test_a_form_of_the_session_before_is_shown_and_sent_once_more(made):
    visitor, login = await registrar(made)
    token, mark = await opened(visitor)
    assert (await sign_in(visitor, login, "/")).status == 303
    typed = {**NEW, "name": "林晚来乙", "form_device": mark}
    shown = await visitor.post("/desk/learners", typed, token=token)
    assert (shown.status, "LLN-1165" in shown.text, "林晚来乙" in shown.text) == (422, True, True)
    assert await how_many(made, "林晚来乙") == 0
    assert (await send_again(visitor, shown)).status == 200
    assert await how_many(made, "林晚来乙") == 1


@pages
async def test_another_site_cannot_have_anything_kept_or_sent(made):
    visitor, login = await registrar(made)
    token, mark = await opened(visitor)
    await expire(made, visitor)
    typed = {**NEW, "name": "林晚来丙"}
    for fields, sent in (
        ({**typed, "form_device": mark}, {"token": token, "origin": "https://evil.example"}),
        ({**typed, "form_device": mark}, {"token": token, "origin": "null", "sec_fetch_site": "cross-site"}),
        ({**typed, "form_device": "0" * 32}, {"token": token}),
        (typed, {"token": "0" * 32}),
    ):
        answer = await visitor.post("/desk/learners", fields, **sent)
        assert answer.status in (401, 422)
        assert not KEPT.search(answer.text)
        assert "林晚来丙" not in answer.text
    assert (await sign_in(visitor, login, "/")).status == 303
    for fields in ({**typed, "form_device": "0" * 32}, typed):
        refused = await visitor.post("/desk/learners", fields, token=token)
        assert (refused.status, "LLN-1165" in refused.text) == (422, True)
        assert "林晚来丙" not in refused.text
    assert await how_many(made, "林晚来丙") == 0


@pages
async def test_nobody_else_sees_it_at_the_same_browser_or_another(made):
    visitor, _ = await registrar(made)
    token, mark = await opened(visitor)
    await expire(made, visitor)
    ended = await visitor.post("/desk/learners", {**NEW, "name": "林晚来丁", "form_device": mark}, token=token)
    leads = f"/again/{KEPT.search(ended.text)[1]}"
    other, login = await registrar(made)
    assert (await other.get(leads)).status == 404
    assert (await sign_in(visitor, login, leads)).location == leads
    there = await visitor.get(leads)
    assert (there.status, "林晚来丁" in there.text) == (404, False)
    planted = await visitor.post("/desk/learners", {**NEW, "form_device": mark}, token=token)
    assert "LLN-1165" in planted.text, "the mark of whoever was here before counts for nothing"
    assert "林晚来" not in planted.text


@pages
async def test_a_planted_cookie_for_forms_does_not_make_a_form_ours(made):
    visitor = Visitor(made.address, {FORM: "PLANTED", DEVICE: "PLANTED"})
    answer = await visitor.post("/desk/learners", {**NEW, "form_device": "x"}, token="0")  # noqa: S106  # of nobody
    assert answer.status == 401
    assert not KEPT.search(answer.text)


@pages
async def test_passwords_and_too_much_are_never_kept(made):
    visitor, _ = await registrar(made)
    token, mark = await opened(visitor)
    await expire(made, visitor)
    typed = {"old": STAFF_PASSWORD, "password": "another long one", "repeated": "x", "form_device": mark}
    assert not KEPT.search((await visitor.post("/account", typed, token=token)).text)
    much = {**NEW, "name": "x" * 40_000, "form_device": mark}
    assert not KEPT.search((await visitor.post("/desk/learners", much, token=token)).text)


def test_whatever_a_password_or_code_is_typed_into_is_never_kept():
    templates = [path.read_text("utf-8") for path in (ROOT / "node/portal/templates").glob("*.html")]
    secret = [one for text in templates for one in re.findall(r"<input[^>]*>", text) if 'type="password"' in one]
    names = {re.search(r' name="([a-z_]+)"', one)[1] for one in secret}
    assert {"password", "old"} <= names <= NEVER_KEPT
    codes = {
        re.search(r' name="([a-z_]+)"', one)[1]
        for text in templates
        for one in re.findall(r"<input[^>]*one-time-code[^>]*>", text)
    }
    assert codes <= NEVER_KEPT


def test_what_is_held_is_bounded_ends_and_is_its_owners():
    names = iter(f"N{at}" for at in range(1_000))
    held = Holding(lambda: next(names), each_max=2, all_max=4)
    first, second, third = (held.put("a", at, 0) for at in range(3))
    assert [held.get(one, "a", 1) for one in (first, second, third)] == [None, 1, 2]
    assert held.get(third, "b", 1) is None
    assert held.take(third, "b", 1) is None
    assert held.take(third, "a", 1) == 2
    assert held.take(third, "a", 1) is None
    assert held.get(second, "a", HOLD_MS) is None
    others = [held.put(owner, owner, 0) for owner in "bcdef"]
    assert [held.get(one, owner, 1) for one, owner in zip(others, "bcdef", strict=True)].count(None) == 1
