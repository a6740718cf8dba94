"""A resource's way through import, review, publication and withdrawal, on a real store."""

import itertools

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from federation import canonical
from federation.catalogue import (
    CRITERIA,
    DOCUMENT_BYTES_MAX,
    BilingualLine,
    BilingualProse,
    CatalogueEntry,
    Resource,
    ResourcePublished,
    ResourceWithdrawn,
    ShareScope,
)
from federation.checkpoints import sign_checkpoint
from federation.keys import KeyInMemory
from federation.logs import LogId
from federation.naming import NodeName
from node.desk import (
    ImportAsked,
    ImportRow,
    ResourceNamed,
    ResourcesAsked,
    ResourcesNamed,
    ReviewAsked,
    WithdrawAsked,
)
from node.ports import ResourceRow
from node.storage.sqlite_store import open_sqlite
from node.usecases import publishing
from node.usecases.importing import RESOURCE_BYTES_MAX, Importing
from node.usecases.publishing import SCOPE_NARROWED, Publishing, ResourceUnknown
from node.usecases.recording import TRANSITIONS, after

ROOT = NodeName("lln.internal")
SCHOOL = NodeName("shequ.jiulongpo.chongqing.lln.internal")
KEY = KeyInMemory(b"\7" * 32)
LOG = LogId(origin=SCHOOL, topic="catalogue")
STATES = ("pending", "returned", "reviewed", "published", "withdrawn")
STEPS = ("change", "approve", "return", "publish", "withdraw")
ALL = ResourcesAsked(limit=1_000)


class SteadyClock:
    def __init__(self):
        self._ticks = itertools.count(1_000)

    def now_ms(self):
        return next(self._ticks)

    def monotonic_s(self):
        return 0.0

    async def sleep(self, seconds):
        return


