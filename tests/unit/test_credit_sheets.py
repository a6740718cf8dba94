"""Sheets of certificates: twice the same, cut off in the middle, with rows that cannot be."""

import itertools
from collections import Counter

from tests.support.post_office import post_office

ROWS, BAD_EVERY, CHUNK = 600, 100, 100


def sheet():
    """One row in a hundred names nobody; each names its learner by a number."""
    return [
        {
            "row": row,
            "student_number": f"{row:07}" if row % BAD_EVERY else "nobody",
            "achievement": "dough",
            "achieved_on": "2026-05-01",
        }
        for row in range(1, ROWS + 1)
    ]


async def issue(branch, rows):
    """As the command line does: so many rows at a time; what became of each."""
    told = []
    for start in range(0, len(rows), CHUNK):
        plan = await branch.ask("credit.issue", rows=rows[start : start + CHUNK], by="王老师", apply=True)
        told += plan.rows
    return told


async def test_a_sheet_cut_off_in_the_middle_is_done_once_and_its_bad_rows_come_back(tmp_path):
    async with post_office(tmp_path, "a") as office:
        await office["a"].ask(
            "achievement.define",
            code="dough",
            name={"zh": "面塑"},
            kind="other_non_formal",
            credits={"unit": "credit", "hundredths": 250},
        )
        for row in sheet():
            if row["student_number"] != "nobody":
                written = {"name": "学员", "student_number": row["student_number"]}
                await office["a"].ask("learner.register", written=written)
        first = await issue(office["a"], sheet()[:250])
        await office.reopen("a")
        whole = await issue(office["a"], sheet())
        again = await issue(office["a"], sheet())

        bad = ROWS // BAD_EVERY
        assert Counter(one.change for one in whole) == {"same": 248, "issue": ROWS - bad - 248, "refused": bad}
        assert Counter(one.change for one in again) == {"same": ROWS - bad, "refused": bad}
        refused = [one for one in again if one.change == "refused"]
        assert [one.row for one in refused] == list(range(BAD_EVERY, ROWS + 1, BAD_EVERY))
        assert all(one.reason_zh and one.reason_en for one in refused)
        ids = [[one.id for one in told if one.id] for told in (first, whole, again)]
        assert ids[1] == ids[2]
        assert ids[0] == ids[1][: len(ids[0])]
        issued = [ledger.lot.id for ledger in await office["a"].lots()]
        assert sorted(issued) == sorted(set(ids[2]))
        assert len(set(itertools.chain(*ids))) == ROWS - bad
