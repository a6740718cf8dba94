"""Noting who did what at the pages, and finding people by their login: and what they have offered: shared by what
deals with people.

What lives here: rows of the audit trail, marks of secrets, logins as they are compared. What must not: a decision, or a
secret itself.
"""

import unicodedata
from hashlib import sha256
from typing import Final

from federation.errors import NotFound
from node.ports import Clock, Randomness, ResourceRow, Store, Transaction
from node.ports.people import DoingRow, PersonRow

_PERSONS_MAX: Final = 1_000_000
UNDO_MS: Final = 15 * 60_000
FILE_CHARS_MAX: Final = 80
_TIMES_END: Final = 10**15
_MISREAD: Final = str.maketrans("OIL", "011", " -_")


class PersonUnknown(NotFound):
    code = "LLN-1265"
    zh = "没有这个账号。请在“人员与角色”里核对。"
    en = "There is no such account. Look at the list of people."


class UploadUnknown(NotFound):
    code = "LLN-1241"
    zh = "没有这次上传，或者它不是您上传或复核的。只有上传和复核的人能撤销。"
    en = "There is no such upload of yours. Only those who issued a sheet can undo it."


class Noting:
    """The one writer of what was done."""

    def __init__(self, *, store: Store, clock: Clock, randomness: Randomness) -> None:
        self._store = store
        self._clock = clock
        self._randomness = randomness

    def row(self, person: PersonRow | None, did: str, *, about: str = "", outcome: str = "done") -> DoingRow:
        """`did` and `outcome` are words of the portal's catalogue; `about` names an id, never a person's number."""
        now_ms = self._clock.now_ms()
        return DoingRow(
            id=f"{_TIMES_END - now_ms:015d}-{self._randomness.token(4).hex()}",
            owner=person.id if person else "",
            state=did,
            name=person.name or person.owner if person else "",
            about=about[:200],
            outcome=outcome,
            at_ms=now_ms,
        )

    async def note(self, person: PersonRow | None, did: str, *, about: str = "", outcome: str = "done") -> None:
        row = self.row(person, did, about=about, outcome=outcome)
        await self._store.write(lambda tx: tx.people.doings.put([row]))

    async def latest(self, after: str, limit: int) -> tuple[DoingRow, ...]:
        """Newest first, those older than the id `after`."""
        return tuple(await self._store.read(lambda tx: tx.people.doings.all(after, limit)))


def mark_of(secret: str) -> str:
    """By what a token or a code of enough chance is recognised, without being kept."""
    return sha256(secret.encode()).hexdigest()


def fold_login(text: str) -> str:
    return unicodedata.normalize("NFKC", text[:200]).strip().casefold()[:64]


def fold_code(text: str) -> str:
    """A code as somebody typed it from paper: spaces, case, O for 0 and I or L for 1 forgiven."""
    return text[:80].upper().translate(_MISREAD)


def by_login(tx: Transaction, folded: str) -> PersonRow | None:
    found = [one for one in tx.people.persons.of(folded, limit=2) if one.state != "closed"]
    return found[0] if found else None


def offers_of(tx: Transaction, learner: str) -> list[ResourceRow]:
    """Every resource that whoever signs in with a learner's account has submitted last."""
    found: list[ResourceRow] = []
    persons = [one for one in tx.people.persons.all(limit=_PERSONS_MAX) if one.learner == learner]
    for author in sorted({one.known_as for one in persons}):
        after = ""
        while page := tx.resources.of(author, after, 1_000):
            found += page
            after = page[-1].id
    return found


def known(tx: Transaction, person_id: str) -> PersonRow:
    """Raises PersonUnknown."""
    person = tx.people.persons.get(person_id)
    if person is None:
        raise PersonUnknown(person_id)
    return person


def end_sessions(tx: Transaction, person_id: str) -> None:
    """Every session and set-up link of a person."""
    for session in tx.people.sessions.of(person_id):
        tx.people.sessions.drop(session.id)


def upload_id(now_ms: int, randomness: Randomness) -> str:
    """Sorts the newest first."""
    return f"{_TIMES_END - now_ms:015d}-{randomness.token(6).hex()}"


def shown_name(file: str) -> str:
    """The name of a file as somebody's computer gave it: to be shown, never to be opened."""
    last = file.replace("\\", "/").rpartition("/")[2]
    return "".join(one for one in last if one.isprintable())[:FILE_CHARS_MAX]
