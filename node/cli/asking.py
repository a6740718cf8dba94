"""How a command reaches its node: over a signed call if it runs, in this process if it does not.

What must not live here: what is asked, or how an answer is printed.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import click
import msgspec

from federation.errors import LlnError, LocalFault
from node.cli.words import Ui, clean, word

T = TypeVar("T")
ANSWER_S: Final = 60.0


class Asking:
    """What every command gets: the home, the language, and the node behind them."""

    def __init__(self, *, home: Path, ui: Ui, as_json: bool) -> None:
        self.home = home
        self.ui = ui
        self.as_json = as_json
        self.was_running = True

    def ask(self, operation: str, asked: msgspec.Struct, answered: type[T], *, timeout_s: float = ANSWER_S) -> T:
        """One operation of the desk; an error ends the command with its sentence."""
        return self.many(operation, [asked], answered, timeout_s=timeout_s)[0]

    def many(
        self, operation: str, questions: Sequence[msgspec.Struct], answered: type[T], *, timeout_s: float = ANSWER_S
    ) -> list[T]:
        """`timeout_s`: how long a running node may take over each."""
        replies, self.was_running = self.run(
            _ask(self.home, operation, [msgspec.json.encode(one) for one in questions], timeout_s)
        )
        return [msgspec.json.decode(reply, type=answered) for reply in replies]

    def run(self, work: Any) -> Any:
        try:
            return asyncio.run(work)
        except LlnError as error:
            self.fail(error)
        except BaseExceptionGroup as group:
            told, other = group.split(LlnError)
            if told is None or other is not None:
                raise
            self.fail(_first(told))

    def fail(self, error: LlnError) -> NoReturn:
        """What happened, what it means, what to do, and the code; exit 1 if it is ours, 3 if it is a peer's."""
        kind, subject, detail = _as_raised(error)
        happened = ": ".join(part for part in (subject, detail) if part)
        if happened:
            click.echo(clean(happened), err=True)
        click.echo(f"{kind.zh if self.ui == 'zh' else kind.en} [{kind.code}]", err=True)
        raise SystemExit(1 if issubclass(kind, LocalFault) else 3)

    def sentence(self, code: str) -> str:
        """What an error means and what to do, by its code; empty for one that is not known here."""
        kind = _classes().get(code)
        return "" if kind is None else kind.zh if self.ui == "zh" else kind.en

    def json(self, document: object) -> None:
        click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())

    def word(self, key: str) -> str:
        return word(key, self.ui)


async def _ask(home: Path, operation: str, questions: Sequence[bytes], timeout_s: float) -> tuple[list[bytes], bool]:
    """The answers, and whether a running node gave them."""
    from node.runtime import read_serving

    serving = read_serving(home)
    if serving is not None:
        answers = await _ask_running(home, serving.endpoint, operation, questions, timeout_s)
        if answers is not None:
            return answers, True
    from node.opening import open_node

    async with open_node(home) as node:
        await node.indexing.catch_up()
        await node.index.commit()
        return [await node.desk.ask(operation, question) for question in questions], False


async def _ask_running(
    home: Path, endpoint: str, operation: str, questions: Sequence[bytes], timeout_s: float
) -> list[bytes] | None:
    """None where nobody answers: `serving.json` is then left over from a crash."""
    from federation.errors import PeerRefused, PeerUnreachable
    from node.host.clock import SystemClock, SystemRandomness
    from node.host.homes import Home
    from node.host.key_files import open_identity
    from node.rpc.desk_client import DeskClient

    clock, randomness = SystemClock(), SystemRandomness()
    identity = open_identity(Home(home), clock=clock, randomness=randomness)
    client = DeskClient(endpoint=endpoint, identity=identity, material=identity, clock=clock, randomness=randomness)
    try:
        return [await client.ask(operation, question, timeout_s=timeout_s) for question in questions]
    except PeerRefused:
        raise
    except PeerUnreachable:
        return None
    finally:
        await client.close()


def _as_raised(error: LlnError) -> tuple[type[LlnError], str, str]:
    """A refusal that our own node sent over the desk, as the error it was there."""
    code = getattr(error, "peer_code", None)
    known = _classes().get(code) if code else None
    if known is None:
        return type(error), error.subject, error.detail
    return known, getattr(error, "peer_subject", ""), getattr(error, "peer_detail", "")


def _classes() -> dict[str, type[LlnError]]:
    found: dict[str, type[LlnError]] = {}
    waiting: list[type[LlnError]] = [LlnError]
    while waiting:
        kind = waiting.pop()
        found.setdefault(kind.code, kind)
        waiting.extend(kind.__subclasses__())
    return found


def _first(group: BaseExceptionGroup[LlnError]) -> LlnError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
