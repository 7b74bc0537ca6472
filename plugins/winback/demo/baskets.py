"""Baskets of The Complete Journey: till lines become order lines, and these are added up to orders.

One pass, a batch of lines at a time; only a row for each basket is held in memory.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from winback.errors import SourceError

BATCH_ROWS = 64 << 10
READ = [
    "household_id", "store_id", "basket_id", "product_id", "quantity", "sales_value",
    "transaction_timestamp",
]  # fmt: skip
# the till's times name no zone; why they are UTC: docs/demo-data.md
INSTANT = pa.timestamp("us", "UTC")
LINES = pa.schema(
    {
        "basket_id": pa.int64(),
        "line_number": pa.int64(),
        "product_id": pa.int64(),
        "quantity": pa.int64(),
        "amount_cents": pa.int64(),
        "bought_at": INSTANT,
    }
)
_OF_BASKET = ["basket_id", "household_id", "store_id", "bought_at"]


def write_baskets(transactions: Path, lines: Path, orders: Path) -> None:
    """Writes order lines and orders as Parquet files.

    Args:
        transactions: The till's lines, those of a basket one after the other; dollars.
        lines: Where to write a row for each of them, numbered within its basket; cents.
        orders: Where to write a row for each basket: the sum of its lines, in cents, and how
            many there are.

    Raises:
        SourceError: The lines of a basket do not stand together, or do not agree.
    """
    numbering = _Numbering()
    parts = []
    unfinished = lines.with_suffix(".partial")
    with pq.ParquetWriter(unfinished, LINES, compression="zstd") as writer:
        for batch in pq.ParquetFile(transactions).iter_batches(BATCH_ROWS, columns=READ):
            table = pa.table(
                {
                    "basket_id": batch["basket_id"],
                    "line_number": numbering.of(batch["basket_id"].to_numpy()),
                    "product_id": batch["product_id"],
                    "quantity": batch["quantity"],
                    "amount_cents": _cents(batch["sales_value"]),
                    "bought_at": pc.cast(batch["transaction_timestamp"], INSTANT, safe=False),
                }
            )
            writer.write_table(table)
            of_basket = table.append_column("household_id", batch["household_id"]).append_column(
                "store_id", batch["store_id"]
            )
            parts.append(
                of_basket.group_by(_OF_BASKET).aggregate(
                    [("amount_cents", "sum"), ("line_number", "max")]
                )
            )
    # a basket on the border of two batches comes twice
    summed = (
        pa.concat_tables(parts)
        .group_by(_OF_BASKET)
        .aggregate([("amount_cents_sum", "sum"), ("line_number_max", "max")])
        .rename_columns([*_OF_BASKET, "amount_cents", "n_lines"])
    )
    n_baskets = pc.count_distinct(summed["basket_id"]).as_py()
    if not numbering.n_baskets == summed.num_rows == n_baskets:
        unfinished.unlink()
        raise SourceError(
            f"{transactions}: lines of one basket stand apart or name different households, "
            "shops or times; fetch the file again"
        )
    in_order = summed.sort_by([("bought_at", "ascending"), ("basket_id", "ascending")])
    write_parquet(in_order, orders)
    unfinished.replace(lines)


def write_parquet(table: pa.Table, path: Path) -> None:
    """Writes a table in one step, so that there is never half a file."""
    unfinished = path.with_suffix(".partial")
    pq.write_table(table, unfinished, compression="zstd")
    unfinished.replace(path)


class _Numbering:
    """Numbers the lines of each basket from 1, over the borders of batches."""

    def __init__(self) -> None:
        self.n_baskets = 0
        self._last_basket: int | None = None
        self._last_number = 0

    def of(self, baskets: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pa.Array:
        begins = np.empty(len(baskets), bool)
        begins[0] = baskets[0] != self._last_basket
        begins[1:] = baskets[1:] != baskets[:-1]
        position = np.arange(len(baskets))
        begun_at = np.maximum.accumulate(np.where(begins, position, -self._last_number))
        # before the first new basket, the one of the batch before goes on
        numbers = position - begun_at + 1
        self.n_baskets += int(begins.sum())
        self._last_basket, self._last_number = int(baskets[-1]), int(numbers[-1])
        return pa.array(numbers)


def _cents(dollars: pa.Array) -> pa.Array:
    return pc.cast(pc.round(pc.multiply(dollars, 100.0)), pa.int64())
