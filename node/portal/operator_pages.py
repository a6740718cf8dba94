"""Pages of a operator, in the making.

What must not live here: decisions.
"""

from typing import Final

from node.portal.pages import Page

PAGES: Final[tuple[Page, ...]] = ()
