"""Puts the sandbox together as one web app.

The command is in `__main__`, the server in `serving`, each endpoint's work in its own module.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.middleware.trustedhost import TrustedHostMiddleware

from winback.errors import ServerError
from winback.outreach.web_address import is_loopback
from winback.sandbox.answering import Answering
from winback.sandbox.faults import Fault, FaultSwitch
from winback.sandbox.inbox import inbox_router
from winback.sandbox.inbox_queries import counts
from winback.sandbox.journal import Journal
from winback.sandbox.schedule_api import ScheduleApi
from winback.sandbox.send import MailSend
from winback.sandbox.serving import Connections
from winback.sandbox.signing import Signer
from winback.sandbox.simulation import Rates
from winback.sandbox.templates import templates_router


def create_app(
    *,
    data: Path,
    private_key_pem: bytes,
    api_key: str,
    webhook_url: str,
    rates: Rates | None = None,
    event_delay_seconds: float = 0.0,
) -> FastAPI:
    """Builds a sandbox; it begins to answer messages when the app starts up.

    Args:
        data: Folder of the log; what is in it already is kept and answered.
        private_key_pem: P-256 key that signs the events.
        api_key: The only key that may send.
        webhook_url: Where the events are posted; on this machine.
        rates: How common bounces and the like are; the defaults when left out.
        event_delay_seconds: How long a message waits for its events.

    Raises:
        ServerError: The key is no P-256 key, or the webhook is not on this machine.
    """
    if not api_key:
        raise ServerError("the sandbox needs an API key: an empty one would let anyone send")
    if not is_loopback(webhook_url):
        raise ServerError("the sandbox's webhook must be an http address on 127.0.0.1 or localhost")
    signer = Signer(private_key_pem)
    journal = Journal(data)
    faults = FaultSwitch()
    answering = Answering(journal, signer, webhook_url, rates or Rates(), event_delay_seconds)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        answering.start()
        yield
        answering.stop()
        if not answering.is_alive():
            journal.close()

    app = FastAPI(title="winback sandbox", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.connections = Connections()
    # Another web site open in the same browser could reach loopback under a name of its own.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    app.include_router(MailSend(journal, answering, faults, app.state.connections, api_key).router)
    app.include_router(ScheduleApi(journal, answering, faults, api_key).router)
    app.include_router(templates_router(journal, faults, api_key))
    app.include_router(inbox_router(journal))

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/sandbox/counts")
    def sandbox_counts() -> dict[str, int]:
        return counts(journal)

    @app.get("/sandbox/faults")
    def current_fault() -> Fault:
        return faults.current()

    @app.post("/sandbox/faults")
    def switch_fault(fault: Fault) -> Fault:
        faults.set(fault)
        return faults.current()

    @app.delete("/sandbox/faults", status_code=204)
    def end_fault() -> None:
        faults.set(Fault(requests=0))

    return app
