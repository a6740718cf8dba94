"""Backup and restore: everything that brings a lost machine back, in one file and out of it again.

What lives here: which files of a home belong in a backup, what its manifest says of them, and in which order they are
put in their places. What must not: the form of the file (`host/archives.py`), or what was said since the backup, which
the restored node fetches before it says anything (`usecases/continuing.py`).

A backup is taken by the command's own process beside the running node: SQLite gives it one consistent moment, no call
has to wait for it, and keys and passphrase go nowhere. It holds the private keys.
"""

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from config.settings import read_settings
from federation.errors import BrokenHome, Conflict, LlnError, NotAllowed
from federation.keys import NodeKey
from node.host.archives import (
    FORMAT,
    SALT_BYTES,
    Archive,
    BackupDamaged,
    BackupTooNew,
    Member,
    Sealed,
    member_of,
    open_archive,
    write_archive,
)
from node.host.clock import SystemClock, SystemRandomness
from node.host.homes import (
    PRIVATE_FILE,
    SHOWN_FILE,
    BackupNote,
    Home,
    HomeUnwritable,
    sync_folder,
    write_whole,
)
from node.host.identity import OwnIdentity
from node.host.kept_files import DIGEST
from node.host.key_files import (
    HomeOccupied,
    RestoreMark,
    keep_restore_mark,
    load_trust,
    open_identity,
    restore_mark,
)
from node.opening import open_node
from node.ports import Transaction
from node.storage import migrations
from node.storage.errors import BackupExists, DatabaseBroken, DiskFull, SchemaTooNew
from node.storage.locks import held_alone
from node.storage.sqlite_store import open_readonly
from node.usecases.filing import files_in

DATABASE: Final = "data/node.db"
FORMAT_WITH_FILES: Final = 2
"""What the manifest says where files that people offered are in the backup: programs that know none refuse it."""
FILES: Final = "files/"
_PRIVATE: Final = ("keys/ca.key", "keys/node.key", "keys/sealing.key")
_SHOWN: Final = ("config.toml", "trust/continues.json", "trust/former.json", "trust/chain.pem", "trust/root.pem")
_ORDER: Final = (*_PRIVATE, *_SHOWN, DATABASE)
"""As they are put in place: with the pinned root the home is enrolled, and the database comes last."""


class BackupByServer(NotAllowed):
    code = "LLN-1471"
    zh = (
        "本节点的数据在 PostgreSQL 中：请用 pg_dump 备份数据库，并另外妥善保存 config.toml、keys、trust 和 files 目录。"
    )
    en = "This node's data are in PostgreSQL: back them up with pg_dump, and keep config.toml, keys/, trust/, files/."


class DatabaseInPlace(Conflict):
    code = "LLN-1373"
    zh = "这里已有数据库，不会覆盖。请先把 data 目录移走(保留以便分析)，再恢复。"
    en = "There is a database here already, which is not overwritten. Move data/ away, and keep it, then restore."


class BackupUnwritable(BrokenHome):
    code = "LLN-1574"
    zh = "备份文件无法写到那里。请检查目录是否存在、是否可写。"
    en = "The backup cannot be written there. Check that the folder exists and can be written."


