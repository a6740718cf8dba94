"""Dealings: what is remembered of each peer, and that strangers cannot make it grow for ever."""

from federation.errors import PeerUnreachable
from federation.naming import NodeName
from node.usecases.dealings import PEERS_MAX, Dealing, Dealings
from tests.support.machine import HandClock

PEER = NodeName("a.lln.internal")


def test_a_peer_never_dealt_with_is_blank():
    dealings = Dealings(HandClock(1_000))
    assert dealings.of(PEER) == Dealing()
    assert dealings.peers() == ()


def test_success_and_failure_are_kept_beside_each_other():
    clock = HandClock(1_000)
    dealings = Dealings(clock)
    dealings.succeeded(PEER, clock_offset_ms=-40)
    clock.move(s=1)
    dealings.failed(PEER, PeerUnreachable(PEER, "x" * 1_000))
    kept = dealings.of(PEER)
    assert (kept.last_success_ms, kept.last_failure_ms, kept.clock_offset_ms) == (1_000, 2_000, -40)
    assert PEER in kept.last_error
    assert len(kept.last_error) == 300
    clock.move(s=1)
    dealings.succeeded(PEER)
    assert dealings.of(PEER).last_success_ms == 3_000
    assert dealings.of(PEER).clock_offset_ms == -40
    assert dealings.of(PEER).last_failure_ms == 2_000


def test_there_is_an_end_to_how_many_are_remembered_and_known_ones_stay_current():
    clock = HandClock(1_000)
    dealings = Dealings(clock)
    for number in range(PEERS_MAX + 5):
        dealings.succeeded(NodeName(f"n{number}.lln.internal"))
    assert len(dealings.peers()) == PEERS_MAX
    clock.move(s=1)
    dealings.succeeded(NodeName("n0.lln.internal"))
    assert dealings.of(NodeName("n0.lln.internal")).last_success_ms == 2_000
    assert dealings.of(NodeName(f"n{PEERS_MAX}.lln.internal")) == Dealing()
