"""Verifying, offline proofs and codes through whole running nodes: issued at a county, looked at from a sibling."""

import json
import shutil
import xml.etree.ElementTree as ET

import pytest

from config.settings import Listen
from federation import canonical, credentials, document_proofs, short_codes
from federation.bundles import root_fingerprint, verify_bundle
from federation.errors import LlnError
from federation.keys import KeyInMemory, base58_decode, base58_encode
from node.beginnings import join_home
from node.usecases.presenting import LOOKS_PER_MINUTE
from node.usecases.recording import china_date
from tests.support.credit_records import bare_record, issuer_of
from tests.support.live_nodes import ROOT, Network, until
from tests.support.live_nodes import network as in_branches

COUNTY, SIBLING, SCHOOL = f"a.{ROOT}", f"b.{ROOT}", f"school.a.{ROOT}"
ODD = "面塑\u2028入门 👩‍🎓 𠮷 <b>&\"'"


@pytest.fixture
async def network(tmp_path):
    made = Network(tmp_path)
    await made.found()
    for name in (COUNTY, SIBLING):
        await made.add(name)
    try:
        yield made
    finally:
        await made.stop_all()


async def issued(home, *, to=None, name="面塑入门", number="2026001", on="2026-05-01", **row):
    """A learner of `home` with a record that `home`, or another node, has issued."""
    learner = await home.ask(
        "learner.register", written={"name": "沈小满", "student_number": number, "birth_date": "1961-03-05"}
    )
    issuer = to or home
    await issuer.ask(
        "achievement.define",
        code="dough",
        name={"zh": name},
        kind="other_non_formal",
        credits={"unit": "credit", "hundredths": 250},
    )
    who = {"learner": learner.id}
    if to is not None:
        who = {"learner": (await home.ask("learner.handle", learner=learner.id, node=issuer.node.name)).handle}
    rows = [{"row": 2, "achievement": "dough", "achieved_on": on, **who, **row}]
    plan = await issuer.ask("credit.issue", rows=rows, by="王老师", apply=True)
    assert [one.change for one in plan.rows] == ["issue"], plan
    return learner.id, plan.rows[0].id


async def credential_of(node, record):
    return bytes((await node.ask("credit.show", id=record)).credential).decode()


async def verdict(node, text):
    [told] = (await node.ask("credit.verify", text=text)).verdicts
    return told


def answers(told):
    return {one.question: one.answer for one in told.answers}


async def bundle_of(node, record):
    async def made():
        try:
            return (await node.ask("credit.export", id=record, form="bundle")).content
        except LlnError as error:
            if "LLN-1613" not in str(error):  # not witnessed yet
                raise
            return None

    return await until(made, "a witnessed proof")


async def test_a_record_is_valid_at_a_sibling_from_the_file_alone(network):
    _, record = await issued(network[COUNTY])
    told = await verdict(network[SIBLING], await credential_of(network[COUNTY], record))
    assert (told.outcome, told.exit_code) == ("valid", 0)
    assert answers(told) == {
        "signature": "good",
        "issuer": "admitted",
        "status": "clear",
        "dates": "within",
        "log": "unproven",
    }
    assert (told.id, told.issuer, told.hundredths) == (record, COUNTY, 250)


async def test_the_home_holds_a_foreign_record_and_proves_it_offline(network):
    home, issuer = network[COUNTY], network[SIBLING]
    learner, record = await issued(home, to=issuer, name=ODD, number="ＡＢ-1 😀")

    async def arrived():
        return (await home.ask("credit.list", learner=learner)).records

    await until(arrived, "the record")
    bundle = await bundle_of(home, record)
    root = root_fingerprint(home.node.identity.root_certificate)
    now_ms = home.node.clock.now_ms()
    found = verify_bundle(bundle, root_sha256=root, as_of_ms=now_ms)
    assert (found.verdict.outcome, found.verdict.answers.inclusion) == ("valid", "proven")
    assert found.issuer.name == SIBLING
    assert found.credential.record.achievement.name.zh == ODD
    for node in (home, issuer, network[ROOT]):
        told = await verdict(node, bundle.decode())
        assert (told.outcome, answers(told)["log"]) == ("valid", "proven")
    # a stranger's root proves nothing, and an old list says so
    assert verify_bundle(bundle, root_sha256="0" * 64, as_of_ms=now_ms).verdict.outcome == "unknown_issuer"
    later = verify_bundle(bundle, root_sha256=root, as_of_ms=now_ms + 3 * 3_600_000)
    assert later.verdict.outcome == "status_unknown"
    # the home itself has what opens the commitment, so that a bare file is proven there too
    told = await verdict(home, await credential_of(home, record))
    assert (told.outcome, answers(told)["log"]) == ("valid", "proven")


