"""`POST /winback/webhook`: takes in the mail provider's signed events, and nothing else."""

from __future__ import annotations

import logging

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from winback.errors import SettingsError
from winback.record import webhook
from winback.settings import settings

log = logging.getLogger(__name__)
router = APIRouter()


@router.post("/webhook")
async def receive(request: Request) -> Response:
    """Keeps a genuine batch (204); refuses a large (413) or forged or old one (403).

    While the key is missing or wrong it answers 503, and the provider tries again for a day.
    """
    body = await _limited(request)
    if body is None:
        return Response(status_code=413)
    config = settings()
    try:
        is_genuine = webhook.is_genuine(
            body,
            request.headers.get(webhook.SIGNATURE_HEADER, ""),
            request.headers.get(webhook.TIMESTAMP_HEADER, ""),
            config.sendgrid_webhook_key,
            config.webhook_max_age_seconds,
        )
    except SettingsError as error:
        log.error("%s", error)
        return Response(status_code=503)
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
