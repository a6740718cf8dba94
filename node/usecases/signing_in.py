"""Signing in: who somebody at the pages is, how they prove it, and for how long that counts.

What lives here: sessions, passwords, recovery codes, and what keeps guessing slow. What must not: cookies and forms
(`node/portal`), hashing (`node/host/passwords.py`), or who has an account (`staffing.py`).

Guessing is made slow for whoever guesses: a budget for each address, and one for each login as tried from an address. A
browser that has signed in before has a budget of its own, so nobody can lock another person out of their own machine.
"""

import hmac
from typing import Final

import msgspec

from federation.budgets import Allowance, Budgets
from federation.errors import InvalidInput, NotAllowed, Unavailable
from federation.short_ids import encode
from node.ports import Clock, Randomness, Store, Transaction
from node.ports.people import STAFF, Passwords, PersonRow, SessionRow
from node.usecases.noting import Noting, by_login, end_sessions, fold_code, fold_login, known, mark_of

TOKEN_BYTES: Final = 32
PASSWORD_CHARS_MIN: Final = 8
STAFF_PASSWORD_CHARS_MIN: Final = 12
PASSWORD_CHARS_MAX: Final = 256
DEVICES_MAX: Final = 10
DEVICE_MS: Final = 365 * 24 * 3_600_000
HALFWAY_MS: Final = 5 * 60_000
_HOUR_MS: Final = 3_600_000
_TOO_PLAIN: Final = frozenset(("password", "password123", "woaini1314", "qwertyuiop", "qwertyuiop123", "admin123"))


class WrongPassword(NotAllowed):
    code = "LLN-1464"
    zh = "账号或密码不对。忘记密码可以用纸质恢复码重设，或请本单位的工作人员处理。"
    en = "Login or password is not right. Use a recovery code on paper, or ask your institution's staff, if it is lost."


class TooManyTries(Unavailable):
    code = "LLN-1664"
    zh = "尝试的次数太多了，请过几分钟再试。密码没有被改动。"
    en = "Too many tries; wait a few minutes. The password has not been changed."


class PasswordTooPlain(InvalidInput):
    code = "LLN-1164"
    zh = "密码太短或太常见：学习者至少 8 个字符，工作人员至少 12 个，不要用账号名、常见密码或单一重复的字符。"
    en = "The password is too short or too common: at least 8 characters, 12 for staff; not your login or a run."


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """`token` goes to the browser and is kept nowhere else; `device` too, and stays there when the session ends."""

    person: PersonRow
    token: str
    device: str
    ends_at_ms: int


class Halfway(msgspec.Struct, frozen=True, kw_only=True):
    """The password is right, and a one-time code is owed: `token` goes to the browser, and opens nothing by itself."""

    token: str


