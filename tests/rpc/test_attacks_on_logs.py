"""A school that signs and sends what it should not: over real calls, its county refuses it and keeps what it had."""

import msgspec
import pytest

from federation.checkpoints import sign_checkpoint
from federation.errors import LlnError
from federation.keys import KeyInMemory
from federation.logs import Entry, LogHead, LogId, Page, append
from federation.merkle import leaf_hash
from federation.naming import NodeName
from node.rpc.channels import RefusedByPeer
from tests.support.live_nodes import ROOT, network, until

COUNTY = NodeName(f"county.{ROOT}")
SCHOOL = NodeName(f"school-a.{COUNTY}")
GOOD = NodeName(f"school-b.{COUNTY}")
LOG = LogId(origin=SCHOOL, topic="catalogue")
FIRST, SECOND = b'{"forged":1}', b'{"forged":2}'


class Liar:
    """The school's own log and key, in the hands of somebody who means ill."""

    def __init__(self, node, held):
        self.signer = node.identity
        self.head = held.head
        self.note = held.note

    def page(self, entries, signed, *, start=None, signer=None):
        """A page of `entries` under a checkpoint over the log so far and `signed`."""
        grown = append(self.head, signed).head
        note = sign_checkpoint(grown.checkpoint(), signer or self.signer)
        return Page(
            log=LOG,
            start=self.head.size if start is None else start,
            entries=tuple(map(Entry.full, entries)),
            checkpoint_note=note,
        )

    def reordered(self):
        return self.page([SECOND, FIRST], [FIRST, SECOND])

    def truncated(self):
        return self.page([FIRST], [FIRST, SECOND])

    def with_another_root(self):
        return self.page([FIRST, SECOND], [FIRST, b'{"forged":3}'])

    def beyond_what_is_signed(self):
        return Page(log=LOG, start=self.head.size, entries=(Entry.full(FIRST),), checkpoint_note=self.note)

    def with_a_gap(self):
        return self.page([SECOND], [FIRST, SECOND], start=self.head.size + 1)

    def shrunk(self):
        shorter = append(LogHead(log=LOG), [FIRST]).head
        note = sign_checkpoint(shorter.checkpoint(), self.signer)
        return Page(log=LOG, start=0, entries=(Entry.full(FIRST),), checkpoint_note=note)

    def forked(self):
        other = append(LogHead(log=LOG), [b'{"forged":%d}' % number for number in range(self.head.size)]).head
        note = sign_checkpoint(other.checkpoint(), self.signer)
        return Page(log=LOG, start=self.head.size, entries=(), checkpoint_note=note)

    def falsely_withheld(self):
        page = self.page([FIRST, SECOND], [FIRST, SECOND])
        return msgspec.structs.replace(page, entries=(page.entries[0], Entry.withheld(leaf_hash(b"something else"))))

    def signed_by_a_stranger(self):
        return self.page([FIRST], [FIRST], signer=KeyInMemory(b"s" * 32))


LIES = [name for name in vars(Liar) if not name.startswith("_") and name != "page"]


@pytest.fixture
async def nodes(tmp_path):
    async with network(tmp_path, "county", "school-a.county", "school-b.county") as nodes:
        await nodes[SCHOOL].publish("r1", "木雕入门")
        await nodes[SCHOOL].publish("r2", "石雕入门")

        async def held():
            log = await nodes[COUNTY].log(SCHOOL)
            return log is not None and log.size == log.indexed == 2

        await until(held)
        yield nodes


async def stored_at(live):
    return await live.node.store.read(lambda tx: tx.logs.get(LOG))


async def test_every_bad_page_is_refused_and_leaves_no_trace(nodes):
    """One network for all of them: what one lie leaves behind, the next would show. The fork comes last."""
    before = await stored_at(nodes[COUNTY])
    liar = Liar(nodes[SCHOOL].node, before)
    for lie in sorted(LIES, key=lambda name: name == "forked"):
        page = getattr(liar, lie)()
        with pytest.raises(RefusedByPeer) as refused:
            await nodes[SCHOOL].node.peers.push(COUNTY, page, 1, timeout_s=10)
        assert refused.value.peer_code.startswith("LLN-24"), (lie, refused.value)
        after = await stored_at(nodes[COUNTY])
        assert (after.head.size, after.head.root()) == (2, before.head.root()), lie
        assert (await nodes[GOOD].search("雕", scope="siblings")).total == 2, lie
    forks = await nodes[COUNTY].node.store.read(lambda tx: tx.logs.forks())
    assert [fork.log for fork in forks] == [LOG]  # the one thing that is kept: proof of what it did


async def test_a_true_page_goes_on_after_all_that(nodes):
    liar = Liar(nodes[SCHOOL].node, await stored_at(nodes[COUNTY]))
    with pytest.raises(LlnError):
        await nodes[SCHOOL].node.peers.push(COUNTY, liar.reordered(), 1, timeout_s=10)
    await nodes[SCHOOL].publish("r3", "砖雕入门")

    async def found():
        return (await nodes[GOOD].search("砖雕", scope="siblings")).total == 1

    await until(found)


@pytest.mark.parametrize(
    "text", ["x" * 1_000_000, "木雕\x00\x1b[31m\u202e\ud800", "\x00" * 2_000, '"' * 999 + "-" * 999]
)
async def test_no_question_however_long_or_strange_harms_a_node(nodes, text):
    for live in (nodes[GOOD], nodes[COUNTY]):
        answer = await live.search(text.encode(errors="replace").decode(), scope="siblings")
        assert answer.total >= 0
        assert answer.text_was_cut is (len(text) > 1_000)
    assert (await nodes[GOOD].search("木雕", scope="siblings")).total == 1
