"""`./winback bench extract`: loading orders from PostgreSQL, CSV and Parquet against the floor.

Data are made up by rule: ten million orders of a million customers, one in ten thousand of them
with a negative amount, so that validation and quarantine have work to do. Customers are known by
UUIDs, as in many shops, so that both sides sort and store keys of about the same length.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pyarrow.parquet as pq
import yaml
from adbc_driver_postgresql import dbapi

from benchmarks.extract_floor import copy
from benchmarks.measuring import Result, pairs
from winback.server import postgres_server
from winback.server.postgres_place import binaries
from winback.settings import PROJECT
from winback.terminal import line
from winback.warehouse import setup

ROWS = 10_000_000
INCREMENT_ROWS = 10_000
BAD_EVERY = 10_000
LIMITS = {
    "postgres_vs_copy": 1.5,
    "csv_vs_arrow": 1.3,
    "parquet_vs_arrow": 1.3,
    "peak_mib": 1024.0,
    "increment_s": 3.0,
}
PURCHASES = """
create table purchase (
    number text, account_id text, placed_at timestamptz, items int, total numeric(10, 2),
    currency text, changed_at timestamptz
);
insert into purchase
select
    'A' || to_char(n, 'FM000000000'),
    md5(((n * 7919::bigint) % {n_customers})::text)::uuid::text,
    '2016-01-01'::timestamptz + make_interval(secs => (n * 31::bigint) % 315360000),
    1 + n % 5,
    case when n % {bad_every} = 0 then -1 else 1 end * (1 + n % 19999) / 100.0,
    'EUR',
    '2025-01-01'::timestamptz + make_interval(secs => n)
from generate_series(1, {n_rows}) as n;
"""
NEW_PURCHASES = """
insert into purchase
select
    'B' || to_char(n, 'FM000000000'), md5(n::text)::uuid::text, '2025-12-31', 1, 10, 'EUR',
    changed.at
