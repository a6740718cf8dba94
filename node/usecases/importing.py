"""Importing: descriptions of resources come in from this institution's own people, as a plan and then for good.

What lives here: what an import would change, row by row, and writing it for review. What must not: reading files
(`node/intake`), review and publication (`publishing.py`).
"""

import re
from typing import Final

import msgspec

from federation import canonical
from federation.canonical import UnencodableValue
from federation.catalogue import DOCUMENT_BYTES_MAX, Resource
from federation.naming import NodeName, is_within, lineage
from node.desk import ImportAsked, ImportPlan, ImportRow, PlannedRow
from node.ports import Clock, ResourceRow, ResourceState, Store, Transaction
from node.usecases.recording import Refusal, after

RESOURCE_BYTES_MAX: Final = DOCUMENT_BYTES_MAX - 4_096
"""What publisher, review, salt and framing add to a resource in its published document stays below the difference."""

# In canonical bytes a control character is always an escape; line breaks and tabs are the three that text may hold.
_CONTROL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\(?:u00[01]|[bf])")

_SAME_STATE: Final[dict[ResourceState, Refusal]] = {
    "withdrawn": Refusal(
        zh="内容与已出库的版本相同，仍为出库状态。",
        en="It is the same as the version that was withdrawn, and stays withdrawn.",
        remedy_zh="要重新提供，请先修改内容再导入。",
        remedy_en="To offer it again, change the description and import it again.",
    ),
    "returned": Refusal(
        zh="内容与被退回的版本相同，仍为退回状态。",
        en="It is the same as the version that was returned, and stays returned.",
        remedy_zh="请按审核意见修改后再导入。",
        remedy_en="Change what the reviewer remarked on and import it again.",
    ),
}


class Importing:
    """The one writer of new and changed versions among this node's own resources."""

    def __init__(self, *, store: Store, clock: Clock, own_name: NodeName, root: NodeName) -> None:
        self._store = store
        self._clock = clock
        self._own_name = own_name
        self._root = root

    async def import_resources(self, asked: ImportAsked) -> ImportPlan:
        """Say what `asked` would change; with `apply`, also write it, whole or not at all.

        New and changed resources wait for review; what is already published stays in the catalogue meanwhile. A row
        that equals the version being worked on changes nothing, whatever its state, so a repeated import is harmless.
        """
        if asked.apply:
            return await self._store.write(lambda tx: self._apply(tx, asked))
        return await self._store.read(lambda tx: self._plan(tx, asked)[0])

    def _apply(self, tx: Transaction, asked: ImportAsked) -> ImportPlan:
        plan, rows = self._plan(tx, asked)
        tx.resources.put(rows)
        return plan

    def _plan(self, tx: Transaction, asked: ImportAsked) -> tuple[ImportPlan, list[ResourceRow]]:
        now_ms = self._clock.now_ms()
        held = tx.resources.many([row.resource.id for row in asked.rows])
        first_rows: dict[str, ImportRow] = {}
        planned: list[PlannedRow] = []
        written: list[ResourceRow] = []
        for row in asked.rows:
            first = first_rows.setdefault(row.resource.id, row)
            refusal = _repeated(first.row) if first is not row else self._refusal(row.resource, asked.author)
            known = held.get(row.resource.id)
            if refusal is None and asked.own_alone and known is not None and known.author != asked.author:
                refusal = _SOMEBODY_ELSES
            if refusal is not None:
                planned.append(_planned(row, "refused", refusal=refusal))
                continue
            plan, changed = _decide(row, known, author=asked.author, now_ms=now_ms)
            planned.append(plan)
            if changed is not None:
                written.append(changed)
        return ImportPlan(applied=asked.apply, rows=tuple(planned)), written

    def _refusal(self, resource: Resource, author: str) -> Refusal | None:
        """Why a resource may not enter at all: what its type alone cannot say."""
        if not author.strip():
            return _AUTHOR_MISSING
        if not (resource.title.zh.strip() or resource.title.en.strip()):
            return Refusal(
                zh="没有名称。",
                en="It has no title.",
                remedy_zh="请填写中文名称或英文名称。",
                remedy_en="Give a title in Chinese or in English.",
            )
        ancestor = resource.share_scope.ancestor
        if ancestor is not None and not self._is_on_own_line(NodeName(ancestor)):
            return Refusal(
                zh=f"共享范围“{ancestor}”不是本节点或其上级。",
                en=f"The share scope names {ancestor}, which is neither this node nor above it.",
                remedy_zh=f"subtree 只能是：{'、'.join(lineage(self._own_name, self._root))}。",
                remedy_en=f"A subtree is one of: {', '.join(lineage(self._own_name, self._root))}.",
            )
        return _unfit_text(resource)

    def _is_on_own_line(self, ancestor: NodeName) -> bool:
        return is_within(self._own_name, ancestor) and is_within(ancestor, self._root)


