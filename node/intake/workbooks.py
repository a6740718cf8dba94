"""Workbooks: the rows of an XLSX file.

What lives here: reading values with python-calamine from an archive that has been surveyed. What must not: bounds on
the archive (`workbook_survey.py`), or what columns mean (`tables.py`).
"""

import io
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, BinaryIO, TypeVar

from node.intake.columns import Headers
from node.intake.rows import Cell, Formula, MalformedWorkbook
from node.intake.tables import HEADER_ROWS, TableRow
from node.intake.workbook_survey import COLUMNS_IN_SHEET, SurveyedSheet, survey_workbook

T = TypeVar("T")


def read_workbook(file: BinaryIO, headers: Headers, name: str) -> Iterator[TableRow]:
    """The rows of the first visible sheet that has a header, numbered as the sheet numbers them.

    Raises MalformedWorkbook, OversizeWorkbook, UnknownFileKind, and what `headers` raises where there is none.
    """
    import python_calamine  # noqa: PLC0415  # a native library that only this kind of file needs

    survey = survey_workbook(file, name)
    book = _guarded(lambda: python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(survey.archive)), name)
    for surveyed in survey.sheets:
        sheet = _guarded(lambda at=surveyed.position: book.get_sheet_by_index(at), name)  # type: ignore[misc]  # the default binds the loop's value
        if any(headers.find(row.cells) for row in islice(_rows(sheet, surveyed, name), HEADER_ROWS)):
            return _rows(sheet, surveyed, name)
    raise headers.missing(name)


def _rows(sheet: Any, surveyed: SurveyedSheet, name: str) -> Iterator[TableRow]:
    rows = _guarded(sheet.iter_rows, name)
    start = 0
    while (values := _guarded(lambda: next(rows, None), name)) is not None:
        yield TableRow(row=start // COLUMNS_IN_SHEET + 1, cells=_cells(values, start, surveyed.formulas))
        start += COLUMNS_IN_SHEET


def _cells(values: Sequence[Cell], start: int, formulas: frozenset[int]) -> Sequence[Cell]:
    if not formulas:
        return values
    return [Formula() if start + at in formulas else value for at, value in enumerate(values)]


def _guarded(step: Callable[[], T], name: str) -> T:
    """Run one step of the native reader; whatever it raises, a panic included, is a workbook it cannot read."""
    try:
        return step()
    except Exception as error:
        raise MalformedWorkbook(name, f"{type(error).__name__}: {error}"[:200]) from error
    except BaseException as error:
        if type(error).__module__ == "pyo3_runtime":  # a panic in Rust, which is not an Exception
            raise MalformedWorkbook(name, "the reader gave up on it") from error
        raise
