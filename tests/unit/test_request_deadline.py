"""An answer that trickles in for ever holds nobody up, and never counts as one."""

from __future__ import annotations

import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from winback.outreach.request_deadline import RequestDeadline
from winback.outreach.sendgrid_transport import SendGridTransport

ANSWERS = {
    "in the status": (b"HTTP/1.1 2", b"0"),
    "in the headers": (b"HTTP/1.1 202 Accepted\r\nX-Padding: ", b"."),
    "in the body": (b"HTTP/1.1 202 Accepted\r\nContent-Length: 100000\r\n\r\n", b"."),
    "in a refusal": (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 100000\r\n\r\n", b" "),
}


@contextmanager
def trickling(begin: bytes, then: bytes) -> Iterator[tuple[str, threading.Event]]:
    """A server that goes on answering, a byte every twentieth of a second."""
    server = socket.create_server(("127.0.0.1", 0))
    is_gone = threading.Event()

    def serve() -> None:
        client, _ = server.accept()
        with client:
            client.recv(1000)
            client.sendall(begin)
            give_up_at = time.monotonic() + 20
            try:
                while time.monotonic() < give_up_at:
                    client.sendall(then)
                    time.sleep(0.05)
            except OSError:
                is_gone.set()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}", is_gone
    finally:
        server.close()
        thread.join(30)


@pytest.mark.parametrize("where", ANSWERS)
def test_an_answer_that_trickles_in_is_cut_off_and_unknown(where: str) -> None:
    with trickling(*ANSWERS[where]) as (url, is_gone):
        began = time.monotonic()
        outcome = SendGridTransport(url, "SG.test", 0.5).send({"from": {}})
        assert time.monotonic() - began < 5
        assert (outcome.kind, outcome.detail) == ("unknown", "no answer: TimeoutError")
        assert is_gone.wait(5), "the connection stayed open"


def test_without_the_deadline_it_would_hold_the_worker() -> None:
    with trickling(*ANSWERS["in the headers"]) as (url, is_gone):
        read = threading.Thread(
            target=urllib.request.build_opener(urllib.request.ProxyHandler({})).open,
            args=(url,),
            kwargs={"timeout": 0.5},
            daemon=True,
        )
        read.start()
        read.join(2)
        assert read.is_alive()
        assert not is_gone.is_set()


def test_what_ends_in_time_is_left_alone() -> None:
    deadline = RequestDeadline(0.2)
    for _ in range(2):
        with deadline.running():
            pass
    time.sleep(0.3)
    with pytest.raises(ZeroDivisionError), deadline.running():
        raise ZeroDivisionError


def test_a_connection_that_was_made_too_late_ends_at_once() -> None:
    deadline = RequestDeadline(0.05)
    server = socket.create_server(("127.0.0.1", 0))
    with server, pytest.raises(TimeoutError), deadline.running():
        time.sleep(0.2)
        with deadline.connect(server.getsockname()) as late:
            assert late.recv(1) == b""
