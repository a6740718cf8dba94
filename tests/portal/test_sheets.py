"""Issuing by sheet: the plan, confirming, undoing, and what somebody might upload instead of a sheet."""

import csv
import io
import zipfile
from itertools import count

import pytest

from node.intake.rows import MalformedWorkbook, OversizeWorkbook
from node.intake.uploads import UPLOAD_ROWS_MAX, OversizeUpload, read_upload
from node.usecases.noting import UNDO_MS, shown_name
from node.usecases.uploading import UndoOver
from tests.support.registrars import newcomers, records_of, registrar, sheet

_numbers = count(1)
PAGE = "/desk/issue/sheet"


@pytest.mark.asyncio(loop_scope="session")
async def test_a_sheet_is_planned_confirmed_and_the_same_again_issues_nothing(made):
    visitor, session = await registrar(made, "sheets-a")
    one, two = await newcomers(made, 2)
    content = sheet([f"{one},dough,2026-05-01,", f"{two},dough,2026年5月2日,", "nobody,dough,2026-05-01,"])
    sent = await visitor.upload(PAGE, content, "五月.csv")
    assert sent.status == 303
    told = (await visitor.get(sent.location)).text
    assert "确认登记 2 条" in told
    assert "LLN" not in told
    assert "没有找到这个学习者" in told
    assert not await records_of(made, one), "nothing is issued before it is confirmed"
    done = await visitor.post(sent.location)
    assert done.status == 303
    assert "已登记 2 条" in (await visitor.get(done.location)).text
    assert [len(await records_of(made, number)) for number in (one, two)] == [1, 1]
    twice = await visitor.post(sent.location, page="/account")
    assert (twice.status, "LLN-1142" in twice.text) == (422, True)
    again = await visitor.upload(PAGE, content, "五月.csv")
    assert "没有可以登记的新内容" in (await visitor.get(again.location)).text
    assert (await visitor.post(again.location, page="/account")).status == 303
    [latest, first] = await made.home.node.uploading.latest(session.person, 5)
    assert (len(latest.records), len(first.records)) == (0, 2)
    doings = await made.home.node.noting.latest("", 50)
    assert ("issue_sheet", first.id) in {(one.state, one.about) for one in doings}


@pytest.mark.asyncio(loop_scope="session")
async def test_undoing_takes_back_what_the_upload_issued_and_nothing_else(made):
    visitor, session = await registrar(made, "sheets-b")
    one, two, three = await newcomers(made, 3)
    await made.home.ask(
        "credit.issue",
        rows=[{"row": 1, "student_number": one, "achievement": "dough", "achieved_on": "2026-05-01"}],
        by="王老师",
        apply=True,
    )
    [before] = await records_of(made, one)
    worth = {one: "", two: "", three: "3"}
    content = sheet([f"{number},dough,2026-05-01,{amount}" for number, amount in worth.items()])
    sent = await visitor.upload(PAGE, content, "五月.csv")
    done = await visitor.post(sent.location)
    [theirs] = await records_of(made, three)
    await made.home.ask("credit.correct", id=theirs.id, reason="学分写错", by="王老师", amount=200)
    path = done.location.partition("?")[0]
    without = await visitor.post(path, {"reason": ""})
    assert (without.status, "请写明撤销理由" in without.text) == (422, True)
    undone = await visitor.post(path, {"reason": "文件传错了"})
    assert undone.status == 303
    told = (await visitor.get(undone.location)).text
    assert "已撤销 1 条" in told
    assert "有 1 条没有撤销" in told
    assert [record.state for record in await records_of(made, one)] == ["active"]
    [revoked] = await records_of(made, two)
    assert (revoked.state, revoked.note) == ("revoked", "文件传错了")
    assert {record.state for record in await records_of(made, three)} == {"superseded", "active"}
    assert before.id == (await records_of(made, one))[0].id
    twice = await visitor.post(path, {"reason": "再来一次"}, page="/account")
    assert (twice.status, "撤销的时间已过" in twice.text) == (422, True)
    right = await visitor.upload(PAGE, sheet([f"{two},dough,2026-05-01,1.5"]), "改正.csv")
    assert "确认登记 1 条" in (await visitor.get(right.location)).text, "an undone row can be issued put right"
    assert (await visitor.post(right.location)).status == 303
    assert sorted(record.state for record in await records_of(made, two)) == ["active", "revoked"]
    assert {one.state for one in await made.home.node.uploading.latest(session.person, 5)} == {"undone", "issued"}


@pytest.mark.asyncio(loop_scope="session")
async def test_a_plain_revocation_is_never_issued_again(made):
    visitor, _ = await registrar(made, "sheets-c")
    [one] = await newcomers(made, 1)
    content = sheet([f"{one},dough,2026-05-01,"])
    sent = await visitor.upload(PAGE, content, "五月.csv")
    await visitor.post(sent.location)
    [record] = await records_of(made, one)
    await made.home.ask("credit.step", id=record.id, step="revoke", reason="作弊", by="王老师")
    again = await visitor.upload(PAGE, content, "五月.csv")
    assert "没有可以登记的新内容" in (await visitor.get(again.location)).text


