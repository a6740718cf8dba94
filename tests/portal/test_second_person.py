"""A sheet too large for one person: handed over, decided on by another registrar, returned, taken back, forgotten."""

import asyncio
import json
import re

import msgspec
import pytest

from federation.errors import Unavailable
from node.usecases.handing_over import (
    UPLOAD_STEPS,
    WAIT_MS,
    WAITING_MAX,
    OwnSheet,
    SheetDecided,
    SheetTooLarge,
    TooManySheets,
)
from node.usecases.noting import UNDO_MS, UploadUnknown
from tests.portal.browsing import CHROMIUM
from tests.portal.test_journeys import WAYS, chromium, window  # noqa: F401  # a fixture
from tests.support.registrars import newcomers, records_of, registrar, sheet

pytestmark = pytest.mark.asyncio(loop_scope="session")
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is absent from this machine: apt install chromium")
PAGE = "/desk/issue/sheet"
SEEN = re.compile(r'name="seen" value="([0-9a-f]+)"')


@pytest.fixture
def at_most(made, monkeypatch):
    """How many records one person issues alone; a test says so, since fifty learners take long to make."""

    def set_to(rows):
        monkeypatch.setattr(made.home.node.uploading, "_alone_max", rows)

    return set_to


def lines(numbers):
    return sheet([f"{number},dough,2026-05-01," for number in numbers])


async def handed(visitor, numbers, remark="春季班"):
    """A sheet that waits: its page."""
    sent = await visitor.upload(PAGE, lines(numbers), "春季.csv")
    answer = await visitor.post(f"{sent.location}/hand", {"remark": remark}, page=sent.location)
    assert (answer.status, answer.location.partition("?")[0].rpartition("/")[0]) == (303, "/desk/waiting")
    return answer.location.partition("?")[0]


async def approve(visitor, page):
    seen = SEEN.search((await visitor.get(page)).text)
    return await visitor.post(page, {"decision": "issue", "seen": seen[1] if seen else ""}, page="/account")


async def kept(made, page):
    return await made.home.node.store.read(lambda tx: tx.people.sheets.get(page.rpartition("/")[2]))


async def counts(made, numbers):
    return [len(await records_of(made, number)) for number in numbers]


async def test_who_uploaded_a_large_sheet_cannot_issue_it_and_another_registrar_can(made, at_most):
    at_most(1)
    one, session = await registrar(made, "second-a")
    two, second = await registrar(made, "second-b")
    numbers = await newcomers(made, 2)
    sent = await one.upload(PAGE, lines(numbers), "春季.csv")
    told = (await one.get(sent.location)).text
    assert "交给另一位登记员复核" in told
    assert "确认登记" not in told
    direct = await one.post(sent.location)
    assert (direct.status, "LLN" in direct.text, "要由另一位登记员复核" in direct.text) == (409, False, True)
    page = await handed(one, numbers)
    name = page.rpartition("/")[2]
    for answer in (await approve(one, page), await one.post(page, {"decision": "issue"}, page="/account")):
        assert answer.status == 409
    own = await one.post(page, {"decision": "return", "reason": "x"}, page="/account")
    assert (own.status, "您自己上传的" in own.text) == (409, True)
    assert await counts(made, numbers) == [0, 0]
    work = json.loads((await two.get("/desk.json")).body)
    assert name in {row["id"] for row in work["sheets"]}
    assert name in (await two.get("/desk.csv")).text
    assert "春季班" in (await two.get("/desk")).text
    assert (await two.get(f"{page}/plan.csv")).text.count(",issue,L") == 2
    assert name not in {row["id"] for row in json.loads((await one.get("/desk.json")).body)["sheets"]}
    blind = await two.post(page, {"decision": "issue", "seen": "0" * 32}, page="/account")
    assert (blind.status, "请再核对一遍" in blind.text) == (409, True)
    done = await approve(two, page)
    assert (done.status, done.location) == (303, f"/desk/uploads/{name}?done=issued")
    assert await counts(made, numbers) == [1, 1]
    assert await kept(made, page) is None
    doings = {(row.state, row.owner) for row in await made.home.node.noting.latest("", 200) if name in row.about}
    assert {("hand_sheet", session.person.id), ("approve_sheet", second.person.id)} <= doings
    [told] = [row for row in await made.home.node.noting.latest("", 200) if row.state == "approve_sheet"][:1]
    assert session.person.known_as in told.about
    for visitor in (one, two):
        shown = await visitor.get(f"/desk/uploads/{name}")
        assert session.person.known_as in shown.text
        assert second.person.known_as in shown.text
        assert name in (await visitor.get("/desk/uploads.csv")).text
    stranger, _ = await registrar(made, "second-c")
    assert (await stranger.get(f"/desk/uploads/{name}")).status == 404
    assert (await approve(two, page)).status == 409
    assert (await two.get(page)).status == 409


