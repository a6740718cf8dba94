"""The words of the command line in both languages, and how values read: ages, times, levels.

What must not live here: sentences that come with an error or a finding; those carry their own.
"""

import os
import unicodedata
from datetime import datetime, timedelta, timezone
from typing import Final, Literal

from node.cli.credit_words import CREDIT_WORDS

Ui = Literal["zh", "en"]

WORDS: Final[dict[str, tuple[str, str]]] = {
    "active": ("正常", "active"),
    "suspended": ("已暂停", "suspended"),
    "revoked": ("已撤销", "revoked"),
    "moved": ("已迁移", "moved"),
    "moving": ("迁移中", "moving"),
    "untold": ("原上级没有应答", "the former authority did not answer"),
    "have it recorded": ("请在原上级运行", "have it recorded there"),
    "pages": ("网页", "pages"),
    "first operator": (
        "请首位系统管理员打开这个链接设置账号（只能用一次）",
        "The first operator opens this link to set up an account (it works once)",
    ),
    "parent found": ("已找到上级", "the parent was found at"),
    "records": ("学分记录", "records"),
    "held": ("代存", "held of other issuers"),
    "events": ("变动", "changes"),
    "conversions": ("转换", "conversions"),
    "receipts": ("回执", "receipts"),
    "key not to be had": ("现在查不到密钥", "key not to be had now"),
    "lent": ("对方预占过本节点的学分", "reservations of records issued here"),
    "regained": ("找回核销 {} 次，仍缺 {} 次", "{} commits made again, {} still missing"),
    "lent again": ("恢复预占，放弃寻找 {} 次核销", "lent again; {} commits were given up"),
    "converted here": ("本节点转换过对方的学分", "of records issued there"),
    "own records": ("本节点颁发的记录", "records issued here"),
    "fewer than ten": ("不足十条", "fewer than ten"),
    "here and below": ("本节点及以下合计", "here and below"),
    "left out": ("未列出的小项合计", "left out as too small"),
    "kinds": ("类别", "kinds"),
    "levels": ("等级", "levels"),
    "rules": ("转换规则", "rules"),
    "regions": ("地区", "regions"),
    "formal": ("学历教育", "formal"),
    "vocational_training": ("职业培训", "vocational training"),
    "other_non_formal": ("其他非学历教育", "other non-formal"),
    "unformatted": ("无定式", "unformatted"),
    "nothing waits": ("待发箱是空的", "nothing waits"),
    "waiting": ("待发", "waiting"),
    "oldest": ("最早", "oldest"),
    "given up": ("已放弃", "given up"),
    "next try": ("下次发送", "next try"),
    "seconds": ("秒后", "s"),
    "sent again": ("重新发送", "sent again"),
    "dropped": ("已删除", "dropped"),
    "national": ("国家级", "national"),
    "provincial": ("省级", "provincial"),
    "municipal": ("市级", "municipal"),
    "county": ("县级", "county"),
    "school": ("学校", "school"),
    "pending": ("待审核", "pending"),
    "returned": ("已退回", "returned"),
    "reviewed": ("已审核", "reviewed"),
    "published": ("已入库", "published"),
    "withdrawn": ("已出库", "withdrawn"),
    "refused": ("已拒绝", "refused"),
    "missing": ("不存在", "missing"),
    "add": ("新增", "add"),
    "update": ("更新", "update"),
    "same": ("不变", "same"),
    "child": ("儿童", "children"),
    "student": ("学生", "students"),
    "jobseeker": ("求职者", "jobseekers"),
    "worker": ("在职人员", "workers"),
    "parent": ("家长", "parents"),
    "elder": ("老年人", "elders"),
    "teacher": ("教师", "teachers"),
    "scientific_literacy": ("科学素养", "scientific literacy"),
    "workplace_skills": ("职场技能", "workplace skills"),
    "cultural_literacy": ("文化素养", "cultural literacy"),
    "hobbies_interests": ("兴趣爱好", "hobbies and interests"),
    "continuing_education": ("继续教育", "continuing education"),
    "silver_age": ("银龄课堂", "silver age"),
    "online_course": ("在线课程", "online course"),
    "digital_textbook": ("数字教材", "digital textbook"),
    "digital_book": ("数字图书", "digital book"),
    "courseware": ("课件", "courseware"),
    "teaching_case": ("教学案例", "teaching case"),
    "virtual_lab": ("虚拟实验", "virtual lab"),
    "online_research_video": ("教研视频", "research video"),
    "app_tool": ("应用工具", "app or tool"),
    "section": ("板块", "section"),
    "audience": ("对象", "audience"),
    "industry": ("行业", "industry"),
    "language": ("语言", "language"),
    "type": ("类型", "type"),
    "direct": ("直连", "direct"),
    "link": ("长连接", "link"),
    "relay": ("经上级转发", "relay"),
    "to parent": ("上级", "parent"),
    "to child": ("下级", "child"),
    "to sibling": ("同级", "sibling"),
    "to ancestor": ("再上级", "ancestor"),
    "to descendant": ("再下级", "descendant"),
    "to network": ("其他分支", "network"),
    "to self": ("本节点", "self"),
    "denied": ("拒绝", "denied"),
    "timeout": ("超时", "timeout"),
    "unreachable": ("联系不上", "unreachable"),
    "breaker_open": ("暂不联系", "left alone for now"),
    "cosigned by": ("见证", "cosigned by"),
    "root": ("根", "root"),
    "stopped at": ("停在", "stopped at"),
    "lookup": ("域名解析", "lookup"),
    "tcp": ("TCP", "TCP"),
    "tls": ("TLS", "TLS"),
    "relays": ("转发", "relays"),
    "name": ("名称", "name"),
    "chain": ("证书链", "chain"),
    "clock": ("时钟", "clock"),
    "signature": ("签名", "signature"),
    "policy": ("准入", "policy"),
    "what to do": ("怎么办", "what to do"),
    "no results": (
        "没有找到。换个说法，或者放宽范围和筛选条件。",
        "Nothing found. Try other words, or a wider scope and fewer filters.",
    ),
    "in all": ("共", "in all"),
    "at least": ("至少", "at least"),
    "copy": ("副本", "copy"),
    "also at": ("另有提供", "also at"),
    "lacking": ("这次的结果未包含", "This answer lacks"),
    "not answering": ("没有应答", "no answer from"),
    "hours": ("学时", "hours"),
    "credits": ("学分", "credits"),
    "entries": ("条", "entries"),
    "own": ("本节点", "this node"),
    "resources": ("资源", "resources"),
    "searchable": ("可检索", "searchable"),
    "children": ("下级", "children"),
    "logs": ("日志", "logs"),
    "holds": ("已收", "holds"),
    "indexed": ("已索引", "indexed"),
    "never": ("从未", "never"),
    "not running": (
        "节点没有在运行，以上是它的数据目录里的情况。",
        "The node is not running; this is what its directory says.",
    ),
    "query was cut": (
        "查询太长，只用了前面的部分（最多 1,000 个字、64 个词）。",
        "The query was too long; only its beginning was used (1,000 characters and 64 words at most).",
    ),
    "last success": ("上次成功", "last success"),
    "last failure": ("上次失败", "last failure"),
    "refused calls": ("已拒绝的调用", "refused calls"),
    "connections begun": ("启动以来的连接", "connections since the start"),
    "certificate until": ("证书有效至", "certificate until"),
    "good": ("成立", "good"),
    "bad": ("不成立", "does not hold"),
    "plan only": ("以上只是计划，尚未写入；加 --apply 写入。", "This is only the plan; --apply writes it."),
    "nothing to write": ("没有可写入的内容。", "There is nothing to write."),
    "written": ("已写入，等待审核。", "Written, waiting for review."),
    "row": ("第 {} 行", "row {}"),
    "expires": ("有效至", "valid until"),
    "hand over": (
        "把下面这一行交给对方，在对方机器上运行：lln join <这一行>",
        "Hand this line over; on the other machine: lln join <the line>",
    ),
    "keep secret": ("它含有口令，请用可靠的途径转交。", "It carries a secret: hand it over by a safe way."),
    "type the name": ("撤销不可恢复。请输入节点名称确认", "Revoking is for good. Type the node's name to confirm"),
    "ready": ("节点已启动", "The node is serving"),
    "stop": ("按 Ctrl-C 停止。", "Ctrl-C stops it."),
    "backed up": ("已备份", "backed up"),
    "open backup": (
        "备份中有私钥，没有加口令：请像保管密钥一样保管它，不要放在同一台机器上。",
        "It holds the private keys and is not sealed: keep it as you keep keys, and not on this machine.",
    ),
    "sealed backup": (
        "备份已用口令加密。口令丢失就无法恢复；请把文件存到另一台机器。",
        "It is sealed: without the passphrase nobody can restore it. Keep it on another machine.",
    ),
    "passphrase": ("口令", "passphrase"),
    "restored": ("已恢复", "restored"),
    "caught up": ("备份之后签发的内容已核对补齐", "What was said since the backup has been taken back"),
    "invites": ("邀请", "invites"),
    "standings": ("下级记录", "standings"),
    "files": ("资源文件", "offered files"),
    "files_missing": ("缺少的资源文件", "offered files missing"),
    "last backup": ("上次备份", "last backup"),
    "founded": ("网络已建立", "The network is founded"),
    "joined": ("已入网", "Joined"),
    "start it": ("启动节点", "start the node"),
    "erased": ("已注销", "erased"),
    "none": ("—", "—"),
    "written learners": ("已写入。", "Written."),
    "passed on": ("提请复核", "passed on"),
    "approved": ("同意", "approved"),
    **CREDIT_WORDS,
}


