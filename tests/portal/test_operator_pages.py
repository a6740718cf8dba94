"""What an operator does at the pages: inviting one and many, making void, suspending by typing a name."""

import asyncio
import csv
import html
import json
import re
from base64 import b64encode

import pytest

from tests.support.catalogue_files import csv_bytes, sheet_of, workbook
from tests.support.portal_world import HOME, SCHOOL
from tests.support.web_client import TOKEN

pytestmark = pytest.mark.asyncio(loop_scope="session")

HEADER = ("单位名称", "名称标识", "级别", "类别")
PACKED = re.compile(r'name="rows" value="([^"]*)"')


async def upload(visitor, name, content):
    """The sheet as a browser sends it."""
    token = TOKEN.search((await visitor.get("/invites")).text)[1]
    mark = "----a-sheet-of-the-tests"
    parts = (
        f'--{mark}\r\nContent-Disposition: form-data; name="form_token"\r\n\r\n{token}\r\n'
        f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    )
    body = parts.encode() + content + f"\r\n--{mark}--\r\n".encode()
    sent = {"content-type": f"multipart/form-data; boundary={mark}", "origin": visitor.origin}
    return await asyncio.to_thread(visitor._ask, "POST", "/invites/sheet", body, sent)


async def invites(made):
    return {one.name: one for one in (await made.home.ask("invite.list")).invites if one.state == "open"}


async def doings(made, state):
    return [one.about for one in await made.home.node.noting.latest("", 1_000) if one.state == state]


async def test_one_invite_is_made_shown_once_noted_and_made_void(made, visitor_of):
    visitor = visitor_of("operator")
    sent = {"label": "xinxin", "title": "新星老年学校", "level": "school", "kind": "school", "days": "9"}
    answer = await visitor.post("/invites", sent)
    assert (answer.status, answer.text.count("LLN1-")) == (200, 1)
    invite = (await invites(made))[f"xinxin.{HOME}"]
    assert (invite.description.title.zh, invite.description.kind) == ("新星老年学校", "school")
    later = await visitor.get("/invites")
    assert "新星老年学校" in later.text
    assert "LLN1-" not in later.text
    assert f"xinxin.{HOME}" in await doings(made, "invite_node")
    gone = await visitor.post("/invites/void", {"id": invite.id}, page="/invites")
    assert (gone.status, gone.location) == (303, "/invites?done=void")
    assert f"xinxin.{HOME}" not in await invites(made)
    assert invite.id in await doings(made, "void_invite")
    again = await visitor.post("/invites/void", {"id": invite.id}, page="/invites")
    assert (again.status, "LLN-1351" in again.text) == (422, True)


@pytest.mark.parametrize(
    ("changed", "told"),
    [({"label": "新 星"}, "LLN-111"), ({"days": "400"}, "LLN-1168"), ({"level": "village"}, "LLN-1168")],
)
async def test_a_wrong_field_keeps_what_was_typed_and_says_what_is_wrong(made, visitor_of, changed, told):
    before = await invites(made)
    sent = {"label": "kept", "title": "写好的名称", "level": "school", "kind": "school", "days": "7", **changed}
    answer = await visitor_of("operator").post("/invites", sent)
    assert (answer.status, told in answer.text, "写好的名称" in answer.text) == (422, True, True)
    assert await invites(made) == before


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
async def test_a_sheet_of_schools_becomes_a_sheet_of_invites(made, visitor_of, kind):
    visitor = visitor_of("operator")
    rows = [HEADER, ("一小", f"{kind}one", "校级", "学校"), ("+二小", f"{kind}two", "校级", "学校")]
    rows += [("西塘成人学校", "school", "校级", "学校")]
    content = csv_bytes(rows) if kind == "csv" else workbook(sheet_of(rows))
    plan = await upload(visitor, f"名单.{kind}", content)
    assert (plan.status, "已经入网" in plan.text) == (200, True)
    assert not [name for name in await invites(made) if name.startswith(kind)]
    packed = html.unescape(PACKED.search(plan.text)[1])
    sheet = await visitor.post("/invites/sheet/make", {"rows": packed}, page="/invites")
    assert sheet.headers["content-disposition"] == 'attachment; filename="lln-invites.csv"'
    head, first, second, third = csv.reader(sheet.text.removeprefix("\ufeff").splitlines())
    assert len(head) == 5
    assert (first[0], first[1], first[3].startswith("LLN1-")) == ("一小", f"{kind}one.{HOME}", True)
    assert second[0] == "'+二小"
    assert (third[3], "LLN-1350" in third[4]) == ("", True)
    assert {f"{kind}one.{HOME}", f"{kind}two.{HOME}"} <= (await invites(made)).keys()
    assert f"{kind}two.{HOME}" in await doings(made, "invite_node")


async def test_a_sheet_with_one_bad_row_makes_nothing_and_names_the_row(made, visitor_of):
    before = await invites(made)
    rows = [HEADER, ("好学校", "good", "校级", "学校"), ("坏学校", "bad", "镇级", "学校")]
    plan = await upload(visitor_of("operator"), "a.csv", csv_bytes(rows))
    assert PACKED.search(plan.text) is None
    assert "“镇级”不在可选范围内" in html.unescape(plan.text)
    assert await invites(made) == before


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [("a.pdf", b"%PDF-1.7", "LLN-1132"), ("a.xlsx", b"PK\x03\x04", "LLN-1135"), ("a.csv", b"a,b\n1,2", "LLN-1174")],
)
async def test_what_is_no_sheet_is_refused_with_what_to_do(visitor_of, name, content, told):
    answer = await upload(visitor_of("operator"), name, content)
    assert (answer.status, told in answer.text) == (422, True)


