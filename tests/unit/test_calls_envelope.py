import contextlib

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from hypothesis import given, settings
from hypothesis import strategies as st

import node.rpc.channels  # its errors are part of the register
import node.rpc.enrolment_server  # noqa: F401
from federation.calls import HEADER_BYTES_MAX, CallHeader, MalformedEnvelope, ReplyHeader, WrongEpoch
from federation.errors import Conflict, LlnError, NotFound, Unavailable
from federation.logs import LogGap
from node.rpc.breaker import FAILURES_TO_OPEN, PAUSE_LONGEST_S, PROBE_S, Breaker
from node.rpc.channels import RefusedByPeer
from node.rpc.envelope import (
    Sealed,
    ToldError,
    error_in,
    find,
    read_call,
    read_error,
    read_reply,
    write_call,
    write_error,
    write_reply,
)
from node.rpc.rules import MethodWithoutRules, rules_of
from node.rpc.services import MethodsDiffer, make_service
from node.rpc.status_codes import _kinds, may_differ_later, number_of, rebuild, status_of
from protos.lln.v1 import catalogue_pb2, desk_pb2, directory_pb2, enrolment_pb2, logs_pb2, node_pb2, post_pb2

TEXT = st.text(st.characters(codec="utf-8"), max_size=50)
NUMBER = st.integers(-(2**63), 2**63 - 1)
HEADER = CallHeader(
    caller="a", audience="b", audience_epoch=b"8", method="/m", issued_at_ms=1, ttl_ms=1, nonce=b"n",
    operation_id="", payload_sha256=b"h",
)  # fmt: skip


# --- headers ---------------------------------------------------------------------------------------------------------


@given(
    st.builds(
        CallHeader,
        suite=TEXT,
        caller=TEXT,
        audience=TEXT,
        audience_epoch=st.binary(max_size=20),
        method=TEXT,
        issued_at_ms=NUMBER,
        ttl_ms=st.integers(0, 2**32 - 1),
        nonce=st.binary(max_size=40),
        operation_id=TEXT,
        payload_sha256=st.binary(max_size=40),
    )
)
@settings(deadline=None)
def test_a_call_header_comes_back_as_it_was_written(header):
    written = write_call(header)
    if 0 < len(written) <= HEADER_BYTES_MAX:
        assert read_call(Sealed(header_bytes=written, signature=b"s" * 64), b"").header == header


@given(
    st.builds(
        ReplyHeader,
        suite=TEXT,
        responder=TEXT,
        call_sha256=st.binary(max_size=40),
        status=st.integers(0, 2**32 - 1),
        body_sha256=st.binary(max_size=40),
        at_ms=NUMBER,
    )
)
@settings(deadline=None)
def test_a_reply_header_comes_back_as_it_was_written(header):
    told = read_reply(Sealed(header_bytes=write_reply(header), signature=b"s" * 64))
    if told is not None:
        assert told.header == header


@given(st.binary(max_size=300), st.binary(max_size=80))
@settings(deadline=None)
def test_whatever_stands_in_the_metadata_only_our_own_error_comes_of_it(header_bytes, signature):
    metadata = (("lln-call-bin", header_bytes), ("lln-reply-bin", header_bytes), ("lln-signature-bin", signature))
    with contextlib.suppress(MalformedEnvelope):
        read_call(find(metadata, "lln-call-bin"), b"")
    read_reply(find(metadata, "lln-reply-bin"))
    read_error(header_bytes)


def test_what_is_missing_oversize_given_twice_or_text_is_no_envelope():
    sound = (("lln-call-bin", b"header"), ("lln-signature-bin", b"s" * 64))
    assert find(sound, "lln-call-bin") == Sealed(header_bytes=b"header", signature=b"s" * 64)
    for metadata in (
        None,
        sound[:1],
        sound[1:],
        (*sound, *sound[:1]),
        (*sound, *sound[1:]),
        (("lln-call-bin", "header"), sound[1]),
        (("lln-call-bin", b"x" * (HEADER_BYTES_MAX + 1)), sound[1]),
    ):
        found = find(metadata, "lln-call-bin")
        assert not (found.header_bytes and found.signature)
        with pytest.raises(MalformedEnvelope):
            read_call(found, b"")


def test_metadata_beside_the_envelope_is_not_read():
    sound = (("lln-call-bin", write_call(HEADER)), ("lln-signature-bin", b"s" * 64))
    more = (("caller", "lln.internal"), ("lln-caller-bin", b"lln.internal"), ("x-forwarded-for", "10.0.0.1"))
    assert find((*more, *sound, *more), "lln-call-bin") == find(sound, "lln-call-bin")


# --- errors ----------------------------------------------------------------------------------------------------------


@given(st.text(max_size=400), st.text(max_size=1_200), st.integers(0, 2**31))
@settings(deadline=None)
def test_an_error_travels_with_its_code_whatever_it_quotes(subject, detail, retry_after_ms):
    told = read_error(write_error(NotFound(subject, detail), retry_after_ms=retry_after_ms))
    assert told is not None
    assert (told.code, told.retry_after_ms) == (NotFound.code, retry_after_ms)
    assert len(told.subject) <= 300
    assert len(told.detail) <= 1_000
    rebuilt = rebuild(told)
    assert type(rebuilt) is NotFound
    assert (rebuilt.subject, rebuilt.detail) == (told.subject, told.detail)


def test_a_refusal_fits_into_metadata_even_in_chinese():
    assert len(write_error(NotFound("节" * 300, "点" * 1_000))) < 8_192 // 2


def test_every_error_there_is_can_be_told_and_understood():
    for kind in _kinds(LlnError):
        rebuilt = rebuild(ToldError(code=kind.code, subject="subject", detail="detail"))
        assert rebuilt is not None
        assert rebuilt.code == kind.code
        assert status_of(rebuilt) is not grpc.StatusCode.OK


