"""Checking a proof: for an employer or a school who has never heard of us, without an account.

What lives here: what is pasted or uploaded, and the verdict in words. What must not: any check
(`node/usecases/verifying.py`).
"""

from typing import Final

from starlette.responses import Response

from federation.errors import LlnError, Unavailable
from node import desk
from node.portal.pages import Page
from node.portal.visits import Visit

FILE_BYTES_MAX: Final = 2_000_000
QUESTIONS: Final = {
    "signature": "verify.signature",
    "issuer": "verify.q_issuer",
    "status": "verify.status",
    "dates": "verify.dates",
    "log": "verify.log",
}
GOOD_OUTCOMES: Final = ("valid",)


class TooManyChecks(Unavailable):
    code = "LLN-1663"
    zh = "核验的次数太多了，请过一分钟再试。"
    en = "Too many proofs were checked from here; wait a minute."


async def form(visit: Visit) -> Response:
    return visit.page("verify.html", text=visit.query("code")[:200], problem="")


async def verify(visit: Visit) -> Response:
    text, problem = await _given(visit)
    if problem:
        return visit.page("verify.html", status=422, text=visit.text("text")[:5_000], problem=visit.say(problem))
    if not visit.behind.looks.spend(visit.address, visit.now_ms):
        raise TooManyChecks
    try:
        verdicts = await visit.ask("credit.verify", visit.read(desk.VerifyAsked, text=text), desk.Verdicts)
    except LlnError as refused:
        told = refused.zh if visit.ui == "zh" else refused.en
        return visit.page(
            "verify.html", status=422, text=visit.text("text")[:5_000], problem=f"{told} ({refused.code})"
        )
    return visit.page("verdict.html", verdicts=verdicts.verdicts, questions=QUESTIONS, good=GOOD_OUTCOMES)


async def _given(visit: Visit) -> tuple[str, str]:
    """What is to be checked, or the message that says why there is nothing."""
    upload = visit.upload("file")
    if upload is None:
        text = visit.text("text")
        return text, "" if text else "verify.nothing"
    content = await upload.read(FILE_BYTES_MAX + 1)
    if len(content) > FILE_BYTES_MAX:
        return "", "verify.too_large"
    try:
        return content.decode("utf-8-sig"), "" if content.strip() else "verify.nothing"
    except UnicodeDecodeError:
        return "", "verify.not_text"


PAGES: Final = (
    Page(path="/verify", answer=form, shows=True),
    Page(path="/verify", answer=verify, methods=("POST",)),
)
