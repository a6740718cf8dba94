"""The words of the command line in both languages, and how values read: ages, times, levels.

What must not live here: sentences that come with an error or a finding; those carry their own.
"""

import os
import unicodedata
from datetime import datetime, timedelta, timezone
from typing import Final, Literal

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
    "converted here": ("本节点转换过对方的学分", "of records issued there"),
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
    "last backup": ("上次备份", "last backup"),
    "founded": ("网络已建立", "The network is founded"),
    "joined": ("已入网", "Joined"),
    "start it": ("启动节点", "start the node"),
    "erased": ("已注销", "erased"),
    "none": ("—", "—"),
    "written learners": ("已写入。", "Written."),
    "learner.identity_number": ("身份证号", "identity number"),
    "learner.student_number": ("学号", "student number"),
    "learner.birth_date": ("出生日期", "birth date"),
    "learner.guardian": ("监护人", "guardian"),
    "learner.contact": ("联系方式", "contact"),
    "learner.name": ("姓名", "name"),
    "learner.moved_to": ("已迁往", "moved to"),
    "learner.registered": ("登记日期", "registered"),
    "learner.records": ("学分记录", "credit records"),
    "learner.consent_by": ("授权由谁作出", "who can consent"),
    "learner.by.learner": ("本人", "the learner"),
    "learner.by.guardian": ("监护人（未满 14 周岁）", "the guardian (below fourteen)"),
    "learner.by.unknown": ("尚不能授权：没有出生日期", "nobody yet: no birth date is on record"),
    "learner.pseudonyms": ("代称（其他节点认识此人所用）", "pseudonyms, by which other nodes know this learner"),
    "learner.consents": ("授权同意", "consents"),
    "learner.disclosures": ("提供记录", "disclosures"),
    "learner.none yet": ("（无）", "(none)"),
    "learner.hand over": ("把下面这一行交给对方机构：", "Hand this line to that institution:"),
    "learner.take along": (
        "把下面的迁移码交给学习者，在原节点 {} 使用，{} 前有效，只用一次：",
        "Give the learner this code to take to the old home, {}; it is good once, until {}:",
    ),
    "learner.move.moving": (
        "{} 条学分记录已交出，正等新节点答复；账户暂不能改动。再运行一次同一命令可查看结果。",
        "{} record(s) were handed over, and the answer is awaited; nothing changes meanwhile. Run it again to see.",
    ),
    "learner.move.moved": (
        "账户连同 {} 条学分记录已在新节点；这里的账户从此只读。",
        "The account is at its new home, with {} record(s); what is here can only be read.",
    ),
    "learner.move.active": ("没有迁移，账户仍在本节点。", "It was not moved: the account is still here."),
    "learner.exported": ("已导出（内有姓名和号码，请妥善保管）", "exported; names and numbers are in it, keep it safe"),
    "learner.would go": ("将注销并清除", "would be erased"),
    "learner.gone": ("已注销并清除", "erased"),
    "learner.would stay": ("依法留存", "kept by law"),
    "learner.stub stays": (
        "账户编号和注销时间会留下，用来说明账户已注销。",
        "The account's id and the time of its erasure stay, so that the node can say so.",
    ),
    "learner.until": ("保存至", "kept until"),
    "learner.erase yes": (
        "这只是预览，尚未注销；注销不可恢复，确认请加 --yes。此前做的备份里仍有这些数据，请另行处理。",
        "Nothing was erased yet. Erasing is for good: add --yes. Backups made before still hold it; see to them, too.",
    ),
    "learner.backups": (
        "数据库文件已重写，其中不再有这些数据。此前做的备份里仍有，请另行处理。",
        "The database file was rewritten and holds none of it. Backups made before still do; see to them, too.",
    ),
    "erase.account": ("账户（姓名、号码、联系方式）", "account (name, numbers, contact)"),
    "erase.pseudonym": ("代称", "pseudonyms"),
    "erase.consent": ("授权", "consents"),
    "erase.disclosure": ("提供记录", "disclosures"),
    "erase.proof": ("学习成果证明", "proofs"),
    "erase.request": ("转换申请", "conversion requests"),
    "erase.move": ("迁移记录", "moves"),
    "erase.record": ("他处颁发的学分记录副本", "copies of records issued elsewhere"),
    "consent.active": ("有效", "active"),
    "consent.used": ("已用", "used"),
    "consent.withdrawn": ("已撤回", "withdrawn"),
    "consent.expired": ("已到期", "expired"),
    "consent.convert": ("认定与转换", "convert"),
    "consent.present": ("核验证明", "present"),
    "consent.transfer": ("转移账户", "transfer"),
    "consent.records": ("学分记录", "records"),
    "consent.name": ("姓名", "name"),
    "consent.birth_date": ("出生日期", "birth date"),
    "consent.contact": ("联系方式", "contact"),
    "consent.bearer": ("持证明码者", "bearer"),
    "consent.one": ("一次", "one use"),
    "consent.many": ("多次", "many uses"),
    "consent.until": ("至", "until"),
    "consent.agree": ("学习者（或监护人）已读并同意", "Have learner or guardian read this, and do they agree"),
    "consent.not given": ("没有写入任何授权。", "No consent was written."),
    "consent.given": ("授权已写入", "consent written"),
    "credit.new": ("新版本已登记", "new version"),
    "credit.same": ("与已登记的相同", "as it was"),
    "credit.formal": ("学历教育", "formal"),
    "credit.vocational_training": ("职业培训", "vocational training"),
    "credit.other_non_formal": ("其他非学历", "other non-formal"),
    "credit.unformatted": ("无定式", "unformatted"),
    "credit.active": ("有效", "active"),
    "credit.suspended": ("已暂停", "suspended"),
    "credit.revoked": ("已撤销", "revoked"),
    "credit.superseded": ("已更正", "superseded"),
    "credit.expired": ("已失效", "expired"),
    "credit.issue": ("颁发", "issued"),
    "credit.suspend": ("暂停", "suspended"),
    "credit.resume": ("恢复", "resumed"),
    "credit.revoke": ("撤销", "revoked"),
    "credit.supersede": ("更正替代", "superseded"),
    "credit.expire": ("失效", "expired"),
    "credit.reserve": ("预占", "reserved"),
    "credit.commit": ("核销", "used up"),
    "credit.void": ("释放", "let go"),
    "credit.convert": ("转换颁发", "issued by conversion"),
    "credit.available": ("可用", "available"),
    "credit.reserved": ("已预占", "reserved"),
    "credit.consumed": ("已核销", "used"),
    "credit.cancelled": ("已作废", "cancelled"),
    "credit.issuer": ("颁发机构", "issued by"),
    "credit.from": ("转换自", "converted from"),
    "credit.superseded_by": ("更正为", "superseded by"),
    "credit.record": ("记录", "record"),
    "credit.written": ("已颁发。", "Issued."),
    "unit.credit": ("学分", "credits"),
    "unit.hour": ("学时", "hours"),
    "credit.learner": ("学习者", "learner"),
    "credit.reason": ("原因", "reason:"),
    "credit.flagged": ("来源记录有变：", "a source has changed:"),
    "credit.nothing yet": ("还没有学分。", "No credits yet."),
    "credit.of granted": ("可用 {}，共 {}", "{} available of {}"),
    "credit.records": ("（{} 条记录）", "(records: {})"),
    "credit.row.issued": ("已颁发", "issued"),
    "credit.signature": ("签名", "signature"),
    "credit.issuer then": ("颁发机构", "issuer"),
    "credit.status": ("状态", "status"),
    "credit.dates": ("期限", "dates"),
    "credit.log": ("存证", "log"),
    "credit.status of": ("状态列表签发于", "status list signed"),
    "credit.proof": ("核验短码", "code"),
    "credit.until": ("有效至", "until"),
    "credit.withdraw by": ("随时可以撤回：", "withdraw it any time with"),
    "credit.row.issue": ("待颁发", "to issue"),
    "credit.row.same": ("先前已颁发", "issued before"),
    "credit.row.refused": ("不能颁发", "refused"),
    "rule.own": ("本节点", "own"),
    "rule.adopted": ("采用", "adopted"),
    "rule.known": ("他处", "known"),
    "rule.published": ("已发布。", "Published."),
    "rule.plan only": (
        "规则写法正确，尚未发布；加 --apply 发布。",
        "The rule is sound, not published yet; --apply publishes it.",
    ),
    "rule.draft": ("尚未发布", "not published"),
    "approved": ("同意", "approved"),
    "convert.by rule": ("依据规则 {}", "by the rule {}"),
    "convert.takes": ("用去", "takes"),
    "convert.rests on": ("依据（不消耗）", "rests on, and uses nothing of,"),
    "convert.gives": ("得到", "gives"),
    "convert.new record": ("新记录", "new record"),
    "convert.nothing granted": ("现在不能转换，原因如上。", "Nothing would be granted now, for the reasons above."),
    "convert.apply for it": (
        "以上只是试算，没有写入。正式申请：lln convert apply {}",
        "Only a preview, nothing is written. To apply: lln convert apply {}",
    ),
    "convert.previewed": ("已预览", "previewed"),
    "convert.asked": ("已送出", "sent"),
    "convert.received": ("已受理", "received"),
    "convert.reviewing": ("审核中", "in review"),
    "convert.notice": ("公示中", "in notice"),
    "convert.reserving": ("预占中", "reserving"),
    "convert.committing": ("核销中", "committing"),
    "convert.releasing": ("释放中", "releasing"),
    "convert.returning": ("退回中", "returning"),
    "convert.converted": ("已转换", "converted"),
    "convert.refused": ("未通过", "refused"),
    "convert.cancelled": ("已取消", "cancelled"),
    "convert.trace holds": ("重新计算，结果一致", "worked out again: the same, byte for byte"),
    "convert.trace differs": (
        "重新计算结果不同：规则或学习者情况在决定之后有变化",
        "worked out again it differs: rules, or what is known of the learner, have changed since",
    ),
    "consent.withdrawn now": ("授权已撤回，不再用于新的提供", "withdrawn for every later use"),
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
