"""A second factor: one-time codes from somebody's phone, besides the password (RFC 6238).

What lives here: setting it up, proving it, ending it. What must not: passwords and sessions (`signing_in.py`), or
drawing a QR code. The secret stands beside the password's hash in the person's row, and goes nowhere but to the screen
on which it is set up; a code counts once, and so does each code on paper, which works in its place.
"""

import hmac
import struct
import unicodedata
from base64 import b32decode, b32encode
from collections.abc import Callable
from hashlib import sha1
from typing import Final

import msgspec

from federation.errors import InvalidInput, NotAllowed, NotFound
from node.ports import Clock, Randomness, Store, Transaction
from node.ports.people import STAFF, Passwords, PersonRow
from node.usecases.noting import Noting, end_sessions, fold_code, known, mark_of

SECRET_BYTES: Final = 20  # as RFC 4226 §4 recommends
STEP_MS: Final = 30_000
DIGITS: Final = 6
PASSWORD_CHARS_MAX: Final = 256
Spend = Callable[[str, str, str], None]


class HalfwayOver(NotFound):
    code = "LLN-1243"
    zh = "登录只做了一半，时间已过。请重新输入账号和密码。"
    en = "The sign-in was left halfway for too long. Type login and password once more."


class WrongCode(NotAllowed):
    code = "LLN-1441"
    zh = "动态码不对，或者已经用过。请等手机上出现下一个再输入；手机不在身边时可以用一个纸质恢复码。"
    en = "The code is not right, or was used. Wait for the next one on the phone, or use a recovery code on paper."


class PasswordNotRight(NotAllowed):
    code = "LLN-1443"
    zh = "现在的密码不对，动态码的设置没有改动。请重新输入。"
    en = "The present password is not right; nothing about one-time codes was changed. Type it again."


class SecondFactorNeeded(NotAllowed):
    code = "LLN-1442"
    zh = "本节点要求工作人员使用动态码。请先在“我的账号”里设置。"
    en = "This node asks its staff for one-time codes. Set them up under “My account” first."


class SetupNotBegun(InvalidInput):
    code = "LLN-1143"
    zh = "还没有开始设置动态码，或者已经设置好了。请回到“我的账号”重新开始。"
    en = "No setting-up of one-time codes is under way. Begin again under “My account”."


class Proved(msgspec.Struct, frozen=True, kw_only=True):
    """`device`: what the browser was given before, where it is known for this person."""

    person: PersonRow
    device: str


