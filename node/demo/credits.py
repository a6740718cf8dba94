"""The credit journey of the tour: credits earned in one province are converted in another, verified, and revoked.

What lives here: the commands as a person types them, each with what it is for, and what has to come of it. What must
not: processes of nodes (`federation.py`), or anything that a person could not do at a command line.
"""

import asyncio
import re
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Final

import msgspec

from federation.errors import RemoteFault, Unavailable
from federation.naming import NodeName
from federation.timestamps import day_in_china
from node import desk
from node.cli.words import Ui, ui_language
from node.demo.federation import Federation
from node.demo.plan import full_name
from node.host.clock import SystemClock

HOME: Final = full_name("jinshan.shanghai")
RECEIVER: Final = full_name("haining.jiaxing.zhejiang")
STRANGER: Final = full_name("nju")
COMMAND_TIMEOUT_S: Final = 60.0
ARRIVAL_TIMEOUT_S: Final = 60.0
RULE: Final = ("demo", "credits", "haining-community.toml")
EXIT_CODES: Final = {"valid": 0, "revoked": 23}
"""Of `lln credit verify`, by outcome (`federation/credential_verdicts.py`)."""
VERIFYING: Final = {
    "valid": (
        "任何人都能核验：证明文件自带签名、证书链、状态列表和存证，只需网络的根证书，不必联网",
        "anybody can verify it: signature, chain, status and log proof come in one file; no network, only its root",
    ),
    "revoked": ("撤销之后再出的证明文件，核验结果不同", "a proof made after the revocation says so"),
}
_IDS: Final = {
    "learner": re.compile(r"\bL[0-9A-HJKMNP-TV-Z]{16}\b"),
    "consent": re.compile(r"\bC[0-9A-HJKMNP-TV-Z]{16}\b"),
    "request": re.compile(r"\bK[0-9A-HJKMNP-TV-Z]{16}\b"),
    "record": re.compile(r"urn:uuid:[0-9a-f-]{36}"),
}


class CreditsDelayed(Unavailable):
    code = "LLN-1655"
    zh = "等了很久，学分转换的消息仍没有送达。请看各节点的 node.log，或用 lln outbox 查看。"
    en = "What the credit journey waits for did not arrive in time. See node.log of the nodes, or lln outbox."


