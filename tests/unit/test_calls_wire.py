import contextlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.logs import DOCUMENT_BYTES_MAX, ENTRIES_MAX, Entry, LogId, Page
from federation.merkle import PROOF_HASHES_MAX
from federation.search import SearchRequest
from node.ports import HeldLog, Holding, LogHeadNote, PushReceipt, Resolved
from node.ports.posting import BATCH_ITEMS_MAX, ITEM_BYTES_MAX, ITEM_ID_CHARS_MAX, REPLY_BYTES_MAX
from node.rpc import wire, wire_logs, wire_post
from node.rpc.wire import MalformedMessage
from protos.lln.v1 import catalogue_pb2, desk_pb2, directory_pb2, logs_pb2, node_pb2, post_pb2
from tests.support.signed_nodes import ANSWER, DESCRIPTION, ITEMS, POST_ANSWERS, page_of

NAME = "no1-middle.jiulongpo.chongqing.lln.internal"
LOG = LogId(origin=NAME, topic="catalogue")
REQUEST = SearchRequest(text="书法", scope="network", asker=NAME)
HASH = b"h" * 32

ENTRY = st.one_of(st.binary(max_size=64).map(Entry.full), st.binary(min_size=32, max_size=32).map(Entry.withheld))
PAGE = st.builds(
    Page,
    log=st.just(LOG),
    start=st.integers(0, 2**53 - 1),
    entries=st.lists(ENTRY, max_size=20).map(tuple),
    checkpoint_note=st.binary(max_size=200),
    consistency_proof=st.lists(st.binary(min_size=32, max_size=32), max_size=8).map(tuple),
)


def carried(message):
    """Through bytes and back, as on the wire."""
    return type(message).FromString(message.SerializeToString())


@given(PAGE)
@settings(deadline=None)
def test_a_page_comes_back_as_it_was_written(page):
    assert wire_logs.read_page(carried(wire_logs.write_page(page))) == page


def test_everything_that_travels_comes_back_as_it_was_written():
    holding = Holding(log=LOG, holder="lln.internal", size=7, indexed=6, at_ms=5)
    receipt = PushReceipt(size=7, cosignature=b"a line", holdings=(holding,))
    assert wire_logs.read_receipt(carried(wire_logs.write_receipt(receipt)), LOG) == receipt
    held = [HeldLog(log=LOG, size=7, confirmed_at_ms=5)]
    assert wire_logs.read_held(carried(wire_logs.write_held(held, more=True))) == held
    head = LogHeadNote(log=LOG, note=b"a note")
    assert wire_logs.read_head(carried(wire_logs.write_head(head))) == head
    assert wire_post.read_items(carried(wire_post.write_items(ITEMS))) == ITEMS
    assert list(wire_post.read_answers(carried(wire_post.write_answers(POST_ANSWERS)), count=3)) == POST_ANSWERS
    assert wire.read_search(carried(wire.write_search(REQUEST))) == REQUEST
    assert wire.read_answer(carried(wire.write_answer(ANSWER))) == ANSWER
    resolved = Resolved(
        name=NAME,
        status="moved",
        chain=(b"one", b"other"),
        description=DESCRIPTION,
        moved_to="no1-middle.jiangbei.chongqing.lln.internal",
        confirmed_at_ms=3,
        answered_by="lln.internal",
        status_then="suspended",
        key_then="did:key:z6Mk",
    )
    assert wire.read_resolved(carried(wire.write_resolved(resolved))) == resolved
    assert wire.read_resolved(carried(wire.write_resolved(msgspec.structs.replace(resolved, moved_to=None))))


MESSAGES = {
    node_pb2.HelloReply: lambda message: wire.read_hello(message, called=NAME, clock_offset_ms=0),
    directory_pb2.ResolveReply: wire.read_resolved,
    directory_pb2.RenewReply: lambda message: wire.read_chain(message.chain),
    logs_pb2.Page: wire_logs.read_page,
    logs_pb2.Head: wire_logs.read_head,
    logs_pb2.HeldReply: wire_logs.read_held,
    logs_pb2.PushReply: lambda message: wire_logs.read_receipt(message, LOG),
    post_pb2.DeliverRequest: wire_post.read_items,
    post_pb2.DeliverReply: lambda message: wire_post.read_answers(message, count=len(message.answers)),
    catalogue_pb2.SearchRequest: wire.read_search,
    catalogue_pb2.SearchReply: wire.read_answer,
    catalogue_pb2.StatisticsReply: wire.read_statistics,
    desk_pb2.AskRequest: lambda message: message,
}


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
@given(st.binary(max_size=200))
@settings(deadline=None, max_examples=60)
def test_whatever_bytes_arrive_only_our_own_error_comes_of_them(kind, payload):
    with contextlib.suppress(MalformedMessage):
        MESSAGES[kind](wire.read(kind, payload))


SOUND_PAGE = wire_logs.write_page(page_of(NAME, b"{}"))


def spoilt_page(**changes):
    page = carried(SOUND_PAGE)
    for field, value in changes.items():
        if isinstance(value, list):
            del getattr(page, field)[:]
            getattr(page, field).extend(value)
        else:
            setattr(page, field, value)
    return page


