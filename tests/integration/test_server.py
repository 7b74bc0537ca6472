"""Real processes: PostgreSQL from the wheel, an instance's environment, and `./winback up`."""

import json
import os
import pwd
import signal
import stat
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from winback.errors import ServerError
from winback.server import (
    airflow_environment,
    databases,
    keeper,
    postgres_place,
    postgres_server,
    processes,
    services,
)
from winback.server import instance as instances
from winback.settings import PROJECT, settings

pytestmark = pytest.mark.timeout(180)
PORTS = {"airflow": 18080, "postgres": 15433, "sandbox": 18025}


@pytest.fixture
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("WINBACK_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    return tmp_path / "home"


@pytest.fixture
def start():
    """Starts PostgreSQL servers and ends them with the test."""
    servers = []

    def run(*arguments, **options):
        servers.append(postgres_server.start(*arguments, durable=False, **options))
        return servers[-1]

    yield run
    for server in servers:
        server.remove()


@dataclass
class Ordinary:
    """A user who is not root: the arguments that start a process as them, and their folder."""

    popen: dict[str, Any]
    folder: Path


@pytest.fixture
def ordinary(tmp_path):
    """Ourselves, or `nobody` when we are root."""
    if os.geteuid() != 0:
        yield Ordinary({"cwd": "/"}, tmp_path)
        return
    entry = pwd.getpwnam("nobody")
    popen = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": [], "cwd": "/"}
    try:
        subprocess.run(
            [sys.executable, "-c", "import winback.server.postgres_server"],
            check=True, capture_output=True, **popen,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this checkout, or the Python it uses, lies where only root can read")
    folder = Path("/tmp") / f"winback-test-{os.getpid()}"
    folder.mkdir(mode=0o700)
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    yield Ordinary(popen, folder)
    subprocess.run(["rm", "-rf", str(folder)], check=True)


def ask(server, statement="select 1"):
    with psycopg.connect(server.url(), autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchone() if cursor.description else None


def marked_with(mark):
    """The living processes of one supervisor, seen without the code under test."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(keeper.MARKER, "").startswith(mark):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return [process for process in found if process.status() != psutil.STATUS_ZOMBIE]


def eventually(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


# PostgreSQL


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


# an instance's secrets, lock and environment


def test_secrets_are_kept_and_private(home):
    ours = instances.instance("production")
    first = ours.secrets()
    assert ours.secrets() == first
    assert stat.S_IMODE((home / "secrets.json").stat().st_mode) == 0o600
    assert instances.instance("demo").secrets()["key"] != first["key"]


def test_a_secret_that_is_new_in_this_version_is_added(home):
    ours = instances.instance("production")
    kept = ours.secrets()
    del kept["jwt_secret"]
    (home / "secrets.json").write_text(json.dumps(kept))
    assert ours.secrets()["jwt_secret"]
    assert ours.secrets()["key"] == kept["key"]


def test_damaged_secrets_are_not_replaced(home):
    home.mkdir()
    (home / "secrets.json").write_text("{")
    with pytest.raises(ServerError, match=r"secrets\.json is damaged"):
        instances.instance("production").secrets()


def test_only_one_at_a_time_and_the_second_says_where(home):
    with instances.only_one():
        instances.tell("demo", PORTS, airflow_environment.urls(PORTS), {"postgres": 1})
        with (
            pytest.raises(ServerError, match=r"the demo runs already at http://127\.0\.0\.1:18080"),
            instances.only_one(),
        ):
            pass
        assert instances.current() == instances.instance("demo")
    instances.forget()
    assert instances.running() is None
    with instances.only_one():
        pass


def test_what_a_dead_process_left_is_not_running(home):
    with instances.only_one():
        instances.tell("demo", PORTS, airflow_environment.urls(PORTS), {})
    state = home / "run" / "state.json"
    content = json.loads(state.read_text())
    state.write_text(json.dumps(content | {"started": content["started"] - 100}))
    assert instances.running() is None


def test_other_users_can_not_look_into_the_folders(home, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    (home / "demo" / "sandbox").mkdir(parents=True)
    for folder in (home, home / "demo", home / "demo" / "sandbox"):
        folder.chmod(0o755)  # as they were made once
    ours = instances.instance("demo")
    ours.make_folders()
    for folder in (ours.home, ours.sandbox, ours.logs, ours.airflow, home / "run"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    # may be the user's own, with other things in it
    assert stat.S_IMODE(home.stat().st_mode) == 0o755


def test_root_lets_postgresql_pass_through_but_not_look(home, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    ours = instances.instance("demo")
    ours.make_folders()
    for folder, mode in {home: 0o711, ours.home: 0o711, ours.sandbox: 0o700}.items():
        assert stat.S_IMODE(folder.stat().st_mode) == mode


def environment_of(mode, monkeypatch, **variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    return airflow_environment.child_environment(instances.instance(mode), PORTS)


def test_the_demo_heeds_nothing_of_the_users(home, monkeypatch):
    environment = environment_of(
        "demo",
        monkeypatch,
        WINBACK_KEY="mine",
        WINBACK_MAIL_TRANSPORT="sendgrid",
        WINBACK_SENDGRID_API_KEY="SG.real",
        AIRFLOW_CONN_WINBACK_WAREHOUSE="postgresql://elsewhere/db",
        PGHOST="elsewhere",
    )
    assert environment["WINBACK_MAIL_TRANSPORT"] == "sandbox"
    assert environment["WINBACK_SENDGRID_URL"] == "http://127.0.0.1:18025"
    assert environment["WINBACK_HOME"] == str(home / "demo")
    assert environment["WINBACK_DATA"] == str(home / "data")
    everything = " ".join(environment.values())
    assert "mine" not in everything.split()
    assert "SG.real" not in everything
    assert "elsewhere" not in everything


def test_production_heeds_the_user(home, monkeypatch):
    environment = environment_of(
        "production",
        monkeypatch,
        WINBACK_KEY="mine",
        WINBACK_MAIL_TRANSPORT="sendgrid",
        WINBACK_SENDGRID_API_KEY="SG.real",
        AIRFLOW_CONN_WINBACK_WAREHOUSE="postgresql://elsewhere/db",
        AIRFLOW__CORE__PARALLELISM="16",
    )
    assert environment["WINBACK_KEY"] == "mine"
    assert environment["WINBACK_SENDGRID_API_KEY"] == "SG.real"
    assert "WINBACK_SENDGRID_URL" not in environment
    assert environment["AIRFLOW_CONN_WINBACK_WAREHOUSE"] == "postgresql://elsewhere/db"
    assert environment["AIRFLOW__CORE__PARALLELISM"] == "16"
    assert "WINBACK_REPLAY" not in environment


def test_a_real_key_never_reaches_the_sandbox_nor_a_sandbox_run_the_real_host(home, monkeypatch):
    environment = environment_of(
        "production",
        monkeypatch,
        WINBACK_SENDGRID_API_KEY="SG.real",
        WINBACK_SENDGRID_URL="https://api.sendgrid.com",
    )
    assert environment["WINBACK_SENDGRID_URL"] == "http://127.0.0.1:18025"
    assert environment["WINBACK_SENDGRID_API_KEY"].startswith("SG.sandbox.")


@pytest.mark.parametrize("mode", ["production", "demo"])
def test_the_children_accept_their_environment(home, monkeypatch, mode):
    environment = environment_of(mode, monkeypatch, no_proxy="example.com")
    assert environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"] == "False"
    assert environment["no_proxy"] == "example.com,127.0.0.1,localhost"
    code = "from winback.settings import settings; print(settings().public_url)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=environment, cwd="/", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (run.stdout, run.stderr) == ("http://127.0.0.1:18080\n", "")


# ending


GRANDCHILDREN = (
    "import subprocess, sys, time\n"
    "subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
    "print('begun', flush=True); time.sleep(600)"
)


def test_services_end_with_the_block_children_and_all(tmp_path):
    with services.watched(tmp_path, dict(os.environ), tmp_path) as running:
        running.start("one", "-c", GRANDCHILDREN)
        mark = keeper.mark(tmp_path)
        eventually(lambda: len(marked_with(mark)) == 2)
        running.check()
    assert marked_with(mark) == []


def test_a_service_that_ends_is_named_with_its_last_words(tmp_path):
    (tmp_path / "one.log").write_text("ValueError: of an earlier run\n")
    code = "import sys; print('KeyError: gone'); print('goodbye'); sys.exit(3)"
    with (
        pytest.raises(ServerError, match=r"one ended unexpectedly \(exit code 3\): KeyError: gone"),
        services.watched(tmp_path, dict(os.environ), tmp_path) as running,
    ):
        running.start("other", "-c", GRANDCHILDREN)
        running.start("one", "-c", code)
        time.sleep(60)
    assert marked_with(keeper.mark(tmp_path)) == []


def test_an_errand_that_fails_is_named(tmp_path):
    with (
        services.watched(tmp_path, dict(os.environ), tmp_path) as running,
        pytest.raises(ServerError, match=r"step tidy failed \(exit code 1\): oh dear"),
    ):
        running.finish("tidy", running.begin("tidy", "-c", "import sys; sys.exit('oh dear')"))


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_nothing_outlives_the_supervisor_however_it_ends(tmp_path, signum):
    code = (
        "import os, sys, time; from pathlib import Path; from winback.server import services\n"
        "home = Path(sys.argv[1])\n"
        "with services.watched(home, dict(os.environ), home) as running:\n"
        f"    running.start('one', '-c', {GRANDCHILDREN!r})\n"
        "    time.sleep(600)"
    )
    # a shell's background job ignores Ctrl-C, and so would its children
    supervisor = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stderr=subprocess.DEVNULL,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    try:
        eventually(lambda: len(marked_with(f"{tmp_path}#")) == 2)
        supervisor.send_signal(signum)
        supervisor.wait(30)
        eventually(lambda: marked_with(f"{tmp_path}#") == [])
    finally:
        supervisor.kill()
        keeper.sweep_home(tmp_path)


def test_leftovers_of_a_killed_keeper_are_found_at_the_next_start(tmp_path):
    environment = {**os.environ, keeper.MARKER: keeper.mark(tmp_path)}
    orphan = subprocess.Popen(["sleep", "600"], env=environment)
    assert keeper.sweep_home(tmp_path / "other") is False
    assert orphan.poll() is None
    assert keeper.sweep_home(tmp_path) is True
    assert processes.started_at(orphan.pid) is None


# What Airflow does: a worker that ignores TERM and the task it forks are made unreadable, and
# stay in the session of the scheduler or make one of their own.
HIDING = (
    "import ctypes, os, signal, sys, time\n"
    "if os.fork() == 0:\n"
    "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "    PR_SET_DUMPABLE = 4\n"
    "    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)\n"
    "    if os.fork() == 0:\n"
    "        os.setsid()\n"
    "    print(os.getpid(), flush=True)\n"
    "time.sleep(600)"
)
SUPERVISOR = (
    "import os, sys, time; from pathlib import Path; from winback.server import services\n"
    "home = Path(sys.argv[1])\n"
    "with services.watched(home, dict(os.environ), home) as running:\n"
    f"    running.start('one', '-c', {HIDING!r})\n"
    "    time.sleep(600)"
)


@pytest.fixture
def hiding(ordinary):
    """A supervisor of an ordinary user, and the processes below it that can not be read."""
    supervisor = psutil.Popen(
        [sys.executable, "-c", SUPERVISOR, str(ordinary.folder)],
        stderr=subprocess.DEVNULL, **ordinary.popen,
    )  # fmt: skip
    log = ordinary.folder / "one.log"
    hidden = []
    try:
        eventually(lambda: log.exists() and log.read_text().count("\n") == 2)
        hidden += [psutil.Process(int(pid)) for pid in log.read_text().split()]
        for process in hidden:
            look = ["cat", f"/proc/{process.pid}/environ"]
            seen = subprocess.run(look, check=False, capture_output=True, **ordinary.popen)
            assert b"Permission denied" in seen.stderr
        yield supervisor, hidden
    finally:
        for process in [supervisor, *hidden]:
            if process.is_running():
                process.kill()
        supervisor.wait()


def living(found):
    return [process for process in found if processes.started_at(process.pid)]


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_what_hides_its_environment_ends_with_the_supervisor_too(hiding, signum):
    supervisor, hidden = hiding
    supervisor.send_signal(signum)
    supervisor.wait(30)
    eventually(lambda: living(hidden) == [], seconds=10)


def test_what_hides_its_environment_is_found_at_the_next_start(hiding, ordinary):
    supervisor, hidden = hiding
    (guard,) = [child for child in supervisor.children() if keeper.__name__ in child.cmdline()]
    guard.kill()
    supervisor.kill()
    supervisor.wait()

    def sweep(home):
        code = "import sys; from pathlib import Path; from winback.server import keeper\n"
        code += "print(keeper.sweep_home(Path(sys.argv[1])))"
        command = [sys.executable, "-c", code, str(home)]
        return subprocess.run(command, check=True, capture_output=True, **ordinary.popen).stdout

    assert sweep(ordinary.folder / "another") == b"False\n"
    assert living(hidden) == hidden
    assert sweep(ordinary.folder) == b"True\n"
    assert living(hidden) == []


# all of it


@pytest.mark.timeout(400)
def test_up_status_down(tmp_path):
    home = tmp_path / "a home"
    environment = {
        **os.environ,
        "WINBACK_HOME": str(home),
        "PYTHONPATH": f"{PROJECT}/plugins:{PROJECT}",
        **{f"WINBACK_SCHEDULE_{name}": "none" for name in ("INGEST", "EVENTS", "KPI")},
    }

    def winback(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "winback", *arguments],
            env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip

    try:
        up = winback("up")
        assert (up.returncode, up.stderr) == (0, "")
        state = json.loads((home / "run" / "state.json").read_text())
        assert state["urls"]["airflow"] in up.stdout

        # the plugin is there: it refuses what is not signed, instead of not being found
        webhook = httpx.post(f"{state['urls']['airflow']}/winback/webhook", trust_env=False)
        assert webhook.status_code not in (404, 405)

        second = winback("up")
        assert second.returncode == 1
        assert f"winback runs already at {state['urls']['airflow']}" in second.stderr
        assert second.stderr.count("\n") == 1

        status = winback("status")
        assert status.returncode == 0
        assert state["urls"]["airflow"] in status.stdout

        unknown = winback("run", "winback_nonsense")
        assert unknown.returncode == 1
        assert "no DAG 'winback_nonsense'" in unknown.stderr

        query = winback("sql", "--csv", "select current_user as me, 1 + 1 as two")
        assert query.stdout == "me,two\nwinback_bi,2\n"
        assert "read-only" in winback("sql", "create table public.x ()").stderr
        assert "personal" not in winback("sql", "select * from pii.nothing").stdout

        assert "scheduler" in winback("logs").stdout
    finally:
        down = winback("down")
    assert (down.returncode, down.stdout) == (0, "stopped winback\n")
    assert marked_with(f"{home}#") == []
    postmaster = state["pids"]["postgres"]
    assert processes.started_at(postmaster) is None
    assert winback("status").returncode == 3
    assert winback("sql", "--csv", "select 1 as one").stdout == "one\n1\n"
    postgres_place.wipe(home / "postgres")
