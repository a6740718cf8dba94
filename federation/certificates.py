"""From the bytes of a certificate chain to a VerifiedNode: the numbered checks (RFC 5280 §6.1, DESIGN.md §3).

What lives here: the checks, in their order, and the memory of chains that passed. What must not: the look of one
certificate (`certificate_profile.py`), making any (`issuance.py`), or whether its holder is still admitted
(`directory.py`).

There are two kinds of chain. A TLS peer shows its leaf, then its node certificate, and so on upward. In a hello, a join
and a resolution the node certificate comes first. The pinned root is never part of either.
"""

from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise
from typing import Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store, VerificationError

from federation.certificate_profile import (
    CHAIN_CERTIFICATES_MAX,
    Certificate,
    Claims,
    MalformedChain,
    MayNotIssue,
    OutsideLineage,
    date,
    from_pem,
    read_authority,
    read_leaf,
)
from federation.errors import UntrustedPeer
from federation.keys import NodeKey
from federation.naming import NodeName, parent_of

VERIFIED_CHAINS_MAX: Final = 1_024

_END_ENTITY_POLICY: Final = ExtensionPolicy.permit_all().require_present(
    x509.SubjectAlternativeName, Criticality.AGNOSTIC, None
)
_AUTHORITY_POLICY: Final = ExtensionPolicy.webpki_defaults_ca()


class CertificateExpired(UntrustedPeer):
    code = "LLN-215"
    zh = "证书已过期。请在该节点上运行 lln check；未被撤销的节点 180 天内仍可续期。"
    en = "A certificate has expired. Run lln check on that node; unless revoked it can renew for 180 days."


class CertificateNotYetValid(UntrustedPeer):
    code = "LLN-216"
    zh = "证书尚未生效。请先核对两台机器的时钟。"
    en = "A certificate is not valid yet. Check the clocks of both machines first."


class BrokenChain(UntrustedPeer):
    code = "LLN-217"
    zh = "证书链不能验证到本网络的根证书。"
    en = "The certificate chain does not lead to this network's root."


class LeafNotCertified(UntrustedPeer):
    code = "LLN-219"
    zh = "TLS 证书的名称或公钥与其节点证书不一致。"
    en = "The TLS certificate states another name or key than the node certificate that signed it."


class VerifiedNode(msgspec.Struct, frozen=True, kw_only=True):
    """Who a chain speaks for; only the verifier makes them.

    `certificate` is the node certificate (DER); `chain` starts with it and leaves the root out, so it is empty for the
    root itself. `names` is the lineage, own name first. The span is that in which every certificate shown is valid.
    """

    name: NodeName
    key: NodeKey
    certificate: bytes
    chain: tuple[bytes, ...]
    names: tuple[NodeName, ...]
    not_before_ms: int
    not_after_ms: int


def verify_node_chain(chain: Sequence[bytes], root: bytes, now_ms: int) -> VerifiedNode:
    """The node that `chain` (DER, its own certificate first, root left out) speaks for; empty speaks for the root.

    Raises MalformedChain, WrongSubject, OutsideLineage, MayNotIssue, CertificateExpired, CertificateNotYetValid or
    BrokenChain.
    """
    # 1. A bounded number of bounded certificates, each of the profile (RFC 5280 §4).
    _check_count(chain, CHAIN_CERTIFICATES_MAX - 1)
    line = [*map(read_authority, chain), _read_anchor(root)]
    _check_line(line)
    _check_dates(line, now_ms)
    # 6. Signatures, issuers, name constraints (RFC 5280 §6.1.3). The library takes the first certificate for an end
    # entity and so does not count it against path lengths; step 3 has done that.
    if chain:
        _check_path(line, now_ms)
    return _verified(line, line)


def verify_tls_chain(chain: Sequence[bytes], root: bytes, now_ms: int) -> VerifiedNode:
    """The node that a TLS peer has proven to be: `chain` is its leaf, its node certificate, and so on (DER).

    Raises as `verify_node_chain` does, and LeafNotCertified.
    """
    # 1. As above, and an end entity in front.
    _check_count(chain, CHAIN_CERTIFICATES_MAX)
    if not chain:
        raise MalformedChain("TLS chain", "no certificate was shown")
    leaf = read_leaf(chain[0])
    line = [*map(read_authority, chain[1:]), _read_anchor(root)]
    _check_line(line)
    # 4. The leaf speaks for the very node whose certificate signed it: an authority cannot pass for its child.
    node = line[0].claims
    if (leaf.claims.name, leaf.claims.did) != (node.name, node.did):
        raise LeafNotCertified(leaf.claims.name, f"signed by the certificate of {node.name}")
    shown = [leaf, *line]
    _check_dates(shown, now_ms)
    _check_path(shown, now_ms)
    return _verified(line, shown)


def is_issued_by(certificate: bytes, issuer: bytes) -> bool:
    """Whether `issuer`'s present key signed this certificate (both DER): not so after its machine was replaced."""
    try:
        read_authority(certificate).parsed.verify_directly_issued_by(read_authority(issuer).parsed)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def check_root(root: bytes) -> Claims:
    """What a root certificate (DER) states, its signature by itself checked.

    Raises MalformedChain, WrongSubject or BrokenChain.
    """
    return _read_anchor(root).claims


