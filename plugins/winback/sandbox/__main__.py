"""`python -m winback.sandbox`: runs the sandbox on 127.0.0.1 until it is told to stop."""

from __future__ import annotations

import argparse
import logging
import sys
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

from winback.errors import ServerError, WinbackError
from winback.sandbox.app import create_app
from winback.sandbox.serving import make_server
from winback.sandbox.simulation import Rates


def main(arguments: list[str] | None = None) -> int:
    """Runs the sandbox.

    Args:
        arguments: The command line; the process's own when left out.

    Returns:
        The exit code: 0 after a normal end, 1 when it could not start.
    """
    given = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    try:
        app = create_app(
            data=given.data,
            private_key_pem=_read(given.private_key),
            api_key=_read(given.api_key_file).decode().strip(),
            webhook_url=given.webhook_url,
            rates=Rates(**{rate.name: getattr(given, rate.name) for rate in fields(Rates)}),
            event_delay_seconds=given.event_delay_seconds,
        )
    except WinbackError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    server = make_server(app, given.port)
    # uvicorn has ended in good order by the time it passes Ctrl-C on
    with suppress(KeyboardInterrupt):
        server.run()
    return 0 if server.started else 1


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ServerError(f"the sandbox can not read {path}: {error.strerror}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m winback.sandbox",
        description="A local stand-in for the mail provider. Nothing it takes leaves this machine.",
    )
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--private-key", type=Path, required=True, help="PEM file that signs the events"
    )
    parser.add_argument(
        "--api-key-file", type=Path, required=True, help="file with the key that may send"
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of sandbox.sqlite")
    parser.add_argument("--webhook-url", required=True, help="where the events are posted")
    parser.add_argument(
        "--event-delay-seconds", type=float, default=0.0, help="how long a message waits for them"
    )
    for rate in fields(Rates):
        parser.add_argument(
            f"--{rate.name.replace('_', '-')}",
            type=float,
            default=rate.default,
            help=f"share of the recipients in per cent (default {rate.default})",
        )
    return parser


if __name__ == "__main__":
    sys.exit(main())