async def test_suspended_revoked_and_expired_are_told_apart(network, monkeypatch):
    county, sibling = network[COUNTY], network[SIBLING]
    _, record = await issued(county)
    text = await credential_of(county, record)
    await county.ask("credit.step", id=record, step="suspend", reason="复核", by="王老师")
    assert (await verdict(sibling, text)).outcome == "suspended"
    await county.ask("credit.step", id=record, step="resume", reason="无误", by="王老师")
    assert (await verdict(sibling, text)).outcome == "valid"
    await county.ask("credit.step", id=record, step="revoke", reason="作废", by="王老师")
    told = await verdict(sibling, text)
    assert (told.outcome, told.exit_code, answers(told)["status"]) == ("revoked", 23, "revoked")
    assert told.status_as_of_ms is not None
    _, expiring = await issued(county, number="2026002", valid_until=china_date(county.node.clock.now_ms()).isoformat())
    expiring_text = await credential_of(county, expiring)
    assert (await verdict(sibling, expiring_text)).outcome == "valid"
    age(monkeypatch, sibling, ms=2 * 86_400_000)
    assert (await verdict(sibling, expiring_text)).outcome == "expired"


async def test_a_changed_field_a_swapped_proof_and_one_bad_proof_among_good_ones_are_told(network):
    county, sibling = network[COUNTY], network[SIBLING]
    _, first = await issued(county)
    _, second = await issued(county, number="2026002")
    one, other = [json.loads(await credential_of(county, record)) for record in (first, second)]
    tampered = one | {"credentialSubject": one["credentialSubject"] | {"creditsEarned": 99}}
    swapped = one | {"proof": other["proof"]}
    doubled = one | {"proof": [*one["proof"], *other["proof"]]}
    unsigned = {name: value for name, value in one.items() if name != "proof"}
    for document, outcome in (
        (tampered, "tampered"),
        (swapped, "tampered"),
        (doubled, "tampered"),
        (unsigned, "not_verified"),
    ):
        assert (await verdict(sibling, json.dumps(document))).outcome == outcome
    # neither white space, nor the order of names, nor how characters are written is signed
    await bundle_of(county, first)  # witnessed by now
    respaced = json.dumps(dict(reversed(one.items())), indent=3, ensure_ascii=True)
    assert (await verdict(sibling, f"\n{respaced}\n")).outcome == "valid"
    assert answers(await verdict(county, respaced))["log"] == "proven"


async def test_a_strangers_signature_under_a_countys_name_is_an_unknown_issuer(network):
    county, sibling = network[COUNTY], network[SIBLING]
    forger = KeyInMemory(b"\x21" * 32)
    now_ms = county.node.clock.now_ms()
    for node in (COUNTY, f"nobody.{ROOT}", f"nobody.nowhere.{ROOT}"):
        record = bare_record(issuer=issuer_of(forger, node), valid_from_ms=now_ms)
        told = await verdict(sibling, credentials.issue(record, forger, now_ms).decode())
        assert (told.outcome, told.exit_code) == ("unknown_issuer", 22), node


async def test_an_issuer_that_is_offline_is_told_apart_from_one_that_is_unknown(network, monkeypatch):
    county, sibling, hub = network[COUNTY], network[SIBLING], network[ROOT]
    _, record = await issued(county)
    text = await credential_of(county, record)
    bundle = (await bundle_of(county, record)).decode()
    assert (await verdict(sibling, bundle)).outcome == "valid"
    await until_mirrored(hub, county)
    await network.stop(COUNTY)
    # the parent's mirror answers for it, with its age
    told = await verdict(sibling, text)
    assert (told.outcome, told.status_as_of_ms is not None) == ("valid", True)
    # two hours later it is too old
    for live in (sibling, hub):
        age(monkeypatch, live, ms=2 * 3_600_000)
    told = await verdict(sibling, text)
    assert (told.outcome, told.exit_code, answers(told)["status"]) == ("issuer_offline", 28, "unreachable")
    assert (await verdict(sibling, bundle)).outcome == "issuer_offline"


