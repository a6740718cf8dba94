"""Values: the words by which people say type, section, audience and the like.

What lives here: the words of closed lists, in Chinese and English, and choosing one. What must not: which column they
stand in (`columns.py`).
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from node.intake.rows import UnfitCell

Words = Mapping[str, tuple[str, ...]]

CHOICES: Final[Mapping[str, Words]] = {
    "type": {
        "online_course": ("网络课程", "在线课程", "课程", "慕课", "微课", "MOOC", "course"),
        "digital_textbook": ("数字教材", "教材", "textbook"),
        "digital_book": ("数字图书", "图书", "电子书", "book", "ebook"),
        "courseware": ("教学课件", "课件", "slides"),
        "teaching_case": ("教学案例", "案例", "case"),
        "virtual_lab": ("虚拟实验实训", "虚拟实验", "虚拟实训", "虚拟仿真", "虚拟仿真实验"),
        "online_research_video": ("在线教研视频", "教研视频"),
        "app_tool": ("教学应用与工具", "教学应用", "教学工具", "应用", "工具", "app", "tool"),
    },
    "section": {
        "scientific_literacy": ("科学素养",),
        "workplace_skills": ("职场技能", "职业技能"),
        "cultural_literacy": ("文化素养",),
        "hobbies_interests": ("兴趣爱好",),
        "continuing_education": ("继续教育",),
        "silver_age": ("银龄课堂", "银龄"),
    },
    "stage": {
        "basic": ("基础教育", "基础"),
        "vocational": ("职业教育", "职业"),
        "higher": ("高等教育", "高等"),
        "lifelong": ("终身教育", "终身学习", "终身"),
    },
    "virtue": {
        "moral": ("德育", "德"),
        "intellectual": ("智育", "智"),
        "physical": ("体育", "体"),
        "aesthetic": ("美育", "美"),
        "work": ("劳动教育", "劳育", "劳动", "劳"),
    },
    "audience": {
        "child": ("儿童", "少儿", "幼儿", "children"),
        "student": ("学生", "在校学生", "大学生", "中小学生", "students"),
        "jobseeker": ("求职者", "求职人员", "待业人员", "jobseekers"),
        "worker": ("在职人员", "职工", "从业人员", "劳动者", "工人", "workers"),
        "parent": ("家长", "父母", "parents"),
        "elder": ("老年人", "老人", "长者", "elders"),
        "teacher": ("教师", "老师", "teachers"),
    },
    "accessibility": {
        "captions": ("字幕", "有字幕"),
        "transcript": ("文字稿", "有文字稿"),
        "large_type": ("大字版", "大字"),
    },
    "flag": {
        "yes": ("是", "有", "y", "true", "1", "√", "✓"),
        "no": ("否", "无", "没有", "n", "false", "0", "×"),
    },
    "reach": {
        "network": ("全网", "全网共享", "公开"),
        "siblings": ("同级", "同级共享"),
        "node": ("本节点", "仅本节点", "本单位", "不共享"),
        "subtree": ("下级", "某一支"),
    },
}
"""For each closed list its codes, each with the words that mean it, the Chinese word of the glossary first."""

_LANGUAGES: Final[Words] = {
    "zh-Hans": ("中文", "汉语", "普通话", "简体中文", "简体", "Chinese", "zh", "zh-CN"),
    "zh-Hant": ("繁体中文", "繁体", "繁體中文", "zh-TW", "zh-HK"),
    "en": ("英文", "英语", "English"),
    "ja": ("日文", "日语", "Japanese"),
    "ko": ("韩文", "韩语", "朝鲜语", "Korean"),
    "ru": ("俄文", "俄语", "Russian"),
    "fr": ("法文", "法语", "French"),
    "de": ("德文", "德语", "German"),
    "es": ("西班牙文", "西班牙语", "Spanish"),
    "bo": ("藏文", "藏语", "Tibetan"),
    "ug": ("维吾尔文", "维吾尔语", "Uyghur"),
    "mn": ("蒙古文", "蒙古语", "Mongolian"),
}
_BETWEEN: Final = re.compile(r"[、；;,，|\n]+")
_INSIDE: Final = re.compile(r"[\s_\-]+")


def choose(of: str, word: str) -> str:
    """The code that `word` means in the closed list `of`; raises UnfitCell, which names what is possible."""
    code = _CODES[of].get(_folded(word))
    if code is not None:
        return code
    raise UnfitCell(
        f"“{word[:40]}”不在可选范围内。",
        f"'{word[:40]}' is not one of the choices.",
        f"可填：{'、'.join(words[0] for words in CHOICES[of].values())}。",
        f"One of: {', '.join(CHOICES[of])}.",
    )


def choose_language(word: str) -> str:
    """The language tag (BCP 47) that a word means; anything else as it is, to be judged as a tag."""
    return _TAGS.get(_folded(word), word)


def separate(text: str) -> list[str]:
    """The values in a cell that holds several, without repeats, in order."""
    return list(dict.fromkeys(part.strip() for part in _BETWEEN.split(text) if part.strip()))


def _folded(word: str) -> str:
    return _INSIDE.sub("", unicodedata.normalize("NFKC", word).casefold())


def _codes(words: Words) -> dict[str, str]:
    return {_folded(word): code for code, said in words.items() for word in (*said, code)}


_CODES: Final = {of: _codes(words) for of, words in CHOICES.items()}
_TAGS: Final = _codes(_LANGUAGES)
