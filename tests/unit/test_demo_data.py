"""The demo's tree, catalogue and questions hold together, so that the tour fails only when the program is wrong."""

import json
import re
import tomllib
from collections import Counter, defaultdict
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from federation.catalogue import (
    Audience,
    Resource,
    ResourceType,
    Section,
    Stage,
    Virtue,
    is_visible,
)
from federation.directory import NodeDescription
from federation.naming import NodeName, depth, is_below, is_within, parent_of, parse_name

DEMO = Path(__file__).resolve().parents[2] / "config" / "demo"
CODES = DEMO.parents[2] / "shared" / "data" / "codes"
ROOT = NodeName("lln.internal")
SCOPES = {"node", "siblings", "subtree", "network"}

NODES = tomllib.loads((DEMO / "federation.toml").read_text("utf-8"))["node"]
SEARCHES = tomllib.loads((DEMO / "searches.toml").read_text("utf-8"))["search"]
ROWS = [
    json.loads(line)
    for file in sorted((DEMO / "catalogue").glob("*.jsonl"))
    for line in file.read_text("utf-8").splitlines()
]


def name_of(path: str) -> NodeName:
    return parse_name(path if path == ROOT else f"{path}.{ROOT}")


def node_name(node: dict) -> NodeName:
    return parse_name(node["label"] if "parent" not in node else f"{node['label']}.{name_of(node['parent'])}")


def resource_of(row: dict) -> Resource:
    return msgspec.convert({key: value for key, value in row.items() if key != "publisher"}, Resource, strict=True)


NAMES = {node_name(node): node for node in NODES}
RESOURCES = {(name_of(row["publisher"]), row["id"]): resource_of(row) for row in ROWS}


def folded_text(resource: Resource) -> tuple[str, str, str]:
    return (str(resource.title), resource.description.zh or resource.description.en, resource.licence)


def are_one_thing(one: Resource, other: Resource) -> bool:
    return bool(set(one.identifiers) & set(other.identifiers)) or folded_text(one) == folded_text(other)


def listed_codes(file: str) -> set[str]:
    if not CODES.is_dir():
        pytest.skip(f"the code lists are not beside the repository: {CODES}")
    return {line.split(",", 1)[0] for line in (CODES / file).read_text("utf-8").splitlines()[1:]}


# --- the tree ---------------------------------------------------------------------------------------------------------


def test_every_node_has_one_name_and_an_authority_that_is_in_the_tree():
    assert len(NAMES) == len(NODES)
    assert [name for name in NAMES if parent_of(name, ROOT) is None] == [ROOT]
    for name in NAMES:
        above = parent_of(name, ROOT)
        assert above is None or above in NAMES, name


def test_authorities_come_before_those_they_admit():
    order = list(NAMES)
    for name in order[1:]:
        assert order.index(parent_of(name, ROOT)) < order.index(name)


def test_the_tree_is_five_levels_deep_and_uneven():
    assert 18 <= len(NODES) <= 21
    assert max(depth(name, ROOT) for name in NAMES) == 4
    leaves = [name for name in NAMES if not any(is_below(other, name) for other in NAMES)]
    assert {depth(name, ROOT) for name in leaves} == {1, 2, 3, 4}
    levels = Counter(node["level"] for node in NODES)
    assert levels["national"] == 1
    assert levels["provincial"] == 5
    assert levels["municipal"] >= 2
    assert levels["county"] >= 3
    kinds = Counter(node["kind"] for node in NODES)
    assert kinds["school"] >= 4
    assert kinds["university"] >= 1
    assert kinds["vocational_college"] >= 2


def test_a_node_can_be_described_to_the_directory():
    for node in NODES:
        described = {key: value for key, value in node.items() if key not in {"label", "parent", "dialable"}}
        assert set(described) <= set(NodeDescription.__struct_fields__)
        description = msgspec.convert(described, NodeDescription, strict=True)
        assert description.title.zh, node["label"]
        assert description.title.en, node["label"]
        assert isinstance(node["dialable"], bool)


def test_whoever_has_children_can_be_dialled_and_some_school_cannot():
    dialable = {name for name, node in NAMES.items() if node["dialable"]}
    assert {parent_of(name, ROOT) for name in NAMES} - {None} <= dialable
    assert any(node["level"] == "school" for name, node in NAMES.items() if name not in dialable)


