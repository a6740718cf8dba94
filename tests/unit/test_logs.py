"""Pages of logs: every honest one is accepted however it is cut, and no dishonest one leaves a trace."""

import dataclasses

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation import checkpoints, logs, merkle
from federation.canonical import MalformedDocument
from federation.checkpoints import VerifiedCheckpoint, WrongOrigin
from federation.errors import BadLog
from federation.keys import KeyInMemory
from federation.logs import (
    CheckpointShrank,
    Entry,
    LogForked,
    LogGap,
    LogHead,
    LogId,
    MalformedPage,
    OversizePage,
    Page,
    accept_page,
)
from federation.merkle import MalformedProof, ProofTooLong, WrongRoot
from federation.notes import BadCheckpointSignature, MalformedNote

LOG = LogId(origin="jiashan.zhejiang.lln.internal", topic="catalogue")
SIGNER = KeyInMemory(b"\x01" * 32)
OTHER = KeyInMemory(b"\x02" * 32)
DOCUMENTS = [b'{"number":%d}' % number for number in range(120)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Origin:
    """A node with one log, and every checkpoint it ever signed."""

    documents: list[bytes]
    signer: KeyInMemory = SIGNER
    log: LogId = LOG

    def head(self, size: int) -> LogHead:
        return logs.append(LogHead(log=self.log), self.documents[:size]).head

    def rows(self) -> dict[int, bytes]:
        return dict(enumerate(logs.append(LogHead(log=self.log), self.documents).rows))

    def note(self, size: int) -> bytes:
        return checkpoints.sign_checkpoint(self.head(size).checkpoint(), self.signer)

    def checkpoint(self, size: int) -> VerifiedCheckpoint:
        return checkpoints.open_checkpoint(self.note(size), origin=self.log.origin_line, key=self.signer.public)

    def page(self, start: int, end: int, size: int, *, withheld: frozenset[int] = frozenset()) -> Page:
        entries = [
            Entry.withheld(merkle.leaf_hash(document)) if number in withheld else Entry.full(document)
            for number, document in enumerate(self.documents[start:end], start)
        ]
        note = self.note(size)
        needed = logs.rows_for_page(end, note)
        rows = self.rows()
        return logs.make_page(
            self.log, start=start, entries=entries, note=note, rows={row: rows[row] for row in needed}
        )


HONEST = Origin(documents=DOCUMENTS)
EMPTY = LogHead(log=LOG)


def refused(error: type[BadLog], head: LogHead, page: Page, held: VerifiedCheckpoint | None = None) -> BadLog:
    before = msgspec.json.encode(head)
    with pytest.raises(error) as raised:
        accept_page(head, page, key=SIGNER.public, held_checkpoint=held)
    assert msgspec.json.encode(head) == before
    return raised.value


def with_entries(page: Page, entries: list[Entry]) -> Page:
    return msgspec.structs.replace(page, entries=tuple(entries))


# --- growing one's own -----------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 40), max_size=6))
def test_every_split_into_appends_gives_the_same_log(batches):
    head, rows = EMPTY, []
    for batch in batches:
        appended = logs.append(head, DOCUMENTS[head.size : head.size + batch])
        head, rows = appended.head, rows + appended.rows
    whole = logs.append(EMPTY, DOCUMENTS[: head.size])
    assert (head, rows) == (whole.head, whole.rows)


def test_a_row_begins_with_the_leaf_hash_of_its_document():
    appended = logs.append(EMPTY, DOCUMENTS[:9])
    assert [row[:32] for row in appended.rows] == [merkle.leaf_hash(document) for document in DOCUMENTS[:9]]


def test_a_document_too_large_is_not_appended():
    logs.append(EMPTY, [b"x" * logs.DOCUMENT_BYTES_MAX])
    with pytest.raises(MalformedDocument):
        logs.append(EMPTY, [b"x", b"x" * (logs.DOCUMENT_BYTES_MAX + 1)])


def test_a_head_says_what_its_node_signs():
    checkpoint = HONEST.head(5).checkpoint()
    assert (checkpoint.origin, checkpoint.size) == ("jiashan.zhejiang.lln.internal/catalogue", 5)
    assert checkpoint.root == HONEST.head(5).root()
    assert EMPTY.checkpoint().root == merkle.EMPTY_ROOT


@pytest.mark.parametrize("topic", logs.TOPICS)
def test_a_log_is_read_from_its_origin_line(topic):
    log = LogId(origin=LOG.origin, topic=topic)
    assert LogId.parse(log.origin_line) == log
    assert str(log) == f"jiashan.zhejiang.lln.internal/{topic}"


@pytest.mark.parametrize(
    "line",
    ["", "catalogue", "a.b", "a.b/gossip", "A.b/credits", " a.b/credits", "/credits", "a.b//credits", "a b/credits"],
)
def test_what_is_no_origin_line_is_refused(line):
    with pytest.raises(WrongOrigin):
        LogId.parse(line)


# --- honest pages ----------------------------------------------------------------------------------------------------


cuts = st.tuples(
    st.integers(0, 3),  # entries repeated
    st.integers(0, 40),  # entries sent
    st.integers(0, 20),  # how far the checkpoint is ahead
    st.frozensets(st.integers(0, len(DOCUMENTS)), max_size=4),  # entries withheld
)


@settings(max_examples=40, deadline=None)
@given(st.lists(cuts, max_size=6))
def test_a_log_cut_into_any_pages_is_accepted_and_gives_the_same_root(cut):
    """Pages overlap, checkpoints move on in between, entries are withheld here and there; rows come out the same."""
    head, held, rows, signed = EMPTY, None, [], 0
    for repeated, sent, ahead, withheld in [*cut, (0, len(DOCUMENTS), 0, frozenset())]:
        start = max(0, head.size - repeated)
        end = min(len(DOCUMENTS), start + sent)
        signed = min(len(DOCUMENTS), max(signed, end, head.size) + ahead)
        page = HONEST.page(start, end, signed, withheld=withheld)
        accepted = accept_page(head, page, key=SIGNER.public, held_checkpoint=held or HONEST.checkpoint(0))
        assert accepted.skipped == min(head.size - start, end - start)
        assert len(accepted.rows) == max(0, end - head.size)
        head, held, rows = accepted.head, accepted.checkpoint, rows + accepted.rows
    assert head == HONEST.head(len(DOCUMENTS))
    assert rows == [HONEST.rows()[row] for row in range(len(DOCUMENTS))]


def test_a_page_brings_its_checkpoint():
    accepted = accept_page(EMPTY, HONEST.page(0, 10, 40), key=SIGNER.public, held_checkpoint=None)
    assert (accepted.head.size, accepted.checkpoint.size) == (10, 40)
    assert accepted.checkpoint.note == HONEST.note(40)


def test_a_repeated_page_changes_nothing():
    head, held = HONEST.head(40), HONEST.checkpoint(40)
    for page in (HONEST.page(0, 40, 40), HONEST.page(5, 9, 40), HONEST.page(40, 40, 40), HONEST.page(5, 9, 60)):
        accepted = accept_page(head, page, key=SIGNER.public, held_checkpoint=held)
        assert (accepted.head, accepted.rows) == (head, [])
        assert accepted.skipped == len(page.entries)
        assert accepted.checkpoint.size == 40


def test_a_repeat_under_a_checkpoint_of_just_what_is_held_confirms_it():
    page = HONEST.page(5, 9, 40)
    accepted = accept_page(HONEST.head(40), page, key=SIGNER.public, held_checkpoint=None)
    assert accepted.checkpoint.size == 40
    refused(MalformedPage, HONEST.head(40), HONEST.page(5, 9, 60))
    forked = Origin(documents=[*DOCUMENTS[:39], b"another history"])
    refused(WrongRoot, HONEST.head(40), forked.page(5, 9, 40))


def test_an_empty_page_brings_a_newer_checkpoint():
    head, held = HONEST.head(40), HONEST.checkpoint(40)
    accepted = accept_page(head, HONEST.page(40, 40, 77), key=SIGNER.public, held_checkpoint=held)
    assert (accepted.head, accepted.checkpoint.size) == (head, 77)


def test_the_checkpoint_of_an_empty_log_is_accepted():
    accepted = accept_page(EMPTY, HONEST.page(0, 0, 0), key=SIGNER.public, held_checkpoint=None)
    assert (accepted.head.size, accepted.checkpoint.size) == (0, 0)
    accepted = accept_page(EMPTY, HONEST.page(0, 0, 5), key=SIGNER.public, held_checkpoint=accepted.checkpoint)
    assert (accepted.head.size, accepted.checkpoint.size) == (0, 5)


def test_a_root_of_nothing_is_the_known_one():
    checkpoint = msgspec.structs.replace(EMPTY.checkpoint(), root=b"r" * 32)
    note = checkpoints.sign_checkpoint(checkpoint, SIGNER)
    refused(MalformedPage, EMPTY, msgspec.structs.replace(HONEST.page(0, 0, 0), checkpoint_note=note))


def test_a_cosigned_checkpoint_is_accepted_and_kept_as_it_came():
    page = HONEST.page(0, 40, 40)
    line = checkpoints.cosign(page.checkpoint_note, HONEST.checkpoint(40), "lln.internal", OTHER, 1_700_000_000)
    cosigned = page.checkpoint_note + line
    page = msgspec.structs.replace(page, checkpoint_note=cosigned)
    accepted = accept_page(EMPTY, page, key=SIGNER.public, held_checkpoint=HONEST.checkpoint(40))
    assert accepted.checkpoint.note == cosigned


# --- dishonest pages -------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_page_with_a_flipped_bit_is_accepted(data):
    held_size = data.draw(st.integers(0, 60))
    end = data.draw(st.integers(held_size + 1, 100))
    page = HONEST.page(held_size, end, data.draw(st.integers(end, 120)), withheld=frozenset({end - 1}))
    parts = [entry.document or entry.withheld_hash for entry in page.entries]
    parts += [page.checkpoint_note, *page.consistency_proof]
    which = data.draw(st.integers(0, len(parts) - 1))
    bit = data.draw(st.integers(0, 8 * len(parts[which]) - 1))
    flipped = bytearray(parts[which])
    flipped[bit // 8] ^= 1 << bit % 8
    parts[which] = bytes(flipped)
    count = len(page.entries)
    false_page = Page(
        log=LOG,
        start=held_size,
        entries=tuple(
            Entry.withheld(part) if entry.document is None else Entry.full(part)
            for entry, part in zip(page.entries, parts[:count], strict=True)
        ),
        checkpoint_note=parts[count],
        consistency_proof=tuple(parts[count + 1 :]),
    )
    refused(BadLog, HONEST.head(held_size), false_page, HONEST.checkpoint(held_size) if held_size else None)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_reordered_truncated_or_padded_page_is_accepted(data):
    held_size = data.draw(st.integers(0, 60))
    end = data.draw(st.integers(held_size + 2, 100))
    page = HONEST.page(held_size, end, data.draw(st.integers(end, 120)))
    entries = list(page.entries)
    at = data.draw(st.integers(0, len(entries) - 2))
    match data.draw(st.sampled_from(["reorder", "leave out", "double", "replace", "falsely withhold"])):
        case "reorder":
            entries[at], entries[at + 1] = entries[at + 1], entries[at]
        case "leave out":
            del entries[at]
        case "double":
            entries.insert(at, entries[at])
        case "replace":
            entries[at] = Entry.full(b"something else")
        case _:
            entries[at] = Entry.withheld(merkle.leaf_hash(b"something else"))
    refused(BadLog, HONEST.head(held_size), with_entries(page, entries))


def test_a_truncated_page_under_its_own_checkpoint_is_refused():
    page = HONEST.page(0, 40, 40)
    refused(MalformedProof, EMPTY, with_entries(page, list(page.entries[:39])))


def test_a_full_entry_cannot_bring_its_own_hash():
    page = HONEST.page(0, 40, 40)
    believed = Entry(document=b"something else", withheld_hash=page.entries[7].leaf_hash)
    refused(WrongRoot, EMPTY, with_entries(page, [*page.entries[:7], believed, *page.entries[8:]]))


def test_a_gap_is_refused_and_says_where_to_start():
    error = refused(LogGap, HONEST.head(12), HONEST.page(13, 20, 40), HONEST.checkpoint(12))
    assert error.held_size == 12
    assert "held 12, the page starts at 13" in str(error)


def test_a_checkpoint_that_shrinks_is_refused():
    error = refused(CheckpointShrank, HONEST.head(40), HONEST.page(10, 12, 12), HONEST.checkpoint(40))
    assert "held 40, got 12" in str(error)


def test_a_fork_of_the_same_size_is_refused_with_both_notes():
    forked = Origin(documents=[*DOCUMENTS[:39], b"another history"])
    error = refused(LogForked, HONEST.head(30), forked.page(30, 40, 40), HONEST.checkpoint(40))
    assert (error.one, error.other) == (HONEST.note(40), forked.note(40))


@pytest.mark.parametrize("end", [40, 50])
def test_a_fork_that_shows_where_the_held_checkpoint_is_reached_is_refused_with_both_notes(end):
    """Held: 30 entries under a checkpoint of 40. The page fits its own checkpoint of 60, but not the one of 40."""
    head, held = HONEST.head(30), HONEST.checkpoint(40)
    forked = Origin(documents=[*DOCUMENTS[:35], b"another history", *DOCUMENTS[36:60]])
    error = refused(LogForked, head, forked.page(30, end, 60), held)
    assert (error.one, error.other) == (HONEST.note(40), forked.note(60))
    accepted = accept_page(head, HONEST.page(30, end, 60), key=SIGNER.public, held_checkpoint=held)
    assert accepted.head == HONEST.head(end)


@pytest.mark.parametrize(("start", "end"), [(40, 60), (40, 50), (40, 40), (20, 60)])
def test_a_history_that_was_rewritten_below_what_is_held_is_refused(start, end):
    forked = Origin(documents=[*DOCUMENTS[:5], b"another history", *DOCUMENTS[6:60]])
    refused(WrongRoot, HONEST.head(40), forked.page(start, end, 60), HONEST.checkpoint(40))


def test_a_checkpoint_of_another_key_log_or_node_is_refused():
    by_other = Origin(documents=DOCUMENTS, signer=OTHER)
    refused(BadCheckpointSignature, EMPTY, by_other.page(0, 10, 10))
    elsewhere = Origin(documents=DOCUMENTS, log=LogId(origin=LOG.origin, topic="directory"))
    refused(WrongOrigin, EMPTY, elsewhere.page(0, 10, 10))
    refused(WrongOrigin, EMPTY, msgspec.structs.replace(elsewhere.page(0, 10, 10), log=LOG))
    refused(WrongOrigin, EMPTY, msgspec.structs.replace(HONEST.page(0, 10, 10), log=elsewhere.log))


def test_a_page_past_its_checkpoint_is_refused():
    page = msgspec.structs.replace(HONEST.page(0, 10, 10), checkpoint_note=HONEST.note(9))
    refused(MalformedPage, EMPTY, page)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"start": -1}, MalformedPage),
        ({"consistency_proof": (b"h" * 32,) * 65}, ProofTooLong),
        ({"consistency_proof": (b"h" * 32,)}, MalformedProof),
        ({"consistency_proof": (b"h",)}, MalformedProof),
        ({"entries": (Entry.withheld(b"h" * 31),)}, MalformedPage),
        ({"entries": (Entry.withheld(b""),)}, MalformedPage),
        ({"entries": (Entry.full(b"x" * (64 * 1024 + 1)),)}, OversizePage),
        ({"entries": (Entry.full(b"x" * 64 * 1024),) * 17}, OversizePage),
        ({"entries": (Entry.full(b"x"),) * 501}, OversizePage),
        ({"checkpoint_note": b""}, MalformedNote),
        ({"checkpoint_note": b"x" * 9000}, MalformedNote),
    ],
)
def test_what_is_out_of_bounds_is_refused(changes, error):
    refused(error, EMPTY, msgspec.structs.replace(HONEST.page(0, 10, 10), **changes))


