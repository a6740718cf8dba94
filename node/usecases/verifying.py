"""Verifying: whether a credential, an offline proof or what a code stands for is good, answer by answer.

What lives here: asking for what is not in the document: how the issuer stood when it signed, its status lists, the
entry of its log. What must not: the outcome of all answers together (`federation/credential_verdicts.py`), or giving
out a code (`presenting.py`).

Nothing is kept, and every road may be shut: then the answer says so, and the others still count.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, Protocol

import msgspec

from federation import (
    bundles,
    canonical,
    credential_verdicts,
    credentials,
    credit_log,
    document_proofs,
    short_codes,
    status_lists,
    verdict_words,
)
from federation.credential_verdicts import Answers, Bit, Inclusion, IssuerStanding, Signature, bit_of, dates_of
from federation.credentials import VerifiedCredential
from federation.document_proofs import Canonicalise, TamperedCredential, UnverifiedCredential
from federation.errors import BadCredential, BadLog, InvalidInput, LlnError, PeerRefused, PeerUnreachable, UntrustedPeer
from federation.keys import NodeKey
from federation.log_proofs import verify_proof
from federation.logs import LogId
from federation.naming import NodeName, parent_of, parse_name
from federation.status_lists import Purpose, VerifiedStatusList, sister_of
from federation.unknown_names import NameUnknown
from node.desk.credits import Verdict, Verdicts, VerifyAnswer, VerifyAsked
from node.ports import Clock, Identity, ShownProof, ShownRecord, Store

CLOCKS_APART_MS: Final = 120_000
_BUNDLE_MEMBER: Final = "format"


class UnreadableDocument(InvalidInput):
    code = "LLN-1110"
    zh = "不是学分凭证、离线证明，也不是核验短码。请核对文件，或按“短码@节点名称”输入短码。"
    en = "Neither a credential, nor an offline proof, nor a code. Check the file, or give the code as CODE@NODE."


class Fetched(Protocol):
    """What could be had of a status list, empty where nothing; `is_offline`: its issuer did not answer."""

    @property
    def document(self) -> bytes: ...
    @property
    def is_offline(self) -> bool: ...


class Signatory(Protocol):
    """Whose a signature could be, as `identifying` knows it."""

    @property
    def key_now(self) -> str: ...
    def could_sign(self, key: str) -> bool: ...
    def may_still_sign(self, key: str) -> bool: ...


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a verifier asks: how a node stood at a moment, its keys, its lists, its log, and what a code stands for."""

    signatory: Callable[[NodeName, int], Awaitable[Signatory]]
    keys_of: Callable[[NodeName], Awaitable[Sequence[NodeKey]]]
    fetch: Callable[[NodeName, str], Awaitable[Fetched]]
    inclusion: Callable[[NodeName, int, bytes], Awaitable[bytes]]
    proof: Callable[[NodeName, str], Awaitable[ShownProof]]


class _Lists(msgspec.Struct, frozen=True, kw_only=True):
    revocation: VerifiedStatusList | None = None
    suspension: VerifiedStatusList | None = None
    is_offline: bool = False

    def by_purpose(self) -> tuple[tuple[Purpose, VerifiedStatusList | None], ...]:
        return (("revocation", self.revocation), ("suspension", self.suspension))


class _Round:
    """What one question has learned so far: lists by id, and which issuers, or those who vouch for them, are silent.

    A hundred records of an issuer that is offline then wait for it once.
    """

    def __init__(self) -> None:
        self.lists: dict[str, _Lists] = {}
        self.silent: set[str] = set()
        self.unvouched: set[str] = set()


