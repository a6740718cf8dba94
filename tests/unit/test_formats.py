"""Transcripts and short codes for other people's programs, printers and eyes."""

import json
import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation import canonical, credentials, document_proofs, short_codes
from federation.credentials import WrongIssuer
from federation.credit_records import Grade
from federation.document_proofs import TamperedCredential
from federation.short_codes import MistypedCode
from node.formats import clr, elmo, printing, qr_codes
from node.formats.clr import UnwritableTranscript
from node.formats.qr_codes import UndrawableCode
from node.formats.transcripts import Holder, Transcript
from tests.support.credit_records import (
    NOW_MS,
    SIGNER,
    STRANGER,
    bare_record,
    full_record,
    issuer_of,
    records,
    uuid,
)

OTHER_NODE = "haining.jiaxing.zhejiang.lln.internal"
CODE = short_codes.new(b"\x01\x02\x03\x04\x05\x06\x07\x08\x09")


def held(record, signer=SIGNER):
    return credentials.verify(credentials.issue(record, signer, NOW_MS))


def transcript(*held_records, **changes) -> Transcript:
    given = {
        "id": uuid(99),
        "holder": Holder(subject="urn:lln:p:Zm9v", given_names="小明", family_name="王"),
        "issuer": issuer_of(),
        "records": held_records or (held(full_record()), OF_ANOTHER),
        "issued_at_ms": NOW_MS + 4 * 3_600_000,
    }
    return Transcript(**(given | changes))


OF_ANOTHER = held(bare_record(id=uuid(2), issuer=issuer_of(STRANGER, OTHER_NODE), result=Grade(text="A")), STRANGER)


# --- CLR -------------------------------------------------------------------------------------------------------------


def test_a_clr_is_signed_and_each_record_in_it_still_is():
    document = clr.write(transcript(), SIGNER)
    verified = document_proofs.verify(document, bytes_max=len(document))
    assert verified.signers == (SIGNER.public,)
    inside = json.loads(document)["credentialSubject"]["verifiableCredential"]
    assert [canonical.encode(one) for one in inside] == [one.document for one in transcript().records]
    assert [credentials.verify(canonical.encode(one)).record.id for one in inside] == [uuid(1), uuid(2)]


def test_a_clr_says_what_it_is_and_nobodys_name():
    members = json.loads(clr.write(transcript(is_partial=True), SIGNER))
    assert members["type"] == ["VerifiableCredential", "ClrCredential"]
    assert members["@context"][1] == clr.CLR_CONTEXT
    assert members["partial"] is True
    assert "王" not in json.dumps(members, ensure_ascii=False)


def test_a_record_taken_out_of_a_clr_is_missed():
    members = json.loads(clr.write(transcript(), SIGNER))
    members["credentialSubject"]["verifiableCredential"].pop()
    changed = canonical.encode(members)
    with pytest.raises(TamperedCredential):
        document_proofs.verify(changed, bytes_max=len(changed))


def test_a_clr_is_the_home_nodes_and_not_empty():
    with pytest.raises(WrongIssuer):
        clr.write(transcript(), STRANGER)
    with pytest.raises(UnwritableTranscript):
        clr.write(transcript(records=()), SIGNER)


# --- ELMO ------------------------------------------------------------------------------------------------------------

ELMO = {"e": elmo.NAMESPACE}
ORDER = {
    "elmo": ["generatedDate", "learner", "report"],
    "learner": ["identifier", "givenNames", "familyName"],
    "report": ["issuer", "learningOpportunitySpecification", "issueDate"],
    "issuer": ["country", "identifier", "title", "url"],
    "learningOpportunitySpecification": ["identifier", "title", "type", "description", "specifies"],
    "specifies": ["learningOpportunityInstance"],
    "learningOpportunityInstance": [
        *("identifier", "date", "status", "resultLabel", "credit", "level", "engagementHours"),
    ],
    "credit": ["scheme", "value"],
    "level": ["type", "value"],
}
REQUIRED = {
    "elmo": {"generatedDate", "learner", "report"},
    "learner": {"givenNames", "familyName"},
    "report": {"issuer", "issueDate"},
    "issuer": {"identifier", "title", "url"},
    "learningOpportunitySpecification": {"title", "specifies"},
    "specifies": {"learningOpportunityInstance"},
    "credit": {"scheme"},
    "level": {"type"},
}


