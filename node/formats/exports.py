"""What a home node hands out of its records, one writer for each form.

What lives here: from rows to a file with its name and media type. What must not: gathering (`usecases/rendering.py`),
or the forms themselves, which are beside this module.
"""

import html
import uuid
from collections.abc import Callable, Mapping, Sequence

from federation import credentials
from federation.catalogue import BilingualLine
from federation.credentials import VerifiedCredential
from federation.credit_records import RecordIssuer
from federation.keys import Signer
from federation.naming import NodeName
from federation.short_codes import grouped
from node.desk.credits import Exported, Form
from node.formats import clr, printing, wallets
from node.formats.qr_codes import qr_code
from node.formats.transcripts import Holder, Transcript
from node.ports.crediting import LearnerRow, RecordRow
from node.usecases.rendering import OUT_OF_FORCE, Portrait, Writer

_PAGE = """\
<!DOCTYPE html>
<html lang="zh-CN"><head><meta charset="utf-8"><title>{title}</title>
<style>body{{font:12pt/1.6 sans-serif;max-width:48em;margin:2em auto}}pre{{font:inherit;white-space:pre-wrap}}
figure{{margin:1em 0}}figcaption{{font:14pt monospace}}svg{{width:35mm;height:35mm}}</style></head>
<body><pre>{text}</pre>{code}</body></html>
"""


class Exports:
    """Signs as the node that runs here. `random`: bytes for the ids of transcripts."""

    def __init__(self, *, name: NodeName, title: BilingualLine, signer: Signer, random: Callable[[int], bytes]) -> None:
        self._name = name
        self._title = title
        self._signer = signer
        self._random = random

    def writers(self) -> Mapping[Form, Writer]:
        return {
            "credential": self.credential,
            "wallet": self.wallet,
            "transcript": self.transcript,
            "elmo": self.elmo,
            "page": self.page,
        }

    def credential(self, portrait: Portrait) -> Exported:
        """As it was issued, byte for byte."""
        [row] = portrait.records
        return Exported(name="credential.json", media_type="application/vc", content=row.document)

    def wallet(self, portrait: Portrait) -> Exported:
        [row] = portrait.records
        document = wallets.export(row.document, self._signer, portrait.at_ms)
        return Exported(name="wallet.json", media_type="application/vc", content=document)

    def transcript(self, portrait: Portrait) -> Exported:
        """CLR 2.0, signed by this node."""
        document = clr.write(self._transcript(portrait), self._signer)
        return Exported(name="transcript.json", media_type="application/vc", content=document)

    def elmo(self, portrait: Portrait) -> Exported:
        document = _as_elmo(self._transcript(portrait))
        return Exported(name="transcript.xml", media_type="application/xml", content=document)

    def page(self, portrait: Portrait) -> Exported:
        """A page for paper; with a proof's code, the code and where to type it as a QR code."""
        if portrait.account is None:
            text = printing.record_text(_verified(portrait.records[0]).record)
        else:
            text = printing.transcript_text(self._transcript(portrait), code=portrait.code)
        page = _PAGE.format(title="学习成果 Learning outcomes", text=html.escape(text), code=self._drawn(portrait.code))
        return Exported(name="page.html", media_type="text/html", content=page.encode())

    def account_files(self, account: LearnerRow, rows: Sequence[RecordRow]) -> Mapping[str, bytes]:
        """What the archive of a learner's account holds besides our own documents; `usecases.exporting.Format`."""
        rows = [row for row in rows if row.state not in OUT_OF_FORCE]
        if not rows:
            return {}
        transcript = Transcript(
            id=self._new_id(),
            holder=_holder(account, f"urn:lln:account:{account.id}"),
            issuer=self._issuer(),
            records=tuple(map(_verified, rows)),
            issued_at_ms=max(row.changed_at_ms for row in rows),
        )
        return {
            "transcript.xml": _as_elmo(transcript),
            "transcript.txt": printing.transcript_text(transcript).encode(),
        }

    def where(self, code: str) -> str:
        """What somebody types, or scans, to look at a proof."""
        return f"{grouped(code)}@{self._name}"

    def qr(self, code: str) -> str:
        return qr_code(self.where(code), "svg").decode()

    def _drawn(self, code: str) -> str:
        if not code:
            return ""
        drawn = self.qr(code)
        return (
            f"<figure>{drawn[drawn.index('<svg') :]}<figcaption>{html.escape(self.where(code))}</figcaption></figure>"
        )

    def _transcript(self, portrait: Portrait) -> Transcript:
        account = portrait.account
        assert account is not None, "asked before"  # noqa: S101  # `usecases.rendering` has
        return Transcript(
            id=self._new_id(),
            holder=_holder(account, portrait.subject or ""),
            issuer=self._issuer(),
            records=tuple(map(_verified, portrait.records)),
            issued_at_ms=portrait.at_ms,
            is_partial=portrait.is_partial,
        )

    def _issuer(self) -> RecordIssuer:
        return RecordIssuer(did=self._signer.did, node=self._name, title=self._title)

    def _new_id(self) -> str:
        return f"urn:uuid:{uuid.UUID(bytes=self._random(16), version=4)}"


def _as_elmo(transcript: Transcript) -> bytes:
    from node.formats import elmo  # noqa: PLC0415  # an XML library is imported by whoever wants a transcript so

    return elmo.write(transcript)


def _holder(account: LearnerRow, subject: str) -> Holder:
    """Chinese names are not taken apart: the whole of it is the family name's, as ELMO wants one."""
    return Holder(subject=subject, family_name=account.name)


def _verified(row: RecordRow) -> VerifiedCredential:
    return credentials.verify(row.document)
