"""A small network with pages: a hub, two counties and a school, with learners, credits, rules and people in every role.

What lives here: what stands behind every picture and every journey. What must not: expectations.
"""

import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec

from config.settings import Portal
from federation.catalogue import CRITERIA, Accessibility, BilingualLine, BilingualProse, Resource, ShareScope
from node.portal.visits import DEVICE, SESSION
from node.usecases.signing_in import SignedIn
from tests.support.live_nodes import ROOT, Live, Network, until
from tests.support.web_client import Visitor

HOME, RECEIVER, SCHOOL = "jiashan.lln.internal", "haining.lln.internal", "school.jiashan.lln.internal"
PASSWORD = "江南水乡春来早得很呢啊"  # noqa: S105  # of people who do not exist
STAFF_PASSWORD = "staff of the tests only"  # noqa: S105  # as above
OFFERED = "tea"
HOSTILE = "<script>alert(1)</script>'\"><img src=x onerror=alert(2)>"

RULE = """
id = "community"
version = 1
authority = "haining.lln.internal"
title = { zh = "社区课程互认：嘉善课程转为海宁社区教育学分", en = "Community courses, recognised both ways" }
valid_from = 2026-01-01

[[source]]
name = "course"
kinds = ["other_non_formal"]
achievements = ["urn:lln:jiashan.lln.internal:dough"]
unit = "credit"
issuers_within = ["lln.internal"]

[[target]]
achievement = "urn:lln:haining.lln.internal:community"
version = 1
title = { zh = "社区教育课程" }
kind = "other_non_formal"
unit = "credit"
ratio = [1, 1]
"""

REVIEWED_RULE = """
id = "opera"
version = 1
authority = "jiashan.lln.internal"
title = { zh = "地方戏曲学习成果认定", en = "Local opera, recognised after review" }
valid_from = 2026-01-01

[[source]]
name = "opera"
achievements = ["urn:lln:haining.lln.internal:opera"]
unit = "credit"

[[target]]
achievement = "urn:lln:jiashan.lln.internal:dough"
version = 1
title = { zh = "社区教育课程" }
kind = "other_non_formal"
unit = "credit"
ratio = [1, 2]

[review]
reviewers = 1
"""

RESOURCES = (
    ("phone", "智能手机入门：微信、挂号、防诈骗", "Smartphones for beginners", "silver_age", ("elder",), 16, 100),
    ("wood", "水乡木雕入门：从花板到门楣", "", "hobbies_interests", ("elder", "worker"), 32, 200),
    (
        "care",
        "养老护理员（初级）技能培训",
        "Care for older people, elementary",
        "workplace_skills",
        ("jobseeker",),
        60,
        400,
    ),
    ("brush", "书法：楷书二十讲", "Calligraphy in twenty lessons", "hobbies_interests", ("elder", "child"), 20, None),
    ("english", "", "English for everyday life", "continuing_education", ("worker",), 48, 300),
)


@dataclass
class World:
    """`links`: a page's address for each kind of thing; `people`: a signed-in session of each role, at HOME."""

    network: Network
    learner: str = ""
    record: str = ""
    consent: str = ""
    request: str = ""
    sheet: str = ""
    upload: str = ""
    waiting: str = ""
    kept: str = ""
    completion: str = ""
    file: str = ""
    cases: list[str] = field(default_factory=list)
    people: dict[str, SignedIn] = field(default_factory=dict)

    @property
    def home(self) -> Live:
        return self.network[HOME]

    @property
    def address(self) -> str:
        return self.home.told.portal

    def path_of(self, pattern: str) -> str:
        """The address of a page, with things of this world filled in."""
        filled = pattern.replace("{code}", "LLN-110").replace("{node}", HOME).replace("{id:path}", "phone")
        filled = filled.replace("/below/{name}", f"/below/{SCHOOL}")
        filled = filled.replace("{mark}", "x").replace("{name}", "portal.css").replace("{token}", "nobody")
        if pattern.startswith("/file/"):
            return self.file
        if pattern.startswith(("/contribute/", "/review/")):
            return pattern.replace("{id:path}", OFFERED)
        things = {
            "/desk/finished/": self.completion,
            "/desk/cases": self.cases[0],
            "/desk/issue/sheet/": self.sheet,
            "/desk/uploads/": self.upload,
            "/desk/waiting/": self.waiting,
            "/again/": self.kept,
            "/my/requests": self.request,
        }
        thing = next((one for start, one in things.items() if filled.startswith(start)), self.record)
        return filled.replace("{id}", thing)


@asynccontextmanager
async def world(folder):
    network = Network(folder, Portal(listen="127.0.0.1:0", files_per_day=900))
    try:
        await network.found()
        await network.add(HOME, title="嘉善县社区学院")
        await network.add(RECEIVER, title="海宁市终身学习中心")
        await network.add(SCHOOL, "school", "school", title="西塘成人学校")
        made = World(network=network)
        await fill(made)
        yield made
    finally:
        await network.stop_all()


