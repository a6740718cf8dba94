"""First answers: a call that changes something is carried out once for its operation id, and answered alike ever after.

What lives here: the memory of (caller, operation id), in flight and stored, and the one transaction of a change, which
keeps its answer. What must not: signing; a kept answer is signed anew for each call that repeats the operation, because
a reply is bound to its call.

A crash before that transaction leaves nothing, and the repeat is the first; a crash after it leaves effect and answer,
and the repeat is answered from what is kept. A refusal changes nothing: it is kept before it is told, by itself.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from hashlib import sha256
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

import msgspec
from google.protobuf.message import Message

from federation.calls import AdmittedCall, MethodRules, SignedCall, call_digest
from federation.errors import Conflict, LlnError
from federation.naming import NodeName
from node.ports import Clock, KeptAnswer, Store, Transaction, Write
from node.rpc.envelope import write_error
from node.rpc.seen_operations import SeenOperations
from node.rpc.status_codes import may_differ_later, number_of, status_of

T = TypeVar("T")
_telemetry: Final = logging.getLogger(__name__)
_RETRY_AFTER_MS: Final = 1_000
KEYS_AT_ONCE: Final = 1_000


class OperationReused(Conflict):
    code = "LLN-1302"
    zh = "同一个操作编号用于两个不同的请求。"
    en = "One operation id was used for two different requests."


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is to be signed and sent: a gRPC status number, and the reply message's bytes or the error detail's.

    `code` is the error's own; `is_final`: the same call can never be answered otherwise.
    """

    status: int = 0
    body: bytes = b""
    code: str = ""
    is_final: bool = True


def answer_to(error: Exception) -> Answer:
    """The refusal that an error means. Here the last unforeseen failure ends: its traceback stays at home."""
    if isinstance(error, LlnError):
        return refusal(error)
    _telemetry.error("a method failed in a way nobody foresaw", exc_info=error)
    return refusal(LlnError())


def refusal(error: LlnError) -> Answer:
    may_differ = may_differ_later(error)
    return Answer(
        status=number_of(status_of(error)),
        body=write_error(error, retry_after_ms=_RETRY_AFTER_MS if may_differ else 0),
        code=error.code,
        is_final=not may_differ,
    )


_Key = tuple[NodeName, str]
"""(caller, operation id)"""


class AnsweredBefore(Exception):  # no fault: it ends a unit that found its operation carried out
    """`kept`: what was answered when the operation was carried out."""

    def __init__(self, kept: KeptAnswer) -> None:
        super().__init__(kept.operation_id)
        self.kept = kept


class Change:
    """One changing call: what it changes and what it answers are one transaction, written through `writing`."""

    def __init__(self, store: Store, keeps: Callable[[Answer], KeptAnswer]) -> None:
        self._store = store
        self._keeps = keeps
        self.answer: Answer | None = None

    def writing(self, reply: Callable[[T], Message]) -> Write[T]:
        """How a use case writes its one unit, whose value `reply` turns into the answer, before the commit."""
        return _Writing(self, reply)

    async def write(self, unit: Callable[[Transaction], T], reply: Callable[[T], Message]) -> T:
        """Raises AnsweredBefore, and then nothing is written, where a unit of this operation has been committed: one
        whose call was given up while it was waiting to be.
        """

        def whole(tx: Transaction) -> tuple[T, Answer]:
            kept = self._keeps(Answer())
            before = tx.answers.get(kept.caller, kept.operation_id)
            if before is not None:
                raise AnsweredBefore(before)
            value = unit(tx)
            answer = Answer(body=reply(value).SerializeToString())
            tx.answers.put(self._keeps(answer))
            return value, answer

        value, self.answer = await self._store.write(whole)
        return value


class _Writing(Generic[T]):
    def __init__(self, change: Change, reply: Callable[[T], Message]) -> None:
        self._change = change
        self._reply = reply

    async def __call__(self, unit: Callable[[Transaction], T]) -> T:
        return await self._change.write(unit, self._reply)


class _First(msgspec.Struct, frozen=True, kw_only=True):
    """What an operation id was first used for, and how that was answered."""

    method: str
    payload_sha256: bytes
    answer: Answer


