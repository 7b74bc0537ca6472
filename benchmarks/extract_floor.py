"""The least that loading orders can cost: no validation, no quarantine, no keyed hash, no counts.

The same columns in the same types end in a table with the same key and indexes, which are built
after the rows are in, as that is the fastest way. Prints the seconds as one JSON object.

    python -m benchmarks.extract_floor csv|parquet PATH URL
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
from adbc_driver_postgresql import dbapi

COLUMNS = {
    "order_id": pa.string(),
    "customer_key": pa.string(),
    "ordered_at": pa.timestamp("us", "UTC"),
    "quantity": pa.int64(),
    "amount_cents": pa.int64(),
    "currency": pa.string(),
}
CREATE = """
drop schema if exists floor cascade;
create schema floor;
create table floor.orders (
    order_id text not null,
    customer_key text not null,
    ordered_at timestamptz not null,
    quantity bigint,
    amount_cents bigint not null,
    currency text not null,
    cost_cents bigint,
    channel text,
    voucher_code text,
    snapshot_id bigint,
    deleted_at timestamptz
);
"""
INDEXES = """
set maintenance_work_mem = '256MB';
alter table floor.orders add primary key (order_id);
create index on floor.orders (customer_key, ordered_at);
create index on floor.orders using brin (snapshot_id, ordered_at, deleted_at)
    with (autosummarize = on);
"""
SOURCE_QUERY = (
    "select number, account_id, placed_at, items::bigint, (total * 100)::bigint, currency"
    " from purchase"
)
BATCH_ROWS = 64 << 10


def copy(psql: Path, source_url: str, target_url: str) -> float:
    """`COPY … | COPY …` from one database to the other, in seconds."""
    _execute(target_url, CREATE)
    begin = time.perf_counter()
    read = subprocess.Popen(
        [psql, source_url, "-qc", f"copy ({SOURCE_QUERY}) to stdout (format binary)"],
        stdout=subprocess.PIPE,
    )
    into = f"copy floor.orders ({', '.join(COLUMNS)}) from stdin (format binary)"
    subprocess.run([psql, target_url, "-qc", into], stdin=read.stdout, check=True)
    if read.wait():
        raise RuntimeError("the COPY of the source failed")
    _execute(target_url, INDEXES)
    return time.perf_counter() - begin


def arrow_loop(form: str, path: str, target_url: str) -> float:
    """A bare pyarrow reader into ADBC, in seconds."""
    _execute(target_url, CREATE)
    begin = time.perf_counter()
    batches = _csv(path) if form == "csv" else _parquet(path)
    stream = pa.RecordBatchReader.from_batches(pa.schema(COLUMNS.items()), batches)
    with dbapi.connect(target_url) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("orders", stream, mode="append", db_schema_name="floor")
        connection.commit()
    _execute(target_url, INDEXES)
    return time.perf_counter() - begin


def _csv(path: str) -> Iterator[pa.RecordBatch]:
    yield from arrow_csv.open_csv(
        path,
        read_options=arrow_csv.ReadOptions(column_names=list(COLUMNS), skip_rows=1),
        convert_options=arrow_csv.ConvertOptions(column_types=COLUMNS),
    )


def _parquet(path: str) -> Iterator[pa.RecordBatch]:
    schema = pa.schema(COLUMNS.items())
    for batch in pq.ParquetFile(path).iter_batches(BATCH_ROWS):
        yield batch.rename_columns(list(COLUMNS)).cast(schema)


def _execute(url: str, statements: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statements.encode())


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"seconds": arrow_loop(*sys.argv[1:])}))
