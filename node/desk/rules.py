"""Conversion rules: what can be asked, and what is answered."""

from datetime import date
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from federation.catalogue import BilingualLine
from federation.naming import NameField
from node.desk.plain import Document, Limit, Operation


class RulePublishAsked(Document, frozen=True, kw_only=True):
    """`toml`: the file as a person wrote it; without `apply` it is only read and checked."""

    toml: Annotated[str, Meta(max_length=65_536)]
    apply: bool = False


class RuleTold(Document, frozen=True, kw_only=True):
    """One version of a rule; `state`: of this node, adopted by it, or known of somebody else's."""

    authority: str
    id: str
    version: int
    title: BilingualLine
    valid_from: date
    valid_until: date | None
    sha256: str
    state: Literal["own", "adopted", "known", "draft"]
    change: Literal["new", "same", ""] = ""
    log_index: int | None = None


class RulesAsked(Document, frozen=True, kw_only=True):
    """Rules kept here; those in force on a day where one is given."""

    authority: NameField | None = None
    as_of: date | None = None
    after: str = ""
    limit: Limit = 100


class Rules(Document, frozen=True, kw_only=True):
    """`after`: where the next page goes on, whether or not what it begins with is shown."""

    rules: tuple[RuleTold, ...]
    more: bool
    after: str = ""


class RuleNamed(Document, frozen=True, kw_only=True):
    """One version; the newest where none is said."""

    authority: NameField
    id: Annotated[str, Meta(min_length=1, max_length=128)]
    version: Annotated[int, Meta(ge=1)] | None = None


class RuleShown(Document, frozen=True, kw_only=True):
    """`rule`: the signed document itself."""

    told: RuleTold
    rule: msgspec.Raw


class RulesSought(Document, frozen=True, kw_only=True):
    """Rules anywhere in the network by words of their titles, or by an achievement that they take or give."""

    text: Annotated[str, Meta(max_length=200)]
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


class RulesFound(Document, frozen=True, kw_only=True):
    """`answered_by`: the node whose copies of the logs were searched; `lacking`: whom that leaves out, and why."""

    rules: tuple[RuleShown, ...]
    answered_by: str
    lacking: str = ""


OPERATIONS: Final = (
    Operation(name="rule.publish", asked=RulePublishAsked, answered=RuleTold),
    Operation(name="rule.adopt", asked=RuleNamed, answered=RuleTold),
    Operation(name="rule.list", asked=RulesAsked, answered=Rules),
    Operation(name="rule.show", asked=RuleNamed, answered=RuleShown),
    Operation(name="rule.find", asked=RulesSought, answered=RulesFound),
)