@pytest.mark.parametrize("who", ["uploader", "second"])
async def test_both_may_undo_and_what_was_approved_counts_for_nobody_alone(made, at_most, who):
    at_most(1)
    one, session = await registrar(made, f"undo-{who}-a")
    two, second = await registrar(made, f"undo-{who}-b")
    numbers = await newcomers(made, 2)
    page = await handed(one, numbers)
    done = await approve(two, page)
    uploading = made.home.node.uploading
    for person in (session.person, second.person):
        assert not await uploading.is_second_needed(person, 1)
        assert await uploading.is_second_needed(person, 2)
    undone = await (one if who == "uploader" else two).post(done.location.partition("?")[0], {"reason": "传错了"})
    assert undone.status == 303
    for number in numbers:
        assert [record.state for record in await records_of(made, number)] == ["revoked"]


async def test_parts_of_a_large_sheet_are_a_large_sheet(made, at_most, monkeypatch):
    at_most(3)
    one, session = await registrar(made, "parts")
    numbers = await newcomers(made, 4)
    for part in (numbers[:2], numbers[2:3]):
        sent = await one.upload(PAGE, lines(part), "部分.csv")
        assert (await one.post(sent.location)).status == 303
    sent = await one.upload(PAGE, lines(numbers[3:]), "部分.csv")
    assert "交给另一位登记员复核" in (await one.get(sent.location)).text
    assert (await one.post(sent.location)).status == 409
    assert await counts(made, numbers) == [1, 1, 1, 0]
    again = await one.upload(PAGE, lines(numbers[:3]), "部分.csv")
    assert (await one.post(again.location, page="/account")).status == 303, "what is there already takes nobody"
    uploading = made.home.node.uploading
    tomorrow_ms = uploading._clock.now_ms() + 24 * 3_600_000 + 1

    class Tomorrow:
        def now_ms(self):
            return tomorrow_ms

    assert await uploading.is_second_needed(session.person, 1)
    monkeypatch.setattr(uploading, "_clock", Tomorrow())
    assert not await uploading.is_second_needed(session.person, 3)


async def test_one_that_was_cut_off_counts_with_all_it_was_to_issue(made, at_most):
    at_most(10)
    _, session = await registrar(made, "parts-cut")
    uploading = made.home.node.uploading
    begun = await uploading.begin(session.person, "断.csv", planned=9)
    await uploading.issued(begun.id, ("a",))
    assert await uploading.is_second_needed(session.person, 2)
    assert not await uploading.is_second_needed(session.person, 1)
    await uploading.begin_undo(session.person, begun.id, "断电")
    await uploading.revoked(begun.id, ("a",), ended=True)
    assert not await uploading.is_second_needed(session.person, 10)


async def test_two_tabs_at_once_are_counted_together(made, at_most):
    at_most(3)
    one, _ = await registrar(made, "two-tabs")
    numbers = await newcomers(made, 4)
    sent = [await one.upload(PAGE, lines(part), "半.csv") for part in (numbers[:2], numbers[2:])]
    answers = await asyncio.gather(*(one.post(each.location) for each in sent))
    assert sorted(answer.status for answer in answers) == [303, 409]
    assert sum(await counts(made, numbers)) == 2


async def test_none_alone_where_the_settings_say_so(made, at_most):
    at_most(0)
    one, _ = await registrar(made, "none-alone")
    [number] = await newcomers(made, 1)
    sent = await one.upload(PAGE, lines([number]), "一条.csv")
    assert (await one.post(sent.location)).status == 409
    assert await records_of(made, number) == ()


async def test_returned_with_a_reason_that_the_uploader_reads(made, at_most):
    at_most(0)
    one, _ = await registrar(made, "back-a")
    two, second = await registrar(made, "back-b")
    page = await handed(one, await newcomers(made, 1))
    bare = await two.post(page, {"decision": "return", "reason": ""})
    assert (bare.status, "请写明退回的理由" in bare.text) == (422, True)
    assert (await two.post(page, {"decision": "return", "reason": "名单有误"})).location == "/desk?done=sent_back"
    assert await kept(made, page) is None
    listed = (await one.get("/desk/uploads")).text
    assert "名单有误" in listed
    assert second.person.known_as in listed
    assert (await approve(two, page)).status == 409


async def test_taken_back_by_the_uploader_alone(made, at_most):
    at_most(0)
    one, _ = await registrar(made, "take-a")
    two, _ = await registrar(made, "take-b")
    numbers = await newcomers(made, 1)
    page = await handed(one, numbers)
    assert (await two.post(page, {"decision": "take_back"})).status == 404
    assert (await one.post(page, {"decision": "take_back"})).status == 303
    assert await kept(made, page) is None
    assert (await approve(two, page)).status == 409
    assert await counts(made, numbers) == [0]
    assert "已取回" in (await one.get(page.replace("waiting", "uploads"))).text


