"""The link that confirms a consent: GET shows the words and a button, POST confirms."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from winback.record import opt_in
from winback.web.public_page import language_of, public_page

router = APIRouter()


@router.get("/opt-in/{token}")
def ask(token: str, request: Request) -> HTMLResponse:
    """Shows what is agreed to; does nothing, since programs open links too."""
    request_id = opt_in.request_of(token)
    found = None if request_id is None else opt_in.find(request_id)
    return _page(request, found)


@router.post("/opt-in/{token}")
async def do(token: str, request: Request) -> HTMLResponse:
    """Confirms, unless the request has expired; again and again with the same result."""
    request_id = opt_in.request_of(token)
    found = None if request_id is None else await run_in_threadpool(opt_in.confirm, request_id)
    return _page(request, found)


def _page(request: Request, found: opt_in.Request | None) -> HTMLResponse:
    if found is None:
        return public_page("opt_in.html", 404, language_of(request), state="unknown", content="")
    return public_page(
        "opt_in.html",
        # what was confirmed stands; a link that has run out is gone
        410 if found.state == "expired" else 200,
        # the words in the language in which they were sent, and the page around them too
        found.language,
        state=found.state,
        content=found.content,
    )
