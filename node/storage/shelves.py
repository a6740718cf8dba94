"""Shelves of documents: the kinds of the credit bank and of the portal, in one table, each with key, owner and state.

What lives here: the statements, and what is read and written through them. What must not: what the documents mean
(`node/ports/crediting.py`, `people.py`), or anything that only one engine understands.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Generic, TypeVar

import msgspec

from node.ports import crediting, people
from node.ports.crediting import Kept, LearnerRow
from node.ports.files import FileRow
from node.storage.rows import Document, Tables, by_width, padded

D = TypeVar("D", bound=Kept)


GET: Final = "SELECT document FROM shelf WHERE kind = ? AND id = ?"
SOME: Final = "SELECT document FROM shelf WHERE kind = ? AND id IN ({})"
SOME_BY_WIDTH: Final = by_width(SOME)
OF: Final = "SELECT document FROM shelf WHERE kind = ? AND owner = ? AND id > ? ORDER BY id LIMIT ?"
IN_STATE: Final = "SELECT document FROM shelf WHERE kind = ? AND state = ? AND id > ? ORDER BY id LIMIT ?"
ALL: Final = "SELECT document FROM shelf WHERE kind = ? AND id > ? ORDER BY id LIMIT ?"
COUNTS: Final = "SELECT state, count(*) FROM shelf WHERE kind = ? GROUP BY state"
PUT: Final = (
    "INSERT INTO shelf (kind, id, owner, state, document) VALUES (?, ?, ?, ?, ?) ON CONFLICT (kind, id) DO UPDATE"
    " SET owner = excluded.owner, state = excluded.state, document = excluded.document"
)
ADD: Final = (
    "INSERT INTO shelf (kind, id, owner, state, document) VALUES (?, ?, ?, ?, ?) ON CONFLICT (kind, id) DO NOTHING"
)
DROP: Final = "DELETE FROM shelf WHERE kind = ? AND id = ?"
NUMBERS_PUT: Final = (
    "INSERT INTO learner_number (learner, identity_number, student_number) VALUES (?, ?, ?) ON CONFLICT (learner)"
    " DO UPDATE SET identity_number = excluded.identity_number, student_number = excluded.student_number"
)
NUMBERS_DROP: Final = "DELETE FROM learner_number WHERE learner = ?"
BY_IDENTITY_NUMBER: Final = "SELECT learner FROM learner_number WHERE identity_number = ?"
BY_STUDENT_NUMBER: Final = "SELECT learner FROM learner_number WHERE student_number = ?"

_encode = msgspec.json.encode


class Kind(Generic[D]):
    """One kind of document: its word in the table, and its type."""

    def __init__(self, word: str, kind: type[D]) -> None:
        self.word = word
        self.document = Document(kind, f"shelf {word}")


LEARNERS: Final = Kind("learner", LearnerRow)
PSEUDONYMS: Final = Kind("pseudonym", crediting.PseudonymRow)
ACHIEVEMENTS: Final = Kind("achievement", crediting.AchievementRow)
RECOGNITIONS: Final = Kind("recognition", crediting.RecognitionRow)
RECORDS: Final = Kind("record", crediting.RecordRow)
ISSUES: Final = Kind("issue", crediting.IssueRow)
DERIVED: Final = Kind("derived", crediting.DerivedRow)
SLOTS: Final = Kind("slot", crediting.SlotRow)
LOTS: Final = Kind("lot", crediting.LotRow)
EVENTS: Final = Kind("event", crediting.CreditEventRow)
CONSENTS: Final = Kind("consent", crediting.ConsentRow)
GRANTS: Final = Kind("grant", crediting.GrantUseRow)
DISCLOSURES: Final = Kind("disclosure", crediting.DisclosureRow)
RULES: Final = Kind("rule", crediting.RuleRow)
CASES: Final = Kind("case", crediting.CaseRow)
REQUESTS: Final = Kind("request", crediting.RequestRow)
COMPLETIONS: Final = Kind("completion", crediting.CompletionRow)
PROOFS: Final = Kind("proof", crediting.ProofRow)
MOVES: Final = Kind("move", crediting.MoveRow)
MIRRORS: Final = Kind("mirror", crediting.MirrorRow)
COUNTED: Final = Kind("counts", crediting.CountsRow)
PERSONS: Final = Kind("person", people.PersonRow)
SESSIONS: Final = Kind("session", people.SessionRow)
DOINGS: Final = Kind("doing", people.DoingRow)
UPLOADS: Final = Kind("upload", people.UploadRow)
SHEETS: Final = Kind("sheet", people.SheetRow)
SECONDS: Final = Kind("second", people.SecondRow)
FOREIGN: Final = Kind("foreign", people.ForeignRow)
FILES: Final = Kind("file", FileRow)


class StoredShelf(Generic[D]):
    """`node.ports.crediting.Shelf` over the rows of one kind."""

    def __init__(self, tables: Tables, kind: Kind[D]) -> None:
        self._tables = tables
        self._word = kind.word
        self._document = kind.document

    def get(self, key: str) -> D | None:
        return self._document.one(self._tables.rows(GET, (self._word, key)))

    def many(self, keys: Sequence[str]) -> Mapping[str, D]:
        found: dict[str, D] = {}
        for width, ids in padded(keys):
            rows = self._tables.rows(SOME_BY_WIDTH[width], (self._word, *ids))
            found.update((row.id, row) for row in self._document.all(rows))
        return found

    def of(self, owner: str, after: str = "", limit: int = 1_000) -> Sequence[D]:
        return self._document.all(self._tables.rows(OF, (self._word, owner, after, limit)))

    def in_state(self, state: str, after: str = "", limit: int = 1_000) -> Sequence[D]:
        return self._document.all(self._tables.rows(IN_STATE, (self._word, state, after, limit)))

    def all(self, after: str = "", limit: int = 1_000) -> Sequence[D]:
        return self._document.all(self._tables.rows(ALL, (self._word, after, limit)))

    def counts(self) -> Mapping[str, int]:
        return dict(self._tables.rows(COUNTS, (self._word,)))

    def put(self, rows: Sequence[D]) -> None:
        for row in rows:
            self._tables.put_off(PUT, (self._word, row.id, row.owner, row.state, _encode(row)))

    def add(self, row: D) -> bool:
        return bool(self._tables.write(ADD, (self._word, row.id, row.owner, row.state, _encode(row))))

    def drop(self, key: str) -> None:
        self._tables.write(DROP, (self._word, key))


class StoredLearners(StoredShelf[LearnerRow]):
    """Numbers of people have columns of their own beside the shelf, so that a sheet finds who is there already."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables, LEARNERS)

    def put(self, rows: Sequence[LearnerRow]) -> None:
        super().put(rows)
        for row in rows:
            self._tables.put_off(NUMBERS_PUT, (row.id, row.identity_number or None, row.student_number or None))

    def add(self, row: LearnerRow) -> bool:
        is_new = super().add(row)
        if is_new:
            self._tables.put_off(NUMBERS_PUT, (row.id, row.identity_number or None, row.student_number or None))
        return is_new

    def drop(self, key: str) -> None:
        super().drop(key)
        self._tables.write(NUMBERS_DROP, (key,))

    def by_identity_number(self, number: str) -> LearnerRow | None:
        return self._first(self._tables.rows(BY_IDENTITY_NUMBER, (number,)))

    def by_student_number(self, number: str) -> LearnerRow | None:
        return self._first(self._tables.rows(BY_STUDENT_NUMBER, (number,)))

    def _first(self, rows: Sequence[tuple[str]]) -> LearnerRow | None:
        return self.get(rows[0][0]) if rows else None


