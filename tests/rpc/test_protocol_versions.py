"""Programs of different age: neighbours in version talk, strangers are refused in words."""

import pytest

from federation.errors import LlnError
from federation.versions import (
    PROTOCOL_VERSION,
    PROTOCOL_VERSION_OLDEST,
    PeerTooFarApart,
    ProtocolUnknown,
    agree,
    check_agreed,
)
from node.rpc import channels, node_service
from tests.support.signed_nodes import Tree, dialled

TIMEOUT_S = 5.0


@pytest.fixture
async def tree():
    tree = Tree()
    await tree.district.start()
    yield tree
    for node in tree.all():
        await node.stop()


def test_two_programs_speak_the_newest_version_that_both_know():
    assert PROTOCOL_VERSION_OLDEST == PROTOCOL_VERSION - 1
    assert agree(PROTOCOL_VERSION - 1) == PROTOCOL_VERSION - 1
    assert agree(PROTOCOL_VERSION) == PROTOCOL_VERSION
    assert agree(PROTOCOL_VERSION + 1) == PROTOCOL_VERSION  # which that program still speaks
    for far in (0, PROTOCOL_VERSION - 2, PROTOCOL_VERSION + 2, 2**32 - 1):
        with pytest.raises(ProtocolUnknown, match=f"this node {PROTOCOL_VERSION_OLDEST} to {PROTOCOL_VERSION}"):
            agree(far)
    for found in (PROTOCOL_VERSION_OLDEST, PROTOCOL_VERSION):
        check_agreed("peer", found)
    for found in (0, PROTOCOL_VERSION + 1):
        with pytest.raises(PeerTooFarApart, match=f"answered by {found}"):
            check_agreed("peer", found)


@pytest.mark.parametrize("said", [PROTOCOL_VERSION - 1, PROTOCOL_VERSION, PROTOCOL_VERSION + 1])
async def test_a_node_of_a_neighbouring_version_is_served(tree, monkeypatch, said):
    monkeypatch.setattr(channels, "PROTOCOL_VERSION", said)
    async with dialled(tree.school.dialling(tree.district)) as peers:
        assert (await peers.hello(tree.district.name, timeout_s=TIMEOUT_S)).name == tree.district.name
        assert await peers.held(tree.district.name, timeout_s=TIMEOUT_S)


async def test_a_node_of_an_unknown_future_version_is_refused_in_words(tree, monkeypatch):
    monkeypatch.setattr(channels, "PROTOCOL_VERSION", PROTOCOL_VERSION + 2)
    async with dialled(tree.school.dialling(tree.district)) as peers:
        with pytest.raises(LlnError, match="LLN-2271") as refused:
            await peers.hello(tree.district.name, timeout_s=TIMEOUT_S)
    assert f"the caller speaks {PROTOCOL_VERSION + 2}" in str(refused.value)
    assert tree.district.behind.asked == []


async def test_a_parent_of_the_version_before_without_newer_features_is_spoken_to(tree, monkeypatch):
    """It answers every hello by its own version, whatever it is asked, and says nothing of what it does not have."""
    monkeypatch.setattr(node_service, "agree", lambda _: PROTOCOL_VERSION - 1)
    monkeypatch.setattr(node_service, "FEATURES", ())
    async with dialled(tree.school.dialling(tree.district)) as peers:
        assert await peers.held(tree.district.name, timeout_s=TIMEOUT_S)


async def test_a_peer_that_answers_by_a_version_nobody_asked_for_is_not_spoken_to(tree, monkeypatch):
    monkeypatch.setattr(node_service, "agree", lambda _: PROTOCOL_VERSION + 1)
    async with dialled(tree.school.dialling(tree.district)) as peers:
        with pytest.raises(PeerTooFarApart):
            await peers.held(tree.district.name, timeout_s=TIMEOUT_S)
