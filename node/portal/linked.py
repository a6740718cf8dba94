"""A resource as schema.org and LRMI describe one, so that search engines and readers of metadata understand the page.

What must not live here: anything that the page itself does not show.
"""

from typing import Any, Final

import msgspec

from federation.catalogue import Resource
from federation.search import Hit
from node.ports.files import FileRow

_AUDIENCES: Final = {"teacher": "teacher", "parent": "parent", "child": "student", "student": "student"}
_ESCAPED: Final = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)


def linked_data(it: Resource | Hit, href: str, file: FileRow | None = None) -> str:
    """JSON-LD that may stand inside a script element whatever the resource's texts are."""
    written: dict[str, Any] = {
        "@context": "https://schema.org",
        "@type": "Course" if it.type == "online_course" else "LearningResource",
        "name": it.title.zh or it.title.en,
        "learningResourceType": it.type,
        "inLanguage": it.language or None,
        "provider": {"@type": "Organization", "name": it.provider} if it.provider else None,
        "license": it.licence or None,
        "timeRequired": f"PT{it.hours}H" if it.hours else None,
        "url": href or None,
        "encoding": _media(href, file) if file else None,
        "identifier": list(it.identifiers) or None,
        "audience": [
            {"@type": "EducationalAudience", "educationalRole": _AUDIENCES.get(one, one)} for one in it.audience
        ]
        or None,
        "accessibilityFeature": [
            word
            for word, has in (
                ("captions", it.accessibility.captions),
                ("transcript", it.accessibility.transcript),
                ("largePrint", it.accessibility.large_type),
            )
            if has
        ]
        or None,
    }
    kept = {key: value for key, value in written.items() if value is not None}
    return msgspec.json.encode(kept).decode().translate(_ESCAPED)


def _media(href: str, file: FileRow) -> dict[str, str]:
    """schema.org/MediaObject, without an address where none can be opened from elsewhere."""
    told = {
        "@type": "MediaObject",
        "name": file.name,
        "encodingFormat": file.media_type,
        "contentSize": f"{file.bytes} B",
        "sha256": file.state,
    }
    return told | {"contentUrl": href} if href else told
