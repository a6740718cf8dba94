"""Sample people of the demonstration: one for each role, with something to do, on this machine alone.

What lives here: who they are, and setting their accounts up as they would, over the pages. What must not: any way past
a set-up link; a real node has no sample people.
"""

import asyncio
import re
import secrets
from collections.abc import Callable
from http.cookiejar import CookieJar
from typing import Final
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, Request, build_opener

import msgspec

from federation.amounts import Amount
from federation.catalogue import BilingualLine, BilingualProse, Resource
from federation.errors import Unavailable
from federation.naming import NodeName
from federation.persons import Written
from federation.timestamps import day_in_china
from node import desk
from node.demo.federation import Federation
from node.demo.plan import full_name
from node.host.clock import SystemClock
from node.ports.people import Role

PLACE: Final = full_name("jinshan.shanghai")
PAGE_TIMEOUT_S: Final = 20.0
WORDS: Final = ("青", "山", "绿", "水", "春", "风", "秋", "月", "松", "竹", "兰", "桥", "江", "湖", "云", "田")
PEOPLE: Final[tuple[tuple[str, str, tuple[Role, ...], str], ...]] = (
    ("shen", "沈小满", ("learner",), "看学分、转换、打印证明 see, convert and prove credits"),
    ("wang", "王老师", ("registrar",), "待办、开户、登记学分 decide, open accounts, issue credits"),
    ("zhao", "赵老师", ("registrar",), "一份表格等您复核 a sheet of credits waits for a second registrar"),
    ("chen", "陈老师", ("contributor",), "一个被退回，等您修改 something of yours came back, to be put right"),
    ("li", "李审核", ("reviewer",), "两个资源等您审核 two resources wait for your review"),
    ("guan", "管系统", ("operator",), "节点状况、人员与角色 this node, people and roles"),
    ("shenji", "沈审计", ("auditor",), "操作记录 who did what"),
)
ACHIEVEMENTS: Final = (
    ("phone", BilingualLine(zh="智能手机入门", en="Smartphones for beginners"), 100),
    ("brush", BilingualLine(zh="书法：楷书", en="Calligraphy"), 200),
)
OFFERED: Final = (
    ("demo-taiji", "太极拳二十四式", "跟着口令练，膝盖不好也能学。", "silver_age", "请注明编者，并写清适合的年龄。"),
    ("demo-paper", "剪纸入门", "从团花到窗花，八次课。", "hobbies_interests", ""),
)
SHEET: Final = "学号,学习成果,取得日期,证书编号\nDEMO-1,phone,2026-03-11,春-01\nDEMO-1,brush,2026-03-12,春-02\n"
_PLAN: Final = re.compile(r"/desk/issue/sheet/[0-9A-Za-z]{8,}")
_TOKEN: Final = re.compile(r'name="form_token" value="([0-9a-f]+)"')


class SamplePersonRefused(Unavailable):
    code = "LLN-1678"
    zh = "演示中的示例人员没有设置成功。请看该节点目录里的 node.log。"
    en = "A sample person of the demonstration could not be set up. See node.log in that node's directory."


class SamplePeople(msgspec.Struct, frozen=True, kw_only=True):
    """Where they sign in, and with what: one password for all, drawn anew for each demonstration."""

    address: str
    password: str


async def settle(federation: Federation, told: Callable[[str], None]) -> SamplePeople | None:
    """A learner with credits, and staff; None where the tree has not the place for them, or it has no pages."""
    serving = federation.serving(PLACE) if any(node.name == PLACE for node in federation.nodes) else None
    if serving is None or not serving.portal:
        return None
    password = "".join(secrets.choice(WORDS) for _ in range(12))
    learner = await _learner(federation, PLACE)
    for login, name, roles, _ in PEOPLE:
        asked = desk.PersonAsked(login=login, name=name, roles=roles, learner=learner if "learner" in roles else "")
        link = await federation.ask(PLACE, "person.invite", asked, desk.PersonLink)
        await asyncio.to_thread(_set_up, f"{serving.portal}{link.path}", login, name, password)
    await _something_to_review(federation, PLACE, learner)
    await asyncio.to_thread(_hand_a_sheet, serving.portal, password)
    told(f"\n网页 the pages: {serving.portal}")
    told(f"  密码都是 everybody's password: {password}")
    for login, name, _, does in PEOPLE:
        told(f"  {login:8} {name}  {does}")
    return SamplePeople(address=serving.portal, password=password)


