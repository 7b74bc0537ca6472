"""What an address on the web says about where it leads: to this machine, or safely elsewhere."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit


def is_loopback(url: str) -> bool:
    """Whether an http address leads to this very machine, whatever else stands in it."""
    parts = _split(url)
    if parts is None or parts.username is not None or parts.scheme not in ("http", "https"):
        return False
    if parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def is_https(url: str) -> bool:
    """Whether it is an https address with a host."""
    parts = _split(url)
    return parts is not None and parts.scheme == "https" and bool(parts.hostname)


def is_web_address(url: str) -> bool:
    """Whether it is an http or https address that may stand in a header between `<` and `>`."""
    parts = _split(url)
    return (
        parts is not None
        and parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and url.isascii()
        and url.isprintable()
        and not set(url) & set(' <>"\\')
    )


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for a port that is none
    except ValueError:
        return None
    return parts
