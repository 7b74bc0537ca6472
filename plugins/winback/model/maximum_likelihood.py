"""The search for the most likely parameters of a value model, within bounds and past ridges.

What is likely is said by the models themselves, `bg_nbd` and `gamma_gamma`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from winback.model.purchase_history import Floats

# of the mean over customers
TOLERANCE = 1e-14
STEEPEST = 1e-5
MOST_ITERATIONS = 500
# in log-parameters, for differences of slopes
STEP = 1e-4

# gives the log-likelihood, summed over customers, and its gradient at the logs of the parameters
LogLikelihood = Callable[[Floats], tuple[float, Floats]]


@dataclass(frozen=True)
class Parameter:
    """What a positive parameter may be.

    Between `low` and `high` nothing is penalised, so that what the data tell stands as it is.
    Beyond them the square of the log distance is taken off the total log-likelihood: it outweighs
    a likelihood that hardly changes along a ridge, and is nothing against what a thousand customers
    tell.

    Attributes:
        name: As reports call it.
        lowest: The least it may be.
        low: The least that costs nothing.
        high: The most that costs nothing.
        highest: The most it may be.
    """

    name: str
    lowest: float
    low: float
    high: float
    highest: float


@dataclass(frozen=True)
class Optimum:
    """Where the search ended.

    Attributes:
        parameters: In the order they were given in.
        log_likelihood: There, summed over customers, without the penalty.
        is_converged: Whether no slope is left, or only slopes that lead over a bound.
        is_on_ridge: Whether a parameter lies where the penalty acts: the data may leave it open.
        n_iterations: Of all searches in all of the likelihood.
        message: How it ended.
    """

    parameters: tuple[float, ...]
    log_likelihood: float
    is_converged: bool
    is_on_ridge: bool
    n_iterations: int
    message: str


def maximise(
    likelihood: LogLikelihood,
    n_customers: float,
    parameters: Sequence[Parameter],
    starts: Sequence[Sequence[float]],
    sample: tuple[LogLikelihood, float] | None = None,
) -> Optimum:
    """The most likely parameters, penalised as `Parameter` says.

    Args:
        likelihood: Of all customers.
        n_customers: How many these are.
        parameters: What they may be.
        starts: Values to start from, one set after the other until a search converges.
        sample: The likelihood of some of the customers, and how many these are. Its optimum and
            curvature leave the whole likelihood four or five steps instead of some twenty-five.
    """
    every = _Objective(likelihood, n_customers, parameters)
    tried = []
    if sample is not None:
        some = _Objective(*sample, parameters)
        tried += _refine(every, some, _search(some, starts))
    if not tried or not tried[0].is_converged:
        tried.append(_search(every, starts))
    best = min(tried, key=lambda each: each.value)
    distances = every.beyond(best.place)
    held = [
        f"{each.name} lies {'above' if distance > 0 else 'below'} "
        f"{each.high if distance > 0 else each.low:g}"
        for each, distance in zip(parameters, distances, strict=True)
        if distance
    ]
    message = "converged" if best.is_converged else f"not converged: a slope of {best.steepest:.1g}"
    if held:
        message += f"; the data may leave open how far {' and '.join(held)}: a penalty acts there"
    return Optimum(
        parameters=tuple(float(each) for each in np.exp(best.place)),
        log_likelihood=float((distances * distances).sum()) - best.value * n_customers,
        is_converged=best.is_converged,
        is_on_ridge=bool(held),
        n_iterations=sum(each.n_iterations for each in tried),
        message=message,
    )


class _Objective:
    """What is minimised: the negative mean of the penalised log-likelihood, at log-parameters."""

    def __init__(
        self, likelihood: LogLikelihood, n_customers: float, parameters: Sequence[Parameter]
    ) -> None:
        self._likelihood, self._n = likelihood, n_customers
        self.lowest, self._low, self._high, self.highest = np.log(
            [[each.lowest, each.low, each.high, each.highest] for each in parameters]
        ).T

    def beyond(self, place: Floats) -> Floats:
        """How far each parameter lies outside what costs nothing."""
        above, below = np.maximum(place - self._high, 0.0), np.minimum(place - self._low, 0.0)
        return np.asarray(above + below)

    def at(self, place: Floats) -> tuple[float, Floats]:
        value, gradient = self._likelihood(place)
        distance = self.beyond(place)
        value -= float((distance * distance).sum())
        return -value / self._n, (2 * distance - gradient) / self._n

    def curvature(self, place: Floats) -> Floats:
        """The matrix of second derivatives."""
        steps = np.eye(len(place)) * STEP
        rows = [
            (self.at(place + each)[1] - self.at(place - each)[1]) / (2 * STEP) for each in steps
        ]
        return (np.array(rows) + np.array(rows).T) / 2


@dataclass(frozen=True)
class _Found:
    value: float
    steepest: float
    place: Floats
    n_iterations: int

    @property
    def is_converged(self) -> bool:
        return self.steepest < STEEPEST


def _search(objective: _Objective, starts: Sequence[Sequence[float]]) -> _Found:
    tried = []
    for start in starts:
        tried.append(_descend(objective, np.log(start), None))
        if tried[-1].is_converged:
            break
    return min(tried, key=lambda each: each.value)


def _refine(objective: _Objective, sample: _Objective, rough: _Found) -> list[_Found]:
    """From the optimum of a sample, in directions in which its curvature is 1; or nothing."""
    try:
        triangle = np.linalg.cholesky(sample.curvature(rough.place))
    except np.linalg.LinAlgError:
        return []
    return [_descend(objective, rough.place, np.linalg.inv(triangle).T)]


def _descend(objective: _Objective, start: Floats, directions: Floats | None) -> _Found:
    """To the next minimum within the bounds; along given directions, where these are far away."""
    axes = np.eye(len(start)) if directions is None else directions
    lowest, highest = objective.lowest, objective.highest
    bounds = list(zip(lowest - start, highest - start, strict=True))

    def place(steps: Floats) -> Floats:
        return np.clip(start + axes @ steps, lowest, highest)

    def value_and_slope(steps: Floats) -> tuple[float, Floats]:
        value, slope = objective.at(place(steps))
        return value, axes.T @ slope

    # not L-BFGS-B: its own steps start BLAS threads, 2 to 4 ms each beside 4 ms for the likelihood
    # of a million customers (SciPy 1.17)
    found = optimize.minimize(
        value_and_slope, np.zeros(len(start)), jac=True, method="SLSQP",
        bounds=bounds if directions is None else None,
        options={"ftol": TOLERANCE, "maxiter": MOST_ITERATIONS},
    )  # fmt: skip
    end = place(found.x)
    # its own last slope may be that of the step before
    value, slope = objective.at(end)
    slope = np.where(end <= lowest + 1e-9, np.minimum(slope, 0.0), slope)
    slope = np.where(end >= highest - 1e-9, np.maximum(slope, 0.0), slope)
    return _Found(value, float(np.abs(slope).max()), end, int(found.nit))
