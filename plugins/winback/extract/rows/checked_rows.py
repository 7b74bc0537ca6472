"""Reads and checks a source in a thread of its own, while the rows before are already loaded.

What passes comes out as one Arrow stream, in bounded memory; what does not is spooled to a nameless
file until the stream is loaded. Judging rows is `validation.py`, loading them `load.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc

from winback.extract.mapping.cursor import CursorValue
from winback.extract.mapping.dataset import FeedMapping
from winback.extract.rows.known_hashes import KnownHashes
from winback.extract.rows.read_ahead import read_ahead
from winback.extract.rows.rejected_rows import Rejected
from winback.extract.rows.validation import Checked, check
from winback.extract.sources.cursor_filter import cursor_values
from winback.extract.sources.reading import read_source
from winback.extract.sources.source_rows import ROW_NUMBER, SOURCE, BrokenRow, BrokenRows
from winback.privacy.keyed_hash import keyed_hash

REJECTED = pa.schema(
    [
        (SOURCE, pa.string()),
        (ROW_NUMBER, pa.int64()),
        ("reasons", pa.string()),
        ("content", pa.string()),
        ("key", pa.string()),
        ("customer_key", pa.string()),
    ]
)
REASON_SEPARATOR = "\x1f"
BATCHES_AHEAD = 3


class CheckedRows:
    """One pass over a source. Take `passed` to its end, then `rejected`; then the counts stand.

    Attributes:
        n_received: Rows that the source gave and that are known.
        n_read: Rows that the source gave.
        is_whole: Whether the whole source is read.
        newest_event_at: The newest event among those that pass.
        cursor_until: The largest value of the cursor that was seen.
    """

    def __init__(
        self,
        mapping: FeedMapping,
        dataset: str,
        business_timezone: str,
        known_until: datetime | None,
        since: CursorValue | None,
        spool: IO[bytes],
    ) -> None:
        """Prepares the pass; nothing is read yet.

        Args:
            mapping: Where the feed comes from.
            dataset: Part of every customer key.
            business_timezone: Zone of times without an offset.
            known_until: Rows from this instant on are left out; None takes everything.
            since: Where an increment begins; None reads the whole source.
            spool: An open file for the rows that may not pass.
        """
        self.n_received = self.n_read = 0
        self.newest_event_at: datetime | None = None
        self.cursor_until: CursorValue | None = None
        self._mapping, self._dataset, self._timezone = mapping, dataset, business_timezone
        self._known_until, self._since = known_until, since
        self.is_whole = since is None
        # a time in the future would hide every row that is changed until then
        self._latest_cursor = datetime.now(UTC) + timedelta(days=1)
        self._hashes: dict[str, KnownHashes] = {}
        self._spool = spool
        self._failure: BaseException | None = None

    def passed(
        self, schema: pa.Schema, shape: Callable[[pa.RecordBatch], pa.RecordBatch]
    ) -> pa.RecordBatchReader:
        """The stream of rows that pass.

        Args:
            schema: Of the batches that `shape` makes.
            shape: Brings a checked batch into the columns that are loaded.
        """
        return pa.RecordBatchReader.from_batches(schema, self._batches(shape))

    def rejected(self) -> pa.RecordBatchReader:
        """The stream of rows that may not pass, columns as in `REJECTED`."""
        self._spool.seek(0)
        return pa.ipc.open_stream(self._spool)

    def raise_failure(self) -> None:
        """Raises what went wrong while reading; whoever takes the stream only learns that it broke.

        Raises:
            SourceError: The source can not be read.
        """
        if self._failure is not None:
            raise self._failure

    def _batches(
        self, shape: Callable[[pa.RecordBatch], pa.RecordBatch]
    ) -> Iterator[pa.RecordBatch]:
        try:
            for batch in read_ahead(self._checked(), BATCHES_AHEAD):
                yield shape(batch)
        except BaseException as error:
            self._failure = error
            raise

    def _checked(self) -> Iterator[pa.RecordBatch]:
        broken = BrokenRows()
        batches = read_source(self._mapping, broken, self._since)
        if self._mapping.kind != "file":
            # a server sends the next rows while these are checked
            batches = read_ahead(batches, BATCHES_AHEAD)
        # a failure is kept with all that it was raised from, and the source would stay open with it
        with pa.ipc.new_stream(self._spool, REJECTED) as spool, closing(batches):
            for batch in batches:
                self.n_read += batch.num_rows
                self._note_cursor(batch)
                checked = check(
                    batch,
                    self._mapping,
                    self._dataset,
                    self._timezone,
                    self._known_until,
                    self._hashes,
                )
                self.n_received += batch.num_rows - checked.n_not_yet
                self._set_aside(checked.rejected, spool)
                self._set_aside_broken(broken, spool)
                self._note_newest(checked)
                if checked.passed.num_rows:
                    yield checked.passed
            self._set_aside_broken(broken, spool)

    def _set_aside_broken(self, broken: BrokenRows, spool: pa.RecordBatchWriter) -> None:
        # with a derived feed they are quarantined with the feed it is derived from
        if not self._mapping.derive_from:
            self.n_received += len(broken.rows)
            self._set_aside(list(map(_split_wrongly, broken.rows)), spool)
        broken.rows.clear()

    def _set_aside(self, rejected: list[Rejected], spool: pa.RecordBatchWriter) -> None:
        if not rejected:
            return
        spool.write_batch(
            pa.record_batch(
                [
                    pa.array([r.source for r in rejected], pa.string()),
                    pa.array([r.row_number for r in rejected], pa.int64()),
                    pa.array([REASON_SEPARATOR.join(r.reasons) for r in rejected], pa.string()),
                    pa.array([r.content for r in rejected], pa.string()),
                    pa.array([r.key for r in rejected], pa.string()),
                    pa.array([r.customer_key for r in rejected], pa.string()),
                ],
                schema=REJECTED,
            )
        )

    def _note_newest(self, checked: Checked) -> None:
        newest = pc.max(checked.passed.column(self._mapping.feed.event_time)).as_py()
        if newest is not None and (self.newest_event_at is None or newest > self.newest_event_at):
            self.newest_event_at = newest

    def _note_cursor(self, batch: pa.RecordBatch) -> None:
        cursor = self._mapping.cursor
        if cursor is None:
            return
        values = cursor_values(batch, cursor, self._timezone)
        if cursor.kind == "time":
            values = values.filter(pc.less(values, self._latest_cursor))
        largest = pc.max(values).as_py()
        if largest is not None and (self.cursor_until is None or largest > self.cursor_until):
            self.cursor_until = largest


def _split_wrongly(row: BrokenRow) -> Rejected:
    # which of its values are personal can not be told
    return Rejected(
        source=row.source,
        row_number=row.row_number,
        reasons=["the row does not have as many columns as the header"],
        content=f'{{"row": "{keyed_hash("row", row.text)}"}}',
        key=None,
        customer_key=None,
    )
