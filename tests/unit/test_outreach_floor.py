"""What the bare loop posts: the same as winback, in requests as large as the provider takes."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from benchmarks.outreach_floor import MOST_RECIPIENTS, payloads


def test_small_requests_are_joined_and_refused_ones_left_out(tmp_path: Path) -> None:
    log = tmp_path / "sandbox.sqlite"
    with sqlite3.connect(log) as connection:
        connection.execute("create table request (number integer, outcome text, body blob)")
        for number, (outcome, n) in enumerate(
            [("accepted", 700), ("refused", 5), ("accepted", 700), ("accepted", 101)]
        ):
            people = [{"to": [{"email": f"{number}-{nth}@example.com"}]} for nth in range(n)]
            body = json.dumps({"subject": "Hello", "personalizations": people}).encode()
            connection.execute("insert into request values (?, ?, ?)", (number, outcome, body))
    joined = payloads(str(log))
    assert [len(each["personalizations"]) for each in joined] == [MOST_RECIPIENTS, 501]
    assert all(each["subject"] == "Hello" for each in joined)
    addresses = {p["to"][0]["email"] for each in joined for p in each["personalizations"]}
    assert len(addresses) == 1501
    assert not any(address.startswith("1-") for address in addresses)
