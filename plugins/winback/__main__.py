"""`python -m winback`, which is what ./winback hands over to.

Turns an error into one line and an exit code: 1 for what winback says on purpose, 2 for a
defect, 130 for Ctrl-C. The traceback goes to `logs/winback.log` of the data folder.
"""

from __future__ import annotations

import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

from winback.errors import WinbackError


def main() -> int:
    """Runs the command line and gives the exit code."""
    from winback.cli import app

    try:
        app(prog_name="./winback")
    except SystemExit as end:
        if isinstance(end.code, str):
            _complain(end.code)
            return 1
        return end.code or 0
    except KeyboardInterrupt:
        return 130
    except WinbackError as error:
        _write_down()
        _complain(" ".join(str(error).split()))
        return 1
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        _complain(
            f"winback itself failed ({type(error).__name__}: {said}): "
            f"the traceback is in {_write_down()}"
        )
        return 2
    return 0


def _complain(message: str) -> None:
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True, soft_wrap=True).print(Text(message, "red"))


def _write_down() -> Path:
    """Adds the current traceback to the log and gives the log's path."""
    log = _log_file()
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            # the arguments may hold a query with people in it, the command's name does not
            file.write(f"{datetime.now(UTC).isoformat()} {' '.join(sys.argv[1:2])}\n")
            file.write(traceback.format_exc())
    except OSError:
        sys.stderr.write(traceback.format_exc())
    return log


def _log_file() -> Path:
    from winback.settings import PROJECT, settings

    try:
        home = settings().home
    except WinbackError:  # a wrong setting is what we may be complaining of
        home = PROJECT / ".winback"
    return home / "logs" / "winback.log"


if __name__ == "__main__":
    sys.exit(main())
