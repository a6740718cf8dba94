"""Headers: which column of a table is which field, whatever a person called it.

What lives here: finding the header row of any kind of table by its words, and the words of catalogues. What must not:
what stands in the cells (`cells.py`).
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from federation.errors import InvalidInput
from node.intake.rows import Cell, HeaderMissing, RepeatedColumn, UnknownScopeColumn

COLUMN_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "id": ("id", "编号", "资源编号", "课程编号", "课程号", "课程代码", "资源代码", "标识符", "identifier", "code"),
    "title.zh": ("title", "title.zh", "名称", "资源名称", "课程名称", "中文名称", "标题", "题名", "课程名", "name"),
    "title.en": ("title.en", "英文名称", "英文标题", "课程英文名称", "英文题名", "英文名", "English title"),
    "description.zh": (
        "description", "description.zh", "简介", "课程简介", "资源简介", "内容简介", "中文简介", "描述", "摘要", "说明",
        "summary", "abstract",
    ),
    "description.en": ("description.en", "英文简介", "英文描述", "英文摘要", "English description"),
    "keywords": ("keywords", "关键词", "关键字", "标签", "keyword", "tags"),
    "type": ("type", "类型", "资源类型", "类别", "资源类别", "resource type"),
    "section": ("section", "板块", "栏目", "版块", "所属板块", "所属栏目"),
    "stage": ("stage", "学段", "教育阶段"),
    "virtue": ("virtue", "五育", "五育维度"),
    "subject": ("subject", "学科", "学科代码", "学科分类", "学科分类代码"),
    "industry": ("industry", "行业", "行业代码", "国民经济行业", "行业分类"),
    "occupation": ("occupation", "职业", "职业代码", "职业编码"),
    "audience": ("audience", "对象", "适用人群", "适用对象", "学习对象", "面向人群", "面向对象", "人群", "受众"),
    "language": ("language", "语言", "语种", "授课语言", "lang"),
    "hours": ("hours", "学时", "总学时", "学时数", "课时", "课时数"),
    "credits": ("credits", "学分", "学分数", "credit"),
    "level": ("level", "级别", "等级", "资历等级"),
    "level.scheme": ("level.scheme", "级别体系", "等级体系", "资历框架"),
    "level.value": ("level.value", "级别值", "等级值"),
    "accessibility": ("accessibility", "无障碍", "无障碍支持"),
    "accessibility.captions": ("accessibility.captions", "captions", "字幕", "有字幕"),
    "accessibility.transcript": ("accessibility.transcript", "transcript", "文字稿", "有文字稿"),
    "accessibility.large_type": ("accessibility.large_type", "large_type", "大字版", "大字"),
    "ai_generated": ("ai_generated", "AI生成", "人工智能生成", "是否AI生成", "含AI生成内容"),
    "licence": ("licence", "license", "许可", "许可协议", "版权许可", "授权协议", "授权方式"),
    "share_scope": ("share_scope", "共享范围", "公开范围", "scope"),
    "contributor": ("contributor", "贡献者", "主讲人", "主讲教师", "主讲", "任课教师", "作者"),
    "provider": ("provider", "提供者", "提供机构", "提供单位", "机构", "单位", "来源机构", "发布单位"),
    "identifiers": ("identifiers", "唯一标识", "标识号"),
    "identifiers.isbn": ("isbn", "书号"),
    "identifiers.doi": ("doi",),
    "location": ("location", "链接", "网址", "链接地址", "访问地址", "课程链接", "资源链接", "url", "link"),
    "sha256": ("sha256", "校验值", "文件校验值"),
}  # fmt: skip
"""For each field the headers that mean it, the one to prefer first; case, space, width and punctuation do not count."""

TITLES: Final = frozenset(("title.zh", "title.en"))

_LEFT_OUT: Final = re.compile(r"[\s_\-.:*/]+")
_LIKE_SCOPE: Final = re.compile(r"共享|公开|sharescope|visibility|^scope")
_IN_BRACKETS: Final = re.compile(r"\([^()]*\)")


class Headers:
    """The headers of one kind of table: `words` by field, and the fields of which one makes a row the header row.

    `missing`: what is raised where a table has no header row; `check`: what else is refused in one.
    """

    def __init__(
        self,
        words: Mapping[str, tuple[str, ...]],
        *,
        needed: frozenset[str],
        missing: type[InvalidInput],
        check: Callable[[Mapping[str, int], Sequence[Cell]], None] = lambda _found, _cells: None,
    ) -> None:
        self._meanings = {
            _folded(word): (field, rank) for field, said in words.items() for rank, word in enumerate(said)
        }
        self._needed = needed
        self._check = check
        self.missing = missing

    def find(self, cells: Sequence[Cell]) -> dict[str, int]:
        """The position of each field that `cells` name as headers; empty where this is no header row.

        Where two headers mean one field the preferred word wins. Raises RepeatedColumn where even the word is the same,
        and what `check` raises.
        """
        ranked: dict[str, tuple[int, int]] = {}
        for position, cell in enumerate(cells):
            known = self.meaning_of(cell)
            if known is None:
                continue
            field, rank = known
            held = ranked.get(field)
            if held is not None and held[0] == rank and len(ranked) > 1:
                raise RepeatedColumn(str(cell)[:40], f"columns {held[1] + 1} and {position + 1}")
            if held is None or rank < held[0]:
                ranked[field] = (rank, position)
        if len(ranked) < 2 or self._needed.isdisjoint(ranked):
            return {}
        found = {field: position for field, (_, position) in ranked.items()}
        self._check(found, cells)
        return found

    def count(self, cells: Sequence[Cell]) -> int:
        """How many of `cells` are headers that mean something."""
        return sum(1 for cell in cells if self.meaning_of(cell) is not None)

    def meaning_of(self, cell: Cell) -> tuple[str, int] | None:
        """The field that a header means, and how much its word is preferred, 0 first."""
        if not isinstance(cell, str) or len(cell) > 80:
            return None
        folded = _folded(cell)
        return self._meanings.get(folded) or self._meanings.get(_IN_BRACKETS.sub("", folded))


def is_like_scope(header: str) -> bool:
    """Whether somebody may have meant the share scope by this header or key; one that is unknown is never ignored."""
    return _LIKE_SCOPE.search(_folded(header)) is not None


def _refuse_unknown_scope(found: Mapping[str, int], cells: Sequence[Cell]) -> None:
    """Raises UnknownScopeColumn where something like a share scope would be lost."""
    if "share_scope" in found:
        return
    for position, cell in enumerate(cells):
        if isinstance(cell, str) and CATALOGUE.meaning_of(cell) is None and is_like_scope(cell[:80]):
            raise UnknownScopeColumn(cell[:40], f"column {position + 1}")


def _folded(header: str) -> str:
    return _LEFT_OUT.sub("", unicodedata.normalize("NFKC", header.lstrip("\ufeff")).casefold())


CATALOGUE: Final = Headers(COLUMN_WORDS, needed=TITLES, missing=HeaderMissing, check=_refuse_unknown_scope)