async def test_the_plan_is_made_anew_and_what_changed_is_not_approved_unseen(made, at_most):
    at_most(0)
    one, _ = await registrar(made, "anew-a")
    two, _ = await registrar(made, "anew-b")
    first, other = await newcomers(made, 2)
    page = await handed(one, [first, other])
    seen = SEEN.search((await two.get(page)).text)[1]
    rows = [{"row": 1, "student_number": first, "achievement": "dough", "achieved_on": "2026-05-01"}]
    await made.home.ask("credit.issue", rows=rows, by="王老师", apply=True)
    late = await two.post(page, {"decision": "issue", "seen": seen})
    assert (late.status, "请再核对一遍" in late.text, "登记 1 条" in late.text) == (409, True, True)
    assert await counts(made, [first, other]) == [1, 0]
    assert (await approve(two, page)).status == 303
    assert await counts(made, [first, other]) == [1, 1]


async def test_a_stop_between_decision_and_issuing_loses_nothing_and_doubles_nothing(made, at_most, monkeypatch):
    at_most(0)
    monkeypatch.setattr("node.portal.sheet_pages.BATCH", 1)
    one, session = await registrar(made, "stop-a")
    two, _ = await registrar(made, "stop-b")
    numbers = await newcomers(made, 3)
    page = await handed(one, numbers)
    uploading, told = made.home.node.uploading, []

    async def stops(upload, records):
        told.append(records)
        raise Unavailable("the store", "it stops here")

    with monkeypatch.context() as broken:
        broken.setattr(uploading, "issued", stops)
        assert (await approve(two, page)).status == 503
    assert await counts(made, numbers) == [1, 0, 0]
    assert await kept(made, page) is not None
    assert "接着登记" in (await two.get(page)).text
    assert (await one.post(page, {"decision": "take_back"}, page="/account")).status == 409
    assert (await approve(one, page)).status == 409
    third, _ = await registrar(made, "stop-c")
    assert (await approve(third, page)).status == 303, "whoever is not the uploader goes on"
    assert await counts(made, numbers) == [1, 1, 1]
    assert await kept(made, page) is None
    row = await uploading.one(session.person, page.rpartition("/")[2])
    assert (row.state, len(row.records), len(told)) == ("issued", 2, 1)


async def test_it_waits_for_days_and_is_then_forgotten(made, at_most):
    at_most(0)
    one, session = await registrar(made, "days-a")
    two, _ = await registrar(made, "days-b")
    page = await handed(one, await newcomers(made, 1))
    handing, store, uploads = made.home.node.handing_over, made.home.node.store, page.replace("waiting", "uploads")
    row = await made.home.node.uploading.one(session.person, page.rpartition("/")[2])
    assert row.until_ms == row.at_ms + WAIT_MS
    assert await handing.expire() == 0
    await store.write(lambda tx: tx.people.uploads.put([msgspec.structs.replace(row, until_ms=row.at_ms)]))
    assert (await approve(two, page)).status == 409, "also before anything has swept it away"
    assert "春季.csv" not in (await two.get("/desk")).text
    await handing.expire()
    assert await kept(made, page) is None
    assert "7 天内没有人复核" in (await one.get(uploads)).text
    assert (await made.home.node.uploading.one(session.person, row.id)).state == "expired"


async def test_what_waits_is_bounded_in_number_and_bytes_and_stands_in_the_database_alone(made, at_most, monkeypatch):
    at_most(0)
    one, session = await registrar(made, "bound-a")
    numbers = await newcomers(made, 1)
    handing = made.home.node.handing_over
    read = await made.home.node.read_sheet(lines(numbers), "满.csv")
    fat = msgspec.structs.replace(read, cells=dict.fromkeys(range(2000), ("x" * 200,) * 12))
    with pytest.raises(SheetTooLarge):
        await handing.hand_over(session.person, "大.csv", fat, planned=1, remark="")
    free = WAITING_MAX - len(await handing.waiting())
    made_here = [
        (await handing.hand_over(session.person, "满.csv", read, planned=1, remark="")).id for _ in range(free)
    ]
    with pytest.raises(TooManySheets):
        await handing.hand_over(session.person, "满.csv", read, planned=1, remark="")
    sent = await one.upload(PAGE, lines(numbers), "满.csv")
    full = await one.post(f"{sent.location}/hand", page=sent.location)
    assert (full.status, "已有 20 份表格" in full.text) == (409, True)
    again = re.search(r'action="(/desk/issue/sheet/[^"]+)/hand"', full.text)[1]
    for one_id in made_here:
        await handing.take_back(session.person, one_id)
    assert (await one.post(f"{again}/hand", page=again)).status == 303, "what could not wait was not lost"