class Verifying:
    """`rdf`: canonicalises graphs where the packages for it are installed, for credentials exported to wallets."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        identity: Identity,
        sources: Sources,
        rdf: Callable[[], Canonicalise | None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._root = identity.root
        self._own_name = identity.name
        self._root_sha256 = bundles.root_fingerprint(identity.root_certificate)
        self._sources = sources
        self._rdf = rdf

    async def verify(self, asked: VerifyAsked) -> Verdicts:
        """A verdict for each credential in what was given; raises UnreadableDocument, ProofUnknown, or as calls do."""
        text = asked.text.strip()
        if not text.startswith("{"):
            return await self._by_code(text)
        document = text.encode()
        if is_bundle(document):
            return Verdicts(verdicts=(await self._bundle(document),))
        return Verdicts(verdicts=(await self._credential(document, await self._opening(document), _Round()),))

    async def _by_code(self, text: str) -> Verdicts:
        code, _, node = text.partition("@")
        try:
            code = short_codes.read(code)
        except short_codes.MistypedCode:
            if len(text) > 4 * short_codes.CODE_CHARS and "@" not in text:
                raise UnreadableDocument(text[:40]) from None
            raise
        at = parse_name(node.strip()) if node else self._own_name
        try:
            shown = await self._sources.proof(at, code)
        except PeerRefused as refused:
            if refused.peer_code != short_codes.ProofUnknown.code:
                raise
            raise short_codes.ProofUnknown("code") from refused
        learned = _Round()
        verdicts = [
            await self._credential(one.credential, one if one.event else None, learned) for one in shown.records
        ]
        return Verdicts(verdicts=tuple(verdicts))

    async def _opening(self, document: bytes) -> ShownRecord | None:
        """What opens the issuer's commitment, where this node issued the record or holds it for a learner."""
        identifier = document_proofs.unverified_members(document, credentials.CREDENTIAL_BYTES_MAX).get("id")
        if not isinstance(identifier, str):
            return None
        events = await self._store.read(lambda tx: tx.credits.events.of(identifier, limit=1))
        if not events:
            return None
        first = events[0]
        return ShownRecord(credential=document, event=first.document, salt=first.salt, log_index=first.log_index)

    async def _credential(self, document: bytes, opening: ShownRecord | None, learned: _Round) -> Verdict:
        try:
            verified = credentials.verify(document, rdf=self._rdf())
        except TamperedCredential:
            return told(_without_signature("bad"), None)
        except UnverifiedCredential:
            return told(_without_signature("unverified"), None)
        inclusion = await self._inclusion(verified, opening, learned) if opening else "unproven"
        return await self._judged(verified, inclusion, None, learned)

    async def _bundle(self, document: bytes) -> Verdict:
        """By itself, and then by what can be learned beyond it: newer lists, and how the issuer stood."""
        now_ms = self._clock.now_ms()
        alone = bundles.verify_bundle(document, root_sha256=self._root_sha256, as_of_ms=now_ms)
        if alone.credential is None or alone.issuer is None:
            return told(alone.verdict.answers, alone.credential)
        return await self._judged(alone.credential, alone.verdict.answers.inclusion, alone.verdict.answers, _Round())

    async def _judged(
        self,
        verified: VerifiedCredential,
        inclusion: Inclusion,
        alone: Answers | None,
        learned: _Round,
    ) -> Verdict:
        """`alone`: what a bundle proves by itself, which stands where nobody can be asked."""
        record = verified.record
        issuer, successor = await self._issuer(verified, inclusion, learned)
        if issuer == "unreachable" and alone is not None:
            issuer = alone.issuer
        lists = await self._lists(verified, learned)
        now_ms = self._clock.now_ms()
        successors = (successor,) if successor else ()
        revocation, suspension = (
            bit_of(record, purpose, held, _not_before(now_ms, held), successors=successors)
            for purpose, held in lists.by_purpose()
        )
        age_ms = _age_ms(lists, now_ms)
        if alone is not None and alone.revocation == "raised":  # that is for ever, whatever an older copy says
            revocation = "raised"
        if alone is not None and "unknown" in (revocation, suspension):
            revocation = _better(revocation, alone.revocation)
            suspension = _better(suspension, alone.suspension)
            age_ms = alone.list_age_ms if age_ms is None else age_ms
        answers = Answers(
            signature="good",
            issuer=issuer,
            revocation=_offline(revocation, is_offline=lists.is_offline),
            suspension=_offline(suspension, is_offline=lists.is_offline),
            dates=dates_of(record, _at_least(now_ms, record.valid_from_ms)),
            inclusion=inclusion,
            list_age_ms=age_ms,
        )
        return told(answers, verified, now_ms)

    async def _issuer(
        self, verified: VerifiedCredential, inclusion: Inclusion, learned: _Round
    ) -> tuple[IssuerStanding, str]:
        """How the issuer stood, and the key that has taken the place of the one that signed, if one has.

        A node that is not admitted any more, or whose key was replaced, could sign with an old date: what it signed
        counts where its log, which its authority has witnessed, has it.
        """
        record = verified.record
        if record.issuer.node in learned.unvouched:
            return "unreachable", ""
        try:
            known = await self._sources.signatory(NodeName(record.issuer.node), record.valid_from_ms)
        except LlnError as error:
            if _nobody_knows(error):
                return "unknown", ""
            learned.unvouched.add(record.issuer.node)
            return "unreachable", ""
        key = verified.issuer.did
        counts = known.may_still_sign(key) or inclusion == "proven"
        if not known.could_sign(key) or not counts:
            return "unknown", ""
        return "admitted", known.key_now

    async def _lists(self, verified: VerifiedCredential, learned: _Round) -> _Lists:
        """Both lists of a record's slot, each asked for once however many records stand in it."""
        slot, issuer = verified.record.status, NodeName(verified.record.issuer.node)
        if slot is None:
            return _Lists()
        known = learned.lists.get(slot.list)
        if known is None:
            revocation, suspension = [
                await self._sources.fetch(issuer, wanted) for wanted in (slot.list, sister_of(slot.list))
            ]
            known = learned.lists[slot.list] = _Lists(
                revocation=_read_list(revocation.document),
                suspension=_read_list(suspension.document),
                is_offline=revocation.is_offline or suspension.is_offline,
            )
        return known

    async def _inclusion(self, verified: VerifiedCredential, opening: ShownRecord, learned: _Round) -> Inclusion:
        """Whether the issuer's log has the issue of this record, under a checkpoint its authority has cosigned."""
        issuer = NodeName(verified.record.issuer.node)
        try:
            if not credit_log.is_issue_of(opening.event, verified.record.id, _issued_sha256(verified.document)):
                return "disproven"
            leaf = credit_log.leaf_of(opening.event, credit_log.salt_from_text(opening.salt), issuer)
        except (BadCredential, ValueError):
            return "disproven"
        if issuer in learned.silent:
            return "unproven"
        try:
            proof = await self._sources.inclusion(issuer, opening.log_index, leaf)
            keys, witnesses = await self._sources.keys_of(issuer), await self._witnesses(issuer)
        except LlnError as error:  # nothing that could be asked for proves it, and nothing contradicts it
            if not isinstance(error, PeerRefused):
                learned.silent.add(issuer)
            return "unproven"
        log = LogId(origin=issuer, topic=credit_log.TOPIC)
        try:
            verify_proof(proof, log=log, key=keys[0], leaf_hash=leaf, witnesses=witnesses)
        except BadLog:
            return "disproven"
        return "proven"

    async def _witnesses(self, issuer: NodeName) -> Mapping[str, NodeKey]:
        authority = parent_of(issuer, self._root)
        return {} if authority is None else {str(authority): (await self._sources.keys_of(authority))[0]}


