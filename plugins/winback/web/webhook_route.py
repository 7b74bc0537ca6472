"""`POST /winback/webhook`: takes the mail provider's signed events, and does nothing else with them."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from winback.record import webhook
from winback.settings import settings

router = APIRouter()


@router.post("/webhook")
async def receive(request: Request) -> Response:
    """Keeps a genuine batch (204); refuses a large (413) or forged or old one (403)."""
    body = await _limited(request)
    if body is None:
        return Response(status_code=413)
    config = settings()
    is_genuine = webhook.is_genuine(
        body,
        request.headers.get(webhook.SIGNATURE_HEADER, ""),
        request.headers.get(webhook.TIMESTAMP_HEADER, ""),
        config.sendgrid_webhook_key,
        config.webhook_max_age_seconds,
    )
    if not is_genuine:
        return Response(status_code=403)
    await run_in_threadpool(webhook.keep, body)
    return Response(status_code=204)


async def _limited(request: Request) -> bytes | None:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > webhook.MAX_BODY_BYTES:
            return None
    return bytes(body)
