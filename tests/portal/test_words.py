"""The catalogue of messages is complete, used, and says the same in both languages."""

import re
import tomllib
from datetime import date
from importlib import resources
from string import Formatter

from node.portal.wording import ago, amount, catalogue, day, quantity, say
from node.ports.people import UploadState
from tests.style.tree import ROOT

PORTAL = ROOT / "node" / "portal"
ASKED = re.compile(r"""(?:\bt\(|\bsay\(|visit\.say\()\s*"([a-z_]+\.[A-Za-z_-]+)\"""")
ENTRIES = re.compile(
    r'entry\("[^"]*", "([a-z_.]+)"\)|"((?:verify|work|my)\.(?!html|json|csv)[a-z_]+)"|"(error\.(?!html)[a-z]+)"'
)
BY_VALUE = ("field", "value", "facet", "role", "did", "relation", "status", "invite_state", "kind")
BY_VALUE += ("criterion", "asks", "scope", "completion")
ASKED_BY_PART = {
    "help": ("find", "earn", "show", "big", "lost"),
    "resource": ("captions", "transcript", "large_type"),
    "people": ("state_invited", "state_active", "state_closed"),
    "sheet": tuple(f"state_{one}" for one in UploadState.__args__),
    "picture": ("age_minutes", "age_hour", "age_day", "age_older", "age_never"),
    "days": ("searches", "published", "credits", "lag"),
    "invites": ("change_new", "change_again", "change_taken"),
    "below": ("order_suspend", "order_resume", "order_revoke", "did_suspend", "did_resume", "did_revoke"),
    "node": ("severity_good", "severity_notice", "severity_warning", "severity_fault"),
}
CHINESE = re.compile(r"[\u4e00-\u9fff]")
ALIKE = {"site.other_language"}


def sources():
    return [path.read_text("utf-8") for path in (*PORTAL.glob("*.py"), *PORTAL.glob("templates/*.html"))]


def asked():
    found = {f"{section}.{name}" for section, names in ASKED_BY_PART.items() for name in names}
    for text in sources():
        found |= set(ASKED.findall(text))
        found |= {one for groups in ENTRIES.findall(text) for one in groups if one}
    return {key for key in found if not key.endswith("_")}  # the rest of such a name is a value, see above


def test_whatever_is_asked_for_is_there():
    assert len(asked()) > 150
    assert sorted(asked() - catalogue().keys()) == []


def test_whatever_is_there_is_asked_for():
    idle = {key for key in catalogue() if key.split(".")[0] not in BY_VALUE} - asked()
    assert sorted(idle) == []


def test_each_message_is_in_both_languages_with_the_same_values():
    for key, (zh, en) in catalogue().items():
        assert zh.strip(), key
        assert en.strip(), key
        assert CHINESE.search(zh) or key in ALIKE, key
        assert not CHINESE.search(en) or key in ALIKE, key
        assert parts(zh) == parts(en), key


def parts(text):
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_a_name_stands_once():
    text = resources.files("node.portal").joinpath("words.toml").read_text("utf-8")
    assert sum(len(names) for names in tomllib.loads(text).values()) == len(catalogue())


def test_values_read_as_people_write_them():
    assert (day("zh", date(2026, 5, 1)), day("en", date(2026, 5, 1))) == ("2026 年 5 月 1 日", "1 May 2026")
    assert [amount(one) for one in (0, 250, 205, 100)] == ["0", "2.5", "2.05", "1"]
    assert [ago("zh", one) for one in (5_000, 180_000, 7_200_000, 2 * 86_400_000)] == [
        "刚刚",
        "3 分钟前",
        "2 小时前",
        "2 天前",
    ]
    assert [ago("en", one) for one in (60_000, 86_400_000)] == ["1 minute ago", "1 day ago"]
    assert [say("en", "sheet.rows", count=one) for one in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]
    assert [quantity("en", one, "credit") for one in (50, 100, 250)] == ["0.5 credits", "1 credit", "2.5 credits"]
    assert say("zh", "search.silent", count=2) == "还有 2 个节点未回应"
