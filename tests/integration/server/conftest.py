"""Fixtures: a data folder, throw-away PostgreSQL servers, and an ordinary user."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server_processes import Ordinary
from winback.server import (
    postgres_server,
)
from winback.settings import settings


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
