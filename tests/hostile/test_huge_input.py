"""Input without measure: refused or read within bounded memory and time, whatever its size.

Each case is read by a process of its own, whose peak of memory is measured.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PROJECT
from tests.hostile.passing import HEADER, good

MEGABYTE = b"x" * (1 << 20)
GIGABYTE = 1024
JSON_BEGINS = b'{"id":"g1","customer":"k1","day":"2024-01-02","total":1,"note":"'
ROW_BEGINS = b"g1,k1,2024-01-02,1.00,"
# Python, Arrow and pandas alone take some 250 MB
MOST_MEGABYTES = 500
SECONDS = 15

READ = """
import json, sys
from pathlib import Path
from tests.hostile.passing import orders, outcome
from winback.errors import SourceError

said = {"passed": {}, "quarantined": {}, "refused": None}
try:
    found = outcome(orders(Path(sys.argv[1]), **json.loads(sys.argv[2])))
    said |= {"passed": found.passed, "quarantined": found.quarantined}
except SourceError as error:
    said["refused"] = str(error)
# ru_maxrss would count the process that started this one as well
status = Path("/proc/self/status").read_text()
said["megabytes"] = int(status.split("VmHWM:")[1].split()[0]) >> 10
print(json.dumps(said))
"""


def read(path: Path, **how: Any) -> dict[str, Any]:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path), json.dumps(how)],
        cwd=PROJECT, env={"PYTHONPATH": f"{PROJECT}/plugins:{PROJECT}", "WINBACK_KEY": "test key"},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < SECONDS
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def write_hole(path: Path, begins: bytes, ends: bytes) -> None:
    """A line of a gigabyte, of NULs that a file system keeps without room for them."""
    with path.open("wb") as file:
        file.write(begins)
        file.seek(GIGABYTE << 20, 1)
        file.write(ends)


def megabytes(begins: bytes, middle: bytes, n: int, ends: bytes) -> Iterator[bytes]:
    yield begins
    for _ in range(n):
        yield middle
    yield ends


@pytest.mark.parametrize(
    ("begins", "ends", "how", "refused"),
    [
        (HEADER.encode() + ROW_BEGINS, b"\n", {}, "a row is longer than 4 MB"),
        (HEADER.encode() + ROW_BEGINS + b'"', b'"\n', {}, "a row is longer than 4 MB"),
        (b"", b"\n" + good(1).encode(), {}, "the first line is longer than 4 MB"),
        (HEADER.replace(",", " ").encode() + ROW_BEGINS.replace(b",", b" "), b"\n",
         {"format": "whitespace"}, "a line after row 0 is longer than 4 MB"),
        (JSON_BEGINS, b'"}\n', {"format": "jsonl"}, "line 1 is longer than 4 MB"),
        (HEADER.encode() + b"\xff", b"\n", {}, "is not written in utf-8 (line 2, byte 27)"),
    ],
    ids=["a value", "a quoted value", "the header", "whitespace", "JSON", "another encoding"],
)  # fmt: skip
def test_a_line_of_a_gigabyte_is_refused(
    tmp_path: Path, begins: bytes, ends: bytes, how: dict[str, Any], refused: str
) -> None:
    path = tmp_path / "orders.txt"
    write_hole(path, begins, ends)
    assert path.stat().st_size > GIGABYTE << 20
    said = read(path, **how)
    assert refused in said["refused"]
    assert said["megabytes"] < MOST_MEGABYTES


@pytest.mark.parametrize(
    ("begins", "middle", "ending", "how", "refused"),
    [
        (HEADER.encode() + ROW_BEGINS, MEGABYTE, "csv", {}, "a row is longer than 4 MB"),
        (HEADER.encode() + ROW_BEGINS + b'"', b"x\n" * (1 << 19), "csv", {},
         "a quotation mark is never closed, or a row is longer than 4 MB"),
        (JSON_BEGINS, MEGABYTE, "jsonl", {"format": "jsonl"}, "line 1 is longer than 4 MB"),
    ],
    ids=["a value", "quoted line breaks", "JSON"],
)  # fmt: skip
def test_a_small_file_that_unpacks_to_a_large_line_is_refused(
    tmp_path: Path, begins: bytes, middle: bytes, ending: str, how: dict[str, Any], refused: str
) -> None:
    path = tmp_path / f"orders.{ending}.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.writelines(megabytes(begins, middle, 256, b"\n"))
    said = read(path, **how)
    assert refused in said["refused"]
    assert said["megabytes"] < MOST_MEGABYTES


def write_wide(path: Path, n_more: int) -> None:
    names = "".join(f",x{i}" for i in range(n_more))
    path.write_text(f"{HEADER.strip()}{names}\n{good(1).strip()}{',' * n_more}\n")


def test_ten_thousand_columns_are_read(tmp_path: Path) -> None:
    write_wide(tmp_path / "orders.csv", 10_000)
    said = read(tmp_path / "orders.csv")
    assert said["passed"] == {"1": ["g1", 100, "fine"]}
    assert said["megabytes"] < MOST_MEGABYTES


def test_a_hundred_thousand_columns_are_refused(tmp_path: Path) -> None:
    write_wide(tmp_path / "orders.csv", 100_000)
    said = read(tmp_path / "orders.csv")
    assert "has 100,005 columns, and 16,384 are read at most" in said["refused"]
    assert said["megabytes"] < MOST_MEGABYTES
