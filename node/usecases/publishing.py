"""Publishing: a resource is reviewed, enters the catalogue, and leaves it again.

What lives here: review by somebody other than the author, and the entries of this node's catalogue log. What must not:
new or changed descriptions (`importing.py`), or copying the log to other nodes (`forwarding.py`).
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final

import msgspec

from federation import catalogue
from federation.catalogue import (
    CRITERIA,
    CatalogueEntry,
    Resource,
    ResourcePublished,
    ResourceWithdrawn,
    Review,
    narrows,
)
from federation.errors import NotFound
from federation.logs import LogId
from federation.naming import NodeName
from federation.spellings import is_spelled_alike, plain
from node.desk import (
    ResourceNamed,
    ResourceOutcome,
    ResourceOutcomes,
    Resources,
    ResourcesAsked,
    ResourcesNamed,
    ReviewAsked,
    WithdrawAsked,
)
from node.ports import Clock, Randomness, ResourceRow, ResourceState, Store, Transaction
from node.usecases.recording import Refusal, ReviewStep, after, append_documents, make_salts

SCOPE_NARROWED: Final = "share scope narrowed"
READ_AT_ONCE: Final = 500

_STATE_ZH: Final[dict[ResourceState, str]] = {
    "pending": "待审核",
    "returned": "已退回",
    "reviewed": "已审核",
    "published": "已入库",
    "withdrawn": "已出库",
}
_STEP_ZH: Final[dict[ReviewStep, str]] = {
    "change": "修改",
    "approve": "通过审核",
    "return": "退回",
    "publish": "入库",
    "withdraw": "出库",
}
_STEP_EN: Final[dict[ReviewStep, str]] = {
    "change": "changed",
    "approve": "approved",
    "return": "returned",
    "publish": "published",
    "withdraw": "withdrawn",
}
_OWN_WORK: Final = Refusal(
    zh="审核人不能是作者本人，请换一位同事审核。", en="An author never reviews their own work; ask a colleague."
)
_REVIEWER_MISSING: Final = Refusal(zh="没有写明审核人。", en="The reviewer is not named.")
_CRITERIA_MISSING: Final = Refusal(
    zh="通过审核须确认全部七项标准：政治性、导向性、科学性、适用性、规范性、时效性、公益性。",
    en=f"Approval confirms all seven criteria: {', '.join(CRITERIA)}.",
)
_REMARK_MISSING: Final = Refusal(
    zh="退回时请写明意见，作者才知道改什么。", en="Say in a remark what the author should change."
)
_CHANGED_SINCE: Final = Refusal(
    zh="您打开页面之后作者又改过，没有记录您的决定。请看过新的版本再审核。",
    en="The author has changed it since you opened the page; nothing is decided. Look at the new version first.",
)
_NOTHING_PUBLISHED: Final = Refusal(
    zh="目录中没有它的版本，无可出库。", en="No version of it is in the catalogue, so there is nothing to withdraw."
)


class ResourceUnknown(NotFound):
    code = "LLN-1230"
    zh = "本节点没有这个编号的资源。请用 lln resource list 查看。"
    en = "This node has no resource with that id. Look it up with lln resource list."


class Publishing:
    """The one writer of this node's catalogue log, and of every step of a resource after its import."""

    def __init__(
        self, *, store: Store, clock: Clock, randomness: Randomness, own_name: NodeName, root: NodeName
    ) -> None:
        self._store = store
        self._clock = clock
        self._randomness = randomness
        self._own_name = own_name
        self._root = root
        self._log = LogId(origin=own_name, topic=catalogue.TOPIC)

    async def review(self, asked: ReviewAsked) -> ResourceOutcomes:
        """Approve pending resources, all seven criteria met, or return them with a remark; each id on its own."""
        ids = _without_repeats(asked.ids)
        return await self._store.write(lambda tx: self._review(tx, ids, asked))

    async def publish(self, asked: ResourcesNamed) -> ResourceOutcomes:
        """Enter reviewed versions in the catalogue log, in the order asked, as one unit.

        A crash leaves log entries and states together or neither. Where the share scope narrows, the earlier version
        is withdrawn under its old scope first: copies beyond the new scope would live on otherwise.
        """
        ids = _without_repeats(asked.ids)
        return await self._store.write(lambda tx: self._publish(tx, ids))

    async def withdraw(self, asked: WithdrawAsked) -> ResourceOutcomes:
        """Take what is in the catalogue out of it, with a reason and a case id; a waiting update is dropped with it."""
        return await self._store.write(lambda tx: self._withdraw(tx, asked))

    async def show(self, asked: ResourceNamed) -> ResourceRow:
        """One of this node's own resources; raises ResourceUnknown."""
        row = await self._store.read(lambda tx: tx.resources.get(asked.id))
        if row is None:
            raise ResourceUnknown(asked.id)
        return row

    async def list_resources(self, asked: ResourcesAsked) -> Resources:
        """What this node itself offers, by id, those after `asked.after`."""

        def unit(tx: Transaction) -> Sequence[ResourceRow]:
            if asked.author:
                return tx.resources.of(asked.author, asked.after, asked.limit + 1)
            if asked.text.strip():
                return tuple(islice(_titled(tx, asked), asked.limit + 1))
            return tx.resources.list(asked.states, asked.after, asked.limit + 1)

        rows = await self._store.read(unit)
        return Resources(rows=tuple(rows[: asked.limit]), more=len(rows) > asked.limit)

    def _review(self, tx: Transaction, ids: Sequence[str], asked: ReviewAsked) -> ResourceOutcomes:
        now_ms = self._clock.now_ms()
        review = Review(reviewer=asked.reviewer.strip(), criteria=CRITERIA, at_ms=now_ms)
        looked_at = dict(zip(asked.ids, asked.versions, strict=False))
        changed: list[ResourceRow] = []

        def judge(row: ResourceRow) -> ResourceOutcome:
            refusal = _review_refusal(row, asked, looked_at.get(row.id))
            if refusal is not None:
                return _refused(row.id, refusal)
            reviewed = msgspec.structs.replace(
                row,
                state="reviewed" if asked.approve else "returned",
                review=review if asked.approve else None,
                remark=asked.remark,
                updated_at_ms=now_ms,
            )
            changed.append(reviewed)
            return ResourceOutcome(id=row.id, state=reviewed.state, log_index=row.log_index)

        outcomes = _each(tx, ids, judge)
        tx.resources.put(changed)
        return outcomes

    def _publish(self, tx: Transaction, ids: Sequence[str]) -> ResourceOutcomes:
        now_ms = self._clock.now_ms()
        salts = iter(make_salts(self._randomness, 2 * len(ids)))
        grown = tx.logs.get(self._log)
        size = grown.head.size if grown else 0
        entries: list[CatalogueEntry] = []
        changed: list[ResourceRow] = []

        def enter(row: ResourceRow) -> ResourceOutcome:
            state = after(row.state, "publish")
            if state is None or row.review is None:
                return _refused(row.id, _not_from(row.state, "publish"))
            if row.published is not None and self._narrows(row.published, row.resource):
                case_id = f"share-scope-v{row.resource.version}"
                entries.append(
                    self._withdrawal(row.published, SCOPE_NARROWED, case_id, now_ms=now_ms, salt=next(salts))
                )
            entries.append(
                ResourcePublished(
                    publisher=self._own_name,
                    resource=row.resource,
                    review=row.review,
                    published_at_ms=now_ms,
                    salt=next(salts),
                )
            )
            log_index = size + len(entries) - 1
            changed.append(
                msgspec.structs.replace(
                    row, state=state, published=row.resource, log_index=log_index, updated_at_ms=now_ms
                )
            )
            return ResourceOutcome(id=row.id, state=state, log_index=log_index)

        outcomes = _each(tx, ids, enter)
        self._record(tx, entries, changed, size)
        return outcomes

    def _withdraw(self, tx: Transaction, asked: WithdrawAsked) -> ResourceOutcomes:
        now_ms = self._clock.now_ms()
        row = tx.resources.get(asked.id)
        if row is None:
            return ResourceOutcomes(outcomes=(_missing(asked.id),))
        state = after(row.state, "withdraw")
        if state is None:
            return ResourceOutcomes(outcomes=(_refused(row.id, _not_from(row.state, "withdraw")),))
        if row.published is None:
            return ResourceOutcomes(outcomes=(_refused(row.id, _NOTHING_PUBLISHED),))
        salt = make_salts(self._randomness, 1)[0]
        entry = self._withdrawal(row.published, asked.reason, asked.case_id, now_ms=now_ms, salt=salt)
        log_index = append_documents(tx, self._log, [entry])
        withdrawn = msgspec.structs.replace(
            row,
            resource=row.published,
            state=state,
            remark=asked.reason,
            published=None,
            log_index=log_index,
            updated_at_ms=now_ms,
        )
        tx.resources.put([withdrawn])
        return ResourceOutcomes(outcomes=(ResourceOutcome(id=row.id, state=state, log_index=log_index),))

    def _record(
        self, tx: Transaction, entries: Sequence[CatalogueEntry], changed: Sequence[ResourceRow], size: int
    ) -> None:
        if not entries:
            return
        first = append_documents(tx, self._log, entries)
        assert first == size, "the one writer read the log's size in this same unit"  # noqa: S101  # our own mistake
        tx.resources.put(changed)

    def _narrows(self, before: Resource, now: Resource) -> bool:
        return narrows(before.share_scope, now.share_scope, publisher=self._own_name, root=self._root)

    def _withdrawal(
        self, resource: Resource, reason: str, case_id: str, *, now_ms: int, salt: str
    ) -> ResourceWithdrawn:
        return ResourceWithdrawn(
            publisher=self._own_name,
            id=resource.id,
            version=resource.version,
            share_scope=resource.share_scope,
            reason=reason,
            case_id=case_id,
            withdrawn_at_ms=now_ms,
            salt=salt,
        )