def test_a_proof_from_nothing_is_refused():
    page = msgspec.structs.replace(HONEST.page(0, 0, 10), consistency_proof=(b"h" * 32,))
    refused(MalformedPage, EMPTY, page)


# --- cutting pages ---------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, logs.DOCUMENT_BYTES_MAX), max_size=60))
@settings(max_examples=30, deadline=None)
def test_pages_are_cut_so_that_they_are_within_bounds_and_as_large_as_may_be(sizes):
    blob = b"x" * logs.DOCUMENT_BYTES_MAX
    entries = [Entry.full(blob[:size]) for size in sizes]
    taken = logs.take_page(entries)
    assert list(taken) == entries[: len(taken)]
    assert sum(len(entry.document) for entry in taken) <= logs.PAGE_BYTES_MAX
    if len(taken) < len(entries):
        assert sum(entry.size_bytes for entry in entries[: len(taken) + 1]) > logs.PAGE_BYTES_MAX


def test_a_page_has_at_most_500_entries_and_at_least_one():
    assert len(logs.take_page(Entry.full(b"x") for _ in range(10_000))) == 500
    assert len(logs.take_page([Entry.withheld(b"h" * 32)])) == 1
    assert logs.take_page([]) == ()
    assert len(logs.take_page([Entry.full(b"x" * logs.DOCUMENT_BYTES_MAX)] * 20)) == 16
    assert len(logs.take_page([Entry.full(b"x" * (logs.PAGE_BYTES_MAX + 1))])) == 1