@pytest.mark.parametrize(
    "changes",
    [
        {"origin": "Not A Name"},
        {"origin": "UPPER.lln.internal"},
        {"origin": "x" * 300},
        {"topic": "secrets"},
        {"start": 2**53},
        {"entries": [b"short"], "withheld": [0]},
        {"entries": [b"h" * 32], "withheld": [1]},
        {"entries": [b"h" * 32], "withheld": [0, 0]},
        {"entries": [b"h" * 32, b"h" * 32], "withheld": [1, 0]},
        {"entries": [b"x" * (DOCUMENT_BYTES_MAX + 1)]},
        {"entries": [b"x" * 60_000] * 18},
        {"entries": [b""] * (ENTRIES_MAX + 1)},
        {"checkpoint": b"x" * 8_193},
        {"consistency": [b"short"]},
        {"consistency": [HASH] * (PROOF_HASHES_MAX + 1)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_page_beyond_a_bound_is_refused_whole(changes):
    with pytest.raises(MalformedMessage):
        wire_logs.read_page(spoilt_page(**changes))


def hello(**changes):
    given_ = {"epoch": b"12345678", "chain": [b"der"], "software_version": "0.1.0"}
    return node_pb2.HelloReply(**(given_ | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"epoch": b""},
        {"epoch": b"123456789"},
        {"chain": [b"der"] * 9},
        {"chain": [b"x" * 4_097]},
        {"software_version": "v" * 33},
        {"lineage": [node_pb2.Address(name="lln.internal")] * 9},
        {"lineage": [node_pb2.Address(name="nonsense")]},
        {"lineage": [node_pb2.Address(name="lln.internal", endpoint="e" * 261)]},
    ],
    ids=str,
)
def test_a_hello_beyond_a_bound_is_refused(changes):
    wire.read_hello(hello(), called=NAME, clock_offset_ms=0)
    with pytest.raises(MalformedMessage):
        wire.read_hello(hello(**changes), called=NAME, clock_offset_ms=0)


def test_a_message_nested_too_deeply_is_refused():
    nested = b""
    for _ in range(5_000):
        nested = b"\x0b" + nested + b"\x0c"  # an unknown group in a group in a group
    with pytest.raises(MalformedMessage):
        wire.read(node_pb2.HelloRequest, nested)


@pytest.mark.parametrize("depth", [20, 100_000])
def test_a_document_nested_too_deeply_is_refused(depth):
    deep = b'{"text":' + b"[" * depth + b"]" * depth + b"}"
    with pytest.raises(MalformedMessage):
        wire.read_search(catalogue_pb2.SearchRequest(request=deep[:65_536]))
    with pytest.raises(MalformedMessage):
        wire.read_description(deep)


@pytest.mark.parametrize(
    "document",
    [b"", b"{}", b"[]", b"\xff", b'{"text":"x","scope":"network"}', b"x" * 65_537, b'{"text":"' + b"x" * 2_000 + b'"}'],
)
def test_a_search_that_is_not_one_is_refused(document):
    with pytest.raises(MalformedMessage):
        wire.read_search(catalogue_pb2.SearchRequest(request=document))


@pytest.mark.parametrize(
    "field", [{"status": "unheard of"}, {"confirmed_at_ms": -1}, {"answered_by": "?"}, {"description": b"{}"}]
)
def test_a_resolution_beyond_a_bound_is_refused(field):
    sound = directory_pb2.ResolveReply(
        name=NAME, status="active", description=wire.write_document(DESCRIPTION), answered_by="lln.internal"
    )
    wire.read_resolved(sound)
    spoilt = carried(sound)
    for name, value in field.items():
        setattr(spoilt, name, value)
    with pytest.raises(MalformedMessage):
        wire.read_resolved(spoilt)


def test_a_receipt_names_no_more_holders_than_a_lineage_has():
    holding = logs_pb2.Holding(holder="lln.internal")
    with pytest.raises(MalformedMessage):
        wire_logs.read_receipt(logs_pb2.PushReply(holdings=[holding] * 9), LOG)
    with pytest.raises(MalformedMessage):
        wire_logs.read_receipt(logs_pb2.PushReply(size=2**60), LOG)


def post_item(**changes):
    return post_pb2.PostItem(**({"id": "1", "kind": "test", "document": b"{}"} | changes))


@pytest.mark.parametrize(
    "items",
    [
        [],
        [post_item(id=f"{number}") for number in range(BATCH_ITEMS_MAX + 1)],
        [post_item(), post_item(kind="other")],
        [post_item(id="")],
        [post_item(kind="")],
        [post_item(id="i" * (ITEM_ID_CHARS_MAX + 1))],
        [post_item(document=b"x" * (ITEM_BYTES_MAX + 1))],
    ],
    ids=("none", "too many", "one id twice", "no id", "no kind", "a long id", "a large document"),
)
def test_a_batch_out_of_bounds_is_refused_as_a_whole(items):
    with pytest.raises(MalformedMessage):
        wire_post.read_items(carried(post_pb2.DeliverRequest(items=items)))


@pytest.mark.parametrize(
    "answers",
    [
        [],
        [post_pb2.PostAnswer()],
        [post_pb2.PostAnswer(state=post_pb2.PostAnswer.DELIVERED, reply=b"x" * (REPLY_BYTES_MAX + 1))],
        [post_pb2.PostAnswer(state=post_pb2.PostAnswer.REFUSED, told="x" * 301)],
    ],
    ids=("too few", "no state", "a large reply", "a long story"),
)
def test_answers_that_are_not_for_the_items_are_not_believed(answers):
    with pytest.raises(MalformedMessage):
        wire_post.read_answers(carried(post_pb2.DeliverReply(answers=answers)), count=1)
