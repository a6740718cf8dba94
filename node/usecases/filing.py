"""Filing: files that people offer with a resource are kept for as long as a version of it refers to them.

What lives here: how much is taken, of whom, what a file is tied to, and the sweep that removes what nothing refers to.
What must not: what a file is (`node/intake/file_kinds.py`), its bytes (`node/host/kept_files.py`), or who may open it,
which the page decides as it does for the resource.

The order is file, row, resource: a stop after the first leaves a file without a row, after the second a row that no
version refers to. Both are orphans, nobody can open them, and the sweep at the next start takes them away.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from federation.budgets import Allowance, Budgets
from federation.errors import InvalidInput, Unavailable
from node.desk import Finding
from node.ports import Clock, ResourceRow, Store, Transaction
from node.ports.files import FileFolder, FileRow, KeptFile, Staged, row_id
from node.ports.people import PersonRow
from node.usecases.noting import Noting

MEGABYTE: Final = 1_000_000
FILES_MAX: Final = 10_000
ROOM_LEFT_BYTES: Final = 100 * MEGABYTE
IN_HAND_MS: Final = 3_600_000
SWEEP_EVERY_S: Final = 3_600.0
_DAY_S: Final = 86_400
_PAGE: Final = 1_000


class FileTooLarge(InvalidInput):
    code = "LLN-1146"
    zh = "文件太大，没有收下。请压缩，或分成几份，或放到网盘等处后填写链接。"
    en = "The file is too large and was not kept. Make it smaller, split it, or put it elsewhere and give a link."


class FilesOfTheDay(InvalidInput):
    code = "LLN-1147"
    zh = "您今天提供的文件已到上限，没有收下。请明天再传，或填写链接。"
    en = "You have offered as many files as one may in a day. Send it tomorrow, or give a link."


class FilesFull(Unavailable):
    code = "LLN-1673"
    zh = "本节点存放文件的空间已满，文件没有收下，其他内容都在。请改填链接，或请系统管理员腾出空间。"
    en = "There is no room for more files; this one was not kept, all else is there. Give a link, or ask an operator."


class FileLimits(msgspec.Struct, frozen=True, kw_only=True):
    """`per_day`: files of one person, all at once and as many again within a day."""

    file_bytes: int
    total_bytes: int
    per_day: int


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """What a sweep removed, and which files that are referred to are not there."""

    rows: int
    files: int
    missing: tuple[str, ...]


class Filing:
    """The one writer of rows of files, and of what is in their folder."""

    def __init__(self, *, store: Store, clock: Clock, noting: Noting, folder: FileFolder, limits: FileLimits) -> None:
        self._store = store
        self._clock = clock
        self._noting = noting
        self._folder = folder
        self.limits = limits
        self._budgets = Budgets(Allowance(per_second=limits.per_day / _DAY_S, burst=float(limits.per_day)))
        self._in_hand: dict[str, tuple[int, str]] = {}
        self._one = asyncio.Lock()

    @property
    def takes_files(self) -> bool:
        return self.limits.total_bytes > 0

    async def stage(self, person: PersonRow) -> Staged:
        """Where a file of somebody comes in; raises FilesFull, FilesOfTheDay.

        What begins to come counts, whatever becomes of it: else one person could fill the disk with halves.
        """
        if not self.takes_files or await self._folder.free_bytes() < self.limits.file_bytes + ROOM_LEFT_BYTES:
            raise FilesFull("files", "the disk is nearly full")
        if not self._budgets.spend(person.id, self._clock.now_ms()):
            raise FilesOfTheDay(str(self.limits.per_day))
        return await self._folder.stage()

    async def keep(self, person: PersonRow, staged: Staged, *, name: str, media_type: str) -> KeptFile:
        """The file is durable when this returns, and nobody's yet. Raises FileTooLarge, FilesFull."""
        if staged.size > self.limits.file_bytes:
            raise FileTooLarge(name)
        now_ms = self._clock.now_ms()
        digest = await staged.finish()
        async with self._one:
            held = await self._folder.sizes()
            has_room = len(held) < FILES_MAX and sum(held.values()) + staged.size <= self.limits.total_bytes
            if digest not in held and not has_room:
                raise FilesFull("files", f"{len(held)} files")
            self._in_hand[digest] = now_ms, person.id
            await self._folder.keep(staged, digest)
        return KeptFile(digest=digest, bytes=staged.size, name=name, media_type=media_type)

    async def tie(self, person: PersonRow, resource_id: str, file: KeptFile) -> None:
        """A file is of a resource from now on; the version that refers to it is written after."""
        now_ms = self._clock.now_ms()
        row = FileRow(
            id=row_id(resource_id, file.digest),
            owner=resource_id,
            state=file.digest,
            name=file.name,
            media_type=file.media_type,
            bytes=file.bytes,
            person=person.id,
            at_ms=now_ms,
        )
        done = self._noting.row(person, "offer_file", about=f"{resource_id} {file.digest[:16]}")

        def unit(tx: Transaction) -> None:
            tx.people.files.put([row])
            tx.people.doings.put([done])

        self._in_hand[file.digest] = now_ms, person.id
        await self._store.write(unit)

    async def of(self, resource_id: str, digest: str | None) -> FileRow | None:
        """The file of a version of a resource; None where it has none of this node's."""
        if not digest:
            return None
        return await self._store.read(lambda tx: tx.people.files.get(row_id(resource_id, digest)))

    def place(self, row: FileRow) -> Path:
        return self._folder.place(row.state)

    # --- sweeping ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        await self._folder.clear()
        while True:
            await self.sweep()
            await self._clock.sleep(SWEEP_EVERY_S)

    async def findings(self, *, has_address: bool) -> list[Finding]:
        """What an operator should know of files; nothing where there are none."""
        wanted = await self._store.read(wanted_files)
        return file_findings(wanted, await self._folder.sizes(), has_address=has_address) if wanted else []

    async def sweep(self) -> Swept:
        """Remove rows that no version refers to, and files without a row, but for what somebody has in hand."""
        async with self._one:
            self._forget_old()
            spared = frozenset(self._in_hand)
            kept, dropped = await self._store.write(lambda tx: _sweep_rows(tx, spared))
            there = await self._folder.sizes()
            orphans = [digest for digest in there if digest not in kept and digest not in spared]
            await self._folder.drop(orphans)
            if dropped or orphans:
                await self._noting.note(None, "remove_files", about=f"{len(orphans)}")
        return Swept(rows=dropped, files=len(orphans), missing=tuple(sorted(kept - there.keys())))

    async def let_go(self, person: PersonRow) -> Swept:
        """Somebody leaves: what they have in hand is not wanted any more, and what is nobody's goes at once."""
        self._in_hand = {digest: one for digest, one in self._in_hand.items() if one[1] != person.id}
        return await self.sweep()

    def _forget_old(self) -> None:
        over_ms = self._clock.now_ms() - IN_HAND_MS
        self._in_hand = {digest: one for digest, one in self._in_hand.items() if one[0] > over_ms}


