"""Ruling: conversion rules are published, adopted, found; and those that other nodes publish become known here.

What lives here: rules in this node's `credits` log, and those read from the logs of others that are held here. What
must not: reading a file (`federation/rule_toml.py`), applying rules (`weighing.py`).
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from federation import canonical, credit_log
from federation.conversion_rules import ConversionRule, digest_of, is_valid_on, read_rule, write_rule
from federation.credit_log import MalformedCreditEntry, RulePublished
from federation.errors import Conflict, InvalidInput, LlnError, NotFound
from federation.logs import LogId
from federation.naming import NodeName, is_within
from federation.rule_cycles import find_gain_cycle
from federation.rule_toml import read_rule_toml
from node.desk.rules import (
    RuleNamed,
    RulePublishAsked,
    Rules,
    RulesAsked,
    RulesFound,
    RuleShown,
    RulesSought,
    RuleTold,
)
from node.ports import Clock, CreditPeers, Randomness, Store, Transaction
from node.ports.crediting import RuleRow
from node.usecases.recording import make_salts

READ_AT_ONCE: Final = 500
FIND_TIMEOUT_S: Final = 3.0
FOUND_MAX: Final = 100


class RuleUnknown(NotFound):
    code = "LLN-1299"
    zh = "没有这条转换规则或这个版本。请用 lln rule list 或 lln rule find 查看。"
    en = "There is no such conversion rule or version. Look it up with lln rule list or lln rule find."


class RuleOfAnother(InvalidInput):
    code = "LLN-1189"
    zh = "规则文件里的 authority 不是本节点。本节点只能发布自己的规则；采用别处的规则请用 lln rule adopt。"
    en = "The rule's authority is another node. Publish rules of this node's own; to take one over, use lln rule adopt."


class VersionTaken(Conflict):
    code = "LLN-1347"
    zh = "这个版本已经发布，不能再改。请把 version 加一再发布。"
    en = "That version is published and never changes. Publish the change under the next version."


class RulesMultiply(Conflict):
    code = "LLN-1348"
    zh = "这条规则与现有规则首尾相接会使学分越换越多，没有发布。请降低其中的折算比例。"
    en = "With rules that hold here, this one would multiply credits around a circle. Lower one of the ratios named."


class Ruling:
    """The one writer of rules, this node's own and those it reads in others' logs."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        randomness: Randomness,
        own_name: NodeName,
        root: NodeName,
        peers: CreditPeers,
    ) -> None:
        self._store = store
        self._clock = clock
        self._randomness = randomness
        self._own_name = own_name
        self._root = root
        self._peers = peers
        self._log = LogId(origin=own_name, topic=credit_log.TOPIC)

    # --- what our people ask -----------------------------------------------------------------------------------------

    async def publish(self, asked: RulePublishAsked) -> RuleTold:
        """Read a rule, check it beside those that hold here, and publish it; the same version again changes nothing.

        Raises UnreadableRule, RuleOfAnother, VersionTaken, RulesMultiply.
        """
        rule = read_rule_toml(asked.toml.encode())
        if rule.authority != self._own_name:
            raise RuleOfAnother(rule.reference, f"authority = {rule.authority}, here {self._own_name}")
        if asked.apply:
            return await self._store.write(lambda tx: self._publish(tx, rule, "own"))
        return await self._store.read(lambda tx: self._judged(tx, rule))

    async def adopt(self, asked: RuleNamed) -> RuleTold:
        """Publish another's rule as this node's own, under its name; raises RuleUnknown, and as `publish`.

        Logs travel upwards, so a rule of an authority above, or of another branch, is asked of the root.
        """
        try:
            theirs = await self._store.read(lambda tx: read_rule(_find(tx, asked).document))
        except RuleUnknown as unknown:
            theirs = await self._from_root(asked, unknown)
        return await self._store.write(lambda tx: self._adopt(tx, theirs))

    async def list_rules(self, asked: RulesAsked) -> Rules:
        def unit(tx: Transaction) -> list[RuleRow]:
            shelf = tx.credits.rules
            if asked.authority:
                return list(shelf.of(asked.authority, asked.after, asked.limit + 1))
            return list(shelf.all(asked.after, asked.limit + 1))

        rows = await self._store.read(unit)
        told = [told_of(row) for row in rows[: asked.limit]]
        if asked.as_of:
            told = [
                one for row, one in zip(rows, told, strict=False) if is_valid_on(read_rule(row.document), asked.as_of)
            ]
        last = rows[: asked.limit][-1].id if rows else ""
        return Rules(rules=tuple(told), more=len(rows) > asked.limit, after=last)

    async def show(self, asked: RuleNamed) -> RuleShown:
        row = await self._store.read(lambda tx: _find(tx, asked))
        return shown_of(row)

    async def find(self, asked: RulesSought) -> RulesFound:
        """Rules of the whole network: asked of the root, whose copies of the logs hold all of them, else found here."""
        if self._own_name != self._root:
            try:
                found = await self._peers.find_rules(self._root, asked.text, asked.limit, timeout_s=FIND_TIMEOUT_S)
                return RulesFound(rules=_read_found(found), answered_by=self._root)
            except LlnError as unreachable:
                lacking = f"{self._root}: {unreachable.zh} {unreachable.en}"
                return RulesFound(rules=await self._found_here(asked), answered_by=self._own_name, lacking=lacking)
        return RulesFound(rules=await self._found_here(asked), answered_by=self._own_name)

    async def _from_root(self, asked: RuleNamed, unknown: RuleUnknown) -> ConversionRule:
        """Raises `unknown` where the root has no such rule either, and what keeps it from answering."""
        if self._own_name == self._root:
            raise unknown
        found = _read_found(await self._peers.find_rules(self._root, asked.id, FOUND_MAX, timeout_s=FIND_TIMEOUT_S))
        fits = [
            one
            for one in found
            if (one.told.authority, one.told.id) == (asked.authority, asked.id)
            and asked.version in (None, one.told.version)
        ]
        if not fits:
            raise unknown
        return read_rule(bytes(max(fits, key=lambda one: one.told.version).rule))

    # --- what others ask, and what their logs say --------------------------------------------------------------------

    async def answer(self, text: str, limit: int) -> Sequence[bytes]:
        """The documents of rules kept here that a search finds, for another node."""
        return [bytes(one.rule) for one in await self._found_here(RulesSought(text=text, limit=limit))]

    async def catch_up(self) -> int:
        """Read what has been added to `credits` logs held here since last time; how many rules that brought.

        Where it has come to is noted in the transaction that keeps the rules, so a crash repeats a page at most.
        """
        brought = 0
        for log in await self._store.read(_credits_logs):
            if log.origin != self._own_name:
                brought += await self._read_log(log)
        return brought

    async def _read_log(self, log: LogId) -> int:
        brought = 0
        while True:
            added, more = await self._store.write(lambda tx: self._read_page(tx, log))
            brought += added
            if not more:
                return brought

    def _read_page(self, tx: Transaction, log: LogId) -> tuple[int, bool]:
        note = f"rules read {log.origin_line}"
        noted = tx.notes.get(note)
        start = int(noted) if noted else 0
        entries = tx.logs.entries(log, start, READ_AT_ONCE)
        rows = [row for entry in entries if entry.document and (row := self._known_row(log, entry.document))]
        tx.credits.rules.put(rows)
        if entries:
            tx.notes.put(note, b"%d" % (start + len(entries)))
        return len(rows), len(entries) == READ_AT_ONCE

    def _known_row(self, log: LogId, document: bytes) -> RuleRow | None:
        try:
            entry = credit_log.read_entry(document)
            if not isinstance(entry, RulePublished):
                return None
            rule = read_rule(entry.document)
        except (MalformedCreditEntry, InvalidInput):
            return None  # it stands in their log as they wrote it; nobody can use it
        if rule.authority != log.origin:
            return None
        return self._row(rule, "known")

    # --- units -------------------------------------------------------------------------------------------------------

    def _publish(self, tx: Transaction, rule: ConversionRule, state: str) -> RuleTold:
        told = self._judged(tx, rule)
        if told.change == "same":
            return told
        salt = make_salts(self._randomness, 1)[0]
        entry = RulePublished(
            issuer=self._own_name, at_ms=self._clock.now_ms(), salt=salt, rule=msgspec.json.decode(write_rule(rule))
        )
        index = tx.logs.append(self._log, [canonical.encode(entry)])
        row = self._row(rule, state)
        tx.credits.rules.put([row])
        return msgspec.structs.replace(told_of(row), change="new", log_index=index)

    def _judged(self, tx: Transaction, rule: ConversionRule) -> RuleTold:
        """What publishing would come to; raises VersionTaken, RulesMultiply."""
        row = self._row(rule, "own")
        held = tx.credits.rules.get(row.id)
        if held is not None:
            if held.sha256 != row.sha256:
                raise VersionTaken(rule.reference)
            return msgspec.structs.replace(told_of(held), change="same")
        others = [one for one in _rules_that_hold(tx, self._own_name) if one.id != rule.id]
        cycle = find_gain_cycle((*others, rule))
        if cycle is not None:
            raise RulesMultiply(rule.reference, str(cycle))
        return msgspec.structs.replace(told_of(row), state="draft", change="new")

    def _adopt(self, tx: Transaction, theirs: ConversionRule) -> RuleTold:
        versions = tx.credits.rules.of(self._own_name)
        mine = [rule for row in versions if (rule := read_rule(row.document)).id == theirs.id]
        ours = msgspec.structs.replace(theirs, authority=self._own_name, version=len(mine) + 1)
        same = next((one for one in mine if _but_version(one) == _but_version(ours)), None)
        return self._publish(tx, same or ours, "adopted")

    def _row(self, rule: ConversionRule, state: str) -> RuleRow:
        return RuleRow(
            id=rule_key(rule.authority, rule.id, rule.version),
            owner=rule.authority,
            state=state,  # type: ignore[arg-type]  # one of three words of this module
            document=write_rule(rule),
            sha256=digest_of(rule),
            at_ms=self._clock.now_ms(),
        )

    async def _found_here(self, asked: RulesSought) -> tuple[RuleShown, ...]:
        wanted = _folded(asked.text).split()

        def unit(tx: Transaction) -> list[RuleRow]:
            found = []
            for row in _all(tx):
                if all(word in _folded(row.document.decode()) for word in wanted):
                    found.append(row)
                if len(found) == asked.limit:
                    break
            return found

        return tuple(shown_of(row) for row in await self._store.read(unit))


