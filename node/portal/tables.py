"""Twins of list pages for programs: JSON as the desk answers, and CSV that a spreadsheet opens without obeying it.

What must not live here: what is in any table.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from starlette.responses import Response

_OBEYED: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_BOM: Final = "\ufeff"


def as_json(document: object) -> Response:
    return Response(msgspec.json.encode(document), media_type="application/json")


def as_csv(name: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(head)
    writer.writerows([harmless(cell) for cell in row] for row in rows)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(_BOM + written.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def harmless(cell: object) -> object:
    """Text that a spreadsheet would take for a formula gets an apostrophe in front; numbers stay numbers."""
    if cell is None:
        return ""
    if isinstance(cell, str) and cell.lstrip(" ").startswith(_OBEYED):
        return f"'{cell}"
    return cell
