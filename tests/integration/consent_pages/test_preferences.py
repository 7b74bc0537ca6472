"""Choosing channels and how often, and unsubscribing."""

from __future__ import annotations

import httpx

from tests.consent_pages import ASKED, LIKE_A_SCANNER, get, post
from tests.mail_flow import AS_OF, MailFlow, send
from winback.privacy.opt_in_request import ask
from winback.record import unsubscribe
from winback.select.selection import select

ALL = ["email", "phone", "letter", "ads"]


def test_the_page_shows_and_stores_what_the_customer_wishes(flow: MailFlow) -> None:
    message_id, _, _ = flow.message()
    send(flow)
    [(address,)] = flow.warehouse.execute(
        "select 'preferences/' || %s", (unsubscribe.token(message_id),)
    )
    url = f"{flow.web_url}/winback/{address}"
    for _ in range(2):
        page = get(url, **LIKE_A_SCANNER)
        assert page.status_code == 200
        assert page.text.count(" checked") == 6  # four channels, no pause, anyone
    assert "Wie oft höchstens" in get(url, **{"Accept-Language": "de-CH"}).text
    assert flow.warehouse.execute("select count(*) from ops.contact_preference") == [(0,)]
    form = {"channel": ["email", "letter"], "pause": "91", "who": "contact_person"}
    saved = post(url, form)
    assert (saved.status_code, "Saved" in saved.text) == (200, True)
    rows = (
        "select channel, is_wanted, pause_days, is_by_contact_person from ops.contact_preference"
        " order by preference_id"
    )
    stored = [(channel, channel in form["channel"], 91, True) for channel in ALL]
    assert flow.warehouse.execute(rows) == stored
    # a second press is the same wish
    post(url, form)
    assert flow.warehouse.execute(rows) == stored
    page = get(url).text
    for checked in ("email", "letter", "91", "contact_person"):
        assert f'value="{checked}" checked' in page
    for other in ("phone", "ads", "any", "anyone"):
        assert f'value="{other}" checked' not in page


def test_a_channel_that_is_not_wanted_stops_what_is_planned_and_comes_back_by_a_tick(
    flow: MailFlow,
) -> None:
    n = flow.states()["planned"]
    message_id, customer, _ = flow.message()
    url = f"{flow.web_url}/winback/preferences/{unsubscribe.token(message_id)}"
    post(url, {"channel": ["phone"], "pause": "any", "who": "anyone"})
    assert flow.states() == {"planned": n - 1, "cancelled": 1}
    assert flow.reasons()["channel_not_wanted"] == 1
    flow.warehouse.execute("truncate ops.outreach, ops.assignment, ops.verdict cascade")
    select(flow.snapshot_id, AS_OF)
    said = "select reasons from ops.verdict where customer_key = %s order by verdict_id desc"
    assert flow.warehouse.execute(said, (customer,))[0] == (["channel_not_wanted"],)
    flow.restart()
    url = f"{flow.web_url}/winback/preferences/{unsubscribe.token(flow.message()[0])}"
    post(url, {"channel": ALL, "pause": "any", "who": "anyone"})


def test_a_wish_is_heeded_by_the_last_check(flow: MailFlow) -> None:
    n = flow.states()["planned"]
    message_id, _, _ = flow.message()
    url = f"{flow.web_url}/winback/preferences/{unsubscribe.token(message_id)}"
    post(url, {"channel": ALL, "pause": "any", "who": "contact_person"})
    assert flow.states() == {"planned": n}
    assert send(flow)["cancelled"] == 1
    assert flow.reasons()["contact_person_only"] == 1


def test_a_source_that_says_no_shows_as_no(flow: MailFlow) -> None:
    message_id, customer, _ = flow.message()
    flow.warehouse.execute(
        "insert into raw.contact_preferences (customer_key, channel, is_wanted, max_per_month,"
        " stated_at, snapshot_id) values (%s, 'phone', false, 1, '2026-01-01', 1)",
        (customer,),
    )
    page = get(f"{flow.web_url}/winback/preferences/{unsubscribe.token(message_id)}").text
    flow.warehouse.execute("truncate raw.contact_preferences")
    assert 'value="phone" checked' not in page
    assert 'value="email" checked' in page
    assert 'value="30" checked' in page


