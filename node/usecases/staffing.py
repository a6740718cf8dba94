"""Staffing: who has an account at this node's pages, in which roles, and how they get in for the first time.

What lives here: accounts, roles, one-time set-up links. What must not: sessions and passwords in use (`signing_in.py`),
or what a role may do (`node/portal`).
"""

from collections.abc import Sequence
from itertools import islice
from typing import Final

import msgspec

from federation.errors import Conflict, NotAllowed, NotFound
from federation.short_ids import ID_BYTES, encode, write_id
from federation.spellings import plain
from node.desk.people import PersonAsked, PersonLine, PersonLink, PersonNamed, Persons, PersonsAsked
from node.ports import Clock, Randomness, Store, Transaction
from node.ports.people import Passwords, PersonRow, Role, SessionRow
from node.usecases.noting import Noting, PersonUnknown, by_login, end_sessions, fold_login, known, mark_of

TOKEN_BYTES: Final = 20
PERSONS_MAX: Final = 100_000
RECOVERY_CODES: Final = 8
SETUP_MS: Final = 7 * 24 * 3_600_000
FIRST_ROLES: Final[tuple[Role, ...]] = ("operator", "auditor")


class SetupEnded(NotFound):
    code = "LLN-1264"
    zh = "这个设置链接已经用过或过期。请向给您链接的人要一个新的；首位管理员请重新启动节点。"
    en = "This set-up link is used or over. Ask whoever gave it for another; as the first operator, restart the node."


class LoginTaken(Conflict):
    code = "LLN-1377"
    zh = "这个账号名已经有人用了，请换一个。"
    en = "Somebody has this login already; choose another."


class LastOperator(Conflict):
    code = "LLN-1378"
    zh = "这是最后一位系统管理员，不能停用，也不能去掉这个角色。请先指定另一位。"
    en = "This is the last operator: neither closed nor without that role. Name another one first."


class OwnRoles(NotAllowed):
    code = "LLN-1465"
    zh = "不能改动自己的角色或停用自己的账号，请另一位系统管理员来做。"
    en = "Nobody changes their own roles or closes their own account; another operator has to."


class SetUp(msgspec.Struct, frozen=True, kw_only=True):
    """`codes`: recovery codes, to be written down; shown once."""

    person: PersonRow
    codes: tuple[str, ...]


