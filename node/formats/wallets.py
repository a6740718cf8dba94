"""Credit records for wallets: an eddsa-rdfc-2022 proof in front of our own (vc-di-eddsa §3.2).

What lives here: RDF canonicalisation through openbadgeslib, which brings the contexts and bounds what a hostile graph
may cost, and the export. What must not: our own proofs (`federation/document_proofs.py`), which need none of this.

openbadgeslib belongs to the optional `wallet` requirements and takes a third of a second to import, so only the
functions below import it.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from federation import credentials, document_proofs
from federation.document_proofs import RDFC, Canonicalise, MalformedCredential
from federation.errors import Unavailable
from federation.keys import Signer


class WalletSupportMissing(Unavailable):
    code = "LLN-1690"
    zh = (
        "没有安装导出到钱包所需的软件包。请在程序目录运行 pip install --require-hashes -r requirements/wallet.txt，"
        "重新启动节点后再试。"
    )
    en = (
        "The packages for exporting to wallets are not installed. Run pip install --require-hashes -r "
        "requirements/wallet.txt in the program's folder, start the node again, and try again."
    )


def export(document: bytes, signer: Signer, created_ms: int) -> bytes:
    """A record this node has issued, with an RDF proof in front: wallets look at the first. A copy, never stored.

    Raises WalletSupportMissing, WrongIssuer, and whatever `credentials.verify` raises.
    """
    record = credentials.verify(document).record
    if record.issuer.did != signer.did:
        raise credentials.WrongIssuer(record.id, f"issuer {record.issuer.did}, signer {signer.did}")
    return document_proofs.add_proof(
        document, signer, created_ms, suite=RDFC, canonicalise=graph_canonicaliser(), in_front=True
    )


@cache
def installed_canonicaliser() -> Canonicalise | None:
    """`graph_canonicaliser`, or None where its packages are not installed: then graphs are not verified here."""
    try:
        return graph_canonicaliser()
    except WalletSupportMissing:
        return None


def graph_canonicaliser(more_contexts: Mapping[str, dict[str, Any]] | None = None) -> Canonicalise:
    """RDFC-1.0 over the contexts that come with openbadgeslib, and over `more_contexts`; none is ever fetched.

    Raises WalletSupportMissing. What it returns raises MalformedCredential for what is no graph, or too costly a one.
    """
    try:
        from openbadgeslib.errors import LibOpenBadgesException
        from openbadgeslib.ob3._canon_guard import (
            CanonicalizationGuardUnavailable,
            CanonicalizationWorkExceeded,
            canonize,
        )
        from openbadgeslib.ob3.contexts import document_loader
        from pyld import jsonld
    except ImportError as error:
        raise WalletSupportMissing("wallet", str(error)) from error
    loader = document_loader(more_contexts)

    def canonicalise(members: dict[str, Any]) -> bytes:
        try:
            graph: str = canonize(jsonld, members, loader)
        except CanonicalizationGuardUnavailable as error:
            raise WalletSupportMissing("wallet", str(error)[:200]) from error
        except (
            jsonld.JsonLdError,
            LibOpenBadgesException,
            CanonicalizationWorkExceeded,
            *(AttributeError, KeyError, RecursionError, TypeError, ValueError),  # what pyld lets through for odd input
        ) as error:
            raise MalformedCredential("credential", f"not a graph: {type(error).__name__}") from error
        return graph.encode()

    return canonicalise