class Typed(msgspec.Struct, frozen=True, kw_only=True):
    """One command of the journey: where it was typed, how it ended, and whether that was as it should be."""

    at: NodeName
    command: str
    exit_code: int
    ms: int
    expected: str
    held: bool


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What a verifier was told; `about` the moment of the journey."""

    about: str
    by: NodeName
    exit_code: int
    verdicts: tuple[desk.Verdict, ...]


class CreditJourney(msgspec.Struct, frozen=True, kw_only=True):
    """What the journey led to, as the home of the learner shows it at the end."""

    home: NodeName
    receiver: NodeName
    learner: str
    records: tuple[desk.RecordSummary, ...]
    conversions: tuple[desk.RequestState, ...]
    verifications: tuple[Verification, ...]
    commands: tuple[Typed, ...]

    @property
    def held(self) -> bool:
        return all(one.held for one in self.commands)


async def travel(federation: Federation, folder: Path, told: Callable[[str], None]) -> CreditJourney | None:
    """Go the whole way; None where the tree has not the places for it. Raises CreditsDelayed."""
    names = {node.name for node in federation.nodes}
    if not {HOME, RECEIVER, STRANGER} <= names:
        return None
    return await _Traveller(federation, folder, told).travel()


class _Traveller:
    def __init__(self, federation: Federation, folder: Path, told: Callable[[str], None]) -> None:
        self._federation = federation
        self._folder = folder
        self._told = told
        self._ui: Ui = ui_language(None)
        self._typed: list[Typed] = []
        self._verifications: list[Verification] = []

    async def travel(self) -> CreditJourney:
        learner, record = await self._earn()
        consent = await self._agree(learner, record)
        request, derived = await self._convert(learner, record, consent)
        await self._verify(derived, "converted", "valid")
        await self._revoke(learner, record, derived)
        await self._verify(derived, "revoked", "revoked")
        listed = await self._federation.ask(HOME, "credit.list", desk.RecordsAsked(learner=learner), desk.Records)
        state = await self._state(request)
        return CreditJourney(
            home=HOME,
            receiver=RECEIVER,
            learner=learner,
            records=listed.records,
            conversions=(state,),
            verifications=tuple(self._verifications),
            commands=tuple(self._typed),
        )

    # --- the way -----------------------------------------------------------------------------------------------------

    async def _earn(self) -> tuple[str, str]:
        self._say("上海金山区登记一门社区课程，值 2.5 学分", "Jinshan in Shanghai defines a course worth 2.5 credits")
        await self._type(
            HOME,
            *("achievement", "define", "dough", "--name", "面塑入门", "--name-en", "Dough figurines"),
            *("--kind", "other_non_formal", "--credits", "2.5"),
            expects="dough@1",
        )
        self._say("为学习者建立学习账户", "a learner gets an account")
        shown = await self._type(
            HOME, "learner", "register", "--name", "沈小满", "--birth-date", "1961-03-05", expects="沈小满"
        )
        learner = _found("learner", shown)
        self._say("颁发学分记录：已签名，并写入存证日志", "a record is issued: signed, and committed to in the log")
        today = day_in_china(SystemClock().now_ms()).isoformat()
        issued = await self._type(
            HOME,
            *("credit", "issue", "--to", learner, "--achievement", "dough", "--on", today, "--as", "王老师", "--apply"),
            expects="urn:uuid:",
        )
        return learner, _found("record", issued)

    async def _agree(self, learner: str, record: str) -> str:
        self._say(
            "浙江海宁市公布一条转换规则：金山的社区课程按 1:1 认可",
            "Haining in Zhejiang publishes a rule: Jinshan's courses count one for one",
        )
        rule = resources.files("config").joinpath(*RULE)
        await self._type(RECEIVER, "rule", "publish", str(rule), "--apply", expects="neighbours-community@1")
        self._say("没有学习者的授权，什么也不会给海宁看", "without the learner's consent Haining is shown nothing")
        given = await self._type(
            HOME,
            *("consent", "give", learner, "--purpose", "convert", "--to", RECEIVER, "--record", record),
            *("--many", "--yes"),
            expects=RECEIVER,
        )
        return _found("consent", given)

    async def _convert(self, learner: str, record: str, consent: str) -> tuple[str, str]:
        asked = ("--learner", learner, "--to", RECEIVER, "--record", record, "--consent", consent)
        self._say("先试算：海宁会给什么，为什么", "a preview first: what Haining would grant, and why")
        previewed = await self._type(HOME, "convert", "preview", *asked, expects="2.5")
        request = _found("request", previewed)
        self._say("正式申请：预占、核销、颁发", "then for good: reserved, used up, issued")
        await self._type(HOME, "convert", "apply", request, expects=request)

        async def derived() -> str:
            results = (await self._state(request)).results
            held = await self._record(results[0]) if results else None
            return held.id if held else ""

        record_id = await _until(derived, request)
        await self._type(HOME, "convert", "status", request, expects=record_id)
        self._say(
            "回到家里：原来的 2.5 学分已核销，换来的 2.5 学分可用",
            "back home: the 2.5 credits are used up, and 2.5 new ones are there",
        )
        await self._type(HOME, "credit", "list", "--learner", learner, expects=record_id)
        await self._type(HOME, "credit", "balance", learner, expects="2.5")
        self._say("再换一次？同一学分只能换一次", "once more? The same credits count once")
        await self._type(HOME, "convert", "preview", *asked, expects="✗")
        return request, record_id

    async def _verify(self, record: str, about: str, outcome: str) -> None:
        """A bundle carries the proof of everything along: whoever has it and the network's root asks nobody."""
        self._say(*VERIFYING[outcome])
        await _until(partial(self._witnessed, record), record)
        file = self._folder / f"{about}.json"
        root = self._federation.home(STRANGER) / "trust" / "root.pem"
        await self._type(HOME, "credit", "bundle", record, "-o", str(file), expects=file.name)
        verify = ("credit", "verify", str(file), "--root", str(root))
        await self._type(STRANGER, *verify, expects="2.5", exit_code=EXIT_CODES[outcome])
        _, told = await _run("--home", str(self._federation.home(STRANGER)), "--json", *verify)
        self._verifications.append(
            Verification(
                about=about,
                by=STRANGER,
                exit_code=self._typed[-1].exit_code,
                verdicts=msgspec.json.decode(told, type=desk.Verdicts).verdicts,
            )
        )

    async def _witnessed(self, record: str) -> bool:
        """Whether the offline proof can be made: its log entry has been cosigned by the authority above."""
        asked = desk.ExportAsked(id=record, form="bundle")
        try:
            await self._federation.ask(HOME, "credit.export", asked, desk.Exported)
        except RemoteFault:
            return False
        return True

    async def _revoke(self, learner: str, record: str, derived: str) -> None:
        self._say(
            "金山撤销了原记录，海宁换发的记录随之失效，学习者的账户也得到通知",
            "Jinshan revokes its record: what Haining made of it falls with it, and the home is told",
        )
        await self._type(HOME, "credit", "revoke", record, "--reason", "成绩登记有误", "--as", "李老师", expects=record)

        async def fallen() -> bool:
            held = await self._record(derived)
            return held is not None and held.state == "revoked"

        await _until(fallen, derived)
        await self._type(RECEIVER, "credit", "show", derived, expects=record)
        await self._type(HOME, "credit", "list", "--learner", learner, "--state", "revoked", expects=derived)

    # --- typing ------------------------------------------------------------------------------------------------------

    def _say(self, zh: str, en: str) -> None:
        self._told(f"\n— {zh}\n  {en}")

    async def _type(self, at: NodeName, *words: str, expects: str, exit_code: int = 0) -> str:
        """Type one command; what it printed. It holds if it ends as it should and prints what is expected."""
        shown = " ".join(f'"{word}"' if " " in word else word for word in words)
        self._told(f"  {at.split('.')[0]} $ lln {shown}")
        began = time.perf_counter()
        ended, printed = await _run("--home", str(self._federation.home(at)), "--ui", self._ui, *words)
        ms = int((time.perf_counter() - began) * 1_000)
        for line in printed.splitlines():
            self._told(f"      {line}")
        held = ended == exit_code and expects in printed
        self._typed.append(Typed(at=at, command=shown, exit_code=ended, ms=ms, expected=expects, held=held))
        if not held:
            self._told(f"    ✗ 预期 expected: {expects} (exit {exit_code}), exit {ended}")
        return printed

    async def _state(self, request: str) -> desk.RequestState:
        return await self._federation.ask(HOME, "convert.status", desk.RequestNamed(id=request), desk.RequestState)

    async def _record(self, record: str) -> desk.RecordSummary | None:
        held = await self._federation.ask(HOME, "credit.list", desk.RecordsAsked(), desk.Records)
        return next((one for one in held.records if one.id == record), None)


async def _run(*words: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "node.cli.main", *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(COMMAND_TIMEOUT_S):
            printed, _ = await process.communicate()
    except TimeoutError as late:
        process.kill()
        await process.wait()
        raise CreditsDelayed(" ".join(words[4:6]), f"no answer within {COMMAND_TIMEOUT_S:.0f} s") from late
    return process.returncode or 0, printed.decode()


def _found(kind: str, printed: str) -> str:
    found = _IDS[kind].search(printed)
    if found is None:
        raise CreditsDelayed(kind, "the command before did not print its id")
    return found.group()


async def _until(condition: Callable[[], Awaitable[str | bool]], what: str) -> str:
    deadline = time.monotonic() + ARRIVAL_TIMEOUT_S
    while not (found := await condition()):
        if time.monotonic() > deadline:
            raise CreditsDelayed(what, f"nothing after {ARRIVAL_TIMEOUT_S:.0f} s")
        await asyncio.sleep(0.05)
    return str(found)
