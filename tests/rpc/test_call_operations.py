"""Changes: carried out once for each operation id, and answered alike ever after."""

import asyncio

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import InvalidInput, Unavailable
from federation.framing import pae
from node.rpc.answers import OperationReused
from node.rpc.channels import RefusedByPeer
from node.rpc.seen_operations import SeenOperations
from node.storage.errors import StoreClosed
from protos.lln.v1 import directory_pb2
from tests.support.signed_nodes import DESCRIPTION, Forger, Tree, dialled

RENEW = "/lln.v1.Directory/Renew"
PAYLOAD = directory_pb2.RenewRequest(signing_request=b"a request").SerializeToString()


@pytest.fixture
async def tree():
    tree = Tree()
    await tree.district.start()
    yield tree
    await tree.district.stop()


@pytest.fixture
async def peers(tree):
    async with dialled(tree.school.dialling(tree.district)) as peers:
        yield peers


def renew(tree, peers, operation_id, request=b"a request"):
    return peers.renew(tree.district.name, request, operation_id, timeout_s=5)


def renewals(tree):
    return [what for what in tree.district.behind.asked if what[0] == "renew"]


async def test_an_operation_that_is_repeated_is_answered_and_not_repeated(tree, peers):
    first = await renew(tree, peers, "renew-1")
    assert await renew(tree, peers, "renew-1") == first
    assert await renew(tree, peers, "renew-2") != first
    assert len(renewals(tree)) == 2


async def test_an_operation_is_remembered_beyond_a_restart(tree, peers):
    first = await renew(tree, peers, "renew-1")
    await tree.district.restart()
    assert await renew(tree, peers, "renew-1") == first
    assert len(renewals(tree)) == 1


async def test_an_operation_id_is_the_callers_own(tree, peers):
    first = await renew(tree, peers, "renew-1")
    async with dialled(tree.sister.dialling(tree.district)) as others:
        assert await renew(tree, others, "renew-1") != first
    assert [what[1] for what in renewals(tree)] == [tree.school.name, tree.sister.name]


async def test_an_operation_id_cannot_be_used_for_something_else(tree, peers):
    await renew(tree, peers, "renew-1")
    with pytest.raises(RefusedByPeer) as refused:
        await renew(tree, peers, "renew-1", b"another request")
    assert refused.value.peer_code == OperationReused.code
    with pytest.raises(RefusedByPeer) as refused:
        await peers.describe(tree.district.name, DESCRIPTION, "renew-1", timeout_s=5)
    assert refused.value.peer_code == OperationReused.code
    assert [what[0] for what in tree.district.behind.asked] == ["renew"]


async def test_the_same_operation_arriving_twice_at_once_is_carried_out_once(tree, peers):
    tree.district.behind.slow_s = 0.2
    told = await asyncio.gather(*(renew(tree, peers, "renew-1") for _ in range(8)))
    assert len(renewals(tree)) == 1
    assert len(set(told)) == 1


async def test_two_requests_racing_under_one_operation_id_end_in_one_change(tree, peers):
    tree.district.behind.slow_s = 0.2
    told = await asyncio.gather(
        renew(tree, peers, "renew-1"), renew(tree, peers, "renew-1", b"another"), return_exceptions=True
    )
    refused = [one for one in told if isinstance(one, RefusedByPeer)]
    assert [one.peer_code for one in refused] == [OperationReused.code]
    assert len(renewals(tree)) == 1


async def test_every_answer_to_a_repeat_is_signed_for_its_own_call(tree):
    forger = Forger(tree.school, tree.district)
    sealed = [forger.sealed(RENEW, PAYLOAD, operation_id="renew-1") for _ in range(2)]
    told = [await forger.send(RENEW, PAYLOAD, one) for one in sealed]
    assert told[0].body == told[1].body
    assert dict(told[0].trailer)["lln-reply-bin"] != dict(told[1].trailer)["lln-reply-bin"]
    await forger.close()


async def test_a_change_that_began_is_finished_and_kept_though_its_caller_hung_up(tree, peers):
    tree.district.behind.slow_s = 0.3
    asking = asyncio.ensure_future(renew(tree, peers, "renew-1"))
    for _ in range(200):
        await asyncio.sleep(0.01)
        if renewals(tree):
            break
    asking.cancel()
    await asyncio.sleep(0.5)
    tree.district.behind.slow_s = 0
    assert (await renew(tree, peers, "renew-1"))[0] == b"certificate 1"
    assert len(renewals(tree)) == 1


async def test_a_change_that_began_is_finished_and_kept_though_the_node_is_stopping(tree, peers):
    tree.district.behind.slow_s = 0.4
    asking = asyncio.ensure_future(asyncio.gather(renew(tree, peers, "renew-1"), return_exceptions=True))
    for _ in range(200):
        await asyncio.sleep(0.01)
        if renewals(tree):
            break
    await tree.district.stop(grace_s=0.05)
    await asking
    assert tree.district.store is not None
    tree.district.behind.slow_s = 0
    await tree.district.start(tree.district.endpoint)
    async with dialled(tree.school.dialling(tree.district)) as fresh:
        assert (await renew(tree, fresh, "renew-1"))[0] == b"certificate 1"
    assert len(renewals(tree)) == 1


async def test_what_cannot_be_done_now_may_be_asked_again_under_the_same_id(tree, peers):
    answer = tree.district.behind.renew
    tries = []

    async def first_busy(caller, request, write):
        tries.append(request)
        if len(tries) == 1:
            raise Unavailable("this node", "its certificate is being renewed")
        return await answer(caller, request, write)

    tree.district.behind.renew = first_busy
    with pytest.raises(RefusedByPeer) as refused:
        await renew(tree, peers, "renew-1")
    assert refused.value.retry_after_ms > 0
    assert await renew(tree, peers, "renew-1")
    assert len(tries) == 2