async def test_a_log_that_grows_on_without_its_parent_still_proves_what_was_witnessed(network):
    county = network[COUNTY]
    learner, first = await issued(county)
    await bundle_of(county, first)
    await network.stop(ROOT)
    rows = [{"row": 2, "learner": learner, "achievement": "dough", "achieved_on": "2026-05-02"}]
    second = (await county.ask("credit.issue", rows=rows, by="王", apply=True)).rows[0].id
    bundle = (await county.ask("credit.export", id=first, form="bundle")).content.decode()
    told = await verdict(county, bundle)
    assert (told.outcome, answers(told)["log"]) == ("valid", "proven")
    with pytest.raises(LlnError, match="LLN-1613"):
        await county.ask("credit.export", id=second, form="bundle")


async def test_many_records_of_one_account_are_proven_under_one_code(network):
    home, sibling = network[COUNTY], network[SIBLING]
    learner, first = await issued(home)
    rows = [
        {"row": number, "learner": learner, "achievement": "dough", "achieved_on": "2026-05-02", "number": str(number)}
        for number in range(2, 42)
    ]
    plan = await home.ask("credit.issue", rows=rows, by="王", apply=True)
    records = [first, *(row.id for row in plan.rows)]
    made = await home.ask("credit.prove", learner=learner, records=records, confirmed=True)
    looked = (await sibling.ask("credit.verify", text=made.where)).verdicts
    assert [one.id for one in looked] == records
    assert {one.outcome for one in looked} == {"valid"}
    [shown] = (await home.ask("consent.list", learner=learner)).disclosures
    assert sorted(shown.records) == sorted(records)


async def test_what_is_signed_while_suspended_is_never_good_and_what_was_logged_before_always_is(network):
    county, sibling, hub = network[COUNTY], network[SIBLING], network[ROOT]
    _, before = await issued(county)
    before_text, bundle = await credential_of(county, before), (await bundle_of(county, before)).decode()
    await hub.ask("node.suspend", name=COUNTY, reason="检查")
    await until(lambda: stands(sibling, COUNTY, "suspended"))
    _, during = await issued(county, number="2026002")
    during_text = await credential_of(county, during)
    assert (await verdict(sibling, during_text)).outcome == "unknown_issuer"
    # a file could have been dated back; its log, witnessed before, cannot
    assert (await verdict(sibling, before_text)).outcome == "unknown_issuer"
    told = await verdict(sibling, bundle)
    assert answers(told) | {"status": ""} == {
        "signature": "good",
        "issuer": "admitted",
        "dates": "within",
        "log": "proven",
        "status": "",
    }
    await hub.ask("node.resume", name=COUNTY, reason="通过")
    await until(lambda: stands(sibling, COUNTY, "active"))

    async def is_good_again():  # as soon as the issuer is called again
        return (await verdict(sibling, before_text)).outcome == "valid"

    await until(is_good_again, "the record from before")
    assert (await verdict(sibling, during_text)).outcome == "unknown_issuer"


async def test_a_code_shows_records_elsewhere_until_it_is_withdrawn_and_every_look_is_seen(network):
    home, sibling = network[COUNTY], network[SIBLING]
    learner, record = await issued(home)
    _, other = await issued(home, number="2026002")
    told = await home.ask("credit.prove", learner=learner, records=[record], days=5)
    assert not told.code
    assert "核验" in told.zh
    with pytest.raises(LlnError, match="LLN-1282"):
        await home.ask("credit.prove", learner=learner, records=[record, other], confirmed=True)
    made = await home.ask("credit.prove", learner=learner, records=[record], days=5, confirmed=True)
    assert made.where.endswith(f"@{COUNTY}")
    assert "<svg" in made.qr
    looked = await sibling.ask("credit.verify", text=made.where.lower())
    [one] = looked.verdicts
    assert (one.id, one.outcome, answers(one)["issuer"]) == (record, "valid", "admitted")
    assert [one.id for one in (await home.ask("credit.verify", text=made.code)).verdicts] == [record]
    shown = (await home.ask("consent.list", learner=learner)).disclosures
    assert sorted(one.recipient for one in shown) == [COUNTY, SIBLING]
    assert {one.records for one in shown} == {(record,)}
    page = (await home.ask("credit.export", id=made.code, form="page")).content.decode()
    assert made.where in page
    assert "<svg" in page
    await home.ask("consent.withdraw", consent=made.consent)
    wrong = f"{short_codes.grouped(short_codes.new(b'123456789'))}@{COUNTY}"
    refusals = []
    for text in (made.where, wrong):
        with pytest.raises(LlnError) as refused:
            await sibling.ask("credit.verify", text=text)
        refusals.append(str(refused.value))
    assert refusals[0] == refusals[1]
    assert "LLN-1212" in refusals[0]
    assert len((await home.ask("consent.list", learner=learner)).disclosures) == 2


