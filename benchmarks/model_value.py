"""The part of `./winback bench model` about customers' value: BG/NBD against the package lifetimes.

A million customers in whole days: ours compresses, fits and scores each of them, lifetimes fits and
scores one row per customer, or the distinct histories with their numbers. Each in a process of its
own, for its peak memory; imports and reading the customers are not measured.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks.measuring import Result, pairs
from benchmarks.model_customers import World, make_up
from winback.errors import WinbackError
from winback.model.purchase_history import compress
from winback.settings import PROJECT
from winback.terminal import line

CUSTOMERS = 1_000_000
SEED = 1
# times faster
AT_LEAST = {"bgnbd_vs_lifetimes_unweighted": 30.0, "bgnbd_vs_lifetimes_weighted": 3.0}
LIMITS = {"bgnbd_peak_mib": 500.0, "bgnbd_log_likelihood_difference": 1e-3}
# of a mean over customers
SAME_SCORE = 1e-4


def measure(scale: float, result: Result) -> None:
    """Measures, and adds what it finds to the result.

    Args:
        scale: Of the million customers.
        result: Gets ratios (times faster, medians of pairs), figures and limits.

    Raises:
        WinbackError: lifetimes is not installed.
        RuntimeError: The two sides do not say the same of the customers.
    """
    if find_spec("lifetimes") is None:
        raise WinbackError(
            "this measures against the package lifetimes, which comes with the tests:"
            " run ./winback test --version once"
        )
    n_customers = max(1, int(CUSTOMERS * scale))
    line(f"  making up {n_customers:,} customers")
    with tempfile.TemporaryDirectory(prefix="winback-bench-") as folder:
        each, distinct = Path(folder) / "each.npz", Path(folder) / "distinct.npz"
        n_distinct = _write(n_customers, each, distinct)
        told: dict[str, dict[str, float]] = {}

        def seconds_of(name: str, module: str, customers: Path) -> float:
            found = _run(module, customers)
            peak = max(found["peak_mib"], told.get(name, found)["peak_mib"])
            told[name] = found | {"peak_mib": peak}
            return found["seconds"]

        for name, customers in (("unweighted", each), ("weighted", distinct)):
            ratio, seconds, floor_seconds = pairs(
                f"BG/NBD, lifetimes {name}",
                lambda: seconds_of("ours", "model_value_ours", each),
                lambda of=name, path=customers: seconds_of(of, "model_value_floor", path),
            )
            # the median of an odd number of ratios, turned over
            result.ratios[f"bgnbd_vs_lifetimes_{name}"] = 1 / ratio
            result.figures |= {f"bgnbd_{name}_s": seconds, f"lifetimes_{name}_s": floor_seconds}
    difference = _difference(told)
    line(f"  log-likelihoods, summed over all customers, differ by {difference:.1e}")
    result.at_least |= AT_LEAST
    result.limits |= LIMITS
    result.figures |= {
        "bgnbd_peak_mib": told["ours"]["peak_mib"],
        "lifetimes_unweighted_peak_mib": told["unweighted"]["peak_mib"],
        "lifetimes_weighted_peak_mib": told["weighted"]["peak_mib"],
        "bgnbd_customers": n_customers,
        "bgnbd_distinct_histories": n_distinct,
        "bgnbd_log_likelihood_difference": difference,
    }


def _write(n_customers: int, each: Path, distinct: Path) -> int:
    """Writes the customers, and their distinct histories; gives how many of these there are."""
    made_up = make_up(n_customers, World(), SEED, whole_days=True)
    recency = made_up.recency.astype(np.int64)
    np.savez(
        each, frequency=made_up.frequency, recency=recency, age=made_up.age,
        weight=np.ones(n_customers, np.int64),
    )  # fmt: skip
    histories = compress(made_up.frequency, recency, made_up.age)
    np.savez(
        distinct,
        **{
            name: getattr(histories, name).astype(np.int64)
            for name in ("frequency", "recency", "age", "weight")
        },
    )
    return len(histories.age)


def _difference(told: dict[str, dict[str, float]]) -> float:
    """The largest difference of log-likelihoods, summed over all customers, to ours."""
    ours = told["ours"]
    for name, floor in told.items():
        for score in ("mean_to_come", "mean_alive"):
            if abs(floor[score] / ours[score] - 1) > SAME_SCORE:
                raise RuntimeError(
                    f"{score}: ours {ours[score]}, lifetimes {name} {floor[score]}: not the same"
                )
    return max(abs(floor["log_likelihood"] - ours["log_likelihood"]) for floor in told.values())


def _run(module: str, customers: Path) -> dict[str, float]:
    python_path = f"{PROJECT / 'plugins'}:{PROJECT}"
    done = subprocess.run(
        ["env", f"PYTHONPATH={python_path}",
         sys.executable, "-W", "ignore", "-m", f"benchmarks.{module}", str(customers)],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    told: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return told
