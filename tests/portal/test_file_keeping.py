"""How files are kept: within limits, through a stop at any step, in backups, and no longer than they are wanted."""

import asyncio
import hashlib
import io
import re
import zipfile

import pytest

from node.backups import back_up_home, restore_home
from node.checking import check_home
from node.host.kept_files import KeptFiles, StagedFile
from node.portal.visits import SESSION
from node.usecases.filing import FileLimits, FilesOfTheDay
from tests.support.live_nodes import until
from tests.support.offering import a_pdf, filing_of, keep, offer, offered
from tests.support.portal_world import A_PDF, FILE_FORM, PASSWORD, approve
from tests.support.web_client import Visitor

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_who_has_offered_a_file_stands_in_the_audit_trail(visitor_of):
    resource_id, _ = await offered(visitor_of("learner"), "留痕", a_pdf("trail"))
    trail = (await visitor_of("auditor").get("/audit.json")).text
    assert re.search(rf'"state":"offer_file","name":"[^"]*","about":"{resource_id} [0-9a-f]{{16}}"', trail), trail[
        :2_000
    ]


async def test_a_person_offers_so_many_files_a_day_and_no_more(made):
    node, person = made.home.node, made.people["contributor"].person
    few = filing_of(node, FileLimits(file_bytes=1_000_000, total_bytes=10**9, per_day=2))
    for at in range(2):
        await keep(few, person, a_pdf(f"day {at}"))
    with pytest.raises(FilesOfTheDay):
        await few.stage(person)
    other = await few.stage(made.people["learner"].person)
    await other.discard()
    await node.filing.sweep()


class NearlyFull(KeptFiles):
    async def free_bytes(self):
        return 1_000


class FullDisk(KeptFiles):
    """Has room until it is written to, as a disk has that fills up meanwhile: Linux's own /dev/full."""

    async def stage(self):
        return StagedFile(self.place("f" * 64), open("/dev/full", "wb", buffering=0))  # noqa: ASYNC230, PTH123  # closed by it


@pytest.mark.parametrize("why", ["no room on the disk", "a disk that fills up", "no room within the limit"])
async def test_where_there_is_no_room_it_says_so_and_loses_nothing(made, visitor_of, monkeypatch, why):
    filing = made.home.node.filing
    if why == "no room on the disk":
        monkeypatch.setattr(filing, "_folder", NearlyFull(made.home.node.home.files))
    elif why == "a disk that fills up":
        monkeypatch.setattr(filing, "_folder", FullDisk(made.home.node.home.files))
    else:
        monkeypatch.setattr(filing, "limits", FileLimits(file_bytes=10**6, total_bytes=len(A_PDF), per_day=10))
    answer = await offer(visitor_of("learner"), "没有空间", a_pdf("no room"))
    assert (answer.status, "空间已满" in answer.text, 'value="没有空间"' in answer.text) == (422, True, True)
    assert (await visitor_of().get(made.file)).status == 200


async def test_a_stop_at_any_step_leaves_orphans_that_the_next_start_removes(made, visitor_of):
    """Between file and row, and between row and resource: nobody can open either, and the sweep takes both."""
    node, person = made.home.node, made.people["contributor"].person
    half = await node.filing.stage(person)
    await half.write(b"%PDF-half")
    without_row = await keep(node.filing, person, a_pdf("no row"))
    without_version = await keep(node.filing, person, a_pdf("no version"))
    await node.filing.tie(person, "nowhere", without_version)
    assert (await visitor_of("reviewer").get(f"/file/{without_version.digest}/nowhere")).status == 404

    after = filing_of(node, node.filing.limits)
    left = {half.path.name, without_row.digest, without_version.digest}
    assert left <= {one.name for one in node.home.files.iterdir()}
    running = asyncio.create_task(after.run())

    async def gone():
        return not left & {one.name for one in node.home.files.iterdir()}

    await until(gone, "the sweep")
    running.cancel()
    assert await after.of("nowhere", without_version.digest) is None
    assert (await visitor_of().get(made.file)).status == 200


async def test_whoever_leaves_takes_along_what_was_not_published(made, visitor_of):
    node = made.home.node
    there = await made.home.ask(
        "learner.register", written={"name": "走了", "student_number": "F-9", "birth_date": "1960-01-01"}
    )
    _, token = await node.staffing.invite("leaving", "走了", ("learner",), learner=there.id)
    set_up = await node.staffing.set_up(token, login="leaving", name="走了", password=PASSWORD)
    visitor = Visitor(made.address, {SESSION: (await node.signing_in.begin(set_up.person, "sign_in")).token})
    shown, shown_path = await offered(visitor, "留下的", a_pdf("stays"))
    await approve(made, shown)
    changed = await visitor.upload(
        f"/contribute/correct/{shown}", a_pdf("draft"), "b.pdf", {**FILE_FORM, "title": "改"}
    )
    assert changed.status == 303
    waiting, path = await offered(visitor, "带走的", a_pdf("goes"))
    exported = await made.home.ask("learner.export", learner=there.id)
    with zipfile.ZipFile(io.BytesIO(exported.archive)) as archive:
        assert path.split("/")[2].encode() in archive.read("offers.json")
    told = await visitor.post("/my/data/erase", page="/my/data")
    assert "未入库的资源和文件：2" in told.text
    gone = await visitor.post("/my/data/erase", {"word": "注销"}, page="/my/data")
    assert gone.location == "/goodbye", gone.text
    names = {one.name for one in node.home.files.iterdir()}
    drafts = {path.split("/")[2], hashlib.sha256(a_pdf("draft")).hexdigest()}
    assert not names & drafts
    listed = {row.id: row.state for row in (await made.home.ask("resource.list", limit=1_000)).rows}
    assert (waiting in listed, listed[shown]) == (False, "published")
    assert (await visitor_of().get(shown_path)).status == 200


async def test_a_backup_brings_files_back_and_a_check_names_those_that_are_missing(made, tmp_path):
    home, digest = made.home.node.home, made.file.split("/")[2]
    await made.home.node.filing.sweep()
    told = await back_up_home(home.path, tmp_path / "home.backup", "a phrase of many words")
    assert told.counts["files"] >= 1
    assert told.counts["files_missing"] == 0
    restored = tmp_path / "restored"
    await asyncio.to_thread(restore_home, restored, tmp_path / "home.backup", lambda: "a phrase of many words")
    assert (restored / "files" / digest).read_bytes() == A_PDF
    assert (restored / "files" / digest).stat().st_mode & 0o777 == 0o600
    assert await severities(restored) == ["good", "notice"]
    (restored / "files" / digest).unlink()
    assert await severities(restored) == ["fault", "notice"]


async def severities(home):
    found = []
    async for one in check_home(home):
        if one.step == "files":
            found.append(one.severity)
        if one.step == "certificate":
            break
    return found


async def test_a_damaged_or_missing_file_is_left_out_of_a_backup_and_counted(made, visitor_of, tmp_path):
    _, path = await offered(visitor_of("contributor"), "坏了的", a_pdf("damaged"))
    place = made.home.node.home.files / path.split("/")[2]
    place.write_bytes(b"something else")
    told = await back_up_home(made.home.node.home.path, tmp_path / "home.backup", None)
    assert told.counts["files_missing"] == 1
    place.unlink()
    faults = [one for one in (await made.home.ask("node.status")).findings if one.step == "files"]
    assert [one.severity for one in faults] == ["fault", "notice"]
    lost = await visitor_of("reviewer").get(path)
    assert (lost.status, "LLN-1674" in lost.text) == (503, True)
    place.write_bytes(a_pdf("damaged"))
