"""`POST /v3/mail/send`: checks a request, commits its recipients, then answers or fails.

The rules of refusal are in `request_rules`, the fault switch in `faults`.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import time
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from winback.sandbox.answering import Answering
from winback.sandbox.faults import Fault, FaultSwitch
from winback.sandbox.journal import Journal, Recipient
from winback.sandbox.rendering import fill, fill_template
from winback.sandbox.request_rules import MAX_BODY_BYTES, invalid_address, problems
from winback.sandbox.schedule import UNKNOWN_BATCH, is_known_batch
from winback.sandbox.serving import Connections
from winback.sandbox.value_rules import Problem

_RATE_LIMIT = 600
_BREAKING_OFF = frozenset(
    {
        "hang",
        "hang_after_accept",
        "reset_after_accept",
        "truncate_after_accept",
        "trickle_after_accept",
    }
)
_TRUNCATED = b"HTTP/1.1 20"
_TRICKLE_SECONDS = 0.1


class MailSend:
    """The send endpoint with all it needs."""

    def __init__(
        self,
        journal: Journal,
        answering: Answering,
        faults: FaultSwitch,
        connections: Connections,
        api_key: str,
    ) -> None:
        self._journal = journal
        self._answering = answering
        self._faults = faults
        self._connections = connections
        self._authorization = f"Bearer {api_key}".encode()
        self.router = APIRouter()
        self.router.add_api_route("/v3/mail/send", self._send, methods=["POST"])

    async def _send(self, request: Request) -> Response:
        number = self._journal.next_number()
        body = await _read(request)
        refusal = self._refusal(request, body)
        if refusal is not None:
            await run_in_threadpool(self._journal.record_unaccepted, number, "refused", None)
            return refusal
        response, fault = await run_in_threadpool(self._process, number, body or b"")
        if fault is None:
            return response
        if request.client is not None:
            await self._break_off(fault, (request.client.host, request.client.port))
        return response

    async def _break_off(self, fault: Fault, client: tuple[str, int]) -> None:
        """Leaves the client without an answer, or with the beginning of one."""
        if fault.mode not in _BREAKING_OFF:
            return
        if fault.mode == "truncate_after_accept":
            self._connections.write(client, _TRUNCATED)
            # a reset at once would take back what is still on its way
            await asyncio.sleep(_TRICKLE_SECONDS)
        elif fault.mode == "trickle_after_accept":
            await self._trickle(fault.seconds, client)
        elif fault.mode != "reset_after_accept":
            await asyncio.sleep(fault.seconds)
        if self._connections.is_open(client):
            self._connections.cut(client)
        # Lets the server notice the broken connection before it is handed an answer.
        await asyncio.sleep(0)

    async def _trickle(self, seconds: float, client: tuple[str, int]) -> None:
        """A header that never ends, a byte at a time: no pause is long enough for a time-out."""
        self._connections.write(client, b"HTTP/1.1 202 Accepted\r\nX-Padding: ")
        give_up_at = time.monotonic() + seconds
        while time.monotonic() < give_up_at and self._connections.is_open(client):
            self._connections.write(client, b".")
            await asyncio.sleep(_TRICKLE_SECONDS)

    def _refusal(self, request: Request, body: bytes | None) -> Response | None:
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, self._authorization):
            return unauthorized()
        if body is None:
            return errors(413, [Problem("Payload Too Large", None)])
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type != "application/json":
            message = "Content-Type should be application/json."
            return errors(415, [Problem(message, None)])
        return None

    def _process(self, number: int, body: bytes) -> tuple[Response, Fault | None]:
        """Everything that takes time, off the event loop; returns once it is committed."""
        try:
            payload = json.loads(body)
        except (ValueError, RecursionError):
            payload = None
        found = problems(payload)
        addresses: dict[str, str] = {} if found else _addresses(payload)
        fault = self._faults.take(accepted=False, addresses=list(addresses))
        if fault is not None:
            self._journal.record_unaccepted(number, "fault", fault.mode)
            return faulty(fault, addresses), fault
        if found:
            self._journal.record_unaccepted(number, "refused", None)
            return errors(400, found), None
        if _is_enabled(payload, "mail_settings", "sandbox_mode"):
            self._journal.record_unaccepted(number, "sandbox_mode", None)
            return Response(status_code=200), None
        if not is_known_batch(self._journal, payload.get("batch_id")):
            self._journal.record_unaccepted(number, "refused", None)
            return errors(400, [UNKNOWN_BATCH]), None
        template_id = payload.get("template_id")
        provider_id = secrets.token_urlsafe(16)
        self._journal.record_accepted(
            number,
            provider_id,
            body,
            _tracking(payload),
            _recipients(payload, provider_id, number, self._journal.template_version(template_id)),
            _schedule(payload),
        )
        self._answering.wake()
        fault = self._faults.take(accepted=True, addresses=list(addresses))
        if fault is not None:
            self._journal.record_fault(number, fault.mode)
            return faulty(fault, addresses), fault
        return Response(status_code=202, headers={"X-Message-Id": provider_id}), None


async def _read(request: Request) -> bytes | None:
    """The body, or None when it exceeds the limit; then the rest is read and thrown away."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MAX_BODY_BYTES:
            chunks.append(chunk)
        else:
            chunks.clear()
    return b"".join(chunks) if size <= MAX_BODY_BYTES else None


