"""Witnessing: proofs from this node's `credits` log, under a checkpoint that its parent has cosigned.

What lives here: the newest cosigned note, and the proof of one entry under it, inside an open transaction; shared by
whoever shows one. What must not: getting the cosignature (`forwarding.py`).

A log that grows all the time is rarely cosigned as it stands: the last note that was is kept beside it.
"""

from typing import Final

from federation import credit_log
from federation.checkpoints import unverified_checkpoint
from federation.errors import NotFound, Unavailable
from federation.log_proofs import rows_for_proof, write_proof
from federation.logs import LogId
from federation.naming import NodeName
from federation.notes import Note
from node.ports import Transaction

WITNESSED_NOTE: Final = "credits log as last cosigned"


class NotWitnessedYet(Unavailable):
    code = "LLN-1613"
    zh = "上级还没有见证存证日志里的这一条，暂时不能出具离线证明。请在与上级连通后稍候再试。"
    en = (
        "The parent has not yet witnessed this entry of the log. Try again in a moment, once the parent can be reached."
    )


class EntryNotHere(NotFound):
    code = "LLN-1210"
    zh = "本节点的学分存证日志里没有这一条。"
    en = "The credits log of this node has no such entry."


def prove_entry(
    tx: Transaction, own_name: NodeName, parent: NodeName | None, index: int, leaf_hash: bytes | None = None
) -> bytes:
    """A tlog-proof of one entry of the own log; with `leaf_hash`, only of that very entry.

    Raises EntryNotHere, NotWitnessedYet.
    """
    log = LogId(origin=own_name, topic=credit_log.TOPIC)
    stored = tx.logs.get(log)
    if stored is None or index >= stored.head.size:
        raise EntryNotHere(log.origin_line, f"entry {index}")
    entry = tx.logs.entries(log, index, 1)[0]
    if leaf_hash is not None and entry.leaf_hash != leaf_hash:
        raise EntryNotHere(log.origin_line, f"entry {index} is another")
    note = _witnessed(stored.note, tx.notes.get(WITNESSED_NOTE), parent)
    if note is None or index >= unverified_checkpoint(note).size:
        raise NotWitnessedYet(log.origin_line, f"entry {index}")
    rows = tx.logs.hash_rows(log, {*rows_for_proof(index, note), index})
    return write_proof(index, entry.document, note, rows)


def _witnessed(newest: bytes, kept: bytes | None, parent: NodeName | None) -> bytes | None:
    """The root has nobody above it; its own signature is all there is."""
    if parent is None or any(line.name == parent for line in Note.parse(newest).lines):
        return newest
    return kept
