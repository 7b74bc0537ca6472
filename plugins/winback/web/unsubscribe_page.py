"""The unsubscribe link of every message: GET shows a button and changes nothing, POST unsubscribes.

Mail programs send the POST by themselves (RFC 8058), so its answer must not depend on a browser.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from winback.record.unsubscribe import is_trial, message_of, unsubscribe, was_erased
from winback.web.public_page import language_of, public_page

router = APIRouter()


@router.get("/unsubscribe/{token}")
def ask(token: str, request: Request) -> HTMLResponse:
    """Shows the button; does nothing, since programs open links too."""
    if is_trial(token):
        return _page(request, "trial")
    message_id = message_of(token)
    if message_id is None:
        return _page(request, "unknown", 404)
    return _page(request, "erased", 410) if was_erased(message_id) else _page(request, "ask")


@router.post("/unsubscribe/{token}")
async def do(token: str, request: Request) -> HTMLResponse:
    """Unsubscribes the person the message went to; again and again with the same result."""
    if is_trial(token):
        return _page(request, "trial")
    message_id = message_of(token)
    if message_id is None:
        return _page(request, "unknown", 404)
    if await run_in_threadpool(unsubscribe, message_id):
        return _page(request, "done")
    if await run_in_threadpool(was_erased, message_id):
        return _page(request, "erased", 410)
    return _page(request, "unknown", 404)


def _page(request: Request, state: str, status: int = 200) -> HTMLResponse:
    return public_page("unsubscribe.html", status, language_of(request), state=state)
