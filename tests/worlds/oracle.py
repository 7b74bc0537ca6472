"""The best that anybody could say about a world who knows how it was made, but not the truth.

For purchases this is Bayes' rule with the true distributions of gaps, shapes and lives as priors:
no reader of the same purchases can do better on average. Its figures stand beside the bounds. The
service world's traces are read in `service_oracle.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import gammaincc, gammaln

from tests.worlds import regular_shop, seasonal_shop, service_world, stockpilers
from tests.worlds.truth import Call, Customer, Days, World

N_GAPS, N_SHAPES, N_STEPS = 16, 4, 24
# lapsed is whose chance to be still there is below
THRESHOLD = 0.2
# customers weighed at once, to bound memory
CHUNK = 500
# standard deviation in days of a calendar purchase around its date
CALENDAR_SPREAD = 8.0


@dataclass(frozen=True)
class Prior:
    """How the people of a world were drawn; gaps and life in days."""

    median: float
    sigma: float
    gaps: tuple[float, float]
    shapes: tuple[float, float]
    life: float
    one_time: float


def prior_of(module: object) -> Prior:
    """The prior of a world from the constants of its module."""
    constants = vars(module)
    return Prior(
        constants["MEDIAN_GAP"],
        constants["SIGMA_GAP"],
        (constants["SHORTEST"], constants["LONGEST"]),
        constants["SHAPES"],
        constants["MEAN_LIFE"],
        constants.get("ONE_TIME_SHARE", 0.0),
    )


class Renewal:
    """What purchases tell about people with gamma gaps and constant hazard of leaving."""

    def __init__(self, customers: list[Customer], prior: Prior) -> None:
        """Weighs every possible mean gap and shape by what each customer bought."""
        edges = np.linspace(np.log(prior.gaps[0]), np.log(prior.gaps[1]), N_GAPS * 2 + 1)
        gaps, shapes = edges[1::2], np.linspace(*prior.shapes, N_SHAPES * 2 + 1)[1::2]
        weight = -0.5 * ((gaps - np.log(prior.median)) / prior.sigma) ** 2
        self._mean = np.repeat(np.exp(gaps), N_SHAPES)
        self._shape = np.tile(shapes, N_GAPS)
        self._prior = prior
        self._silence = np.array([each.silence for each in customers])
        self._size = np.array([each.sizes[-1] for each in customers])
        self._is_single = np.array([len(each.purchases) == 1 for each in customers])
        self._log_weight = np.repeat(weight, N_SHAPES) + np.stack(
            [self._log_likelihood(each) for each in customers]
        )
        self._log_weight -= self._log_weight.max(axis=1, keepdims=True)

    def _log_likelihood(self, customer: Customer) -> Days:
        gaps = np.maximum(np.diff(customer.purchases), 0.02)
        shapes = self._shape[:, None] * customer.sizes[None, :-1]
        rate = (self._shape / self._mean)[:, None]
        terms = shapes * np.log(rate) + (shapes - 1) * np.log(gaps) - rate * gaps - gammaln(shapes)
        return np.asarray(terms.sum(axis=1))

    def _still_silent(self, days: Days) -> Days:
        """Chance that a gap is longer than so many days: customers, grid, steps."""
        shape = (self._shape[None, :] * self._size[:, None])[:, :, None]
        rate = (self._shape / self._mean)[None, :, None]
        return np.asarray(gammaincc(shape, rate * days[:, None, :]))

    def alive(self) -> Days:
        """Each customer's chance to be still there."""
        hazard = 1 / self._prior.life
        steps = np.linspace(0, 1, N_STEPS)[None, :] * self._silence[:, None]
        silent = self._still_silent(steps)
        left = np.trapezoid(hazard * np.exp(-hazard * steps)[:, None, :] * silent, axis=2)
        left *= (self._silence / (N_STEPS - 1))[:, None]
        stays = np.exp(-hazard * self._silence)[:, None] * silent[:, :, -1]
        weight = np.exp(self._log_weight)
        weight /= weight.sum(axis=1, keepdims=True)
        is_there, is_gone = (weight * stays).sum(axis=1), (weight * left).sum(axis=1)
        one_time = np.where(self._is_single, self._prior.one_time, 0.0)
        repeats = 1 - one_time
        return np.asarray(repeats * is_there / (repeats * (is_there + is_gone) + one_time))

    def spans(self, quantiles: tuple[float, float] = (0.1, 0.9)) -> Days:
        """From when until when each customer's next purchase is due, if they are still there."""
        ahead = np.concatenate([np.arange(0, 40, 2.0), np.geomspace(40, 700, 30)])
        silent = self._still_silent(self._silence[:, None] + ahead[None, :])
        weight = np.exp(self._log_weight)[:, :, None]
        chance = 1 - (weight * silent).sum(axis=1) / (weight * silent[:, :, :1]).sum(axis=1)
        return np.stack([np.interp(quantiles, each, ahead) for each in chance])