def check_order(element: ET.Element) -> None:
    """As the schema's sequences have it: known children, in order, the required ones there."""
    name = element.tag.removeprefix(f"{{{elmo.NAMESPACE}}}")
    children = [child.tag.removeprefix(f"{{{elmo.NAMESPACE}}}") for child in element]
    places = [ORDER.get(name, []).index(child) for child in children]
    assert places == sorted(places), name
    assert REQUIRED.get(name, set()) <= set(children), name
    for child in element:
        check_order(child)


def test_elmo_has_a_report_for_each_issuer():
    root = ET.fromstring(elmo.write(transcript()))  # noqa: S314  # written a moment ago
    check_order(root)
    nodes = [found.text for found in root.findall("e:report/e:issuer/e:identifier[@type='lln']", ELMO)]
    assert sorted(nodes) == sorted([issuer_of().node, OTHER_NODE])
    assert root.findtext("e:learner/e:familyName", namespaces=ELMO) == "王"


def test_elmo_states_credits_results_and_levels():
    root = ET.fromstring(elmo.write(transcript(held(full_record()))))  # noqa: S314  # as above
    instance = root.find(".//e:learningOpportunityInstance", ELMO)
    assert instance is not None
    told = {
        name: instance.findtext(f"e:{name}", namespaces=ELMO) for name in ("date", "resultLabel", "engagementHours")
    }
    assert told == {"date": "2026-05-01", "resultLabel": "86.5/100", "engagementHours": "40"}
    assert instance.findtext("e:credit/e:value", namespaces=ELMO) == "2.5"
    assert instance.findtext("e:level/e:value", namespaces=ELMO) == "4级"


@given(records())
def test_every_record_can_be_written_as_elmo_and_as_text(record):
    one = transcript(held(record))
    check_order(ET.fromstring(elmo.write(one)))  # noqa: S314  # as above
    assert printing.transcript_text(one).endswith(f"Id: {record.id}\n")


# --- text ------------------------------------------------------------------------------------------------------------


def test_a_transcript_reads_well_on_paper():
    text = printing.transcript_text(transcript(), code=CODE)
    assert text.startswith("学习成果清单\nTranscript of learning outcomes\n\n姓名 Name: 王小明\n")
    assert f"Verification code: {short_codes.grouped(CODE)}" in text
    assert "学分 Credits: 2.5 credit" in text
    assert "出具日期 Issued on: 2026-05-29" in text  # past midnight in China


def test_nothing_in_a_record_begins_a_line_of_its_own():
    achievement = full_record().achievement
    assert "\u2028" in str(achievement.name)
    text = printing.record_text(full_record(number="1\n2\x1b[31m"), code=CODE)
    assert "Certificate number: 1 2 [31m\n" in text
    assert not re.search("[\u2028\x1b]", text)


# --- short codes -----------------------------------------------------------------------------------------------------

randoms = st.binary(min_size=9, max_size=9)


@given(randoms)
def test_a_code_is_read_however_it_is_typed(random):
    code = short_codes.new(random)
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{16}", code)
    assert short_codes.read(code) == code
    assert short_codes.read(f" {short_codes.grouped(code).lower()} ") == code
    assert short_codes.read(code.replace("0", "o").replace("1", "l")) == code


@given(randoms, st.integers(0, 15), st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZ"))
def test_one_wrong_character_is_found(random, place, character):
    code = short_codes.new(random)
    typed = code[:place] + character + code[place + 1 :]
    if typed != code:
        with pytest.raises(MistypedCode):
            short_codes.read(typed)


@given(randoms, st.integers(0, 14))
def test_two_neighbours_swapped_are_found(random, place):
    code = short_codes.new(random)
    typed = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
    if typed != code:
        with pytest.raises(MistypedCode):
            short_codes.read(typed)


@given(st.text(max_size=80))
def test_no_text_raises_a_foreign_exception(typed):
    try:
        code = short_codes.read(typed)
    except MistypedCode:
        return
    assert len(code) == short_codes.CODE_CHARS


def test_different_randomness_is_a_different_code():
    codes = {short_codes.new(number.to_bytes(9, "big")) for number in range(0, 4_000, 4)}
    assert len(codes) == 1_000


def test_codes_are_drawn_as_svg_and_png():
    svg, png = (qr_codes.qr_code(f"https://example.edu.cn/v/{CODE}", form) for form in ("svg", "png"))
    assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314  # drawn a moment ago
    assert png.startswith(b"\x89PNG\r\n")
    for content in ("", "x" * 501):
        with pytest.raises(UndrawableCode):
            qr_codes.qr_code(content, "svg")
