"""An instance's secrets, lock, folders and environment."""

import json
import os
import stat
import subprocess
import sys

import pytest

from tests.server_processes import PORTS
from winback.errors import ServerError
from winback.server import (
    airflow_environment,
)
from winback.server import instance as instances
from winback.settings import settings

pytestmark = pytest.mark.timeout(180)


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
