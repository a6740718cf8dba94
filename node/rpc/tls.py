"""TLS as gRPC wants it: credentials that follow this node's own renewed certificates, and who is at the other end.

What must not live here: which certificates are good (`federation/certificates.py`).
"""

from collections.abc import Callable
from typing import Protocol

import grpc

from federation.certificates import ChainVerifier, VerifiedNode
from federation.errors import UntrustedPeer


class TlsMaterial(Protocol):
    """The TLS leaf of the node that runs here, always current."""

    def current_tls(self) -> tuple[bytes, bytes]:
        """(private key PEM, chain PEM: leaf, node certificate, and so on upward, root left out)."""
        ...

    @property
    def root_pem(self) -> bytes: ...


class NoCertificateShown(UntrustedPeer):
    code = "LLN-2101"
    zh = "对端没有出示证书，无法确认身份。"
    en = "The peer showed no certificate, so nobody knows who it is."


def server_credentials(material: TlsMaterial, *, mutual: bool) -> grpc.ServerCredentials:
    """Credentials that take up a renewed leaf at the next handshake; `mutual` asks clients for theirs."""
    last = material.current_tls()

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal last
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
    """Reads the verified node at the other end from a call's TLS properties."""

    def __init__(self, chains: ChainVerifier, now_ms: Callable[[], int]) -> None:
        self._chains = chains
        self._now_ms = now_ms

    def peer_of(self, properties: "dict[str, list[bytes]] | object") -> VerifiedNode:
        """Raises NoCertificateShown, or what `ChainVerifier` raises."""
        shown = properties if isinstance(properties, dict) else {}
        leaf = b"".join(shown.get("x509_pem_cert", ())[:1])
        above = b"".join(shown.get("x509_pem_cert_chain", ())[:1])
        if not leaf:
            raise NoCertificateShown("TLS peer", "no certificate in the handshake")
        chain = above if above.startswith(leaf) else leaf + above
        return self._chains.tls_pem(chain, self._now_ms())


def _configuration(tls: tuple[bytes, bytes], root_pem: bytes) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([tls], root_certificates=root_pem)
