"""Whose signature counts on a log whose node has had more than one key: a lost machine was replaced by another.

What lives here: the rule by size. An authority that admits another key under a name records, in its own log, how far it
held each log of the former key (`NodeAdmitted.continues`). Up to there the former key's signatures count and beyond it
none; the new key's count from there on. What must not: how a page is checked otherwise (`logs.py`).
"""

from collections.abc import Sequence

import msgspec

from federation.checkpoints import VerifiedCheckpoint, open_checkpoint, unverified_checkpoint
from federation.directory import FormerKey, LogPosition
from federation.errors import BadLog
from federation.keys import NodeKey
from federation.logs import Entry, LogHead, LogId
from federation.notes import BadCheckpointSignature


class LogNotContinued(BadLog):
    code = "LLN-2421"
    zh = "更换密钥的节点必须从上级登记的位置继续原有日志。请在该节点上重新运行 lln join 取回原有条目。"
    en = "A node with a new key goes on from where its authority recorded its log. Run lln join there once more."


class Signers(msgspec.Struct, frozen=True, kw_only=True):
    """The node key in force, and those before it, oldest first.

    `is_above`: it is an authority above this node, known by this node's own chain, which records no former keys.
    """

    key: NodeKey
    former: tuple[FormerKey, ...] = ()
    is_above: bool = False

    def key_for(self, note: bytes, log: LogId) -> NodeKey:
        """The key that is to verify a checkpoint of this log. Where none of them signed it, the one in force, with
        which it will be refused. Raises MalformedNote, WrongOrigin, LogNotContinued.
        """
        if not self.former:
            return self.key
        found = unverified_checkpoint(note)
        if _has_signed(self.key, note, log):
            closing = self.closing(log)
            if closing is not None and found.size < closing.size:
                raise LogNotContinued(str(log), f"recorded up to {closing.size}, signed anew at {found.size}")
            return self.key
        for former in reversed(self.former):
            until = _position(former, log)
            key = NodeKey.parse(former.key)
            if until is not None and found.size <= until.size and _has_signed(key, note, log):
                if found.size == until.size and found.root.hex() != until.root:
                    raise LogNotContinued(str(log), f"another tree than was recorded at {until.size}")
                return key
        return self.key

    def held(self, note: bytes, log: LogId) -> VerifiedCheckpoint | None:
        """A note that was verified when it was stored; None for one of a former key beyond what was recorded of it:
        what it promised there was lost with its machine.
        """
        for former in self.former:
            until = _position(former, log)
            key = NodeKey.parse(former.key)
            if _has_signed(key, note, log):
                opened = open_checkpoint(note, origin=log.origin_line, key=key)
                return opened if until is not None and opened.size <= until.size else None
        if self.is_above and not _has_signed(self.key, note, log):
            return None
        return open_checkpoint(note, origin=log.origin_line, key=self.key)

    def closing(self, log: LogId) -> LogPosition | None:
        """Where the last former key's part of the log ends."""
        return _position(self.former[-1], log) if self.former else None

    def check_passed(self, head: LogHead, entries: Sequence[Entry]) -> None:
        """Where new `entries` after `head` reach a recorded position, the log there must be the one recorded.

        Raises LogNotContinued.
        """
        for former in self.former:
            until = _position(former, head.log)
            if until is None or not head.size < until.size <= head.size + len(entries):
                continue
            reached = head.frontier.extend([entry.leaf_hash for entry in entries[: until.size - head.size]]).frontier
            if reached.root().hex() != until.root:
                raise LogNotContinued(str(head.log), f"another tree than was recorded at {until.size}")


def _position(former: FormerKey, log: LogId) -> LogPosition | None:
    return next((one for one in former.until if one.topic == log.topic), None)


def _has_signed(key: NodeKey, note: bytes, log: LogId) -> bool:
    try:
        open_checkpoint(note, origin=log.origin_line, key=key)
    except BadCheckpointSignature:
        return False
    return True
