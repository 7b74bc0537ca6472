"""What was confirmed or bought allows a campaign to write; the rules can be looked at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from tests.consent_pages import newest_mail
from tests.mail_flow import MailFlow, send
from winback.consent_cli import app
from winback.privacy import country_rules
from winback.settings import settings


@pytest.fixture
def without_consents(flow: MailFlow) -> Iterator[MailFlow]:
    """Nobody has a consent from a source."""
    flow.warehouse.execute("update raw.consents set deleted_at = '2026-01-01'")
    yield flow
    flow.warehouse.execute("update raw.consents set deleted_at = null")
    flow.warehouse.execute("update raw.customers set country = null, address_from_sale_at = null")


def test_existing_customers_are_written_to_and_read_why(without_consents: MailFlow) -> None:
    flow = without_consents
    country_rules.store(country_rules.read(settings().country_rules))
    flow.warehouse.execute(
        "update raw.customers as c set country = 'DE', address_from_sale_at = o.ordered_at,"
        " similar_goods_at = o.ordered_at, opt_out_notice_at = o.ordered_at"
        " from raw.orders as o where o.customer_key = c.customer_key"
    )
    n = flow.restart().n_planned
    assert n > 10
    assert send(flow) == {"accepted": n, "cancelled": 0}
    page = newest_mail(flow)
    assert "bei einem Kauf genannt" in page or "with a purchase on" in page
    assert "eingewilligt" not in page and "because you agreed" not in page
    flow.restart()
    flow.warehouse.execute("update raw.customers set objected_at = '2026-02-01'")
    assert send(flow)["cancelled"] == n
    assert flow.reasons() == {"objected, consent_missing": n}
    flow.warehouse.execute("update raw.customers set objected_at = null")


def test_who_confirmed_by_our_mail_is_written_to(without_consents: MailFlow) -> None:
    flow = without_consents
    flow.warehouse.execute(
        "insert into ops.consent_text (text_version, channel, purpose, language, advertiser,"
        " content) values ('v', 'email', 'marketing', 'en', 'Example Shop', 'I agree')"
    )
    flow.warehouse.execute(
        "insert into ops.opt_in_request (customer_key, address_hash, channel, purpose,"
        " text_version, source, requested_by, requested_at, expires_at, confirmed_at)"
        " select customer_key, email_hash, 'email', 'marketing', 'v', 'till', 'test',"
        " '2025-12-01', '2025-12-15', '2025-12-02' from raw.customers"
    )
    n = flow.restart().n_planned
    assert n > 10
    assert send(flow) == {"accepted": n, "cancelled": 0}
    page = newest_mail(flow)
    assert "1. Dezember 2025" in page or "December 2025" in page
    assert flow.warehouse.execute("select count(*) from ops.consent_use") == [(n,)]


def test_the_rules_and_the_register_can_be_looked_at(flow: MailFlow) -> None:
    flow.warehouse.execute("truncate ops.country_rule")
    done = CliRunner().invoke(app, ["rules"])
    assert done.exit_code == 0, done.output
    assert "existing_customer" in done.output
    [(n_rules,)] = flow.warehouse.execute("select count(*) from ops.country_rule")
    assert n_rules == 11
    done = CliRunner().invoke(app, ["recipients"])
    assert done.exit_code == 0, done.output
    assert "mail may leave by" in done.output
