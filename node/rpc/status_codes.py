"""The one place where our errors and gRPC's status numbers meet.

A number is only a coarse hint for foreign clients; what is believed is the signed error code.
"""

from typing import Final

import grpc

from federation.errors import (
    BadCall,
    BadLog,
    BrokenHome,
    Conflict,
    InvalidInput,
    LlnError,
    NotAllowed,
    NotFound,
    RefusedCall,
    Unavailable,
    UntrustedPeer,
)

_STATUS: Final[tuple[tuple[type[LlnError], grpc.StatusCode], ...]] = (
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
)


def status_of(error: LlnError) -> grpc.StatusCode:
    """The status an error is sent under; INTERNAL for what has no closer word."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), grpc.StatusCode.INTERNAL)


def number_of(status: grpc.StatusCode) -> int:
    number: int = status.value[0]
    return number
