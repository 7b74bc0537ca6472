"""Posts signed batches of events to the webhook as the mail provider does: prints one JSON object
with events and posts per second, and the latency that 99 of 100 posts stay below.

All batches are made up and signed before the clock starts.

    python -m benchmarks.outreach_webhook_load URL KEY_FILE BATCH N_POSTS N_AT_ONCE POSTS_PER_S

N_AT_ONCE connections are kept open; POSTS_PER_S 0 posts as fast as answers come.
"""

from __future__ import annotations

import http.client
import json
import statistics
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from winback.sandbox.signing import Signer

Post = tuple[bytes, dict[str, str]]


def main(url: str, key_file: str, *numbers: str) -> None:
    """Posts and tells."""
    batch, n_posts, n_at_once, posts_per_s = map(int, numbers)
    signer = Signer(Path(key_file).read_bytes())
    now = int(time.time())
    posts = [_post(signer, now, batch) for _ in range(n_posts)]
    seconds: list[float] = []
    begin = time.perf_counter()
    threads = [
        threading.Thread(
            target=_client,
            args=(url, posts[nth::n_at_once], begin, nth, n_at_once, posts_per_s, seconds),
        )
        for nth in range(n_at_once)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - begin
    if len(seconds) != n_posts:
        raise RuntimeError(f"the webhook took {len(seconds)} of {n_posts} posts")
    told = {
        "events_per_s": batch * n_posts / took,
        "posts_per_s": n_posts / took,
        "p99_ms": 1000 * statistics.quantiles(seconds, n=100)[98],
    }
    sys.stdout.write(json.dumps(told))


def _post(signer: Signer, now: int, batch: int) -> Post:
    events = [
        {
            "email": f"person-{n}@example.com",
            "timestamp": now,
            "smtp-id": f"<{uuid4().hex}@sandbox>",
            "event": "delivered",
            "category": ["measured"],
            "sg_event_id": uuid4().hex,
            "sg_message_id": f"{uuid4().hex}.recvd-sandbox-1-{n}.0",
            "response": "250 OK",
            "message_id": str(uuid4()),
        }
        for n in range(batch)
    ]
    body = json.dumps(events, separators=(",", ":")).encode()
    return body, {"Content-Type": "application/json", **signer.headers(now, body)}


def _client(
    url: str,
    posts: Sequence[Post],
    begin: float,
    nth: int,
    n_at_once: int,
    posts_per_s: int,
    seconds: list[float],
) -> None:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    for position, (body, headers) in enumerate(posts):
        if posts_per_s:
            due = begin + (position * n_at_once + nth) / posts_per_s
            time.sleep(max(0.0, due - time.perf_counter()))
        sent = time.perf_counter()
        connection.request("POST", parts.path, body, headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 204:
            return
        seconds.append(time.perf_counter() - sent)
    connection.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
