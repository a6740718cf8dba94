"""What a text that was typed or scanned means: codes, documents, addresses of ours and of others, and all else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation import short_codes
from node.portal.scanned import is_whole_code, read, read_all

HERE = "https://xuexi.jiashan.example"
BARE = short_codes.grouped(short_codes.new(b"123456789"))
CODE = f"{BARE}@school.jiashan.lln.internal"


@pytest.mark.parametrize("text", [CODE, BARE, CODE.lower(), BARE.replace("-", ""), f"  {CODE}\n"])
def test_a_code_is_a_code(text):
    found = read(text, HERE)
    assert (found.meaning, found.text, found.is_checked_here) == ("code", text.strip(), True)


@pytest.mark.parametrize(
    "address", [f"{HERE}/verify?code={CODE}", f"HTTPS://Xuexi.Jiashan.Example/verify/?x=1&code={CODE}"]
)
def test_our_own_address_gives_its_code(address):
    found = read(address, HERE)
    assert (found.meaning, found.text) == ("code", CODE)


@pytest.mark.parametrize(
    ("address", "host"),
    [
        (f"https://evil.example/verify?code={CODE}", "evil.example"),
        (f"http://xuexi.jiashan.example/verify?code={CODE}", "xuexi.jiashan.example"),
        (f"https://xuexi.jiashan.example:444/verify?code={CODE}", "xuexi.jiashan.example:444"),
        (f"https://xuexi.jiashan.example@evil.example/verify?code={CODE}", "evil.example"),
        (f"https://somebody@xuexi.jiashan.example/verify?code={CODE}", "xuexi.jiashan.example"),
        (f"https://xuexi.jiashan.example.evil.example/verify?code={CODE}", "xuexi.jiashan.example.evil.example"),
    ],
)
def test_an_address_elsewhere_is_told_with_its_host(address, host):
    found = read(address, HERE)
    assert (found.meaning, found.text, found.host, found.is_checked_here) == ("elsewhere", CODE, host, False)


@pytest.mark.parametrize(
    "text",
    [
        "https://evil.example/",
        f"{HERE}/my?code={CODE}",
        f"{HERE}/verify",
        f"{HERE}/verify?code=%3Cscript%3E",
        "https://[evil/verify?code=x",
        f"https://evil.example:99999999/verify?code={CODE}",
        "javascript:alert(1)",
        "WIFI:S:school;T:WPA;P:secret;;",
        "你好" * 400,
    ],
)
def test_anything_else_is_something_else_and_short(text):
    found = read(text, HERE)
    assert (found.meaning, found.host) == ("other", "")
    assert len(found.text) <= 120


def test_of_several_codes_the_one_proof_counts_and_two_are_not_guessed_between():
    assert read_all([], HERE).meaning == "nothing"
    assert read_all(["https://weixin.example/school", CODE], HERE).text == CODE
    assert read_all([CODE, f"{HERE}/verify?code={CODE}"], HERE).text == CODE
    assert read_all([CODE, BARE], HERE).meaning == "several"
    assert read_all([f"https://evil.example/verify?code={CODE}", "x"], HERE).meaning == "elsewhere"
    assert read_all(["one", "other"], HERE).meaning == "several"


def test_only_a_code_with_its_node_can_be_asked_about_anywhere():
    assert is_whole_code(CODE)
    assert not is_whole_code(BARE)
    assert not is_whole_code("AAAA-BBBB-CCCC-DDDD@school.jiashan.lln.internal")


@given(st.text(max_size=300) | st.text(max_size=80).map(lambda rest: "https://" + rest))
def test_no_text_whatever_raises(text):
    assert read(text, HERE).meaning in ("code", "document", "elsewhere", "other", "nothing")
