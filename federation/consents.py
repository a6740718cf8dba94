"""Consent 授权同意: what a learner agreed may be shown, to whom, for what, until when; and whether that covers a use.

What lives here: the consent as the learner's home keeps it, the decision whether it covers one use, and the grant that
the home signs for others. What must not: who asks for consent, or where it is kept (`node/usecases/consenting.py`).

A consent names no person: it knows the learner by the id of their account, and says only whether they or their guardian
agreed. Identity and student numbers are no field that can be agreed to: they never leave the node.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Annotated, Final, Literal, Self

import msgspec
from msgspec import Meta

from federation import canonical
from federation.catalogue import BilingualProse, EpochMs
from federation.credit_records import CredentialId, Subject
from federation.directory import Did
from federation.errors import LlnError, RefusedCall, UntrustedPeer
from federation.framing import pae
from federation.keys import NodeKey, Signer
from federation.naming import NameField, NodeName
from federation.persons import needs_guardian
from federation.short_ids import ConsentId, LearnerId

RECORDS_MAX: Final = 500
GRANT_BYTES_MAX: Final = 65_536
TEXT_VERSION: Final = "2026-1"
"""Of the words in `words_of`; a consent keeps the version that was agreed to."""
_SIGNED_FOR: Final = "lln.consent.v1"

Purpose = Literal["convert", "present", "transfer"]
"""转换 (and recognition), 核验 by whoever is shown a proof, 转移 of the account to another node."""
Field = Literal["records", "name", "birth_date", "contact"]
Uses = Literal["one", "many"]
ConsentState = Literal["active", "used", "withdrawn", "expired"]

Lack = Literal["withdrawn", "used", "expired", "purpose", "recipient", "fields", "records"]

Records = Annotated[tuple[CredentialId, ...], Meta(max_length=RECORDS_MAX)]
RecipientField = Annotated[str, Meta(pattern=r"^(bearer|[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+)$", max_length=253)]
GrantId = Annotated[str, Meta(pattern=r"^C[0-9A-HJKMNP-TV-Z]{16}/[0-9]{6,9}$")]


class UnsignedGrant(UntrustedPeer):
    code = "LLN-2180"
    zh = "授权书没有学习者所属节点的有效签名，已拒绝。"
    en = "The consent grant is not signed by the learner's home node; it was refused."


class GrantTooNarrow(RefusedCall):
    code = "LLN-2280"
    zh = "学习者的授权不涵盖这个用途、接收方或记录，或已到期。请由所属节点重新取得授权。"
    en = "The learner's consent does not cover this use, recipient or record, or is over. Their home has to ask anew."


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """What was agreed to, valid from birth. `every_record`: all the learner has, those still to come included.

    `by` guardian: the one whom the account names agreed, for a learner below the age of fourteen.
    """

    id: ConsentId
    learner: LearnerId
    purpose: Purpose
    fields: Annotated[tuple[Field, ...], Meta(min_length=1, max_length=4)]
    recipient: RecipientField
    records: Records = ()
    every_record: bool = False
    given_at_ms: EpochMs
    expires_at_ms: EpochMs
    uses: Uses = "one"
    by: Literal["learner", "guardian"] = "learner"
    text_version: Annotated[str, Meta(min_length=1, max_length=32)] = TEXT_VERSION

    def __post_init__(self) -> None:
        if self.expires_at_ms <= self.given_at_ms:
            raise ValueError("a consent ends after it is given")
        if len(set(self.fields)) < len(self.fields):
            raise ValueError("a field is agreed to once")
        if ("records" in self.fields) != (self.every_record or bool(self.records)):
            raise ValueError("records are named, or every one, where the field records is agreed to, and only there")
        if self.every_record and self.records:
            raise ValueError("either some records, or every one")


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody is about to do on the strength of a consent."""

    recipient: RecipientField
    purpose: Purpose
    fields: tuple[Field, ...]
    records: Records = ()