def _addresses(payload: dict[str, Any]) -> dict[str, str]:
    """Each address of a valid request in lower case, with the field it stands in."""
    return {
        person["email"].lower(): f"personalizations.{position}.{kind}.{number}.email"
        for position, block in enumerate(payload["personalizations"])
        for kind in ("to", "cc", "bcc")
        for number, person in enumerate(block.get(kind) or [])
    }


def _recipients(
    payload: dict[str, Any], provider_id: str, number: int, version: dict[str, str] | None
) -> list[Recipient]:
    """One entry per address of a valid request."""
    shared_headers = payload.get("headers") or {}
    shared_arguments = payload.get("custom_args") or {}
    sections = payload.get("sections") or {}
    categories = json.dumps(payload.get("categories") or [], ensure_ascii=False)
    recipients: list[Recipient] = []
    for position, block in enumerate(payload["personalizations"]):
        arguments = {**shared_arguments, **(block.get("custom_args") or {})}
        headers = {**shared_headers, **(block.get("headers") or {})}
        subject = block.get("subject") or payload.get("subject") or ""
        if version is not None:
            subject = fill_template(version["subject"], block.get("dynamic_template_data") or {})
        for kind in ("to", "cc", "bcc"):
            for person in block.get(kind) or []:
                recipients.append(
                    Recipient(
                        position=position,
                        message_id=arguments.get("message_id"),
                        sg_message_id=f"{provider_id}.recvd-sandbox-{number}-{len(recipients)}.0",
                        address=person["email"],
                        subject=fill(subject, block.get("substitutions") or {}, sections),
                        headers=json.dumps(headers, ensure_ascii=False),
                        custom_args=json.dumps(arguments, ensure_ascii=False),
                        categories=categories,
                    )
                )
    return recipients


def _tracking(payload: dict[str, Any]) -> tuple[bool, bool]:
    return (
        _is_enabled(payload, "tracking_settings", "open_tracking"),
        _is_enabled(payload, "tracking_settings", "click_tracking"),
    )


def _schedule(payload: dict[str, Any]) -> tuple[int, str] | None:
    send_at = payload.get("send_at")
    return None if not send_at else (send_at, payload.get("batch_id") or "")


def _is_enabled(payload: dict[str, Any], group: str, name: str) -> bool:
    setting = (payload.get(group) or {}).get(name) or {}
    return bool(setting.get("enable"))


def faulty(fault: Fault, addresses: dict[str, str]) -> Response:
    """The answer to a request that meets a fault."""
    if fault.mode == "refuse_401":
        return unauthorized()
    if fault.mode == "rate_limit_429":
        response = JSONResponse({"errors": [{"field": None, "message": "too many requests"}]}, 429)
        response.headers["X-RateLimit-Limit"] = str(_RATE_LIMIT)
        response.headers["X-RateLimit-Remaining"] = "0"
        response.headers["X-RateLimit-Reset"] = str(int(time.time() + fault.seconds))
        return response
    if fault.mode == "bad_recipient_400":
        first = next(iter(addresses.values()), "personalizations.0.to.0.email")
        return errors(400, [invalid_address(addresses.get((fault.address or "").lower(), first))])
    return errors(500, [Problem("Internal Server Error", None)])


def unauthorized() -> Response:
    """The answer to a wrong key."""
    message = "The provided authorization grant is invalid, expired, or revoked"
    return errors(401, [Problem(message, None)])


def errors(status: int, found: list[Problem]) -> Response:
    """A refusal in the provider's form."""
    return JSONResponse({"errors": [problem.as_json() for problem in found]}, status)
