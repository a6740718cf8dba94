"""Who has an account at the pages: what can be asked, and what is answered. No password or code is ever among it."""

from typing import Annotated, Final

from msgspec import Meta

from node.desk.plain import Document, Limit, Operation
from node.ports.people import PersonState, Role

Login = Annotated[str, Meta(min_length=2, max_length=64, pattern=r"^[^\s/\\]+$")]


class PersonAsked(Document, frozen=True, kw_only=True):
    """Another account; `learner`: the learning account of a learner."""

    login: Login
    name: Annotated[str, Meta(max_length=64)] = ""
    roles: Annotated[tuple[Role, ...], Meta(min_length=1, max_length=6)]
    learner: Annotated[str, Meta(max_length=64)] = ""


class PersonNamed(Document, frozen=True, kw_only=True):
    login: Login


class PersonLink(Document, frozen=True, kw_only=True):
    """`path`: where at the pages' address the account is set up, once; it carries a secret."""

    login: str
    path: str


class PersonsAsked(Document, frozen=True, kw_only=True):
    after: str = ""
    limit: Limit = 100


class PersonLine(Document, frozen=True, kw_only=True):
    id: str
    login: str
    name: str
    state: PersonState
    roles: tuple[Role, ...]
    learner: str


class Persons(Document, frozen=True, kw_only=True):
    persons: tuple[PersonLine, ...]
    more: bool


OPERATIONS: Final = (
    Operation(name="person.invite", asked=PersonAsked, answered=PersonLink),
    Operation(name="person.link", asked=PersonNamed, answered=PersonLink),
    Operation(name="person.list", asked=PersonsAsked, answered=Persons),
)
