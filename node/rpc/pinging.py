"""Pinging: a hello by one road, and the step at which it stopped.

What lives here: which step an error belongs to. What must not: which roads there are (`routes.py`).
"""

from typing import Final

from federation.calls import ClockApart, UnprovenReply
from federation.errors import LlnError, PeerUnreachable, UntrustedPeer
from node.ports import Clock, PingStep, RoadTried
from node.rpc.channels import Line, PeerNotAdmitted, RefusedByPeer, WrongPeer
from node.rpc.reaching import reach
from node.rpc.relay_transport import RelayTransport

_DIRECT: Final[tuple[PingStep, ...]] = ("lookup", "tcp", "tls", "name", "chain", "clock", "signature", "policy")
_BY_OTHERS: Final[tuple[PingStep, ...]] = ("relays", "name", "chain", "clock", "signature", "policy")


async def try_road(line: Line, *, timeout_s: float, clock: Clock) -> RoadTried:
    """Never raises an error of ours: it is what is told."""
    transport = line.transport
    steps = _DIRECT if transport.road == "direct" else _BY_OTHERS
    began_s = clock.monotonic_s()

    def tried(failed: PingStep | None, error: LlnError | None = None, **more: object) -> RoadTried:
        passed = steps if failed is None else steps[: steps.index(failed)]
        return RoadTried(
            road=transport.road,
            place=transport.place,
            ms=int((clock.monotonic_s() - began_s) * 1_000),
            passed=passed,
            failed=failed,
            code=(error.peer_code if isinstance(error, RefusedByPeer) else error.code) if error else "",
            told=str(error)[:300] if error else "",
            relays=transport.hops if isinstance(transport, RelayTransport) and failed is None else (),
            **more,  # type: ignore[arg-type]  # fields of the struct, named below
        )

    if transport.road == "direct":
        unreached = await reach(transport.place, timeout_s=timeout_s)
        if unreached is not None:
            return tried(unreached.step, PeerUnreachable(line.to, f"{transport.place}: {unreached.why}"))
    try:
        met = await line.hello(timeout_s)
    except (PeerUnreachable, UntrustedPeer, RefusedByPeer) as error:
        return tried(_step_of(error, direct=transport.road == "direct"), error)
    return tried(None, clock_offset_ms=met.clock_offset_ms, software_version=met.software_version)


def _step_of(error: LlnError, *, direct: bool) -> PingStep:
    if isinstance(error, RefusedByPeer):
        return "clock" if error.peer_code == ClockApart.code else "policy"
    if isinstance(error, PeerNotAdmitted):
        return "policy"
    if isinstance(error, WrongPeer):
        return "name"
    if isinstance(error, UnprovenReply):
        return "signature"
    if isinstance(error, UntrustedPeer):
        return "chain"
    return "tls" if direct else "relays"