async def test_a_node_without_another_registrar_says_who_can_add_one(made, at_most, monkeypatch):
    at_most(0)
    one, _ = await registrar(made, "lonely")

    async def nobody(_):
        return False

    monkeypatch.setattr(made.home.node.handing_over, "has_other", nobody)
    sent = await one.upload(PAGE, lines(await newcomers(made, 1)), "独.csv")
    told = (await one.get(sent.location)).text
    assert "还没有另一位登记员" in told
    assert "人员与角色" in told


async def test_erasing_an_account_takes_its_rows_out_of_what_waits(made, at_most):
    at_most(0)
    one, _ = await registrar(made, "erased-a")
    two, _ = await registrar(made, "erased-b")
    gone, stays = await newcomers(made, 2)
    page = await handed(one, [gone, stays])
    [found] = (await made.home.ask("learner.list", text=gone, limit=2)).rows
    told = await made.home.ask("learner.erase", learner=found.id, confirmed=True)
    assert told.gone["sheet_row"] == 1
    assert gone.encode() not in (await kept(made, page)).sheet
    assert stays.encode() in (await kept(made, page)).sheet
    assert (await approve(two, page)).status == 303
    assert await counts(made, [stays]) == [1]


async def test_every_step_that_is_not_in_the_table_is_refused(made):
    """Each state of an upload against each thing that somebody may want of it."""
    _, session = await registrar(made, "table-a")
    _, second = await registrar(made, "table-b")
    handing, store = made.home.node.handing_over, made.home.node.store
    read = await made.home.node.read_sheet(lines(["nobody"]), "表.csv")
    asks = {
        "approve": lambda one: handing.approve(second.person, one),
        "return": lambda one: handing.send_back(second.person, one, "理由"),
        "take_back": lambda one: handing.take_back(session.person, one),
    }
    for state in ("waiting", "returned", "taken_back", "expired", "issuing", "issued", "undoing", "undone"):
        for step, ask in asks.items():
            row = await handing.hand_over(session.person, "表.csv", read, planned=1, remark="")
            changed = msgspec.structs.replace(row, state=state)
            await store.write(lambda tx, changed=changed: tx.people.uploads.put([changed]))
            if (state, step) in UPLOAD_STEPS:
                assert (await ask(row.id)).state == UPLOAD_STEPS[state, step]
            else:
                with pytest.raises(SheetDecided):
                    await ask(row.id)
            await store.write(lambda tx, row=row: (tx.people.uploads.drop(row.id), tx.people.sheets.drop(row.id)))
    with pytest.raises(UploadUnknown):
        await handing.approve(second.person, "nothing")
    row = await handing.hand_over(session.person, "表.csv", read, planned=1, remark="")
    for ask in (handing.approve(session.person, row.id), handing.send_back(session.person, row.id, "x")):
        with pytest.raises(OwnSheet):
            await ask
    with pytest.raises(UploadUnknown):
        await handing.take_back(second.person, row.id)
    assert (await handing.approve(second.person, row.id)).until_ms <= made.home.node.clock.now_ms() + UNDO_MS
    await store.write(lambda tx: (tx.people.uploads.drop(row.id), tx.people.sheets.drop(row.id)))


@in_browser
@pytest.mark.parametrize(("size", "scripts"), WAYS)
async def test_two_registrars_issue_a_large_sheet_together(chromium, made, at_most, size, scripts):  # noqa: F811  # the fixture
    at_most(1)
    _, session = await registrar(made, f"pair-{size[0]}-{scripts}".lower())
    numbers, file = await newcomers(made, 2), f"大表{size[0]}{int(scripts)}.csv"
    async with window(chromium, made, size, scripts=scripts) as page:
        await page.context.add_cookies([{"name": "lln-session", "value": session.token, "url": made.address}])
        await page.goto(f"{made.address}/desk/issue/sheet")
        await page.get_by_label("表格文件").set_input_files(
            {"name": file, "mimeType": "text/csv", "buffer": lines(numbers)}
        )
        await page.get_by_role("button", name="看看会登记什么").click()
        await page.get_by_label("想对复核的人说的话").fill("春季班，名单已核对")
        assert await page.get_by_role("button", name="确认登记").count() == 0
        await page.get_by_role("button", name="交给另一位登记员复核").click()
        assert "已交出" in await page.locator(".note.good").inner_text()
        assert await page.get_by_role("button", name="登记", exact=False).count() == 0
    async with window(chromium, made, size, scripts=scripts, role="registrar") as page:
        await page.goto(f"{made.address}/desk")
        await page.get_by_role("link", name=file).click()
        assert "春季班，名单已核对" in await page.locator("main").inner_text()
        await page.get_by_role("button", name="核对无误，登记 2 条").click()
        assert "已登记 2 条" in await page.locator(".note.good").inner_text()
    assert await counts(made, numbers) == [1, 1]
