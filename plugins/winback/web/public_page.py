"""How the pages behind the links of messages answer: in the reader's language, kept by nobody."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse

from winback.settings import settings
from winback.web.pages import render

_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    # no script and nothing from elsewhere, whatever ends up in a page
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    ),
}


def language_of(request: Request) -> str:
    """German for those who prefer it, English for all others."""
    wishes = request.headers.get("accept-language", "").lower()
    return "de" if wishes.startswith("de") else "en"


def public_page(page: str, status: int, language: str, **values: Any) -> HTMLResponse:
    """Fills a page of `pages/`.

    Args:
        page: Its file.
        status: HTTP status.
        language: `de` or `en`.
        values: What the page shows.
    """
    text = render(page, language=language, sender_name=settings().sender_name, **values)
    return HTMLResponse(text, status, _HEADERS)
