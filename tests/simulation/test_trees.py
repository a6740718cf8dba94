"""The trees that can be simulated: their sizes and shapes, and reading one from a table of divisions."""

from collections import Counter
from pathlib import Path

import pytest

from federation.naming import parent_of
from node.simulation.trees import PRESETS, ROOT, UnknownTree, preset, random_tree, read_divisions

CODES = Path(__file__).resolve().parents[3] / "shared" / "data" / "codes" / "gbt2260_divisions.csv"
HEAD = "code,name,level,parent\n"
SMALL = "0,国,national,\n11,京,province,0\n1101,东,county,11\n33,浙,province,0\n3304,嘉,prefecture,33\n"


def check(tree):
    """Parents come before their children, and every name is a place below its parent's."""
    seen = set()
    for place in tree:
        assert place.parent == parent_of(place.name, ROOT)
        assert place.parent is None or place.parent in seen
        seen.add(place.name)
    assert len(seen) == len(tree)


@pytest.mark.parametrize(
    ("name", "nodes"), [("seed", 21), ("county-75", 77), ("county-1000", 1_002), ("province", 1_124), ("nation", 3_211)]
)
def test_presets_have_their_sizes(name, nodes):
    tree = preset(name)
    assert len(tree) == nodes
    check(tree)


def test_every_preset_is_known_by_name():
    assert sorted(PRESETS) == ["county-1000", "county-75", "nation", "province", "seed"]
    with pytest.raises(UnknownTree):
        preset("continent")


@pytest.mark.parametrize("nodes", [2, 3, 9, 40, 200])
def test_made_up_trees_are_as_large_as_asked_and_the_same_for_a_seed(nodes):
    tree = random_tree(nodes, 5)
    assert len(tree) == nodes
    assert tree == random_tree(nodes, 5)
    check(tree)


def test_a_table_of_divisions_keeps_its_own_depth_and_levels(tmp_path):
    file = tmp_path / "codes.csv"
    file.write_text(HEAD + SMALL, "utf-8")
    tree = read_divisions(file)
    check(tree)
    levels = {place.name.removesuffix(f".{ROOT}"): place.level for place in tree}
    assert levels == {
        ROOT: "national",
        "d11": "provincial",
        "d1101.d11": "county",  # no city stands between
        "d33": "provincial",
        "d3304.d33": "municipal",
    }


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("0,,,\n1,,,\n", "2 rows without a parent"),
        ("0,,,\n1,,,7\n", "1 rows hang from no row"),
        ("0,,,\n1,,,2\n2,,,1\n", "2 rows hang from no row"),
        ("0,,,\n" + "".join(f"{number},,,{number - 1}\n" for number in range(1, 12)), "deeper than"),
    ],
)
def test_a_table_that_is_no_tree_is_refused(tmp_path, rows, told):
    file = tmp_path / "codes.csv"
    file.write_text(HEAD + rows, "utf-8")
    with pytest.raises(UnknownTree, match=told):
        read_divisions(file)


def test_the_nations_divisions_are_a_tree_of_their_own_depth():
    if not CODES.is_file():
        pytest.skip(f"the code lists are not beside the repository: {CODES}")
    tree = read_divisions(CODES)
    check(tree)
    assert Counter(place.level for place in tree) == {
        "national": 1,
        "provincial": 34,
        "municipal": 333,
        "county": 2_846,
    }
    assert len({place.name.count(".") for place in tree if place.level == "county"}) == 2  # some without a city between