class SecondFactor:
    """The one writer of second factors. `spend` is the budget that passwords have: a guess is a guess."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        randomness: Randomness,
        passwords: Passwords,
        noting: Noting,
        spend: Spend,
        is_required: bool,
    ) -> None:
        self._store = store
        self._clock = clock
        self._randomness = randomness
        self._passwords = passwords
        self._noting = noting
        self._spend = spend
        self._is_required = is_required

    def is_missing(self, person: PersonRow) -> bool:
        """Whether the settings ask for one that this person has not set up."""
        return self._is_required and bool(STAFF & set(person.roles)) and not person.totp

    async def prove(self, halfway: str, typed: str, *, address: str, device: str) -> Proved:
        """Whoever has proved the password proves the rest; raises HalfwayOver, WrongCode, TooManyTries."""

        def who(tx: Transaction) -> tuple[PersonRow, bool]:
            person = self._halfway(tx, halfway)
            shown = tx.people.sessions.get(mark_of(device))
            return person, shown is not None and (shown.state, shown.owner) == ("device", person.id)

        person, is_known = await self._store.read(who)
        self._spend(person.owner, address, mark_of(device) if is_known else "")

        def unit(tx: Transaction) -> PersonRow | None:
            proved = _used(self._halfway(tx, halfway), typed, self._clock.now_ms())
            if proved is not None:
                tx.people.persons.put([proved])
                tx.people.sessions.drop(mark_of(halfway))
            return proved

        proved = await self._store.write(unit)
        if proved is None:
            await self._noting.note(person, "second", outcome="refused")
            raise WrongCode
        return Proved(person=proved, device=device if is_known else "")

    async def begin(self, person: PersonRow, password: str) -> str:
        """A new secret, in base32, that counts once a code of it was typed; raises PasswordNotRight."""
        await self._check_password(person, password)
        secret = b32encode(self._randomness.token(SECRET_BYTES)).decode()
        await self._store.write(lambda tx: _put(tx, person.id, totp_next=secret))
        return secret

    async def confirm(self, person: PersonRow, typed: str) -> PersonRow:
        """From now on codes are asked for, and every session before ends; raises SetupNotBegun, WrongCode."""
        self._spend(person.owner, "", f"change of {person.id}")
        now_ms = self._clock.now_ms()
        done = self._noting.row(person, "second_on")

        def unit(tx: Transaction) -> PersonRow:
            held = known(tx, person.id)
            if not held.totp_next:
                raise SetupNotBegun
            step = accepted_step(held.totp_next, typed, now_ms, after=0)
            if not step:
                raise WrongCode
            tx.people.doings.put([done])
            end_sessions(tx, held.id)
            return _put(tx, held.id, totp=held.totp_next, totp_next="", totp_step=step)

        return await self._store.write(unit)

    async def end(self, person: PersonRow, password: str, typed: str) -> PersonRow:
        """Codes are no longer asked for; raises as `begin`, WrongCode, SecondFactorNeeded."""
        if self._is_required and STAFF & set(person.roles):
            raise SecondFactorNeeded
        await self._check_password(person, password)
        done = self._noting.row(person, "second_off")

        def unit(tx: Transaction) -> PersonRow | None:
            proved = _used(known(tx, person.id), typed, self._clock.now_ms())
            if proved is None:
                return None
            tx.people.persons.put([proved])
            tx.people.doings.put([done])
            return _put(tx, person.id, totp="", totp_next="", totp_step=0)

        ended = await self._store.write(unit)
        if ended is None:
            raise WrongCode
        return ended

    async def _check_password(self, person: PersonRow, password: str) -> None:
        self._spend(person.owner, "", f"change of {person.id}")
        if not await self._passwords.holds(password[:PASSWORD_CHARS_MAX], person.password):
            raise PasswordNotRight

    def _halfway(self, tx: Transaction, token: str) -> PersonRow:
        half = tx.people.sessions.get(mark_of(token))
        if half is None or half.state != "halfway" or half.ends_at_ms <= self._clock.now_ms():
            raise HalfwayOver
        person = known(tx, half.owner)
        if person.state != "active" or not person.totp:
            raise HalfwayOver
        return person


def code_at(secret: str, step: int) -> str:
    """The code of one step of thirty seconds: HOTP of RFC 4226 §5.3 over the step's number."""
    digest = hmac.new(b32decode(secret), struct.pack(">Q", step), sha1).digest()
    at = digest[-1] & 0x0F
    return str((int.from_bytes(digest[at : at + 4], "big") & 0x7FFFFFFF) % 10**DIGITS).zfill(DIGITS)


def accepted_step(secret: str, typed: str, now_ms: int, *, after: int) -> int:
    """The step whose code was typed: this one, the one before or the next, and later than `after`; 0 for none.

    All three are compared, each in constant time: how long it takes says nothing of which was near.
    """
    code = "".join(one for one in unicodedata.normalize("NFKC", typed[:40]) if not one.isspace() and one != "-")
    here, found = now_ms // STEP_MS, 0
    for step in (here - 1, here, here + 1):
        if hmac.compare_digest(code_at(secret, step).encode(), code.encode()) and step > after:
            found = step
    return found


def _used(person: PersonRow, typed: str, now_ms: int) -> PersonRow | None:
    """The person with that code used up, be it from the phone or from paper; None for one that does not count."""
    step = accepted_step(person.totp, typed, now_ms, after=person.totp_step) if person.totp else 0
    if step:
        return msgspec.structs.replace(person, totp_step=step)
    mark = mark_of(fold_code(typed))
    if not any(hmac.compare_digest(mark, one) for one in person.recovery):
        return None
    return msgspec.structs.replace(person, recovery=tuple(one for one in person.recovery if one != mark))


def _put(tx: Transaction, person_id: str, **changes: str | int) -> PersonRow:
    changed: PersonRow = msgspec.structs.replace(known(tx, person_id), **changes)
    tx.people.persons.put([changed])
    return changed