async def fill(made: World) -> None:
    await publish_all(made)
    home, receiver = made.home, made.network[RECEIVER]
    made.learner = await register(home)
    await define(home)
    made.record = await issue(home, "dough", "2026-05-01")
    await issue(home, "phone", "2026-03-11")
    await receiver.ask("rule.publish", toml=RULE, apply=True)
    await convert(made)
    await home.ask("rule.publish", toml=REVIEWED_RULE, apply=True)
    for at in range(3):
        made.cases.append(await ask_for_review(made, at))
    for role in ("learner", "contributor", "reviewer", "registrar", "operator", "auditor"):
        made.people[role] = await person(home, role, made.learner if role == "learner" else "")
    await hand_in(made)
    await offer(made)
    said = {"learner": made.learner, "publisher": HOME, "resource": "care", "title": "养老护理员（初级）技能培训"}
    told = await home.ask("completion.tell", **said, finished_on="2026-06-01", remark="春季班，周老师")
    made.completion = told.id


DEVICE_MARK = re.compile(r'name="form_device" value="([0-9a-f]+)"')
KEPT = re.compile(r'name="next" value="/again/([0-9A-Z]+)"')
SHEET = """学号,学习成果,取得日期,学分,证书编号
2026001,dough,2026-05-01,,
2026001,care,2026-06-01,4,Z-77
nobody,phone,2026-06-01,,
2026001,phone,五月,,
"""


async def hand_in(made: World) -> None:
    """A sheet that the registrar is about to confirm, and one that was taken back."""
    registrar = Visitor(made.address, {SESSION: made.people["registrar"].token})
    answer = await registrar.upload("/desk/issue/sheet", SHEET.encode(), "五月.csv")
    made.sheet = answer.location.rpartition("/")[2]
    learner = Visitor(made.address, {SESSION: made.people["learner"].token, DEVICE: made.people["learner"].device})
    page = (await learner.get("/my/proof")).text
    mark, path = DEVICE_MARK.search(page)[1], "/my/proof"
    late = await Visitor(made.address, {DEVICE: made.people["learner"].device}).post(
        path,
        {"form_device": mark, "record": made.record, "days": "90"},
        token="0",  # noqa: S106  # of a session that is no more
    )
    made.kept = KEPT.search(late.text)[1]
    uploading = made.home.node.uploading
    made.upload = (await uploading.begin(made.people["registrar"].person, "四月.xlsx", planned=1)).id
    await uploading.issued(made.upload, (made.record,))
    await uploading.finish(made.upload)
    other = (await person(made.home, "registrar", number=2)).person
    sheet = await made.home.node.read_sheet(SHEET.encode(), "六月.csv")
    handed = made.home.node.handing_over.hand_over(other, "六月.csv", sheet, planned=2, remark="春季班，名单已核对")
    made.waiting = (await handed).id


async def publish_all(made: World) -> None:
    for at, (name, zh, en, section, audience, hours, worth) in enumerate(RESOURCES):
        live = made.home if at % 2 == 0 else made.network[SCHOOL]
        await publish(
            live,
            Resource(
                id=name,
                title=BilingualLine(zh=zh, en=en),
                description=BilingualProse(zh=f"{zh or en}。线上线下结合，零基础可学，学完可登记学分。"),
                type="online_course",
                section=section,
                audience=audience,
                hours=hours,
                credits=worth,
                licence="CC BY 4.0",
                provider="嘉善县社区学院" if at % 2 == 0 else "西塘成人学校",
                accessibility=Accessibility(captions=True, large_type=at % 2 == 0),
                ai_generated=name == "english",
                location="https://course.example.org/" + name,
                language="en" if not zh else "zh-Hans",
            ),
        )
    hostile = Resource(
        id="hostile",
        title=BilingualLine(zh=HOSTILE),
        description=BilingualProse(zh=HOSTILE),
        type="online_course",
        section="silver_age",
        provider=HOSTILE,
        contributor=HOSTILE,
        licence=HOSTILE[:60],
        location="javascript:alert(3)",
    )
    await publish(made.network[SCHOOL], hostile)

    async def arrived():
        found = await made.home.search("智能手机", scope="network")
        near = await made.network[ROOT].search("alert", scope="network")
        return found.hits and near.hits

    await until(arrived, "the catalogue at the hub")


async def publish(live: Live, resource: Resource, author: str = "陈老师") -> None:
    rows = [{"row": 1, "resource": msgspec.to_builtins(resource)}]
    await live.ask("resource.import", rows=rows, author=author, apply=True)
    await live.ask("resource.review", ids=[resource.id], reviewer="李老师", approve=True, criteria=list(CRITERIA))
    done = await live.ask("resource.publish", ids=[resource.id])
    assert [one.state for one in done.outcomes] == ["published"]