class LogTold(msgspec.Struct, frozen=True, kw_only=True):
    """How far a log had come when the backup was made; `root` in hex."""

    origin: str
    topic: str
    size: int
    root: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup is of, and what is in it."""

    format: int = FORMAT
    name: str
    root: str
    key: str
    schema: int
    at_ms: int
    counts: dict[str, int]
    logs: tuple[LogTold, ...]
    members: tuple[Member, ...]


class BackupMade(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    bytes: int
    at_ms: int
    is_sealed: bool
    counts: dict[str, int]


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    root: str
    backed_up_at_ms: int
    counts: dict[str, int]


# --- backup ----------------------------------------------------------------------------------------------------------


async def back_up_home(home_path: Path, target: Path, passphrase: str | None) -> BackupMade:
    """`lln backup`: write one new file with everything of the node but its index, while it runs or is stopped.

    Whole and durable when this returns; a crash leaves at most files beside it that end in `.part`, which the next one
    replaces. Raises BackupByServer, BackupExists, DatabaseBroken, HomeUnwritable and what opening a home raises.
    """
    home, clock, randomness = Home(home_path), SystemClock(), SystemRandomness()
    identity = open_identity(home, clock=clock, randomness=randomness)
    if read_settings(home.config).storage.postgres is not None:
        raise BackupByServer(identity.name)
    at_ms = clock.now_ms()
    with _beside(target) as (copy, part):
        async with open_readonly(home.database, own_node=identity.name) as readings:
            await readings.back_up(copy)
        manifest, sources = await _survey(home, identity, copy, at_ms)
        sealed = (Sealed(salt=randomness.token(SALT_BYTES)), passphrase) if passphrase is not None else None
        written_bytes = _write(part, manifest, identity, sources, sealed)
    note = BackupNote(at_ms=at_ms, path=str(target), bytes=written_bytes)
    write_whole(home.last_backup, msgspec.json.encode(note), mode=SHOWN_FILE)
    return BackupMade(
        path=str(target),
        bytes=written_bytes,
        at_ms=at_ms,
        is_sealed=passphrase is not None,
        counts=manifest.counts,
    )


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[tuple[Path, Path]]:
    """Two files beside `target` to work with: the copy of the database, and what becomes `target` at the end."""
    if target.exists():
        raise BackupExists(str(target), "not overwritten")
    copy, part = target.with_name(f"{target.name}.database"), target.with_name(f"{target.name}.part")
    with _files_in_words(target, BackupUnwritable):
        part.touch(mode=PRIVATE_FILE)  # that it cannot be is found out before the long work
        try:
            copy.unlink(missing_ok=True)
            yield copy, part
            part.replace(target)
            sync_folder(target.parent)
        finally:
            copy.unlink(missing_ok=True)
            part.unlink(missing_ok=True)


async def _survey(
    home: Home, identity: OwnIdentity, copy: Path, at_ms: int
) -> tuple[Manifest, list[tuple[Member, Path]]]:
    async with open_readonly(copy, own_node=identity.name) as readings:
        faults = await readings.faults()
        if faults:
            raise DatabaseBroken(str(home.database), faults[0])
        counts, logs = await readings.read(_facts)
        digests = await readings.read(_digests)
    sources = {path: home.path / path for path in (*_PRIVATE, *_SHOWN)} | {DATABASE: copy}
    told = [
        (member_of(path, source, is_private=path not in _SHOWN), source)
        for path, source in sources.items()
        if source.exists()
    ]
    files = _offered(home, digests)
    told += files
    if digests:
        counts |= {"files": len(files), "files_missing": len(digests) - len(files)}
    manifest = Manifest(
        format=FORMAT_WITH_FILES if files else FORMAT,
        name=identity.name,
        root=identity.root,
        key=identity.did,
        schema=len(migrations.for_sqlite()),
        at_ms=at_ms,
        counts=counts,
        logs=logs,
        members=tuple(member for member, _ in told),
    )
    return manifest, told


def _digests(tx: Transaction) -> tuple[str, ...]:
    return tuple(sorted({row.state for row in files_in(tx)}))


def _offered(home: Home, digests: tuple[str, ...]) -> list[tuple[Member, Path]]:
    """The files that rows refer to, each still what its name says; what is not is left out, and counted as missing."""
    found = []
    for digest in digests:
        source = home.files / digest
        if not source.is_file():  # withdrawn and swept since the copy of the database, or lost
            continue
        member = member_of(f"{FILES}{digest}", source, is_private=True)
        if member.sha256 == digest:
            found.append((member, source))
    return found


def _facts(tx: Transaction) -> tuple[dict[str, int], tuple[LogTold, ...]]:
    logs = tuple(
        LogTold(origin=stored.log.origin, topic=stored.log.topic, size=stored.head.size, root=stored.head.root().hex())
        for stored in tx.logs.all()
    )
    counts = {
        "logs": len(logs),
        "entries": sum(log.size for log in logs),
        "resources": sum(tx.resources.counts().values()),
        "standings": len(tx.standings.all()),
        "invites": len(tx.invites.all()),
    }
    return counts, logs


def _write(
    part: Path,
    manifest: Manifest,
    identity: OwnIdentity,
    sources: list[tuple[Member, Path]],
    sealed: tuple[Sealed, str] | None,
) -> int:
    """Durably; returns how many bytes."""
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    with os.fdopen(descriptor, "wb") as file:
        write_archive(file, msgspec.json.encode(manifest), identity, sources, sealed=sealed)
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


# --- restore ---------------------------------------------------------------------------------------------------------


def restore_home(home_path: Path, source: Path, ask_passphrase: Callable[[], str] | None) -> Restored:
    """`lln restore`: put the files of a backup in their places, in a home that is empty, or this node's without data.

    Everything is checked before anything is put in place. A crash leaves a home that does not start, and that the same
    command goes on with. Raises what `open_archive` raises, BackupTooNew, SchemaTooNew, HomeOccupied, DatabaseInPlace,
    BackupDamaged and HomeUnwritable.
    """
    home = Home(home_path)
    with open_archive(source, ask_passphrase) as archive:
        manifest = _read_manifest(archive)
        _check_free(home, manifest)
        home.make_folders()
        with (
            held_alone(home.database.with_name(f"{home.database.name}.lock")),
            _files_in_words(home_path, HomeUnwritable),
        ):
            shutil.rmtree(home.restoring, ignore_errors=True)
            home.restoring.mkdir(mode=0o700)
            staged = {member.path: home.restoring / member.path.replace("/", ".") for member in manifest.members}
            try:
                archive.extract(manifest.members, staged)
                _check_same_node(home, manifest, staged)
                _put_in_place(home, manifest, staged)
            finally:
                shutil.rmtree(home.restoring, ignore_errors=True)
    return Restored(name=manifest.name, root=manifest.root, backed_up_at_ms=manifest.at_ms, counts=manifest.counts)


async def catch_up_home(home_path: Path) -> None:
    """Fetch what the node has said since its backup, as its next start would; raises where nobody can be asked."""
    async with open_node(home_path):
        return


def _read_manifest(archive: Archive) -> Manifest:
    unverified = archive.unverified_manifest
    try:
        found = msgspec.json.decode(unverified, type=dict[str, msgspec.Raw])
        made_as = msgspec.json.decode(found.get("format", b"0"), type=int)
        if made_as > FORMAT_WITH_FILES:
            raise BackupTooNew("backup", f"format {made_as}, this program reads {FORMAT_WITH_FILES}")
        manifest = msgspec.json.decode(unverified, type=Manifest)
        archive.verify(NodeKey.parse(manifest.key))
    except (msgspec.MsgspecError, LlnError) as error:
        if isinstance(error, BrokenHome):
            raise
        raise BackupDamaged("manifest", str(error)[:200]) from error
    paths = [member.path for member in manifest.members]
    others = [member for member in manifest.members if member.path not in _ORDER]
    is_known = all(DIGEST.match(one.sha256) and one.path == f"{FILES}{one.sha256}" for one in others)
    if len(set(paths)) != len(paths) or not is_known or DATABASE not in paths:
        raise BackupDamaged("manifest", f"members {', '.join(paths)[:200]}")
    if manifest.schema > len(migrations.for_sqlite()):
        raise SchemaTooNew("backup", f"schema {manifest.schema}, this program knows {len(migrations.for_sqlite())}")
    return manifest


def _check_free(home: Home, manifest: Manifest) -> None:
    """Nothing here may be another node's, and no data may be here unless a restore left them."""
    trust = load_trust(home)
    if trust is not None:
        identity = open_identity(home, clock=SystemClock(), randomness=SystemRandomness())
        if (identity.name, identity.root, identity.did) != (manifest.name, manifest.root, manifest.key):
            raise HomeOccupied(str(home.path), f"it is {identity.name}, the backup is of {manifest.name}")
    mark = restore_mark(home)
    is_unfinished = mark is not None and not mark.is_complete
    if home.database.exists() and not is_unfinished:
        raise DatabaseInPlace(str(home.database))