class FirstAnswers:
    """Enter it before the first call and leave it after the last: what has begun is finished and kept, whoever hangs
    up; leaving waits for it.
    """

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._tasks = asyncio.TaskGroup()
        self._begun: dict[_Key, asyncio.Task[_First]] = {}
        self._sought: list[tuple[_Key, asyncio.Future[KeptAnswer | None]]] = []
        self._is_seeking = False
        self._seen = SeenOperations()
        self._has_all = False
        self._is_leaving = False

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._tasks.create_task(self._learn_seen())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_leaving = True
        await self._tasks.__aexit__(kind, error, trace)

    async def once(
        self, call: SignedCall, admitted: AdmittedCall, rules: MethodRules, work: Callable[[Change], Awaitable[None]]
    ) -> Answer:
        """The first answer to (caller, operation id), now or as it was kept; two arrivals at once share one.

        Raises OperationReused where the id was first used for something else.
        """
        key = (admitted.caller.name, admitted.operation_id)
        begun = self._begun.get(key)
        if begun is None:
            begun = self._begun[key] = self._tasks.create_task(self._first(call, admitted, rules, work))
            begun.add_done_callback(lambda _: self._begun.pop(key))
        first = await asyncio.shield(begun)
        if (first.method, first.payload_sha256) != (rules.method, sha256(call.payload).digest()):
            raise OperationReused(admitted.operation_id, f"first used for {first.method}, and not with this content")
        return first.answer

    async def _first(
        self, call: SignedCall, admitted: AdmittedCall, rules: MethodRules, work: Callable[[Change], Awaitable[None]]
    ) -> _First:
        """Never raises: it runs in a group of which no member may take down another."""
        try:
            key = (admitted.caller.name, admitted.operation_id)
            kept = await self._seek(key) if not self._has_all or self._seen.may_hold(*key) else None
            if kept is not None:
                return _first_of(kept)
            change = Change(self._store, lambda answer: self._keeping(call, admitted, rules, answer))
            answer = await self._carry_out(change, work)
            if answer.status and answer.is_final:
                refused = self._keeping(call, admitted, rules, answer)
                await self._store.write(lambda tx: tx.answers.put(refused))
        except AnsweredBefore as found:
            return _first_of(found.kept)
        except Exception as error:  # noqa: BLE001  # as answer_to
            answer = answer_to(error)
        return _First(method=rules.method, payload_sha256=sha256(call.payload).digest(), answer=answer)

    async def _carry_out(self, change: Change, work: Callable[[Change], Awaitable[None]]) -> Answer:
        """What a change has come to; once its transaction stands, whatever happens after it changes nothing of that."""
        try:
            await work(change)
        except AnsweredBefore:
            raise
        except Exception as error:  # noqa: BLE001  # a peer gets a signed answer to everything
            return change.answer or answer_to(error)
        assert change.answer is not None, "a changing method writes one unit"  # noqa: S101  # our own methods
        return change.answer

    async def _learn_seen(self) -> None:
        """Go through the operations that have an answer, once, so that a new one is known to be new without a look.

        What is kept meanwhile is added as it is kept. Where the store fails, every operation is sought, as it is until
        this has ended; never raises, as `_first`.
        """
        after: _Key = (NodeName(""), "")
        try:
            while not self._is_leaving:
                keys = await self._store.read(lambda tx, after=after: tx.answers.keys(after, KEYS_AT_ONCE))  # type: ignore[misc]
                for key in keys:
                    self._seen.add(*key)
                if len(keys) < KEYS_AT_ONCE:
                    self._has_all = True
                    return
                after = keys[-1]
        except Exception as error:  # noqa: BLE001  # it can be done without
            _telemetry.warning("operations answered before could not be gone through: %s", error)

    async def _seek(self, key: _Key) -> KeptAnswer | None:
        """What is stored under `key`. One read serves everybody who came while the read before it was under way."""
        found: asyncio.Future[KeptAnswer | None] = asyncio.get_running_loop().create_future()
        self._sought.append((key, found))
        if not self._is_seeking:
            self._is_seeking = True
            self._tasks.create_task(self._seek_together())
        return await found

    async def _seek_together(self) -> None:
        while self._sought:
            together, self._sought = self._sought, []
            keys = [key for key, _ in together]
            try:
                kept = await self._store.read(lambda tx, keys=keys: [tx.answers.get(*key) for key in keys])  # type: ignore[misc]
            except Exception as error:  # noqa: BLE001  # everybody who waits is told
                for _, found in together:
                    found.set_exception(error)
            else:
                for (_, found), answer in zip(together, kept, strict=True):
                    found.set_result(answer)
        self._is_seeking = False

    def _keeping(self, call: SignedCall, admitted: AdmittedCall, rules: MethodRules, answer: Answer) -> KeptAnswer:
        self._seen.add(admitted.caller.name, admitted.operation_id)  # before it is durable: a no must never be wrong
        return KeptAnswer(
            caller=admitted.caller.name,
            operation_id=admitted.operation_id,
            call_sha256=call_digest(call.header_bytes, call.signature),
            method=rules.method,
            payload_sha256=sha256(call.payload).digest(),
            call_header=call.header_bytes,
            call_signature=call.signature,
            status=answer.status,
            body=answer.body,
            at_ms=self._clock.now_ms(),
        )


def _first_of(kept: KeptAnswer) -> _First:
    answer = Answer(status=kept.status, body=kept.body)
    return _First(method=kept.method, payload_sha256=kept.payload_sha256, answer=answer)
