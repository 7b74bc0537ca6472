"""The web server around the sandbox: loopback only, ends at once, and can cut a connection.

Which request is cut is decided in `send`.
"""

from __future__ import annotations

import asyncio
import socket
import struct

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

HOST = "127.0.0.1"


class Connections:
    """The open connections of a server, by the client's address and port."""

    def __init__(self) -> None:
        self._transports: dict[tuple[str, int], asyncio.Transport] = {}

    def add(self, transport: asyncio.Transport) -> None:
        """Remembers a new connection."""
        self._transports[transport.get_extra_info("peername")[:2]] = transport

    def remove(self, transport: asyncio.Transport) -> None:
        """Forgets a connection that ended."""
        for client, known in list(self._transports.items()):
            if known is transport:
                del self._transports[client]

    def write(self, client: tuple[str, int], answer: bytes) -> None:
        """Puts raw bytes on the wire, past the web server; to be followed by `cut`.

        Raises:
            KeyError: The connection has ended, or the app runs under another server.
        """
        self._transports[client].write(answer)

    def is_open(self, client: tuple[str, int]) -> bool:
        """Whether the client is still there."""
        return client in self._transports

    def cut(self, client: tuple[str, int]) -> None:
        """Resets a connection: the client sees it break, without an answer.

        Raises:
            KeyError: The app runs under another server than `make_server` gives.
        """
        transport = self._transports[client]
        # Lingering for zero seconds turns the close into a reset (RST) instead of a polite end.
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        transport.abort()


def make_server(app: FastAPI, port: int) -> uvicorn.Server:
    """A server for an app of `create_app`; call its `run`, set `should_exit` to end it.

    Args:
        app: The sandbox.
        port: The port on 127.0.0.1; 0 takes a free one.
    """
    connections: Connections = app.state.connections

    class Protocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            connections.add(transport)
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            connections.remove(self.transport)
            super().connection_lost(exc)

    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=HOST,
            port=port,
            http=Protocol,
            loop="asyncio",
            # A request held up by a fault must not delay the end for long.
            timeout_graceful_shutdown=1,
            # The access log would hold the addresses people search for in the inbox.
            access_log=False,
            log_level="warning",
            proxy_headers=False,
        )
    )
