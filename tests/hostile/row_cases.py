"""Hostile values of single rows: the column, the text at the source, and what must come of it."""

# letters and digits that look like others are what this is about
# ruff: noqa: RUF001

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

NO_DATE = "is no date written as 2024-12-31 or 2024-12-31T18:30:00+01:00"
NO_NUMBER = "is no whole number"
NO_AMOUNT = "is no amount such as 12.34"
NO_CURRENCY = "is no currency code such as EUR"
NO_EMAIL = "is no e-mail address"


@dataclass(frozen=True)
class HostileValue:
    """A value, and what must come of it: another value, or its row in quarantine.

    Attributes:
        column: Of the feed orders, or customers where orders has none such.
        text: As it stands at the source.
        becomes: The value that is loaded.
        reason: Why it may not pass; then nothing is loaded.
    """

    column: str
    text: str
    becomes: Any = None
    reason: str | None = None


def passes(column: str, text: str, becomes: Any = None) -> HostileValue:
    return HostileValue(column, text, text if becomes is None else becomes)


def fails(column: str, reason: str, *texts: str) -> list[HostileValue]:
    return [HostileValue(column, text, reason=reason) for text in texts]


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


AMOUNTS = [
    passes("amount_cents", "-0", 0),
    passes("amount_cents", "-0.00", 0),
    passes("amount_cents", "+1.5", 150),
    passes("amount_cents", "0.10" + "0" * 60, 10),
    passes("amount_cents", "999999999999999.99", 99_999_999_999_999_999),
    *fails("amount_cents", NO_AMOUNT, "1,234.56", "1.234,56", "12,34", "1e5", "1E+2", "0x10",
           "١٢٣", "１２", "1e308", "NaN", "inf", "-inf", "(5.00)", "1.5-", "5 €", "$5",
           "0.001", ".5", "5.",
           "1_000", "9" * 16, "9" * 400, "5\u200b", "=1+1", "#REF!", "1;2", "--1", "5\n6"),
    *fails("amount_cents", "is negative", "-0.01", "-1"),
]  # fmt: skip

INTEGERS = [
    passes("quantity", "007", 7),
    passes("quantity", "0" * 30 + "1", 1),
    passes("quantity", "2.000", 2),
    passes("quantity", "-0", 0),
    passes("quantity", "9" * 18, 999_999_999_999_999_999),
    *fails("quantity", NO_NUMBER, "9" * 19, str(2**63), "0x10", "1e3", "٣", "３", "1.5", "1_000",
           "True", "½", "²", "NaN"),
    *fails("quantity", "is negative", "-1", "-" + "9" * 18),
]  # fmt: skip

CURRENCIES = [
    passes("currency", "eur", "EUR"),
    *fails("currency", NO_CURRENCY, "€", "ＥＵＲ", "uſd", "ınr", "EUR\u200b", "E\0R", "978", "XQX"),
]

# in Europe/Berlin
TIMES = [
    passes("ordered_at", "2024-10-27 02:30", at(2024, 10, 27, 0, 30)),
    passes("ordered_at", "2024-03-31 03:00", at(2024, 3, 31, 1)),
    passes("ordered_at", "2024-03-31T02:30:00+01:00", at(2024, 3, 31, 1, 30)),
    passes("ordered_at", "2024-01-02T00:00+14:00", at(2024, 1, 1, 10)),
    passes("ordered_at", "2024-01-02T00:00-12:00", at(2024, 1, 2, 12)),
    passes("ordered_at", "2060-07-01 12:00", at(2060, 7, 1, 10)),
    passes("ordered_at", "2024-01-02T03:04:05.123456789Z", at(2024, 1, 2, 3, 4, 5, 123456)),
    passes("ordered_at", "20240102", at(2024, 1, 1, 23)),
    passes("ordered_at", "1970-01-01T01:00", at(1970, 1, 1)),
    *fails("ordered_at", NO_DATE, "2024-03-31 02:30", "2016-02-30", "2023-02-29",
           "2024-01-02T24:00",
           "2016-12-31T23:59:60Z", "0000-01-01", "0001-01-01", "9999-12-31", "1899-12-30", "45291",
           "45291.5", "2024-01-02T00:00+24:00", "2024-01-02T00:00+99:00", "2024-01-02T03:04:05+1",
           "2024-01-02T03:04 CET", "2024-01-02+01:00", "2024-W01-1", "2024-001", "２０２４-01-02",
           "٢٠٢٤-01-02", "02.01.2024", "01/02/2024", "2024/01/02", "now", "today", "NaT",
           "-2024-01-02",
           "2024-01-02T03:04:05−01:00", "2024-13-01", "1704153600", "2024-01-02T25:00", "2024-1-2"),
]  # fmt: skip

# whatever is no NUL may stand in a text, and stays as it is
TEXTS = [
    *(
        passes("channel", text)
        for text in (
            "=cmd|'/c calc'!A1", "+1+1", "@SUM(A1)", "-2+3", "'; drop table raw.orders; --",
            '" or ""="', "\\", "\\u0000", "a\\u0000b\\", "\\N", "NULL", "None", "NaN", "👩‍👩‍👧‍👦",
            "محمد \u202eevil\u202c", "שלום", "a\x85b\u2028c\u2029d", "\u200bx", "\ufeffx", "x\x1by",
            "Z̸̢a̵̧l̶g̷o", "%s %(x)s {0} {x}", "<script>alert(1)</script>", "../../etc/passwd",
            "\U0010ffff", "x" * 100_000, "a\nb", "a\x1fb",
        )
    ),
    passes("channel", "\u00a0 padded \u3000", "padded"),
    *fails("channel", "holds a NUL character", "a\0b", "\0"),
    passes("order_id", "caf\u00e9"),
    passes("order_id", "cafe\u0301"),
    passes("order_id", "id\u200b"),
    passes("order_id", "'; drop table raw.orders; --"),
    *fails("order_id", "is longer than 1000 bytes", "".join(map(chr, range(0x4E00, 0x5E00)))),
    *fails("order_id", "is missing", "", "   ", "\u3000\u2028"),
]  # fmt: skip

EMAILS = [
    passes("email", "jürgen@bücher.example"),
    passes("email", "o'brien+news@mail.example.com"),
    passes("email", "a%0d%0abcc@example.com"),
    *fails("email", NO_EMAIL, "a@example.com\nBcc: x@example.org",
           "a@example.com\r\nBcc:x@y.example", "a@example.com\u2028Bcc:x", "a@example.com\x85x",
           "a\u200b@example.com", "a@exa\u00admple.com",
           "a\u202e@example.com", "a@b\u00a0.example", "\ufeffa@example.com", "a\x9f@example.com",
           "=cmd()@example.com", "'; drop table x;--@example.com", "a@example", "a@@example.com",
           "<a@example.com>", "a@b.example,c@d.example", "mailto:a@example.com", "a@example..com",
           "a\0@example.com", '"a b"@example.com', "@example.com", "a@"),
]  # fmt: skip

VALUES = [*AMOUNTS, *INTEGERS, *CURRENCIES, *TIMES, *TEXTS, *EMAILS]