async def _learner(federation: Federation, place: NodeName) -> str:
    """An account with two records."""
    written = Written(name="沈小满", student_number="DEMO-1", birth_date="1956-03-05")
    shown = await federation.ask(place, "learner.register", desk.RegisterAsked(written=written), desk.LearnerShown)
    today = day_in_china(SystemClock().now_ms())
    rows = []
    for row, (code, name, hundredths) in enumerate(ACHIEVEMENTS, start=1):
        defined = desk.AchievementAsked(
            code=code, name=name, kind="other_non_formal", credits=Amount(hundredths=hundredths, unit="credit")
        )
        await federation.ask(place, "achievement.define", defined, desk.AchievementDefined)
        rows.append(desk.CreditRow(row=row, learner=shown.id, achievement=code, achieved_on=today))
    await federation.ask(
        place, "credit.issue", desk.IssueAsked(rows=tuple(rows), by="王老师", apply=True), desk.IssuePlan
    )
    return shown.id


async def _something_to_review(federation: Federation, place: NodeName, learner: str) -> None:
    """Offers of the contributor: one came back, one is new, one changes what is published; and a learner's word."""
    author, reviewer = "陈老师 (chen)", "李审核 (li)"
    offered = [
        Resource(
            id=name,
            title=BilingualLine(zh=title),
            description=BilingualProse(zh=told),
            type="online_course",
            section=section,  # type: ignore[arg-type]  # our own table
            audience=("elder",),
            location=f"https://course.example.org/{name}",
        )
        for name, title, told, section, _ in OFFERED
    ]
    asked = desk.ResourcesAsked(states=("published",), limit=1)
    for row in (await federation.ask(place, "resource.list", asked, desk.Resources)).rows:
        description = msgspec.structs.replace(row.resource.description, zh=f"{row.resource.description.zh}每周二开课。")
        offered.append(msgspec.structs.replace(row.resource, description=description, hours=24))
        done = desk.CompletionAsked(
            learner=learner,
            publisher=place,
            resource=row.id,
            title=str(row.resource.title),
            finished_on=day_in_china(SystemClock().now_ms()),
            remark="春季班",
        )
        await federation.ask(place, "completion.tell", done, desk.CompletionShown)
    rows = tuple(desk.ImportRow(row=at, resource=one) for at, one in enumerate(offered, start=1))
    imported = desk.ImportAsked(rows=rows, author=author, apply=True)
    await federation.ask(place, "resource.import", imported, desk.ImportPlan)
    for name, _, _, _, remark in OFFERED:
        if remark:
            returned = desk.ReviewAsked(ids=(name,), reviewer=reviewer, approve=False, remark=remark)
            await federation.ask(place, "resource.review", returned, desk.ResourceOutcomes)


def _hand_a_sheet(portal: str, password: str) -> None:
    """As the first registrar would: sign in, upload a sheet, and hand it to the second."""
    opener, origin = build_opener(HTTPCookieProcessor(CookieJar())), {"Origin": portal}

    def form_of(path: str) -> str:
        found = _TOKEN.search(_fetch(opener, Request(f"{portal}{path}")))  # noqa: S310  # our own node, on loopback
        return found[1] if found else ""

    def send(path: str, body: bytes, **head: str) -> str:
        return _fetch(opener, Request(f"{portal}{path}", data=body, headers=origin | head))  # noqa: S310  # as above

    signed = {"form_token": form_of("/sign-in"), "login": "wang", "password": password, "next": "/desk"}
    send("/sign-in", urlencode(signed).encode())
    parts = {'name="form_token"': form_of("/desk/issue/sheet"), 'name="file"; filename="春季班.csv"': SHEET}
    line = secrets.token_hex(16)
    body = "".join(
        f"--{line}\r\nContent-Disposition: form-data; {name}\r\n\r\n{text}\r\n" for name, text in parts.items()
    )
    kind = {"Content-Type": f"multipart/form-data; boundary={line}"}
    plan = send("/desk/issue/sheet", f"{body}--{line}--\r\n".encode(), **kind)
    where, token = _PLAN.search(plan), _TOKEN.search(plan)
    if where is None or token is None:
        raise SamplePersonRefused("wang", "the sheet was not taken")
    handed = {"form_token": token[1], "remark": "春季班，名单已核对，请复核"}
    send(f"{where[0]}/hand", urlencode(handed).encode())


def _set_up(link: str, login: str, name: str, password: str) -> None:
    """Open a set-up link and send its form, as a person would."""
    opener = build_opener(HTTPCookieProcessor(CookieJar()))
    found = _TOKEN.search(_fetch(opener, Request(link)))  # noqa: S310  # our own node, on loopback
    fields = {"form_token": found[1] if found else "", "login": login, "name": name, "password": password}
    body = urlencode({**fields, "repeated": password}).encode()
    origin = "/".join(link.split("/", 3)[:3])
    _fetch(opener, Request(link, data=body, headers={"Origin": origin}))  # noqa: S310  # as above


def _fetch(opener: OpenerDirector, asked: Request) -> str:
    try:
        with opener.open(asked, timeout=PAGE_TIMEOUT_S) as reply:
            return str(reply.read().decode())
    except (URLError, OSError) as refused:
        raise SamplePersonRefused(asked.host, str(refused)) from refused
