"""Every page, in both languages and both sizes of type, for everybody who may see it and for nobody else."""

import csv
import io
import json
import re
from urllib.parse import urlsplit

import pytest

from node.portal import search_pages
from node.portal.drawing import static_files
from node.portal.site import PAGES
from node.ports.people import ROLES
from tests.support.portal_world import HOSTILE, SCHOOL

pytestmark = pytest.mark.asyncio(loop_scope="session")

WEIGHT_MAX = 150_000
GETS = [page for page in PAGES if page.methods == ("GET",)]
POSTS = [page for page in PAGES if page.methods == ("POST",)]
DRAWN = [
    page
    for page in GETS
    if not page.path.endswith((".json", ".csv", ".xlsx"))
    and not page.path.startswith(("/static", "/healthz", "/readyz", "/metrics", "/setup", "/.well-known", "/file"))
    and not page.path.startswith("/sign-in/institution")
]
REFERENCES = re.compile(
    r"<(?:script|img|link|iframe|form|source|video|audio|object|embed)\b[^>]*?(?:src|href|action)=\"([^\"]*)\""
)
SHOWN_BY = {"/search": "?q=alert"}
HEADERS = ("content-security-policy", "x-content-type-options", "referrer-policy", "x-frame-options")


def somebody_for(page):
    """A role that opens the page; "" where anybody may."""
    if page.roles is None:
        return ""
    return page.roles[0] if page.roles else "learner"


def named(page):
    return page.name


async def in_display(visitor, ui, display):
    answer = await visitor.get(f"/?ui={ui}&display={display}")
    assert (answer.status, answer.location) == (303, "/")
    return visitor


@pytest.mark.parametrize("display", ["standard", "large"])
@pytest.mark.parametrize("ui", ["zh", "en"])
@pytest.mark.parametrize("page", DRAWN, ids=named)
async def test_a_page_is_whole_in_each_language_and_size(made, visitor_of, page, ui, display):
    visitor = await in_display(visitor_of(somebody_for(page)), ui, display)
    answer = await visitor.get(made.path_of(page.path))
    assert answer.status == 200
    text = answer.text
    assert f'<html lang="{"zh-Hans" if ui == "zh" else "en"}"' in text
    assert ('class="large"' in text.split(">", 2)[1]) == (display == "large")
    assert text.rstrip().endswith("</html>")
    assert "{{" not in text
    assert "{%" not in text
    assert len(re.findall(r"<h1[ >]", text)) == 1
    assert re.search(r"<title>[^<]+ · [^<]+</title>", text)
    assert "&lt;span" not in text, "a text is escaped twice"
    weight = len(answer.body) + sum(len(one.content) for one in static_files().values())
    assert weight < WEIGHT_MAX
    asked_for = [urlsplit(address) for address in REFERENCES.findall(text)]
    assert asked_for
    assert not [one for one in asked_for if one.netloc or one.scheme not in ("", "data")]
    assert all(answer.headers.get(name) for name in HEADERS)
    assert "unsafe" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize("page", GETS, ids=named)
async def test_a_page_opens_for_its_roles_alone(made, visitor_of, page):
    path = made.path_of(page.path)
    for role in ("", *ROLES):
        answer = await visitor_of(role).get(path)
        may = page.roles is None or (bool(role) and (not page.roles or role in page.roles))
        if may:
            assert answer.status not in (401, 403), role
            assert not answer.location.startswith("/sign-in"), role
        elif role:
            assert answer.status == 403, role
        else:
            assert (answer.status, answer.location.split("?")[0]) == (303, "/sign-in")


@pytest.mark.parametrize("page", [page for page in POSTS if page.roles is not None], ids=named)
async def test_a_form_is_taken_from_its_roles_alone(made, visitor_of, page):
    for role in ("", *ROLES):
        if role and (not page.roles or role in page.roles):
            continue
        answer = await visitor_of(role).post(made.path_of(page.path), page="/account" if role else "/sign-in")
        assert answer.status == (403 if role else 401), role


