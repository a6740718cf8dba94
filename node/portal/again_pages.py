"""A form that was sent after the session had ended, or with a token of the session before: kept, shown, and sent again.

What lives here: which forms may be kept, and the page that shows one. What must not: taking such a form for sent. That
needs another press of a button, on a page with a token of the session that is.

Whose a form is, is known by a second mark in it, of the cookie by which a browser is known for one login and which
outlives sessions. Another site knows neither mark, and what it sends is refused for its origin before either is looked
at. What was typed comes back to that person alone: whoever else signs in at the same browser does not see it.
"""

from collections.abc import Sequence
from typing import Final

from starlette.responses import Response

from federation.errors import NotFound
from node.portal import wording
from node.portal.account_pages import ask_to_sign_in, first_page
from node.portal.pages import SIGNED_IN, Page
from node.portal.visits import DEVICE, FormStale, KeptForm, Visit
from node.ports.people import PersonRow

NEVER_KEPT: Final = frozenset(("form_token", "form_device", "again", "password", "repeated", "old", "code"))
"""Tokens, and whatever a password or a code is typed into."""
CHARS_MAX: Final = 32_000
FIELDS_MAX: Final = 100


class FormGone(NotFound):
    code = "LLN-1242"
    zh = "之前填写的内容已不在这里：可能已经提交过，或者放了超过 30 分钟。请重新打开那个页面填写。"
    en = "What was typed is no longer here: it was sent, or kept for over 30 minutes. Open the page once more."


async def ended(visit: Visit) -> Response:
    """Somebody has to sign in first; what they sent is kept for them, where it is certain whose it is."""
    owner = await _owner(visit) if visit.request.method == "POST" else None
    kept = _kept(visit)
    if owner is None or kept is None:
        return await ask_to_sign_in(visit)
    name = visit.behind.forms.put(owner.id, kept, visit.now_ms)
    return await ask_to_sign_in(visit, back=f"/again/{name}")


async def stale(visit: Visit) -> Response:
    """A form of the session before: shown, to be sent once more; raises FormStale for one that is anybody else's."""
    owner, kept = await _owner(visit), _kept(visit)
    if owner is None or kept is None or visit.person is None or owner.id != visit.person.id:
        raise FormStale("form", "its token is not of this browser")
    name = visit.behind.forms.put(owner.id, kept, visit.now_ms)
    return _page(visit, kept, name, code=FormStale.code)


async def again(visit: Visit) -> Response:
    name = visit.request.path_params["id"]
    kept = visit.behind.forms.get(name, visit.signed_in.id, visit.now_ms)
    if kept is None:
        raise FormGone(name[:40])
    return _page(visit, kept, name)


def _page(visit: Visit, kept: KeptForm, name: str, *, code: str = "") -> Response:
    return visit.page(
        "again.html",
        status=422 if code else 200,
        kept=kept,
        name=name,
        code=code,
        first=first_page(visit.signed_in),
        field_word=lambda field: _field_word(visit, field),
    )


def _field_word(visit: Visit, field: str) -> str:
    """A field by its label, where it has one of its own."""
    pair = wording.catalogue().get(f"field.{field}")
    return field if pair is None else pair[0 if visit.ui == "zh" else 1]


async def _owner(visit: Visit) -> PersonRow | None:
    """Whose browser this is, if the form was drawn for it."""
    if not visit.holds_device(visit.text("form_device")):
        return None
    return await visit.behind.signing_in.person_of_device(visit.cookie(DEVICE))


def _kept(visit: Visit) -> KeptForm | None:
    """The texts of the form; None where there are none to keep, or too many."""
    fields = visit.fields()
    texts = tuple((name, value) for name, value in fields if isinstance(value, str) and name not in NEVER_KEPT)
    is_secret = any(name in NEVER_KEPT and name not in _OURS for name, _ in fields)
    if is_secret or not texts or len(texts) > FIELDS_MAX or _chars(texts) > CHARS_MAX:
        return None
    return KeptForm(path=visit.path, fields=texts, had_file=any(not isinstance(value, str) for _, value in fields))


_OURS: Final = frozenset(("form_token", "form_device", "again"))


def _chars(texts: Sequence[tuple[str, str]]) -> int:
    return sum(len(name) + len(value) for name, value in texts)


PAGES: Final = (Page(path="/again/{id}", answer=again, roles=SIGNED_IN),)
