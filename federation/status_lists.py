"""Status lists: which credentials of a node are revoked or suspended, one bit each (W3C Bitstring Status List v1.0).

What lives here: the bits, their encoding, and the signed credential around them. What must not: who raises a bit and
why (`credits.py`), or what a raised bit means for a credential (`credential_verdicts.py`).
"""

import base64
import binascii
import re
import zlib
from collections.abc import Collection
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from federation import canonical, document_proofs
from federation.catalogue import EpochMs
from federation.credit_records import SLOTS, StatusListId
from federation.errors import BadCredential, InvalidInput
from federation.keys import NodeKey, Signer
from federation.naming import NodeName
from federation.open_badges import VC_CONTEXT
from federation.timestamps import to_ms, to_text

Purpose = Literal["revocation", "suspension"]
SLOTS_MAX: Final = 8 * SLOTS
LIST_BYTES_MAX: Final = 262_144
TTL_MS: Final = 3_600_000
"""How long a copy counts as fresh: a revocation is known everywhere within the hour."""

_TTL_MS_MAX: Final = 30 * 86_400_000
_TYPES: Final = ("VerifiableCredential", "BitstringStatusListCredential")
_ID: Final = re.compile(r"https://[a-z0-9.-]+/status/[0-9]{1,9}/(revocation|suspension)\Z")
_GZIP: Final = 16 + zlib.MAX_WBITS  # zlib's word for a gzip header, in which it writes no time and no name
_ENCODED: Final = re.compile(r"u[A-Za-z0-9_-]+\Z")


class SlotOutOfRange(InvalidInput):
    code = "LLN-1192"
    zh = "状态列表中没有这个序号。"
    en = "The status list has no such slot."


class MalformedStatusList(BadCredential):
    code = "LLN-2704"
    zh = "状态列表不符合 W3C Bitstring Status List 的要求，或超出大小限制。"
    en = "The status list is not as W3C Bitstring Status List asks, or exceeds a limit."