def _check_same_node(home: Home, manifest: Manifest, staged: dict[str, Path]) -> None:
    """Keys and pinned root that are here already must be the ones in the backup; others are never overwritten."""
    here = {path: home.path / path for path in (*_PRIVATE, "trust/root.pem") if path in staged}
    for path, place in here.items():
        if place.exists() and place.read_bytes() != staged[path].read_bytes():
            raise HomeOccupied(str(place), f"another than that of {manifest.name} in the backup")


def _put_in_place(home: Home, manifest: Manifest, staged: dict[str, Path]) -> None:
    """Files that are here stay, for they are the same or, like a renewed chain, newer. The database is new."""
    mark = RestoreMark(backed_up_at_ms=manifest.at_ms, is_complete=False)
    keep_restore_mark(home, mark)
    for left in (f"{DATABASE}-wal", f"{DATABASE}-shm", DATABASE):
        (home.path / left).unlink(missing_ok=True)
    shutil.rmtree(home.index, ignore_errors=True)
    home.index.mkdir(mode=0o700)
    files = sorted(path for path in staged if path not in _ORDER)
    if files:
        home.files.mkdir(mode=0o700, exist_ok=True)
    for path in (*files, *_ORDER):
        place = home.path / path
        if path not in staged or place.exists():
            continue
        staged[path].chmod(SHOWN_FILE if path in _SHOWN else PRIVATE_FILE)
        descriptor = os.open(staged[path], os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        staged[path].replace(place)
        sync_folder(place.parent)
    keep_restore_mark(home, msgspec.structs.replace(mark, is_complete=True))


@contextlib.contextmanager
def _files_in_words(place: Path, unwritable: type[BrokenHome]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(str(place), error.strerror or "") from error
        raise unwritable(str(place), error.strerror or str(error)) from error
