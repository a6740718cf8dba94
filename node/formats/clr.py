"""A transcript as a Comprehensive Learner Record (1EdTech CLR 2.0): a credential that holds credentials.

What lives here: writing one. What must not: the records themselves, which go in as they were signed and stay
verifiable each by itself.
"""

import json
from typing import Any, Final

from federation import canonical, document_proofs
from federation.credentials import WrongIssuer
from federation.errors import InvalidInput
from federation.keys import Signer
from federation.open_badges import OB_CONTEXT, VC_CONTEXT, to_profile
from federation.timestamps import to_text
from node.formats.transcripts import Transcript

CLR_CONTEXT: Final = "https://purl.imsglobal.org/spec/clr/v2p0/context-2.0.1.json"
CONTEXTS: Final = (VC_CONTEXT, CLR_CONTEXT, OB_CONTEXT)
TYPES: Final = ("VerifiableCredential", "ClrCredential")
RECORDS_MAX: Final = 1_000


class UnwritableTranscript(InvalidInput):
    code = "LLN-1193"
    zh = "学习成果清单至少要有一条、至多一千条学分记录。"
    en = "A transcript holds at least one credit record and at most a thousand."


def write(transcript: Transcript, signer: Signer) -> bytes:
    """The transcript, signed by the home node; canonical bytes. Raises UnwritableTranscript, WrongIssuer."""
    if not 0 < len(transcript.records) <= RECORDS_MAX:
        raise UnwritableTranscript(transcript.id, f"{len(transcript.records)} records")
    if transcript.issuer.did != signer.did:
        raise WrongIssuer(transcript.id, f"issuer {transcript.issuer.did}, signer {signer.did}")
    members: dict[str, Any] = {
        "@context": CONTEXTS,
        "id": transcript.id,
        "type": TYPES,
        "name": "学习成果清单 Transcript of learning outcomes",
        "issuer": to_profile(transcript.issuer),
        "validFrom": to_text(transcript.issued_at_ms),
        "partial": transcript.is_partial,
        "credentialSubject": {
            "id": transcript.holder.subject,
            "type": ("ClrSubject",),
            # Canonical when issued, so they are canonical again wherever they are taken out.
            "verifiableCredential": tuple(json.loads(held.document) for held in transcript.records),
        },
    }
    return document_proofs.secure(canonical.encode(members), signer, transcript.issued_at_ms)
