"""Why a conversion is not made: a stable code, and a sentence in Chinese and in English.

What lives here: every code with its two sentences. What must not: deciding (`conversion.py`), or errors: a refusal is
an answer, not a failure.
"""

from typing import Final, Literal

import msgspec

from federation.credits import LotId

RefusalCode = Literal[
    "no_rule",
    "rule_not_yet_valid",
    "rule_no_longer_valid",
    "rule_of_another_authority",
    "record_suspended",
    "record_revoked",
    "record_superseded",
    "record_expired",
    "converted_source",
    "own_credit",
    "achieved_later",
    "too_old",
    "score_missing",
    "score_not_comparable",
    "score_too_low",
    "grade_not_in_table",
    "level_missing",
    "level_not_comparable",
    "level_too_low",
    "already_consumed",
    "nothing_available",
    "too_small",
    "whole_only",
    "sources_incomplete",
    "not_exact",
    "below_step",
    "too_large",
    "excluded_by_group",
    "cap_reached",
    "residency_amount",
    "residency_share",
]

SENTENCES: Final[dict[RefusalCode, tuple[str, str]]] = {
    "no_rule": (
        "没有规则接受这项成果，它照常保存，不能转换。",
        "No rule takes this outcome; it stays deposited and is not converted.",
    ),
    "rule_not_yet_valid": (
        "规则自 {valid_from} 起有效，{as_of} 时还不能使用。",
        "The rule holds from {valid_from}; on {as_of} it does not yet.",
    ),
    "rule_no_longer_valid": (
        "规则的有效期到 {valid_until} 为止，{as_of} 时已不能使用。",
        "The rule held until {valid_until}; on {as_of} it does no longer.",
    ),
    "rule_of_another_authority": (
        "规则由 {authority} 发布，不适用于 {receiver}。",
        "The rule is of {authority} and does not hold at {receiver}.",
    ),
    "record_suspended": (
        "学分记录已暂停，恢复后才能转换。",
        "The credit record is suspended; it can be converted once it is resumed.",
    ),
    "record_revoked": ("学分记录已撤销，不能转换。", "The credit record is revoked and cannot be converted."),
    "record_superseded": (
        "学分记录已被更正后的记录替代，请使用新的记录。",
        "The credit record was superseded; use the corrected one.",
    ),
    "record_expired": (
        "学分记录已失效，不能转换。",
        "The credit record has expired and cannot be converted.",
    ),
    "converted_source": (
        "这批学分本身由转换得来，规则不接受再次转换。",
        "These credits come from a conversion, and the rule does not take such credits again.",
    ),
    "own_credit": (
        "这项成果由本机构颁发，规则只接受其他机构的。",
        "The receiver issued this outcome itself, and the rule takes those of others.",
    ),
    "achieved_later": (
        "成果取得于 {achieved_on}，晚于 {as_of}。",
        "The outcome was achieved on {achieved_on}, after {as_of}.",
    ),
    "too_old": (
        "成果取得于 {achieved_on}，超过了 {months} 个月的期限。",
        "The outcome was achieved on {achieved_on}, longer ago than {months} months.",
    ),
    "score_missing": (
        "规则要求成绩，而记录里没有。",
        "The rule asks for a score or grade, and the record has none.",
    ),
    "score_not_comparable": (
        "成绩的计分制是 {found}，规则按 {needed} 计，两者不能比较。",
        "The score is on the scale {found}, the rule counts on {needed}; the two do not compare.",
    ),
    "score_too_low": (
        "成绩 {found}，至少要 {needed}。",
        "The score is {found}; at least {needed} is needed.",
    ),
    "grade_not_in_table": (
        "规则的对照表里没有等第“{found}”。",
        "The rule's table has no grade “{found}”.",
    ),
    "level_missing": (
        "规则要求资历等级 {needed}，而记录里没有等级。",
        "The rule asks for level {needed}, and the record states none.",
    ),
    "level_not_comparable": (
        "没有对照表说明 {found} 与 {needed} 的高低，不作推断。",
        "No table says how {found} compares with {needed}, and nothing is guessed.",
    ),
    "level_too_low": (
        "资历等级 {found}，至少要 {needed}。",
        "The level is {found}; at least {needed} is needed.",
    ),
    "already_consumed": (
        "这批学分在这个范围内已经用过，每个范围只能用一次。",
        "The lot has been used in this scope already; it counts once in each.",
    ),
    "nothing_available": (
        "这批学分没有可用余额。",
        "Nothing of the lot is available.",
    ),
    "too_small": (
        "可用余额 {found} {unit}，至少要 {needed}。",
        "{found} {unit} are available; at least {needed} are needed.",
    ),
    "whole_only": (
        "规则只接受未动用过的整批：共 {granted}，只剩 {found}。",
        "The rule takes whole lots only: of {granted}, only {found} are left.",
    ),
    "sources_incomplete": (
        "规则要求“{name}”{needed} 批，合格的有 {found} 批。",
        "The rule needs {needed} of “{name}”; {found} qualify.",
    ),
    "not_exact": (
        "折算结果 {numerator}/{denominator}（百分之一为单位）不是 {step} 的整数倍，规则不允许取整。",
        "The result, {numerator}/{denominator} hundredths, is no multiple of {step}, and the rule does not round.",
    ),
    "below_step": (
        "折算并取整后不足 {step}，没有可授予的学分。",
        "After rounding it is less than {step}, so there is nothing to grant.",
    ),
    "too_large": (
        "折算结果超过程序所能记载的 {limit}。",
        "The result is more than the {limit} that can be recorded.",
    ),
    "excluded_by_group": (
        "互斥组“{group}”里已经有一项得到转换，只能取一项。",
        "One of the exclusion group “{group}” was converted already; only one may be.",
    ),
    "cap_reached": (
        "上限 {limit} {unit}（{per_zh}），已授予 {before}，本次要授予 {wanted}，还可授予 {room}。",
        "The cap is {limit} {unit} {per_en}; {before} were granted, {wanted} are asked for, {room} are left.",
    ),
    "residency_amount": (
        "须先在本机构取得 {needed} {unit}，现有 {found}。",
        "{needed} {unit} must be earned at the receiver first; there are {found}.",
    ),
    "residency_share": (
        "在本机构取得的须占 {share}：现有 {found} {unit}，连同本次转换共 {total}。",
        "{share} must be earned at the receiver: it is {found} {unit} of {total}, this grant included.",
    ),
}


class Refusal(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Why a rule does not take some lots; `rule` is "id@version", or "" where no rule was found."""

    code: RefusalCode
    rule: str = ""
    lot_ids: tuple[LotId, ...] = ()
    zh: str
    en: str


class Reason:
    """What stops a lot or a grant, with the numbers for its sentences."""

    __slots__ = ("code", "numbers")

    def __init__(self, code: RefusalCode, **numbers: str | int) -> None:
        self.code: Final = code
        self.numbers: Final = numbers


def refusal_of(reason: Reason, *, rule: str, lot_ids: tuple[LotId, ...]) -> Refusal:
    zh, en = SENTENCES[reason.code]
    return Refusal(
        code=reason.code,
        rule=rule,
        lot_ids=lot_ids,
        zh=zh.format_map(reason.numbers),
        en=en.format_map(reason.numbers),
    )
