"""Whose signature counts on a log whose node has had two keys, at each edge of the recorded position."""

import pytest

from federation.checkpoints import sign_checkpoint
from federation.continuity import LogNotContinued, Signers
from federation.directory import FormerKey, LogPosition
from federation.errors import BadLog
from federation.keys import NodeKey
from federation.logs import Entry, LogHead, LogId, append
from federation.naming import NodeName
from tests.support.small_network import new_node_key

LOG = LogId(origin=NodeName("a.lln.internal"), topic="catalogue")
OLD, NEW, STRANGER = new_node_key(), new_node_key(), new_node_key()
CLOSED_AT = 5


def _head(size, word="x"):
    return append(LogHead(log=LOG), [f"{word}{number}".encode() for number in range(size)]).head


def _note(size, signer, word="x"):
    return sign_checkpoint(_head(size, word).checkpoint(), signer)


def _position(size=CLOSED_AT, topic="catalogue"):
    return LogPosition(topic=topic, size=size, root=_head(size).root().hex())


def _signers(*until):
    return Signers(key=NodeKey.parse(NEW.did), former=(FormerKey(key=OLD.did, until=until),))


@pytest.mark.parametrize("size", [1, CLOSED_AT - 1, CLOSED_AT])
def test_the_former_key_counts_up_to_where_it_was_recorded(size):
    assert _signers(_position()).key_for(_note(size, OLD), LOG).did == OLD.did
    assert _signers(_position()).held(_note(size, OLD), LOG).size == size


def test_beyond_it_the_former_key_counts_no_more():
    signers, note = _signers(_position()), _note(CLOSED_AT + 1, OLD)
    assert signers.key_for(note, LOG).did == NEW.did  # by which it will be refused
    assert signers.held(note, LOG) is None


@pytest.mark.parametrize("size", [CLOSED_AT, CLOSED_AT + 1])
def test_the_new_key_counts_from_there_on(size):
    signers = _signers(_position())
    assert signers.key_for(_note(size, NEW), LOG).did == NEW.did
    assert signers.held(_note(size, NEW), LOG).size == size


def test_a_new_key_that_signs_less_is_refused():
    with pytest.raises(LogNotContinued):
        _signers(_position()).key_for(_note(CLOSED_AT - 1, NEW), LOG)


def test_at_the_position_the_tree_is_the_recorded_one():
    with pytest.raises(LogNotContinued):
        _signers(_position()).key_for(_note(CLOSED_AT, OLD, "y"), LOG)


def test_a_log_that_was_not_recorded_has_nothing_of_the_former_key():
    signers = _signers(_position(topic="directory"))
    assert signers.key_for(_note(1, OLD), LOG).did == NEW.did
    assert signers.key_for(_note(1, NEW), LOG).did == NEW.did
    assert signers.held(_note(1, OLD), LOG) is None


def test_a_stranger_signs_nothing_and_a_node_with_one_key_is_as_ever():
    signers = _signers(_position())
    assert signers.key_for(_note(1, STRANGER), LOG).did == NEW.did
    with pytest.raises(BadLog):
        signers.held(_note(1, STRANGER), LOG)
    alone = Signers(key=NodeKey.parse(NEW.did))
    assert alone.key_for(_note(1, OLD), LOG).did == NEW.did
    assert alone.closing(LOG) is None
    with pytest.raises(BadLog):
        alone.held(_note(1, OLD), LOG)


def test_an_authority_above_may_have_had_another_key():
    above = Signers(key=NodeKey.parse(NEW.did), is_above=True)
    assert above.held(_note(1, OLD), LOG) is None
    assert above.held(_note(1, NEW), LOG).size == 1


@pytest.mark.parametrize("start", [0, 3, CLOSED_AT - 1])
def test_entries_that_reach_the_position_make_the_recorded_tree(start):
    entries = [Entry.full(f"x{number}".encode()) for number in range(start, CLOSED_AT + 2)]
    others = [Entry.full(b"other"), *entries[1:]]
    signers = _signers(_position())
    signers.check_passed(_head(start), entries)
    signers.check_passed(_head(start), others[: CLOSED_AT - 1 - start])  # not there yet
    with pytest.raises(LogNotContinued):
        signers.check_passed(_head(start), others)


def test_entries_after_the_position_are_judged_by_their_checkpoint_alone():
    _signers(_position()).check_passed(_head(CLOSED_AT), [Entry.full(b"whatever")])
