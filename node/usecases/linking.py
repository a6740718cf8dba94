"""Linking: which of our people somebody is who signed in at their institution.

What lives here: links between an account and an issuer with its subject, made by an operator and by nobody else. What
must not: asking a provider (`node/host/providers.py`), or sessions. Nobody gets an account by having signed in there.
"""

from federation.errors import Conflict, NotAllowed
from node.ports import Store, Transaction
from node.ports.people import Foreign, ForeignRow, PersonRow
from node.usecases.noting import Noting, known, mark_of


class NotLinked(NotAllowed):
    code = "LLN-1445"
    zh = "统一登录成功了，但还没有账号与它关联。请把下面的标识告诉系统管理员，由管理员关联到您的账号。"
    en = "You are signed in there, but no account here is linked to it. Give an operator the identifier below to link."


class LinkTaken(Conflict):
    code = "LLN-1342"
    zh = "这个统一登录标识已经关联到别的账号。请先解除那边的关联。"
    en = "That identifier is linked to another account. End that link first."


class Linking:
    """The one writer of links."""

    def __init__(self, *, store: Store, noting: Noting) -> None:
        self._store = store
        self._noting = noting

    async def person_of(self, foreign: Foreign) -> PersonRow:
        """Raises NotLinked, with the subject, for somebody who has no account that may be used."""

        def unit(tx: Transaction) -> PersonRow | None:
            link = tx.people.foreign.get(_key(foreign))
            return tx.people.persons.get(link.owner) if link else None

        person = await self._store.read(unit)
        if person is None or person.state != "active":
            await self._noting.note(None, "sign_in", outcome="refused")
            raise NotLinked(foreign.subject)
        return person

    async def link(self, person_id: str, foreign: Foreign, by: PersonRow) -> PersonRow:
        """In place of any link before; an empty subject ends it. Raises PersonUnknown, LinkTaken."""

        def unit(tx: Transaction) -> PersonRow:
            person = known(tx, person_id)
            held = tx.people.foreign.get(_key(foreign))
            if held is not None and held.owner != person.id:
                raise LinkTaken(foreign.subject)
            for old in tx.people.foreign.of(person.id):
                tx.people.foreign.drop(old.id)
            if foreign.subject:
                row = ForeignRow(id=_key(foreign), owner=person.id, issuer=foreign.issuer, subject=foreign.subject)
                tx.people.foreign.put([row])
            tx.people.doings.put([self._noting.row(by, "link", about=person.owner)])
            return person

        return await self._store.write(unit)


def _key(foreign: Foreign) -> str:
    return mark_of(f"{foreign.issuer}\0{foreign.subject}")