class SigningIn:
    """The one writer of sessions, and of the passwords of those who have one."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        randomness: Randomness,
        passwords: Passwords,
        noting: Noting,
        session_hours: int,
    ) -> None:
        self._store = store
        self._clock = clock
        self._randomness = randomness
        self._passwords = passwords
        self._noting = noting
        self._session_ms = session_hours * _HOUR_MS
        self._by_address = Budgets(Allowance(per_second=60 / 900, burst=60))
        self._by_login = Budgets(Allowance(per_second=10 / 900, burst=10))

    async def person_of(self, token: str) -> PersonRow | None:
        """Whose session a token stands for, while it lasts."""

        def unit(tx: Transaction) -> PersonRow | None:
            session = tx.people.sessions.get(mark_of(token))
            if session is None or session.state != "open" or session.ends_at_ms <= self._clock.now_ms():
                return None
            person = tx.people.persons.get(session.owner)
            return person if person is not None and person.state == "active" else None

        return await self._store.read(unit) if token else None

    async def person_of_device(self, device: str) -> PersonRow | None:
        """Who last signed in at a browser, by what it was given then; it proves nothing about who sits there."""
        now_ms = self._clock.now_ms()

        def unit(tx: Transaction) -> PersonRow | None:
            shown = tx.people.sessions.get(mark_of(device))
            if shown is None or shown.state != "device" or shown.ends_at_ms <= now_ms:
                return None
            return tx.people.persons.get(shown.owner)

        return await self._store.read(unit) if device else None

    async def sign_in(self, login: str, password: str, *, address: str, device: str, former: str) -> SignedIn | Halfway:
        """A new session, or half of one for somebody with one-time codes. `former` is the token that the browser had,
        which ends, and `device` what it was given when this login last signed in there. Raises WrongPassword,
        TooManyTries.
        """
        folded = fold_login(login)
        person, is_known = await self._store.read(lambda tx: self._find(tx, folded, device))
        self.spend(folded, address, mark_of(device) if is_known else "")
        kept = person.password if person is not None and person.state == "active" else ""
        holds = await self._passwords.holds(password[:PASSWORD_CHARS_MAX], kept)
        if person is None or not holds:
            await self._noting.note(person, "sign_in", outcome="refused")
            raise WrongPassword
        if person.totp:
            return await self._halfway(person)
        return await self.begin(person, "sign_in", former=former, device=device if is_known else "")

    async def vouched(self, person: PersonRow, *, former: str, device: str) -> SignedIn | Halfway:
        """A session of somebody whose institution says who they are; one-time codes are asked for all the same."""
        if person.totp:
            return await self._halfway(person)
        known_here = await self.person_of_device(device)
        is_known = known_here is not None and known_here.id == person.id
        return await self.begin(person, "sign_in", former=former, device=device if is_known else "")

    async def _halfway(self, person: PersonRow) -> Halfway:
        token, now_ms = encode(self._randomness.token(TOKEN_BYTES)), self._clock.now_ms()
        row = SessionRow(
            id=mark_of(token), owner=person.id, state="halfway", began_at_ms=now_ms, ends_at_ms=now_ms + HALFWAY_MS
        )

        def unit(tx: Transaction) -> None:
            for old in tx.people.sessions.of(person.id):
                if old.state == "halfway" and old.ends_at_ms <= now_ms:
                    tx.people.sessions.drop(old.id)
            tx.people.sessions.put([row])

        await self._store.write(unit)
        return Halfway(token=token)

    def _find(self, tx: Transaction, folded: str, device: str) -> tuple[PersonRow | None, bool]:
        """Who has this login, and whether the browser has signed in with it before."""
        person, shown = by_login(tx, folded), tx.people.sessions.get(mark_of(device))
        is_known = person is not None and shown is not None and (shown.state, shown.owner) == ("device", person.id)
        return person, is_known

    async def sign_out(self, token: str) -> None:
        await self._store.write(lambda tx: tx.people.sessions.drop(mark_of(token)))

    async def begin(self, person: PersonRow, did: str, *, former: str = "", device: str = "") -> SignedIn:
        """A new session of somebody who has proved who they are; the one before ends."""
        token = encode(self._randomness.token(TOKEN_BYTES))
        new_device = device or encode(self._randomness.token(TOKEN_BYTES))
        now_ms = self._clock.now_ms()
        session = SessionRow(
            id=mark_of(token), owner=person.id, began_at_ms=now_ms, ends_at_ms=now_ms + self._session_ms
        )
        browser = SessionRow(
            id=mark_of(new_device), owner=person.id, state="device", began_at_ms=now_ms, ends_at_ms=now_ms + DEVICE_MS
        )
        done = self._noting.row(person, did)

        def unit(tx: Transaction) -> None:
            if former:
                tx.people.sessions.drop(mark_of(former))
            held = tx.people.sessions.of(person.id)
            devices = sorted((one for one in held if one.state == "device"), key=lambda one: one.began_at_ms)
            for old in (*devices[: -DEVICES_MAX + 1], *(one for one in held if one.ends_at_ms <= now_ms)):
                tx.people.sessions.drop(old.id)
            tx.people.sessions.put([session, browser])
            tx.people.doings.put([done])

        await self._store.write(unit)
        return SignedIn(person=person, token=token, device=new_device, ends_at_ms=session.ends_at_ms)

    async def recover(self, login: str, code: str, password: str, *, address: str) -> SignedIn | Halfway:
        """A new password by one of the codes on paper, which is then spent; every session before ends."""
        folded, typed = fold_login(login), mark_of(fold_code(code))
        self.spend(folded, f"recovery from {address}", "")
        person = await self._store.read(lambda tx: by_login(tx, folded))
        found = person is not None and any(hmac.compare_digest(typed, one) for one in person.recovery)
        if person is None or not found or person.state != "active":
            await self._noting.note(person, "recover", outcome="refused")
            raise WrongPassword
        check_password(password, person)
        kept = await self._passwords.kept(password)

        def unit(tx: Transaction) -> PersonRow:
            held = known(tx, person.id)
            if typed not in held.recovery:
                raise WrongPassword
            left = tuple(one for one in held.recovery if one != typed)
            return _changed(tx, msgspec.structs.replace(held, password=kept, recovery=left))

        recovered = await self._store.write(unit)
        if recovered.totp:
            await self._noting.note(recovered, "recover")
            return await self._halfway(recovered)
        return await self.begin(recovered, "recover")

    async def change_password(self, person: PersonRow, old: str, new: str) -> SignedIn:
        """Every session before ends; raises WrongPassword, TooManyTries or PasswordTooPlain."""
        self.spend(person.owner, "", f"change of {person.id}")
        if not await self._passwords.holds(old[:PASSWORD_CHARS_MAX], person.password):
            raise WrongPassword
        check_password(new, person)
        kept = await self._passwords.kept(new)
        changed = await self._store.write(
            lambda tx: _changed(tx, msgspec.structs.replace(known(tx, person.id), password=kept))
        )
        return await self.begin(changed, "change_password")

    def spend(self, login: str, address: str, device: str) -> None:
        """One guess at a password or a code; raises TooManyTries."""
        now_ms = self._clock.now_ms()
        if device:
            is_left = self._by_login.spend(f"{login}\0device {device}", now_ms)
        else:
            is_left = self._by_address.spend(address, now_ms) and self._by_login.spend(f"{login}\0{address}", now_ms)
        if not is_left:
            raise TooManyTries


def check_password(password: str, person: PersonRow) -> None:
    """Raises PasswordTooPlain; what was typed is never repeated."""
    least = STAFF_PASSWORD_CHARS_MIN if STAFF & set(person.roles) else PASSWORD_CHARS_MIN
    folded = password.casefold()
    is_run = folded.isdigit() and folded in "01234567890123456789098765432109876543210"
    is_plain = folded in _TOO_PLAIN or folded == person.owner or len(set(folded)) < 4 or is_run
    if not least <= len(password) <= PASSWORD_CHARS_MAX or is_plain:
        raise PasswordTooPlain("password", f"{least} to {PASSWORD_CHARS_MAX} characters")


def _changed(tx: Transaction, person: PersonRow) -> PersonRow:
    tx.people.persons.put([person])
    end_sessions(tx, person.id)
    return person
