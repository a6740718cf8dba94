"""A service from its use case: which function answers which method of a .proto, with that method's rules.

What lives here: the parsing and serialising around every such function. What must not: any one service
(`*_service.py`), envelopes and refusals (`server.py`).
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

import msgspec
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from federation.calls import AdmittedCall
from federation.errors import BrokenHome
from node.rpc import wire
from node.rpc.rules import rules_of
from node.rpc.server import Method, Streaming, Unary

Answers = Callable[[AdmittedCall, Any], Awaitable[Message]]
Streams = Callable[[AdmittedCall, Any], AsyncGenerator[Message, None]]
"""Both get the admitted call and its parsed request, of the type that the .proto says."""


class MethodsDiffer(BrokenHome):
    code = "LLN-1512"
    zh = "服务实现与 .proto 不一致，服务不会启动。"
    en = "A service does not answer exactly the methods that its .proto declares, so the server does not start."


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """All methods of one .proto service, by name."""

    name: str
    methods: Mapping[str, Method]


def make_service(
    declared: ServiceDescriptor, answers: Mapping[str, Answers], streams: Mapping[str, Streams] | None = None
) -> Service:
    """Tie functions to the methods of a service; raises MethodsDiffer, MethodWithoutRules."""
    streamed = streams or {}
    names = {method.name for method in declared.methods}
    if names != answers.keys() | streamed.keys() or answers.keys() & streamed.keys():
        raise MethodsDiffer(declared.full_name, f"declared: {', '.join(sorted(names))}")
    rules = rules_of(declared)
    kinds = {method.name: GetMessageClass(method.input_type) for method in declared.methods}
    methods = {name: Method(rules=rules[name], unary=_unary(kinds[name], answer)) for name, answer in answers.items()}
    for name, stream in streamed.items():
        methods[name] = Method(rules=rules[name], streaming=_streaming(kinds[name], stream))
    return Service(name=declared.full_name, methods=methods)


def _unary(kind: type[Message], answer: Answers) -> Unary:
    async def serve(call: AdmittedCall, payload: bytes) -> bytes:
        return (await answer(call, wire.read(kind, payload))).SerializeToString()

    return serve


def _streaming(kind: type[Message], stream: Streams) -> Streaming:
    async def serve(call: AdmittedCall, payload: bytes) -> AsyncGenerator[bytes, None]:
        async with aclosing(stream(call, wire.read(kind, payload))) as messages:
            async for message in messages:
                yield message.SerializeToString()

    return serve
