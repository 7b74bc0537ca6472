"""The pages a person looks at: the list of messages and one message opened."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from winback.sandbox.inbox_queries import counts, opened, page, states
from winback.sandbox.journal import Journal

# A mail's own HTML is shown in a frame without scripts or origin; this policy, which the frame
# inherits, also keeps it from fetching pictures or styles from anywhere.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_pages = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def inbox_router(journal: Journal) -> APIRouter:
    """The routes `/` and `/messages/{id}`."""
    router = APIRouter(default_response_class=HTMLResponse)

    @router.get("/")
    def inbox(
        q: Annotated[str, Query(max_length=200)] = "",
        state: Annotated[str, Query(max_length=40)] = "",
        number: Annotated[int, Query(alias="page", ge=1, le=1_000_000)] = 1,
    ) -> HTMLResponse:
        text = q.strip()
        return _page(
            "inbox.html",
            counts=counts(journal),
            states=states(journal),
            page=page(journal, text, state, number),
            q=text,
            state=state,
        )

    @router.get("/messages/{recipient_id}")
    def message(recipient_id: int) -> HTMLResponse:
        found = opened(journal, recipient_id)
        if found is None:
            raise HTTPException(404, "no such message in the sandbox")
        return _page("message.html", message=found)

    return router


def _page(name: str, **values: Any) -> HTMLResponse:
    return HTMLResponse(_pages.get_template(name).render(**values), headers=_HEADERS)