def ui_language(chosen: str | None) -> Ui:
    """What was asked for, else what the machine speaks."""
    if chosen in ("zh", "en"):
        return "zh" if chosen == "zh" else "en"
    told = next((os.environ[key] for key in ("LC_ALL", "LC_MESSAGES", "LANG") if os.environ.get(key)), "")
    return "zh" if told.lower().startswith("zh") else "en"


def word(key: str, ui: Ui) -> str:
    """The word in the language asked for; what is no word of ours (an industry code) stays as it is."""
    pair = WORDS.get(key)
    return key if pair is None else pair[0 if ui == "zh" else 1]


def ago(milliseconds: int, ui: Ui) -> str:
    """A span as people say it."""
    seconds = max(0, milliseconds) // 1_000
    for size, zh, en in ((86_400, "天", "d"), (3_600, "小时", "h"), (60, "分钟", "min")):
        if seconds >= size:
            return f"{seconds // size} {zh}前" if ui == "zh" else f"{seconds // size} {en} ago"
    return "刚刚" if ui == "zh" else "just now"


def china_time(at_ms: int) -> str:
    """A moment as people read it, in China time to the minute."""
    return f"{datetime.fromtimestamp(at_ms / 1_000, tz=timezone(timedelta(hours=8))):%Y-%m-%d %H:%M}"


def credit_amount(hundredths: int) -> str:
    whole, part = divmod(hundredths, 100)
    return f"{whole}.{part:02d}".rstrip("0").rstrip(".") if part else str(whole)


def clean(text: str) -> str:
    """Text from elsewhere without anything a terminal would obey."""
    return "".join(" " if character in "\n\t" else character for character in text if _is_harmless(character))


def width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def padded(text: str, columns: int) -> str:
    return text + " " * max(0, columns - width(text))


def _is_harmless(character: str) -> bool:
    return character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
