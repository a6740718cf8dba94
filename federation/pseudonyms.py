"""The name by which one other node knows a learner: another one for each node, and nothing in it but that.

What lives here: deriving it, and the handle that a learner takes along. What must not: the secret itself, or who is
behind a pseudonym (the learner's home alone knows).
"""

import hashlib
import hmac
import re
from typing import Final, Self

import msgspec

from federation.credit_records import Subject
from federation.errors import InvalidInput
from federation.framing import pae
from federation.naming import NameField, NodeName, parse_name
from federation.short_ids import encode

SECRET_BYTES: Final = 32
_PREFIX: Final = "urn:lln:learner:"
_SUBJECT: Final = re.compile(rf"{_PREFIX}[0-9a-hjkmnp-tv-z]{{26}}\Z")


class MalformedHandle(InvalidInput):
    code = "LLN-1181"
    zh = "学习者代称写法不对：应为 urn:lln:learner:…@节点名称，由所属节点的 lln learner handle 给出。"
    en = "Not a learner's handle: it is urn:lln:learner:…@node, as lln learner handle prints it at the home node."


class Handle(msgspec.Struct, frozen=True, kw_only=True):
    """What a learner hands to another node so that it can issue to them: a pseudonym, and where its home is."""

    subject: Subject
    home: NameField

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `subject@home`; raises MalformedHandle, MalformedName."""
        subject, at, home = text.strip().partition("@")
        if not at or not _SUBJECT.match(subject):
            raise MalformedHandle("handle", "expected urn:lln:learner:, 26 characters, @ and the home's name")
        return cls(subject=subject, home=parse_name(home))

    def __str__(self) -> str:
        return f"{self.subject}@{self.home}"


def subject_for(secret: bytes, learner: str, node: NodeName) -> Subject:
    """128 bits of HMAC-SHA256 under the home's secret: two nodes that compare notes find nothing in common."""
    told = hmac.new(secret, pae("lln.pseudonym.v1", learner.encode(), node.encode()), hashlib.sha256).digest()
    return _PREFIX + encode(told[:16]).lower()
