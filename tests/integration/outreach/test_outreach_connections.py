"""One dispatcher with several requests under way at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.integration.outreach.test_outreach_workers import wait_until
from tests.mail_flow import MailFlow, configure, n_planned, run_task_outreach, send
from winback.errors import CampaignError, DispatchRefused, SettingsError
from winback.outreach import dispatch, lane
from winback.outreach.lane import Lane
from winback.outreach.rate_limit import LONGEST_WAIT_SECONDS, RateLimit
from winback.outreach.sendgrid_transport import Outcome, SendGridTransport
from winback.settings import settings


def test_while_one_request_hangs_the_others_go_on(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, send_batch_size=1, send_connections=3)
    n, before = n_planned(flow), flow.sandbox.counts()["accepted"]
    flow.sandbox.fault("hang_after_accept", seconds=5)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(send, flow)
        wait_until(lambda: flow.states() == {"dispatching": 1, "accepted": n - 1})
        assert not running.done()
        with pytest.raises(DispatchRefused, match="1 messages are unknown"):
            running.result()
    assert flow.sandbox.counts()["accepted"] - before == n
    assert flow.states()["unknown"] == 1


def test_a_rate_limit_that_one_meets_holds_for_all(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, send_batch_size=1, send_connections=2)
    n, before = n_planned(flow), flow.sandbox.counts()["requests"]
    flow.sandbox.fault("rate_limit_429", seconds=3600)
    send(flow)
    # and what the other had under way
    n_more = flow.sandbox.counts()["requests"] - before - 1
    assert n_more <= 1
    assert flow.states() == Counter(planned=n - n_more, accepted=n_more)


def test_a_rate_limit_that_is_too_long_is_not_asked_for_templates_either(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = RateLimit()
    limit.note(LONGEST_WAIT_SECONDS + 1)
    monkeypatch.setattr(dispatch, "RateLimit", lambda: limit)
    monkeypatch.setattr(dispatch, "compose_all", lambda *_: pytest.fail("it was asked"))
    n = n_planned(flow)
    assert send(flow) == {}
    assert flow.states() == {"planned": n}


def test_who_waits_for_a_rate_limit_holds_no_claims(flow: MailFlow) -> None:
    n = n_planned(flow)
    # of several shapes, so that the batch takes several requests
    flow.sandbox.fault("rate_limit_429", seconds=10)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(send, flow)
        wait_until(lambda: flow.reasons()["the mail API's rate limit"] > 0)
        wait_until(lambda: flow.states() == {"planned": n}, seconds=5)
        n_requests = flow.sandbox.counts()["requests"]
        time.sleep(1)
        assert flow.states() == {"planned": n}
        assert flow.sandbox.counts()["requests"] == n_requests
        assert running.result(60)["accepted"] == n


def test_when_one_fails_the_others_end_after_the_request_under_way(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, send_batch_size=1, send_connections=2, send_timeout_seconds=2)
    n, before = n_planned(flow), flow.sandbox.counts()["accepted"]
    flow.sandbox.fault("reset_after_accept")
    with pytest.raises(DispatchRefused, match="1 messages are unknown"):
        send(flow)
    states = flow.states()
    assert states["unknown"] == 1
    # one for the connection that failed, and what the other had under way or began meanwhile
    assert states["planned"] > n // 2
    assert states["planned"] + states["accepted"] == n - 1
    send(flow)
    assert flow.sandbox.counts()["accepted"] - before == n


def test_a_task_that_is_told_to_end_leaves_nothing_half_done(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, send_batch_size=1, send_connections=2)
    n = n_planned(flow)

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(dispatch, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        send(flow)
    states = flow.states()
    assert set(states) <= {"planned", "accepted"}
    assert states["planned"] > n // 2


def test_when_one_fails_the_others_leave_the_rest_of_their_batch(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = n_planned(flow)
    # of several shapes, so that a batch takes several requests
    configure(flow, monkeypatch, send_batch_size=n // 2, send_connections=2)
    both, failed = threading.Barrier(2, timeout=30), threading.Event()
    requests: Counter[str] = Counter()
    real, really_wait = SendGridTransport.send, dispatch.wait

    def send_or_fail(self: SendGridTransport, body: Any) -> Outcome:
        connection = threading.current_thread().name
        requests[connection] += 1
        if requests[connection] == 1 and both.wait() == 0:
            return Outcome("not_sent", "nobody listens")
        assert failed.wait(30)
        return real(self, body)

    def wait(*given: Any, **options: Any) -> Any:
        ended = really_wait(*given, **options)
        threading.Timer(0.5, failed.set).start()
        return ended

    monkeypatch.setattr(SendGridTransport, "send", send_or_fail)
    monkeypatch.setattr(dispatch, "wait", wait)
    with pytest.raises(DispatchRefused, match="nobody listens"):
        send(flow)
    assert sorted(requests.values()) == [1, 1]
    states = flow.states()
    assert set(states) == {"planned", "accepted"}
    assert states["accepted"] < n // 2


def test_rejections_of_one_are_no_fault_of_the_mail_when_another_was_taken(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, send_batch_size=1, send_connections=2)
    monkeypatch.setattr(lane, "MOST_REJECTED", 3)
    n, real = n_planned(flow), SendGridTransport.send
    n_rejected, were_enough = 0, threading.Event()

    def send_or_reject(self: SendGridTransport, body: Any) -> Outcome:
        nonlocal n_rejected
        if threading.current_thread().name.endswith("_0"):
            # the first one is taken; the next waits until all of the other's were rejected
            assert not flow.states()["accepted"] or were_enough.wait(30)
            return real(self, body)
        wait_until(lambda: flow.states()["accepted"] > 0)
        if were_enough.is_set():
            return real(self, body)
        n_rejected += 1
        if n_rejected == 4:
            were_enough.set()
        return Outcome("rejected", "HTTP 400 in personalizations.to.email")

    monkeypatch.setattr(SendGridTransport, "send", send_or_reject)
    done = send(flow)
    assert (done["rejected"], done["accepted"]) == (4, n - 4)
    assert flow.warehouse.execute("select state from ops.campaign") == [("running",)]


def test_rejections_of_all_stop_the_campaign_together(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, send_batch_size=1, send_connections=3)
    monkeypatch.setattr(lane, "MOST_REJECTED", 4)
    flow.sandbox.fault("bad_recipient_400", requests=1000)
    with pytest.raises(CampaignError, match=r"rejected \d messages"):
        send(flow)
    # and what the others had under way
    assert 4 <= flow.states()["rejected"] <= 6
    assert flow.warehouse.execute("select state from ops.campaign") == [("stopped",)]


@pytest.mark.parametrize("is_for_another_thread", [False, True])
def test_a_task_that_airflow_terminates_ends_after_the_requests_under_way(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch, is_for_another_thread: bool
) -> None:
    configure(flow, monkeypatch, send_batch_size=1, send_connections=2)
    n, real = n_planned(flow), SendGridTransport.send
    n_requests, ends = 0, []
    send_all = Lane.send_all

    def send_all_until_the_end(connection: Lane) -> None:
        ends.append(connection.run.end)
        send_all(connection)

    def send_and_be_told_to_end(self: SendGridTransport, body: Any) -> Outcome:
        nonlocal n_requests
        n_requests += 1
        if n_requests == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        if n_requests >= 2:
            assert ends[0].wait(30), "nobody was told to end"
        return real(self, body)

    monkeypatch.setattr(SendGridTransport, "send", send_and_be_told_to_end)
    monkeypatch.setattr(Lane, "send_all", send_all_until_the_end)
    # as Airflow's own handler, which raises nothing
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    mask = signal.pthread_sigmask(
        signal.SIG_BLOCK if is_for_another_thread else signal.SIG_UNBLOCK, {signal.SIGTERM}
    )
    try:
        with pytest.raises(KeyboardInterrupt):
            run_task_outreach(flow)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        left = signal.signal(signal.SIGTERM, before)
    assert left not in (signal.default_int_handler, before)
    states = flow.states()
    assert set(states) == {"planned", "accepted"}
    assert states["planned"] > n // 2


@pytest.mark.parametrize("n", [0, 33])
def test_how_many_is_bounded(flow: MailFlow, monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    configure(flow, monkeypatch, send_connections=n)
    with pytest.raises(SettingsError, match="send_connections must lie between 1 and 32"):
        settings()