async def test_codes_cannot_be_tried_one_after_another(network):
    sibling = network[SIBLING]
    codes = [short_codes.new(number.to_bytes(9, "big")) for number in range(0, 400, 4)]

    async def tried(code):
        try:
            await sibling.ask("credit.verify", text=f"{code}@{COUNTY}")
        except LlnError as error:
            return str(error)
        return "found"

    told = [await tried(code) for code in codes[: LOOKS_PER_MINUTE + 15]]
    assert any("LLN-2210" in one for one in told)
    assert all("LLN-1212" in one or "LLN-2210" in one for one in told)


async def test_an_account_is_exported_in_every_form_and_what_does_not_fit_is_refused(network):
    home = network[COUNTY]
    learner, record = await issued(home, name=ODD)
    clr = (await home.ask("credit.export", id=learner, form="transcript")).content
    proven = document_proofs.verify(clr, bytes_max=len(clr))
    [inside] = json.loads(clr)["credentialSubject"]["verifiableCredential"]
    assert proven.signers[0].did == home.node.identity.did
    assert (inside["id"], canonical.encode(inside).decode()) == (record, await credential_of(home, record))
    xml = (await home.ask("credit.export", id=learner, form="elmo")).content
    assert ODD in "".join(ET.fromstring(xml).itertext())  # noqa: S314  # written a moment ago
    page = (await home.ask("credit.export", id=record, form="page")).content.decode()
    assert "<b>" not in page
    assert (await home.ask("credit.export", id=record, form="credential")).content.decode() == inside_text(inside)
    archive = await home.ask("learner.export", learner=learner)
    assert {"transcript.xml", "transcript.txt"} <= set(archive.files)
    for asked in ({"id": learner, "form": "wallet"}, {"id": record, "form": "elmo"}):
        with pytest.raises(LlnError, match="LLN-1112"):
            await home.ask("credit.export", **asked)
    empty = await home.ask("learner.register", written={"name": "王"})
    with pytest.raises(LlnError, match="LLN-1213"):
        await home.ask("credit.export", id=empty.id, form="transcript")


async def test_schools_of_other_branches_are_vouched_for_above_now_and_then(tmp_path):
    async with in_branches(tmp_path, "a", "b", "school-a.a", "school-b.b") as nodes:
        issuer, far, county = nodes[f"school-a.{COUNTY}"], nodes[f"school-b.{SIBLING}"], nodes[COUNTY]
        await until(lambda: stands(nodes[ROOT], issuer.node.name, "active"))
        _, before = await issued(issuer)
        before_text = await credential_of(issuer, before)
        assert (await verdict(far, before_text)).outcome == "valid"
        # a suspended county takes its schools with it
        await nodes[ROOT].ask("node.suspend", name=COUNTY, reason="检查")
        _, during = await issued(issuer, number="2026002")
        during_text = await credential_of(issuer, during)
        assert (await verdict(far, during_text)).outcome == "unknown_issuer"
        await nodes[ROOT].ask("node.resume", name=COUNTY, reason="通过")

        async def is_good_again():
            return (await verdict(far, before_text)).outcome == "valid"

        await until(is_good_again, "the record from before")
        assert (await verdict(far, during_text)).outcome == "unknown_issuer"
        # revoked for good, by its own authority
        await county.ask("node.revoke", name=issuer.node.name, reason="停办")
        await until(lambda: stands(nodes[ROOT], issuer.node.name, "revoked"))
        assert (await verdict(far, before_text)).outcome == "unknown_issuer"
        # nobody above answers any more
        await nodes.stop(SIBLING)
        told = await verdict(far, before_text)
        assert (told.outcome, answers(told)["issuer"]) == ("issuer_offline", "unreachable")


