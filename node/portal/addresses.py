"""Addresses of pages, and which addresses of others are followed.

What must not live here: any page.
"""

from urllib.parse import quote, urlencode, urlsplit

from federation.search import Hit


def of_hit(hit: Hit) -> str:
    """The page of a resource that was found; the title goes along, by which its node's catalogue finds it again."""
    title = hit.title.zh or hit.title.en
    return f"/resource/{quote(hit.publisher)}/{quote(hit.id)}?{urlencode({'q': title[:200]})}"


def web_address(location: str) -> tuple[str, str]:
    """(address, host) where it is one of the web; two empty texts for anything else, which no page links to."""
    try:
        read = urlsplit(location)
        host = read.hostname or ""
    except ValueError:
        return "", ""
    is_web = read.scheme in ("http", "https") and bool(host) and location.isprintable()
    return (location, host) if is_web else ("", "")
