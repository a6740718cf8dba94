"""Drawing pages: templates with everything escaped, and the small files they ask for.

What lives here: the template engine, and the style sheet and script with their addresses. What must not: what stands on
a page.
"""

from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Any, Final

import jinja2
import msgspec

from node.portal import addresses, wording

STATIC_TYPES: Final[Mapping[str, str]] = {
    "portal.css": "text/css; charset=utf-8",
    "portal.js": "text/javascript; charset=utf-8",
    "scan.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


class StaticFile(msgspec.Struct, frozen=True, kw_only=True):
    """`mark` changes with the content, so that an address that carries it may be cached for ever."""

    content: bytes
    media_type: str
    mark: str


@cache
def static_files() -> Mapping[str, StaticFile]:
    folder = resources.files("node.portal").joinpath("static")
    found = {}
    for name, media_type in STATIC_TYPES.items():
        content = folder.joinpath(name).read_bytes()
        found[name] = StaticFile(content=content, media_type=media_type, mark=sha256(content).hexdigest()[:12])
    return found


def static_address(name: str) -> str:
    return f"/static/{static_files()[name].mark}/{name}"


@cache
def _engine() -> jinja2.Environment:
    engine = jinja2.Environment(
        loader=jinja2.PackageLoader("node.portal", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    engine.globals["static"] = static_address
    engine.globals["address_of"] = addresses.of_hit
    engine.filters["amount"] = wording.amount
    engine.filters["base64"] = lambda text: b64encode(text.encode()).decode()
    return engine


def draw(template: str, ui: wording.Ui, values: Mapping[str, Any]) -> str:
    """A page in one language. In templates `t` says a message, `w` a value of a document, `both` a bilingual text."""

    def say(key: str, **parts: object) -> str:
        return wording.say(ui, key, **parts)

    spoken = {
        "ui": ui,
        "colon": "：" if ui == "zh" else ": ",
        "comma": "、" if ui == "zh" else ", ",
        "language_tag": wording.LANGUAGE_TAGS[ui],
        "t": say,
        "w": lambda value: wording.value_word(ui, value),
        "both": lambda text: wording.both(ui, text),
        "quantity": lambda hundredths, unit: wording.quantity(ui, hundredths, unit),
        "day": lambda on: wording.day(ui, on),
        "day_at": lambda at_ms: wording.day_at(ui, at_ms),
        "moment": lambda at_ms: wording.moment(ui, at_ms),
        "ago": lambda span_ms: wording.ago(ui, span_ms),
        "size": lambda count: wording.size(ui, count),
    }
    return _engine().get_template(template).render({**spoken, **values})
