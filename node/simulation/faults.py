"""What goes wrong in a simulation, and how often.

What lives here: each kind of fault with its rate, and reading a choice of them. What must not: doing any of it
(`mishaps.py`, `network.py`, `malice.py`).
"""

from typing import Final

import msgspec

from federation.errors import InvalidInput


class UnknownFault(InvalidInput):
    code = "LLN-1172"
    zh = "没有这种故障。请用 lln simulate --help 查看可选的故障。"
    en = "There is no such fault. See lln simulate --help for those there are."


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """Shares are of messages; rates are per hour, of one node where they say so. Everything off is a quiet network."""

    delay: bool = False
    lost_share: float = 0.0
    duplicated_share: float = 0.0
    late_share: float = 0.0
    spoilt_share: float = 0.0
    cuts_per_hour: float = 0.0
    crashes_per_node_hour: float = 0.0
    clock_steps_per_node_hour: float = 0.0
    skew_ms_max: int = 0
    disk_troubles_per_node_hour: float = 0.0
    attacks_per_hour: float = 0.0


QUIET: Final = Faults()

_KINDS: Final[dict[str, dict[str, float]]] = {
    "delay": {"delay": True},
    "loss": {"lost_share": 0.01},
    "duplicates": {"duplicated_share": 0.01},
    "reorder": {"late_share": 0.01},
    "spoilt": {"spoilt_share": 0.002},
    "partitions": {"cuts_per_hour": 0.5},
    "crashes": {"crashes_per_node_hour": 0.05},
    "clocks": {"skew_ms_max": 20_000, "clock_steps_per_node_hour": 0.02},
    "disks": {"disk_troubles_per_node_hour": 0.01},
    "malice": {"attacks_per_hour": 2.0},
}
KINDS: Final = tuple(_KINDS)


def read_faults(text: str) -> Faults:
    """Read "all", "none", or kinds joined by commas; a number after a kind multiplies it ("crashes*10").

    Raises UnknownFault.
    """
    if text.strip() == "none":
        return QUIET
    chosen: dict[str, float] = {}
    for word in ",".join(KINDS).split(",") if text.strip() == "all" else text.split(","):
        kind, _, times = word.strip().partition("*")
        if kind not in _KINDS or not (times or "1").replace(".", "", 1).isdigit():
            raise UnknownFault(word[:40], f"known: {', '.join(KINDS)}, or all, or none")
        chosen |= {name: _times(rate, float(times or 1)) for name, rate in _KINDS[kind].items()}
    return msgspec.convert(chosen, Faults)


def _times(rate: float, times: float) -> float:
    if isinstance(rate, bool):
        return rate
    return int(rate * times) if isinstance(rate, int) else min(rate * times, 1_000.0)
