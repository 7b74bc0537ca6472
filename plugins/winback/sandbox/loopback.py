"""Keeps the sandbox's promise that nothing leaves this machine.

Every outgoing request of the sandbox is made through `post`; there is no other HTTP client.
"""

from __future__ import annotations

import threading

import httpx

from winback.outreach.web_address import is_loopback

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0


def client(timeout_seconds: float = 20.0) -> httpx.Client:
    """A client that follows no redirect and heeds no proxy: both could lead elsewhere."""
    return httpx.Client(timeout=timeout_seconds, follow_redirects=False, trust_env=False)


def post(
    http: httpx.Client,
    url: str,
    body: bytes,
    headers: dict[str, str],
) -> int | None:
    """Posts once.

    Args:
        http: From `client`.
        url: A loopback address.
        body: The raw body.
        headers: The request's headers.

    Returns:
        The status, or None when nothing answered.

    Raises:
        ValueError: The address is not on this machine.
    """
    if not is_loopback(url):
        raise ValueError("the sandbox posts to this machine only")
    try:
        return http.post(url, content=body, headers=headers).status_code
    except httpx.HTTPError:
        return None


def pause(attempt: int, stopping: threading.Event) -> bool:
    """Waits before another attempt, doubling each time; True when it is time to stop instead."""
    return stopping.wait(min(_FIRST_PAUSE_SECONDS * 2 ** min(attempt, 10), _LONGEST_PAUSE_SECONDS))