from generate_series(1, {n_rows}) as n
cross join (select max(changed_at) + interval '30 days' as at from purchase) as changed;
"""
EXPORT = (
    "select number, account_id, placed_at, items, (total * 100)::bigint as cents, currency"
    " from purchase"
)
COLUMNS = {
    "order_id": "number",
    "customer_id": "account_id",
    "ordered_at": "placed_at",
    "quantity": "items",
    "currency": "currency",
}
TABLE = {
    "connection": "shop_database",
    "table": "purchase",
    "columns": COLUMNS | {"amount_cents": {"column": "total", "unit": "major"}},
}
FILE_COLUMNS = COLUMNS | {"amount_cents": "cents"}
CUSTOMERS = {
    "derive_from": "orders",
    "columns": {"customer_id": "account_id", "registered_at": "placed_at"},
}


def run(scale: float) -> Result:
    """Measures.

    Args:
        scale: Of the ten million rows; under 1 for a quick look.
    """
    n_rows = int(ROWS * scale)
    with tempfile.TemporaryDirectory(prefix="winback-bench-") as folder:
        server = postgres_server.start(Path(folder) / "cluster", port=0)
        try:
            return _measure(server, Path(folder), n_rows)
        finally:
            server.remove()


def _measure(server: postgres_server.PostgresServer, folder: Path, n_rows: int) -> Result:
    shop, target = server.url("shop"), server.url("winback")
    line(f"  making up {n_rows:,} orders")
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("create database shop")
        connection.execute("create database winback")
    sizes = {"n_rows": n_rows, "n_customers": max(1, n_rows // 10), "bad_every": BAD_EVERY}
    _execute(shop, PURCHASES.format(**sizes))
    _execute(shop, "vacuum analyze purchase")
    csv, parquet = _export(shop, folder)
    setup.prepare(target)
    sources = _declare(folder, csv, parquet)
    result = Result("extract", limits=LIMITS)
    psql = binaries(None) / "psql"
    peaks = []

    def ours(dataset: str) -> float:
        _execute(target, "truncate raw.orders, quarantine.rejected_row")
        told = _load(dataset, folder, sources, shop, target)
        expected = n_rows - n_rows // BAD_EVERY
        if told["n_passed"] != expected:
            raise RuntimeError(f"{told['n_passed']} rows passed instead of {expected}")
        peaks.append(told["peak_mib"])
        return told["seconds"]

    def arrow_floor(form: str, path: Path) -> float:
        command = [sys.executable, "-m", "benchmarks.extract_floor", form, str(path), target]
        return float(_run(command, {})["seconds"])

    for name, dataset, floor in (
        ("postgres_vs_copy", "database", lambda: copy(psql, shop, target)),
        ("csv_vs_arrow", "csv", lambda: arrow_floor("csv", csv)),
        ("parquet_vs_arrow", "parquet", lambda: arrow_floor("parquet", parquet)),
    ):
        ratio, seconds, floor_seconds = pairs(name, lambda of=dataset: ours(of), floor)
        stem = name.split("_")[0]
        result.ratios[name] = ratio
        result.figures |= {f"{stem}_s": seconds, f"{stem}_floor_s": floor_seconds}
    result.figures["peak_mib"] = max(peaks)
    ours("increments")
    _execute(shop, NEW_PURCHASES.format(n_rows=INCREMENT_ROWS))
    told = _load("increments", folder, sources, shop, target)
    if told["n_passed"] < INCREMENT_ROWS:
        raise RuntimeError(f"the increment brought {told['n_passed']} rows")
    result.figures |= {"increment_s": told["seconds"], "increment_rows": told["n_received"]}
    return result


def _export(shop: str, folder: Path) -> tuple[Path, Path]:
    csv, parquet = folder / "orders.csv", folder / "orders.parquet"
    copy_csv = f"copy ({EXPORT}) to stdout (format csv, header)".encode()
    with (
        psycopg.connect(shop) as connection,
        csv.open("wb") as file,
        connection.cursor().copy(copy_csv) as rows,
    ):
        for block in rows:
            file.write(block)
    with dbapi.connect(shop) as connection, connection.cursor() as cursor:
        cursor.execute(EXPORT)
        reader = cursor.fetch_record_batch()
        with pq.ParquetWriter(parquet, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
    return csv, parquet


def _declare(folder: Path, csv: Path, parquet: Path) -> Path:
    sources = {
        "database": TABLE,
        "increments": TABLE | {"cursor": {"column": "changed_at", "overlap_days": 1}},
        "csv": {"file": str(csv), "columns": FILE_COLUMNS},
        "parquet": {"file": str(parquet), "format": "parquet", "columns": FILE_COLUMNS},
    }
    datasets = {
        name: {"feeds": {"orders": orders, "customers": CUSTOMERS}}
        for name, orders in sources.items()
    }
    path = folder / "sources.yaml"
    path.write_text(yaml.safe_dump({"datasets": datasets}), encoding="utf-8")
    return path


def _load(dataset: str, folder: Path, sources: Path, shop: str, target: str) -> dict[str, float]:
    environment = {
        "AIRFLOW_CONN_WINBACK_WAREHOUSE": target,
        "AIRFLOW_CONN_SHOP_DATABASE": shop,
        "WINBACK_HOME": str(folder),
        "WINBACK_KEY": "a key for measuring",
        "WINBACK_SOURCES": str(sources),
        "WINBACK_BUSINESS_TIMEZONE": "UTC",
    }
    return _run([sys.executable, "-m", "benchmarks.extract_load", dataset], environment)


def _run(command: list[str], environment: dict[str, str]) -> dict[str, float]:
    python_path = f"{PROJECT / 'plugins'}:{PROJECT}"
    done = subprocess.run(
        ["env", f"PYTHONPATH={python_path}", *(f"{k}={v}" for k, v in environment.items()),
         *command],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    told: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return told


def _execute(url: str, statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statements.encode())
