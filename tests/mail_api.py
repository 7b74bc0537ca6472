"""Tiny mail APIs that answer as they are told, for what the sandbox does not do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


@dataclass
class Api:
    """A tiny mail API that answers as it is told and keeps what it was asked."""

    url: str = ""
    status: int = 202
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def serve(api: Api) -> Iterator[Api]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            api.asked.append(("POST", self.path, dict(self.headers), body))
            self.send_response(api.status)
            for name, value in api.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(api.body)

        def do_GET(self) -> None:
            api.asked.append(("GET", self.path, dict(self.headers), b""))
            self.send_response(202)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    api.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def dropping() -> Iterator[str]:
    """An address whose packets are dropped, as by a firewall: its queue of connections is full."""
    with ExitStack() as opened:
        server = opened.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            client = opened.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        with socket.socket() as another:
            another.settimeout(1)
            with pytest.raises(TimeoutError):
                another.connect(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def listening(answer: bytes, *, close: bool) -> Iterator[str]:
    """A server that reads a request's beginning, says `answer`, and hangs or hangs up."""
    server = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()
    met = threading.Event()

    def serve_one() -> None:
        client, _ = server.accept()
        with client:
            client.recv(100)
            met.set()
            client.sendall(answer)
            if not close:
                done.wait(20)

    thread = threading.Thread(target=serve_one, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        assert met.is_set(), "the request never came"
    finally:
        done.set()
        server.close()
        thread.join(5)
