"""Exporting: a learner takes everything this node holds of them along, in open formats.

What lives here: what goes into the archive. What must not: formats of other programs; each is a `Format` that the bank
is put together with (`node/bank.py`), and adds files of its own beside the ones here.
"""

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from node.desk.learners import LearnerExport, LearnerNamed
from node.ports import Clock, ResourceRow, Store, Transaction
from node.ports.crediting import CompletionRow, LearnerRow, MoveRow, RecordRow, RequestRow
from node.usecases.disclosing import LearnerUnknown, consent_in, rows_of, shown
from node.usecases.noting import offers_of

Format = Callable[[LearnerRow, Sequence[RecordRow]], Mapping[str, bytes]]
"""The files, by path, that one more format makes of an account and its records."""

_FIRST_DAY: Final = (1980, 1, 1, 0, 0, 0)  # the earliest a ZIP can say: equal content makes equal archives


class Exporting:
    def __init__(self, *, store: Store, clock: Clock, formats: Sequence[Format] = ()) -> None:
        self._store = store
        self._clock = clock
        self._formats = formats

    async def export(self, asked: LearnerNamed) -> LearnerExport:
        """A ZIP of everything held of one learner, numbers in full: it is theirs. Raises LearnerUnknown."""
        now_ms = self._clock.now_ms()
        files = await self._store.read(lambda tx: self._files(tx, asked.learner, now_ms))
        return LearnerExport(archive=_packed(files), files=tuple(files))

    def _files(self, tx: Transaction, learner: str, now_ms: int) -> dict[str, bytes]:
        account = tx.credits.learners.get(learner)
        if account is None:
            raise LearnerUnknown(learner)
        records = list(rows_of(tx.credits.records, learner))
        consents = list(rows_of(tx.credits.consents, learner))
        files = {
            "README.txt": _README.encode(),
            "account.json": _json(account),
            "pseudonyms.json": _json(
                [{"node": one.state, "subject": one.id} for one in rows_of(tx.credits.pseudonyms, learner)]
            ),
            "records.json": _json([_without_document(record) for record in records]),
            "consents.json": _json([{"consent": consent_in(row), "shown": shown(row, now_ms)} for row in consents]),
            "disclosures.json": _json(list(rows_of(tx.credits.disclosures, learner))),
            "proofs.json": _json(list(rows_of(tx.credits.proofs, learner))),
            "completions.json": _json([_without_asides(row) for row in rows_of(tx.credits.completions, learner)]),
            "offers.json": _json([_offer(tx, row) for row in offers_of(tx, learner)]),
            "moves.json": _json(list(map(_move, rows_of(tx.credits.moves, learner)))),
            "requests.json": _json(list(map(_request, rows_of(tx.credits.requests, learner)))),
        }
        files |= {f"credentials/{record.id.removeprefix('urn:uuid:')}.json": record.document for record in records}
        for form in self._formats:
            files |= form(account, records)
        return files


def _offer(tx: Transaction, row: ResourceRow) -> dict[str, object]:
    """A resource that the learner has offered, with its files by name and digest; the files are theirs already."""
    told: dict[str, object] = msgspec.to_builtins(row)
    return told | {"files": [msgspec.to_builtins(one) for one in tx.people.files.of(row.id)]}


def _without_asides(row: CompletionRow) -> CompletionRow:
    """Without what the institution's people told each other of it."""
    return msgspec.structs.replace(row, passed_on=())


def _without_document(record: RecordRow) -> dict[str, object]:
    """What this node knows about a record beside the credential itself, which has a file of its own."""
    told: dict[str, object] = msgspec.to_builtins(record)
    del told["document"]
    return told


def _request(row: RequestRow) -> dict[str, object]:
    """A request with its documents as the JSON they are."""
    told: dict[str, object] = msgspec.to_builtins(row)
    return told | {"request": msgspec.Raw(row.request or b"null"), "news": msgspec.Raw(row.news or b"null")}


def _move(row: MoveRow) -> dict[str, object]:
    told: dict[str, object] = msgspec.to_builtins(row)
    return told | {"document": msgspec.Raw(row.document or b"null")}


def _json(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def _packed(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path, _FIRST_DAY)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o600 << 16  # readable by the owner alone once unpacked
            archive.writestr(entry, content)
    return buffer.getvalue()


_README: Final = """\
学习账户数据 · Data of a learning account

这是本节点保存的、关于您的全部数据。其中有姓名和号码，请妥善保管。
This is everything the node holds of you. Names and numbers are in it: keep it safe.

account.json       账户：姓名、号码、出生日期、监护人、联系方式（时间为 1970 年以来的毫秒数，UTC）
                   the account: name, numbers, birth date, guardian, contact (times in milliseconds since 1970, UTC)
credentials/       学分记录原件，每条一个文件，逐字节如颁发时；格式为 Open Badges 3.0（JSON-LD，附签名），
                   任何支持该标准的程序都能核验
                   credit records byte for byte as they were issued, one a file: Open Badges 3.0 (JSON-LD with its
                   proof), which any program that knows the standard can verify
records.json       各条记录的状态：有效、暂停、撤销、更正、失效
                   how each record stands: active, suspended, revoked, superseded, expired
consents.json      您给出的授权，以及当时的文字
                   the consents you gave, and the words you agreed to
disclosures.json   每一次提供：何时、向谁、为何、哪些内容
                   every disclosure: when, to whom, what for, and of what
pseudonyms.json    其他节点认识您所用的代称，各不相同
                   the names by which other nodes know you, another one for each
proofs.json        学习成果证明的编号
                   codes of proofs of learning outcomes
completions.json   您自己说已经学完的资源，以及怎样处理的
                   what you said you have finished, and what came of it
offers.json        您提供过的资源，及其文件的名称和校验值
                   what you have offered, and its files by name and hash
moves.json         账户在节点之间的迁移
                   moves of the account between nodes
requests.json      您提出的转换申请，以及对方的答复
                   the conversions you asked for, and what was answered
"""