class Staffing:
    """The one writer of who has an account, and in which roles."""

    def __init__(
        self, *, store: Store, clock: Clock, randomness: Randomness, passwords: Passwords, noting: Noting
    ) -> None:
        self._store = store
        self._clock = clock
        self._randomness = randomness
        self._passwords = passwords
        self._noting = noting

    async def persons(self, after: str = "", limit: int = 100, *, text: str = "") -> Sequence[PersonRow]:
        """In the order of their ids; with `text`, those who have it in their name or their login."""
        sought = plain(text)

        def unit(tx: Transaction) -> Sequence[PersonRow]:
            if not sought:
                return tx.people.persons.all(after, limit)
            everybody = tx.people.persons.all(after, PERSONS_MAX)
            found = (one for one in everybody if any(sought in plain(text) for text in (one.name, one.owner)))
            return tuple(islice(found, limit))

        return await self._store.read(unit)

    async def first_link(self) -> str:
        """The token of a set-up link for the first operator, "" once there is one; an earlier link no longer counts."""
        token = self._draw_token()

        def unit(tx: Transaction) -> bool:
            if _operators(tx):
                return False
            for one in tx.people.persons.in_state("invited"):
                if one.has("operator"):
                    end_sessions(tx, one.id)
                    tx.people.persons.drop(one.id)
            self._put(tx, self._new_person("admin", "", FIRST_ROLES, ""), token)
            return True

        return token if await self._store.write(unit) else ""

    async def invite(
        self, login: str, name: str, roles: Sequence[Role], *, learner: str = "", by: PersonRow | None = None
    ) -> tuple[PersonRow, str]:
        """A new account, and the token of its set-up link; raises LoginTaken."""
        token = self._draw_token()
        person = self._new_person(fold_login(login), name.strip(), tuple(dict.fromkeys(roles)), learner)
        done = self._noting.row(by, "invite", about=person.owner)

        def unit(tx: Transaction) -> None:
            if by_login(tx, person.owner) is not None:
                raise LoginTaken(login)
            self._put(tx, person, token)
            tx.people.doings.put([done])

        await self._store.write(unit)
        return person, token

    async def renew_link(self, person_id: str, by: PersonRow | None) -> tuple[PersonRow, str]:
        """Another set-up link for somebody who lost theirs, or their password; their sessions end."""
        token = self._draw_token()

        def unit(tx: Transaction) -> PersonRow:
            person = known(tx, person_id)
            if person.state == "closed":
                raise SetupEnded(person.owner, "the account is closed")
            end_sessions(tx, person.id)
            self._put(tx, person, token)
            tx.people.doings.put([self._noting.row(by, "renew_link", about=person.owner)])
            return person

        return await self._store.write(unit), token

    # --- what is asked at the desk -----------------------------------------------------------------------------------

    async def add(self, asked: PersonAsked) -> PersonLink:
        person, token = await self.invite(asked.login, asked.name, asked.roles, learner=asked.learner)
        return PersonLink(login=person.owner, path=f"/setup/{token}")

    async def link(self, asked: PersonNamed) -> PersonLink:
        """Raises PersonUnknown."""
        found = await self._store.read(lambda tx: by_login(tx, fold_login(asked.login)))
        if found is None:
            raise PersonUnknown(asked.login)
        person, token = await self.renew_link(found.id, None)
        return PersonLink(login=person.owner, path=f"/setup/{token}")

    async def list_persons(self, asked: PersonsAsked) -> Persons:
        rows = await self.persons(asked.after, asked.limit + 1)
        lines = [
            PersonLine(id=one.id, login=one.owner, name=one.name, state=one.state, roles=one.roles, learner=one.learner)
            for one in rows[: asked.limit]
        ]
        return Persons(persons=tuple(lines), more=len(rows) > asked.limit)

    # --- setting up --------------------------------------------------------------------------------------------------

    async def invited(self, token: str) -> PersonRow:
        """Whose set-up link this is; raises SetupEnded."""
        return await self._store.read(lambda tx: self._by_link(tx, token))

    async def set_up(self, token: str, *, login: str, name: str, password: str) -> SetUp:
        """Use a set-up link, once: login and name of a new account, a password, and recovery codes.

        `password` has been checked (`signing_in.check_password`). Raises SetupEnded or LoginTaken.
        """
        kept = await self._passwords.kept(password)
        codes = tuple(encode(self._randomness.token(ID_BYTES)) for _ in range(RECOVERY_CODES))

        def unit(tx: Transaction) -> PersonRow:
            held = self._by_link(tx, token)
            is_new = held.state == "invited"
            folded = (fold_login(login) or held.owner) if is_new else held.owner
            other = by_login(tx, folded)
            if other is not None and other.id != held.id:
                raise LoginTaken(login)
            person = msgspec.structs.replace(
                held,
                owner=folded,
                name=(name.strip()[:64] or held.name or folded) if is_new else held.name,
                state="active",
                password=kept,
                recovery=tuple(mark_of(code) for code in codes),
                totp="",
                totp_next="",
                totp_step=0,
            )
            end_sessions(tx, held.id)
            tx.people.persons.put([person])
            tx.people.doings.put([self._noting.row(person, "set_up")])
            return person

        return SetUp(person=await self._store.write(unit), codes=codes)

    async def change_roles(self, person_id: str, roles: Sequence[Role], by: PersonRow) -> PersonRow:
        """Raises PersonUnknown, OwnRoles or LastOperator; from the next page on the new roles count."""
        return await self._change(person_id, by, "change_roles", roles=tuple(dict.fromkeys(roles)))

    async def close(self, person_id: str, by: PersonRow) -> PersonRow:
        """The account is of no use any more; what was done under it stays told. Raises as `change_roles`."""
        return await self._change(
            person_id, by, "close", state="closed", password="", recovery=(), totp="", totp_next=""
        )

    async def leave(self, person: PersonRow) -> None:
        """A learner's account is erased: the login goes with it, but for the other roles it has."""

        def unit(tx: Transaction) -> None:
            held = known(tx, person.id)
            roles = tuple(role for role in held.roles if role != "learner")
            end_sessions(tx, held.id)
            if roles:
                tx.people.persons.put([msgspec.structs.replace(held, roles=roles, learner="")])
            else:
                tx.people.persons.drop(held.id)
            tx.people.doings.put([self._noting.row(None, "leave", about=held.id)])

        await self._store.write(unit)

    async def _change(self, person_id: str, by: PersonRow, did: str, **changes: object) -> PersonRow:
        def unit(tx: Transaction) -> PersonRow:
            held = known(tx, person_id)
            if held.id == by.id:
                raise OwnRoles(held.owner)
            changed: PersonRow = msgspec.structs.replace(held, **changes)
            tx.people.persons.put([changed])
            if held.has("operator") and not _operators(tx):
                raise LastOperator(held.owner)
            if changed.state == "closed":
                end_sessions(tx, held.id)
            tx.people.doings.put([self._noting.row(by, did, about=f"{held.owner} {' '.join(changed.roles)}")])
            return changed

        return await self._store.write(unit)

    def _draw_token(self) -> str:
        return encode(self._randomness.token(TOKEN_BYTES))

    def _new_person(self, login: str, name: str, roles: tuple[Role, ...], learner: str) -> PersonRow:
        return PersonRow(
            id=write_id("P", self._randomness.token(ID_BYTES)),
            owner=login,
            name=name[:64],
            roles=roles,
            learner=learner,
            made_at_ms=self._clock.now_ms(),
        )

    def _put(self, tx: Transaction, person: PersonRow, token: str) -> None:
        now_ms = self._clock.now_ms()
        link = SessionRow(
            id=mark_of(token), owner=person.id, state="setup", began_at_ms=now_ms, ends_at_ms=now_ms + SETUP_MS
        )
        tx.people.persons.put([person])
        tx.people.sessions.put([link])

    def _by_link(self, tx: Transaction, token: str) -> PersonRow:
        link = tx.people.sessions.get(mark_of(token))
        if link is None or link.state != "setup" or link.ends_at_ms <= self._clock.now_ms():
            raise SetupEnded
        return known(tx, link.owner)


def _operators(tx: Transaction) -> list[PersonRow]:
    return [one for one in tx.people.persons.in_state("active", limit=100_000) if one.has("operator")]
