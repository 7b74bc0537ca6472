"""What the sandbox tells, kept back until a test asks for it.

A worker reads the inbox before each batch, and the sandbox answers within milliseconds: without
this, what a test finds would depend on which of them was faster. What a provider tells at once is
tested with the webhook's own address.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx


@dataclass
class HeldEvents:
    """Batches that the sandbox posted to `url`, for the webhook at `webhook_url`."""

    url: str
    webhook_url: str
    batches: list[tuple[bytes, dict[str, str]]] = field(default_factory=list)

    def deliver(self) -> None:
        """Posts to the webhook what was held, as it was signed."""
        while self.batches:
            body, headers = self.batches.pop(0)
            answer = httpx.post(self.webhook_url, content=body, headers=headers, trust_env=False)
            answer.raise_for_status()


@contextmanager
def hold_events(webhook_url: str) -> Iterator[HeldEvents]:
    """Takes the sandbox's posts in place of the webhook."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            signed = {
                name: value
                for name, value in self.headers.items()
                if name.lower().startswith("x-") or name.lower() == "content-type"
            }
            held.batches.append((body, signed))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        held = HeldEvents(f"http://127.0.0.1:{server.server_port}/", webhook_url)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield held
        finally:
            server.shutdown()
            thread.join(10)