def test_division_codes_are_listed():
    assert {node["division_code"] for node in NODES} <= listed_codes("gbt2260_divisions.csv")


def test_the_readme_counts_what_is_there():
    readme = (DEMO / "README.md").read_text("utf-8")
    for told in (f"{len(NODES)} nodes", f"{len(ROWS)} resources", f"{len(SEARCHES)} questions"):
        assert told in readme
    assert all(node["label"] in readme and node["title"]["zh"] in readme for node in NODES)


# --- the catalogue ----------------------------------------------------------------------------------------------------


def test_every_line_is_a_resource_of_a_node_in_the_tree():
    known = {*Resource.__struct_fields__, "publisher"}
    for row in ROWS:
        assert set(row) <= known, row["id"]
        assert list(row)[:3] == ["id", "publisher", "title"]
        assert name_of(row["publisher"]) in NAMES
        resource = resource_of(row)
        assert str(resource.title)
        assert resource.description.zh or resource.description.en
        assert resource.licence
        assert resource.audience


def test_there_are_two_hundred_resources_and_ids_are_not_reused():
    assert len(ROWS) >= 220
    assert len(RESOURCES) == len(ROWS)
    assert max(Counter(row["id"] for row in ROWS).values()) == 1


def test_every_node_publishes_and_none_drowns_the_others():
    published = Counter(publisher for publisher, _ in RESOURCES)
    assert set(published) == set(NAMES)
    assert all(5 <= count <= 25 for count in published.values()), published


@pytest.mark.parametrize(
    ("field", "words"),
    [("type", ResourceType), ("section", Section), ("stage", Stage), ("virtue", Virtue)],
)
def test_every_word_of_the_classification_is_used(field, words):
    used = Counter(getattr(resource, field) for resource in RESOURCES.values())
    assert all(used[word] >= 5 for word in get_args(words)), used


def test_every_audience_is_served():
    used = Counter(audience for resource in RESOURCES.values() for audience in resource.audience)
    assert all(used[word] >= 10 for word in get_args(Audience)), used


def test_languages_and_scripts_are_mixed():
    languages = Counter(resource.language for resource in RESOURCES.values())
    assert languages["zh-Hant"] >= 5
    assert languages["en"] >= 5
    assert sum(bool(resource.description.en) for resource in RESOURCES.values()) >= 50
    assert any("\uff21" <= letter <= "\uff5a" for resource in RESOURCES.values() for letter in resource.title.zh)


def test_every_share_scope_occurs_and_most_is_shared_with_the_network():
    reach = Counter(resource.share_scope.reach for resource in RESOURCES.values())
    assert 0.6 <= reach["network"] / len(ROWS) <= 0.8
    assert all(reach[word] >= 10 for word in SCOPES), reach


def test_a_subtree_scope_names_the_publisher_or_somebody_above_it():
    for (publisher, resource_id), resource in RESOURCES.items():
        ancestor = resource.share_scope.ancestor
        assert ancestor is None or (ancestor in NAMES and is_within(publisher, ancestor)), resource_id


def test_no_description_is_repeated_except_where_one_thing_is_offered_twice():
    by_text = defaultdict(list)
    for resource in RESOURCES.values():
        for text in (resource.description.zh, resource.description.en):
            if text:
                by_text[text].append(resource)
    for text, group in by_text.items():
        assert all(are_one_thing(group[0], other) for other in group[1:]), text


def test_some_things_are_offered_by_several():
    providers = defaultdict(set)
    for (publisher, _), resource in RESOURCES.items():
        for identifier in resource.identifiers:
            providers[identifier].add(publisher)
    shared = {identifier: at for identifier, at in providers.items() if len(at) > 1}
    assert {identifier.split(":", 1)[0] for identifier in shared} == {"course", "isbn", "url"}
    assert max(len(at) for at in shared.values()) >= 3
    texts = Counter(folded_text(resource) for resource in RESOURCES.values() if not resource.identifiers)
    assert max(texts.values()) == 2


def test_subject_and_industry_codes_are_listed():
    subjects, industries = listed_codes("gbt13745_disciplines.csv"), listed_codes("gbt4754_2017.csv")
    assert {resource.subject for resource in RESOURCES.values()} - {None} <= subjects
    assert {resource.industry for resource in RESOURCES.values()} - {None} <= industries


