"""Nothing outlives winback, however it ends and whatever hides."""

import os
import signal
import subprocess
import sys
import time
from functools import partial

import psutil
import pytest

from tests.server_processes import eventually, marked_with
from winback.errors import ServerError
from winback.server import (
    keeper,
    processes,
    services,
)

pytestmark = pytest.mark.timeout(180)

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
