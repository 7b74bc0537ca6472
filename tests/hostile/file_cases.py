"""Hostile files: what each holds, and what must come of it."""

from __future__ import annotations

import gzip
import io
import zipfile
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.hostile.passing import HEADER, good, good_rows

NOT_AS_MANY = ["the row does not have as many columns as the header"]
NO_AMOUNT = ["amount_cents is no amount such as 12.34"]
HALF_WRITTEN = "does not end with a line break, so it is probably half written"
NO_NAMES = "nor any other that the mapping names: its first line must hold the column names"
FAIR = HEADER + good(1, 2)
PACKED = gzip.compress(FAIR.encode())
JSON = {"format": "jsonl"}
PARQUET = {"format": "parquet"}
JSON_ROW = '{"id":"%s","customer":"k1","day":"2024-01-02","total":%s,"note":"fine"}\n'


@dataclass(frozen=True)
class HostileFile:
    """A file, and what must come of it: rows passed and quarantined, or the error it is refused by.

    Attributes:
        name: What is hostile about it.
        content: Its bytes.
        passed: By row number: order id, amount in cents, note.
        quarantined: By row number: the reasons.
        refused: Part of the error; then no row counts.
        how: Keys of the mapping.
        ending: Of the file's name.
    """

    name: str
    content: bytes
    passed: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    quarantined: dict[int, list[str]] = field(default_factory=dict)
    refused: str | None = None
    how: dict[str, Any] = field(default_factory=dict)
    ending: str = "csv"


def text(name: str, content: str | bytes, *passed: int, **more: Any) -> HostileFile:
    """A text file; `passed` are the numbers of its good rows."""
    also = more.pop("also", {})
    encoded = content.encode() if isinstance(content, str) else content
    return HostileFile(name, encoded, good_rows(*passed) | also, **more)


def lines(name: str, content: str, *passed: int, **more: Any) -> HostileFile:
    """A file of JSON lines."""
    return text(name, content, *passed, how=JSON, ending="jsonl", **more)


def packed(name: str, content: bytes, *passed: int, **more: Any) -> HostileFile:
    """A file whose name says that gzip wrote it."""
    return text(name, content, *passed, ending="csv.gz", **more)


def parquet(name: str, *passed: int, **more: Any) -> HostileFile:
    """A Parquet file of one row; columns given by name replace its good ones."""
    kept = {key: more.pop(key) for key in ("quarantined", "refused", "also") if key in more}
    columns = {"id": ["g1"], "customer": ["k1"], "day": ["2024-01-02"], "total": ["1.00"]}
    table = more.pop("table", None) or pa.table(columns | {"note": ["fine"]} | more)
    return text(name, parquet_bytes(table), *passed, how=PARQUET, ending="parquet", **kept)


