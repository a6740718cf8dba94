"""What each answer about a credential means, in a sentence for whoever asked.

What lives here: the five questions and their sentences. What must not: the outcome of all answers together
(`credential_verdicts.py`), or finding the answers out.
"""

from typing import Final, Literal

import msgspec

from federation.credential_verdicts import Answers

Question = Literal["signature", "issuer", "status", "dates", "log"]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One question, its answer as a stable word, and the sentences for people."""

    question: Question
    answer: str
    zh: str
    en: str


def told(answers: Answers) -> tuple[Told, ...]:
    """Every question by itself, in the order in which they are asked."""
    asked: tuple[tuple[Question, str], ...] = (
        ("signature", answers.signature),
        ("issuer", answers.issuer),
        ("status", _status(answers)),
        ("dates", answers.dates),
        ("log", answers.inclusion),
    )
    return tuple(_told(question, answer) for question, answer in asked)


def _status(answers: Answers) -> str:
    """One word for both bits; what is for ever before what may pass, and what is known before what is not."""
    bits = (answers.revocation, answers.suspension)
    if answers.revocation == "raised":
        return "revoked"
    if answers.suspension == "raised":
        return "suspended"
    return next((word for word in ("unreachable", "unknown") if word in bits), "clear")


def _told(question: Question, answer: str) -> Told:
    zh, en = _SENTENCES[question, answer]
    return Told(question=question, answer=answer, zh=zh, en=en)


_SENTENCES: Final[dict[tuple[Question, str], tuple[str, str]]] = {
    ("signature", "good"): ("签名与内容相符。", "Every signature matches the content."),
    ("signature", "bad"): ("签名与内容不符。", "A signature does not match the content."),
    ("signature", "unverified"): ("没有本程序能够核验的签名。", "There is no signature that can be verified here."),
    ("issuer", "admitted"): (
        "颁发时，颁发者是本网络认可的节点，密钥是它的。",
        "When it was signed, the issuer was admitted to this network and the key was its own.",
    ),
    ("issuer", "unknown"): (
        "无法证明颁发时颁发者受本网络认可、密钥是它的。颁发者后来被暂停、撤销或更换密钥的，请索取离线证明或核验短码。",
        (
            "Nothing shows that the issuer was admitted when it signed, with this key. Where it was suspended, "
            "revoked or given another key since, ask for an offline proof or a code."
        ),
    ),
    ("issuer", "unreachable"): (
        "现在联系不上能为颁发者作证的上级。",
        "The authorities that could vouch for the issuer cannot be reached just now.",
    ),
    ("status", "clear"): ("没有被撤销或暂停。", "It is neither revoked nor suspended."),
    ("status", "revoked"): ("已被颁发者撤销。", "Its issuer has revoked it."),
    ("status", "suspended"): ("被颁发者暂停。", "Its issuer has suspended it."),
    ("status", "unknown"): ("没有足够新的状态列表。", "There is no status list that is new enough."),
    ("status", "unreachable"): (
        "联系不上颁发者，也没有足够新的状态列表副本。",
        "The issuer cannot be reached, and nobody holds a copy of its list that is new enough.",
    ),
    ("dates", "within"): ("在有效期内。", "It is within its dates."),
    ("dates", "early"): ("尚未生效。", "It is not valid yet."),
    ("dates", "late"): ("已过有效期。", "Its dates have passed."),
    ("log", "proven"): (
        "颁发已记入颁发者的存证日志，并有上级见证。",
        "The issue stands in the issuer's log, which its authority has witnessed.",
    ),
    ("log", "unproven"): (
        "没有存证日志的证明（凭证文件本身不含）。",
        "There is no proof from the issuer's log; a credential by itself does not hold one.",
    ),
    ("log", "disproven"): (
        "存证日志的证明与凭证不符。",
        "The proof from the issuer's log contradicts the credential.",
    ),
}