class StoredCredits:
    """`node.ports.crediting.CreditShelves` of one transaction."""

    def __init__(self, tables: Tables) -> None:
        self.learners = StoredLearners(tables)
        self.pseudonyms = StoredShelf(tables, PSEUDONYMS)
        self.achievements = StoredShelf(tables, ACHIEVEMENTS)
        self.recognitions = StoredShelf(tables, RECOGNITIONS)
        self.records = StoredShelf(tables, RECORDS)
        self.issues = StoredShelf(tables, ISSUES)
        self.derived = StoredShelf(tables, DERIVED)
        self.slots = StoredShelf(tables, SLOTS)
        self.lots = StoredShelf(tables, LOTS)
        self.events = StoredShelf(tables, EVENTS)
        self.consents = StoredShelf(tables, CONSENTS)
        self.grants = StoredShelf(tables, GRANTS)
        self.disclosures = StoredShelf(tables, DISCLOSURES)
        self.rules = StoredShelf(tables, RULES)
        self.cases = StoredShelf(tables, CASES)
        self.requests = StoredShelf(tables, REQUESTS)
        self.completions = StoredShelf(tables, COMPLETIONS)
        self.proofs = StoredShelf(tables, PROOFS)
        self.moves = StoredShelf(tables, MOVES)
        self.mirrors = StoredShelf(tables, MIRRORS)
        self.counts = StoredShelf(tables, COUNTED)


class StoredPeople:
    """`node.ports.people.PeopleShelves` of one transaction."""

    def __init__(self, tables: Tables) -> None:
        self.persons = StoredShelf(tables, PERSONS)
        self.sessions = StoredShelf(tables, SESSIONS)
        self.doings = StoredShelf(tables, DOINGS)
        self.uploads = StoredShelf(tables, UPLOADS)
        self.sheets = StoredShelf(tables, SHEETS)
        self.seconds = StoredShelf(tables, SECONDS)
        self.foreign = StoredShelf(tables, FOREIGN)
        self.files = StoredShelf(tables, FILES)
