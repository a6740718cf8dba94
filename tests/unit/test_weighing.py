"""Weighing: the rules that hold at a node are made ready once for each set of published versions."""

from datetime import date

from msgspec import structs

from federation.conversion_rules import digest_of, write_rule
from node.ports.crediting import RuleRow
from node.usecases.ruling import rule_key
from node.usecases.weighing import rule_book
from tests.support.conversions import SCHOOL, rule, source, target
from tests.support.stores import opened

TODAY = date(2026, 9, 15)


def row(given) -> RuleRow:
    key = rule_key(given.authority, given.id, given.version)
    return RuleRow(
        id=key, owner=given.authority, state="own", document=write_rule(given), sha256=digest_of(given), at_ms=1
    )


async def test_a_book_is_kept_until_a_version_is_published_that_holds_here(tmp_path):
    first = rule(id="kept", sources=(source(achievements=("x:1",)),), targets=(target(achievement="y:1"),))
    other = structs.replace(first, authority="elsewhere.lln.internal", version=3)
    second = structs.replace(first, version=2)

    async with opened(tmp_path / "node.db") as store:

        async def book_with(*given):
            await store.write(lambda tx: tx.credits.rules.put(list(map(row, given))))
            return await store.read(lambda tx: rule_book(tx, SCHOOL))

        before = await book_with(first)
        assert await book_with(first, other) is before
        after = await book_with(second)
        assert after is not before
        chosen = [[ready.rule.version for ready, _ in book.on(TODAY).rules] for book in (before, after)]
        assert chosen == [[1], [2]]
