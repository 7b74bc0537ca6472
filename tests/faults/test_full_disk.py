"""The disk under PostgreSQL runs full in the midst of sending: a real one, a small one.

What fits no more is an error of one transaction, or, where the write-ahead log has no room, the end
of the server until somebody makes room. Either way what was committed stands.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.conftest import SandboxFactory, _make_template
from tests.faults.planned import Planned, worker
from tests.faults.test_killed_database import STEPS, planned_on, strike
from tests.mail_flow import event, send
from winback.record.events import record
from winback.server import postgres_server as postgres
from winback.server.postgres_server import PostgresServer

pytestmark = pytest.mark.timeout(900)
SIZE_MB = 320


@dataclass
class SmallDisk:
    """A server whose data lie on a disk of their own."""

    mounted: Path
    server: PostgresServer

    def fill(self) -> None:
        """Leaves no room at all."""
        with self.connected() as connection:
            self._fill(connection)

    def fill_until_the_log_stops(self) -> None:
        """Leaves no room for the write-ahead log either, with which the server ends."""
        with self.connected() as connection:
            self._fill(connection)
            with pytest.raises(psycopg.OperationalError):
                # more than all segments that are there to be used again
                for _ in range(SIZE_MB):
                    connection.execute(
                        "select pg_logical_emit_message(true, 'ballast', repeat('x', 1048576))"
                    )
        assert self.server.process.wait(60) != 0
        assert psutil.disk_usage(str(self.mounted)).free < 1 << 20

    def connected(self) -> psycopg.Connection:
        # while there is room: whoever connects may be told as well that there is none
        return psycopg.connect(self.server.url(), autocommit=True)

    def _fill(self, connection: psycopg.Connection) -> None:
        piece = bytes(4096)
        with (
            (self.mounted / "ballast").open("wb", buffering=0) as ballast,
            pytest.raises(OSError, match="No space left"),
        ):
            while True:
                ballast.write(piece)
        with pytest.raises(psycopg.errors.DiskFull):
            connection.execute("create table more as select n from generate_series(1, 9999) as n")

    def make_room(self) -> None:
        (self.mounted / "ballast").unlink()
        if self.server.process.poll() is not None:
            self.server = start(self.server.data_dir, self.server.port)


def start(folder: Path, port: int) -> PostgresServer:
    options = {
        # no log kept for later, so that there is little to be used again
        "max_wal_size": "64MB",
        "min_wal_size": "32MB",
        # it would try to recover over and over, and sometimes for longer than a test may wait
        "restart_after_crash": "off",
    }
    return postgres.start(folder, port, options=options)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    # where the user that PostgreSQL runs as can go
    mounted = Path(tempfile.mkdtemp(prefix="winback-small-disk-"))
    options = f"size={SIZE_MB}m,mode=0755"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(mounted)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode != 0:
        mounted.rmdir()
        pytest.skip(f"takes a small disk of its own: {done.stderr.strip()}")
    server = None
    try:
        server = start(mounted / "cluster", port=0)
        _make_template(server)
        yield (made := SmallDisk(mounted, server))
        server = made.server
    finally:
        if server is not None:
            server.remove()
        subprocess.run(["umount", str(mounted)], check=True)
        mounted.rmdir()


@pytest.fixture
def flow(
    disk: SmallDisk,
    sandbox_factory: SandboxFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Planned]:
    with planned_on(disk.server, sandbox_factory, tmp_path, monkeypatch) as flow:
        yield flow


@pytest.mark.parametrize("step", STEPS)
def test_the_write_ahead_log_has_no_room_at_a_step(
    flow: Planned, disk: SmallDisk, step: str, is_long: bool
) -> None:
    for _ in range(3 if is_long else 1):
        strike(flow, step, disk.fill_until_the_log_stops, disk.make_room)


def test_what_has_no_room_is_not_sent_and_goes_out_later(
    flow: Planned, disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdicts of the second batch do not fit: a transaction fails, and the server lives."""
    n, batch = 4000, 2000
    flow.plan(n)
    monkeypatch.setenv("WINBACK_SEND_BATCH_SIZE", str(batch // 2))
    with worker(flow, "--stop-at=before_claim", "--hit=3") as writing:
        writing.wait_until_it_stops()
        disk.fill()
        try:
            writing.go_on()
            assert writing.process.wait(120) == 1
            assert disk.server.process.poll() is None
            states = flow.states()
            assert states.pop("accepted") == flow.sandbox.counts()["accepted"] == batch
            assert states.keys() <= {"planned", "claimed"}
        finally:
            disk.make_room()
    flow.end_leases()
    send(flow)
    assert flow.states() == {"accepted": n}
    flow.check_nothing_is_lost_or_doubled(n)


def test_events_without_room_are_refused_and_come_again(flow: Planned, disk: SmallDisk) -> None:
    """The provider repeats what was not answered with a success."""
    flow.plan(1)
    send(flow)
    flow.sandbox.wait_for_events()
    message_id, *_ = flow.message()
    # each with an id of its own: they do not shrink to a page that is there already
    told = [event("delivered", message_id) for _ in range(2000)]
    disk.fill()
    try:
        assert flow.post(told) >= 500
    finally:
        disk.make_room()
    assert flow.post(told) < 300
    record()
    [(n_told,)] = flow.warehouse.execute(
        "select count(*) from ops.event where event_id = any(%s)",
        ([each["sg_event_id"] for each in told],),
    )
    assert n_told == len(told)
