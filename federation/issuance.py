"""Making certificates: the root's, those of an authority's children, a node's own TLS leaves, and the request for one.

What lives here: issue within the profile (`certificate_profile.py`). What must not: key files, a clock or randomness;
keys, serial numbers and `now_ms` are passed in, and signatures are deterministic (RFC 6979), so that the same input
gives the same certificate.
"""

from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, SignatureAlgorithmOID

from federation.certificate_profile import (
    BACKDATED_MS,
    CERTIFICATE_BYTES_MAX,
    FOREIGN_ERRORS,
    TOLD_CHARS_MAX,
    MayNotIssue,
    OutsideLineage,
    date,
    dns_name,
    p256_spki,
    read_authority,
)
from federation.errors import InvalidInput, LlnError, Unavailable
from federation.keys import NodeKey
from federation.naming import DEPTH_MAX, NodeKind, NodeName

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
ROOT_LIFE_MS: Final = 20 * 365 * DAY_MS
NODE_LIFE_MS: Final = 365 * DAY_MS
LEAF_LIFE_MS: Final = 7 * DAY_MS
SERIAL_BYTES: Final = 16

ADMITTING_KINDS: Final[frozenset[NodeKind]] = frozenset(("authority", "open_university", "credit_bank"))
"""The kinds that may admit nodes below them; all others are leaf institutions, with path length 0."""


class MalformedSigningRequest(InvalidInput):
    code = "LLN-1151"
    zh = "证书请求不正确：应为 P-256 密钥自签的 PKCS #10 请求。"
    en = "Not an acceptable signing request: expected PKCS #10 for a P-256 key, signed by that key."


class IssuerExpired(Unavailable):
    code = "LLN-1650"
    zh = "本节点自己的证书已过期，暂时不能签发证书。请先续期。"
    en = "This node's own certificate has expired, so it cannot issue any. Renew it first."


class SigningRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request whose sender holds the P-256 key; `name` is what it asks for, `public_key` its SPKI in DER."""

    name: NodeName
    public_key: bytes


def read_signing_request(der: bytes) -> SigningRequest:
    """Read a request and check that its sender holds the key (RFC 2986 §3); raises MalformedSigningRequest."""
    if len(der) > CERTIFICATE_BYTES_MAX:
        raise MalformedSigningRequest("signing request", f"{len(der)} bytes, at most {CERTIFICATE_BYTES_MAX}")
    try:
        request = x509.load_der_x509_csr(der)
        alternative = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        name = dns_name(list(alternative))
        public_key = p256_spki(request.public_key(), name)
        is_signed = request.is_signature_valid and der.endswith(b"\0" + request.signature)
    except (*FOREIGN_ERRORS, x509.ExtensionNotFound) as error:
        raise MalformedSigningRequest("signing request", str(error)[:TOLD_CHARS_MAX]) from error
    except LlnError as error:
        raise MalformedSigningRequest("signing request", error.detail) from error
    if not is_signed or request.signature_algorithm_oid != SignatureAlgorithmOID.ECDSA_WITH_SHA256:
        raise MalformedSigningRequest(name, "not signed by the key it carries, with SHA-256")
    return SigningRequest(name=name, public_key=public_key)


def path_length(kind: NodeKind, depth: int) -> int:
    """How many authorities may stand below a node of this kind at this depth (RFC 5280 §4.2.1.9)."""
    return DEPTH_MAX - depth if kind in ADMITTING_KINDS or depth == 0 else 0


def issue_root(
    name: NodeName, key: NodeKey, ca_key: ec.EllipticCurvePrivateKey, *, serial: bytes, now_ms: int
) -> bytes:
    """The self-signed certificate (DER) of a new network's root; `serial` is 16 unpredictable bytes."""
    public_key = ca_key.public_key()
    builder = _authority(name, key.did, public_key, DEPTH_MAX).issuer_name(_distinguished(name))
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public_key), critical=False)
    return _sign(builder, ca_key, serial, now_ms - BACKDATED_MS, now_ms + ROOT_LIFE_MS)


