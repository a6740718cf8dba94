"""Signing in at one's institution (OpenID Connect), and whose account that opens.

What lives here: sending a browser there and taking it back, and the operator's form that links an account. What must
not: the provider's answers (`node/host/providers.py`), or a session without a link.
"""

import hmac
from typing import Final

from starlette.responses import RedirectResponse, Response

from federation.errors import InvalidInput, NotFound
from node.portal.account_pages import first_page, go_halfway, let_in
from node.portal.pages import Page
from node.portal.visits import DEVICE, FORM, SESSION, FormFaulty, Visit, inner_path
from node.ports.people import Asked, Foreign, Provider, Role
from node.usecases.signing_in import Halfway

OPERATOR: Final[tuple[Role, ...]] = ("operator",)
BACK: Final = "/sign-in/institution/back"
SUBJECT_CHARS_MAX: Final = 255


class NoProvider(NotFound):
    code = "LLN-1244"
    zh = "本节点没有接通统一登录。请用账号和密码登录。"
    en = "This node has no institution's sign-in. Use login and password."


class NotBegunHere(InvalidInput):
    code = "LLN-1144"
    zh = "这次统一登录不是在这个浏览器里开始的，或者放了太久。请从登录页重新开始。"
    en = "This sign-in was not begun in this browser, or was left for too long. Begin again at the sign-in page."


async def begin(visit: Visit) -> Response:
    """Off to the provider; what has to come back is held for this browser alone."""
    provider, now_ms = _provider(visit), visit.now_ms
    draw = visit.behind.draw_token
    begun = Asked(
        state=draw(),
        nonce=draw(),
        verifier=draw() + draw(),
        back=visit.behind.address + BACK,
        leads=inner_path(visit.query("next")),
    )
    address = await provider.address(begun)
    visit.behind.begun.put(visit.form_mark(), begun, now_ms)
    return visit.finish(RedirectResponse(address, status_code=303))


async def back(visit: Visit) -> Response:
    """From the provider: the state has to be one that this browser was sent off with, and it counts once."""
    provider = _provider(visit)
    begun = visit.behind.begun.pop_where(
        visit.cookie(FORM), visit.now_ms, lambda one: hmac.compare_digest(one.state, visit.query("state"))
    )
    if begun is None or visit.query("iss") not in ("", provider.issuer) or not visit.query("code"):
        raise NotBegunHere("state")
    person = await visit.behind.linking.person_of(await provider.finish(visit.query("code"), begun))
    signing_in = visit.behind.signing_in
    signed_in = await signing_in.vouched(person, former=visit.cookie(SESSION), device=visit.cookie(DEVICE))
    if isinstance(signed_in, Halfway):
        return go_halfway(visit, signed_in, begun.leads)
    return let_in(visit, signed_in, visit.go(first_page(person) if begun.leads == "/" else begun.leads))


async def link(visit: Visit) -> Response:
    """An operator says whose account an identifier at the provider opens."""
    subject = visit.text("subject")
    if len(subject) > SUBJECT_CHARS_MAX or not subject.isprintable():
        raise FormFaulty("subject")
    foreign = Foreign(issuer=_provider(visit).issuer, subject=subject)
    await visit.behind.linking.link(visit.request.path_params["id"], foreign, visit.signed_in)
    return visit.go("/people", done="linked")


def _provider(visit: Visit) -> Provider:
    """Raises NoProvider."""
    provider = visit.provider
    if provider is None:
        raise NoProvider(visit.path)
    return provider


PAGES: Final = (
    Page(path="/sign-in/institution", answer=begin),
    Page(path=BACK, answer=back),
    Page(path="/people/{id}/link", answer=link, roles=OPERATOR, methods=("POST",)),
)
