"""The part of `./winback bench model` about the dbt models: a whole build against SQL written by
hand, the next days against the whole build, and three sizes against each other.

A made-up shop: customers who begin at any time within six years and buy up to ten times, each at a
pace of their own. Both sides run on the same server, and what they make is compared row by row
before anything is told. Not measured: the data tests, the training, and scores, which come with it.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import psycopg

from benchmarks.measuring import Result, pairs
from winback.server import postgres_server
from winback.settings import PROJECT, Settings
from winback.terminal import line
from winback.warehouse import setup

CUSTOMERS = 1_000_000
# more than it takes: what lies after the date is left out
ORDERS_EACH = 14
NEW_ORDERS = 30_000
SMALLER = (0.1, 0.3)
DAYS = 3
AS_OF = date(2026, 1, 1)
LIMITS = {"full_vs_sql": 1.5, "day_vs_full": 0.1, "growth_1m_to_10m": 10.0}
FLOOR = Path(__file__).with_name("model_stage_floor.sql")

PURCHASES = """
select setseed(0.5);
insert into ops.snapshot (as_of, purpose, dataset, completed_at)
values ('{as_of}', 'live', 'made_up', now());
insert into raw.orders
    (order_id, customer_key, ordered_at, quantity, amount_cents, currency, snapshot_id)
with people as (
    select
        md5(n::text) as customer_key,
        timestamptz '{as_of}' - random() * interval '2190 days' as began_at,
        15 + 135 * random() ^ 2 as usual_days
    from generate_series(1, {n_customers}) as n
),
bought as (
    select
        customer_key, nth,
        began_at + interval '1 day' * sum(
            case when nth = 1 then 0 else -usual_days * ln(1 - random()) end
        ) over (partition by customer_key order by nth) as ordered_at
    from people cross join generate_series(1, {n_each}) as nth
)
select
    customer_key || nth, customer_key, ordered_at, 1 + nth % 5, 100 + (random() * 19999)::int,
    'EUR', 1
from bought where ordered_at < '{as_of}';
insert into raw.customers (customer_key, registered_at, snapshot_id)
select customer_key, min(ordered_at), 1 from raw.orders group by customer_key;
"""
DAY = """
insert into ops.snapshot (as_of, purpose, dataset, completed_at)
values ('{as_of}', 'live', 'made_up', now());
insert into raw.orders
    (order_id, customer_key, ordered_at, quantity, amount_cents, currency, snapshot_id)
select
    '{as_of}-' || n, md5((n * 37 + {nth})::text),
    timestamptz '{as_of}' - interval '20 hours' + n * interval '1 second', 2, 1500, 'EUR',
    (select max(snapshot_id) from ops.snapshot)
from generate_series(1, {n_orders}) as n;
insert into raw.customers (customer_key, registered_at, snapshot_id)
select customer_key, min(ordered_at), max(snapshot_id) from raw.orders as bought
where snapshot_id = (select max(snapshot_id) from ops.snapshot)
    and not exists (
        select 1 from raw.customers as known where known.customer_key = bought.customer_key
    )
group by customer_key;
"""
COLUMNS = """
select
    string_agg(column_name, ', ' order by column_name),
    string_agg(data_type, ', ' order by column_name)
from information_schema.columns
where table_schema = '{schema}' and table_name = '{name}'
"""
ROWS = """
select count(*), sum(hashtextextended(each::text, 0)::numeric)
from (select {columns} from {schema}.{name}) as each
"""


@dataclass
class Shop:
    """A warehouse with made-up purchases."""

    url: str
    home: Path
    n_orders: int

    def build(self, as_of: date, *, anew: bool) -> dict[str, float]:
        """Stages and models in a process of its own; returns seconds and peak memory."""
        if anew:
            self.execute("delete from ops.mart_build")
        environment = {
            "AIRFLOW_CONN_WINBACK_WAREHOUSE": self.url,
            "WINBACK_HOME": str(self.home),
            "WINBACK_KEY": "a key for measuring",
            "WINBACK_BUSINESS_TIMEZONE": "UTC",
            "PYTHONPATH": f"{PROJECT / 'plugins'}:{PROJECT}",
        }
        done = subprocess.run(
            ["env", *(f"{k}={v}" for k, v in environment.items()),
             sys.executable, "-m", "benchmarks.model_stage_ours", as_of.isoformat()],
            cwd=PROJECT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])
        told: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
        return told

    def by_hand(self, as_of: date) -> float:
        """The same tables by the script; returns seconds."""
        # as a person would look them up in the run that is in use
        [(run, parameters)] = self.execute(
            "select model_run_id, parameters from ops.model_run where model = 'rhythm'"
        )
        config = Settings()
        values: dict[str, object] = {
            "as_of": f"{as_of} 00:00:00+00",
            "as_of_date": as_of,
            "rhythm_run_id": run,
            "rhythm_rate_days": parameters["rate_days"],
            "quantity_elasticity": parameters["quantity_elasticity"],
            "lapse_multiplier": parameters["lapse_multiplier"],
            "most_gaps": 3650,
            "rarer_orders_factor": 1.75,
            "smaller_baskets_factor": 0.6,
            "inactive_days": config.inactive_days,
            "recovery_window_days": config.recovery_window_days,
            "season_days": config.season_days,
            "season_share_pct": config.season_share_pct,
        }
        script = FLOOR.read_text(encoding="utf-8")
        for name, value in values.items():
            script = script.replace(f"{{{name}}}", str(value))
        begin = time.perf_counter()
        self.execute(script)
        return time.perf_counter() - begin

    def execute(self, statements: str) -> list[tuple[object, ...]]:
        """Runs SQL as the owner; returns the rows of the last statement."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statements.encode())
            return cursor.fetchall() if cursor.description else []

    def differences(self) -> list[str]:
        """Tables and views that the script makes otherwise than the models."""
        names = self.execute(
            "select f.table_name, m.table_schema from information_schema.tables as f"
            " left join information_schema.tables as m on m.table_name = f.table_name"
            " and m.table_schema in ('intermediate', 'marts')"
            " where f.table_schema = 'floor'"
            # a view without a counterpart is a step of the script
            " and (f.table_type = 'BASE TABLE' or m.table_name is not null)"
        )
        return [
            str(name)
            for name, schema in names
            if schema is None
            or self._contents("floor", str(name)) != self._contents(str(schema), str(name))
        ]

    def _contents(self, schema: str, name: str) -> list[tuple[object, ...]]:
        columns = self.execute(COLUMNS.format(schema=schema, name=name))
        rows = self.execute(ROWS.format(columns=columns[0][0], schema=schema, name=name))
        return columns + rows


