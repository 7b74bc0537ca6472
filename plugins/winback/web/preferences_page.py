"""The page where customers choose channels, how often, and who: GET shows it, POST stores.

Its link stands beside the one to unsubscribe in every message, and carries the same token.
"""

from __future__ import annotations

from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from winback.record import preferences
from winback.record.preferences import CHANNELS, PAUSES, Wishes
from winback.record.unsubscribe import is_trial, message_of, was_erased
from winback.web.public_page import language_of, public_page

router = APIRouter()
# the longest form that the page can send is far shorter
MAX_BODY_BYTES = 2000


@router.get("/preferences/{token}")
def show(token: str, request: Request) -> HTMLResponse:
    """Shows the wishes that stand; changes nothing."""
    if is_trial(token):
        return _trial(request)
    message_id = message_of(token)
    wishes = None if message_id is None else preferences.read(message_id)
    if message_id is not None and wishes is None and was_erased(message_id):
        return _erased(request)
    return _page(request, token, wishes, is_saved=False)


@router.post("/preferences/{token}")
async def save(token: str, request: Request) -> HTMLResponse:
    """Stores the wishes of the form; a form that is none of ours changes nothing."""
    if is_trial(token):
        return _trial(request)
    message_id = message_of(token)
    if message_id is None:
        return _page(request, token, None, is_saved=False)
    if await run_in_threadpool(was_erased, message_id):
        return _erased(request)
    wishes = _wishes(await _limited(request))
    if wishes is None:
        standing = await run_in_threadpool(preferences.read, message_id)
        return _page(request, token, standing, is_saved=False, status=400)
    is_known = await run_in_threadpool(preferences.store, message_id, wishes)
    return _page(request, token, wishes if is_known else None, is_saved=True)


def _trial(request: Request) -> HTMLResponse:
    return public_page("preferences.html", 200, language_of(request), wishes=None, is_trial=True)


def _erased(request: Request) -> HTMLResponse:
    return public_page("unsubscribe.html", 410, language_of(request), state="erased")


async def _limited(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return b""
    return bytes(body)


def _wishes(body: bytes) -> Wishes | None:
    """What a form says; None when it is incomplete or says anything that the page does not ask."""
    try:
        form = parse_qs(body.decode("ascii"), strict_parsing=True, max_num_fields=20)
    except ValueError:
        return None
    channels, pause, who = form.pop("channel", []), form.pop("pause", []), form.pop("who", [])
    if form or len(pause) != 1 or len(who) != 1 or not set(channels) <= set(CHANNELS):
        return None
    if pause[0] not in ("any", *map(str, PAUSES)) or who[0] not in ("anyone", "contact_person"):
        return None
    return Wishes(
        frozenset(channels),
        None if pause[0] == "any" else int(pause[0]),
        who[0] == "contact_person",
    )


def _page(
    request: Request, token: str, wishes: Wishes | None, *, is_saved: bool, status: int = 200
) -> HTMLResponse:
    # a source may have told a pause that the page does not offer: the next longer one holds
    pause = wishes and wishes.pause_days
    return public_page(
        "preferences.html",
        404 if wishes is None else status,
        language_of(request),
        wishes=wishes,
        pause=pause and next((each for each in PAUSES if each >= pause), PAUSES[-1]),
        channels=CHANNELS,
        pauses=PAUSES,
        is_trial=False,
        is_saved=is_saved,
        is_wrong=status == 400,
        stop_url=f"../unsubscribe/{token}",
    )