@pytest.mark.asyncio(loop_scope="session")
async def test_undoing_ends_with_its_window_and_belongs_to_whoever_issued(made, monkeypatch):
    visitor, _ = await registrar(made, "sheets-d")
    other, _ = await registrar(made, "sheets-e")
    [one] = await newcomers(made, 1)
    sent = await visitor.upload(PAGE, sheet([f"{one},dough,2026-05-01,"]), "五月.csv")
    assert (await other.get(sent.location)).status == 422, "another registrar's sheet is not shown"
    assert (await other.get(f"{sent.location}/refused.csv")).status == 422
    done = await visitor.post(sent.location)
    path = done.location.partition("?")[0]
    assert (await other.get(path)).status == 404
    assert (await other.post(path, {"reason": "x"}, page="/account")).status == 404
    uploading = made.home.node.uploading
    now_ms = uploading._clock.now_ms() + UNDO_MS + 1

    class Later:
        def now_ms(self):
            return now_ms

    monkeypatch.setattr(uploading, "_clock", Later())
    late = await visitor.post(path, {"reason": "太迟"})
    assert (late.status, "撤销的时间已过" in late.text) == (422, True)
    assert [record.state for record in await records_of(made, one)] == ["active"]


@pytest.mark.asyncio(loop_scope="session")
async def test_the_rows_that_come_back_are_text_to_a_spreadsheet(made):
    visitor, _ = await registrar(made, "sheets-f")
    hostile = ('"=HYPERLINK(""http://evil.example"")",dough,2026-05-01,', "@SUM(A1),dough,没有,", "＝1+1,dough,五月,x")
    content = sheet(hostile)
    sent = await visitor.upload(PAGE, content, "坏.csv")
    answer = await visitor.get(f"{sent.location}/refused.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    [head, *rows] = list(csv.reader(io.StringIO(answer.text.lstrip("\ufeff"))))
    assert head == ["学号", "学习成果", "取得日期", "学分", "原因 reason", "行 row"]
    assert len(rows) == 3
    for row in rows:
        assert not [cell for cell in row if cell.startswith(("=", "+", "-", "@", "＝", "\t"))], row
    assert "没有" in rows[1][2]


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("name", ["../../etc/passwd.csv", "..\\..\\x.csv", "/etc/cron.d/x.csv", "a\x00b.csv", ""])
async def test_the_name_of_a_file_leads_nowhere(made, name):
    assert not set(shown_name(name)) & set("/\\\x00")
    visitor, _ = await registrar(made, f"sheets-n{next(_numbers)}")
    [one] = await newcomers(made, 1)
    sent = await visitor.upload(PAGE, sheet([f"{one},dough,2026-05-01,"]), name.replace("\x00", ""))
    if not name:
        assert (sent.status, "请先选择一个文件" in sent.text) == (422, True)
        return
    done = await visitor.post(sent.location)
    told = (await visitor.get(done.location)).text
    assert ".." not in told.partition("<main")[2].partition("</main")[0]


def bomb(unpacked_bytes):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"<workbook/>")
        with archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as part:
            for _ in range(unpacked_bytes // 1_000_000):
                part.write(b" " * 1_000_000)
    return packed.getvalue()


@pytest.mark.asyncio(loop_scope="session")
async def test_a_zip_bomb_is_refused_before_it_unfolds(made):
    content = bomb(200_000_000)
    assert len(content) < 300_000
    with pytest.raises(OversizeWorkbook):
        read_upload(content, "x.xlsx")
    visitor, _ = await registrar(made, "sheets-z")
    answer = await visitor.upload(PAGE, content, "x.xlsx")
    assert (answer.status, "展开后过大" in answer.text) == (422, True)


def test_a_bomb_that_lies_about_its_size_unfolds_no_further_than_it_says():
    honest = bomb(100_000_000)
    at = honest.rindex(b"PK\x01\x02")
    lying = honest[: at + 24] + (1_000).to_bytes(4, "little") + honest[at + 28 :]
    with pytest.raises(MalformedWorkbook):
        read_upload(lying, "x.xlsx")


def test_too_many_rows_and_bytes_are_refused():
    with pytest.raises(OversizeUpload):
        read_upload(sheet([f"{at},dough,2026-05-01," for at in range(UPLOAD_ROWS_MAX + 1)]), "x.csv")
    with pytest.raises(OversizeUpload):
        read_upload(b"x" * 2_000_001, "x.csv")


NO_SHEETS = [b"", b"%PDF-1.7", b"PK\x03\x04broken", b"\xff\xfe\x00", b'{"a":1}\n', b"a,b\n1,2\n"]


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("content", NO_SHEETS)
async def test_what_is_no_sheet_is_told_so(made, content):
    visitor, _ = await registrar(made, f"sheets-x{next(_numbers)}")
    answer = await visitor.upload(PAGE, content, "x.csv")
    assert answer.status == 422
    assert 'role="alert"' in answer.text


@pytest.mark.asyncio(loop_scope="session")
async def test_an_upload_cut_off_is_undone_as_far_as_it_went_and_an_undoing_goes_on(made):
    _, session = await registrar(made, "sheets-cut")
    uploading, person = made.home.node.uploading, session.person
    row = await uploading.begin(person, "断.csv", planned=2)
    await uploading.issued(row.id, ("a", "b"))
    begun = await uploading.begin_undo(person, row.id, "断电")
    assert (begun.state, begun.records) == ("undoing", ("a", "b"))
    assert (await uploading.finish(row.id)).state == "undoing", "what is being undone is never issued again"
    await uploading.revoked(row.id, ("a",), ended=False)
    again = await uploading.begin_undo(person, row.id, "断电")
    assert (again.state, again.revoked) == ("undoing", ("a",))
    assert (await uploading.revoked(row.id, ("b",), ended=True)).state == "undone"
    with pytest.raises(UndoOver):
        await uploading.begin_undo(person, row.id, "又一次")
