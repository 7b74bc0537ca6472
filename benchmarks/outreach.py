"""`./winback bench outreach`: planning, sending and the event webhook, on a server of their own.

Sending is held against a bare loop that posts the same payloads with the same library to the same
sandbox, each in a process of its own. The sandbox answers in microseconds where a provider takes
a second, so what it costs stands beside the ratio. It tells no events meanwhile: taking them in is
measured by itself.
"""

from __future__ import annotations

import shutil
import statistics
from pathlib import Path

from benchmarks import outreach_place, outreach_webhook
from benchmarks.measuring import Result, pairs
from benchmarks.outreach_people import make_up, write_campaign
from benchmarks.outreach_place import API_KEY, Place
from benchmarks.outreach_place import run as run_module
from winback.terminal import line

CANDIDATES = 1_000_000
# of these 100,000 are left to write to: some lack a consent, a fifth is held out
PEOPLE_TO_SEND_TO = 140_000
AT_LEAST = {"rate_vs_bare_loop": 0.5, "webhook_events_per_s": 5000.0}
LIMITS = {"plan_1m_s": 60.0, "webhook_p99_ms": 50.0}


def run(scale: float) -> Result:
    """Measures.

    Args:
        scale: Of the million candidates and all the rest; under 1 for a quick look.
    """
    result = Result("outreach", limits=LIMITS, at_least=AT_LEAST)
    with outreach_place.place() as place:
        campaigns = write_campaign(place.folder)
        _send(place, campaigns, scale, result)
        outreach_webhook.measure(place, scale, result)
        _plan(place, campaigns, scale, result)
    return result


def _plan(place: Place, campaigns: Path, scale: float, result: Result) -> None:
    n = int(CANDIDATES * scale)
    line(f"  making up {n:,} candidates")
    make_up(place.prepare("candidates"), n, is_mixed=True)
    told = _step("select", place, "candidates", campaigns)
    line(f"  planned {told['n']:,.0f} of them in {told['seconds']:.1f} s")
    # per row it costs the same, so that a part says what the whole would take
    result.figures |= {
        "plan_1m_s": told["seconds"] / scale,
        "plan_candidates": n,
        "plan_messages": told["n"],
    }
    place.drop("candidates")


def _send(place: Place, campaigns: Path, scale: float, result: Result) -> None:
    n = int(PEOPLE_TO_SEND_TO * scale)
    line(f"  planning for {n:,} candidates")
    make_up(place.prepare("people"), n, is_mixed=False)
    n_planned = _step("select", place, "people", campaigns)["n"]
    payloads = place.folder / "payloads.sqlite"
    log = place.folder / "sandbox"
    # what the sandbox computed, and our own process
    cpu: dict[str, list[float]] = {"sandbox": [], "ours": []}

    def ours() -> float:
        place.clone("people", "sending")
        with outreach_place.sandbox(log) as sandbox:
            told = _step("outreach", place, "sending", campaigns, sandbox.url)
            cpu["ours"].append(told["cpu_s"])
        if told["n"] != n_planned:
            raise RuntimeError(f"{told['n']} of {n_planned} messages were accepted")
        # the first run's payloads serve every loop
        if not payloads.exists():
            shutil.move(log / "sandbox.sqlite", payloads)
        shutil.rmtree(log)
        return told["seconds"]

    def floor() -> float:
        with outreach_place.sandbox(log) as sandbox:
            before = sandbox.cpu_seconds()
            told = run_module(
                "benchmarks.outreach_floor", str(payloads), sandbox.url, API_KEY, environment={}
            )
            cpu["sandbox"].append(sandbox.cpu_seconds() - before)
        if told["n"] != n_planned:
            raise RuntimeError(f"the loop posted {told['n']} of {n_planned}")
        shutil.rmtree(log)
        return told["seconds"]

    ratio, seconds, floor_seconds = pairs("sending", ours, floor)
    result.ratios["rate_vs_bare_loop"] = 1 / ratio
    sandbox_seconds = statistics.median(cpu["sandbox"])
    result.figures |= {
        "recipients": n_planned,
        "recipients_per_s": n_planned / seconds,
        "floor_recipients_per_s": n_planned / floor_seconds,
        "ledger_us_per_recipient": 1e6 * (seconds - floor_seconds) / n_planned,
        "floor_us_per_recipient": 1e6 * floor_seconds / n_planned,
        "sandbox_us_per_recipient": 1e6 * sandbox_seconds / n_planned,
        "sandbox_share_of_floor_pct": 100 * sandbox_seconds / floor_seconds,
        "our_process_us_per_recipient": 1e6 * statistics.median(cpu["ours"]) / n_planned,
    }
    place.drop("sending")
    place.drop("people")


def _step(
    step: str, place: Place, database: str, campaigns: Path, sandbox_url: str = ""
) -> dict[str, float]:
    environment = {
        "AIRFLOW_CONN_WINBACK_WAREHOUSE": place.url(database),
        "WINBACK_HOME": str(place.folder),
        "WINBACK_CAMPAIGNS": str(campaigns),
        "WINBACK_KEY": "a key for measuring",
        "WINBACK_BUSINESS_TIMEZONE": "UTC",
        "WINBACK_REPLAY": "true",
        # nobody was ever written to: a ramp-up would end the run after its first portion
        "WINBACK_RAMP_UP_FIRST_PORTION": "1000000000",
        "WINBACK_SENDGRID_URL": sandbox_url,
        "WINBACK_SENDGRID_API_KEY": API_KEY,
        "WINBACK_SENDER_NAME": "Example Shop",
        "WINBACK_SENDER_EMAIL": "shop@example.com",
        "WINBACK_SENDER_POSTAL_ADDRESS": "1 Example Street",
    }
    return run_module("benchmarks.outreach_steps", step, environment=environment)
