"""The one place where our errors and gRPC's status numbers meet, and where a told error becomes an error again.

A number is only a coarse hint for foreign clients; what is believed is the signed error code.
"""

from collections.abc import Iterator
from typing import Final

import grpc

from federation.callers import TooManyCalls
from federation.errors import (
    BadCall,
    BadLog,
    BrokenHome,
    Conflict,
    InvalidInput,
    LlnError,
    NotAllowed,
    NotFound,
    PeerRefused,
    PeerUnreachable,
    RefusedCall,
    Unavailable,
    UntrustedPeer,
)
from node.rpc.envelope import ToldError

_STATUS: Final[tuple[tuple[type[LlnError], grpc.StatusCode], ...]] = (
    (TooManyCalls, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (InvalidInput, grpc.StatusCode.INVALID_ARGUMENT),
    (NotFound, grpc.StatusCode.NOT_FOUND),
    (Conflict, grpc.StatusCode.ALREADY_EXISTS),
    (NotAllowed, grpc.StatusCode.PERMISSION_DENIED),
    (BrokenHome, grpc.StatusCode.INTERNAL),
    (Unavailable, grpc.StatusCode.UNAVAILABLE),
    (UntrustedPeer, grpc.StatusCode.UNAUTHENTICATED),
    (RefusedCall, grpc.StatusCode.PERMISSION_DENIED),
    (BadCall, grpc.StatusCode.UNAUTHENTICATED),
    (BadLog, grpc.StatusCode.FAILED_PRECONDITION),
    (PeerUnreachable, grpc.StatusCode.UNAVAILABLE),
    (PeerRefused, grpc.StatusCode.FAILED_PRECONDITION),
)
_LATER: Final[tuple[type[LlnError], ...]] = (Unavailable, RefusedCall, PeerUnreachable)
STATUS_BY_NUMBER: Final[dict[int, grpc.StatusCode]] = {status.value[0]: status for status in grpc.StatusCode}


def status_of(error: LlnError) -> grpc.StatusCode:
    """The status an error is sent under; INTERNAL for what has no closer word."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), grpc.StatusCode.INTERNAL)


def number_of(status: grpc.StatusCode) -> int:
    number: int = status.value[0]
    return number


def may_differ_later(error: LlnError) -> bool:
    """Whether the same call may be answered otherwise another time, so that its answer must not be kept for ever."""
    return isinstance(error, _LATER) or status_of(error) is grpc.StatusCode.INTERNAL


def rebuild(told: ToldError) -> LlnError | None:
    """The error that a verified refusal names, for its own sentences; None for a code this version does not know.

    Only its code, subject and detail travel; what else a class may hold is not set.
    """
    kind = next((kind for kind in _kinds(LlnError) if kind.code == told.code), None)
    if kind is None:
        return None
    error = kind.__new__(kind, told.subject, told.detail)
    LlnError.__init__(error, told.subject, told.detail)
    return error


def _kinds(kind: type[LlnError]) -> Iterator[type[LlnError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)
