"""What the tests of outreach share: a small shop, selected anew for each test."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.conftest import SandboxFactory, WarehouseFactory
from tests.decisions import Call
from tests.mail_flow import MailFlow, configure, mail_flow
from tests.night import quiet_now, set_clock
from winback import __main__ as command


@pytest.fixture(scope="module")
def built(
    warehouse_factory: WarehouseFactory, sandbox_factory: SandboxFactory
) -> Iterator[MailFlow]:
    with mail_flow(warehouse_factory, sandbox_factory) as flow:
        yield flow


@pytest.fixture
def flow(built: MailFlow) -> Iterator[MailFlow]:
    selected = built.restart()
    assert selected.n_planned == selected.n_treated > 10
    yield built
    # whatever a test did: nobody got a message twice
    assert built.sandbox.counts()["max_per_key"] <= 1


@pytest.fixture
def night(flow: MailFlow, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailFlow]:
    """It is quiet now, and for two hours or more."""
    set_clock(flow, 0)
    configure(flow, monkeypatch, replay=False, quiet_hours=quiet_now(), send_batch_size=1000)
    yield flow
    # for the next test: whatever waits is cancelled as far as that goes, and due
    set_clock(flow, 100 * 3600)
    flow.sandbox.wait_for_events()
    set_clock(flow, 0)


@pytest.fixture
def call(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Runs `./winback outreach …`; gives exit code, output and error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["winback", "outreach", *map(str, arguments)])
        capsys.readouterr()
        code = command.main()
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def small_portions(flow: MailFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three on the first day, so that the small shop takes days."""
    configure(flow, monkeypatch, ramp_up_first_portion=3)
