"""docs/resources.md says what the program reads: its words, its table of states, and its examples as they stand."""

import re
from pathlib import Path

import pytest

from node.intake import read_catalogue
from node.intake.columns import COLUMN_WORDS
from node.intake.rows import FILE_BYTES_MAX, ROW_CHARS_MAX, ROWS_MAX
from node.intake.words import CHOICES
from node.intake.workbook_survey import CELLS_MAX
from node.usecases.recording import TRANSITIONS
from tests.support.catalogue_files import csv_bytes

PAGE = (Path(__file__).parents[2] / "docs" / "resources.md").read_text("utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in PAGE.splitlines() if line.startswith("| ")]
BLOCKS = re.findall(r"```(csv|json)\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("field", COLUMN_WORDS)
def test_every_header_stands_in_the_page_and_its_example_is_read(field):
    (row,) = [row for row in ROWS if row[0] == field]
    assert row[1].split(" · ") == list(COLUMN_WORDS[field])
    example = row[3].strip(" `|")
    cells = {"title": "甲", "type": "课程", "section": "银龄课堂"}
    cells |= {"level.scheme": "NQF", "level.value": "1"} if field.startswith("level.") else {}
    cells[COLUMN_WORDS[field][0]] = example
    (read,) = read_catalogue(csv_bytes([cells.keys(), cells.values()]), "page.csv")
    assert read.faults == ()


@pytest.mark.parametrize(("of", "code"), [(of, code) for of, words in CHOICES.items() for code in words])
def test_every_word_of_a_closed_list_stands_in_the_page(of, code):
    said = [row[2].strip(" |") for row in ROWS if len(row) == 3 and row[1] == f"`{code}`"]
    assert "、".join(CHOICES[of][code]) in said


def test_the_examples_are_read_and_say_the_same():
    short, lines, table = (
        list(read_catalogue(text.encode(), "page.jsonl" if kind == "json" else "page.csv")) for kind, text in BLOCKS
    )
    assert [row.faults for row in (*short, *lines, *table)] == [()] * 6
    assert [row.resource for row in lines] == [row.resource for row in table]


def test_the_table_of_states_is_the_programs_own():
    steps = ("change", "approve", "return", "publish", "withdraw")
    told = {}
    for row in ROWS:
        state = row[0].split()[0]
        if len(row) == 6 and state != "state":
            told |= {
                (state, step): cell.split()[0] for step, cell in zip(steps, row[1:], strict=True) if cell[0] != "–"
            }
    assert told == TRANSITIONS


def test_the_limits_are_the_programs_own():
    numbers = {int(found.replace(",", "")) for found in re.findall(r"[\d,]*\d", PAGE.partition("Limits:")[2])}
    assert {FILE_BYTES_MAX // 2**20, ROWS_MAX, ROW_CHARS_MAX, CELLS_MAX} <= numbers