def _each(tx: Transaction, ids: Sequence[str], step: Callable[[ResourceRow], ResourceOutcome]) -> ResourceOutcomes:
    rows = tx.resources.many(ids)
    return ResourceOutcomes(
        outcomes=tuple(step(rows[resource_id]) if resource_id in rows else _missing(resource_id) for resource_id in ids)
    )


def _review_refusal(row: ResourceRow, asked: ReviewAsked, looked_at: int | None) -> Refusal | None:
    step: ReviewStep = "approve" if asked.approve else "return"
    if after(row.state, step) is None:
        return _not_from(row.state, step)
    if looked_at not in (None, row.resource.version):
        return _CHANGED_SINCE
    if not asked.reviewer.strip():
        return _REVIEWER_MISSING
    if is_spelled_alike(row.author, asked.reviewer):
        return _OWN_WORK
    return _words_missing(asked)


def _words_missing(asked: ReviewAsked) -> Refusal | None:
    if asked.approve and not set(CRITERIA) <= set(asked.criteria):
        return _CRITERIA_MISSING
    if not asked.approve and not asked.remark.strip():
        return _REMARK_MISSING
    return None


def _titled(tx: Transaction, asked: ResourcesAsked) -> Iterator[ResourceRow]:
    """Those whose title has the text in it; what is offered here is read part by part."""
    sought, last = plain(asked.text), asked.after
    while rows := tx.resources.list(asked.states, last, READ_AT_ONCE):
        for row in rows:
            title = row.resource.title
            if sought in plain(title.zh) or sought in plain(title.en):
                yield row
        last = rows[-1].id


def _not_from(state: ResourceState, step: ReviewStep) -> Refusal:
    return Refusal(
        zh=f"当前为“{_STATE_ZH[state]}”，不能{_STEP_ZH[step]}。", en=f"It is {state}, so it cannot be {_STEP_EN[step]}."
    )


def _refused(resource_id: str, refusal: Refusal) -> ResourceOutcome:
    return ResourceOutcome(id=resource_id, state="refused", reason_zh=refusal.zh, reason_en=refusal.en)


def _missing(resource_id: str) -> ResourceOutcome:
    return ResourceOutcome(id=resource_id, state="missing", reason_zh=ResourceUnknown.zh, reason_en=ResourceUnknown.en)


def _without_repeats(ids: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(ids))
