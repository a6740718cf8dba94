"""The demonstration's steps on a tree of three, so that what ends well and what does not are both seen."""

import json

import pytest

from federation.catalogue import BilingualLine
from federation.directory import NodeDescription
from node.demo import __main__ as demo
from node.demo.plan import ROOT, PlannedNode, full_name


def _node(path, parent, level, kind):
    title = BilingualLine(zh=path)
    return PlannedNode(
        name=full_name(path),
        parent=full_name(parent) if parent else None,
        description=NodeDescription(title=title, level=level, kind=kind),
        is_dialable=True,
    )


TREE = [
    _node(ROOT, None, "national", "authority"),
    _node("county", ROOT, "county", "authority"),
    _node("shequ.county", "county", "school", "school"),
]
ROWS = [
    {"publisher": "shequ.county", "name": "外来课程木雕", "description": "说明", "lang": "zh"},
    {"publisher": "county", "name": "外来课程竹编", "description": "说明", "lang": "zh"},
]


@pytest.fixture
def small(monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "read_tree", lambda: TREE)
    catalogue = tmp_path / "rows.jsonl"
    catalogue.write_text("\n".join(json.dumps(row) for row in ROWS), encoding="utf-8")
    return tmp_path, str(catalogue)


def test_a_tour_of_a_foreign_catalogue_holds_and_is_reported(small, capsys):
    folder, catalogue = small
    report = folder / "report.json"
    homes = folder / "homes"
    assert demo.main(["--once", "--json", str(report), "--catalogue", catalogue, "--keep", str(homes)]) == 0
    told = json.loads(report.read_text(encoding="utf-8"))
    assert told["resources"] == 2
    assert len(told["nodes"]) == 3
    assert all(search["held"] for search in told["searches"])
    assert {copy["origin"] for copy in told["copies"] if copy["holder"] == ROOT} == {one.name for one in TREE}
    assert sorted(place.name for place in homes.iterdir()) == sorted(one.name for one in TREE)
    assert "✓" in capsys.readouterr().out


def test_a_catalogue_that_cannot_be_read_ends_it_with_a_sentence_and_a_code(small, capsys):
    folder, _ = small
    broken = folder / "broken.jsonl"
    broken.write_text("{", encoding="utf-8")
    assert demo.main(["--once", "--catalogue", str(broken)]) == 1
    assert "LLN-1180" in capsys.readouterr().out
