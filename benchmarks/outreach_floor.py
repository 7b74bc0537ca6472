"""The least that sending can cost: a loop that posts payloads with the mail provider's library.

No ledger, no checks, no messages to put together: the payloads are those that winback posted, read
from the sandbox's log and decoded beforehand. Prints the seconds as one JSON object.

    python -m benchmarks.outreach_floor SANDBOX_LOG URL API_KEY
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from typing import Any

import sendgrid

MOST_RECIPIENTS = 1000


def loop(log: str, url: str, api_key: str) -> dict[str, float]:
    """Posts everything that was accepted, 1,000 recipients in each request."""
    client = sendgrid.SendGridAPIClient(api_key=api_key, host=url).client
    seconds, n = 0.0, 0
    for payload in payloads(log):
        begin = time.perf_counter()
        response = client.mail.send.post(request_body=payload)
        seconds += time.perf_counter() - begin
        if response.status_code != 202:
            raise RuntimeError(f"the sandbox answers {response.status_code}")
        n += len(payload["personalizations"])
    return {"seconds": seconds, "n": n}


def payloads(log: str) -> list[dict[str, Any]]:
    """What was accepted, as bodies of requests to 1,000 recipients each.

    Args:
        log: The sandbox's SQLite file.
    """
    with sqlite3.connect(log) as connection:
        rows = connection.execute("select body from request where outcome = 'accepted'")
        bodies = [json.loads(body) for (body,) in rows]
    # what was posted in smaller requests, since languages need one of their own, fills large ones
    people = [each for body in bodies for each in body["personalizations"]]
    return [
        bodies[0] | {"personalizations": people[start : start + MOST_RECIPIENTS]}
        for start in range(0, len(people), MOST_RECIPIENTS)
    ]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(loop(*sys.argv[1:])))