def measure(scale: float, result: Result) -> None:
    """Measures, and adds what it finds to the result.

    Args:
        scale: Of the million customers and their ten million orders.
        result: Gets ratios (medians of pairs), figures and limits.

    Raises:
        RuntimeError: The script and the models do not make the same tables.
    """
    result.limits |= LIMITS
    small_s = []
    for part in SMALLER:
        with _shop(int(CUSTOMERS * scale * part)) as shop:
            # the first one fits the rhythm
            shop.build(AS_OF, anew=True)
            told = shop.build(AS_OF, anew=True)
            small_s.append(told["seconds"] / shop.n_orders)
            name = f"full_{round(10 * part)}m"
            result.figures |= {
                f"{name}_s": told["seconds"], f"{name}_orders": shop.n_orders,
                f"{name}_peak_mib": told["peak_mib"],
            }  # fmt: skip
    with _shop(int(CUSTOMERS * scale)) as shop:
        shop.build(AS_OF, anew=True)
        peaks = []

        def ours() -> float:
            told = shop.build(AS_OF, anew=True)
            peaks.append(told["peak_mib"])
            return told["seconds"]

        ratio, seconds, floor_seconds = pairs("full_vs_sql", ours, lambda: shop.by_hand(AS_OF))
        if different := shop.differences():
            raise RuntimeError(f"the script makes other tables: {', '.join(different)}")
        shop.execute("drop schema floor cascade")
        result.ratios["full_vs_sql"] = ratio
        days = [_next_day(shop, nth, int(NEW_ORDERS * scale)) for nth in range(1, DAYS + 1)]
        result.ratios["day_vs_full"] = statistics.median(days) / seconds
        result.figures |= {
            "full_10m_s": seconds, "full_10m_orders": shop.n_orders,
            "full_10m_peak_mib": max(peaks), "full_10m_floor_s": floor_seconds,
            "day_s": statistics.median(days),
            "growth_1m_to_10m": 10 * seconds / shop.n_orders / small_s[0],
        }  # fmt: skip


def _next_day(shop: Shop, nth: int, n_orders: int) -> float:
    as_of = AS_OF + timedelta(days=nth)
    shop.execute(DAY.format(as_of=as_of, nth=nth, n_orders=n_orders))
    seconds = shop.build(as_of, anew=False)["seconds"]
    [(is_added,)] = shop.execute(
        "select added_to_build_id is not null from ops.mart_build"
        " order by mart_build_id desc limit 1"
    )
    if not is_added:
        raise RuntimeError(f"the day {as_of} was built anew")
    line(f"  day_vs_full {nth}/{DAYS}: {seconds:.1f} s")
    return seconds


@contextmanager
def _shop(n_customers: int) -> Iterator[Shop]:
    line(f"  making up the purchases of {n_customers:,} customers")
    with tempfile.TemporaryDirectory(prefix="winback-bench-") as folder:
        server = postgres_server.start(Path(folder) / "cluster", port=0)
        try:
            with psycopg.connect(server.url(), autocommit=True) as connection:
                connection.execute("create database winback")
            shop = Shop(server.url("winback"), Path(folder) / "home", 0)
            setup.prepare(shop.url)
            shop.execute(PURCHASES.format(as_of=AS_OF, n_customers=n_customers, n_each=ORDERS_EACH))
            shop.execute("analyze raw.orders")
            shop.execute("analyze raw.customers")
            [(n_orders,)] = shop.execute("select count(*) from raw.orders")
            shop.n_orders = int(str(n_orders))
            yield shop
        finally:
            server.remove()
