"""A service from its use case: which function answers which method of a .proto, with that method's rules.

What lives here: the parsing and serialising around every such function. What must not: any one service
(`*_service.py`), envelopes and refusals (`server.py`).
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

import msgspec
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from federation.calls import AdmittedCall
from federation.errors import BrokenHome
from node.rpc import wire
from node.rpc.answers import Change
from node.rpc.rules import rules_of
from node.rpc.server import Changing, Exchange, Method, Streaming, Unary

Answers = Callable[[AdmittedCall, Any], Awaitable[Message]]
Changes = Callable[[AdmittedCall, Any, Change], Awaitable[object]]
Streams = Callable[[AdmittedCall, Any], AsyncGenerator[Message, None]]
Exchanges = Callable[[AdmittedCall, Any, AsyncIterator[Any]], AsyncGenerator[Message, None]]
"""All get the admitted call and its parsed request, of the type that the .proto says; `Changes` also the transaction to
write and answer in, `Exchanges` what follows the request.
"""


class MethodsDiffer(BrokenHome):
    code = "LLN-1512"
    zh = "服务实现与 .proto 不一致，服务不会启动。"
    en = "A service does not answer exactly the methods that its .proto declares, so the server does not start."


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """All methods of one .proto service, by name."""

    name: str
    methods: Mapping[str, Method]


def make_service(
    declared: ServiceDescriptor,
    answers: Mapping[str, Answers],
    streams: Mapping[str, Streams] | None = None,
    exchanges: Mapping[str, Exchanges] | None = None,
    *,
    changes: Mapping[str, Changes] | None = None,
) -> Service:
    """Tie functions to the methods of a service, `changes` to those whose rules say so; raises MethodsDiffer,
    MethodWithoutRules.
    """
    streamed, exchanged, changing = streams or {}, exchanges or {}, changes or {}
    names = sorted(method.name for method in declared.methods)
    if names != sorted([*answers, *streamed, *exchanged, *changing]):
        raise MethodsDiffer(declared.full_name, f"declared: {', '.join(names)}")
    rules = rules_of(declared)
    meant = sorted(name for name in names if rules[name].changes)
    if meant != sorted(changing):
        raise MethodsDiffer(declared.full_name, f"declared as changing something: {', '.join(meant)}")
    kinds = {method.name: GetMessageClass(method.input_type) for method in declared.methods}
    methods = {name: Method(rules=rules[name], unary=_unary(kinds[name], answer)) for name, answer in answers.items()}
    for name, change in changing.items():
        methods[name] = Method(rules=rules[name], changing=_changing(kinds[name], change))
    for name, stream in streamed.items():
        methods[name] = Method(rules=rules[name], streaming=_streaming(kinds[name], stream))
    for name, exchange in exchanged.items():
        methods[name] = Method(rules=rules[name], exchange=_exchanging(kinds[name], exchange))
    return Service(name=declared.full_name, methods=methods)


def _unary(kind: type[Message], answer: Answers) -> Unary:
    async def serve(call: AdmittedCall, payload: bytes) -> bytes:
        return (await answer(call, wire.read(kind, payload))).SerializeToString()

    return serve


def _changing(kind: type[Message], change: Changes) -> Changing:
    async def serve(call: AdmittedCall, payload: bytes, transaction: Change) -> None:
        await change(call, wire.read(kind, payload), transaction)

    return serve


def _streaming(kind: type[Message], stream: Streams) -> Streaming:
    async def serve(call: AdmittedCall, payload: bytes) -> AsyncGenerator[bytes, None]:
        async with aclosing(stream(call, wire.read(kind, payload))) as messages:
            async for message in messages:
                yield message.SerializeToString()

    return serve


def _exchanging(kind: type[Message], exchange: Exchanges) -> Exchange:
    async def serve(call: AdmittedCall, payload: bytes, following: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        said = (wire.read(kind, message) async for message in following)
        async with aclosing(exchange(call, wire.read(kind, payload), said)) as messages:
            async for message in messages:
                yield message.SerializeToString()

    return serve