@pytest.mark.parametrize("page", POSTS, ids=named)
async def test_a_form_without_the_token_of_its_browser_is_not_taken(made, visitor_of, page):
    path, role = made.path_of(page.path), somebody_for(page)
    elsewhere = "https://evil.example"
    other = await visitor_of("registrar").get("/account")
    stolen = re.search(r'name="form_token" value="([0-9a-f]+)"', other.text)[1]
    for sent in (
        {"token": ""},
        {"token": "0" * 32},
        {"token": stolen if role != "registrar" else "1" * 32},
        {"page": "/account" if role else "/sign-in", "origin": elsewhere},
        {"page": "/account" if role else "/sign-in", "origin": "null", "sec_fetch_site": "cross-site"},
    ):
        answer = await visitor_of(role).post(path, **sent)
        assert answer.status == 422, sent
        assert "LLN-1165" in answer.text


async def test_what_another_node_says_is_text_and_nothing_else(visitor_of):
    visitor = visitor_of()
    pages = [
        await visitor.get("/search?q=alert"),
        await visitor.get("/search?scope=node&q=%3Cscript%3Ealert(9)%3C/script%3E&section=%22%3E%3Csvg%3E"),
        await visitor.get(f"/resource/{SCHOOL}/hostile?q=alert"),
        await visitor.get("/help/%3Cscript%3E"),
        await visitor.get("/resource/%3Cscript%3E/x"),
        await visitor.get("/verify?code=%22%3E%3Cscript%3E"),
        await visitor.get("/sign-in?next=%22%3E%3Cscript%3E"),
    ]
    assert "hostile" in pages[0].text
    assert pages[2].status == 200
    for page in pages:
        assert HOSTILE not in page.text
        assert "<script>" not in page.text
        assert "<img src=x" not in page.text
        assert not re.search(r"(?:href|action|src)=\"\s*javascript:", page.text)


async def test_a_list_is_given_to_programs_under_the_same_roles(visitor_of):
    table = await visitor_of().get("/search.csv?q=alert")
    assert table.headers["content-type"].startswith("text/csv")
    assert table.text.startswith("\ufefftitle,")
    document = await visitor_of().get("/search.json?q=alert")
    assert document.headers["content-type"] == "application/json"
    assert (await visitor_of("learner").get("/my.csv")).text.count("urn:uuid:") == 3
    assert (await visitor_of("registrar").get("/my.csv")).status == 403


LISTS = re.compile(r'<table|<ul class="hits"|<ol class="hits"')


async def test_each_page_with_a_list_has_its_twins_for_programs_under_the_same_roles(made, visitor_of):
    """Whatever draws a table or a list of cards counts as a list, so that a new page cannot forget them."""
    by_path = {page.path: page for page in GETS}
    lists = []
    for page in GETS:
        if not page.shows:
            continue
        answer = await visitor_of(somebody_for(page)).get(made.path_of(page.path) + SHOWN_BY.get(page.path, ""))
        if LISTS.search(answer.text):
            lists.append(page.path)
            for ending in (".json", ".csv"):
                twin = by_path.get(page.path + ending)
                assert twin is not None, page.path + ending
                assert twin.roles == page.roles, twin.path
                link = f'href="{twin.path}'
                assert link in answer.text, f"{page.path} does not lead to {twin.path}"
    assert {"/search", "/my", "/audit", "/people", "/invites", "/below", "/desk"} <= set(lists)


@pytest.mark.parametrize("page", [page for page in GETS if page.path.endswith((".json", ".csv"))], ids=named)
async def test_a_twin_can_be_read_by_a_program(made, visitor_of, page):
    answer = await visitor_of(somebody_for(page)).get(
        made.path_of(page.path) + SHOWN_BY.get(page.path.rpartition(".")[0], "")
    )
    if page.path.endswith(".json"):
        assert answer.headers["content-type"] in ("application/json", "application/did+json")
        json.loads(answer.body)
        return
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith("attachment")
    head, *rows = csv.reader(io.StringIO(answer.text.removeprefix("\ufeff")))
    assert {len(row) for row in rows} <= {len(head)}
    assert not [cell for row in rows for cell in row if cell.lstrip().startswith(("=", "+", "@"))]


