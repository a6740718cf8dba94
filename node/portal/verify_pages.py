"""Checking a proof: for an employer or a school who has never heard of us, without an account.

What lives here: what is typed, photographed or uploaded, and the verdict in words. What must not: any check
(`node/usecases/verifying.py`), reading a picture (`node/host/pictures.py`), or asking an address that was scanned.
"""

from typing import Final

from starlette.datastructures import UploadFile
from starlette.responses import Response

from federation.errors import LlnError, Unavailable
from node import desk
from node.portal import scanned
from node.portal.pages import Page
from node.portal.scanned import Scanned
from node.portal.visits import Visit

FILE_BYTES_MAX: Final = 2_000_000
HEAD_BYTES: Final = 16
TEXT_CHARS_SHOWN: Final = 5_000
QUESTIONS: Final = {
    "signature": "verify.signature",
    "issuer": "verify.q_issuer",
    "status": "verify.status",
    "dates": "verify.dates",
    "log": "verify.log",
}
GOOD_OUTCOMES: Final = ("valid",)
_PICTURES: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF")


class TooManyChecks(Unavailable):
    code = "LLN-1663"
    zh = "核验的次数太多了，请过一分钟再试。"
    en = "Too many proofs were checked from here; wait a minute."


async def form(visit: Visit) -> Response:
    return visit.page("verify.html", text=visit.query("code")[:200], problem="", held="")


async def verify(visit: Visit) -> Response:
    photo, file = visit.upload("photo"), visit.upload("file")
    if photo is None and file is None and not visit.text("text"):
        return _again(visit, visit.say("verify.nothing"))
    if not visit.behind.looks.spend(visit.address, visit.now_ms):
        raise TooManyChecks
    try:
        given, problem = await _given(visit, photo, file)
        if problem:
            return _again(visit, visit.say(problem), held=given.text)
        if given.meaning == "elsewhere":
            return visit.page("verify_elsewhere.html", given=given, is_whole=scanned.is_whole_code(given.text))
        verdicts = await visit.ask("credit.verify", visit.read(desk.VerifyAsked, text=given.text), desk.Verdicts)
    except LlnError as refused:
        return _again(visit, f"{visit.told(refused)} ({refused.code})")
    return visit.page(
        "verdict.html",
        verdicts=verdicts.verdicts,
        questions=QUESTIONS,
        good=GOOD_OUTCOMES,
        code=given.text if given.meaning == "code" else "",
    )


def _again(visit: Visit, problem: str, *, held: str = "") -> Response:
    """The form once more; `held`: what a code says that is no proof, as text, never as a link."""
    return visit.page("verify.html", status=422, text=visit.text("text")[:TEXT_CHARS_SHOWN], problem=problem, held=held)


async def _given(visit: Visit, photo: UploadFile | None, file: UploadFile | None) -> tuple[Scanned, str]:
    """What is to be checked, or the message that says why there is nothing."""
    if photo is not None:
        return await _photographed(visit, photo)
    if file is None:
        text = visit.text("text")
        found = scanned.read(text, visit.behind.address)
        return (Scanned(meaning="document", text=text), "") if found.meaning == "other" else (found, "")
    head = await file.read(HEAD_BYTES)
    await file.seek(0)
    if head.startswith(_PICTURES):
        return await _photographed(visit, file)
    return _read_file(await file.read(FILE_BYTES_MAX + 1))


async def _photographed(visit: Visit, picture: UploadFile) -> tuple[Scanned, str]:
    found = scanned.read_all(await visit.behind.codes_in(picture.read), visit.behind.address)
    problems = {"nothing": "verify.no_qr", "several": "verify.several_qr", "other": "verify.other_qr"}
    return found, problems.get(found.meaning, "")


def _read_file(content: bytes) -> tuple[Scanned, str]:
    nothing = Scanned(meaning="nothing")
    if len(content) > FILE_BYTES_MAX:
        return nothing, "verify.too_large"
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return nothing, "verify.not_text"
    return Scanned(meaning="document", text=text), "" if text.strip() else "verify.nothing"


PAGES: Final = (
    Page(path="/verify", answer=form, shows=True),
    Page(path="/verify", answer=verify, methods=("POST",)),
)
