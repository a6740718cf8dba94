"""Standings: the whole table of transitions, and the judgement at each edge of staleness."""

import itertools

import pytest

from federation.catalogue import BilingualLine
from federation.directory import (
    CATALOGUE_ONLY_MS,
    CUT_OFF_MS,
    FRESH_MS,
    TRANSITIONS,
    CallerNotAdmitted,
    CallerRevoked,
    CallerSuspended,
    DirectoryTooOld,
    IllegalTransition,
    NodeAdmitted,
    NodeDescribed,
    NodeDescription,
    NodeMoved,
    NodeRenewed,
    NodeResumed,
    NodeRevoked,
    NodeSuspended,
    apply_entry,
    judge,
    replay,
)
from federation.naming import NodeName

NAME = NodeName("a.lln.internal")
DESCRIBED = NodeDescription(title=BilingualLine(zh="甲"), level="county", kind="authority")
SAID = {"authority": "lln.internal", "name": NAME, "at_ms": 1, "salt": "A" * 22}
ENTRIES = {
    NodeAdmitted: NodeAdmitted(**SAID, description=DESCRIBED, key="did:key:z" + "6" * 46, certificate="AAAA"),
    NodeRenewed: NodeRenewed(**SAID, certificate="BBBB"),
    NodeDescribed: NodeDescribed(**SAID, description=DESCRIBED),
    NodeSuspended: NodeSuspended(**SAID, reason="r"),
    NodeResumed: NodeResumed(**SAID, reason="r"),
    NodeRevoked: NodeRevoked(**SAID, reason="r"),
    NodeMoved: NodeMoved(**SAID, to="a.b.lln.internal"),
}
ROADS = {
    None: [],
    "active": [NodeAdmitted],
    "suspended": [NodeAdmitted, NodeSuspended],
    "revoked": [NodeAdmitted, NodeRevoked],
    "moved": [NodeAdmitted, NodeMoved],
}


def _standing(status):
    return replay([ENTRIES[kind] for kind in ROADS[status]]).get(NAME)


@pytest.mark.parametrize(("status", "kind"), list(itertools.product(ROADS, ENTRIES)))
def test_every_cell_of_the_table(status, kind):
    before = _standing(status)
    assert (before.status if before else None) == status
    expected = TRANSITIONS.get((status, kind))
    if expected is None:
        with pytest.raises(IllegalTransition):
            apply_entry(before, ENTRIES[kind])
    else:
        assert apply_entry(before, ENTRIES[kind]).status == expected


def test_a_renewed_node_is_known_by_both_certificates_and_then_by_the_newer():
    once = apply_entry(_standing("active"), ENTRIES[NodeRenewed])
    assert once.certificates == ("AAAA", "BBBB")
    again = apply_entry(once, NodeRenewed(**SAID, certificate="CCCC"))
    assert again.certificates == ("BBBB", "CCCC")


def _judged(status, age_ms, *, reads_catalogue=False, certificate="AAAA"):
    return judge(_standing(status), name=NAME, certificate=certificate, age_ms=age_ms, reads_catalogue=reads_catalogue)


@pytest.mark.parametrize(
    ("age_ms", "reads_catalogue", "provisional"),
    [
        (0, False, False),
        (FRESH_MS - 1, False, False),
        (FRESH_MS, False, True),
        (CUT_OFF_MS, False, True),
        (CUT_OFF_MS + 1, True, True),
        (CATALOGUE_ONLY_MS, True, True),
    ],
)
def test_a_directory_carries_as_far_as_it_is_fresh(age_ms, reads_catalogue, provisional):
    assert _judged("active", age_ms, reads_catalogue=reads_catalogue) is provisional


@pytest.mark.parametrize(("age_ms", "reads_catalogue"), [(CUT_OFF_MS + 1, False), (CATALOGUE_ONLY_MS + 1, True)])
def test_beyond_its_class_a_directory_no_longer_admits(age_ms, reads_catalogue):
    with pytest.raises(DirectoryTooOld):
        _judged("active", age_ms, reads_catalogue=reads_catalogue)


@pytest.mark.parametrize("age_ms", [0, 10 * CATALOGUE_ONLY_MS])
@pytest.mark.parametrize(
    ("status", "refusal"), [("suspended", CallerSuspended), ("revoked", CallerRevoked), ("moved", CallerRevoked)]
)
def test_a_bad_standing_is_believed_however_old(age_ms, status, refusal):
    with pytest.raises(refusal):
        _judged(status, age_ms)


def test_only_the_recorded_certificate_is_accepted():
    with pytest.raises(CallerNotAdmitted):
        _judged("active", 0, certificate="ZZZZ")
    with pytest.raises(CallerNotAdmitted):
        _judged(None, 0)