def is_bundle(document: bytes) -> bool:
    """Whether a JSON document says that it is an offline proof."""
    try:
        found = msgspec.json.decode(document, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableDocument("document", str(error)[:200]) from error
    return found.get(_BUNDLE_MEMBER) == bundles.FORMAT


def told(answers: Answers, verified: VerifiedCredential | None, now_ms: int | None = None) -> Verdict:
    """A verdict for people: the outcome, each answer by itself, and what the credential says where it holds."""
    verdict = credential_verdicts.judge(answers)
    each = tuple(
        VerifyAnswer(question=one.question, answer=one.answer, zh=one.zh, en=one.en)
        for one in verdict_words.told(answers)
    )
    document = Verdict(outcome=verdict.outcome, exit_code=verdict.exit_code, zh=verdict.zh, en=verdict.en, answers=each)
    if verified is None:
        return document
    record, age_ms = verified.record, answers.list_age_ms
    return msgspec.structs.replace(
        document,
        id=record.id,
        issuer=record.issuer.node,
        issuer_title=record.issuer.title,
        achievement=record.achievement.name,
        hundredths=record.amount.hundredths,
        unit=record.amount.unit,
        achieved_on=record.achieved_on,
        status_as_of_ms=None if age_ms is None or now_ms is None else now_ms - age_ms,
    )


def _without_signature(signature: Signature) -> Answers:
    return Answers(signature=signature, issuer="unknown", revocation="unknown", suspension="unknown", dates="within")


def _nobody_knows(error: LlnError) -> bool:
    """Whether those who would know have said that there is no such node, or none whose certificates hold."""
    if isinstance(error, PeerRefused):
        return error.peer_code == NameUnknown.code
    return isinstance(error, UntrustedPeer) and not isinstance(error, PeerUnreachable)


def _issued_sha256(document: bytes) -> str:
    """Of the credential as it was issued: in the one spelling that is signed, without the proofs a copy was given."""
    members = document_proofs.unverified_members(document, credentials.CREDENTIAL_BYTES_MAX)
    stated = members["proof"] if isinstance(members["proof"], list) else [members["proof"]]
    members["proof"] = [proof for proof in stated if proof.get("cryptosuite") == document_proofs.JCS]
    return sha256(canonical.encode(members)).hexdigest()


def _read_list(document: bytes) -> VerifiedStatusList | None:
    """A list that does not verify says nothing."""
    try:
        return status_lists.verify(document) if document else None
    except BadCredential:
        return None


def _not_before(now_ms: int, held: VerifiedStatusList | None) -> int:
    return now_ms if held is None else _at_least(now_ms, held.statuses.valid_from_ms)


def _at_least(now_ms: int, signed_ms: int) -> int:
    """The moment to judge at: now, or when it was signed where that is ahead by no more than clocks may differ."""
    return signed_ms if now_ms < signed_ms <= now_ms + CLOCKS_APART_MS else now_ms


def _better(asked: Bit, in_bundle: Bit) -> Bit:
    return in_bundle if asked == "unknown" else asked


def _offline(bit: Bit, *, is_offline: bool) -> Bit:
    return "unreachable" if bit == "unknown" and is_offline else bit


def _age_ms(lists: _Lists, now_ms: int) -> int | None:
    signed = [one.statuses.valid_from_ms for one in (lists.revocation, lists.suspension) if one is not None]
    return max(0, now_ms - min(signed)) if signed else None
