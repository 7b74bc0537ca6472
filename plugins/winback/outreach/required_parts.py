"""What a mail must say and link to in each of its parts: pure functions, whoever composes it.

What these parts are is said by `message.py` and `privacy/opt_in_mail.py`. Nobody can tell here
whether a style makes them too small or too pale to be read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html.parser import HTMLParser

# one that is never closed hides the rest, which the parser would read
_COMMENT = re.compile(r"<!--.*?(-->|\Z)", re.DOTALL)
# what stands between these is shown to nobody
_UNSEEN = ("script", "style", "template", "title", "textarea", "option", "iframe")


class _Page(HTMLParser):
    """The text of a page as its reader sees it, and where its links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.links: set[str] = set()
        self._unseen = 0
        self._link: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._unseen += tag in _UNSEEN
        if tag == "a":
            self._link = None if self._unseen else dict(attrs).get("href")
        elif tag == "img":
            self._can_be_pressed()

    def handle_endtag(self, tag: str) -> None:
        self._unseen -= tag in _UNSEEN and self._unseen > 0
        if tag == "a":
            self._link = None

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.texts.append(data)
            if data.strip():
                self._can_be_pressed()

    def _can_be_pressed(self) -> None:
        # without words or a picture in it there is nothing to press
        if self._link is not None and not self._unseen:
            self.links.add(self._link)


def lacking(part: str, kind: str, links: Mapping[str, str], words: Mapping[str, str]) -> str | None:
    """What a part lacks first, by its name; nothing if it is complete.

    Args:
        part: The part, as it was composed.
        kind: `text` or `html`; in HTML a link is an `<a>` that somebody can press.
        links: By name, where links must lead.
        words: By name, what must be written, without its escapes; line breaks count as blanks.
    """
    seen, leads_to = part, part.__contains__
    if kind == "html":
        page = _Page()
        page.feed(_COMMENT.sub("", part))
        page.close()
        seen, leads_to = "".join(page.texts), page.links.__contains__
    seen = " ".join(seen.split())
    there = {name: leads_to(url) for name, url in links.items()}
    there |= {name: " ".join(each.split()) in seen for name, each in words.items()}
    return next((name for name, is_there in there.items() if not is_there), None)