async def test_a_final_refusal_is_an_answer_for_ever(tree, peers):
    tries = []

    async def refuses(caller, request, write):
        tries.append(caller)
        raise InvalidInput("signing request", "not for this name")

    tree.district.behind.renew = refuses
    for _ in range(2):
        with pytest.raises(RefusedByPeer) as refused:
            await renew(tree, peers, "renew-1")
        assert refused.value.peer_code == InvalidInput.code
    assert len(tries) == 1


async def test_a_store_that_fails_is_told_and_never_takes_the_node_down(tree, peers):
    async def broken(_):
        raise OSError("disk full")

    sound, tree.district.server._answers._store = (
        tree.district.server._answers._store,
        type("Broken", (), {"read": staticmethod(broken), "write": staticmethod(broken)})(),
    )
    with pytest.raises(RefusedByPeer) as refused:
        await renew(tree, peers, "renew-1")
    assert refused.value.peer_code == "LLN-000"
    assert "disk" not in str(refused.value)
    tree.district.server._answers._store = sound
    assert await renew(tree, peers, "renew-1")


async def test_the_evidence_of_a_change_is_kept_with_its_signature(tree, peers):
    await renew(tree, peers, "renew-1")
    kept = await tree.district.store.read(lambda tx: tx.answers.get(tree.school.name, "renew-1"))
    assert (kept.method, kept.status) == (RENEW, grpc.StatusCode.OK.value[0])
    assert tree.school.member.key.verify(pae("lln.call.v1", kept.call_header), kept.call_signature)


# --- crashes: whatever is lost, the effect and its answer are one -----------------------------------------------------


class Faulty:
    """The store of a process that dies at a write: before its commit, or right after it."""

    def __init__(self, store, *, after_commit):
        self._store = store
        self._after_commit = after_commit
        self.read = store.read

    async def write(self, unit):
        if self._after_commit:
            await self._store.write(unit)
        raise StoreClosed("this process", "died here")


def counting(behind):
    """Renewals that leave a trace in the store, in the unit that answers them."""

    def unit(tx):
        count = len(tx.notes.get("renewals") or b"") + 1
        tx.notes.put("renewals", b"x" * count)
        return (b"certificate %d" % count, *behind.identity.chain)

    async def renew(caller, request, write):
        behind.asked.append(("renew", caller, request))
        return await write(unit)

    behind.renew = renew


@pytest.mark.parametrize("after_commit", [False, True])
async def test_a_crash_on_either_side_of_the_commit_carries_out_an_operation_once(tree, peers, after_commit):
    counting(tree.district.behind)
    answers = tree.district.server._answers
    answers._store = Faulty(tree.district.store, after_commit=after_commit)
    with pytest.raises(RefusedByPeer) as died:
        await renew(tree, peers, "renew-1")
    assert died.value.retry_after_ms > 0
    await tree.district.restart()
    assert (await renew(tree, peers, "renew-1"))[0] == b"certificate 1"
    assert await tree.district.store.read(lambda tx: tx.notes.get("renewals")) == b"x"
    assert len(renewals(tree)) == (1 if after_commit else 2)


async def test_a_unit_that_committed_after_its_call_was_given_up_is_not_run_again(tree, peers):
    """The repeat finds nothing kept, begins, and is overtaken by the first one's commit."""
    counting(tree.district.behind)
    store, overtaken = tree.district.store, []

    class Overtaken:
        read = staticmethod(store.read)

        async def write(self, unit):
            if not overtaken:
                overtaken.append(await store.write(unit))  # the one whose caller has gone
            return await store.write(unit)

    tree.district.server._answers._store = Overtaken()
    assert (await renew(tree, peers, "renew-1"))[0] == b"certificate 1"
    assert (await renew(tree, peers, "renew-1"))[0] == b"certificate 1"
    assert await store.read(lambda tx: tx.notes.get("renewals")) == b"x"


async def test_what_fails_after_the_commit_does_not_change_the_answer(tree, peers):
    behind = tree.district.behind
    counting(behind)
    whole = behind.renew

    async def fails_late(caller, request, write):
        await whole(caller, request, write)
        raise InvalidInput("afterwards", "too late to matter")

    behind.renew = fails_late
    assert (await renew(tree, peers, "renew-1"))[0] == b"certificate 1"
    assert (await renew(tree, peers, "renew-1"))[0] == b"certificate 1"


async def test_a_method_that_changes_something_and_writes_nothing_is_our_mistake(tree, peers):
    async def forgets(caller, request, write):
        return (b"certificate",)

    tree.district.behind.renew = forgets
    with pytest.raises(RefusedByPeer) as refused:
        await renew(tree, peers, "renew-1")
    assert refused.value.peer_code == "LLN-000"
    assert await tree.district.store.read(lambda tx: tx.answers.get(tree.school.name, "renew-1")) is None


async def test_a_new_operation_is_known_to_be_new_without_a_look_at_the_store(tree, peers):
    await renew(tree, peers, "renew-1")
    sought = []
    answers = tree.district.server._answers
    seek = answers._seek

    async def counted(key):
        sought.append(key[1])
        return await seek(key)

    answers._seek = counted
    await renew(tree, peers, "renew-2")
    await renew(tree, peers, "renew-1")
    assert sought == ["renew-1"]


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), unique=True))
def test_what_was_seen_may_be_held_and_nothing_is_in_the_beginning(operations):
    seen = SeenOperations()
    for at, (caller, operation_id) in enumerate(operations):
        assert not any(seen.may_hold(*other) for other in operations[at:])
        seen.add(caller, operation_id)
        assert all(seen.may_hold(*other) for other in operations[: at + 1])
