"""Credit records: one full, one bare, and any that there can be."""

from datetime import date

from hypothesis import strategies as st

from federation.catalogue import BilingualLine
from federation.credit_records import (
    HUNDREDTHS_MAX,
    SLOTS,
    Achievement,
    Amount,
    Conversion,
    CreditRecord,
    Grade,
    QualificationLevel,
    RecordIssuer,
    RuleReference,
    Score,
    SourceCredential,
    StatusSlot,
)
from federation.keys import KeyInMemory

NODE = "jiashan.jiaxing.zhejiang.lln.internal"
SIGNER = KeyInMemory(b"\x11" * 32)
STRANGER = KeyInMemory(b"\x12" * 32)
NOW_MS = 1_780_000_000_000
LIST = f"https://{NODE}/status/1/revocation"


def issuer_of(signer: KeyInMemory = SIGNER, node: str = NODE) -> RecordIssuer:
    title = BilingualLine(zh="嘉善社区学院", en="Jiashan Community College")
    return RecordIssuer(did=signer.did, node=node, title=title)


def uuid(number: int) -> str:
    return f"urn:uuid:00000000-0000-4000-8000-{number:012x}"


def bare_record(**changes: object) -> CreditRecord:
    """A membership that nobody grades: an unformatted outcome, deposited."""
    given = {
        "id": uuid(1),
        "achievement": Achievement(
            id=f"urn:lln:{NODE}:calligraphers", name=BilingualLine(zh="书法家协会会员"), kind="unformatted"
        ),
        "subject": "urn:lln:p:Zm9vYmFy",
        "issuer": issuer_of(),
        "amount": Amount(unit="credit", hundredths=0),
        "achieved_on": date(2026, 5, 1),
        "valid_from_ms": NOW_MS,
    }
    return CreditRecord(**(given | changes))


def full_record(**changes: object) -> CreditRecord:
    """A course with everything: converted, corrected, and with text that JSON finds hard."""
    given = {
        "achievement": Achievement(
            id=f"urn:lln:{NODE}:logistics-101",
            version=3,
            name=BilingualLine(zh="快递业务\u2028员 😀", en='Courier "express" \\ service'),
            kind="vocational_training",
            criteria="出勤 80%\n考试及格",
            level=QualificationLevel(scheme="国家资历框架/2026", value="4级"),
            credits=Amount(unit="credit", hundredths=300),
        ),
        "amount": Amount(unit="credit", hundredths=250),
        "valid_until_ms": NOW_MS + 100 * 86_400_000 + 123,
        "result": Score(hundredths=8650, scale_hundredths=10000),
        "hours": 40,
        "number": "JS-2026-0001",
        "evidence_sha256": "ab" * 32,
        "status": StatusSlot(list=LIST, index=94567),
        "conversion": Conversion(
            sources=(SourceCredential(id=uuid(7), sha256="cd" * 32), SourceCredential(id=uuid(8), sha256="ce" * 32)),
            rule=RuleReference(id="zhejiang/couriers:2026", version=2, digest="ef" * 32),
        ),
        "supersedes": uuid(9),
    }
    return bare_record(**(given | changes))


# --- any record ------------------------------------------------------------------------------------------------------

TROUBLE = "\u2028\u2029\x7f\x00😀汉字\"\\/<&'"


def texts(max_size: int, min_size: int = 0) -> st.SearchStrategy[str]:
    characters = st.characters(exclude_categories=["Cs"]) | st.sampled_from(TROUBLE)
    return st.text(characters, min_size=min_size, max_size=max_size)


uuids = st.uuids().map(lambda one: f"urn:uuid:{one}")
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
names = st.builds(BilingualLine, zh=texts(30), en=texts(30)).filter(lambda name: str(name) != "")
moments = st.integers(0, 4_000_000_000_000)
units = st.from_regex(r"[a-z][a-z0-9_]{0,31}", fullmatch=True)
scores = st.tuples(st.integers(0, HUNDREDTHS_MAX), st.integers(1, HUNDREDTHS_MAX)).map(
    lambda two: Score(hundredths=min(two), scale_hundredths=max(two))
)


@st.composite
def records(draw: st.DrawFn) -> CreditRecord:
    unit = draw(units)
    amounts = st.builds(Amount, unit=st.just(unit), hundredths=st.integers(0, HUNDREDTHS_MAX))
    achievement = Achievement(
        id=draw(st.from_regex(r"urn:lln:[A-Za-z0-9._:/@-]{1,60}", fullmatch=True)),
        version=draw(st.integers(1, 1_000_000)),
        name=draw(names),
        kind=draw(st.sampled_from(["formal", "vocational_training", "other_non_formal", "unformatted"])),
        criteria=draw(texts(60)),
        level=draw(
            st.none() | st.builds(QualificationLevel, scheme=texts(20, min_size=1), value=texts(20, min_size=1))
        ),
        credits=draw(st.none() | amounts),
    )
    start = draw(moments)
    rules = st.builds(
        RuleReference,
        id=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,40}", fullmatch=True),
        version=st.integers(1, 1_000_000),
        digest=digests,
    )
    sources = st.lists(st.builds(SourceCredential, id=uuids, sha256=digests), min_size=1, max_size=4).map(tuple)
    return bare_record(
        id=draw(uuids),
        achievement=achievement,
        subject=draw(st.from_regex(r"urn:lln:p:[A-Za-z0-9_-]{1,43}", fullmatch=True)),
        amount=draw(amounts),
        achieved_on=draw(st.dates(date(1949, 10, 1), date(2200, 1, 1))),
        valid_from_ms=start,
        valid_until_ms=draw(st.none() | st.integers(start, 5_000_000_000_000)),
        result=draw(st.none() | scores | st.builds(Grade, text=texts(20, min_size=1))),
        hours=draw(st.none() | st.integers(0, 100_000)),
        number=draw(texts(20)),
        evidence_sha256=draw(st.none() | digests),
        status=draw(st.none() | st.builds(StatusSlot, list=st.just(LIST), index=st.integers(0, SLOTS - 1))),
        conversion=draw(st.none() | st.builds(Conversion, sources=sources, rule=rules)),
        supersedes=draw(st.none() | uuids),
    )
