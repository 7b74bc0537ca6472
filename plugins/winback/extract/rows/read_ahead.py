"""Lets one step of a pipeline work in a thread of its own while the next one works as well."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

Item = TypeVar("Item")


class _End:
    """Says that nothing follows, and why when something went wrong."""

    def __init__(self, failure: BaseException | None) -> None:
        self.failure = failure


def read_ahead(items: Iterator[Item], n_ahead: int) -> Generator[Item, None, None]:
    """Yields the items, the next ones being made meanwhile.

    Whoever stops taking them must close the generator (as the end of its last reference does): the
    thread then ends after the item that it is making.

    Args:
        items: Made in a thread of their own.
        n_ahead: How many may wait to be taken.

    Raises:
        BaseException: Whatever making an item raises.
    """
    made: queue.Queue[Item | _End] = queue.Queue(n_ahead)
    is_wanted = threading.Event()
    is_wanted.set()

    def put(item: Item | _End) -> None:
        while is_wanted.is_set():
            try:
                made.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def make() -> None:
        failure: BaseException | None = None
        try:
            for item in items:
                put(item)
                if not is_wanted.is_set():
                    return
        except BaseException as error:
            failure = error
        finally:
            put(_End(failure))

    thread = threading.Thread(target=make, name="read ahead")
    thread.start()
    try:
        while not isinstance(item := made.get(), _End):
            yield item
    finally:
        is_wanted.clear()
        thread.join()
    if item.failure is not None:
        raise item.failure