def test_nothing_looks_like_a_persons_number_or_address():
    numbers = re.compile(r"(?<!\d)(\d{17}[\dXx]|1[3-9]\d{9})(?!\d)")
    for row in ROWS:
        text = json.dumps(row, ensure_ascii=False)
        assert not numbers.search(text), row["id"]
        assert "@" not in text, row["id"]


def test_every_location_is_an_invented_host():
    for resource in RESOURCES.values():
        assert re.match(r"https://[a-z0-9.-]+\.example/", resource.location), resource.id


# --- the questions ----------------------------------------------------------------------------------------------------


def may_answer(search: dict, resource: Resource, publisher: NodeName) -> bool:
    """Whether share scope, the scope asked for and the facets let this resource into the answer."""
    viewer, scope = name_of(search["from"]), search["scope"]
    if not is_visible(resource.share_scope, publisher=publisher, viewer=viewer, root=ROOT):
        return False
    family = {viewer, parent_of(viewer, ROOT)}
    if scope == "node" and publisher != viewer:
        return False
    if scope == "siblings" and publisher not in family and parent_of(publisher, ROOT) != parent_of(viewer, ROOT):
        return False
    if scope == "subtree" and not is_within(publisher, name_of(search["ancestor"])):
        return False
    for field, wanted in search.get("filters", {}).items():
        found = getattr(resource, field)
        if wanted != found and not (isinstance(found, tuple) and wanted in found):
            return False
    return True


def exclusions(search: dict) -> list[str]:
    return [word[1:] for word in search["query"].split() if word.startswith("-") and len(word) > 1]


def words_of(resource: Resource) -> str:
    return "\n".join(
        (*msgspec.structs.astuple(resource.title), *msgspec.structs.astuple(resource.description), *resource.keywords)
    )


def test_questions_are_asked_by_nodes_of_the_tree_and_say_what_they_show():
    assert len(SEARCHES) >= 24
    for search in SEARCHES:
        assert name_of(search["from"]) in NAMES
        assert search["scope"] in SCOPES
        assert ("ancestor" in search) == (search["scope"] == "subtree")
        assert "ancestor" not in search or name_of(search["ancestor"]) in NAMES
        assert search["shows"]["zh"]
        assert search["shows"]["en"]
        assert 1 <= search.get("top", 10) <= 10
        assert "expects_id" in search or search.get("expects_none"), search["query"]


def test_what_a_question_expects_may_be_seen_by_its_asker():
    for search in SEARCHES:
        if "expects_id" in search and not search.get("expects_none"):
            publisher = name_of(search["expects_publisher"])
            resource = RESOURCES[publisher, search["expects_id"]]
            assert may_answer(search, resource, publisher), search["query"]
            assert not any(word in words_of(resource) for word in exclusions(search))


def test_what_must_not_be_found_is_excluded_by_scope_or_by_the_words():
    for search in SEARCHES:
        if "expects_id" in search and search.get("expects_none"):
            publisher = name_of(search["expects_publisher"])
            resource = RESOURCES[publisher, search["expects_id"]]
            hidden = not may_answer(search, resource, publisher)
            assert hidden or any(word in words_of(resource) for word in exclusions(search)), search["query"]


def test_where_nothing_is_expected_nobody_in_scope_has_the_words():
    for search in SEARCHES:
        if search.get("expects_none") and "expects_id" not in search:
            for (publisher, _), resource in RESOURCES.items():
                if may_answer(search, resource, publisher):
                    assert search["query"].strip('"') not in words_of(resource)


def test_copies_that_are_to_be_folded_are_one_thing():
    for search in SEARCHES:
        for path in search.get("expects_also_at", ()):
            expected = RESOURCES[name_of(search["expects_publisher"]), search["expects_id"]]
            held = [r for (publisher, _), r in RESOURCES.items() if publisher == name_of(path)]
            assert any(are_one_thing(expected, other) for other in held), path


def test_a_school_in_chongqing_finds_in_zhejiang_what_nobody_in_chongqing_offers():
    search = SEARCHES[0]
    publisher = name_of(search["expects_publisher"])
    assert is_within(name_of(search["from"]), name_of("chongqing"))
    assert is_within(publisher, name_of("zhejiang"))
    assert search["query"] in RESOURCES[publisher, search["expects_id"]].title.zh
    for (at, _), resource in RESOURCES.items():
        if is_within(at, name_of("chongqing")):
            assert search["query"] not in words_of(resource)