def parquet_bytes(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def zipped() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("xl/worksheets/sheet1.xml", FAIR)
    return sink.getvalue()


def row(number: int, order_id: str = "", amount: int = 100, note: str = "fine") -> dict[int, Any]:
    """A row that passes and is not quite a good one."""
    return {number: (order_id or f"g{number}", amount, note)}


def odd(value: str, column: int = 4) -> str:
    """The second line of a file, with another value in one of its columns."""
    values = ["g2", "k1", "2024-01-02", "1.00", "fine"]
    values[column] = value
    return ",".join(values) + "\n"


QUOTING = [
    text("a quotation mark inside a bare value", HEADER + good(1) + odd('a "b" c') + good(3), 1, 3,
         also=row(2, note='a "b" c')),
    text("letters behind a closing mark", HEADER + good(1) + odd('"a"b') + good(3), 1, 3,
         also=row(2, note="ab")),
    text("a backslash before a mark", HEADER + good(1) + odd('"a\\"b"') + good(3), 1, 3,
         also=row(2, note='a\\b"')),
    text("single quotes around a comma", HEADER + good(1) + odd("'a,b'") + good(3), 1, 3,
         quarantined={2: NOT_AS_MANY}),
    text("a doubled mark", HEADER + good(1) + odd('"a""b"') + good(3), 1, 3,
         also=row(2, note='a"b')),
    text("a line break in a value", HEADER + good(1) + odd('"a\nb"') + good(3), 1, 3,
         also=row(2, note="a\nb")),
    text("a mark that is never closed", HEADER + good(1) + odd('"a') + good(3, 4),
         refused="row 2: a quoted value goes on over lines that look like rows"),
    text("ten thousand line breaks in a value", HEADER + good(1) + odd('"' + "\n" * 10_000 + 'x"')
         + good(3), 1, 3, also=row(2, note="x")),
    text("a line break in the header", HEADER.replace("note", '"no\nte"') + good(1),
         refused="has no column 'note' (it has: id, customer, day, total, no)"),
    text("too few and too many columns", HEADER + good(1) + "g2\ng3,1,2,3,4,5\n" + good(4), 1, 4,
         quarantined={2: NOT_AS_MANY, 3: NOT_AS_MANY}),
    text("an end-of-file sign of DOS", FAIR + "\x1a\n", 1, 2, quarantined={3: NOT_AS_MANY}),
]  # fmt: skip

LINE_ENDS = [
    text("lone carriage returns", FAIR.replace("\n", "\r"), refused=HALF_WRITTEN),
    text("lone carriage returns, declared", FAIR.replace("\n", "\r"), 1, 2,
         how={"final_newline": "optional"}),
    text("all line ends mixed", HEADER + "g1,k1,2024-01-02,1.00,fine\r\n"
         "g2,k1,2024-01-02,1.00,fine\r" + good(3), 1, 2, 3),
    text("blank lines between rows", HEADER + "\n\r\n" + good(1) + "\n\n" + good(2), 1, 2),
    text("line ends of Unicode in a value", HEADER + good(1) + odd("a\x85b\u2028c\u2029d"), 1,
         also=row(2, note="a\x85b\u2028c\u2029d")),
    text("nothing but blank lines", "\n\n\n", refused="the first line is empty"),
    text("no last line end", FAIR.rstrip(), refused=HALF_WRITTEN),
]  # fmt: skip

ENCODINGS = [
    text("a byte-order mark", b"\xef\xbb\xbf" + FAIR.encode(), 1, 2),
    text("two byte-order marks", b"\xef\xbb\xbf" * 2 + FAIR.encode(), refused="has no column 'id'"),
    text("nothing but a byte-order mark", b"\xef\xbb\xbf", refused=HALF_WRITTEN),
    text("UTF-16 that was not declared", FAIR.encode("utf-16"), refused="as `encoding: utf-16`"),
    text("UTF-16", FAIR.encode("utf-16"), 1, 2, how={"encoding": "utf-16"}),
    text("UTF-32", FAIR.encode("utf-32"), 1, 2, how={"encoding": "utf-32"}),
    text("Latin-1 that was not declared", FAIR.replace("fine", "für").encode("latin-1"),
         refused="is not written in utf-8 (line 2, byte 50)"),
    text("half of a surrogate pair in UTF-8", FAIR.encode().replace(b"fine", b"\xed\xa0\x80"),
         refused="is not written in utf-8 (line 2, byte 49)"),
    text("overlong UTF-8", FAIR.encode().replace(b"fine", b"\xc0\xaf"),
         refused="is not written in utf-8 (line 2, byte 49)"),
    text("NULs in values", HEADER + good(1) + odd("a\0b") + odd("1.\x0000", 3).replace("g2", "g3")
         + good(4), 1, 4, quarantined={2: ["channel holds a NUL character"], 3: NO_AMOUNT}),
    text("nothing but NULs", b"\0" * 100 + b"\n", refused=NO_NAMES),
    text("an unknown encoding", FAIR, refused="is not written in klingon",
         how={"encoding": "klingon"}),
]  # fmt: skip

HEADERS = [
    text("a header that names a column twice", HEADER.replace("total", "note") + good(1),
         refused="the header names note twice; rename one"),
    text("blanks around the names", " id , customer,day ,total,note\n" + good(1), 1),
    text("the line by which Excel knows the delimiter", "sep=,\n" + FAIR, refused=NO_NAMES),
    text("another delimiter", FAIR.replace(",", ";"), refused="set `delimiter: ';'`"),
    text("a NUL in a name", FAIR.replace("note", "note\0"), refused="has no column 'note'"),
    text("a name of a megabyte", FAIR.replace("note", "x" * (1 << 20)),
         refused="the first line holds no column names (one would be longer than 131,072"),
    text("a header of ten megabytes", "".join(f"x{i}," for i in range(1_500_000)) + FAIR,
         refused="the first line is longer than 4 MB"),
    text("a file of zero bytes", "", refused="is empty (0 bytes)"),
    text("a header and no rows", HEADER, refused="has a header but no rows"),
]  # fmt: skip

OTHER_FORMATS = [
    text("an Excel workbook", zipped(), refused="is a zip archive or an Excel workbook"),
    text("an old Excel workbook", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100) + b"\n",
         refused="is an old Excel workbook and no csv file: export it as text"),
    text("a web page", "\n<!DOCTYPE html>\n<html><title>Login</title></html>\n",
         refused="is a web page and no csv file: the download probably"),
    text("Parquet", parquet_bytes(pa.table({"id": ["1"]})), refused="set `format: parquet`"),
    text("packed with gzip", PACKED, refused="let its name end in .gz"),
    text("a PDF", b"%PDF-1.7\n%\xe2\xe3\n", refused="is a PDF document"),
    text("a JSON list", '[{"id": 1}]\n', refused=NO_NAMES),
]  # fmt: skip

