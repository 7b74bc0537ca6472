"""One connection to the warehouse for the many short transactions of a worker.

Opening one takes as long as a third of all that a batch asks of the ledger. What is asked stands
in `ledger.py` and `last_check.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg

from winback.warehouse import connection as warehouse


class KeptConnection:
    """Opens at the first transaction, and anew when the server ended it between two."""

    def __init__(self, role: str) -> None:
        self._role = role
        self._opened = ExitStack()
        self._connection: psycopg.Connection | None = None

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection]:
        """A transaction: committed when the block ends, rolled back when it raises.

        Raises:
            ServerError: The server does not answer.
        """
        connection = self._alive()
        with connection.transaction():
            yield connection

    def close(self) -> None:
        """Ends the connection."""
        self._connection = None
        self._opened.close()

    def _alive(self) -> psycopg.Connection:
        if self._connection is not None:
            try:
                self._connection.execute("select 1")
            except psycopg.OperationalError:
                self.close()
        if self._connection is None:
            self._connection = self._opened.enter_context(
                warehouse.connect(self._role, autocommit=True)
            )
        return self._connection
