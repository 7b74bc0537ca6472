"""PostgreSQL from the wheel: started, stopped, orphaned, beside another one."""

import os
import pwd
import subprocess
import sys

import psutil
import psycopg
import pytest

from tests.server_processes import ask, eventually
from winback.errors import ServerError
from winback.server import (
    databases,
    postgres_server,
    processes,
)
from winback.server import instance as instances

pytestmark = pytest.mark.timeout(180)


def test_a_server_keeps_its_data_over_a_restart(start, tmp_path):
    server = start(tmp_path / "pg")
    ask(server, "create table kept as select 42 as x")
    server.stop()
    assert server.process.poll() is not None
    again = start(tmp_path / "pg", password="not asked for again")
    again.password = server.password
    assert ask(again, "select x from kept") == (42,)


def test_a_wrong_password_is_refused(start, tmp_path):
    server = start(tmp_path / "pg")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(server.url(password="wrong"))


def test_two_servers_side_by_side(start, tmp_path):
    one, two = start(tmp_path / "one"), start(tmp_path / "two")
    assert one.port != two.port
    assert ask(one) == ask(two) == (1,)


def test_a_taken_port_is_named(start, tmp_path):
    taken = start(tmp_path / "one").port
    with pytest.raises(ServerError, match=f"did not start on port {taken}"):
        start(tmp_path / "two", port=taken)


def test_a_taken_port_is_avoided(start, tmp_path):
    taken = start(tmp_path / "pg").port
    assert processes.free_port(taken) != taken
    free = processes.free_port()
    assert processes.free_port(free) == free
    assert processes.free_port(free, avoid=[free]) != free


def test_two_that_start_at_once_are_given_different_ports():
    with instances.reserved_ports() as one, instances.reserved_ports() as two:
        assert len({*one.values(), *two.values()}) == 6


def test_the_server_dies_with_its_parent_and_an_orphan_is_ended(start, tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from winback.server import postgres_server\n"
        "server = postgres_server.start(Path(sys.argv[1]), durable=False)\n"
        "print(server.process.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "pg")], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    postmaster = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    postgres_server.stop_orphan(tmp_path / "pg")
    eventually(lambda: processes.started_at(postmaster.pid) is None)
    assert ask(start(tmp_path / "pg")) == (1,)


def test_the_server_does_not_run_as_root(start, tmp_path):
    server = start(tmp_path / "pg")
    assert psutil.Process(server.process.pid).uids().effective != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_can_start_it_in_a_home_of_their_own(ordinary):
    code = (
        "import sys; from pathlib import Path; from winback.server import postgres_server\n"
        "server = postgres_server.start(Path(sys.argv[1]) / 'pg', durable=False)\n"
        "print(Path(sys.argv[1], 'pg').stat().st_uid); server.remove()"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(ordinary.folder)],
        check=False, capture_output=True, text=True, **ordinary.popen,
    )  # fmt: skip
    assert run.stderr == ""
    assert int(run.stdout) == pwd.getpwnam("nobody").pw_uid


def test_databases_are_made_once(start, tmp_path):
    server = start(tmp_path / "pg")
    assert databases.create(server.url(), "winback_owner", "a") == {"airflow", "winback"}
    assert databases.create(server.url(), "winback_owner", "b") == set()
    with psycopg.connect(server.url("winback", "winback_owner", "b")) as connection:
        connection.execute("create schema mine")
        connection.execute("create role winback_made_by_owner")