async def test_records_under_a_key_that_was_replaced_count_where_the_log_has_them(network, tmp_path):
    county, sibling = network[COUNTY], network[SIBLING]
    learner, record = await issued(county)
    text, bundle = await credential_of(county, record), (await bundle_of(county, record)).decode()
    made = await county.ask("credit.prove", learner=learner, records=[record], confirmed=True)
    former = county.node.identity.did
    invited = await network[ROOT].ask(
        "invite.make",
        label="a",
        description={"title": {"zh": COUNTY}, "level": "county", "kind": "authority"},
        replace=True,
    )
    await network.stop(COUNTY)
    for folder in ("keys", "trust"):
        shutil.rmtree(tmp_path / COUNTY / folder)
    listen = Listen(grpc="127.0.0.1:0", enrolment="127.0.0.1:0")
    await join_home(tmp_path / COUNTY, invited.code, listen, lambda told: told)
    county = await network.start(COUNTY)
    assert county.node.identity.did != former

    async def is_proven():
        try:
            [told] = (await sibling.ask("credit.verify", text=made.where)).verdicts
        except LlnError:  # nobody knows yet where it is now
            return False
        return told.outcome == "valid" and answers(told)["log"] == "proven"

    await until(is_proven, "the code's record, by its log")
    assert (await verdict(sibling, bundle)).outcome == "valid"
    assert (await verdict(county, text)).outcome == "valid"
    with pytest.raises(LlnError, match="LLN-1310"):
        await bundle_of(county, record)
    # a file alone could have been made by whoever has the former key
    assert (await verdict(sibling, text)).outcome == "unknown_issuer"


async def test_keys_that_prove_nothing_and_signatures_written_twice_are_never_good(network):
    county, sibling = network[COUNTY], network[SIBLING]
    _, record = await issued(county)
    good = json.loads(await credential_of(county, record))
    own = good["issuer"]["id"]
    field, order = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
    small = [number.to_bytes(32, "little") for number in (0, 1, field - 1, field, field + 1)]
    eighth = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
    for raw in (*small, eighth, bytes(31) + b"\x80", b"\xff" * 32):
        did = "did:key:z" + base58_encode(b"\xed\x01" + raw)
        forged = json.dumps(good).replace(own, did).replace(own.removeprefix("did:key:"), did.removeprefix("did:key:"))
        for signature in (None, raw + bytes(32)):
            document = json.loads(forged)
            if signature is not None:
                document["proof"][0]["proofValue"] = "z" + base58_encode(signature)
            with pytest.raises(LlnError, match="LLN-2701"):
                await verdict(sibling, json.dumps(document))
    signature = base58_decode(good["proof"][0]["proofValue"][1:])
    larger = int.from_bytes(signature[32:], "little") + order
    good["proof"][0]["proofValue"] = "z" + base58_encode(signature[:32] + larger.to_bytes(32, "little"))
    assert (await verdict(sibling, json.dumps(good))).outcome == "tampered"


@pytest.mark.parametrize("text", ["{", '{"format":"lln-bundle-v1"}', "", "[1]", "x" * 200, "{\u0000"])
async def test_what_is_no_credential_is_refused_in_words(tmp_path, text):
    async with in_branches(tmp_path) as nodes:
        with pytest.raises(LlnError) as refused:
            await nodes[ROOT].ask("credit.verify", text=text)
        assert refused.value.code in {"LLN-1110", "LLN-1194", "LLN-2706"}
        for unsigned in ("{}", '{"id":1}', '{"id":"urn:uuid:1","proof":[]}'):
            assert (await verdict(nodes[ROOT], unsigned)).outcome == "not_verified"


def inside_text(document):
    return canonical.encode(document).decode()


async def stands(live, name, status):
    standing = live.node.vouching.standing_of(name)
    return standing is not None and standing.status == status


async def until_mirrored(parent, child):
    """What the issuer's own loop does once a minute, at once."""
    listing = child.node.bank.listing
    await listing._bring(parent.node.name, {})
    child.node.posting.hurry([parent.node.name])
    lists = await child.node.store.read(listing._own_lists)

    async def mirrored():
        held = await parent.node.store.read(lambda tx: [tx.credits.mirrors.get(one) for one in lists])
        return all(held)

    await until(mirrored, "the mirror")


def age(monkeypatch, live, *, ms):
    """Let a node's credit bank see a later time than the rest of it."""
    for part in (live.node.bank.verifying, live.node.bank.listing):
        monkeypatch.setattr(part, "_clock", Later(live.node.clock, ms))


class Later:
    def __init__(self, clock, ms):
        self._clock = clock
        self._ms = ms

    def now_ms(self):
        return self._clock.now_ms() + self._ms

    def monotonic_s(self):
        return self._clock.monotonic_s()

    async def sleep(self, seconds):
        await self._clock.sleep(seconds)
