"""Defining: what can be achieved at this institution, in immutable versions, and what it recognises of others.

What lives here: entries of this node's `credits` log that are in the open: achievements and recognitions. What must
not: records of learners (`crediting.py`), or rules (`ruling.py`).
"""

import uuid
from collections.abc import Sequence
from typing import Any

import msgspec

from federation import canonical, credit_log, recognitions
from federation.catalogue import BilingualLine
from federation.credit_log import AchievementDefined, RecognitionMade
from federation.credit_records import Achievement, RecordIssuer
from federation.errors import NotFound
from federation.logs import LogId
from federation.recognitions import RecognisedAchievement, Recognition
from node.desk.credits import (
    AchievementAsked,
    Achievements,
    AchievementsAsked,
    RecogniseAsked,
    Recognised,
)
from node.desk.credits import AchievementDefined as DefinedTold
from node.ports import Clock, Identity, Randomness, Store, Transaction
from node.ports.crediting import AchievementRow, RecognitionRow
from node.usecases.recording import make_salts


class AchievementUnknown(NotFound):
    code = "LLN-1294"
    zh = "本节点没有定义这项学习成果或这个版本。请用 lln achievement list 查看，或用 lln achievement define 定义。"
    en = "This node has not defined that achievement or version. lln achievement list shows them, define makes one."


class Defining:
    """The one writer of achievements and recognitions of this node."""

    def __init__(
        self, *, store: Store, clock: Clock, randomness: Randomness, identity: Identity, title: BilingualLine
    ) -> None:
        self._store = store
        self._clock = clock
        self._randomness = randomness
        self._identity = identity
        self._title = title
        self._log = LogId(origin=identity.name, topic=credit_log.TOPIC)

    async def define(self, asked: AchievementAsked) -> DefinedTold:
        """Define an achievement; the same definition again changes nothing, another one is the next version."""
        return await self._store.write(lambda tx: self._define(tx, asked))

    async def list_achievements(self, asked: AchievementsAsked) -> Achievements:
        rows = await self._store.read(lambda tx: tx.credits.achievements.all(asked.after, asked.limit + 1))
        shown = tuple(row.achievement for row in rows[: asked.limit])
        return Achievements(achievements=shown, more=len(rows) > asked.limit)

    async def recognise(self, asked: RecogniseAsked) -> Recognised:
        """Say in public that this node accepts another's achievement; signed, and an entry of the log."""
        now_ms = self._clock.now_ms()
        recognition = Recognition(
            id=f"urn:uuid:{uuid.UUID(bytes=self._randomness.token(16), version=4)}",
            issuer=RecordIssuer(did=self._identity.did, node=self._identity.name, title=self._title),
            of=RecognisedAchievement(id=asked.of, version=asked.version),
            comment=asked.remark,
            valid_from_ms=now_ms,
        )
        document = recognitions.issue(recognition, self._identity, now_ms)
        return await self._store.write(lambda tx: self._recognise(tx, recognition, document))

    def _define(self, tx: Transaction, asked: AchievementAsked) -> DefinedTold:
        identifier = achievement_id(self._identity.name, asked.code)
        newest = newest_version(tx, identifier)
        wanted = Achievement(
            id=identifier,
            version=newest.version if newest else 1,
            name=asked.name,
            kind=asked.kind,
            criteria=asked.criteria,
            level=asked.level,
            credits=asked.credits,
        )
        if newest == wanted:
            held = tx.credits.achievements.get(achievement_key(wanted.id, wanted.version))
            return DefinedTold(achievement=wanted, change="same", log_index=held.log_index if held else None)
        if newest is not None:
            wanted = msgspec.structs.replace(wanted, version=newest.version + 1)
        index = self._append(tx, AchievementDefined, achievement=wanted)
        row = AchievementRow(
            id=achievement_key(wanted.id, wanted.version),
            owner=wanted.id,
            achievement=wanted,
            log_index=index,
            at_ms=self._clock.now_ms(),
        )
        tx.credits.achievements.put([row])
        return DefinedTold(achievement=wanted, change="new", log_index=index)

    def _recognise(self, tx: Transaction, recognition: Recognition, document: bytes) -> Recognised:
        index = self._append(tx, RecognitionMade, recognition=msgspec.json.decode(document))
        row = RecognitionRow(id=recognition.id, document=document, log_index=index, at_ms=recognition.valid_from_ms)
        tx.credits.recognitions.put([row])
        return Recognised(id=recognition.id, document=document.decode(), log_index=index)

    def _append(self, tx: Transaction, kind: type[Any], **said: object) -> int:
        salt = make_salts(self._randomness, 1)[0]
        entry = kind(issuer=self._identity.name, at_ms=self._clock.now_ms(), salt=salt, **said)
        return tx.logs.append(self._log, [canonical.encode(entry)])


def achievement_id(node: str, code: str) -> str:
    """A code with a colon is an id already, which others award under, too: `certificate:postal-courier`."""
    return code if ":" in code else f"urn:lln:{node}:{code}"


def achievement_key(identifier: str, version: int) -> str:
    return f"{identifier}@{version:07}"


def newest_version(tx: Transaction, identifier: str) -> Achievement | None:
    versions: Sequence[AchievementRow] = tx.credits.achievements.of(identifier)
    return versions[-1].achievement if versions else None


def find_achievement(tx: Transaction, node: str, named: str, version: int | None) -> Achievement:
    """An achievement of this node by its id, or by its code; the newest version where none is said."""
    identifier = achievement_id(node, named)
    if version is None:
        found = newest_version(tx, identifier)
    else:
        row = tx.credits.achievements.get(achievement_key(identifier, version))
        found = row.achievement if row else None
    if found is None:
        raise AchievementUnknown(named[:200], "" if version is None else f"version {version}")
    return found
