"""Where an address leads: only what surely stays on this machine counts as this machine."""

from __future__ import annotations

import pytest

from winback.outreach.web_address import is_https, is_loopback


@pytest.mark.parametrize(
    ("url", "loops", "is_safe"),
    [
        ("http://127.0.0.1:8080", True, False),
        ("http://localhost", True, False),
        ("http://[::1]:80", True, False),
        ("http://127.9.9.9", True, False),
        ("https://127.0.0.1", True, True),
        ("https://api.sendgrid.com", False, True),
        ("https://api.sendgrid.com/?//127.0.0.1:80", False, True),
        ("http://127.0.0.1@evil.example", False, False),
        ("http://127.0.0.1.evil.example", False, False),
        ("http://0x7f.1", False, False),
        ("http://", False, False),
        ("http://[", False, False),
        ("https://x:99999", False, False),
    ],
)
def test_where_an_address_leads(url: str, loops: bool, is_safe: bool) -> None:
    assert (is_loopback(url), is_https(url)) == (loops, is_safe)