def test_a_no_on_the_page_is_kept_though_a_source_says_the_same(flow: MailFlow) -> None:
    message_id, customer, _ = flow.message()
    flow.warehouse.execute(
        "insert into raw.contact_preferences (customer_key, channel, is_wanted, stated_at,"
        " snapshot_id) values (%s, 'email', false, '2026-01-01', 1)",
        (customer,),
    )
    url = f"{flow.web_url}/winback/preferences/{unsubscribe.token(message_id)}"
    form = {"channel": ["phone", "letter", "ads"], "pause": "any", "who": "anyone"}
    assert "Saved" in post(url, form).text
    # what was planned before the source told
    assert flow.reasons() == {None: flow.states()["planned"], "channel_not_wanted": 1}
    # the source takes it back, as of a day before the page was opened
    flow.warehouse.execute(
        "update raw.contact_preferences set is_wanted = true, stated_at = '2026-02-01'"
    )
    [(reasons,)] = flow.warehouse.execute(
        "select reasons from ops.eligibility(%s, array['infinity'::timestamptz], '', 'email',"
        " %s, now(), 24, 0)",
        ([customer], AS_OF),
    )
    assert reasons == ["channel_not_wanted"]
    # told later than on the page, the source counts, and a press says it anew
    flow.warehouse.execute("update raw.contact_preferences set stated_at = now()")
    post(url, form)
    n_rows = "select count(*) from ops.contact_preference"
    assert flow.warehouse.execute(n_rows) == [(8,)]
    flow.warehouse.execute("truncate raw.contact_preferences")
    post(url, form)
    assert flow.warehouse.execute(n_rows) == [(8,)]


def test_only_the_contact_person_stays_whatever_a_source_tells_later(flow: MailFlow) -> None:
    message_id, customer, _ = flow.message()
    url = f"{flow.web_url}/winback/preferences/{unsubscribe.token(message_id)}"
    post(url, {"channel": ALL, "pause": "any", "who": "contact_person"})
    for channel in ALL:
        flow.warehouse.execute(
            "insert into raw.contact_preferences (customer_key, channel, is_wanted, stated_at,"
            " snapshot_id) values (%s, %s, true, now(), 1)",
            (customer, channel),
        )
    page = get(url).text
    flow.warehouse.execute("truncate raw.contact_preferences")
    assert 'value="contact_person" checked' in page
    assert 'value="anyone" checked' not in page


NO_FORM = (
    "", "List-Unsubscribe=One-Click", "channel=email", "channel=email&pause=any",
    "channel=fax&pause=any&who=anyone", "pause=7&who=anyone", "pause=any&who=me",
    "pause=any&pause=30&who=anyone", "pause=any&who=anyone&more=1", "\xff", "a" * 5000,
    "&".join(["channel=email"] * 30),
)  # fmt: skip


def test_a_form_that_is_none_changes_nothing(flow: MailFlow) -> None:
    url = f"{flow.web_url}/winback/preferences/{unsubscribe.token(flow.message()[0])}"
    for body in NO_FORM:
        answer = httpx.post(url, content=body.encode("latin-1"), trust_env=False)
        assert (answer.status_code, "nothing was changed" in answer.text) == (400, True), body
    assert flow.warehouse.execute("select count(*) from ops.contact_preference") == [(0,)]


def test_unknown_links_are_not_found_and_pages_hold_no_script(flow: MailFlow) -> None:
    good = unsubscribe.token(flow.message()[0])
    stranger = unsubscribe.token(ask(ASKED, "marketing", "till", "test").request_id)
    form = {"channel": "email", "pause": "any", "who": "anyone"}
    for text in (good[:-1] + "x", stranger, "x", "%00", "a" * 5000):
        url = f"{flow.web_url}/winback/preferences/{text}"
        assert get(url).status_code == 404, text
        assert post(url, form).status_code == 404, text
    for page in ("preferences", "unsubscribe"):
        answer = get(f"{flow.web_url}/winback/{page}/{good}")
        assert "<script" not in answer.text
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"


def test_unsubscribing_works_years_after_the_message(flow: MailFlow) -> None:
    message_id, _, _ = flow.message()
    link = f"{flow.web_url}/winback/unsubscribe/{unsubscribe.token(message_id)}"
    send(flow)
    flow.warehouse.execute(
        "update ops.outreach set planned_at = planned_at - interval '3 years',"
        " accepted_at = accepted_at - interval '3 years', as_of = as_of - 1096"
    )
    assert get(link).status_code == 200
    assert post(link).status_code == 200
    assert flow.warehouse.execute("select reason, message_id from ops.suppression") == [
        ("unsubscribe", message_id)
    ]