class Shortfall(msgspec.Struct, frozen=True, kw_only=True):
    """One reason why a consent does not cover a use, in words for the people of the home."""

    lack: Lack
    zh: str
    en: str


class ConsentGrant(msgspec.Struct, frozen=True, kw_only=True, tag_field="document", tag="consent_grant"):
    """What the home tells others of one disclosure: enough to act on, and nothing of who it is.

    `subject`: by whom the recipient knows the learner, absent for a bearer. A grant of `one` use serves one case.
    """

    id: GrantId
    home: NameField
    subject: Subject | None = None
    recipient: RecipientField
    purpose: Purpose
    fields: tuple[Field, ...]
    records: Records = ()
    granted_at_ms: EpochMs
    expires_at_ms: EpochMs
    uses: Uses
    text_version: str


class SignedGrant(msgspec.Struct, frozen=True, kw_only=True):
    """A grant as it travels: its bytes verbatim, and the home's signature over them; unverified until `opened`."""

    grant: Annotated[bytes, Meta(max_length=GRANT_BYTES_MAX)]
    key: Did
    signature: Annotated[bytes, Meta(min_length=64, max_length=64)]

    @classmethod
    def sign(cls, grant: ConsentGrant, signer: Signer) -> Self:
        written = canonical.encode(grant)
        return cls(grant=written, key=signer.did, signature=signer.sign(pae(_SIGNED_FOR, written)))

    def opened(self, home: NodeName, key: NodeKey) -> ConsentGrant:
        """The grant, if `key`, which is `home`'s, has signed it as its own; raises UnsignedGrant."""
        if self.key != key.did or not key.verify(pae(_SIGNED_FOR, self.grant), self.signature):
            raise UnsignedGrant(home, "the signature is not that of its node key")
        try:
            grant: ConsentGrant = canonical.decode(self.grant, ConsentGrant, bytes_max=GRANT_BYTES_MAX)
        except LlnError as malformed:
            raise UnsignedGrant(home, "signed, but not a grant") from malformed
        if grant.home != home:
            raise UnsignedGrant(home, f"it speaks for {grant.home}")
        return grant


def open_grant(signed: SignedGrant, home: NodeName, keys: Sequence[NodeKey]) -> ConsentGrant:
    """The grant, under whichever of its home's keys signed it: the one in force, or one before a machine was replaced.

    Raises UnsignedGrant.
    """
    for key in keys:
        if key.did == signed.key:
            return signed.opened(home, key)
    raise UnsignedGrant(home, "the signature is not that of a node key of its")


# --- decisions -------------------------------------------------------------------------------------------------------


def state_at(state: ConsentState, consent: Consent, now_ms: int) -> ConsentState:
    """What a consent is now: time ends an active one by itself."""
    return "expired" if state == "active" and now_ms >= consent.expires_at_ms else state


def covers(consent: Consent, use: Use, *, state: ConsentState, now_ms: int) -> tuple[Shortfall, ...]:
    """Everything that keeps a consent from covering a use; empty where it covers it."""
    lacks = _lacks(consent, use, state, now_ms)
    return tuple(Shortfall(lack=lack, zh=_LACKS[lack][0], en=_LACKS[lack][1]) for lack in lacks)


def check_grant(grant: ConsentGrant, use: Use, *, now_ms: int) -> None:
    """That an opened grant covers what its recipient, or an issuer it asks, is about to do; raises GrantTooNarrow."""
    lacking = [
        lack
        for lack, is_lacking in (
            ("recipient", grant.recipient != use.recipient),
            ("purpose", grant.purpose != use.purpose),
            ("fields", not set(use.fields) <= set(grant.fields)),
            ("records", not set(use.records) <= set(grant.records)),
            ("expired", now_ms >= grant.expires_at_ms),
        )
        if is_lacking
    ]
    if lacking:
        raise GrantTooNarrow(grant.id, f"lacking: {', '.join(lacking)}")


