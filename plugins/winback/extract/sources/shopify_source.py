"""Reads a table of a Shopify shop as record batches, page by page.

A page is taken whole or not at all, and a row that comes again is left out. Which tables there are
is `shopify_resources.py`, asking Shopify `shopify_client.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from winback.errors import SourceError
from winback.extract.mapping.cursor import CursorValue
from winback.extract.mapping.dataset import FeedMapping
from winback.extract.sources.shopify_client import ShopifyClient, TooCostly
from winback.extract.sources.shopify_resources import (
    RESOURCES,
    Resource,
    items_statement,
    page_statement,
    rows,
)
from winback.extract.sources.source_rows import refuse_missing_columns, with_position

log = logging.getLogger(__name__)

BATCH_ROWS = 5000


def read_shop(
    mapping: FeedMapping, since: CursorValue | None, *, is_sample: bool
) -> Iterator[pa.RecordBatch]:
    """Yields a table's rows as text: the columns the mapping reads, and a running number.

    Args:
        mapping: Names connection and table.
        since: Only what was changed then or later is asked for.
        is_sample: Every page is a batch, as the first ones are enough.

    Raises:
        SourceError: The shop can not be read to its end, or there is no such column.
    """
    resource = RESOURCES[str(mapping.shop)]
    columns = mapping.read_columns
    refuse_missing_columns(list(resource.types), mapping.source, mapping)
    schema = pa.schema([(name, pa.string()) for name in columns])
    most = 1 if is_sample else BATCH_ROWS
    first = 1
    waiting: list[dict[str, str | None]] = []
    with ShopifyClient(str(mapping.connection), mapping.source) as client:
        for page in _pages(client, mapping, resource, since):
            waiting += page
            if len(waiting) >= most:
                yield _batch(waiting, schema, first, mapping)
                first += len(waiting)
                waiting = []
    if waiting:
        yield _batch(waiting, schema, first, mapping)


def shop_columns(mapping: FeedMapping) -> dict[str, str]:
    """The columns of a table of a shop with their types."""
    return RESOURCES[str(mapping.shop)].types


def _batch(
    found: list[dict[str, str | None]], schema: pa.Schema, first: int, mapping: FeedMapping
) -> pa.RecordBatch:
    numbers = pa.array(np.arange(first, first + len(found)))
    batch = pa.RecordBatch.from_pylist(found, schema)
    return with_position(batch, schema.names, numbers, mapping.source)


def _pages(
    client: ShopifyClient, mapping: FeedMapping, resource: Resource, since: CursorValue | None
) -> Iterator[list[dict[str, str | None]]]:
    statement = page_statement(resource)
    variables: dict[str, Any] = {"first": resource.page_rows, "after": None, "query": None}
    if isinstance(since, datetime):
        # a fraction of a second is not understood; without it the point lies before
        variables["query"] = f"updated_at:>='{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}'"
    seen: set[str] = set()
    n_guests = 0
    while True:
        try:
            answer = client.ask(statement, variables)[resource.root]
        except TooCostly:
            if variables["first"] == 1:
                raise SourceError(
                    f"{mapping.source} can not be read: Shopify finds even one row too costly"
                ) from None
            variables["first"] //= 2
            continue
        page: list[dict[str, str | None]] = []
        for node in answer["nodes"]:
            if node["id"] in seen:
                continue
            seen.add(node["id"])
            if resource.is_of_customers and node["customer"] is None:
                n_guests += 1
                continue
            page += rows(resource, node, _items(client, resource, node))
        yield page
        if not answer["pageInfo"]["hasNextPage"]:
            break
        if answer["pageInfo"]["endCursor"] == variables["after"]:
            raise SourceError(
                f"{mapping.source} can not be read: Shopify gives the same page again and again; "
                "load again later"
            )
        variables["after"] = answer["pageInfo"]["endCursor"]
    if n_guests:
        log.info("%s: %d orders of guests were left out", mapping.source, n_guests)


def _items(
    client: ShopifyClient, resource: Resource, node: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
    if resource.items is None:
        return []
    if resource.items_are == "list":
        return list(node[resource.items])
    found = list(node[resource.items]["nodes"])
    page = node[resource.items]["pageInfo"]
    while page["hasNextPage"]:
        variables = {"id": node["id"], "after": page["endCursor"]}
        order = client.ask(items_statement(resource), variables)["order"]
        if order is None:
            # deleted since its first items came
            break
        found += order[resource.items]["nodes"]
        page = order[resource.items]["pageInfo"]
    return found
