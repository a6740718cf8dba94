"""Records for others from the command line: exit codes, offline proofs without a node, codes, files."""

import asyncio
import json

import pytest
from click.testing import CliRunner

from federation.bundles import root_fingerprint
from federation.certificate_profile import to_pem
from node.cli.main import main
from tests.rpc.test_live_proofs import COUNTY, SIBLING, bundle_of, credential_of, issued
from tests.support.live_nodes import ROOT, network


@pytest.fixture
def lln(tmp_path):
    async def run(name, *words, ui="en", told=None):
        arguments = ["--home", str(tmp_path / name), "--ui", ui, *map(str, words)]
        return await asyncio.to_thread(CliRunner().invoke, main, arguments, told)

    return run


async def test_records_are_exported_bundled_and_verified_with_exit_codes(tmp_path, lln):
    async with network(tmp_path, "a", "b") as nodes:
        learner, record = await issued(nodes[COUNTY])
        await bundle_of(nodes[COUNTY], record)  # witnessed by now
        plain, wallet, bundle, page = (tmp_path / name for name in ("c.json", "w.json", "b.json", "p.html"))
        for words in (
            ("export", record, "-o", plain),
            ("export", record, "--wallet", "-o", wallet),
            ("export", learner, "--page", "-o", page),
            ("export", learner, "--transcript", "-o", tmp_path / "t.json"),
            ("export", learner, "--elmo", "-o", tmp_path / "t.xml"),
            ("bundle", record, "-o", bundle),
        ):
            done = await lln(COUNTY, "credit", *words)
            assert done.exit_code == 0, done.output
        assert plain.read_text(encoding="utf-8") == await credential_of(nodes[COUNTY], record)
        assert (plain.stat().st_mode & 0o077) == 0
        again = await lln(COUNTY, "credit", "export", record, "-o", plain)
        assert again.exit_code == 1
        assert "File exists" in again.output
        for file in (plain, wallet, bundle):
            good = await lln(SIBLING, "credit", "verify", file)
            assert good.exit_code == 0, good.output
            assert good.output.startswith("Valid.\n")
            assert "Every signature matches" in good.output
        piped = await lln(SIBLING, "credit", "verify", "-", ui="zh", told=plain.read_text(encoding="utf-8"))
        assert (piped.exit_code, piped.output.splitlines()[0]) == (0, "有效。")
        told = json.loads((await lln(SIBLING, "--json", "credit", "verify", bundle)).output)
        assert [one["answer"] for one in told["verdicts"][0]["answers"]][-1] == "proven"
        changed = json.loads(plain.read_bytes())
        changed["credentialSubject"]["creditsEarned"] = 250
        plain.write_text(json.dumps(changed), encoding="utf-8")
        assert (await lln(SIBLING, "credit", "verify", plain)).exit_code == 20
        changed.pop("proof")
        plain.write_text(json.dumps(changed), encoding="utf-8")
        assert (await lln(SIBLING, "credit", "verify", plain)).exit_code == 21
        await nodes[COUNTY].ask("credit.step", id=record, step="suspend", reason="复核", by="王")
        assert (await lln(SIBLING, "credit", "verify", wallet)).exit_code == 26
        await nodes[COUNTY].ask("credit.step", id=record, step="revoke", reason="作废", by="王")
        revoked = await lln(SIBLING, "credit", "verify", wallet, ui="zh")
        assert (revoked.exit_code, "颁发者已撤销该记录" in revoked.output) == (23, True)
        for wrong in ("no-such-file", "0000-0000-0000-0001"):
            assert (await lln(SIBLING, "credit", "verify", wrong)).exit_code == 1


async def test_an_offline_proof_is_verified_with_the_root_alone(tmp_path, lln):
    async with network(tmp_path, "a") as nodes:
        _, record = await issued(nodes[COUNTY])
        bundle = tmp_path / "b.json"
        bundle.write_bytes(await bundle_of(nodes[COUNTY], record))
        credential = tmp_path / "c.json"
        credential.write_text(await credential_of(nodes[COUNTY], record), encoding="utf-8")
        root = nodes[COUNTY].node.identity.root_certificate
    pem = tmp_path / "root.pem"
    pem.write_bytes(to_pem([root]))
    for pinned in (pem, root_fingerprint(root), root_fingerprint(root).upper()):
        good = await lln("nobody", "credit", "verify", "--root", pinned, bundle)
        assert (good.exit_code, good.output.splitlines()[0]) == (0, "Valid."), good.output
    assert not (tmp_path / "nobody").exists()
    assert (await lln("nobody", "credit", "verify", "--root", "0" * 64, bundle)).exit_code == 22
    spoilt = json.loads(bundle.read_bytes())
    other = json.loads(spoilt["credential"])
    other["credentialSubject"]["creditsEarned"] = 9
    for change, code in (
        ({"credential": json.dumps(other)}, 20),
        ({"event": spoilt["event"].replace("issue", "convert")}, 20),
        ({"revocation_list": ""}, 27),
    ):
        (tmp_path / "spoilt.json").write_text(json.dumps(spoilt | change), encoding="utf-8")
        assert (await lln("nobody", "credit", "verify", "--root", pem, tmp_path / "spoilt.json")).exit_code == code
    refused = await lln("nobody", "credit", "verify", "--root", pem, credential)
    assert (refused.exit_code, "LLN-1110" in refused.output) == (1, True)
    assert (await lln("nobody", "credit", "verify", "--root", credential, bundle)).exit_code == 3


async def test_a_code_is_given_out_on_the_words_agreed_to_and_looked_up_elsewhere(tmp_path, lln):
    async with network(tmp_path, "a", "b") as nodes:
        learner, record = await issued(nodes[COUNTY])
        refused = await lln(COUNTY, "credit", "prove", learner, record, told="n\n")
        assert (refused.exit_code, "我同意" in refused.output) == (1, True)
        given = await lln(COUNTY, "credit", "prove", learner, record, "--days", "3", told="y\n")
        assert given.exit_code == 0, given.output
        assert "█" in given.output
        [line] = [line for line in given.output.splitlines() if line.startswith("code ")]
        where = line.split()[1]
        looked = await lln(SIBLING, "credit", "verify", where)
        assert (looked.exit_code, looked.output.startswith("Valid.")) == (0, True)
        seen = await lln(COUNTY, "consent", "list", learner)
        assert SIBLING in seen.output
        drawn = tmp_path / "qr.svg"
        made = await lln(COUNTY, "--json", "credit", "prove", learner, record, "--yes", "--qr", drawn)
        code = json.loads(made.output)["code"]
        assert "<svg" in drawn.read_text(encoding="utf-8")
        page = tmp_path / "page.html"
        assert (await lln(COUNTY, "credit", "export", code, "--page", "-o", page)).exit_code == 0
        assert f"@{COUNTY}" in page.read_text(encoding="utf-8")
        consent = given.output.split()[-1]
        assert (await lln(COUNTY, "consent", "withdraw", consent)).exit_code == 0
        gone = await lln(SIBLING, "credit", "verify", where)
        assert (gone.exit_code, "LLN-1212" in gone.output) == (1, True), gone.output
        assert ROOT not in gone.output
