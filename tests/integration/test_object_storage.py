"""Files in object storage, from a stand-in for S3 on this machine."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer

from winback.errors import SourceError
from winback.extract.feeds import FEEDS
from winback.extract.mapping.column_mapping import ColumnMapping
from winback.extract.mapping.dataset import FeedMapping
from winback.extract.sources import file_source, object_storage
from winback.extract.sources.reading import describe_source, read_source
from winback.extract.sources.source_rows import ROW_NUMBER, SOURCE, BrokenRows
from winback.server.processes import free_port

COLUMNS = {"order_id": ColumnMapping("id"), "channel": ColumnMapping("name")}
ROWS = [{"id": "1", "name": "Ada"}, {"id": "2", "name": "Bob"}]
PLAIN = b"id,name\n1,Ada\n2,Bob\n"


def connection(endpoint: str, login: str = "reader:secret@") -> str:
    return f"aws://{login}/?endpoint_url={quote(endpoint, safe='')}&region_name=eu-central-1"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as environment:
        # boto3 looks for a login before it knows that none is needed
        environment.setenv("AWS_ACCESS_KEY_ID", "writer")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "writer")
        server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        server.start()
        try:
            host, port = server.get_host_and_port()
            yield f"http://{host}:{port}"
        finally:
            server.stop()


@pytest.fixture(scope="module")
def store(endpoint: str) -> Any:
    client = boto3.client("s3", endpoint_url=endpoint, region_name="eu-central-1")
    place = {"LocationConstraint": "eu-central-1"}
    client.create_bucket(Bucket="exports", CreateBucketConfiguration=place)
    parquet = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), parquet)
    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    objects = {
        "o.csv": PLAIN,
        "o.csv.gz": gzip.compress(PLAIN),
        "o.txt": PLAIN.replace(b",", b"  "),
        "o.jsonl": lines,
        "o.jsonl.gz": gzip.compress(lines),
        "o.parquet": parquet.getvalue(),
        "days/2025-03-02/o.csv": PLAIN,
        "days/2025-03-01/o.csv": PLAIN,
        "days/2025-03-01/.o.csv": b"half",
        "bad/empty.csv": b"",
        "bad/half.csv": PLAIN.rstrip(),
        "bad/cut.csv.gz": gzip.compress(PLAIN)[:-9],
        "bad/plain.csv.gz": PLAIN,
        "bad/cut.parquet": parquet.getvalue()[:-9],
        "bad/other.csv": b"id,title\n1,Ada\n",
        "bad/latin.csv": "id,name\n1,Jürgen\n".encode("latin-1"),
    }
    for key, body in objects.items():
        client.put_object(Bucket="exports", Key=key, Body=body)
    return client


@pytest.fixture(autouse=True)
def login(store: Any, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_BUCKET", connection(endpoint))


def orders(key: str, form: str = "csv", conn_id: str = "shop_bucket") -> FeedMapping:
    place = f"s3://exports/{key}"
    return FeedMapping(FEEDS["orders"], COLUMNS, file=place, format=form, connection=conn_id)


def rows(mapping: FeedMapping) -> list[dict[str, Any]]:
    return [row for batch in read_source(mapping, BrokenRows()) for row in batch.to_pylist()]


def refusal(mapping: FeedMapping) -> str:
    with pytest.raises(SourceError) as error:
        rows(mapping)
    said = str(error.value)
    assert "\n" not in said
    assert "secret" not in said
    return said


@pytest.mark.parametrize(
    ("key", "form"),
    [
        ("o.csv", "csv"),
        ("o.csv.gz", "csv"),
        ("o.txt", "whitespace"),
        ("o.jsonl", "jsonl"),
        ("o.jsonl.gz", "jsonl"),
        ("o.parquet", "parquet"),
    ],
)
def test_every_format_is_read_as_on_this_machine(key: str, form: str) -> None:
    assert rows(orders(key, form)) == [
        {**row, ROW_NUMBER: n, SOURCE: key} for n, row in enumerate(ROWS, start=1)
    ]
    assert set(describe_source(orders(key, form))) == {"id", "name"}


def test_a_pattern_is_looked_up_in_the_store() -> None:
    found = [(row[SOURCE], row[ROW_NUMBER]) for row in rows(orders("days/*/o.csv"))]
    assert found == [(f"2025-03-0{day}/o.csv", n) for day in (1, 2) for n in (1, 2)]
    assert [row[SOURCE] for row in rows(orders("days/2025-03-01/*.csv"))] == ["o.csv", "o.csv"]


@pytest.mark.parametrize(
    ("key", "form", "mend"),
    [
        ("none.csv", "csv", "s3://exports/none.csv does not exist: check the path of feed orders"),
        ("days", "csv", "s3://exports/days is not a file: name one file"),
        ("none/*.csv", "csv", "no file in s3://exports/none matches '*.csv'"),
        ("bad/empty.csv", "csv", "s3://exports/bad/empty.csv is empty (0 bytes)"),
        ("bad/half.csv", "csv", "s3://exports/bad/half.csv does not end with a line break"),
        ("bad/cut.csv.gz", "csv", "s3://exports/bad/cut.csv.gz is no whole gzip file"),
        ("bad/plain.csv.gz", "csv", "is called .gz and is no gzip file"),
        ("bad/cut.parquet", "parquet", "s3://exports/bad/cut.parquet is no whole parquet file"),
        ("bad/other.csv", "csv", "has no column 'name' (it has: id, title)"),
        ("bad/latin.csv", "csv", "is not written in utf-8 (line 2, byte 11)"),
    ],
)
def test_what_is_wrong_names_the_object(key: str, form: str, mend: str) -> None:
    assert mend in refusal(orders(key, form))


def test_a_bucket_that_is_not_there_is_named() -> None:
    for key in ("o.csv", "*.csv"):
        mapping = orders(key)
        place = str(mapping.file).replace("exports", "imports")
        said = refusal(FeedMapping(FEEDS["orders"], COLUMNS, file=place, connection="shop_bucket"))
        assert place.rpartition("/")[0] in said


def test_a_store_that_is_down_names_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_storage, "ATTEMPTS", 1)
    away = connection(f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AIRFLOW_CONN_AWAY", away)
    for key in ("o.csv", "*.csv"):
        said = refusal(orders(key, conn_id="away"))
        assert f"s3://exports/{key} can not be read" in said
        assert "check the Airflow connection 'away'" in said


def test_a_connection_that_is_none_or_another_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(orders("o.csv", conn_id="no_such"))
    assert "Airflow knows no connection 'no_such': add it (type aws)" in said
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_BUCKET", "postgres://reader:secret@127.0.0.1/shop")
    assert "is of type 'postgres', and object storage is read through" in refusal(orders("o.csv"))


def test_a_large_object_is_not_fetched_as_a_whole(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_source, "BLOCK_BYTES", 64 << 10)
    body = b"id,name\n" + (b"1," + b"x" * 1000 + b"\n") * 40_000
    for key, content in (("large.csv", body), ("large.csv.gz", gzip.compress(body, 1))):
        store.put_object(Bucket="exports", Key=key, Body=content)
        before = pa.total_allocated_bytes()
        n_rows, most = 0, 0
        for batch in read_source(orders(key), BrokenRows()):
            n_rows += batch.num_rows
            most = max(most, pa.total_allocated_bytes() - before)
        assert n_rows == 40_000
        assert most < len(body) / 4
