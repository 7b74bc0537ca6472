"""The provider's endpoints for batch ids and scheduled sends, and the sandbox's own clock."""

from __future__ import annotations

import asyncio
import hmac
from typing import Any

from fastapi import APIRouter, Body, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from winback.sandbox import schedule
from winback.sandbox.answering import Answering
from winback.sandbox.faults import FaultSwitch, Kind
from winback.sandbox.journal import Journal
from winback.sandbox.send import errors, faulty, unauthorized
from winback.sandbox.value_rules import Problem


class Clock(BaseModel):
    """How far the sandbox's time of day is ahead of the machine's."""

    model_config = ConfigDict(extra="forbid")

    ahead_seconds: float


class ScheduleApi:
    """The endpoints with all they need."""

    def __init__(
        self, journal: Journal, answering: Answering, faults: FaultSwitch, api_key: str
    ) -> None:
        self._journal = journal
        self._answering = answering
        self._faults = faults
        self._authorization = f"Bearer {api_key}".encode()
        self.router = APIRouter()
        add = self.router.add_api_route
        add("/v3/mail/batch", self._new_batch, methods=["POST"])
        add("/v3/mail/batch/{batch_id}", self._validate, methods=["GET"])
        add("/v3/user/scheduled_sends", self._hold, methods=["POST"])
        add("/v3/user/scheduled_sends", self._list, methods=["GET"])
        add("/v3/user/scheduled_sends/{batch_id}", self._list, methods=["GET"])
        add("/v3/user/scheduled_sends/{batch_id}", self._change, methods=["PATCH", "DELETE"])
        add("/sandbox/clock", self._set_clock, methods=["POST"])

    async def _new_batch(self, request: Request) -> Response:
        if (refusal := await self._refusal(request, "batch")) is not None:
            return refusal
        batch_id = await run_in_threadpool(schedule.new_batch, self._journal)
        return JSONResponse({"batch_id": batch_id}, 201)

    async def _validate(self, request: Request, batch_id: str) -> Response:
        if (refusal := await self._refusal(request, None)) is not None:
            return refusal
        if not await run_in_threadpool(schedule.is_known_batch, self._journal, batch_id):
            return errors(400, [Problem("invalid batch id", "batch_id")])
        return JSONResponse({"batch_id": batch_id})

    async def _hold(self, request: Request, wish: Any = Body(None)) -> Response:  # noqa: B008
        if (refusal := await self._refusal(request, "scheduled_sends")) is not None:
            return refusal
        wish = wish if isinstance(wish, dict) else {}
        batch_id, status = wish.get("batch_id"), wish.get("status")
        problem = await run_in_threadpool(schedule.hold, self._journal, batch_id, status)
        if problem is not None:
            return errors(400, [problem])
        late = await self._fault("scheduled_sends", accepted=True)
        return late or JSONResponse({"batch_id": batch_id, "status": status}, 201)

    async def _list(self, request: Request, batch_id: str = "") -> Response:
        if (refusal := await self._refusal(request, None)) is not None:
            return refusal
        late = await self._fault("scheduled_sends", accepted=True)
        return late or JSONResponse(await run_in_threadpool(schedule.told, self._journal, batch_id))

    async def _change(
        self,
        request: Request,
        batch_id: str,
        wish: Any = Body(None),  # noqa: B008
    ) -> Response:
        if (refusal := await self._refusal(request, None)) is not None:
            return refusal
        status = (wish or {}).get("status", "") if request.method == "PATCH" else ""
        if not await run_in_threadpool(schedule.change, self._journal, batch_id, status):
            return errors(404, [Problem("batch id not found", "batch_id")])
        return Response(status_code=204)

    async def _set_clock(self, clock: Clock) -> Clock:
        self._journal.ahead_seconds = clock.ahead_seconds
        self._answering.wake()
        return clock

    async def _refusal(self, request: Request, kind: Kind | None) -> Response | None:
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, self._authorization):
            return unauthorized()
        return None if kind is None else await self._fault(kind, accepted=False)

    async def _fault(self, kind: Kind, *, accepted: bool) -> Response | None:
        fault = self._faults.take(accepted=accepted, request=kind)
        if fault is None:
            return None
        if fault.mode.startswith("hang"):
            await asyncio.sleep(fault.seconds)
        return faulty(fault, {})