async def test_another_learners_things_are_as_if_they_were_not_there(made, visitor_of):
    other = await made.home.ask(
        "learner.register", written={"name": "甲", "student_number": "7", "birth_date": "1990-01-01"}
    )
    rows = [{"row": 2, "student_number": "7", "achievement": "care", "achieved_on": "2026-05-01"}]
    theirs = (await made.home.ask("credit.issue", rows=rows, by="王老师", apply=True)).rows[0].id
    consent = await made.home.ask(
        "consent.give", learner=other.id, purpose="present", fields=["name"], recipient="bearer", confirmed=True
    )
    visitor = visitor_of("learner")
    unknown = await visitor.get("/my/records/urn:uuid:00000000-0000-4000-8000-000000000000")
    found = await visitor.get(f"/my/records/{theirs}")
    assert (found.status, strip(found.text)) == (404, strip(unknown.text))
    assert (await visitor.get("/my/requests/K0000000000000000")).status == 404
    taken = await visitor.post("/my/data/withdraw", {"consent": consent.id}, page="/my/data")
    assert taken.status == 404
    still = await made.home.ask("consent.list", learner=other.id)
    assert still.consents[0].state == "active"
    proof = await visitor.post("/my/proof", {"record": theirs, "agree": "yes"}, page="/my/proof")
    assert proof.status == 422


def strip(text):
    """A page without what is of the visit: its address in links, and tokens."""
    return re.sub(r'(href|value)="[^"]*"', "", text)


async def test_the_watchers_pages(made, visitor_of):
    visitor = visitor_of()
    assert (await visitor.get("/healthz")).text == "ok\n"
    assert (await visitor.get("/readyz")).text == "ready\n"
    metrics = await visitor.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    published = len((await made.home.ask("resource.list", states=["published"], limit=1_000)).rows)
    assert published >= 3
    assert re.search(rf'^lln_resources\{{state="published"\}} {published}$', metrics.text, re.MULTILINE)
    names = re.findall(r"^# TYPE (\S+)", metrics.text, re.MULTILINE)
    assert len(names) == len(set(names))
    assert (await visitor.get("/metrics", x_forwarded_for="203.0.113.9")).status == 404


async def test_whoever_starts_from_the_address_finds_the_nodes_key(made, visitor_of):
    told = json.loads((await visitor_of().get("/.well-known/did.json")).body)
    [key] = told["verificationMethod"]
    assert f"did:key:{key['publicKeyMultibase']}" == made.home.node.identity.did == told["alsoKnownAs"][0]
    assert told["id"] == "did:web:" + made.address.removeprefix("http://").replace(":", "%3A")


async def test_strangers_names_and_oversized_requests_are_refused_at_the_border(visitor_of):
    visitor = visitor_of()
    assert (await visitor.get("/", host="evil.example")).status == 421
    assert (await visitor.get("/", host="localhost:9")).status == 200
    assert (await visitor.get("/search?q=" + "x" * 9_000)).status == 414
    large = await visitor.post("/verify", page="/verify", content_length="99999999")
    assert large.status == 413
    assert (await visitor.get("/nowhere")).status == 404
    assert (await visitor.post("/help", page="/verify")).status == 405


@pytest.mark.parametrize(
    "path", ["/static/x/../../words.toml", "/static/x/..%2f..%2fwords.toml", "/static/x/words.toml"]
)
async def test_nothing_but_the_small_files_is_handed_out(visitor_of, path):
    assert (await visitor_of().get(path)).status == 404


async def test_the_network_answers_in_the_same_page_when_it_is_slow(made, visitor_of, monkeypatch):
    monkeypatch.setattr(search_pages, "AT_ONCE_S", 0.0)
    answer = await visitor_of("learner").get("/search?q=" + "%E5%85%A5%E9%97%A8")
    assert answer.status == 200
    near, _, rest = answer.text.partition('class="note waiting"')
    assert "智能手机入门" in near
    assert "水乡木雕入门" in rest
    assert "智能手机入门：微信、挂号、防诈骗</a>" not in rest
    assert rest.rstrip().endswith("</html>")


async def test_an_error_says_what_to_do_and_where_more_stands(visitor_of):
    answer = await visitor_of().get("/setup/nobody")
    assert answer.status == 404
    assert "/help/LLN-1264" in answer.text
    told = await visitor_of().get("/help/lln-1264")
    assert (told.status, "LLN-1264" in told.text) == (200, True)
