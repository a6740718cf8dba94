"""What an audit of the ledger makes sure of, check by check, and what to do where one does not hold.

What lives here: the checks by name, their sentences, and a fault. What must not: checking anything (`audits.py`).
"""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

Check = Literal[
    "balance",
    "lot",
    "scope",
    "receipt",
    "entry",
    "replay",
    "root",
    "slot",
    "final",
    "opening",
    "case",
    "reconverted",
]


class Meaning(msgspec.Struct, frozen=True, kw_only=True):
    """What a check makes sure of, and what to do where it does not hold."""

    zh: str
    en: str
    mend_zh: str
    mend_en: str


_RESTORE_ZH: Final = "停止节点，保留 data/ 备查，用最近的备份恢复（lln restore），再审计一次。"
_RESTORE_EN: Final = "Stop the node, keep data/ as evidence, restore the newest backup (lln restore), and audit again."
_ASK_ZH: Final = "先不要改动；用 lln reconcile 与有关机构核对，再由两边商定。"
_ASK_EN: Final = "Change nothing yet; compare with the institution concerned (lln reconcile), then settle it together."

MEANINGS: Final[Mapping[Check, Meaning]] = {
    "balance": Meaning(
        zh="每种单位的借方与贷方相等",
        en="debits equal credits in each unit",
        mend_zh=_RESTORE_ZH,
        mend_en=_RESTORE_EN,
    ),
    "lot": Meaning(
        zh="每批学分不低于零，已用、预占、注销之和不超过授予",
        en="no lot below zero; consumed, reserved and cancelled do not exceed what was granted",
        mend_zh=_RESTORE_ZH,
        mend_en=_RESTORE_EN,
    ),
    "scope": Meaning(
        zh="一批学分在一个范围内只用一次",
        en="a lot is used once in each scope",
        mend_zh=_ASK_ZH,
        mend_en=_ASK_EN,
    ),
    "receipt": Meaning(
        zh="转换所得的记录都有有效的核销回执",
        en="every converted record has a valid receipt for each of its sources",
        mend_zh="向来源机构核对（lln reconcile）；没有核销的，请撤销这条记录（lln credit revoke）。",
        mend_en="Compare with the source's issuer (lln reconcile); where none was used, revoke the record.",
    ),
    "entry": Meaning(
        zh="每次变动在存证日志中恰有一条",
        en="each change has exactly one entry in the log",
        mend_zh=_RESTORE_ZH,
        mend_en=_RESTORE_EN,
    ),
    "replay": Meaning(
        zh="按事件重算，得到同样的余额",
        en="replaying the events gives the balances again",
        mend_zh=_RESTORE_ZH,
        mend_en=_RESTORE_EN,
    ),
    "root": Meaning(
        zh="按条目重算，得到日志的根",
        en="replaying the entries gives the log's root again",
        mend_zh="请运行 lln log verify credits；" + _RESTORE_ZH,
        mend_en="Run lln log verify credits. " + _RESTORE_EN,
    ),
    "slot": Meaning(
        zh="状态列表的序号不重复使用，并与记录的状态一致",
        en="no place in a status list is used twice, and each says what its record says",
        mend_zh="撤销并更正其中后颁发的记录（lln credit correct），它会得到新的序号。",
        mend_en="Correct the record that was issued later (lln credit correct); the new one gets a place of its own.",
    ),
    "final": Meaning(
        zh="终态不再改变，每一步都合法",
        en="final states are final, and every step was legal",
        mend_zh=_RESTORE_ZH,
        mend_en=_RESTORE_EN,
    ),
    "opening": Meaning(
        zh="每个承诺都能由其文件和随机数打开",
        en="every commitment is opened by its document and salt",
        mend_zh=_RESTORE_ZH,
        mend_en=_RESTORE_EN,
    ),
    "case": Meaning(
        zh="转换申请的状态与其预占、结果相符",
        en="a conversion's state fits what it holds and what it issued",
        mend_zh=_ASK_ZH,
        mend_en=_ASK_EN,
    ),
    "reconverted": Meaning(
        zh="转换所得的学分，除非规则允许，不再作来源",
        en="credits from a conversion are not a source again, unless the rule says so",
        mend_zh="撤销由此所得的记录（lln credit revoke）。",
        mend_en="Revoke the record that came of it (lln credit revoke).",
    ),
}


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What does not hold: which check, what it is about (never a person), and what was found."""

    check: Check
    subject: str
    found: str
