"""Which way a relayed call goes, and from whom it may be taken over."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.naming import NodeName, lineage, parent_of
from federation.relaying import RELAYS_MAX, ForeignOrigin, RelayLoop, check_passage, next_hop

ROOT = NodeName("lln.internal")
LABELS = st.lists(st.sampled_from("abc"), max_size=6)
NAMES = LABELS.map(lambda labels: NodeName(".".join([*labels, ROOT])))


@given(NAMES, NAMES)
def test_every_pair_is_joined_by_hops_that_each_relay_accepts(origin, target):
    at, via = origin, []
    while at != target:
        hop = next_hop(at, target, ROOT)
        assert parent_of(hop, ROOT) == at or parent_of(at, ROOT) == hop
        if at != origin:
            via.append(at)
        check_passage(origin=origin, target=target, via=via, caller=at, own=hop)
        at = hop
    passed = {*lineage(origin, ROOT), *lineage(target, ROOT)}
    assert set(via) <= passed
    assert next_hop(target, target, ROOT) is None


def named(*labels):
    return [NodeName(f"{label}.{ROOT}") for label in labels]


COUNTY, FAR, SCHOOL, OTHER, STRANGER = named("county", "far", "a.county", "b.county", "c.far")


@pytest.mark.parametrize(
    ("passage", "refusal"),
    [
        ((OTHER, STRANGER, [], SCHOOL, COUNTY), ForeignOrigin),  # a child in a sibling's name
        ((STRANGER, OTHER, [SCHOOL], SCHOOL, COUNTY), ForeignOrigin),  # a child for another branch
        ((SCHOOL, OTHER, [FAR, ROOT], ROOT, COUNTY), ForeignOrigin),  # the parent for the own branch
        ((SCHOOL, STRANGER, [FAR], COUNTY, ROOT), ForeignOrigin),  # not by whom it was last relayed
        ((STRANGER, FAR, [FAR, ROOT], ROOT, COUNTY), RelayLoop),  # down where the target is not
        ((SCHOOL, STRANGER, [ROOT, COUNTY], COUNTY, ROOT), RelayLoop),  # a second time
        ((SCHOOL, STRANGER, [*([SCHOOL] * (RELAYS_MAX - 1)), COUNTY], COUNTY, ROOT), RelayLoop),  # too far
    ],
)
def test_what_could_not_have_come_this_way_is_refused(passage, refusal):
    origin, target, via, caller, own = passage
    with pytest.raises(refusal):
        check_passage(origin=origin, target=target, via=via, caller=caller, own=own)
