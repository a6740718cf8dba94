"""Every error of the product has a code of its own, a sentence in two languages, and a place in the docs."""

import re
from collections import Counter

import pytest

from federation.errors import LlnError, LocalFault, RemoteFault
from tests.style.command_line import command_line, commands, unknown_commands
from tests.style.errors_page import FAULTS, PAGE, error_classes, faults, page
from tests.style.tree import ROOT

ERRORS = error_classes()
BRANCHES = {*LocalFault.__subclasses__(), *RemoteFault.__subclasses__()}
BELOW = [error for error in ERRORS if error not in (LlnError, LocalFault, RemoteFault)]
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def test_codes_are_unique():
    shared = [code for code, times in Counter(error.code for error in ERRORS).items() if times > 1]
    assert {code: [e.__qualname__ for e in ERRORS if e.code == code] for code in shared} == {}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_an_error_has_its_own_code_and_sentences(error):
    assert {"code", "zh", "en"} <= vars(error).keys()
    assert re.fullmatch(r"LLN-[0-9]{3,4}", error.code)
    assert CHINESE.search(error.zh)
    assert error.zh.endswith(("。", "？"))
    assert not CHINESE.search(error.en)
    assert error.en.endswith((".", "?"))


@pytest.mark.parametrize("error", BELOW, ids=lambda error: error.__name__)
def test_a_code_says_which_branch_the_error_hangs_on(error):
    branch = next(each for each in error.__mro__ if each in BRANCHES)
    assert error.code.startswith(branch.code[:6])
    assert error is branch or error.code != branch.code


def test_an_error_says_what_it_is_about_or_what_it_means():
    assert str(LlnError("a/catalogue", "held 40, got 12")) == "[LLN-000] a/catalogue: held 40, got 12"
    assert str(LlnError()) == f"[LLN-000] {LlnError.en}"


def test_a_remedy_names_commands_and_pages_that_exist():
    known = set(commands(command_line()))
    sentences = [sentence for error in ERRORS for sentence in (error.zh, error.en)]
    assert {sentence: wrong for sentence in sentences if (wrong := unknown_commands(sentence, known))} == {}
    pages = {page for sentence in sentences for page in re.findall(r"docs/[a-z/_-]+\.md", sentence)}
    assert [page for page in sorted(pages) if not (ROOT / page).exists()] == []


def test_the_page_of_errors_is_current():
    held = PAGE.read_text("utf-8").splitlines() if PAGE.exists() else []
    differing = sorted(set(held) ^ set(page().splitlines()))
    is_current = held == page().splitlines()
    assert is_current, "run: python -m tests.style.errors_page; it differs in\n" + "\n".join(differing[:9])


def test_the_help_of_the_pages_is_current():
    assert FAULTS.read_bytes() == faults(), "run: python -m tests.style.errors_page"
