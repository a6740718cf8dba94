"""Catalogue files: what people keep in JSON Lines, CSV and XLSX, read into resources row by row.

What lives here: files, rows, columns and cells. What must not: the store, the network, or what an import changes.
"""

from node.intake.reading import read_catalogue
from node.intake.rows import IntakeRow, RowFault

__all__ = ["IntakeRow", "RowFault", "read_catalogue"]
