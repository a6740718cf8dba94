"""One certificate: the profile of the network (RFC 5280), and reading it.

What lives here: what a root, a node certificate and a TLS leaf look like. What must not: making them (`issuance.py`),
or whether a chain of them leads to the pinned root (`certificates.py`).

A node certificate is a CA certificate for the node's P-256 key, issued by its parent. It states two things of its
holder, a DNS name (the node name) and a URI (the `did:key` of its Ed25519 key), and a critical name constraint keeps
whatever it signs at or below that name. With it the node signs short-lived TLS leaves for itself.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, TypeVar

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import SignatureAlgorithmOID

from federation.errors import InvalidInput, UntrustedPeer
from federation.keys import NodeKey
from federation.naming import DEPTH_MAX, NodeName, parse_name

CERTIFICATE_BYTES_MAX: Final = 4_096
CHAIN_CERTIFICATES_MAX: Final = DEPTH_MAX + 1
"""Every authority below the root, and a TLS leaf; the root itself is pinned and never sent."""
BACKDATED_MS: Final = 2 * 3_600_000
"""A peer whose clock is an hour slow must get through TLS, so that the signed call can tell it so."""

_DID: Final = "did:key:"
_UNDERSTOOD: Final = (x509.BasicConstraints, x509.KeyUsage, x509.NameConstraints, x509.SubjectAlternativeName)
FOREIGN_ERRORS: Final = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What the X.509 library raises over bytes it does not like."""
TOLD_CHARS_MAX: Final = 200

AnExtension = TypeVar("AnExtension", bound=x509.ExtensionType)


class MalformedChain(UntrustedPeer):
    code = "LLN-212"
    zh = "证书或证书链无法解析，或不符合本网络的证书格式。"
    en = "A certificate or chain cannot be read, or is not of this network's profile."


class WrongSubject(UntrustedPeer):
    code = "LLN-213"
    zh = "证书必须且只能写明一个节点名称和一个 did:key 公钥。"
    en = "A certificate must state exactly one node name and one did:key, and this one does not."


class OutsideLineage(UntrustedPeer):
    code = "LLN-214"
    zh = "证书上的名称不在签发者之下：上级只能为自己的直接下级签发证书。"
    en = "The name is not directly below its issuer's: an authority may speak only for names below its own."


class MayNotIssue(UntrustedPeer):
    code = "LLN-218"
    zh = "签发者无权签发下级证书，或层级超过 7 级。"
    en = "The issuer may not admit nodes below itself, or the chain is deeper than seven levels."


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a certificate states, believed by nobody yet.

    `public_key` is the P-256 key as SPKI in DER; `path_length` None means unlimited, and -1 an end entity.
    """

    name: NodeName
    did: str
    public_key: bytes
    path_length: int | None
    not_before_ms: int
    not_after_ms: int


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate of the profile, parsed and not verified."""

    der: bytes
    parsed: x509.Certificate
    claims: Claims


@lru_cache(maxsize=512)
def read_authority(der: bytes) -> Certificate:
    """Read a node or root certificate and check its profile; raises MalformedChain, WrongSubject."""
    parsed = _parse(der)
    name, did = _names_in(parsed)
    constraints = _extension(parsed, x509.BasicConstraints, name, critical=True)
    if not constraints.ca:
        raise MalformedChain(name, "not the certificate of an authority (RFC 5280 §4.2.1.9)")
    if not _extension(parsed, x509.KeyUsage, name, critical=True).key_cert_sign:
        raise MalformedChain(name, "its key may not sign certificates (RFC 5280 §4.2.1.3)")
    bound = _extension(parsed, x509.NameConstraints, name, critical=True)
    if bound.permitted_subtrees != [x509.DNSName(name)] or bound.excluded_subtrees is not None:
        raise MalformedChain(name, "not bound to its own name (RFC 5280 §4.2.1.10)")
    return Certificate(der=der, parsed=parsed, claims=_claims(parsed, name, did, constraints.path_length))


def read_leaf(der: bytes) -> Certificate:
    """Read a TLS leaf; raises MalformedChain, WrongSubject."""
    parsed = _parse(der)
    name, did = _names_in(parsed)
    if _extension(parsed, x509.BasicConstraints, name, critical=True).ca:
        raise MalformedChain(name, "a TLS leaf that is itself an authority")
    return Certificate(der=der, parsed=parsed, claims=_claims(parsed, name, did, -1))


def issued_at_ms(certificate: bytes) -> int:
    """When a node certificate was issued; its validity begins earlier, for the sake of slow clocks."""
    return read_authority(certificate).claims.not_before_ms + BACKDATED_MS


def is_later(certificate: bytes, before: bytes) -> bool:
    """Whether a certificate was issued after another; False where one of them cannot be read."""
    try:
        return issued_at_ms(certificate) > issued_at_ms(before)
    except UntrustedPeer:
        return False


