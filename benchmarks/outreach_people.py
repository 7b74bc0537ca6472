"""Candidates made up by rule for `./winback bench outreach`, directly where the steps read them.

Everybody has an address, two orders, an invoice and, but for one in twenty, a confirmed consent;
some complained, some said how often they want to be written to, some bounced before. Extraction and
models are left out: what they cost is measured elsewhere.
"""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import psycopg
import yaml

from winback.settings import PROJECT

AS_OF = date(2026, 3, 1)
CAMPAIGN = "measured"
_DEFINITION = {
    "goal": "Measure what sending costs.",
    "audience": {"states": ["sleeping", "inactive"], "value_tiers": ["high", "medium", "low"]},
    "measure": "None.",
    "channel": "email",
    "template": "welcome_back",
    "holdout_pct": 20,
    "costs": {"contact_cents": 1, "offer_cents": 0},
    "assumed_lift_pct": 10,
}
# the models that the selection reads, with the columns it may ask for
_MODELS = """
create table intermediate.int_candidates (
    lapse_id text, customer_key text, as_of date, occasion text, occasion_date date,
    last_ordered_at timestamptz, days_since_last_purchase int, state text, value_tier text,
    segment_before text, turnover_cents bigint
);
create table marts.fct_customer_values (
    customer_key text not null, as_of date not null, probability_60_days decimal(7, 6),
    value_if_returned_cents bigint
);
create table marts.fct_customer_rules (
    customer_key text not null, as_of date not null, kind text not null, rule text not null,
    because text not null
);
grant select on all tables in schema intermediate, marts to winback_sender;
"""
_SNAPSHOT = """
insert into ops.snapshot (as_of, purpose, dataset, completed_at)
values ('{as_of}', 'live', 'made up', now());
insert into ops.gate_run (snapshot_id, gate, is_passed, n_expectations, n_failed)
select snapshot_id, gate, true, 1, 0
from ops.snapshot cross join unnest(array['raw', 'marts']) as gate;
"""
_PEOPLE = """
create temporary table person as
select
    n, md5('customer' || n) as customer_key, md5('address' || n) as address_hash,
    '2025-01-01'::timestamptz + make_interval(mins => (n * 7919::bigint % 260000)::int)
        as last_ordered_at
from generate_series(1, {n}) as n;
insert into raw.customers (customer_key, email_hash, locale, country, kind, registered_at,
    snapshot_id)
select customer_key, address_hash, {locale}, 'DE', 'consumer', '2024-01-01', 1 from person;
insert into pii.customers (customer_key, email, first_name)
select customer_key, 'person-' || n || '@example.com', {first_name} from person;
insert into raw.orders (order_id, customer_key, ordered_at, amount_cents, currency, snapshot_id)
select 'a' || n, customer_key, last_ordered_at, 1000 + n % 9000, 'EUR', 1 from person
union all
select 'b' || n, customer_key, '2024-06-01', 1000 + n % 9000, 'EUR', 1 from person;
insert into raw.consents (consent_id, customer_key, channel, granted_at, confirmed_at, text_version,
    source, snapshot_id)
select 'c' || n, customer_key, 'email', '2024-06-01', '2024-06-02', 'v1', 'made up', 1
from person where n % 20 <> 0;
insert into raw.payments (payment_id, customer_key, amount_cents, currency, invoiced_at, paid_at,
    n_reminders, snapshot_id)
select 'p' || n, customer_key, 1000, 'EUR', '2024-06-01',
    case when n % 50 <> 0 then '2024-06-15'::timestamptz end, n % 2, 1
from person;
insert into raw.complaints (complaint_id, customer_key, reason, opened_at, resolved_at, snapshot_id)
select 'x' || n, customer_key, 'quality', '2024-07-01',
    case when n % 100 <> 0 then '2024-07-15'::timestamptz end, 1
from person where n % 20 = 1 or n % 100 = 0;
insert into raw.contact_preferences (customer_key, channel, is_wanted, max_per_month, stated_at,
    snapshot_id)
select customer_key, 'email', true, 4, '2024-07-01', 1 from person where n % 20 = 2;
insert into ops.suppression (address_hash, customer_key, scope, reason)
select address_hash, customer_key, 'address', 'bounce' from person where n % 50 = 3;
insert into intermediate.int_candidates
select md5(customer_key || last_ordered_at), customer_key, '{as_of}', 'last_purchase',
    last_ordered_at::date, last_ordered_at, '{as_of}' - last_ordered_at::date,
    (array['sleeping', 'inactive'])[1 + n % 2], (array['high', 'medium', 'low'])[1 + n % 3],
    'champion', 2000
from person;
insert into marts.fct_customer_values
select customer_key, '{as_of}', 0.01 + n % 100 / 250.0, 500 + n % 20000 from person;
insert into marts.fct_customer_rules
select customer_key, '{as_of}', case when n % 2 = 0 then 'must_win' else 'do_not_want' end,
    'made_up', 'made up'
from person where n % 100 in (50, 51);
drop table person;
"""


def make_up(url: str, n: int, *, is_mixed: bool) -> None:
    """Fills a prepared warehouse with candidates whose snapshot has passed its gates.

    Args:
        url: The warehouse, as its owner.
        n: How many candidates.
        is_mixed: Two languages, and every other one without a first name, so that there are four
            shapes of the message; else all are of one shape.
    """
    words = {
        "n": n,
        "as_of": AS_OF,
        "locale": "(array['de_DE', 'en_GB'])[1 + n % 2]" if is_mixed else "'de_DE'",
        "first_name": "case when n % 4 < 2 then 'Ada' end" if is_mixed else "'Ada'",
    }
    with psycopg.connect(url, autocommit=True) as connection:
        for statements in (_MODELS, _SNAPSHOT, _PEOPLE):
            connection.execute(statements.format(**words).encode())
        connection.execute("vacuum analyze")
        # what was made up is written by now, not while something is measured
        connection.execute("checkpoint")


def write_campaign(folder: Path) -> Path:
    """Writes the campaign with the templates that everybody starts with; gives its folder."""
    campaigns = folder / "campaigns"
    shutil.copytree(PROJECT / "campaigns" / "templates", campaigns / "templates")
    text = yaml.safe_dump(_DEFINITION, sort_keys=False)
    (campaigns / f"{CAMPAIGN}.yaml").write_text(text, encoding="utf-8")
    return campaigns
