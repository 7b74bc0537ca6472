"""`./winback test` and `./winback bench`: what whoever changes winback runs.

Only wiring; the tests lie in `tests/`, the benchmarks in `benchmarks/`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from winback.errors import WinbackError


def test(context: typer.Context) -> None:
    """Run the tests. Anything that follows goes to pytest. All of them run side by side, a file in
    one process each; those you name run one after the other.

    The faults are struck a few times with all the others; `test faults` does it at length, for some
    minutes: workers killed fifty times at every step, 100,000 recipients.

    Examples:

        ./winback test

        ./winback test tests/unit -k gate

        ./winback test faults
    """
    from winback.settings import PROJECT

    os.chdir(PROJECT)
    command = [sys.executable, "-m", "pytest", *pytest_arguments(context.args)]
    os.execv(sys.executable, command)  # noqa: S606


def pytest_arguments(given: Sequence[str]) -> list[str]:
    """What pytest is told for what stood behind `./winback test`."""
    if given and given[0] == "faults":
        return ["tests/faults", "--long-faults", "--verbose", *given[1:]]
    are_all = all(argument.startswith("-") for argument in given)
    side_by_side = ["-n", "logical", "--maxprocesses=4", "--dist=loadfile"] if are_all else []
    return [*side_by_side, *given]


def bench(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which: extract, model or outreach.")],
    scale: Annotated[
        float, typer.Option(help="Part of the full size, such as 0.05 for a quick look.")
    ] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Measure a step against the least it could cost, in the same run on the same machine, and
    print the ratios. Exit code 1 when one is beyond what is allowed.

    Starts a database server of its own where it takes one; needs up to some gigabytes of disk and
    minutes of time.

    Example:

        ./winback bench extract --scale 0.05
    """
    from importlib import import_module

    from benchmarks import BENCHMARKS
    from benchmarks.measuring import tell

    if name not in BENCHMARKS:
        raise WinbackError(f"there is no benchmark {name!r}: write one of {', '.join(BENCHMARKS)}")
    result = import_module(f"benchmarks.{name}").run(scale)
    tell(result, as_json=as_json)
    if result.exceeded():
        raise typer.Exit(1)