GZIP = [
    packed("several members of gzip", PACKED + gzip.compress(good(3).encode()), 1, 2, 3),
    packed("gzip cut short", PACKED[:-12], refused="is no whole gzip file"),
    packed("gzip without its sum", PACKED[:-8] + bytes(4) + PACKED[-4:],
           refused="is no whole gzip file"),
    packed("gzip with a tail", PACKED + b"tail", refused="is no whole gzip file"),
    packed("gzip's first two bytes", PACKED[:2], refused="is no whole gzip file"),
    packed("gzip of nothing", gzip.compress(b""), refused="the first line is empty"),
    packed("gzip in gzip", gzip.compress(PACKED), refused="once for each packing"),
    packed("plain text called .gz", FAIR.encode(), refused="is called .gz and is no gzip file"),
]  # fmt: skip

JSON_LINES = [
    lines("a null in place of an object", JSON_ROW % ("g1", "1.00") + "null\n",
          refused="is no whole jsonl file"),
    lines("a null behind an object", JSON_ROW.strip() % ("g1", "1.00") + " null\n",
          refused="is no whole jsonl file"),
    lines("two objects in a line", JSON_ROW.strip() % ("g1", "1.00") + JSON_ROW % ("g2", "1.00"),
          refused="is no whole jsonl file"),
    lines("a list of objects", "[" + JSON_ROW.strip() % ("g1", "1.00") + "]\n",
          refused="is no whole jsonl file"),
    lines("a hundred thousand lists in one another", JSON_ROW % ("g1", "1.00") + '{"id":'
          + "[" * 100_000 + "]" * 100_000 + "}\n", refused="line 2 is nested too deeply"),
    lines("a key that comes twice", JSON_ROW % ("g1", "1.00") + JSON_ROW.replace(
          '"id"', '"id":"old","id"') % ("g2", "1.00") + JSON_ROW % ("g3", "1.00"), 1, 2, 3),
    lines("half of a surrogate pair", JSON_ROW % ("\\ud800", "1.00"),
          refused="column 'id' holds half of a surrogate pair"),
    lines("a NUL by its escape", JSON_ROW % ("g1", "1.00") + JSON_ROW % ("a\\u0000b", "1.00"), 1,
          quarantined={2: ["order_id holds a NUL character"]}),
    lines("NaN, 1e308, 1e999 and a billion digits", "".join(JSON_ROW % (f"g{n}", total)
          for n, total in enumerate(("1.00", "NaN", "1e308", "1e999", "1e999999999"), 1)), 1,
          quarantined=dict.fromkeys((2, 3, 4, 5), NO_AMOUNT)),
    lines("an exponent", JSON_ROW % ("g1", "1.00") + JSON_ROW % ("g2", "1e2") + JSON_ROW % ("g3",
          '"x"'), 1, also=row(2, amount=10_000), quarantined={3: NO_AMOUNT}),
    lines("ids that a float would round", (JSON_ROW % ("g1", "1.00") + JSON_ROW % ("g2", "1.00"))
          .replace('"g1"', "9007199254740993").replace('"g2"', "1.5"),
          also=row(1, "9007199254740993") | row(2, "1.5")),
    lines("an amount that a float would round", JSON_ROW % ("g1", "90071992547409.91"),
          also=row(1, amount=9007199254740991)),
    lines("an object as a value", JSON_ROW % ("g1", '{"a": 1}'), refused="map a column of single"),
    lines("a broken line in the middle", JSON_ROW % ("g1", "1.00") + '{"id":\n' + JSON_ROW
          % ("g3", "1.00"), refused="is no whole jsonl file"),
    lines("blank lines", "\n" + JSON_ROW % ("g1", "1.00") + "\r\n" + JSON_ROW % ("g2", "1.00"), 1,
          2),
    lines("no keys", "{}\n{}\n", refused="has no rows"),
]  # fmt: skip