def renewal_due_ms(certificate: bytes) -> int:
    """When a node certificate should be renewed: at two thirds of its life."""
    issued_ms = issued_at_ms(certificate)
    return issued_ms + (read_authority(certificate).claims.not_after_ms - issued_ms) * 2 // 3


def to_pem(chain: Sequence[bytes]) -> bytes:
    """DER certificates as one PEM text (RFC 7468 §5); raises MalformedChain."""
    return b"".join(_parse(der).public_bytes(Encoding.PEM) for der in chain)


def from_pem(chain_pem: bytes) -> tuple[bytes, ...]:
    """The certificates of a PEM text as DER, in order; raises MalformedChain."""
    if len(chain_pem) > 2 * CERTIFICATE_BYTES_MAX * CHAIN_CERTIFICATES_MAX:
        raise MalformedChain("PEM", f"{len(chain_pem)} bytes")
    try:
        return tuple(one.public_bytes(Encoding.DER) for one in x509.load_pem_x509_certificates(chain_pem))
    except FOREIGN_ERRORS as error:
        raise MalformedChain("PEM", str(error)[:TOLD_CHARS_MAX]) from error


def date(at_ms: int) -> datetime:
    """The instant in UTC; X.509 knows no smaller unit than a second."""
    return datetime.fromtimestamp(at_ms // 1000, UTC)


def _parse(der: bytes) -> x509.Certificate:
    if len(der) > CERTIFICATE_BYTES_MAX:
        raise MalformedChain("certificate", f"{len(der)} bytes, at most {CERTIFICATE_BYTES_MAX}")
    try:
        parsed = x509.load_der_x509_certificate(der)
        unknown = [one.oid for one in parsed.extensions if one.critical and not isinstance(one.value, _UNDERSTOOD)]
        is_ours = parsed.signature_algorithm_oid == SignatureAlgorithmOID.ECDSA_WITH_SHA256
        has_whole_octets = der.endswith(b"\0" + parsed.signature)  # X.690 §8.6.2.2, which the library overlooks
    except FOREIGN_ERRORS as error:
        raise MalformedChain("certificate", str(error)[:TOLD_CHARS_MAX]) from error
    if unknown:  # RFC 5280 §4.2: a critical extension that is not recognised is a refusal
        raise MalformedChain("certificate", f"critical extension {unknown[0].dotted_string} is not understood")
    if not is_ours or not has_whole_octets:
        raise MalformedChain("certificate", f"signed with {parsed.signature_algorithm_oid.dotted_string}")
    return parsed


def _extension(parsed: x509.Certificate, kind: type[AnExtension], name: str, *, critical: bool) -> AnExtension:
    try:
        found = parsed.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound as error:
        raise MalformedChain(name, f"no {kind.__name__}") from error
    if critical and not found.critical:
        raise MalformedChain(name, f"{kind.__name__} is not critical")
    return found.value


def _names_in(parsed: x509.Certificate) -> tuple[NodeName, str]:
    alternative = list(_extension(parsed, x509.SubjectAlternativeName, "certificate", critical=False))
    uris = [one for one in alternative if isinstance(one, x509.UniformResourceIdentifier)]
    name = dns_name([one for one in alternative if one not in uris])
    if len(uris) != 1 or not uris[0].value.startswith(_DID):
        raise WrongSubject(name, f"{len(uris)} URIs, expected one did:key")
    return name, NodeKey.parse(uris[0].value).did


def dns_name(names: Sequence[x509.GeneralName]) -> NodeName:
    """The one DNS name there must be, in its one spelling; raises WrongSubject."""
    if len(names) != 1 or not isinstance(names[0], x509.DNSName):
        raise WrongSubject(", ".join(str(one.value) for one in names)[:TOLD_CHARS_MAX], "expected one DNS name")
    written = names[0].value
    try:
        name = parse_name(written)
    except InvalidInput as error:
        raise WrongSubject(error.subject, error.detail) from error
    if name != written:
        raise WrongSubject(written[:TOLD_CHARS_MAX], "not the one spelling of this name")
    return name


def _claims(parsed: x509.Certificate, name: NodeName, did: str, path_length: int | None) -> Claims:
    try:
        return Claims(
            name=name,
            did=did,
            public_key=p256_spki(parsed.public_key(), name),
            path_length=path_length,
            not_before_ms=int(parsed.not_valid_before_utc.timestamp() * 1000),
            not_after_ms=int(parsed.not_valid_after_utc.timestamp() * 1000),
        )
    except FOREIGN_ERRORS as error:
        raise MalformedChain(name, str(error)[:TOLD_CHARS_MAX]) from error


def p256_spki(public_key: object, name: str) -> bytes:
    """A P-256 key as SubjectPublicKeyInfo in DER (RFC 5480 §2), the form in which keys are compared here."""
    if not isinstance(public_key, ec.EllipticCurvePublicKey) or not isinstance(public_key.curve, ec.SECP256R1):
        raise MalformedChain(name, "its key is not on P-256")
    return public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