UNPLANNED = [
    b"",
    b"[]",
    b"{",
    b'[["x"]]',
    b'["x","","","school","school",null,null,7]',
    b"[" * 5_000,
    b'[["x",{' + b"[" * 9_000,
]
UNPLANNED += [b'[["x","\xe5","","school","school",null,null,7]]', b'[["x","a","","village","school",null,null,7]]']


@pytest.mark.parametrize("rows", ["no base64!", *(b64encode(one).decode() for one in UNPLANNED)])
async def test_rows_that_are_not_of_a_plan_make_nothing(made, visitor_of, rows):
    before = await invites(made)
    answer = await visitor_of("operator").post("/invites/sheet/make", {"rows": rows}, page="/invites")
    assert (answer.status, "LLN-1168" in answer.text) == (422, True)
    assert await invites(made) == before


async def test_a_child_is_suspended_resumed_and_revoked_by_its_typed_name_alone(made, visitor_of):
    name = f"leaves.{HOME}"
    await made.network.add(name, "school", "school", title="要走的学校")
    visitor, path = visitor_of("operator"), f"/below/{name}"
    try:
        for sent, told in (
            ({"order": "suspend", "typed": SCHOOL, "reason": "x"}, "没有执行"),
            ({"order": "suspend", "typed": name}, "写明理由"),
            ({"order": "erase", "typed": name, "reason": "x"}, "请选择"),
            ({"order": "resume", "typed": name, "reason": "x"}, "LLN-131"),
        ):
            answer = await visitor.post(path, sent)
            assert (answer.status, told in answer.text) == (422, True), sent
        for order, status in (("suspend", "suspended"), ("resume", "active"), ("revoke", "revoked")):
            answer = await visitor.post(path, {"order": order, "typed": f" {name.upper()} ", "reason": "演示"})
            assert (answer.status, answer.location) == (303, f"/below?done={order}")
            tree = await made.home.ask("node.tree")
            assert {one.name: one.status for one in tree.nodes}[name] == status
            assert name in await doings(made, f"{order}_node")
    finally:
        await made.network.stop(name)
    assert (await visitor.get(f"/below/{name}")).text.count('name="typed"') == 0
    assert (await visitor.get("/below/nobody.lln.internal")).status == 404
    assert f"\n{name}," in (await visitor.get("/below.csv")).text


async def test_the_node_page_shows_waiting_limits_and_checkpoints_and_tries_again(made, visitor_of):
    node = made.home.node
    await node.store.write(lambda tx: tx.outbox.add("gone.lln.internal", "credit.counts", b"{}", "waits.1", 1))
    visitor = visitor_of("operator")
    page = (await visitor.get("/node")).text
    assert "gone.lln.internal" in page
    assert "limits.calls_per_second" in page
    own = next(one for one in (await made.home.ask("log.list")).logs if one.origin == HOME and one.topic == "credits")
    assert own.root[:12] in page
    answer = await visitor.post("/node/retry", page="/node")
    assert (answer.status, answer.location) == (303, "/node?done=retried")
    assert await doings(made, "retry_outbox")
    assert f"\n{SCHOOL},西塘成人学校,school,school," in (await visitor.get("/node.csv")).text
    await made.home.ask("outbox.drop", id="waits.1")


async def test_searches_of_today_stand_in_the_chart(made, visitor_of):
    before = json.loads((await visitor_of("operator").get("/days.json")).body)["days"][-1]["searches"]
    await visitor_of("learner").get("/search?q=alert")
    after = json.loads((await visitor_of("auditor").get("/days.json")).body)["days"][-1]["searches"]
    assert after > before
    page = (await visitor_of("operator").get("/days")).text
    assert "<rect " in page
    assert f"{after:,}" in page


async def test_a_child_is_found_by_part_of_its_title(visitor_of):
    visitor = visitor_of("operator")
    assert SCHOOL in (await visitor.get("/below?q=%E8%A5%BF%E5%A1%98")).text
    nothing = (await visitor.get("/below?q=%22%3E%3Cscript%3E")).text
    assert SCHOOL not in nothing
    assert "<script>" not in nothing


async def test_the_plan_of_a_sheet_as_long_as_may_be_is_a_light_page(visitor_of):
    rows = [HEADER, *((f"某某县某某镇成人文化技术学校第{at}教学点", f"light{at}", "校级", "学校") for at in range(500))]
    plan = await upload(visitor_of("operator"), "a.csv", csv_bytes(rows))
    assert plan.status == 200
    assert len(plan.body) < 120_000


async def test_an_operator_finds_somebody_among_many_by_name_or_login(made, visitor_of):
    await made.home.node.staffing.invite("xun-zhao", "寻 找人", ("reviewer",))
    operator = visitor_of("operator")
    for typed in ("找人", "寻找", "XUN-", "ｘｕｎ-", "xun-zhao"):
        page = await operator.post("/people/find", {"find": typed}, page="/people")
        assert "找到 1 位" in page.text, typed
        assert "xun-zhao" in page.text
        assert "registrar1" not in page.text
    nobody = await operator.post("/people/find", {"find": "<b>没有</b>"}, page="/people")
    assert "没有找到“&lt;b&gt;没有&lt;/b&gt;”" in nobody.text