_WHOLE = parquet("whole", 1).content
PARQUET_FILES = [
    text("Parquet cut short", _WHOLE[:-10], how=PARQUET, ending="parquet",
         refused="is no whole parquet file"),
    text("Parquet's first bytes with a wrong footer", b"PAR1" + bytes(50) + b"PAR1", how=PARQUET,
         ending="parquet", refused="is no whole parquet file"),
    text("a footer larger than the file", b"PAR1" + bytes(50) + b"\xff\xff\xff\x7fPAR1",
         how=PARQUET, ending="parquet", refused="is no whole parquet file"),
    text("text that is declared as Parquet", FAIR, how=PARQUET, ending="parquet",
         refused="is no whole parquet file"),
    parquet("two columns of one name", refused="has two columns 'id': rename one", table=pa.table(
            [["g1"], ["g2"], ["k1"], ["2024-01-02"], ["1.00"], ["fine"]],
            names=["id", "id", "customer", "day", "total", "note"])),
    parquet("bytes that are no text", id=pa.array([b"\xff\xfe"]),
            refused="column 'id' holds bytes that are no text in UTF-8"),
    parquet("bytes that are text", 1, id=pa.array([b"g1"])),
    parquet("lists", note=pa.array([["a"]]), refused="map a column of single values"),
    parquet("spans of time", total=pa.array([1], pa.duration("s")),
            refused="column 'total' holds duration[s]"),
    parquet("ids as floats", id=pa.array([12345678901.0]), also=row(1, "12345678901")),
    parquet("a zero of many decimals", total=pa.array([0]).cast(pa.decimal128(38, 10)),
            also=row(1, amount=0)),
    parquet("the negative zero", total=pa.array([-0.0]), also=row(1, amount=0)),
    parquet("NaN", total=pa.array([float("nan")]), quarantined={1: NO_AMOUNT}),
    parquet("1e308", total=pa.array([1e308]), quarantined={1: NO_AMOUNT}),
    parquet("an unsigned number beyond all", total=pa.array([2**64 - 1], pa.uint64()),
            quarantined={1: NO_AMOUNT}),
    parquet("a day that would wrap around into 2023",
            day=pa.array([(2**64 + 1_700_000_000 * 10**6) // 10**6], pa.timestamp("s")),
            quarantined={1: ["ordered_at is no date written as 2024-12-31 or"
                             " 2024-12-31T18:30:00+01:00"]}),
    parquet("no values at all", id=pa.nulls(1), quarantined={1: ["order_id is missing"]}),
]  # fmt: skip

FILES = [
    *QUOTING, *LINE_ENDS, *ENCODINGS, *HEADERS, *OTHER_FORMATS, *GZIP, *JSON_LINES, *PARQUET_FILES
]  # fmt: skip
