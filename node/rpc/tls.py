"""TLS as gRPC wants it: credentials that follow this node's own renewed certificates, and who is at the other end.

What must not live here: which certificates are good (`federation/certificates.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import grpc

from federation.certificates import VERIFIED_CHAINS_MAX, ChainVerifier, VerifiedNode
from federation.errors import UntrustedPeer

_LEAF: Final = "x509_pem_cert"
_ABOVE: Final = "x509_pem_cert_chain"


class TlsMaterial(Protocol):
    """The TLS leaf of the node that runs here, always current; asked from gRPC's own threads too."""

    def current_tls(self) -> tuple[bytes, bytes]:
        """(private key PEM, chain PEM: leaf, node certificate, and so on upward, root left out)."""
        ...

    @property
    def root_pem(self) -> bytes: ...


class NoCertificateShown(UntrustedPeer):
    code = "LLN-2101"
    zh = "对端没有出示证书，无法确认身份。"
    en = "The peer showed no certificate, so nobody knows who it is."


def server_credentials(
    material: TlsMaterial, *, mutual: bool, begun: Callable[[], None] = lambda: None
) -> grpc.ServerCredentials:
    """Credentials that take up a renewed leaf at the next handshake; `mutual` insists on the client's certificate.

    `begun` is told of every handshake that begins, from a thread of gRPC's.
    """
    last = material.current_tls()

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal last
        begun()
        current = material.current_tls()
        if current == last:
            return None
        last = current
        return _configuration(current, material.root_pem)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(last, material.root_pem),
        renewed,  # type: ignore[arg-type]  # the stub forgets that None means: as before
        require_client_authentication=mutual,
    )


def channel_credentials(tls: tuple[bytes, bytes], root_pem: bytes) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(root_certificates=root_pem, private_key=tls[0], certificate_chain=tls[1])


class TlsPeers:
    """Reads the verified node at the other end from a call's TLS properties: the handshake has shown its whole chain.

    Asked on every call, so that a certificate which expires under an open connection ends its use. What has been shown
    before is known by its very bytes, which is all that a call can afford.
    """

    def __init__(self, chains: ChainVerifier) -> None:
        self._chains = chains
        self._known: dict[tuple[bytes, bytes], VerifiedNode] = {}

    def peer_of(self, properties: Mapping[str, Sequence[bytes]], now_ms: int) -> VerifiedNode:
        """Raises NoCertificateShown, or what `ChainVerifier` raises."""
        leaf, above = b"".join(properties.get(_LEAF, ())), b"".join(properties.get(_ABOVE, ()))
        known = self._known.get((leaf, above))
        if known is not None and known.not_before_ms <= now_ms <= known.not_after_ms:
            return known
        if not leaf:
            raise NoCertificateShown("TLS peer", "no certificate in the handshake")
        # A server's TLS library leaves the leaf out of the chain, a client's does not.
        verified = self._chains.tls_pem(above if above.startswith(leaf) else leaf + above, now_ms)
        if len(self._known) >= VERIFIED_CHAINS_MAX:
            self._known.clear()
        self._known[leaf, above] = verified
        return verified


def _configuration(tls: tuple[bytes, bytes], root_pem: bytes) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([tls], root_certificates=root_pem)