def wanted_files(tx: Transaction) -> frozenset[str]:
    """The digest of every file that a row refers to."""
    return frozenset(row.state for row in files_in(tx))


def file_findings(wanted: frozenset[str], there: Mapping[str, int], *, has_address: bool) -> list[Finding]:
    """Whether every file is there, and whether others can open them. What is nobody's, the node removes by itself."""
    if not wanted:
        return []
    missing, megabytes = len(wanted - there.keys()), sum(there.values()) // MEGABYTE
    if missing:
        first = Finding(
            step="files",
            severity="fault",
            zh=f"缺少 {missing} 个资源文件：请从旧机器或备份把 files 目录拷回来，文件名不要改。",
            en=f"{missing} offered files are missing: copy files/ back from the old machine or a backup as it is.",
            remedy="tar -xf BACKUP files",
        )
    else:
        zh, en = f"资源文件 {len(there)} 个，共 {megabytes} MB。", f"{len(there)} offered files, {megabytes} MB."
        first = Finding(step="files", severity="good", zh=zh, en=en)
    return [first] if has_address else [first, _NOT_OPEN_TO_OTHERS]


_NOT_OPEN_TO_OTHERS: Final = Finding(
    step="files",
    severity="notice",
    zh="网页没有公开地址，别的单位打不开这里的资源文件。",
    en="The pages have no public address: people elsewhere cannot open the files that are offered here.",
    remedy='portal.address = "https://…"',
)


def files_in(tx: Transaction) -> list[FileRow]:
    found: list[FileRow] = []
    while page := tx.people.files.all(found[-1].id if found else "", _PAGE):
        found += page
    return found


def refers(resource: ResourceRow | None, digest: str) -> bool:
    """Whether a version that is in the catalogue, or on its way there, has this file."""
    if resource is None:
        return False
    is_wanted = resource.state != "withdrawn" and resource.resource.sha256 == digest
    return is_wanted or (resource.published is not None and resource.published.sha256 == digest)


def _sweep_rows(tx: Transaction, spared: frozenset[str]) -> tuple[frozenset[str], int]:
    """Digests that are referred to after the sweep, and how many rows went."""
    rows = files_in(tx)
    resources = tx.resources.many(list({row.owner for row in rows}))
    kept = [row for row in rows if row.state in spared or refers(resources.get(row.owner), row.state)]
    for gone in {row.id for row in rows} - {row.id for row in kept}:
        tx.people.files.drop(gone)
    return frozenset(row.state for row in kept), len(rows) - len(kept)