def issue_node(
    request: SigningRequest,
    key: NodeKey,
    *,
    kind: NodeKind,
    issuer: bytes,
    ca_key: ec.EllipticCurvePrivateKey,
    serial: bytes,
    now_ms: int,
    life_ms: int = NODE_LIFE_MS,
) -> bytes:
    """A certificate (DER) for a direct child of `issuer` (DER), never outliving it.

    Raises OutsideLineage, MayNotIssue or IssuerExpired.
    """
    above = read_authority(issuer)
    if request.name.partition(".")[2] != above.claims.name:
        raise OutsideLineage(request.name, f"not directly below {above.claims.name}")
    remaining = DEPTH_MAX if above.claims.path_length is None else above.claims.path_length
    if remaining < 1:
        raise MayNotIssue(above.claims.name, "its certificate has path length 0")
    not_after_ms = min(now_ms + life_ms, above.claims.not_after_ms)
    if not_after_ms <= now_ms:
        raise IssuerExpired(above.claims.name, f"since {date(above.claims.not_after_ms):%Y-%m-%d %H:%M} UTC")
    public_key = load_der_public_key(request.public_key)
    assert isinstance(public_key, ec.EllipticCurvePublicKey)  # noqa: S101  # read_signing_request has seen to it
    below = remaining - 1 if kind in ADMITTING_KINDS else 0
    builder = _issued_by(_authority(request.name, key.did, public_key, below), above.parsed)
    return _sign(builder, ca_key, serial, now_ms - BACKDATED_MS, not_after_ms)


def issue_tls_leaf(
    node_certificate: bytes,
    ca_key: ec.EllipticCurvePrivateKey,
    public_key: ec.EllipticCurvePublicKey,
    *,
    serial: bytes,
    now_ms: int,
) -> bytes:
    """A short-lived TLS certificate (DER) by which a node shows itself, for a fresh P-256 key."""
    node = read_authority(node_certificate)
    builder = (
        _issued_by(x509.CertificateBuilder(), node.parsed)
        .subject_name(x509.Name([]))  # hence the critical alternative name, RFC 5280 §4.2.1.6
        .public_key(public_key)
        .add_extension(_alternative(node.claims.name, node.claims.did), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
    )
    return _sign(builder, ca_key, serial, now_ms - BACKDATED_MS, now_ms + LEAF_LIFE_MS)


def make_signing_request(name: NodeName, ca_key: ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS #10 in DER (RFC 2986): the P-256 key asks for `name`, and proves itself by signing."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_distinguished(name))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return builder.sign(ca_key, SHA256(), ecdsa_deterministic=True).public_bytes(Encoding.DER)


def _authority(
    name: NodeName, did: str, public_key: ec.EllipticCurvePublicKey, path_length: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_distinguished(name))
        .public_key(public_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(_alternative(name, did), critical=False)
        .add_extension(x509.NameConstraints([x509.DNSName(name)], None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _issued_by(builder: x509.CertificateBuilder, issuer: x509.Certificate) -> x509.CertificateBuilder:
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return builder.issuer_name(issuer.subject).add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
    )


def _sign(
    builder: x509.CertificateBuilder, ca_key: ec.EllipticCurvePrivateKey, serial: bytes, from_ms: int, until_ms: int
) -> bytes:
    assert len(serial) == SERIAL_BYTES, len(serial)  # noqa: S101  # our own mistake; RFC 5280 §4.1.2.2 allows 20
    number = int.from_bytes(serial, "big") | 1  # positive
    builder = builder.serial_number(number).not_valid_before(date(from_ms)).not_valid_after(date(until_ms))
    return builder.sign(ca_key, SHA256(), ecdsa_deterministic=True).public_bytes(Encoding.DER)  # RFC 6979


def _distinguished(name: NodeName) -> x509.Name:
    """A name as domain components, most general first (RFC 2247 §2); a common name ends at 64 characters."""
    labels = reversed(name.split("."))
    return x509.Name([x509.NameAttribute(NameOID.DOMAIN_COMPONENT, label) for label in labels])


def _alternative(name: NodeName, did: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.DNSName(name), x509.UniformResourceIdentifier(did)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