def may_agree(birth_date: date | None, *, as_of: date) -> Literal["learner", "guardian", "unknown"]:
    """Who can consent on a day; without a birth date nobody can tell."""
    if birth_date is None:
        return "unknown"
    return "guardian" if needs_guardian(birth_date, as_of) else "learner"


def _lacks(consent: Consent, use: Use, state: ConsentState, now_ms: int) -> Iterator[Lack]:
    now = state_at(state, consent, now_ms)
    if now != "active":
        yield now
    if use.purpose != consent.purpose:
        yield "purpose"
    if use.recipient != consent.recipient:
        yield "recipient"
    if not set(use.fields) <= set(consent.fields):
        yield "fields"
    if use.records and not _holds_records(consent, use.records):
        yield "records"


def _holds_records(consent: Consent, records: Sequence[str]) -> bool:
    return "records" in consent.fields and (consent.every_record or set(records) <= set(consent.records))


# --- words -----------------------------------------------------------------------------------------------------------


def words_of(consent: Consent, until: date) -> BilingualProse:
    """What the learner, or their guardian, is asked to agree to, in words of TEXT_VERSION; `until`: the day it ends."""
    count = len(consent.records)
    which_zh = "（全部，含今后新增）" if consent.every_record else f"（{count} 条）"
    which_en = " (all, also those to come)" if consent.every_record else f" ({count})"
    fields_zh = "、".join(_FIELDS[one][0] + (which_zh if one == "records" else "") for one in consent.fields)
    fields_en = ", ".join(_FIELDS[one][1] + (which_en if one == "records" else "") for one in consent.fields)
    bearer = consent.recipient == "bearer"
    return BilingualProse(
        zh=(
            f"我{'作为监护人' if consent.by == 'guardian' else ''}同意所属节点向"
            f"{'持有证明码的人' if bearer else ' ' + consent.recipient + ' '}提供：{fields_zh}。"
            f"用途仅为{_PURPOSES[consent.purpose][0]}。有效期至 {until.isoformat()}，"
            f"{'只用一次' if consent.uses == 'one' else '可多次使用'}。身份证号和学号不会提供。"
            "我可以随时撤回，撤回后不再用于新的提供；已经提供的可随时查看。"
        ),
        en=(
            f"{'As the guardian, I' if consent.by == 'guardian' else 'I'} agree that the home node shows "
            f"{'whoever holds the proof code' if bearer else consent.recipient}: {fields_en}. "
            f"Only for: {_PURPOSES[consent.purpose][1]}. Until {until.isoformat()}, "
            f"{'for one use' if consent.uses == 'one' else 'for any number of uses'}. Identity and student numbers are "
            "never shown. I can withdraw this at any time for all later uses, and see every disclosure made."
        ),
    )


_PURPOSES: Final[dict[Purpose, tuple[str, str]]] = {
    "convert": ("学分的认定与转换", "recognising and converting credits"),
    "present": ("核验学习成果证明", "verifying a proof of learning outcomes"),
    "transfer": ("把学习账户转到该节点", "moving the account to that node"),
}
_FIELDS: Final[dict[Field, tuple[str, str]]] = {
    "records": ("学分记录", "credit records"),
    "name": ("姓名", "name"),
    "birth_date": ("出生日期", "birth date"),
    "contact": ("联系方式", "contact"),
}
_LACKS: Final[dict[Lack, tuple[str, str]]] = {
    "withdrawn": ("授权已撤回。", "The consent was withdrawn."),
    "used": ("一次性授权已经用过。", "The consent was for one use, which was made."),
    "expired": ("授权已到期。", "The consent is over."),
    "purpose": ("授权不是给这个用途的。", "The consent is for another purpose."),
    "recipient": ("授权不是给这个接收方的。", "The consent is for another recipient."),
    "fields": ("授权不包含其中的字段。", "The consent does not name every field."),
    "records": ("授权不包含其中的记录。", "The consent does not name every record."),
}
