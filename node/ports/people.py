"""The people who use a node's pages, as use cases see them: accounts with roles, sessions, and what they did.

What lives here: the rows, the Protocols of their shelves and of passwords. What must not: statements, hashing, or
decisions about any of it. Neither a password, a token nor a code on paper stands here, only what each is recognised by;
the secret of one-time codes does, because it has to.
"""

from typing import Any, Literal, Protocol

import msgspec

from node.ports.crediting import Kept, Shelf
from node.ports.files import FileRow

Role = Literal["learner", "contributor", "reviewer", "registrar", "operator", "auditor"]
ROLES: tuple[Role, ...] = Role.__args__  # type: ignore[attr-defined]  # typing offers no other way
STAFF: frozenset[Role] = frozenset(("contributor", "reviewer", "registrar", "operator", "auditor"))
PersonState = Literal["invited", "active", "closed"]


class PersonRow(Kept, frozen=True, kw_only=True):
    """One person. `owner` is the login, folded; `name` as colleagues call them and as an author or reviewer is told.

    `learner`: the account of a learner. `password`: its argon2 hash; `recovery`: SHA-256, in hex, of codes on paper.
    `totp`: the secret of one-time codes, in base32, the one thing here that is a secret itself; `totp_next`: one
    that is being set up; `totp_step`: the last step of thirty seconds whose code was used.
    """

    state: PersonState = "invited"
    name: str
    roles: tuple[Role, ...]
    learner: str = ""
    password: str = ""
    recovery: tuple[str, ...] = ()
    totp: str = ""
    totp_next: str = ""
    totp_step: int = 0
    made_at_ms: int

    def __repr__(self) -> str:
        """Who it is, and by what they are recognised, stays out of tracebacks and telemetry."""
        return f"PersonRow({self.id}, {self.state})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("id", self.id), ("state", self.state)]

    @property
    def known_as(self) -> str:
        """How decisions name them: the name for people, the login because no two have the same."""
        return f"{self.name[:40]} ({self.owner[:20]})"

    def has(self, *roles: Role) -> bool:
        return any(role in self.roles for role in roles)


class SessionRow(Kept, frozen=True, kw_only=True):
    """`id`: SHA-256, in hex, of the token that a browser, or a set-up link, carries; `owner`: the person.

    `device`: that a browser has signed in before, which opens nothing by itself; `halfway`: that somebody there has
    proved the password and still owes a one-time code.
    """

    state: Literal["open", "setup", "device", "halfway"] = "open"
    began_at_ms: int
    ends_at_ms: int


class DoingRow(Kept, frozen=True, kw_only=True):
    """Something that was done: `id` sorts the newest first, `owner` is who did it, `state` what it was."""

    name: str
    about: str
    outcome: str
    at_ms: int


UploadState = Literal["waiting", "returned", "taken_back", "expired", "issuing", "issued", "undoing", "undone"]


class UploadRow(Kept, frozen=True, kw_only=True):
    """A sheet of credits that somebody uploaded: `id` sorts the newest first, `owner` is who did it, `name` their name.

    `records`: what this upload issued, and nothing that was there before; `revoked`: what of it was taken back.
    `until_ms`: until when it waits, or may be undone. `planned`: how many records it was to issue. `approver`: the
    second person, who issued or returned it, "" where there was none. `kept_bytes`: of the sheet, while it is kept.
    Names and numbers of the sheet stand nowhere here.
    """

    state: UploadState = "issuing"
    file: str
    records: tuple[str, ...] = ()
    revoked: tuple[str, ...] = ()
    reason: str = ""
    at_ms: int
    until_ms: int
    name: str = ""
    approver: str = ""
    approver_name: str = ""
    remark: str = ""
    planned: int = 0
    kept_bytes: int = 0


class SheetRow(Kept, frozen=True, kw_only=True):
    """What a sheet says, while it waits for a second person: `id` of its upload, `owner` who uploaded it.

    `sheet`: a `CreditSheet` in JSON, numbers of people among it; gone as soon as it is decided on.
    """

    sheet: bytes

    def __repr__(self) -> str:
        """What stands in it stays out of tracebacks and telemetry."""
        return f"SheetRow({self.id})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("id", self.id)]


class SecondRow(Kept, frozen=True, kw_only=True):
    """That somebody was the second person of an upload: `id` of the upload, `owner` the person."""


class ForeignRow(Kept, frozen=True, kw_only=True):
    """`id`: SHA-256, in hex, of issuer and subject; `owner`: the person whose account it opens."""

    issuer: str
    subject: str


class Foreign(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody as their own institution knows them."""

    issuer: str
    subject: str


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a browser was sent to a provider with; `back` is where it returns, `leads` where it then goes on to."""

    state: str
    nonce: str
    verifier: str
    back: str
    leads: str


class PeopleShelves(Protocol):
    @property
    def persons(self) -> Shelf[PersonRow]: ...
    @property
    def sessions(self) -> Shelf[SessionRow]: ...
    @property
    def doings(self) -> Shelf[DoingRow]: ...
    @property
    def uploads(self) -> Shelf[UploadRow]: ...
    @property
    def sheets(self) -> Shelf[SheetRow]: ...
    @property
    def seconds(self) -> Shelf[SecondRow]: ...
    @property
    def foreign(self) -> Shelf[ForeignRow]: ...
    @property
    def files(self) -> Shelf[FileRow]: ...


class Provider(Protocol):
    """An institution's own sign-in; what it says has been verified."""

    @property
    def issuer(self) -> str: ...
    @property
    def title(self) -> str: ...

    async def address(self, asked: Asked) -> str:
        """Where a browser is sent."""
        ...

    async def finish(self, code: str, asked: Asked) -> Foreign:
        """Who signed in there."""
        ...


class Passwords(Protocol):
    """Passwords, hashed slowly and off the event loop, a bounded number at once."""

    async def kept(self, password: str) -> str:
        """What to keep of a password; raises Unavailable where too many wait."""
        ...

    async def holds(self, password: str, kept: str) -> bool:
        """Whether this is the password; takes as long where `kept` is empty, and says no."""
        ...
