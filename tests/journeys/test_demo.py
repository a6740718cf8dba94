"""The whole demonstration as a newcomer starts it: real processes, and every answer of the tour held."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _run(tmp_path, *words):
    report = tmp_path / "demo.json"
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    ended = subprocess.run(
        [sys.executable, "-m", "node.demo", "--once", "--json", str(report), *words],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-3_000:] + ended.stderr[-3_000:]
    assert list(temporary.iterdir()) == []
    return json.loads(report.read_text(encoding="utf-8"))


def test_the_tour_holds_from_the_first_invite_to_the_last_answer(tmp_path):
    told = _run(tmp_path)
    assert len(told["nodes"]) >= 18
    assert len({node["name"].count(".") for node in told["nodes"]}) == 5
    assert told["resources"] >= 200
    assert all(search["held"] for search in told["searches"])
    assert any(
        search["from"].startswith("shequ.jiulongpo.chongqing") and search["hits"][0]["publisher"].startswith("xitang.")
        for search in told["searches"]
        if search["hits"]
    )
    own = {(copy["origin"], copy["log"]): copy["root"] for copy in told["copies"] if copy["holder"] == copy["origin"]}
    copies = [copy for copy in told["copies"] if copy["holder"] != copy["origin"]]
    assert all(copy["root"] == own[copy["origin"], copy["log"]] for copy in copies)
    at_hub = {(copy["origin"], copy["log"]) for copy in copies if copy["holder"] == "lln.internal"}
    assert at_hub == {key for key in own if key[0] != "lln.internal"}
    _check_credits(told["credits"])


def _check_credits(journey):
    """Credits went from one province to another, once, and fell there when they were revoked here."""
    assert [one for one in journey["commands"] if not one["held"]] == []
    assert (journey["home"], journey["receiver"]) == (
        "jinshan.shanghai.lln.internal",
        "haining.jiaxing.zhejiang.lln.internal",
    )
    source, derived = sorted(journey["records"], key=lambda one: len(one["converted_from"]))
    assert derived["converted_from"] == [source["id"]]
    assert [one["state"] for one in (source, derived)] == ["revoked", "revoked"]
    assert source["consumed"] == source["hundredths"] == derived["hundredths"] == 250
    assert [(one["state"], one["results"]) for one in journey["conversions"]] == [("converted", [derived["id"]])]
    outcomes = [one["verdicts"][0]["outcome"] for one in journey["verifications"]]
    assert outcomes == ["valid", "revoked"]


def test_another_catalogue_is_loaded_and_found(tmp_path):
    catalogue = tmp_path / "other.jsonl"
    rows = [{"id": n, "name": f"外来课程第{n}号", "description": f"第{n}号的说明", "lang": "zh"} for n in range(60)]
    catalogue.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    told = _run(tmp_path, "--catalogue", str(catalogue))
    assert told["resources"] == 60
    assert told["searches"]
    assert all(search["held"] for search in told["searches"])