def rule_key(authority: str, identifier: str, version: int) -> str:
    return f"{authority}/{identifier}@{version:07}"


def told_of(row: RuleRow) -> RuleTold:
    rule = read_rule(row.document)
    return RuleTold(
        authority=rule.authority,
        id=rule.id,
        version=rule.version,
        title=rule.title,
        valid_from=rule.valid_from,
        valid_until=rule.valid_until,
        sha256=row.sha256,
        state=row.state,
    )


def shown_of(row: RuleRow) -> RuleShown:
    return RuleShown(told=told_of(row), rule=msgspec.Raw(row.document))


def _find(tx: Transaction, asked: RuleNamed) -> RuleRow:
    if asked.version is not None:
        row = tx.credits.rules.get(rule_key(asked.authority, asked.id, asked.version))
    else:
        of_id = [row for row in tx.credits.rules.of(asked.authority) if read_rule(row.document).id == asked.id]
        row = of_id[-1] if of_id else None
    if row is None:
        raise RuleUnknown(f"{asked.authority}/{asked.id}", "" if asked.version is None else f"version {asked.version}")
    return row


def _all(tx: Transaction) -> Iterator[RuleRow]:
    after = ""
    while rows := tx.credits.rules.all(after):
        yield from rows
        after = rows[-1].id


def _rules_that_hold(tx: Transaction, own_name: NodeName) -> Iterable[ConversionRule]:
    return [read_rule(row.document) for row in _all(tx) if is_within(own_name, row.owner)]


def _credits_logs(tx: Transaction) -> list[LogId]:
    return [stored.log for stored in tx.logs.all() if stored.log.topic == credit_log.TOPIC]


def _but_version(rule: ConversionRule) -> ConversionRule:
    return msgspec.structs.replace(rule, version=1)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _read_found(found: Sequence[bytes]) -> tuple[RuleShown, ...]:
    """Rules that another node has found: each is read whole, and one that cannot be read is left out."""
    shown = []
    for document in found:
        try:
            rule = read_rule(document)
        except InvalidInput:
            continue
        row = RuleRow(
            id=rule_key(rule.authority, rule.id, rule.version),
            owner=rule.authority,
            state="known",
            document=document,
            sha256=digest_of(rule),
            at_ms=0,
        )
        shown.append(shown_of(row))
    return tuple(shown)