class ChainVerifier:
    """Verifies chains against one pinned root, and remembers the good ones by the digest of their bytes.

    Bounded; what is remembered holds only while all of its certificates do.
    """

    def __init__(self, root: bytes, *, remembered_max: int = VERIFIED_CHAINS_MAX) -> None:
        self.root = root
        self.root_name = check_root(root).name
        self._remembered_max = remembered_max
        self._remembered: OrderedDict[bytes, VerifiedNode] = OrderedDict()

    def node(self, chain: Sequence[bytes], now_ms: int) -> VerifiedNode:
        """As `verify_node_chain`."""
        shown = b"node" + b"".join(sha256(der).digest() for der in chain)
        return self._once(shown, now_ms, lambda: verify_node_chain(chain, self.root, now_ms))

    def tls_pem(self, chain_pem: bytes, now_ms: int) -> VerifiedNode:
        """As `verify_tls_chain`, over PEM as a TLS layer hands it over."""
        return self._once(b"tls" + chain_pem, now_ms, lambda: verify_tls_chain(from_pem(chain_pem), self.root, now_ms))

    def _once(self, shown: bytes, now_ms: int, verify: Callable[[], VerifiedNode]) -> VerifiedNode:
        digest = sha256(shown).digest()
        known = self._remembered.get(digest)
        if known is not None and known.not_before_ms <= now_ms <= known.not_after_ms:
            self._remembered.move_to_end(digest)
            return known
        self._remembered[digest] = verified = verify()
        self._remembered.move_to_end(digest)
        if len(self._remembered) > self._remembered_max:
            self._remembered.popitem(last=False)
        return verified


@lru_cache(maxsize=VERIFIED_CHAINS_MAX)
def as_recorded(chain: tuple[bytes, ...]) -> tuple[str, ...]:
    """Certificates as directories record them; asked for every call, and for every message of a stream."""
    return tuple(b64encode(der).decode() for der in chain)


def _check_count(chain: Sequence[bytes], certificates_max: int) -> None:
    if len(chain) > certificates_max:
        raise MayNotIssue("certificate chain", f"{len(chain)} certificates, at most {certificates_max}")


@lru_cache(maxsize=16)
def _read_anchor(root: bytes) -> Certificate:
    anchor = read_authority(root)
    try:
        anchor.parsed.verify_directly_issued_by(anchor.parsed)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise BrokenChain(anchor.claims.name, "a root certificate that is not signed by itself") from error
    return anchor


def _check_line(line: Sequence[Certificate]) -> None:
    root = line[-1].claims.name
    for below, (one, above) in enumerate(pairwise(line)):
        # 2. Every name is directly below its issuer's: nothing in between is skipped, nothing outside the network.
        if parent_of(one.claims.name, root) != above.claims.name:
            raise OutsideLineage(one.claims.name, f"issued by {above.claims.name}")
        # 3. Whoever issues may (RFC 5280 §6.1.4 (l), (m)), counting the node itself, which is an authority too.
        if above.claims.path_length is not None and above.claims.path_length <= below:
            raise MayNotIssue(above.claims.name, f"path length {above.claims.path_length}, {below + 1} below it")


def _check_dates(shown: Sequence[Certificate], now_ms: int) -> None:
    # 5. Every certificate is valid now (RFC 5280 §6.1.3 (a)(2)), the root too.
    for one in shown:
        if now_ms > one.claims.not_after_ms:
            raise CertificateExpired(one.claims.name, f"since {date(one.claims.not_after_ms):%Y-%m-%d %H:%M} UTC")
        if now_ms < one.claims.not_before_ms:
            begins = f"{date(one.claims.not_before_ms):%Y-%m-%d %H:%M} UTC"
            raise CertificateNotYetValid(
                one.claims.name, f"from {begins}, and here it is {date(now_ms):%Y-%m-%d %H:%M}"
            )


def _check_path(shown: Sequence[Certificate], now_ms: int) -> None:
    target, *between, anchor = (one.parsed for one in shown)
    verifier = (
        PolicyBuilder()
        .store(Store([anchor]))
        .time(date(now_ms))
        .max_chain_depth(CHAIN_CERTIFICATES_MAX)
        .extension_policies(ca_policy=_AUTHORITY_POLICY, ee_policy=_END_ENTITY_POLICY)
        .build_client_verifier()
    )
    try:
        path = verifier.verify(target, between).chain
    except (VerificationError, ValueError) as error:
        raise BrokenChain(shown[0].claims.name, str(error)[:200]) from error
    if path != [target, *between, anchor]:
        raise BrokenChain(shown[0].claims.name, "the certificates shown are not the path, in its order")


def _verified(line: Sequence[Certificate], shown: Sequence[Certificate]) -> VerifiedNode:
    node = line[0].claims
    return VerifiedNode(
        name=node.name,
        key=NodeKey.parse(node.did),
        certificate=line[0].der,
        chain=tuple(one.der for one in line[:-1]),
        names=tuple(one.claims.name for one in line),
        not_before_ms=max(one.claims.not_before_ms for one in shown),
        not_after_ms=min(one.claims.not_after_ms for one in shown),
    )
