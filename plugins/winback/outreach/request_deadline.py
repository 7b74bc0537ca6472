"""An end to one HTTP request, however slowly its answer trickles in.

The time-outs of Python's HTTP client count the pause between two bytes, so a server that sends one
byte every few seconds would hold a worker for ever. Knows nothing of what is asked or answered.
"""

from __future__ import annotations

import http.client
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


class RequestDeadline:
    """Breaks the connection of the request under way once its time is up.

    One request at a time; whoever waits for it sees the connection end.

    Attributes:
        has_connected: Whether that request ever had a connection: without one, no byte left.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._is_over = False
        self.has_connected = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Counts from here to the end of the block.

        Raises:
            TimeoutError: The time was up before the block ended, whatever it made of that: half an
                answer could be read as a whole one.
        """
        self._is_over = self.has_connected = False
        timer = threading.Timer(self._seconds, self._end)
        timer.daemon = True
        timer.start()
        try:
            yield
        except Exception as error:
            if self._is_over:
                raise TimeoutError from error
            raise
        finally:
            timer.cancel()
            with self._lock:
                while self._open:
                    self._open.pop().close()
        if self._is_over:
            raise TimeoutError

    def handlers(self) -> list[urllib.request.BaseHandler]:
        """What an opener needs so that its connections are watched."""
        return [_Http(self), _Https(self)]

    def connect(self, *arguments: Any, **options: Any) -> socket.socket:
        """Connects as `socket.create_connection` does, and watches."""
        connected = socket.create_connection(*arguments, **options)
        self.has_connected = True
        with self._lock:
            # a second handle on the same connection: TLS takes the first one away
            self._open.append(connected.dup())
            is_late = self._is_over
        if is_late:
            self._end()
        return connected

    def _end(self) -> None:
        with self._lock:
            self._is_over = True
            for each in self._open:
                with suppress(OSError):  # it has ended by itself
                    each.shutdown(socket.SHUT_RDWR)


class _Http(urllib.request.HTTPHandler):
    def __init__(self, deadline: RequestDeadline) -> None:
        super().__init__()
        self._deadline = deadline

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        def connection(host: str, **options: Any) -> http.client.HTTPConnection:
            return _watched(http.client.HTTPConnection(host, **options), self._deadline)

        return self.do_open(connection, req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, deadline: RequestDeadline) -> None:
        super().__init__()
        self._deadline = deadline

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        def connection(host: str, **options: Any) -> http.client.HTTPConnection:
            return _watched(http.client.HTTPSConnection(host, **options), self._deadline)

        return self.do_open(connection, req)


def _watched(
    connection: http.client.HTTPConnection, deadline: RequestDeadline
) -> http.client.HTTPConnection:
    # the library's own seam for tests: what it calls to reach the host
    connection._create_connection = deadline.connect  # type: ignore[attr-defined]
    return connection
