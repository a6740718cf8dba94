"""Names of nodes, and the relations that follow from them.

A name is a place in the tree: the parent of `a.b.lln.internal` is `b.lln.internal`. What lives here: reading names and
comparing places. What must not: levels or division codes as a source of place; they are attributes (DESIGN.md §1).
"""

import re
from typing import Annotated, Literal, NewType

from msgspec import Meta

from federation.errors import InvalidInput

NAME_CHARS_MAX = 253  # RFC 1035 §2.3.4
DEPTH_MAX = 7  # levels below the root of a network

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
NAME_PATTERN = rf"^{_LABEL}(?:\.{_LABEL})+$"
_NAME = re.compile(NAME_PATTERN.replace("$", r"\Z"))
_ONE_LABEL = re.compile(rf"{_LABEL}\Z")

NodeName = NewType("NodeName", str)
"""A node name that has been read by `parse_name`: lower-case DNS labels (RFC 1123 §2.1), at least two."""

NameField = Annotated[str, Meta(pattern=NAME_PATTERN, max_length=NAME_CHARS_MAX)]
"""A name inside a document, checked while it is decoded."""

Level = Literal["national", "provincial", "municipal", "county", "school"]
NodeKind = Literal[
    "authority",
    "school",
    "university",
    "vocational_college",
    "credit_bank",
    "industry",
    "open_university",
    "study_centre",
]
Relation = Literal["self", "parent", "child", "sibling", "ancestor", "descendant", "network"]


class MalformedName(InvalidInput):
    code = "LLN-111"
    zh = "节点名称不合规范：应为小写字母、数字和连字符组成的域名，例如 jiashan.zhejiang.lln.internal。"
    en = "Not a node name: it must be lower-case DNS labels, such as jiashan.zhejiang.lln.internal."


def parse_name(text: str) -> NodeName:
    """Read a node name, forgiving case and surrounding space; raises MalformedName."""
    name = text.strip().lower()
    if len(name) > NAME_CHARS_MAX or not _NAME.match(name):
        raise MalformedName(name[:80], "expected lower-case DNS labels joined by dots")
    return NodeName(name)


def is_name(text: str) -> bool:
    """Whether a text is a node name as it is written: what `NameField` lets through."""
    return len(text) <= NAME_CHARS_MAX and _NAME.match(text) is not None


def child_name(label: str, authority: NodeName) -> NodeName:
    """The name of the node `label` directly below `authority`; raises MalformedName."""
    if not _ONE_LABEL.match(label):
        raise MalformedName(label[:80], "a label is 1 to 63 of a-z, 0-9 and '-', not at either end")
    return parse_name(f"{label}.{authority}")


def parent_of(name: NodeName, root: NodeName) -> NodeName | None:
    """The authority directly above `name`, or None for the root and for names outside its network."""
    if name == root or not is_below(name, root):
        return None
    return NodeName(name.split(".", 1)[1])


def is_below(name: str, authority: str) -> bool:
    """Whether `name` stands strictly below `authority`, at any depth."""
    return name.endswith("." + authority)


def is_within(name: str, authority: str) -> bool:
    """Whether `name` is `authority` or stands below it."""
    return name == authority or is_below(name, authority)


def lineage(name: NodeName, root: NodeName) -> tuple[NodeName, ...]:
    """`name`, its parent, and so on up to `root`; empty for a name outside the network."""
    if not is_within(name, root):
        return ()
    line = [name]
    while line[-1] != root:
        line.append(NodeName(line[-1].split(".", 1)[1]))
    return tuple(line)


def depth(name: NodeName, root: NodeName) -> int:
    """How many steps `name` stands below `root`."""
    return name.count(".") - root.count(".")


def lowest_common_authority(one: NodeName, other: NodeName, root: NodeName) -> NodeName:
    """The lowest node that is, or stands above, both."""
    above_other = set(lineage(other, root))
    return next((name for name in lineage(one, root) if name in above_other), root)


def relation_of(caller: NodeName, to: NodeName, root: NodeName) -> Relation:
    """What `caller` is, seen from `to`; the closest word wins, so a parent is not called an ancestor."""
    if caller == to:
        return "self"
    if parent_of(to, root) == caller:
        return "parent"
    if parent_of(caller, root) == to:
        return "child"
    if parent_of(caller, root) == parent_of(to, root):
        return "sibling"
    if is_below(to, caller):
        return "ancestor"
    return "descendant" if is_below(caller, to) else "network"
