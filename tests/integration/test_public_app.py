"""The webhook and the links of mails on a host of their own, started as the docs tell."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import httpx
import pytest

from tests.conftest import PROJECT, SandboxFactory, WarehouseFactory
from tests.mail_flow import MailFlow, mail_flow
from winback.record.unsubscribe import token
from winback.server import processes

APP = "winback.web.public_app:create_app"
# as on a host without it: whoever imports it fails
WITHOUT_AIRFLOW = (
    "import runpy, sys; sys.modules['airflow'] = None; sys.argv[0] = 'uvicorn';"
    " runpy.run_module('uvicorn', run_name='__main__')"
)


@pytest.fixture(scope="module")
def flow(
    warehouse_factory: WarehouseFactory, sandbox_factory: SandboxFactory
) -> Iterator[MailFlow]:
    with mail_flow(warehouse_factory, sandbox_factory) as flow:
        flow.restart()
        yield flow


@pytest.fixture(scope="module")
def alone(flow: MailFlow, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailFlow]:
    """The same flow, with the app in a process of its own that may no more than the webhook."""
    login = f"world_{os.getpid()}"
    flow.warehouse.execute(f"create role {login} login password 'w' in role winback_webhook")
    port = processes.free_port()
    log = tmp_path_factory.mktemp("alone") / "log"
    owner = urlsplit(flow.warehouse.url)
    as_webhook = owner._replace(netloc=f"{login}:w@{owner.hostname}:{owner.port}").geturl()
    server = processes.popen(
        [
            sys.executable, "-c", WITHOUT_AIRFLOW, "--factory", APP,
            "--host=127.0.0.1", f"--port={port}",
        ],
        log,
        on_parent_death=signal.SIGKILL,
        cwd=PROJECT,
        env=os.environ
        | {"PYTHONPATH": str(PROJECT / "plugins"), "AIRFLOW_CONN_WINBACK_WAREHOUSE": as_webhook},
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 30
        while "Uvicorn running" not in log.read_text(encoding="utf-8"):
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield replace(flow, web_url=f"http://127.0.0.1:{port}")
    finally:
        server.terminate()
        server.wait(10)
        flow.warehouse.execute(f"drop role {login}")


def test_the_docs_tell_how_it_is_started() -> None:
    told = (PROJECT / "docs" / "server-installation.md").read_text(encoding="utf-8")
    assert f"-m uvicorn --factory {APP} " in told
    assert "in role winback_webhook" in told


def test_signed_batches_are_kept_and_others_refused(alone: MailFlow) -> None:
    assert alone.post(b"[]") == 204
    assert alone.post(b"[]", age=3600) == 403
    assert len(alone.inbox()) == 1


def test_the_links_of_a_mail_work(alone: MailFlow) -> None:
    message_id, *_ = alone.message("state = 'planned'")
    url = f"{alone.web_url}/winback/unsubscribe/{token(message_id)}"
    assert httpx.get(url, trust_env=False).status_code == 200
    assert alone.warehouse.execute("select count(*) from ops.suppression") == [(0,)]
    one_click = {"List-Unsubscribe": "One-Click"}
    assert httpx.post(url, data=one_click, trust_env=False).status_code == 200
    assert alone.warehouse.execute("select message_id from ops.suppression") == [(message_id,)]
    url = f"{alone.web_url}/winback/preferences/{token(message_id)}"
    assert httpx.get(url, trust_env=False).status_code == 200


def test_there_is_no_dashboard_and_no_list_of_routes(alone: MailFlow) -> None:
    for path in ("dashboard", "static/vega.js", "docs", "openapi.json"):
        answer = httpx.get(f"{alone.web_url}/winback/{path}", trust_env=False)
        assert answer.status_code == 404
