"""Every failure the program can name, as one tree.

What lives here: the classes, each with a stable code and one sentence in Chinese and in English that says what it
means and what to do. What must not: gRPC status codes (`node/rpc/status_codes.py`) or anything that prints.

    LlnError
    ├── LocalFault                  we, or the person in front of this node, did wrong
    │   ├── InvalidInput            what was typed or loaded is not acceptable
    │   ├── NotFound                what was asked for is not here
    │   ├── Conflict                it clashes with what is already recorded
    │   ├── NotAllowed              this person or node may not do that
    │   ├── BrokenHome              configuration, keys, database or index cannot be used as they are
    │   └── Unavailable             this node cannot do it now, though it may later
    └── RemoteFault                 a peer did wrong, or could not be believed
        ├── UntrustedPeer           who is calling, or answering, could not be established
        ├── RefusedCall             a well-formed call that this peer may not make, or not now
        ├── BadCall                 the signed envelope of a call does not hold
        ├── BadLog                  a page, proof or checkpoint does not hold
        ├── BadCredential           a credential, status list or offline proof does not hold
        ├── PeerUnreachable         no verified answer came back
        └── PeerRefused             a verified answer came back, and it is no

An error is raised with its subject and what was found: raise LogShrank("zhejiang…/catalogue", "held 40, got 12").
"""

from typing import ClassVar


class LlnError(Exception):
    """The root of the tree.

    `code` is stable for ever, `zh` and `en` say what it means and what to do; `subject` names what it is about and
    `detail` what was expected and found. Neither may ever carry a learner's data or a secret.
    """

    code: ClassVar[str] = "LLN-000"
    zh: ClassVar[str] = "程序内部错误。请把这一行告诉维护者。"
    en: ClassVar[str] = "Something inside the program went wrong. Please show this line to the maintainers."

    def __init__(self, subject: str = "", detail: str = "") -> None:
        super().__init__(subject, detail)
        self.subject = subject
        self.detail = detail

    def __str__(self) -> str:
        told = ": ".join(part for part in (self.subject, self.detail) if part)
        return f"[{self.code}] {told}" if told else f"[{self.code}] {self.en}"


class LocalFault(LlnError):
    code = "LLN-100"
    zh = "本节点无法完成这个操作。"
    en = "This node could not do what was asked."


class InvalidInput(LocalFault):
    code = "LLN-110"
    zh = "输入的内容不符合要求。请按提示修改后再试。"
    en = "The input is not acceptable. Correct it as described and try again."


class NotFound(LocalFault):
    code = "LLN-120"
    zh = "没有找到所要的对象。请核对名称或编号。"
    en = "Nothing by that name is here. Check the name or id."


class Conflict(LocalFault):
    code = "LLN-130"
    zh = "与已有的记录冲突。请先查看现有记录。"
    en = "It clashes with what is already recorded. Look at the existing record first."


class NotAllowed(LocalFault):
    code = "LLN-140"
    zh = "没有权限执行这个操作。"
    en = "This is not allowed for the person or node that asked."


class BrokenHome(LocalFault):
    code = "LLN-150"
    zh = "节点的配置、密钥或数据无法使用。请运行 lln check 查看如何修复。"
    en = "The node's configuration, keys or stored data cannot be used. Run lln check to see what mends it."


class Unavailable(LocalFault):
    code = "LLN-160"
    zh = "现在无法完成，稍后可以再试。"
    en = "This cannot be done now; try again later."


class RemoteFault(LlnError):
    code = "LLN-200"
    zh = "对端节点出错或不可信。"
    en = "A peer did wrong or could not be believed."


class UntrustedPeer(RemoteFault):
    code = "LLN-210"
    zh = "无法确认对端节点的身份，已拒绝。"
    en = "The peer's identity could not be established, so nothing it said was used."


class RefusedCall(RemoteFault):
    code = "LLN-220"
    zh = "对端节点无权发起这个调用，或当前被限制。"
    en = "The peer may not make this call, or not now."


class BadCall(RemoteFault):
    code = "LLN-230"
    zh = "调用的签名信封不成立，已拒绝，未作任何改动。"
    en = "The signed envelope of the call does not hold; it was refused and nothing was changed."


class BadLog(RemoteFault):
    code = "LLN-240"
    zh = "日志页、证明或检查点不成立，未保存任何内容。"
    en = "A log page, proof or checkpoint does not hold; nothing of it was stored."


class BadCredential(RemoteFault):
    code = "LLN-270"
    zh = "凭证、状态列表或离线证明不成立，已拒绝。"
    en = "A credential, status list or offline proof does not hold; it was refused."


class PeerUnreachable(RemoteFault):
    code = "LLN-250"
    zh = "没有收到对端可验证的答复。请检查网络，程序会自动重试。"
    en = "No verified answer came back from the peer. Check the network; the program retries by itself."


class PeerRefused(RemoteFault):
    """`peer_code`: the error that the peer named. `retry_after_ms`: 0 where the same question gets the same answer."""

    peer_code: str = ""
    retry_after_ms: int = 0

    code = "LLN-260"
    zh = "对端节点明确拒绝了请求。"
    en = "The peer answered with a signed refusal."
