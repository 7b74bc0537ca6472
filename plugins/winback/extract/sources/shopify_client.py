"""Asks Shopify's Admin API (GraphQL): one answer whole, or an error that says what to mend.

Waits where Shopify asks for it, and asks again after a failure that may pass. What is asked for is
`shopify_resources.py`, going from page to page `shopify_source.py`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx

from winback.errors import SourceError
from winback.extract.sources.source_connection import airflow_connection

log = logging.getLogger(__name__)

# Shopify serves each version for a year, then its oldest one under the same name
API_VERSION = "2026-10"
CONNECT_SECONDS, ANSWER_SECONDS = 10, 60
ATTEMPTS = 5
FIRST_PAUSE_SECONDS = 1.0
# of the waits that Shopify asks for, in a row
MOST_WAITS = 30
MOST_WAIT_SECONDS = 60.0
THIS_MACHINE = ("127.0.0.1", "localhost", "::1")
REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class TooCostly(Exception):
    """Shopify will not answer so much at once."""


@dataclass(frozen=True)
class _Again:
    """Why an answer is asked for again, and after how long when Shopify says so."""

    reason: str
    wait_seconds: float | None = None


class ShopifyClient:
    """A shop, through its Airflow connection; close it with `with`."""

    def __init__(self, conn_id: str, place: str) -> None:
        """Looks up the connection; nothing is asked yet.

        Args:
            conn_id: Of type http: host, and as password the Admin API access token.
            place: What is read, for messages.

        Raises:
            SourceError: There is no such connection, or it lacks something.
        """
        connection = airflow_connection(conn_id, "http")
        self._mend = f"check the Airflow connection {conn_id!r}"
        self._place = place
        if connection.conn_type not in ("http", "https"):
            raise SourceError(
                f"the Airflow connection {conn_id!r} is of type {connection.conn_type!r}, and a "
                "Shopify shop is read through one of type http"
            )
        host = str(connection.host or "").partition("://")[2] or str(connection.host or "")
        if not host or not connection.password:
            raise SourceError(
                f"the Airflow connection {conn_id!r} needs the shop as host, such as "
                "my-shop.myshopify.com, and its Admin API access token as password"
            )
        scheme = connection.schema or "https"
        if scheme != "https" and host not in THIS_MACHINE:
            raise SourceError(
                f"the Airflow connection {conn_id!r} would send the access token unencrypted: leave"
                " out its schema, or write https"
            )
        port = f":{connection.port}" if connection.port else ""
        version = connection.extra_dejson.get("api_version", API_VERSION)
        self._url = f"{scheme}://{host.rstrip('/')}{port}/admin/api/{version}/graphql.json"
        self._http = httpx.Client(
            headers={"X-Shopify-Access-Token": connection.password},
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
        )

    def __enter__(self) -> ShopifyClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def ask(self, statement: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The answer's data, whole.

        Args:
            statement: In GraphQL.
            variables: Of the statement.

        Raises:
            TooCostly: It must be asked for in smaller pages.
            SourceError: The login may not read it, or Shopify does not answer for good.
        """
        n_failures = n_waits = 0
        pause = FIRST_PAUSE_SECONDS
        while True:
            answer = self._ask_once(statement, variables)
            if not isinstance(answer, _Again):
                return answer
            if answer.wait_seconds is not None:
                n_waits += 1
                seconds = min(answer.wait_seconds, MOST_WAIT_SECONDS)
            else:
                n_failures += 1
                seconds, pause = pause, pause * 2
            if n_failures == ATTEMPTS or n_waits > MOST_WAITS:
                raise SourceError(
                    f"{self._place} can not be read ({answer.reason}, asked {n_failures + n_waits} "
                    f"times): {self._mend}, or load again later"
                )
            log.info("%s: %s; asking again in %.1f s", self._place, answer.reason, seconds)
            time.sleep(seconds)

    def _ask_once(self, statement: str, variables: Mapping[str, Any]) -> dict[str, Any] | _Again:
        try:
            response = self._http.post(
                self._url, json={"query": statement, "variables": dict(variables)}
            )
        except httpx.TransportError as error:
            return _Again(f"{type(error).__name__}: {error}")
        status = response.status_code
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            return _Again("throttled with status 429", _retry_after(response))
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return _Again(f"status {status}")
        if status in REFUSED:
            raise SourceError(
                f"{self._place} can not be read (status {status}): {self._mend}; its password is "
                "the Admin API access token of an app that is installed in the shop"
            )
        if status != HTTPStatus.OK:
            raise SourceError(
                f"{self._place} can not be read (status {status}): {self._mend}; its host is the "
                "shop's own name such as my-shop.myshopify.com, and the shop must be open"
            )
        try:
            body = response.json()
        except ValueError:
            return _Again("half an answer")
        return self._judged(body)

    def _judged(self, body: Any) -> dict[str, Any] | _Again:
        if not isinstance(body, dict) or not (
            "errors" in body or isinstance(body.get("data"), dict)
        ):
            return _Again("half an answer")
        errors = body.get("errors")
        if not errors:
            return dict(body["data"])
        listed = isinstance(errors, list) and isinstance(errors[0], dict)
        first = errors[0] if listed else {"message": errors}
        code = first.get("extensions", {}).get("code", "")
        if code == "THROTTLED":
            return _Again("throttled", _until_restored(body))
        if code == "MAX_COST_EXCEEDED":
            raise TooCostly
        if code == "INTERNAL_SERVER_ERROR":
            return _Again("an error within Shopify")
        message = " ".join(str(first.get("message")).split())[:300]
        raise SourceError(
            f"{self._place} can not be read ({code or 'refused'}: {message}): give the app the "
            f"scopes read_orders, read_all_orders, read_customers and read_products, and "
            f"{self._mend}"
        )


def _retry_after(response: httpx.Response) -> float:
    try:
        return max(float(response.headers.get("Retry-After", "")), 0.1)
    except ValueError:
        return FIRST_PAUSE_SECONDS * 2


def _until_restored(body: Mapping[str, Any]) -> float:
    """How long it takes until Shopify will pay for the answer, in seconds."""
    cost = body.get("extensions", {}).get("cost", {})
    status = cost.get("throttleStatus", {})
    lacking = float(cost.get("requestedQueryCost", 0)) - float(status.get("currentlyAvailable", 0))
    rate = float(status.get("restoreRate", 0))
    return max(lacking / rate, 0.1) if rate > 0 else FIRST_PAUSE_SECONDS * 2
