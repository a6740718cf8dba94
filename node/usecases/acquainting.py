"""Acquainting: what this node knows of callers from other branches, whose directories it does not hold.

What lives here: asking the lowest common authority, through the parent, remembering the answer for a while, and judging
by it where `vouching.py` holds no directory. What must not: those directories.
"""

from base64 import b64encode
from collections import OrderedDict
from typing import Final

from federation import directory
from federation.certificate_profile import is_later
from federation.certificates import VerifiedNode
from federation.directory import Standing
from federation.errors import LlnError
from federation.naming import NodeName, is_within, parent_of
from node.ports import Clock, Identity, Peers, Resolved
from node.usecases.vouching import Vouching

ASK_AGAIN_MS: Final = 5 * 60_000
ASK_IN_VAIN_MS: Final = 30_000
ASK_ABOUT_RENEWED_MS: Final = 2_000
"""A caller under another certificate than was told of: its authority has renewed it since, or it is an old one."""
STRANGERS_MAX: Final = 4_096
HOPS_MAX: Final = 8
TIMEOUT_S: Final = 3.0


class Acquainting:
    def __init__(self, *, vouching: Vouching, peers: Peers, identity: Identity, clock: Clock) -> None:
        self._vouching = vouching
        self._peers = peers
        self._identity = identity
        self._clock = clock
        self._met: OrderedDict[NodeName, tuple[int, Resolved]] = OrderedDict()
        self._in_vain: OrderedDict[NodeName, int] = OrderedDict()

    async def meet(self, caller: VerifiedNode) -> None:
        """Ask who a stranger is, unless that was asked lately; where nobody answers, its certificates speak for it."""
        parent = parent_of(self._identity.name, self._identity.root)
        if parent is None or not self._is_stranger(caller.name):
            return
        now_ms = self._clock.now_ms()
        if now_ms < self._due_ms(caller) or now_ms - self._in_vain.get(caller.name, 0) < ASK_IN_VAIN_MS:
            return
        try:
            told = await self._peers.resolve(parent, caller.name, HOPS_MAX, timeout_s=TIMEOUT_S)
        except LlnError:  # provisional then, as the judgement says; and not asked again for each of its calls
            self._in_vain[caller.name] = now_ms
            self._in_vain.move_to_end(caller.name)
            while len(self._in_vain) > STRANGERS_MAX:
                self._in_vain.popitem(last=False)
            return
        self._in_vain.pop(caller.name, None)
        self._met[caller.name] = (self._clock.now_ms(), told)
        self._met.move_to_end(caller.name)
        while len(self._met) > STRANGERS_MAX:
            self._met.popitem(last=False)

    def _due_ms(self, caller: VerifiedNode) -> int:
        """When to ask about a caller again."""
        asked_ms, told = self._met.get(caller.name, (0, None))
        is_as_told = told is not None and told.chain[:1] == caller.chain[:1]
        return asked_ms + (ASK_AGAIN_MS if is_as_told else ASK_ABOUT_RENEWED_MS)

    def judge(self, caller: VerifiedNode, reads_catalogue: bool) -> bool:  # noqa: FBT001  # as federation.calls asks
        """Whether a verified caller is admitted today; True means provisionally. Raises the refusals of
        `federation.directory.judge`.
        """
        certificates = [b64encode(der).decode() for der in caller.chain]
        held = self._vouching.judge(caller.names[: len(certificates)], certificates, reads_catalogue=reads_catalogue)
        told = self._judge_stranger(caller, reads_catalogue=reads_catalogue) if held else None
        return held if told is None else told

    def _judge_stranger(self, caller: VerifiedNode, *, reads_catalogue: bool) -> bool | None:
        """The same, of a stranger that has been asked about; None where nothing is known, or nothing yet of a
        certificate that its authority has issued since: that is news, and contradicts nothing.
        """
        met = self._met.get(caller.name)
        authority = parent_of(caller.name, self._identity.root)
        if met is None or authority is None or not self._is_stranger(caller.name):
            return None
        told = met[1]
        if told.status == "active" and told.chain and is_later(caller.certificate, told.chain[0]):
            return None
        standing = Standing(
            authority=authority,
            name=told.name,
            status=told.status,  # type: ignore[arg-type]  # one of the four, as the border has checked
            description=told.description,
            key=caller.key.did,
            certificates=tuple(b64encode(der).decode() for der in told.chain[:1]),
            since_ms=0,
            moved_to=told.moved_to,
        )
        return directory.judge(
            standing,
            name=caller.name,
            certificate=b64encode(caller.certificate).decode(),
            age_ms=max(0, self._clock.now_ms() - told.confirmed_at_ms),
            reads_catalogue=reads_catalogue,
        )

    def _is_stranger(self, name: NodeName) -> bool:
        authority = parent_of(name, self._identity.root)
        is_above = is_within(self._identity.name, name)
        return authority is not None and not is_above and not self._vouching.is_followed(name)
