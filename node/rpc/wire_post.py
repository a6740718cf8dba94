"""Items and their answers, from messages to values and back, every bound checked on the way in.

What must not live here: what any kind of item means.
"""

from collections.abc import Sequence
from typing import Final

from node.ports import Answered, Delivered, PostItem, PutOff, Refused
from node.ports.posting import (
    BATCH_ITEMS_MAX,
    ITEM_BYTES_MAX,
    ITEM_ID_CHARS_MAX,
    KIND_CHARS_MAX,
    REPLY_BYTES_MAX,
    TOLD_CHARS_MAX,
)
from node.rpc import wire
from protos.lln.v1 import post_pb2

_CODE_CHARS_MAX: Final = 16


def write_items(items: Sequence[PostItem]) -> post_pb2.DeliverRequest:
    return post_pb2.DeliverRequest(
        items=[post_pb2.PostItem(id=item.id, kind=item.kind, document=item.document) for item in items]
    )


def read_items(message: post_pb2.DeliverRequest) -> tuple[PostItem, ...]:
    """Raises MalformedMessage for none, for too many, and for two of one id."""
    wire.within("items", len(message.items) - 1, BATCH_ITEMS_MAX - 1)
    items = tuple(
        PostItem(
            id=_named("item id", item.id, ITEM_ID_CHARS_MAX),
            kind=_named("kind", item.kind, KIND_CHARS_MAX),
            document=wire.read_bytes("item", item.document, ITEM_BYTES_MAX),
        )
        for item in message.items
    )
    if len({item.id for item in items}) < len(items):
        raise wire.MalformedMessage("items", "two of one id")
    return items


def write_answers(answers: Sequence[Answered]) -> post_pb2.DeliverReply:
    return post_pb2.DeliverReply(answers=[_write_answer(answer) for answer in answers])


def read_answers(message: post_pb2.DeliverReply, *, count: int) -> tuple[Answered, ...]:
    """Raises MalformedMessage where there is not one for each of `count` items."""
    if len(message.answers) != count:
        raise wire.MalformedMessage("answers", f"{len(message.answers)} for {count} items")
    return tuple(_read_answer(answer) for answer in message.answers)


def _write_answer(answer: Answered) -> post_pb2.PostAnswer:
    match answer:
        case Delivered(reply=reply):
            return post_pb2.PostAnswer(state=post_pb2.PostAnswer.DELIVERED, reply=reply)
        case Refused(code=code, told=told):
            return post_pb2.PostAnswer(state=post_pb2.PostAnswer.REFUSED, error_code=code, told=told)
        case PutOff(code=code, told=told):
            return post_pb2.PostAnswer(state=post_pb2.PostAnswer.PUT_OFF, error_code=code, told=told)


def _read_answer(answer: post_pb2.PostAnswer) -> Answered:
    if answer.state == post_pb2.PostAnswer.DELIVERED:
        return Delivered(reply=wire.read_bytes("reply", answer.reply, REPLY_BYTES_MAX))
    code = wire.read_text("error code", answer.error_code, _CODE_CHARS_MAX)
    told = wire.read_text("refusal", answer.told, TOLD_CHARS_MAX)
    if answer.state == post_pb2.PostAnswer.REFUSED:
        return Refused(code=code, told=told)
    if answer.state == post_pb2.PostAnswer.PUT_OFF:
        return PutOff(code=code, told=told)
    raise wire.MalformedMessage("answer", f"state {answer.state}")


def _named(what: str, found: str, most: int) -> str:
    if not found:
        raise wire.MalformedMessage(what, "empty")
    return wire.read_text(what, found, most)