class CountedRandomness:
    def __init__(self):
        self._count = itertools.count()

    def token(self, size_bytes):
        return b"".join(next(self._count).to_bytes(16, "big") for _ in range(-(-size_bytes // 16)))[:size_bytes]

    def fraction(self):
        return 0.5


class School:
    def __init__(self, store):
        clock = SteadyClock()
        self.store = store
        self.importing = Importing(store=store, clock=clock, own_name=SCHOOL, root=ROOT)
        self.publishing = Publishing(
            store=store, clock=clock, randomness=CountedRandomness(), own_name=SCHOOL, root=ROOT
        )

    async def bring(self, *resources, author="lin", apply=True):
        rows = tuple(ImportRow(row=number, resource=resource) for number, resource in enumerate(resources, 2))
        return (await self.importing.import_resources(ImportAsked(rows=rows, author=author, apply=apply))).rows

    async def judge(self, *ids, reviewer="wang", approve=True, criteria=CRITERIA, remark=""):
        asked = ReviewAsked(ids=ids, reviewer=reviewer, approve=approve, criteria=criteria, remark=remark)
        return (await self.publishing.review(asked)).outcomes

    async def publish(self, *ids):
        return (await self.publishing.publish(ResourcesNamed(ids=ids))).outcomes

    async def withdraw(self, resource_id, reason="rights", case_id="case-1"):
        asked = WithdrawAsked(id=resource_id, reason=reason, case_id=case_id)
        return (await self.publishing.withdraw(asked)).outcomes[0]

    async def offer(self, resource):
        await self.bring(resource)
        await self.judge(resource.id)
        return (await self.publish(resource.id))[0]

    async def row(self, resource_id):
        return await self.publishing.show(ResourceNamed(id=resource_id))

    async def entries(self):
        stored = await self.store.read(lambda tx: tx.logs.entries(LOG, 0, 10_000))
        return [canonical.decode(e.document, CatalogueEntry, bytes_max=DOCUMENT_BYTES_MAX) for e in stored]


@pytest.fixture
async def school(tmp_path):
    async with open_sqlite(
        tmp_path / "node.db",
        own_node=LOG.origin,
        seal=lambda head: sign_checkpoint(head.checkpoint(), KEY),
        now_ms=lambda: 1,
    ) as store:
        yield School(store)


def course(resource_id="a-1", title="木雕入门", **fields):
    return Resource(
        id=resource_id,
        title=BilingualLine(zh=title),
        **{"type": "online_course", "section": "hobbies_interests"} | fields,
    )


# --- the table of states ---------------------------------------------------------------------------------------------


async def _put(school, state, *, published):
    review_of = course(title="旧版") if published else None
    row = ResourceRow(
        id="a-1",
        resource=course(version=3),
        state=state,
        author="lin",
        review=None,
        published=review_of,
        log_index=0 if published else None,
        updated_at_ms=1,
    )
    if state in ("reviewed", "published"):
        await school.store.write(lambda tx: tx.resources.put([msgspec.structs.replace(row, state="pending")]))
        await school.judge("a-1")
        row = msgspec.structs.replace(await school.row("a-1"), state=state)
    await school.store.write(lambda tx: tx.resources.put([row]))
    return row


async def _take(school, step):
    match step:
        case "change":
            await school.bring(course(title="又一版"))
        case "approve":
            await school.judge("a-1")
        case "return":
            await school.judge("a-1", approve=False, remark="补充学时")
        case "publish":
            await school.publish("a-1")
        case "withdraw":
            await school.withdraw("a-1")


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("step", STEPS)
async def test_every_step_from_every_state_goes_where_the_table_says_or_nowhere(school, state, step, published):
    before = await _put(school, state, published=published)
    await _take(school, step)
    row = await school.row("a-1")
    expected = after(state, step)
    if expected is None or (step == "withdraw" and not published):
        assert row == before
        assert await school.entries() == []
    else:
        assert row.state == expected


def test_the_table_names_only_states_and_steps_that_exist():
    assert {state for state, _ in TRANSITIONS} | set(TRANSITIONS.values()) == set(STATES)
    assert {step for _, step in TRANSITIONS} == set(STEPS)
    assert all((state, "change") in TRANSITIONS for state in STATES)
    assert [state for state, step in TRANSITIONS if step == "publish"] == ["reviewed"]


# --- whose it is, and which version was looked at --------------------------------------------------------------------


async def test_only_their_own_are_changed_where_that_is_asked_and_listed_by_author(school):
    await school.bring(course("a-1"), course("a-3"), author="lin")
    rows = (ImportRow(row=2, resource=course("a-1", title="改")), ImportRow(row=3, resource=course("a-2")))
    asked = ImportAsked(rows=rows, author="he", apply=True, own_alone=True)
    told = (await school.importing.import_resources(asked)).rows
    assert [row.change for row in told] == ["refused", "add"]
    assert (await school.row("a-1")).author == "lin"
    listed = await school.publishing.list_resources(ResourcesAsked(author="lin", limit=1))
    assert ([row.id for row in listed.rows], listed.more) == (["a-1"], True)
    await school.bring(course("a-1", title="改"), author="he")
    after_it = await school.publishing.list_resources(ResourcesAsked(author="he"))
    assert [row.id for row in after_it.rows] == ["a-1", "a-2"]


async def test_a_version_that_has_changed_since_it_was_looked_at_is_not_judged(school):
    await school.bring(course())
    await school.bring(course(title="又一版"))
    seen = ReviewAsked(ids=("a-1",), reviewer="wang", approve=True, criteria=CRITERIA, versions=(1,))
    assert [one.state for one in (await school.publishing.review(seen)).outcomes] == ["refused"]
    assert (await school.row("a-1")).state == "pending"
    now = msgspec.structs.replace(seen, versions=(2,))
    assert [one.state for one in (await school.publishing.review(now)).outcomes] == ["reviewed"]


# --- import ----------------------------------------------------------------------------------------------------------


async def test_a_plan_writes_nothing(school):
    plan = await school.bring(course("a-1"), course("a-2"), apply=False)
    assert [(row.row, row.id, row.change, row.title) for row in plan] == [
        (2, "a-1", "add", "木雕入门"),
        (3, "a-2", "add", "木雕入门"),
    ]
    assert (await school.publishing.list_resources(ALL)).rows == ()


@pytest.mark.parametrize("state", STATES)
async def test_importing_again_changes_nothing_whatever_the_state(school, state):
    before = await _put(school, state, published=True)
    plan = await school.bring(course("a-1", version=77), author="somebody else")
    assert [row.change for row in plan] == ["same"]
    assert await school.row("a-1") == before
    assert bool(plan[0].remedy_zh) == (state in ("withdrawn", "returned"))


async def test_an_update_returns_to_review_while_the_published_version_stays(school):
    await school.offer(course("a-1", hours=8))
    plan = await school.bring(course("a-1", title="木雕进阶", hours=9), author="zhao")
    assert (plan[0].change, plan[0].changed) == ("update", ("title", "hours"))
    row = await school.row("a-1")
    assert (row.state, row.author, row.review, row.resource.version) == ("pending", "zhao", None, 2)
    assert (row.published.version, row.published.hours, row.log_index) == (1, 8, 0)
    assert len(await school.entries()) == 1


async def test_the_file_does_not_choose_the_version(school):
    await school.bring(course("a-1", version=9))
    assert (await school.row("a-1")).resource.version == 1


async def test_a_repeated_id_in_one_request_is_refused_with_the_first_row(school):
    plan = await school.bring(course("a-1"), course("a-2"), course("a-1", title="另一门"))
    assert [row.change for row in plan] == ["add", "add", "refused"]
    assert "2" in plan[2].reason_zh
    assert "row 2" in plan[2].reason_en
    assert plan[2].remedy_zh
    assert (await school.row("a-1")).resource.title.zh == "木雕入门"


async def test_rows_that_carry_one_number_are_still_told_apart(school):
    rows = (ImportRow(row=5, resource=course("a-1")), ImportRow(row=5, resource=course("a-1", title="另一门")))
    plan = await school.importing.import_resources(ImportAsked(rows=rows, author="lin", apply=True))
    assert [row.change for row in plan.rows] == ["add", "refused"]


@pytest.mark.parametrize("ancestor", [str(SCHOOL), "jiulongpo.chongqing.lln.internal", "lln.internal"])
async def test_a_subtree_of_the_own_line_is_accepted(school, ancestor):
    plan = await school.bring(course(share_scope=ShareScope(reach="subtree", ancestor=ancestor)))
    assert plan[0].change == "add"


@pytest.mark.parametrize(
    "ancestor", ["zhejiang.lln.internal", "internal", "below." + str(SCHOOL), "qing.lln.internal", "other.example"]
)
async def test_a_subtree_of_somebody_else_is_refused(school, ancestor):
    plan = await school.bring(course(share_scope=ShareScope(reach="subtree", ancestor=ancestor)))
    assert plan[0].change == "refused"
    assert str(ROOT) in plan[0].remedy_en


@pytest.mark.parametrize(
    "resource",
    [
        course(title="  "),
        course(title="铃\u0007声"),
        course(title="\\\u0008"),
        course(title="半个\ud800"),
        course(description=BilingualProse(zh="😀" * 8_000, en="😀" * 8_000)),
    ],
)
async def test_what_no_log_could_carry_is_refused(school, resource):
    plan = await school.bring(resource, course("fine-1", title=r"路径 \u0007 C:\bin\f 说明" "\n第二行\t"))
    assert [row.change for row in plan] == ["refused", "add"]
    assert plan[0].reason_zh
    assert plan[0].remedy_en


async def test_the_largest_accepted_resource_fits_a_log_entry(school):
    resource = course(description=BilingualProse(zh="😀" * 8_000, en="x" * 8_000))
    room = RESOURCE_BYTES_MAX - len(canonical.encode(resource))
    resource = msgspec.structs.replace(
        resource, description=BilingualProse(zh="😀" * 8_000, en="x" * 8_000 if room < 0 else "😀" * 7_000)
    )
    outcome = await school.offer(resource)
    assert outcome.state == "published"
    (entry,) = await school.entries()
    assert len(canonical.encode(entry)) <= DOCUMENT_BYTES_MAX


async def test_nobody_is_not_an_author(school):
    assert (await school.bring(course(), author="   "))[0].change == "refused"


# --- review ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reviewer", ["lin", "LIN", " Lin ", "ｌｉｎ", "l in"])
@pytest.mark.parametrize("approve", [True, False])
async def test_an_author_never_reviews_their_own_work(school, reviewer, approve):
    await school.bring(course())
    (outcome,) = await school.judge("a-1", reviewer=reviewer, approve=approve, remark="好")
    assert outcome.state == "refused"
    assert "作者" in outcome.reason_zh
    assert (await school.row("a-1")).state == "pending"


@pytest.mark.parametrize("missing", CRITERIA)
async def test_approval_takes_all_seven_criteria(school, missing):
    await school.bring(course())
    (outcome,) = await school.judge("a-1", criteria=tuple(c for c in CRITERIA if c != missing))
    assert outcome.state == "refused"
    assert missing in outcome.reason_en


async def test_criteria_named_twice_are_recorded_once(school):
    await school.bring(course())
    await school.judge("a-1", criteria=CRITERIA * 3)
    assert (await school.row("a-1")).review.criteria == CRITERIA


@pytest.mark.parametrize("reviewer", [" ", "\t"])
async def test_nobody_is_not_a_reviewer(school, reviewer):
    await school.bring(course())
    assert (await school.judge("a-1", reviewer=reviewer))[0].state == "refused"


async def test_a_return_says_why(school):
    await school.bring(course())
    assert (await school.judge("a-1", approve=False, remark="  "))[0].state == "refused"
    assert (await school.judge("a-1", approve=False, remark="请补充学时"))[0].state == "returned"
    row = await school.row("a-1")
    assert (row.remark, row.review) == ("请补充学时", None)
    await school.bring(course(hours=3))
    assert ((await school.row("a-1")).state, (await school.row("a-1")).remark) == ("pending", "")


async def test_each_id_of_a_request_stands_on_its_own(school):
    await school.bring(course("a-1"), course("a-2"))
    await school.bring(course("b-1"), author="wang")
    outcomes = await school.judge("a-1", "nowhere", "b-1", "a-2", "a-1")
    assert [(outcome.id, outcome.state) for outcome in outcomes] == [
        ("a-1", "reviewed"),
        ("nowhere", "missing"),
        ("b-1", "refused"),
        ("a-2", "reviewed"),
    ]


# --- publication and withdrawal --------------------------------------------------------------------------------------


async def test_only_reviewed_versions_enter_the_log(school):
    await school.bring(course("a-1"), course("a-2"), course("a-3"))
    await school.judge("a-1", "a-3")
    await school.judge("a-2", approve=False, remark="重写")
    await school.bring(course("a-3", hours=5))
    outcomes = await school.publish("a-1", "a-2", "a-3", "a-4")
    assert [outcome.state for outcome in outcomes] == ["published", "refused", "refused", "missing"]
    (entry,) = await school.entries()
    assert isinstance(entry, ResourcePublished)
    assert (entry.publisher, entry.resource.id, entry.review.reviewer) == (SCHOOL, "a-1", "wang")
    assert entry.review.criteria == CRITERIA


async def test_every_entry_has_a_salt_of_its_own(school):
    ids = [f"a-{n}" for n in range(20)]
    await school.bring(*(course(resource_id) for resource_id in ids))
    await school.judge(*ids)
    outcomes = await school.publish(*ids)
    assert [outcome.log_index for outcome in outcomes] == list(range(20))
    entries = await school.entries()
    assert [entry.resource.id for entry in entries] == ids
    assert len({entry.salt for entry in entries}) == 20


async def test_a_narrower_scope_withdraws_the_wider_version_first(school):
    await school.offer(course("a-1"))
    await school.bring(course("a-1", share_scope=ShareScope(reach="siblings")), course("a-2"))
    await school.judge("a-1", "a-2")
    outcomes = await school.publish("a-1", "a-2")
    assert [outcome.log_index for outcome in outcomes] == [2, 3]
    first, left, again, other = await school.entries()
    assert isinstance(left, ResourceWithdrawn)
    assert (left.id, left.version, left.share_scope) == ("a-1", 1, first.resource.share_scope)
    assert (left.reason, left.case_id) == (SCOPE_NARROWED, "share-scope-v2")
    assert (again.resource.version, again.resource.share_scope.reach) == (2, "siblings")
    assert other.resource.id == "a-2"
    assert (await school.row("a-1")).log_index == 2


async def test_a_wider_scope_withdraws_nothing(school):
    await school.offer(course("a-1", share_scope=ShareScope(reach="node")))
    await school.offer(course("a-1", share_scope=ShareScope(reach="network")))
    assert [type(entry) for entry in await school.entries()] == [ResourcePublished] * 2


async def test_a_withdrawal_speaks_of_what_is_in_the_catalogue(school):
    await school.offer(course("a-1", share_scope=ShareScope(reach="siblings")))
    await school.bring(course("a-1", title="没审过的新版"))
    outcome = await school.withdraw("a-1", reason="版权到期", case_id="2024-7")
    assert (outcome.state, outcome.log_index) == ("withdrawn", 1)
    left = (await school.entries())[1]
    assert (left.id, left.version, left.share_scope.reach) == ("a-1", 1, "siblings")
    assert (left.reason, left.case_id) == ("版权到期", "2024-7")
    row = await school.row("a-1")
    assert (row.published, row.resource.title.zh) == (None, "木雕入门")


async def test_what_was_withdrawn_comes_back_as_a_reviewed_update(school):
    await school.offer(course("a-1"))
    await school.withdraw("a-1")
    assert (await school.withdraw("a-1")).state == "refused"
    outcome = await school.offer(course("a-1", title="木雕入门（修订）"))
    assert (outcome.state, outcome.log_index) == ("published", 2)
    assert (await school.entries())[2].resource.version == 2


async def test_what_never_was_published_cannot_be_withdrawn(school):
    await school.bring(course("a-1"))
    assert (await school.withdraw("a-1")).state == "refused"
    assert (await school.withdraw("a-2")).state == "missing"
    assert await school.entries() == []


async def test_a_refused_publication_leaves_the_log_alone(school):
    assert [outcome.state for outcome in await school.publish("a-1")] == ["missing"]
    assert await school.store.read(lambda tx: tx.logs.get(LOG)) is None


async def test_resources_are_listed_by_state_and_page(school):
    await school.bring(*(course(f"a-{n}") for n in range(5)))
    await school.judge("a-1", "a-3")
    reviewed = await school.publishing.list_resources(ResourcesAsked(states=("reviewed",)))
    assert ([row.id for row in reviewed.rows], reviewed.more) == (["a-1", "a-3"], False)
    page = await school.publishing.list_resources(ResourcesAsked(after="a-1", limit=2))
    assert ([row.id for row in page.rows], page.more) == (["a-2", "a-3"], True)
    with pytest.raises(ResourceUnknown):
        await school.row("nowhere")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from(("node", "siblings", "network"))), max_size=12),
    run=st.uuids(),
)
async def test_the_log_only_ever_holds_versions_that_somebody_else_reviewed(school, steps, run):
    resource_id = f"r-{run}"
    for number, (step, reach) in enumerate(steps):
        if step == "change":
            await school.bring(course(resource_id, title=f"第{number}版", share_scope=ShareScope(reach=reach)))
        elif step in ("approve", "return"):
            await school.judge(resource_id, approve=step == "approve", remark="看过")
        elif step == "publish":
            await school.publish(resource_id)
        else:
            await school.withdraw(resource_id)
    live = None
    for entry in await school.entries():
        if isinstance(entry, ResourceWithdrawn):
            if entry.id == resource_id:
                assert (live.version, live.share_scope) == (entry.version, entry.share_scope)
                live = None
        elif entry.resource.id == resource_id:
            assert live is None or entry.resource.version > live.version
            assert entry.review.reviewer != "lin"
            live = entry.resource
    rows = await school.store.read(lambda tx: tx.resources.many([resource_id]))
    assert live == (rows[resource_id].published if rows else None)


async def test_resources_are_found_by_part_of_a_title_page_by_page(school, monkeypatch):
    monkeypatch.setattr(publishing, "READ_AT_ONCE", 2)
    titled = {"a-1": "太极拳 入门", "a-2": "插花", "a-3": "ＴＡＩ chi", "a-4": "太极\u3000拳进阶", "a-5": "太极拳三"}
    await school.bring(*(course(one, title=title) for one, title in titled.items()))

    async def found(text, **asked):
        listed = await school.publishing.list_resources(ResourcesAsked(text=text, **asked))
        return [row.id for row in listed.rows], listed.more

    assert await found("太极拳") == (["a-1", "a-4", "a-5"], False)
    assert await found("太极拳", limit=2) == (["a-1", "a-4"], True)
    assert await found("太极拳", after="a-4", limit=2) == (["a-5"], False)
    assert await found("tai C") == (["a-3"], False)
    assert await found("太极拳", states=("published",)) == ([], False)
    assert await found("   ") == (list(titled), False)
    assert await found("%") == ([], False)