def test_an_error_that_holds_more_is_rebuilt_without_it():
    assert isinstance(rebuild(ToldError(code=LogGap.code, subject="log", detail="held 4")), LogGap)


def test_a_code_of_a_later_version_is_told_as_it_came():
    refusal = RefusedByPeer("a.lln.internal", "LLN-9999", "who", "what")
    assert refusal.as_told() is refusal
    assert "[LLN-9999] who: what" in str(refusal)
    assert RefusedByPeer("a.lln.internal", "LLN-120", "who", "what").as_told().zh == NotFound.zh


def test_no_two_errors_share_a_code():
    codes = [kind.code for kind in _kinds(LlnError)]
    assert sorted(codes) == sorted(set(codes))


def test_only_what_cannot_change_is_an_answer_for_ever():
    assert not may_differ_later(NotFound())
    assert not may_differ_later(Conflict())
    assert may_differ_later(Unavailable())
    assert may_differ_later(LlnError())
    assert number_of(status_of(WrongEpoch())) == grpc.StatusCode.UNAUTHENTICATED.value[0]


@pytest.mark.parametrize("metadata", [None, (), (("lln-error-bin", "text"),), (("lln-error-bin", b"1"),) * 2])
def test_an_error_that_is_not_there_is_not_read(metadata):
    assert error_in(metadata) == b""
    assert read_error(b"") is None
    assert read_error(b"x" * 6_000) is None


# --- rules -----------------------------------------------------------------------------------------------------------


def test_every_method_of_every_signed_service_declares_its_rules():
    files = (node_pb2, directory_pb2, logs_pb2, catalogue_pb2, desk_pb2, post_pb2)
    declared = [
        rules for file in files for one in file.DESCRIPTOR.services_by_name.values() for rules in rules_of(one).values()
    ]
    assert len(declared) == 15
    for rules in declared:
        assert rules.callers
        assert 0 < rules.request_bytes_max <= 4 * 1024 * 1024
        assert 0 < rules.deadline_ms_max <= 86_400_000


def test_rules_are_read_as_they_are_written():
    push = rules_of(logs_pb2.DESCRIPTOR.services_by_name["Logs"])["Push"]
    assert push.method == "/lln.v1.Logs/Push"
    assert push.callers == {"child"}
    assert (push.request_bytes_max, push.deadline_ms_max, push.changes) == (2_097_152, 30_000, False)
    hello = rules_of(node_pb2.DESCRIPTOR.services_by_name["Node"])["Hello"]
    assert (hello.introduces, hello.reads_catalogue, hello.callers) == (True, True, {"network"})
    renew = rules_of(directory_pb2.DESCRIPTOR.services_by_name["Directory"])["Renew"]
    assert (renew.changes, renew.deadline_ms_max) == (True, 10_000)


def test_a_service_whose_methods_declare_no_rules_does_not_start():
    with pytest.raises(MethodWithoutRules):
        rules_of(enrolment_pb2.DESCRIPTOR.services_by_name["Enrolment"])


def declared(text: str, *, streams: bool = False):
    """A service of one method with these options, as protoc would declare it."""
    file = descriptor_pb2.FileDescriptorProto(name=f"t{abs(hash((text, streams)))}.proto", package="t", syntax="proto3")
    file.dependency.append("protos/lln/v1/rules.proto")
    file.message_type.add(name=f"M{abs(hash((text, streams)))}")
    method = file.service.add(name=f"S{abs(hash((text, streams)))}").method.add(
        name="Do", input_type=f".t.{file.message_type[0].name}", output_type=f".t.{file.message_type[0].name}",
        server_streaming=streams,
    )  # fmt: skip
    if text:
        text_format.Parse(text, method.options)
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindServiceByName(f"t.{file.service[0].name}")


@pytest.mark.parametrize(
    ("options", "streams"),
    [
        ("", False),
        ("[lln.v1.rules] { changes: true }", False),
        ("[lln.v1.rules] { callers: CALLER_UNSPECIFIED }", False),
        ("[lln.v1.rules] { callers: CHILD }", True),
    ],
    ids=["no rules", "no callers", "an unknown caller", "a stream of unsigned content"],
)
def test_a_method_with_unsound_rules_does_not_start(options, streams):
    with pytest.raises(MethodWithoutRules):
        rules_of(declared(options, streams=streams))


def test_a_service_answers_exactly_what_it_declares():
    desk = desk_pb2.DESCRIPTOR.services_by_name["Desk"]
    for answers in ({}, {"Ask": print, "Tell": print}):
        with pytest.raises(MethodsDiffer):
            make_service(desk, answers)


# --- breakers --------------------------------------------------------------------------------------------------------


def test_a_breaker_opens_after_failures_in_a_row_and_half_opens_for_one_call():
    breaker = Breaker()
    for _ in range(FAILURES_TO_OPEN - 1):
        breaker.failed(0.0, 0.5)
        assert breaker.lets_through(0.0)
    breaker.failed(0.0, 0.5)
    assert not breaker.lets_through(0.1)
    assert breaker.lets_through(1.0)
    assert not breaker.lets_through(1.1)
    assert breaker.lets_through(1.1 + PROBE_S)
    breaker.succeeded()
    assert breaker.lets_through(1.2)


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=FAILURES_TO_OPEN, max_size=60))
def test_a_breaker_never_pauses_longer_than_its_longest_pause(fractions):
    breaker = Breaker()
    for fraction in fractions:
        breaker.failed(100.0, fraction)
    assert breaker.lets_through(100.0 + PAUSE_LONGEST_S)
