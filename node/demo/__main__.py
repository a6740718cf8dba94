"""`python3 run.py demo`: start the federation, take the tour, and keep it running until Ctrl-C.

What lives here: options and what is printed. What must not: the steps themselves (`tour.py`).
"""

import argparse
import asyncio
import contextlib
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec

from config.settings import Portal
from federation.catalogue import Resource
from federation.errors import LlnError
from federation.naming import NodeName
from federation.search import SearchAnswer
from node.demo.credits import CreditJourney, travel
from node.demo.federation import Federation
from node.demo.people import settle
from node.demo.plan import ROOT, Question, read_catalogue_file, read_own_catalogue, read_questions, read_tree
from node.demo.tour import AskedSearch, ask_questions, await_copies, load, questions_about

SHOWN_HITS: Final = 3


def main(arguments: list[str] | None = None) -> int:
    """Returns 0 only if every expectation of the tour held."""
    options = _options(arguments)
    try:
        return asyncio.run(_demonstrate(options))
    except LlnError as error:
        failures = [error]
    except BaseExceptionGroup as group:
        told, other = group.split(LlnError)
        if told is None or other is not None:
            raise
        failures = _leaves(told)
    for failure in failures:
        _line(f"\n{failure}\n  {failure.zh}\n  {failure.en}")
    return 1


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py demo", description="A federation of about 20 nodes on this machine.")
    parser.add_argument("--once", action="store_true", help="stop after the tour; exit 0 only if all of it held")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what happened as JSON")
    parser.add_argument("--catalogue", type=Path, metavar="FILE", help="load this JSON Lines catalogue instead")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the nodes' home directories in DIR")
    return parser.parse_args(arguments)


async def _demonstrate(options: argparse.Namespace) -> int:
    started = time.monotonic()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="lln-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    federation = Federation(folder.resolve(), read_tree(), told=_line, portal=Portal(listen="127.0.0.1:0"))
    stopped = _when_stopped()
    try:
        touring = asyncio.ensure_future(_tour(federation, options, started))  # ended by the lines below
        await asyncio.wait((touring, stopped), return_when=asyncio.FIRST_COMPLETED)
        if not touring.done():
            touring.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await touring
            return 130
        all_held = touring.result()
        if not options.once:
            _what_next(federation)
            await settle(federation, _line)
            await stopped
        return 0 if all_held else 1
    finally:
        _line("正在停止所有节点… stopping every node…")
        await federation.stop()
        if options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)


async def _tour(federation: Federation, options: argparse.Namespace, started: float) -> bool:
    _line(f"启动 {len(federation.nodes)} 个节点，逐级入网 starting {len(federation.nodes)} nodes, level by level")
    await federation.start()
    _line(f"  {_since(started)}")
    catalogue, questions = _material(options, federation)
    _line("导入、审核、入库 import, review, publish")
    published = await load(federation, catalogue)
    _line(f"  {published} 条资源 resources, {_since(started)}")
    _line("等待副本逐级送达 waiting for the copies to travel up")
    copies = await await_copies(federation)
    _line(f"  {len(copies)} 份日志一致 logs held alike, {_since(started)}\n")
    asked = await ask_questions(federation, questions, _told)
    held = sum(one.held for one in asked)
    _line(f"\n{held}/{len(asked)} 个问题的回答符合预期 answers were as expected, {_since(started)}")
    journey = await _travel(federation, started)
    if options.json:
        document = {
            "nodes": _nodes(federation),
            "resources": published,
            "searches": asked,
            "copies": copies,
            "credits": journey,
            "seconds": round(time.monotonic() - started, 2),
        }
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1))
    return held == len(asked) and (journey is None or journey.held)


async def _travel(federation: Federation, started: float) -> CreditJourney | None:
    """The credit journey, where the tree has the places for it."""
    with tempfile.TemporaryDirectory(prefix="lln-demo-credits-") as folder:
        journey = await travel(federation, Path(folder), _line)
    if journey is not None:
        held = sum(one.held for one in journey.commands)
        _line(f"\n{held}/{len(journey.commands)} 条命令的结果符合预期 commands did as expected, {_since(started)}")
    return journey


def _material(
    options: argparse.Namespace, federation: Federation
) -> tuple[dict[NodeName, list[Resource]], list[Question]]:
    if options.catalogue is None:
        return read_own_catalogue(), read_questions()
    names = [node.name for node in federation.nodes]
    catalogue = read_catalogue_file(options.catalogue, names)
    return catalogue, questions_about(catalogue, list(reversed(names)))


def _told(question: Question, asked: AskedSearch, answer: SearchAnswer) -> None:
    mark = "✓" if asked.held else "✗"
    _line(f"{mark} {question.asker.split('.')[0]} › {question.query}  [{question.scope}]  {asked.ms} ms")
    if question.shows_zh:
        _line(f"    {question.shows_zh}")
    for at, hit in enumerate(answer.hits[:SHOWN_HITS], start=1):
        also = f",另有 {len(hit.also_at)} 处提供" if hit.also_at else ""
        _line(f"    {at}. {hit.title}  — {hit.provider or hit.publisher}{also}")
    if not answer.hits:
        _line("    (没有结果 no results)")
    if asked.silent:
        _line(f"    未包含 lacking: {', '.join(asked.silent)}")
    if not asked.held:
        _line(f"    预期 expected: {asked.expected}")


def _nodes(federation: Federation) -> list[dict[str, object]]:
    return [
        {
            "name": node.name,
            "level": node.description.level,
            "kind": node.description.kind,
            "parent": node.parent,
            "title": msgspec.to_builtins(node.description.title),
        }
        for node in federation.nodes
    ]


def _what_next(federation: Federation) -> None:
    hub, school = ROOT, next(node.name for node in federation.nodes if node.name.startswith("shequ"))
    command = f"{Path(sys.prefix) / 'bin' / 'lln'}"
    _line("\n联盟正在运行，按 Ctrl-C 停止。The federation keeps running; Ctrl-C stops it.")
    for node in federation.nodes:
        serving = federation.serving(node.name)
        _line(f"  {node.name:44} {serving.endpoint if serving else '':16} {serving.portal if serving else ''}")
    _line("\n试一试 things to try:")
    for home, words in (
        (federation.home(school), "search 木雕"),
        (federation.home(school), "status"),
        (federation.home(hub), "tree"),
        (federation.home(hub), "log verify catalogue --origin xitang.jiashan.jiaxing.zhejiang.lln.internal"),
    ):
        _line(f'  "{command}" --home "{home}" {words}')


def _when_stopped() -> "asyncio.Future[None]":
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[None] = loop.create_future()

    def stop() -> None:
        if not stopped.done():
            stopped.set_result(None)

    for one in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(one, stop)
    return stopped


def _since(started: float) -> str:
    return f"{time.monotonic() - started:.1f} s"


def _line(text: str) -> None:
    print(text, flush=True)


def _leaves(group: BaseExceptionGroup[LlnError]) -> list[LlnError]:
    leaves: list[LlnError] = []
    for error in group.exceptions:
        leaves.extend(_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return leaves


if __name__ == "__main__":
    sys.exit(main())
