"""Any number of planned messages without a shop: what a selection would have left behind.

The rows are made in SQL, so that 100,000 of them take seconds; everything after the plan is the
product's own. And the parent's side of the workers that the tests strike.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tests.mail_flow import AS_OF, CAMPAIGN, STATE_TABLES, MailFlow
from winback.settings import PROJECT

FEED_TABLES = "raw.customers, raw.orders, raw.consents, pii.customers"
_PEOPLE = """
insert into raw.customers (customer_key, email_hash, locale, registered_at, snapshot_id)
select 'k' || n, 'hash' || n, (array['de_DE', 'en_GB'])[1 + n %% %(n_languages)s], '2025-06-01', 1
from generate_series(1, %(n)s) as n;
insert into pii.customers (customer_key, email)
select 'k' || n, 'p' || n || '@example.com' from generate_series(1, %(n)s) as n;
insert into raw.orders (order_id, customer_key, ordered_at, amount_cents, currency, snapshot_id)
select 'o' || n, 'k' || n, '2025-08-01', 1000, 'EUR', 1 from generate_series(1, %(n)s) as n;
insert into raw.consents (consent_id, customer_key, channel, granted_at, confirmed_at, text_version,
    source, snapshot_id)
select 'c' || n, 'k' || n, 'email', '2025-06-01', '2025-06-01', 'v1', 'made up', 1
from generate_series(1, %(n)s) as n;
"""
_PLAN = """
insert into ops.campaign (campaign_id, definition) values (%(campaign)s, '{}');
insert into ops.assignment (campaign_id, lapse_id, customer_key, snapshot_id, as_of, occasion,
    occasion_date, arm, stratum, customer_state, window_starts_at, window_ends_at, window_days)
select %(campaign)s, 'l' || n, 'k' || n, %(snapshot)s, %(as_of)s, 'purchase', '2025-08-01',
    'treated', 'high', 'sleeping', '2026-03-01', '2026-04-30', 60
from generate_series(1, %(n)s) as n;
insert into ops.outreach (campaign_id, lapse_id, step, channel, customer_key, address_hash,
    snapshot_id, as_of, template)
select %(campaign)s, 'l' || n, 1, 'email', 'k' || n, 'hash' || n, %(snapshot)s, %(as_of)s,
    %(campaign)s
from generate_series(1, %(n)s) as n;
analyze ops.outreach; analyze ops.assignment; analyze raw.customers; analyze raw.orders;
analyze raw.consents; analyze pii.customers;
"""
# what else a row may be, beside having reached the provider
UNSENT = {"planned"}
WITH_A_REASON = {"rejected", "unknown", "cancelled"}
REACHED = {"accepted", "delivered", "bounced", "dropped"}


class Planned(MailFlow):
    """A mail flow whose plan is made by hand."""

    def plan(self, n: int, n_languages: int = 1) -> None:
        """Forgets everything, and plans messages to `n` people."""
        self.warehouse.execute(
            f"truncate {STATE_TABLES}, {FEED_TABLES}, ops.gate_run, ops.snapshot"
            " restart identity cascade"
        )
        [(self.snapshot_id,)] = self.warehouse.execute(
            "insert into ops.snapshot (as_of, purpose, dataset, completed_at)"
            " values (%s, 'live', 'made up', now()) returning snapshot_id",
            (AS_OF,),
        )
        self.warehouse.execute(
            "insert into ops.gate_run (snapshot_id, gate, is_passed, n_expectations, n_failed)"
            " select %s, gate, true, 1, 0 from unnest(array['raw', 'marts']) as gate",
            (self.snapshot_id,),
        )
        values = {
            "n": n, "n_languages": n_languages, "campaign": CAMPAIGN, "as_of": AS_OF,
            "snapshot": self.snapshot_id,
        }  # fmt: skip
        for statement in (_PEOPLE + _PLAN).split(";"):
            if statement.strip():
                self.warehouse.execute(statement, values if "%(" in statement else None)

    def check_nothing_is_lost_or_doubled(self, n: int) -> None:
        """What must hold whatever happened, at any time."""
        states = self.states()
        assert sum(states.values()) == n
        assert not states.keys() - UNSENT - WITH_A_REASON - REACHED
        assert self.warehouse.execute(
            "select count(*) from ops.outreach where state = any(%s) and reason is null",
            (list(WITH_A_REASON),),
        ) == [(0,)]
        assert self.sandbox.counts()["max_per_key"] <= 1


class Worker:
    """A child that sends; see `worker_process`."""

    def __init__(self, flow: MailFlow, *flags: str, log: IO[bytes] | None = None) -> None:
        command = [sys.executable, "-m", "tests.faults.worker_process"]
        command += [f"--snapshot={flow.snapshot_id}", f"--as-of={AS_OF}", *flags]
        self.process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env=os.environ | {"PYTHONPATH": f"{PROJECT / 'plugins'}:{PROJECT}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log or subprocess.DEVNULL,
        )

    def wait_until_it_stops(self, seconds: float = 30) -> None:
        """Waits until the child stands at its step."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        assert ready, "the worker never came to that step"
        said = self.process.stdout.readline()
        assert said == b"reached\n", f"it ended with {self.process.wait(30)} before it got there"

    def go_on(self) -> None:
        """Lets the child go on from its step."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        """SIGKILL; fails when the child had ended by itself."""
        self.process.kill()
        assert self.process.wait(30) == -signal.SIGKILL, "it ended before it was killed"

    def freeze(self) -> None:
        """SIGSTOP, until the kernel says that it stands still."""
        self.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: self._letter() == "T")

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._letter() == "T"
        self.process.send_signal(signal.SIGCONT)

    def _letter(self) -> str:
        stat = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii")
        return stat.rpartition(")")[2].split()[0]

    def end(self) -> None:
        """Ends what is left of it, however it stands."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue


@contextmanager
def worker(flow: MailFlow, *flags: str) -> Iterator[Worker]:
    """A worker that is gone at the end of the block."""
    log = (flow.sandbox.data / "workers.log").open("ab")
    child = Worker(flow, *flags, log=log)
    try:
        yield child
    finally:
        child.end()
        log.close()


def wait_until(is_true: Callable[[], Any], seconds: float = 60) -> None:
    """Waits for something that must happen."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
