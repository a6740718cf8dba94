"""Certificates that no honest authority would issue, signed with a real one's key."""

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from federation import issuance
from federation.certificate_profile import BACKDATED_MS, read_authority
from federation.issuance import DAY_MS
from tests.support.small_network import Member, serial


def forged(issuer: Member, child: Member, **changes) -> bytes:
    """A certificate for `child`, signed by `issuer`, in which some things are otherwise than the profile wants."""
    own = {
        "subject": issuance._distinguished(child.name),
        "issuer": read_authority(issuer.certificate).parsed.subject,
        "names": [x509.DNSName(child.name), x509.UniformResourceIdentifier(child.key.did)],
        "bound": x509.NameConstraints([x509.DNSName(child.name)], None),
        "bound_critical": True,
        "basic": x509.BasicConstraints(ca=True, path_length=0),
        "basic_critical": True,
        "usage": issuance._usage(signs_certificates=True),
        "public_key": child.ca_key.public_key(),
        "more": [],
        "hash": SHA256(),
        "ca_key": issuer.ca_key,
    } | changes
    builder = (
        x509.CertificateBuilder()
        .subject_name(own["subject"])
        .issuer_name(own["issuer"])
        .public_key(own["public_key"])
        .serial_number(int.from_bytes(serial(), "big"))
        .not_valid_before(issuance.date(issuer.now_ms - BACKDATED_MS))
        .not_valid_after(issuance.date(issuer.now_ms + DAY_MS))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(child.ca_key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.ca_key.public_key()), critical=False)
    )
    for extension, critical in (
        (own["basic"], own["basic_critical"]),
        (own["usage"], True),
        (own["bound"], own["bound_critical"]),
        (x509.SubjectAlternativeName(own["names"]) if own["names"] else None, False),
        *own["more"],
    ):
        builder = builder.add_extension(extension, critical=critical) if extension else builder
    return builder.sign(own["ca_key"], own["hash"]).public_bytes(Encoding.DER)