def calls(world: World, threshold: float = THRESHOLD) -> dict[str, Call]:
    """What the oracle says: lapsed is whose chance to be still there is below the threshold."""
    if world.name == regular_shop.NAME:
        return _by_renewal(world.customers, prior_of(regular_shop), threshold)
    if world.name == stockpilers.NAME:
        return _by_renewal(world.customers, prior_of(stockpilers), threshold)
    if world.name == service_world.NAME:
        return _by_renewal(world.customers, prior_of(service_world), threshold)
    by_calendar = [each for each in world.customers if each.kind in ("seasonal", "yearly")]
    all_year = [each for each in world.customers if each not in by_calendar]
    prior = replace(prior_of(seasonal_shop), one_time=seasonal_shop.SHARES["one_time"])
    return {
        **_by_renewal([_on_demands_clock(each) for each in all_year], prior, threshold),
        **{each.customer_id: _by_calendar(each) for each in by_calendar},
    }


def _by_renewal(customers: list[Customer], prior: Prior, threshold: float) -> dict[str, Call]:
    said = {}
    for begin in range(0, len(customers), CHUNK):
        part = customers[begin : begin + CHUNK]
        renewal = Renewal(part, prior)
        alive, spans = renewal.alive(), renewal.spans()
        # what would be said if nobody looked at quantities
        blind = [replace(each, sizes=np.ones_like(each.sizes)) for each in part]
        alive_by_silence = Renewal(blind, prior).alive()
        for n, each in enumerate(part):
            is_lapsed = bool(alive[n] < threshold)
            has_stock = not is_lapsed and bool(alive_by_silence[n] < threshold)
            said[each.customer_id] = Call(
                "inactive" if is_lapsed else "active",
                is_lapsed,
                "stocked_up" if has_stock else None,
                (float(np.floor(spans[n, 0])), float(np.floor(spans[n, 1]))),
            )
    return said


def _on_demands_clock(customer: Customer) -> Customer:
    """The customer as if every month were like the others: December lasts twice as long."""
    days, passed = seasonal_shop.demand()
    ordinary = np.interp(customer.purchases, days, passed) - np.interp(0.0, days, passed)
    return replace(customer, purchases=ordinary)


def _by_calendar(customer: Customer) -> Call:
    """Said by somebody who knows that the customer buys by the calendar, and the purchases."""
    year = seasonal_shop.YEAR
    # the first purchase of each season, as days after the very first one's anniversaries
    since_first = customer.purchases - customer.purchases[0]
    _, firsts = np.unique(np.round(since_first / year), return_index=True)
    phases = since_first[firsts] - np.round(since_first[firsts] / year) * year
    due = customer.purchases[0] + float(np.mean(phases))
    due += year * np.ceil((customer.purchases[-1] + year / 2 - due) / year)
    spread = 1.28 * CALENDAR_SPREAD * np.sqrt(1 + 1 / len(phases))
    is_lapsed = bool(due + 3 * CALENDAR_SPREAD + seasonal_shop.GRACE_DAYS / 2 < 0)
    is_labelled = not is_lapsed and customer.silence > 2 * seasonal_shop.GRACE_DAYS
    return Call(
        "inactive" if is_lapsed else "active",
        is_lapsed,
        customer.kind if is_labelled else None,
        (float(np.floor(due - spread)), float(np.floor(due + spread))),
    )
