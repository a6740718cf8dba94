"""docs/credits.md has every key of a rule file and every reason, and its example is a rule."""

import re

from federation.conversion_refusals import SENTENCES
from federation.conversion_rules import ConversionRule
from federation.rule_toml import EXPECTED, read_rule_toml
from tests.style.tree import ROOT

PAGE = (ROOT / "docs" / "credits.md").read_text("utf-8")


def test_every_key_of_a_rule_file_is_told_of():
    assert [key for key in EXPECTED if f"`{key}`" not in PAGE] == []


def test_every_reason_is_told_of():
    assert [code for code in SENTENCES if f"`{code}`" not in PAGE] == []


def test_the_example_is_a_rule():
    example = next(block for block in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL) if block.startswith("id ="))
    assert isinstance(read_rule_toml(example.encode()), ConversionRule)