class StatusList(msgspec.Struct, frozen=True, kw_only=True):
    """The bits of one list as signed at one time. `bits`: slot 0 is the most significant bit of the first byte.

    After `valid_until_ms` the list says nothing any more; within `ttl_ms` of `valid_from_ms` a copy is fresh.
    """

    id: str
    purpose: Purpose
    issuer_did: str
    bits: bytes
    valid_from_ms: EpochMs
    valid_until_ms: EpochMs
    ttl_ms: int

    def is_raised(self, index: int) -> bool:
        """Whether the bit at `index` is set; raises SlotOutOfRange."""
        if not 0 <= index < 8 * len(self.bits):
            raise SlotOutOfRange(self.id, f"slot {index} of {8 * len(self.bits)}")
        return bool(self.bits[index // 8] & (0x80 >> index % 8))

    def is_fresh(self, at_ms: int) -> bool:
        """Whether a verifier may rely on this copy at `at_ms`; a list from the future is as good as none."""
        return self.valid_from_ms <= at_ms <= min(self.valid_from_ms + self.ttl_ms, self.valid_until_ms)


class VerifiedStatusList(msgspec.Struct, frozen=True, kw_only=True):
    """A status list that its issuer has signed; only `verify` makes it."""

    statuses: StatusList
    issuer: NodeKey
    document: bytes


class _Subject(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    type: Literal["BitstringStatusList"]
    status_purpose: Purpose
    encoded_list: Annotated[str, Meta(max_length=LIST_BYTES_MAX)]
    ttl: Annotated[int, Meta(ge=0, le=_TTL_MS_MAX)] = TTL_MS


class _Shape(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    context: Annotated[tuple[str, ...], Meta(max_length=4)] = msgspec.field(name="@context")
    id: Annotated[str, Meta(max_length=300)]
    type: Annotated[tuple[str, ...], Meta(max_length=4)]
    issuer: Annotated[str, Meta(max_length=100)]
    valid_from: str
    valid_until: str
    credential_subject: _Subject


# --- names -----------------------------------------------------------------------------------------------------------


def list_id(node: NodeName, number: int, purpose: Purpose = "revocation") -> StatusListId:
    """What the `number`th list of a node is called: `https://<node>/status/<number>/<purpose>`."""
    return f"https://{node}/status/{number}/{purpose}"


def sister_of(revocation_list: StatusListId) -> str:
    """The suspension list that goes with a revocation list: same issuer, same index, another last word."""
    return revocation_list.removesuffix("revocation") + "suspension"


# --- bits ------------------------------------------------------------------------------------------------------------


def encode(raised: Collection[int], slots: int = SLOTS) -> str:
    """The `encodedList` in which the bits of `raised` are set; raises SlotOutOfRange."""
    bits = bytearray(slots // 8)
    for index in raised:
        if not 0 <= index < slots:
            raise SlotOutOfRange("status list", f"slot {index} of {slots}")
        bits[index // 8] |= 0x80 >> index % 8
    packer = zlib.compressobj(wbits=_GZIP)
    packed = packer.compress(bits) + packer.flush()
    return "u" + base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def decode(encoded: str) -> bytes:
    """The bits of an `encodedList`, of which there are at least 131,072; raises MalformedStatusList.

    Never unpacks more than the largest list this network accepts, whatever was packed.
    """
    if not _ENCODED.match(encoded):
        raise MalformedStatusList("status list", "expected base64url after a u")
    try:
        packed = base64.urlsafe_b64decode(encoded[1:] + "=" * (-len(encoded[1:]) % 4))
        unpacker = zlib.decompressobj(wbits=_GZIP)
        bits = unpacker.decompress(packed, SLOTS_MAX // 8 + 1)
    except (binascii.Error, zlib.error) as error:
        raise MalformedStatusList("status list", "not a gzip member in base64url") from error
    if not unpacker.eof or unpacker.unused_data or not SLOTS <= 8 * len(bits) <= SLOTS_MAX:
        raise MalformedStatusList("status list", f"expected {SLOTS} to {SLOTS_MAX} slots, and nothing after them")
    return bits


# --- documents -------------------------------------------------------------------------------------------------------


def publish(
    raised: Collection[int], *, list_id: str, signer: Signer, now_ms: int, valid_for_ms: int, ttl_ms: int = TTL_MS
) -> bytes:
    """The list with the bits of `raised` set, as a signed BitstringStatusListCredential; equal input, equal bytes.

    Its purpose is the last word of its id. Raises SlotOutOfRange.
    """
    purpose = _ID.match(list_id)
    assert purpose, list_id  # noqa: S101  # made by `list_id` or `sister_of`
    members: dict[str, Any] = {
        "@context": (VC_CONTEXT,),
        "id": list_id,
        "type": _TYPES,
        "issuer": signer.did,
        "validFrom": to_text(now_ms),
        "validUntil": to_text(now_ms + valid_for_ms),
        "credentialSubject": {
            "id": f"{list_id}#list",
            "type": "BitstringStatusList",
            "statusPurpose": purpose[1],
            "encodedList": encode(raised),
            "ttl": ttl_ms,
        },
    }
    return document_proofs.secure(canonical.encode(members), signer, now_ms)


def verify(document: bytes) -> VerifiedStatusList:
    """A status list whose every known proof is good and its issuer's.

    Raises MalformedStatusList, MalformedCredential, TamperedCredential, UnverifiedCredential. Whether it is the right
    list, and new enough, is for the caller to ask.
    """
    proven = document_proofs.verify(document, bytes_max=LIST_BYTES_MAX)
    statuses = _read(proven.members)
    issuer = document_proofs.signer_of(proven, statuses.issuer_did)
    return VerifiedStatusList(statuses=statuses, issuer=issuer, document=document)


def _read(members: dict[str, Any]) -> StatusList:
    try:
        shape = msgspec.convert(members, _Shape)
        subject = shape.credential_subject
        purpose = _ID.match(shape.id)
        if shape.context != (VC_CONTEXT,) or sorted(shape.type) != sorted(_TYPES):
            raise MalformedStatusList("status list", "not a BitstringStatusListCredential in the VC 2.0 context")
        if not purpose or purpose[1] != subject.status_purpose:
            raise MalformedStatusList("status list", "its id does not end in its purpose")
        return StatusList(
            id=shape.id,
            purpose=subject.status_purpose,
            issuer_did=shape.issuer,
            bits=decode(subject.encoded_list),
            valid_from_ms=to_ms(shape.valid_from),
            valid_until_ms=to_ms(shape.valid_until),
            ttl_ms=subject.ttl,
        )
    except (ValueError, msgspec.ValidationError) as error:
        raise MalformedStatusList("status list", canonical.reason(error)) from error
