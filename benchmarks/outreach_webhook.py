"""The event webhook under load: alone in one process of uvicorn, on a real inbox table."""

from __future__ import annotations

import statistics
import sys

import psycopg

from benchmarks.measuring import PAIRS, Result
from benchmarks.outreach_place import Place, Server, run, serve
from winback.sandbox.signing import Signer, new_private_key
from winback.server import processes
from winback.terminal import line

# how many events the provider puts in one post when there is much to tell
BATCH = 500
N_EVENTS = 300_000
N_SINGLE = 6_000
N_AT_ONCE = 4
# moderate load: so many posts a second, spread evenly
MODERATE_POSTS_PER_S = 20
MODERATE_SECONDS = 20


def measure(place: Place, scale: float, result: Result) -> None:
    """Adds events and posts per second, and the latency under moderate load.

    Args:
        place: Where to measure.
        scale: Of the full number of events.
        result: What the figures are added to.
    """
    line("  webhook")
    url = place.prepare("webhook")
    folder = place.folder / "webhook"
    folder.mkdir()
    key = new_private_key()
    (folder / "key.pem").write_bytes(key)
    environment = {
        "AIRFLOW_CONN_WINBACK_WAREHOUSE": url,
        "WINBACK_HOME": str(place.folder),
        "WINBACK_KEY": "a key for measuring",
        "WINBACK_SENDGRID_WEBHOOK_KEY": Signer(key).public_key(),
    }
    port = processes.free_port()
    command = [
        sys.executable, "-m", "uvicorn", "--factory", "winback.web.public_app:create_app",
        "--host=127.0.0.1", f"--port={port}", "--no-access-log",
    ]  # fmt: skip
    with serve(command, port, "/winback/unsubscribe/none", folder, environment) as server:
        _load(server, url, 1, 100)
        n_posts = max(20, int(N_EVENTS * scale) // BATCH)
        loads = [_load(server, url, BATCH, n_posts) for _ in range(PAIRS)]
        n_single = max(200, int(N_SINGLE * scale))
        singles = [_load(server, url, 1, n_single) for _ in range(PAIRS)]
        seconds = max(5, int(MODERATE_SECONDS * scale))
        calm = _load(server, url, BATCH, MODERATE_POSTS_PER_S * seconds, MODERATE_POSTS_PER_S)
    result.figures |= {
        "webhook_events_per_s": statistics.median(each["events_per_s"] for each in loads),
        "webhook_events_per_post": BATCH,
        "webhook_posts_per_s": statistics.median(each["posts_per_s"] for each in singles),
        "webhook_p99_ms": calm["p99_ms"],
        "webhook_p99_at_events_per_s": BATCH * MODERATE_POSTS_PER_S,
    }
    place.drop("webhook")


def _load(
    server: Server, url: str, batch: int, n_posts: int, posts_per_s: int = 0
) -> dict[str, float]:
    numbers = map(str, (batch, n_posts, N_AT_ONCE, posts_per_s))
    key = server.data / "key.pem"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("truncate pii.webhook_inbox")
        told = run(
            "benchmarks.outreach_webhook_load", f"{server.url}/winback/webhook", str(key), *numbers,
            environment={},
        )  # fmt: skip
        kept = connection.execute("select count(*) from pii.webhook_inbox").fetchone()
    if kept != (n_posts,):
        raise RuntimeError(f"the inbox holds {kept} batches instead of {n_posts}")
    return told
