"""What a benchmark makes of its figures: what is out of bounds, and how it is told."""

from __future__ import annotations

import inspect
import json
from importlib import import_module

import pytest

from benchmarks import BENCHMARKS
from benchmarks.measuring import Result, pairs, tell
from winback import developer_cli


def result(ratio: float, faster: float) -> Result:
    return Result(
        "some", {"ratio": ratio, "faster": faster}, {"n": 5.0}, {"ratio": 1.5}, {"faster": 30.0}
    )


@pytest.mark.parametrize(
    ("ratio", "faster", "names"),
    [
        (1.5, 30.0, []),
        (1.51, 30.0, ["ratio"]),
        (1.5, 29.9, ["faster"]),
        (9.0, 1.0, ["ratio", "faster"]),
    ],
)
def test_too_much_and_too_little_are_named(ratio: float, faster: float, names: list[str]) -> None:
    assert result(ratio, faster).exceeded() == names


def test_what_was_not_measured_did_not_reach_its_least() -> None:
    assert Result("some", at_least={"faster": 30.0}).exceeded() == ["faster"]


def test_both_kinds_of_bounds_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    tell(result(1.2, 41.0), as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["limits"] == {"ratio": 1.5}
    assert told["at_least"] == {"faster": 30.0}
    assert told["ratios"] == {"ratio": 1.2, "faster": 41.0}
    tell(result(1.2, 41.0), as_json=False)
    text = capsys.readouterr().out
    assert "at most 1.5" in text
    assert "at least 30" in text


def test_pairs_take_turns_and_give_medians() -> None:
    order: list[str] = []
    seconds = iter([2.0, 9.0, 4.0])

    def ours() -> float:
        order.append("ours")
        return next(seconds)

    def floor() -> float:
        order.append("floor")
        return 2.0

    assert pairs("some", ours, floor) == (2.0, 4.0, 2.0)
    assert order == ["ours", "floor", "floor", "ours", "ours", "floor"]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_can_be_run_and_is_named_in_the_help(name: str) -> None:
    assert list(inspect.signature(import_module(f"benchmarks.{name}").run).parameters) == ["scale"]
    assert name in inspect.getsource(developer_cli.bench)
