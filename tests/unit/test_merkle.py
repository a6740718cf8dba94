"""Merkle trees against the recursive definitions of RFC 9162 §2.1, written out naively."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation import merkle
from federation.merkle import BrokenTree, Frontier, MalformedProof, ProofTooLong, WrongRoot

LEAVES = [merkle.leaf_hash(b"leaf %d" % number) for number in range(300)]
ROWS = dict(enumerate(Frontier().extend(LEAVES).rows))
sizes = st.integers(1, len(LEAVES))


def sha256(message: bytes) -> bytes:
    return hashlib.sha256(message).digest()


def left_width(width: int) -> int:
    """The largest power of two smaller than `width`."""
    return 1 << ((width - 1).bit_length() - 1)


def naive_root(leaves: list[bytes]) -> bytes:
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return leaves[0]
    k = left_width(len(leaves))
    return sha256(b"\1" + naive_root(leaves[:k]) + naive_root(leaves[k:]))


def naive_path(m: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    k = left_width(len(leaves))
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


def naive_subproof(m: int, leaves: list[bytes], *, whole: bool) -> list[bytes]:
    if m == len(leaves):
        return [] if whole else [naive_root(leaves)]
    k = left_width(len(leaves))
    if m <= k:
        return [*naive_subproof(m, leaves[:k], whole=whole), naive_root(leaves[k:])]
    return [*naive_subproof(m - k, leaves[k:], whole=False), naive_root(leaves[:k])]


def only(rows: tuple[int, ...]) -> dict[int, bytes]:
    return {row: ROWS[row] for row in rows}


def test_hashes_are_those_of_rfc_9162():
    assert merkle.EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert merkle.leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert merkle.leaf_hashes([b"", b"L"]) == [merkle.leaf_hash(b""), sha256(b"\0L")]
    assert merkle.node_hash(b"l", b"r") == sha256(b"\1lr")


def test_root_is_the_recursive_one_at_every_size():
    frontier = Frontier()
    for size in range(130):
        assert frontier.root() == naive_root(LEAVES[:size])
        frontier = frontier.extend(LEAVES[size : size + 1]).frontier


@given(st.lists(st.integers(0, 70), max_size=8))
def test_every_split_into_batches_gives_the_same_tree(batches):
    size = min(sum(batches), len(LEAVES))
    frontier, rows, start = Frontier(), [], 0
    for batch in batches:
        extended = frontier.extend(LEAVES[start : min(start + batch, size)])
        frontier, start = extended.frontier, min(start + batch, size)
        rows += extended.rows
    assert rows == [ROWS[row] for row in range(size)]
    assert frontier == merkle.frontier_at(size, ROWS)
    assert frontier.root() == naive_root(LEAVES[:size])


def test_a_row_holds_the_complete_subtrees_that_end_there():
    for row, blob in ROWS.items():
        widths = [1 << level for level in range(9) if (row + 1) % (1 << level) == 0]
        assert blob == b"".join(naive_root(LEAVES[row + 1 - width : row + 1]) for width in widths)


def test_extending_leaves_the_old_frontier_alone():
    before = merkle.frontier_at(5, ROWS)
    before.extend(LEAVES[5:20])
    assert before == merkle.frontier_at(5, ROWS)


@given(sizes, st.data())
def test_inclusion_proofs_are_the_recursive_ones_and_verify(size, data):
    index = data.draw(st.integers(0, size - 1))
    rows = merkle.rows_for_inclusion(index, size)
    proof = merkle.inclusion_proof(index, size, only(rows))
    assert list(rows) == sorted(set(rows))
    assert list(proof) == naive_path(index, LEAVES[:size])
    merkle.verify_inclusion(LEAVES[index], index, size, proof, naive_root(LEAVES[:size]))


@given(sizes, sizes)
def test_consistency_proofs_are_the_recursive_ones_and_verify(one, other):
    old, new = sorted((one, other))
    rows = merkle.rows_for_consistency(old, new)
    proof = merkle.consistency_proof(old, new, only(rows))
    assert list(rows) == sorted(set(rows))
    assert list(proof) == naive_subproof(old, LEAVES[:new], whole=True)
    merkle.verify_consistency(old, naive_root(LEAVES[:old]), new, naive_root(LEAVES[:new]), proof)


@given(sizes)
def test_nothing_is_proven_from_the_empty_tree(size):
    assert merkle.rows_for_consistency(0, size) == ()
    assert merkle.consistency_proof(0, size, {}) == ()
    for new_size, new_root in ((size, naive_root(LEAVES[:size])), (0, merkle.EMPTY_ROOT)):
        with pytest.raises(MalformedProof):
            merkle.verify_consistency(0, merkle.EMPTY_ROOT, new_size, new_root, ())


@given(sizes)
def test_a_frontier_is_read_from_its_own_rows_alone(size):
    rows = merkle.rows_for_frontier(size)
    assert len(rows) == size.bit_count()
    assert merkle.frontier_at(size, only(rows)).root() == naive_root(LEAVES[:size])


def damaged(data: st.DataObject, proof: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """The proof with a bit flipped, or a hash left out, doubled, exchanged or added."""
    position = data.draw(st.integers(0, len(proof) - 1)) if proof else 0
    hashes = list(proof)
    match data.draw(st.sampled_from(["flip", "drop", "double", "swap", "add"] if proof else ["add"])):
        case "flip":
            bit = data.draw(st.integers(0, 255))
            hashes[position] = (int.from_bytes(hashes[position], "big") ^ (1 << bit)).to_bytes(32, "big")
        case "drop":
            del hashes[position]
        case "double":
            hashes.insert(position, hashes[position])
        case "swap":
            hashes.reverse()
        case _:
            hashes.append(LEAVES[0])
    return tuple(hashes)


@given(sizes, st.data())
def test_no_damaged_inclusion_proof_verifies(size, data):
    index = data.draw(st.integers(0, size - 1))
    root = naive_root(LEAVES[:size])
    proof = merkle.inclusion_proof(index, size, ROWS)
    false_proof = damaged(data, proof)
    if false_proof == proof:
        return
    with pytest.raises((WrongRoot, MalformedProof)):
        merkle.verify_inclusion(LEAVES[index], index, size, false_proof, root)


@given(sizes, sizes, st.data())
def test_no_damaged_consistency_proof_verifies(one, other, data):
    old, new = sorted((one, other))
    proof = merkle.consistency_proof(old, new, ROWS)
    false_proof = damaged(data, proof)
    if false_proof == proof:
        return
    with pytest.raises((WrongRoot, MalformedProof)):
        merkle.verify_consistency(old, naive_root(LEAVES[:old]), new, naive_root(LEAVES[:new]), false_proof)


@given(sizes, st.data())
def test_a_proof_serves_its_own_leaf_index_size_and_root_only(size, data):
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(0, size - 1).filter(lambda number: number != index)) if size > 1 else 1
    root, proof = naive_root(LEAVES[:size]), merkle.inclusion_proof(index, size, ROWS)
    for wrong in (
        (LEAVES[other], index, size, proof, root),
        (LEAVES[index], other, size, proof, root),
        (LEAVES[index], index, size, proof, LEAVES[other - 1] if size > 1 else LEAVES[2]),
    ):
        with pytest.raises((WrongRoot, MalformedProof)):
            merkle.verify_inclusion(*wrong)


@pytest.mark.parametrize(("index", "size"), [(-1, 4), (4, 4), (0, 0), (-1, 0), (2**63, 2**64), (0, -3)])
def test_an_index_outside_the_tree_is_refused(index, size):
    for call in (
        lambda: merkle.verify_inclusion(LEAVES[0], index, size, (), LEAVES[0]),
        lambda: merkle.rows_for_inclusion(index, size),
        lambda: merkle.inclusion_proof(index, size, ROWS),
    ):
        with pytest.raises(MalformedProof):
            call()


def test_a_proof_from_a_larger_tree_does_not_place_an_index_outside_the_smaller():
    proof = merkle.inclusion_proof(4, 8, ROWS)
    merkle.verify_inclusion(LEAVES[4], 4, 8, proof, naive_root(LEAVES[:8]))
    with pytest.raises(MalformedProof):
        merkle.verify_inclusion(LEAVES[4], 4, 4, proof, naive_root(LEAVES[:8]))


@pytest.mark.parametrize(("old", "new"), [(5, 4), (-1, 4), (1, 0), (0, -1), (1, 2**63)])
def test_sizes_that_cannot_be_are_refused(old, new):
    with pytest.raises(MalformedProof):
        merkle.verify_consistency(old, LEAVES[0], new, LEAVES[0], ())
    with pytest.raises(MalformedProof):
        merkle.rows_for_consistency(old, new)


def test_proofs_are_bounded():
    too_long = (LEAVES[0],) * 65
    with pytest.raises(ProofTooLong):
        merkle.verify_inclusion(LEAVES[0], 0, 2, too_long, LEAVES[0])
    with pytest.raises(ProofTooLong):
        merkle.verify_consistency(1, LEAVES[0], 2, LEAVES[0], too_long)


def test_a_hash_of_another_length_is_refused():
    with pytest.raises(MalformedProof):
        merkle.verify_inclusion(LEAVES[0], 0, 2, (b"short",), naive_root(LEAVES[:2]))
    with pytest.raises(MalformedProof):
        merkle.verify_inclusion(b"short", 0, 1, (), b"short")
    with pytest.raises(MalformedProof):
        merkle.verify_consistency(1, LEAVES[0], 2, LEAVES[0], (LEAVES[1][:31],))


def test_the_largest_tree_needs_no_more_than_the_cap():
    for old, new in ((2**62 + 1, 2**63 - 1), (2**63 - 3, 2**63 - 1), (1, 2**63 - 1)):
        assert len(merkle._consistency_spans(old, new)) <= merkle.PROOF_HASHES_MAX
        assert len(merkle.rows_for_inclusion(old - 1, new)) <= 2 * merkle.PROOF_HASHES_MAX


def test_missing_or_short_rows_are_named():
    with pytest.raises(BrokenTree, match="row 3"):
        merkle.inclusion_proof(5, 6, {4: ROWS[4]})
    with pytest.raises(BrokenTree, match="row 3: no hash at offset 64"):
        merkle.frontier_at(4, {3: ROWS[3][:70]})
    with pytest.raises(BrokenTree):
        Frontier(size=3, roots=(LEAVES[0],))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5_000), st.integers(1, 5_000))
def test_large_batches_agree_with_single_leaves(one, other):
    old, new = sorted((one, other))
    hashes = [number.to_bytes(32, "big") for number in range(new)]
    at_once = Frontier().extend(hashes)
    in_two = Frontier().extend(hashes[:old])
    rest = in_two.frontier.extend(hashes[old:])
    assert in_two.rows + rest.rows == at_once.rows
    assert rest.frontier == at_once.frontier
