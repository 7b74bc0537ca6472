"""What the links and events of old messages do once their reader was erased, and agreed anew."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.consent_pages import ASKED, get, post, verdict
from tests.mail_flow import MailFlow, send
from winback.privacy.erasure import erase
from winback.privacy.keyed_hash import customer_key
from winback.privacy.opt_in_request import ask
from winback.record import unsubscribe
from winback.record.events import apply
from winback.record.vocabulary import read_event
from winback.settings import settings
from winback.warehouse import connection as warehouse


@pytest.fixture
def erased(flow: MailFlow) -> tuple[Any, str]:
    """A message to somebody who was erased since, registered again and agreed again: its id, and
    the address."""
    # another one each time: the sources have lost those who were erased before
    message_id, customer, hashed = flow.message()
    send(flow)
    [(name, email)] = flow.warehouse.execute(
        "select source_customer_id, email from pii.customers where customer_key = %s", (customer,)
    )
    erase(name, "shop", "test", settings())
    again = customer_key("shop", "again")
    flow.warehouse.execute("delete from raw.customers where customer_key = %s", (again,))
    flow.warehouse.execute("delete from raw.consents where customer_key = %s", (again,))
    flow.warehouse.execute(
        "insert into raw.customers (customer_key, email_hash, country, registered_at, snapshot_id)"
        " values (%s, %s, 'DE', now(), 1)",
        (again, hashed),
    )
    assert "suppressed" in verdict(flow, "again")[0]
    flow.warehouse.execute(
        "insert into raw.consents (consent_id, customer_key, channel, granted_at, confirmed_at,"
        " text_version, source, snapshot_id)"
        " values ('again', %s, 'email', now(), now(), 'v1', 'till', 1)",
        (again,),
    )
    assert verdict(flow, "again") == ([], "consent")
    return message_id, email


@pytest.mark.parametrize("page", ["unsubscribe", "preferences"])
def test_a_link_says_that_it_knows_nobody_any_more(
    flow: MailFlow, erased: tuple[Any, str], page: str
) -> None:
    url = f"{flow.web_url}/winback/{page}/{unsubscribe.token(erased[0])}"
    form = {"channel": "email", "pause": "any", "who": "anyone"}
    for answer in (get(url), post(url, form)):
        assert answer.status_code == 410
        assert "no longer know whom this e-mail went to" in answer.text
        assert "unsubscribe in a newer e-mail" in answer.text
        assert "<form" not in answer.text
    german = get(url, **{"Accept-Language": "de"})
    assert "wissen nicht mehr, an wen diese E-Mail ging" in german.text
    # nothing that would be of nobody is kept
    assert flow.warehouse.execute(
        "select count(*) from ops.contact_preference union all"
        " select count(*) from ops.suppression where reason = 'unsubscribe'"
    ) == [(0,), (0,)]


@pytest.mark.parametrize("word", ["spamreport", "unsubscribe", "group_unsubscribe"])
def test_an_event_counts_for_the_address_that_it_names(
    flow: MailFlow, erased: tuple[Any, str], word: str
) -> None:
    message_id, email = erased
    entry = {"event": word, "message_id": str(message_id), "email": email, "sg_event_id": word}
    with warehouse.connect("sender") as connection:
        apply(connection, [read_event(entry, datetime.now(UTC))])
    assert verdict(flow, "again")[0] == ["suppressed"]


def test_so_does_the_link_of_a_mail_that_asked_for_a_consent(flow: MailFlow) -> None:
    asked = ask(ASKED, "marketing", "till", "test")
    url = f"{flow.web_url}/winback/unsubscribe/{unsubscribe.token(asked.request_id)}"
    assert get(url).status_code == 200
    erase(ASKED, "shop", "me", settings())
    for answer in (get(url), post(url)):
        assert answer.status_code == 410
        assert "no longer know whom this e-mail went to" in answer.text
