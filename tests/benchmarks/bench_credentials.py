"""Issuing and verifying credit records against openbadgeslib, which does the same over RDF, and per second of a core.

Both sides sign and verify the very same records with the same Ed25519 keys, and their verifier as ours checks the
proof, the issuer's key and the shape of the document; only the signature is over a graph there, and over JSON here.
Storage and logs are measured elsewhere (`bench_append.py`).
"""

import itertools
import json
from datetime import UTC, date, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from openbadgeslib.ob3.credential import Achievement as TheirAchievement
from openbadgeslib.ob3.credential import Issuer as TheirIssuer
from openbadgeslib.ob3.credential import OpenBadgeCredential
from openbadgeslib.ob3.ldp import OB3LdpVerifier, add_data_integrity_proof
from openbadgeslib.ob3.signer import OB3Signer
from openbadgeslib.ob3.verifier import OB3Verifier

from federation import credentials, document_proofs
from federation.catalogue import BilingualLine
from federation.credit_records import (
    Achievement,
    Amount,
    CreditRecord,
    QualificationLevel,
    RecordIssuer,
    Score,
    StatusSlot,
)
from federation.keys import KeyInMemory
from tests.benchmarks.measuring import Figure, Flags, Paired, paired

NAME = "credentials"
SMALLEST = {"RECORDS": 8}
RECORDS = 64
ISSUERS = 8
NOW_MS = 1_700_000_000_000
NODE = "jiashan.jiaxing.zhejiang.lln.internal"
KEYS = [KeyInMemory(bytes([number]) * 32) for number in range(1, ISSUERS + 1)]


def record(number: int) -> CreditRecord:
    """A graded course with a level and a status slot, as a community college issues it."""
    return CreditRecord(
        id=f"urn:uuid:00000000-0000-4000-8000-{number:012x}",
        achievement=Achievement(
            id=f"urn:lln:{NODE}:course-{number}",
            name=BilingualLine(zh="中国书法入门", en="Introduction to Chinese calligraphy"),
            kind="other_non_formal",
            criteria="完成全部 16 次课并提交一幅作品。",
            level=QualificationLevel(scheme="国家资历框架", value="3"),
            credits=Amount(unit="community_credit", hundredths=250),
        ),
        subject=f"urn:lln:p:{number:040x}",
        issuer=RecordIssuer(
            did=KEYS[number % ISSUERS].did,
            node=NODE,
            title=BilingualLine(zh="嘉善社区学院", en="Jiashan Community College"),
        ),
        amount=Amount(unit="community_credit", hundredths=250),
        achieved_on=date(2026, 5, 1),
        valid_from_ms=NOW_MS,
        result=Score(hundredths=8_600 + number, scale_hundredths=10_000),
        hours=32,
        status=StatusSlot(list=f"https://{NODE}/status/1/revocation", index=number),
    )


def as_token(number: int) -> OpenBadgeCredential:
    """Of the same achievement what their model has words for; there is less to sign than in ours."""
    return OpenBadgeCredential(
        issuer=TheirIssuer(id=KEYS[number % ISSUERS].did, name="嘉善社区学院"),
        recipient_id=f"urn:lln:p:{number:040x}",
        achievement=TheirAchievement(
            id=f"urn:lln:{NODE}:course-{number}",
            name="中国书法入门",
            description="Introduction to Chinese calligraphy",
            criteria_narrative="完成全部 16 次课并提交一幅作品。",
        ),
        id=f"urn:uuid:00000000-0000-4000-8000-{number:012x}",
        issuance_date=datetime(2023, 11, 14, tzinfo=UTC),
        credits_earned=2.5,
    )


def pem(key: KeyInMemory) -> bytes:
    private = Ed25519PrivateKey.from_private_bytes(key.seed)
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def run(flags: Flags) -> list[Figure]:
    records = [record(number) for number in range(RECORDS)]
    issued = [credentials.issue(one, KEYS[number % ISSUERS], NOW_MS) for number, one in enumerate(records)]
    unsecured = [json.loads(credentials.build(one)) for one in records]
    pems = [pem(key) for key in KEYS]
    methods = [document_proofs.method_of(key.did) for key in KEYS]
    readers = [OB3LdpVerifier.for_issuer_did(key.did) for key in KEYS]
    created = datetime.fromtimestamp(NOW_MS / 1000, UTC)

    def sign_theirs(number: int) -> str:
        of = number % ISSUERS
        return json.dumps(add_data_integrity_proof(unsecured[number], pems[of], methods[of], created=created))

    signed = [sign_theirs(number) for number in range(RECORDS)]
    turns = itertools.cycle(range(RECORDS))
    verifying = paired(
        "verify a record",
        lambda: credentials.verify(issued[next(turns)]),
        lambda: (number := next(turns), readers[number % ISSUERS].verify(signed[number])),
        rounds=flags.rounds,
    )
    issuing = paired(
        "issue a record, signed only",
        lambda: (number := next(turns), credentials.issue(records[number], KEYS[number % ISSUERS], NOW_MS)),
        lambda: sign_theirs(next(turns)),
        rounds=flags.rounds,
    )
    return [
        per_second("records verified per second of a core", verifying, gate=3_000, aim=5_000),
        verifying.figure(aim="≥ 200", rival="openbadgeslib", note=f"{len(issued[1]):,} bytes; as a graph there"),
        per_second("records signed per second of a core", issuing, gate=1_500, aim=3_000),
        issuing.figure(aim="≥ 50", rival="openbadgeslib", note="as a graph there"),
        against_tokens(issued, flags),
    ]


def against_tokens(issued: list[bytes], flags: Flags) -> Figure:
    """Their other form, a JWT: no canonicalisation at all, so it says what that costs us."""
    public = [OB3Verifier.for_issuer_did(key.did) for key in KEYS]
    tokens = [OB3Signer(pem(KEYS[number % ISSUERS]), "EdDSA").sign(as_token(number)) for number in range(RECORDS)]
    ours, rival = itertools.cycle(issued), itertools.cycle(range(RECORDS))

    def verify_theirs() -> None:
        number = next(rival)
        public[number % ISSUERS].verify(tokens[number])

    return paired(
        "verify a record, against a token", lambda: credentials.verify(next(ours)), verify_theirs, rounds=flags.rounds
    ).figure(rival="openbadgeslib's JWT")


def per_second(name: str, found: Paired, *, gate: int, aim: int) -> Figure:
    return Figure(
        name=name,
        ours=f"{found.ours_cpu_s * 1e6:.0f} µs",
        rival_or_ceiling="",
        ratio=round(1 / found.ours_cpu_s),
        gate=f"≥ {gate}",
        aim=f"≥ {aim}",
        unit="/s",
        disturbed=found.disturbed,
        note=f"wall {1 / found.ours_wall_s:,.0f}/s",
    )
