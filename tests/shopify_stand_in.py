"""A stand-in for Shopify's Admin API on this machine: pages, limits, and faults to order.

It understands as much GraphQL as is needed to answer with what was asked for and nothing else; a
field that it does not know is an error, as with Shopify.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "shpat_secret"
PATH = "/admin/api/2026-10/graphql.json"
LEXEME = re.compile(r'[{}():,$!]|[\w.]+|"[^"]*"')


@dataclass
class Shop:
    """What the shop holds, which faults come next, and what was asked of it.

    Attributes:
        port: Where it listens.
        orders: Whole orders as Shopify has them; so `customers`, `products`.
        faults: One for each request to come; `""` for none. Faults: `429`, `throttled`, `500`,
            `401`, `denied`, `reset`, `cut`, `half`, `repeat`.
        asked: Per request the fault that it met and its variables.
        most_cost: What one answer may cost: one for each row and each item of it.
    """

    port: int = 0
    orders: list[dict[str, Any]] = field(default_factory=list)
    customers: list[dict[str, Any]] = field(default_factory=list)
    products: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    most_cost: int = 1000

    def answer(self, statement: str, variables: dict[str, Any], *, repeat: bool) -> dict[str, Any]:
        """The body of an answer."""
        words = LEXEME.findall(statement)
        if words[0] == "query":
            words = words[words.index("{") :]
        try:
            data = self._select(self, _parse(words), variables, repeat)
        except KeyError as error:
            return {"errors": [{"message": f"Field {error} doesn't exist on this type"}]}
        except OverflowError as error:
            code = {"code": "MAX_COST_EXCEEDED"}
            return {"errors": [{"message": f"Query cost is {error}", "extensions": code}]}
        return {"data": data}

    def _select(self, thing: Any, tree: dict[str, Any], variables: Any, repeat: bool) -> Any:
        if isinstance(thing, list):
            return [self._select(each, tree, variables, repeat) for each in thing]
        if thing is None or not tree:
            assert not isinstance(thing, dict | list), "an object needs a selection"
            return thing
        found = {}
        for name, (arguments, below) in tree.items():
            given = {
                key: variables.get(v[1:]) if v[0] == "$" else v for key, v in arguments.items()
            }
            if isinstance(thing, Shop) and name == "order":
                value: Any = next((o for o in self.orders if o["id"] == given["id"]), None)
            else:
                value = getattr(thing, name) if isinstance(thing, Shop) else thing[name]
            if "nodes" in below:
                cost = int(given["first"]) * (1 + _first_below(below))
                if cost > self.most_cost:
                    raise OverflowError(cost)
                value = _page(value, given, repeat)
            found[name] = self._select(value, below, variables, False)
        return found


def _first_below(tree: dict[str, Any]) -> int:
    inner = tree["nodes"][1]
    return sum(int(arguments.get("first", 0)) for arguments, _ in inner.values())


def _page(things: list[dict[str, Any]], given: dict[str, Any], repeat: bool) -> dict[str, Any]:
    if given.get("sortKey"):
        assert given["sortKey"] == "ID"
        things = sorted(things, key=lambda each: int(each["legacyResourceId"]))
    if given.get("query"):
        since = re.fullmatch(r"updated_at:>='(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)'", given["query"])
        assert since, given["query"]
        things = [each for each in things if each["updatedAt"] >= since[1]]
    begin = int(given.get("after") or 0)
    end = begin + int(given["first"])
    return {
        "nodes": things[max(begin - repeat, 0) : end],
        "pageInfo": {"hasNextPage": end < len(things), "endCursor": str(end)},
    }


def _parse(words: list[str]) -> dict[str, Any]:
    """A selection between braces: per field its arguments and what is selected below it."""
    assert words.pop(0) == "{"
    tree: dict[str, Any] = {}
    while words[0] != "}":
        name, arguments = words.pop(0), {}
        if words[0] == "(":
            words.pop(0)
            while words[0] != ")":
                key = words.pop(0)
                assert words.pop(0) == ":"
                value = words.pop(0)
                arguments[key] = f"${words.pop(0)}" if value == "$" else value
                if words[0] == ",":
                    words.pop(0)
            words.pop(0)
        tree[name] = (arguments, _parse(words) if words[0] == "{" else {})
    words.pop(0)
    return tree


class _Handler(BaseHTTPRequestHandler):
    shop: Shop
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        fault = self.shop.faults.pop(0) if self.shop.faults else ""
        self.shop.asked.append((fault, asked["variables"]))
        if self.headers["X-Shopify-Access-Token"] != TOKEN or fault == "401":
            self._send(401, b'{"errors": "[API] Invalid API key or access token"}')
        elif self.path != PATH:
            self._send(404, b'{"errors": "Not Found"}')
        elif fault == "429":
            self._send(429, b'{"errors": "Too many"}', {"Retry-After": "0.6"})
        elif fault == "500":
            self._send(502, b"<html>Something went wrong</html>")
        elif fault == "reset":
            now = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
            self.connection.close()
            self.close_connection = True
        else:
            self._answer(fault, asked)

    def _answer(self, fault: str, asked: dict[str, Any]) -> None:
        body = self.shop.answer(asked["query"], asked["variables"], repeat=fault == "repeat")
        if fault == "throttled":
            status = {"maximumAvailable": 1000, "currentlyAvailable": 40, "restoreRate": 100}
            cost = {"requestedQueryCost": 100, "throttleStatus": status}
            throttled = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}
            body = {"errors": [throttled], "extensions": {"cost": cost}}
        elif fault == "denied":
            denied = {"message": "Access denied for orders field.", "path": ["orders"]}
            body = {"errors": [denied | {"extensions": {"code": "ACCESS_DENIED"}}], "data": None}
        content = json.dumps(body).encode()
        if fault == "half":
            content = content[: len(content) // 2]
        if fault == "cut":
            self._send(200, content[: len(content) // 2], {"Content-Length": str(len(content))})
            self.close_connection = True
        else:
            self._send(200, content)

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@contextmanager
def shopify() -> Iterator[Shop]:
    """A shop without anything in it, until the block ends."""
    shop = Shop()
    handler = type("Handler", (_Handler,), {"shop": shop})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    shop.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield shop
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