def _decide(
    row: ImportRow, held: ResourceRow | None, *, author: str, now_ms: int
) -> tuple[PlannedRow, ResourceRow | None]:
    if held is None:
        resource = msgspec.structs.replace(row.resource, version=1)
        added = ResourceRow(id=resource.id, resource=resource, state="pending", author=author, updated_at_ms=now_ms)
        return _planned(row, "add"), added
    changed = _changed_fields(held.resource, row.resource)
    if not changed:
        return _planned(row, "same", refusal=_SAME_STATE.get(held.state)), None
    state = after(held.state, "change")
    assert state is not None, "every state may change"  # noqa: S101  # our own table, walked by its test
    updated = msgspec.structs.replace(
        held,
        resource=msgspec.structs.replace(row.resource, version=held.resource.version + 1),
        state=state,
        author=author,
        review=None,
        remark="",
        updated_at_ms=now_ms,
    )
    return _planned(row, "update", changed=changed), updated


def _changed_fields(held: Resource, found: Resource) -> tuple[str, ...]:
    """The fields that differ; the version is ours to count and never the file's."""
    return tuple(
        name for name in Resource.__struct_fields__ if name != "version" and getattr(held, name) != getattr(found, name)
    )


def _planned(
    row: ImportRow, change: str, *, changed: tuple[str, ...] = (), refusal: Refusal | None = None
) -> PlannedRow:
    told = refusal or Refusal(zh="", en="")
    return PlannedRow(
        row=row.row,
        id=row.resource.id,
        change=change,  # type: ignore[arg-type]  # mypy widens the literals of the callers
        title=str(row.resource.title),
        changed=changed,
        reason_zh=told.zh,
        reason_en=told.en,
        remedy_zh=told.remedy_zh,
        remedy_en=told.remedy_en,
    )


def _repeated(first_row: int) -> Refusal:
    return Refusal(
        zh=f"编号与第 {first_row} 行相同。",
        en=f"The same id as row {first_row}.",
        remedy_zh="每个资源只保留一行，或给它自己的编号。",
        remedy_en="Keep one row for each resource, or give this one an id of its own.",
    )


def _unfit_text(resource: Resource) -> Refusal | None:
    try:
        encoded = canonical.encode(resource)
    except UnencodableValue:
        return _CHARACTERS
    if len(encoded) > RESOURCE_BYTES_MAX:
        return Refusal(
            zh=f"全部内容合计 {len(encoded)} 字节，超过 {RESOURCE_BYTES_MAX} 字节。",
            en=f"It is {len(encoded)} bytes in all; {RESOURCE_BYTES_MAX} are allowed.",
            remedy_zh="请缩短简介。",
            remedy_en="Shorten the description.",
        )
    return _CHARACTERS if _CONTROL.search(encoded) else None


_AUTHOR_MISSING: Final = Refusal(
    zh="没有写明作者。",
    en="The author is not named.",
    remedy_zh="请写明是谁提交的，审核人不能是同一人。",
    remedy_en="Say who submits it; the reviewer has to be somebody else.",
)
_SOMEBODY_ELSES: Final = Refusal(
    zh="这个资源已由别人提交过。",
    en="Somebody else has submitted this resource already.",
    remedy_zh="请先搜索看看；确实要改的，请联系审核员。",
    remedy_en="Search for it first; if it has to change, talk to a reviewer.",
)
_CHARACTERS: Final = Refusal(
    zh="含有控制字符或残缺的字符。",
    en="It holds control characters or half a character.",
    remedy_zh="请在原文件中重新输入这一行的文字。",
    remedy_en="Type the text of this row again in the original file.",
)