async def offer(made: World) -> None:
    """Something of the contributor's that is published and, changed since, waits for review again."""
    author = made.people["contributor"].person.known_as
    it = Resource(
        id=OFFERED,
        title=BilingualLine(zh="茶艺入门：从择水到分茶"),
        description=BilingualProse(zh="十次课，学会泡绿茶、红茶和乌龙茶。每周一次，在社区教室。"),
        type="online_course",
        section="hobbies_interests",
        audience=("elder",),
        share_scope=ShareScope(reach="node"),
        location="https://course.example.org/tea",
    )
    await publish(made.home, it, author)
    later = msgspec.structs.replace(
        it,
        description=BilingualProse(zh="十二次课，学会泡绿茶、红茶和乌龙茶。每周两次，在社区教室。"),
        audience=("elder", "worker"),
        hours=24,
    )
    rows = [{"row": 1, "resource": msgspec.to_builtins(later)}]
    await made.home.ask("resource.import", rows=rows, author=author, apply=True)
    await offer_file(made)


A_PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
FILE_FORM = {"section": "hobbies_interests", "type": "courseware", "audience": "elder"}


async def offer_file(made: World) -> None:
    """A file that the learner has offered, and that somebody else has let everybody have."""
    learner = Visitor(made.address, {SESSION: made.people["learner"].token})
    form = {**FILE_FORM, "title": "越剧唱腔谱例", "description": "十段唱腔的简谱。"}
    answer = await learner.upload("/contribute/new", A_PDF, "谱例.pdf", form)
    offered = answer.location.partition("/contribute/of/")[2].partition("?")[0]
    await approve(made, offered)
    made.file = f"/file/{(await made.home.ask('resource.show', id=offered)).published.sha256}/{offered}"


async def approve(made: World, resource_id: str) -> None:
    await made.home.ask("resource.review", ids=[resource_id], reviewer="李老师", approve=True, criteria=list(CRITERIA))
    done = await made.home.ask("resource.publish", ids=[resource_id])
    assert [one.state for one in done.outcomes] == ["published"], done


async def register(home: Live, name="沈小满", number="2026001") -> str:
    written = {"name": name, "student_number": number, "birth_date": "1956-03-05", "contact": "0573-0000000"}
    return (await home.ask("learner.register", written=written)).id


async def define(home: Live) -> None:
    for code, zh, en, kind, hundredths in (
        ("dough", "面塑入门", "Dough figurines", "other_non_formal", 250),
        ("phone", "智能手机入门", "Smartphones for beginners", "other_non_formal", 100),
        ("care", "养老护理员（初级）", "", "vocational_training", 400),
    ):
        await home.ask(
            "achievement.define",
            code=code,
            name={"zh": zh, "en": en},
            kind=kind,
            credits={"unit": "credit", "hundredths": hundredths},
        )


async def issue(home: Live, code: str, on: str, number="2026001") -> str:
    rows = [{"row": 2, "student_number": number, "achievement": code, "achieved_on": on}]
    plan = await home.ask("credit.issue", rows=rows, by="王老师", apply=True)
    assert [row.change for row in plan.rows] == ["issue"], plan
    return plan.rows[0].id


async def convert(made: World) -> None:
    """One conversion, as far as it was previewed and applied for."""
    home = made.home
    consent = await home.ask(
        "consent.give",
        learner=made.learner,
        purpose="convert",
        fields=["records"],
        recipient=RECEIVER,
        records=[made.record],
        confirmed=True,
    )
    preview = await home.preview(learner=made.learner, to=RECEIVER, records=[made.record], consent=consent.id)
    made.consent, made.request = consent.id, preview.id
    await home.ask("convert.apply", id=preview.id)

    async def converted():
        state = await home.ask("convert.status", id=preview.id)
        listed = await home.ask("credit.list", learner=made.learner)
        return state.state == "converted" and set(state.results) <= {one.id for one in listed.records}

    await until(converted, "the conversion")


async def person(home: Live, role: str, learner: str = "", number: int = 1) -> SignedIn:
    """Somebody in one role, who has set up an account, and a session of theirs."""
    node = home.node
    invited, token = await node.staffing.invite(f"{role}{number}", f"{role}先生", [role], learner=learner)
    password = PASSWORD if role == "learner" else STAFF_PASSWORD
    made = await node.staffing.set_up(token, login=invited.owner, name=invited.name, password=password)
    return await node.signing_in.begin(made.person, "sign_in")


async def ask_for_review(made: World, at: int) -> str:
    """A learner of the other county asks HOME, whose people have to decide; the case."""
    theirs, number = made.network[RECEIVER], f"2026{at:03}"
    learner = await register(theirs, f"潮生{at}", number)
    worth = {"unit": "credit", "hundredths": 400}
    await theirs.ask("achievement.define", code="opera", name={"zh": "海宁皮影戏"}, kind="unformatted", credits=worth)
    record = await issue(theirs, "opera", "2026-04-02", number)
    agreed = {"learner": learner, "purpose": "convert", "fields": ["records"], "recipient": HOME, "records": [record]}
    consent = await theirs.ask("consent.give", **agreed, confirmed=True)
    preview = await theirs.preview(learner=learner, to=HOME, records=[record], consent=consent.id)
    await theirs.ask("convert.apply", id=preview.id)

    async def waits():
        listed = await made.home.ask("case.list", state="reviewing")
        return preview.id in {one.id for one in listed.cases}

    await until(waits, "the case")
    return preview.id
