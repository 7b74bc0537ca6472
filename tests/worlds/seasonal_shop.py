"""The world `seasonal_shop`: some buy in their own season, some once a year, the others all year.

Those who buy all year do so up to twice as often in December. Season and date of the calendar's
buyers are their own; a few skip a year and come back.
"""

from __future__ import annotations

import numpy as np

from tests.worlds import purchases
from tests.worlds.truth import (
    BEGIN,
    END,
    NEVER,
    ONE_TIME_DAYS,
    Customer,
    Days,
    Fate,
    World,
    fate_of,
)

NAME = "seasonal_shop"
N_CUSTOMERS = 5000
SHARES = {"seasonal": 0.34, "yearly": 0.2, "one_time": 0.06, "regular": 0.4}
MEDIAN_GAP, SIGMA_GAP, SHORTEST, LONGEST = 34.0, 0.5, 10.0, 90.0
SHAPES = (1.5, 4.0)
MEAN_LIFE, MEAN_LIFE_CALENDAR = 500.0, 1000.0
YEAR = 365.25
# day of the year around which a season lies, and how many of the seasonal customers buy then:
# Christmas, spring planting, school's beginning; the rest has a season of their own
SEASONS = ((338, 0.35), (105, 0.2), (245, 0.2))
WIDTHS = (21.0, 35.0)
SKIPPED = 0.03
YEARLY_SPREADS = (4.0, 12.0)
# a missed season shows so many days after its end
GRACE_DAYS = 30.0
JULY_FIRST = 181


def make(seed: int) -> World:
    """Draws the world."""
    rng = purchases.generator(NAME, seed)
    kinds = rng.choice(list(SHARES), N_CUSTOMERS, p=list(SHARES.values()))
    customers: list[Customer] = []
    while len(customers) < N_CUSTOMERS:
        n = len(customers)
        made = _calendar if kinds[n] in ("seasonal", "yearly") else _all_year
        customer = made(rng, f"c{n:05}", str(kinds[n]))
        # who skipped or left before the first purchase is no customer
        if len(customer.purchases):
            customers.append(customer)
    tables = {
        "customers": purchases.customers_feed(customers),
        "orders": purchases.orders_feed(customers),
    }
    return World(NAME, seed, customers, tables)


def demand() -> tuple[Days, Days]:
    """Days, and how much ordinary time has passed until then: December counts double."""
    days = np.arange(BEGIN - 1, END + 400)
    day_of_year = (days + JULY_FIRST) % YEAR
    per_day = 1 + np.exp(-0.5 * ((day_of_year - 349) / 12) ** 2)
    return days, np.cumsum(per_day / per_day[: int(YEAR)].mean())


def _all_year(rng: np.random.Generator, customer_id: str, kind: str) -> Customer:
    joined = purchases.joining_day(rng)
    mean = purchases.truncated_lognormal(rng, MEDIAN_GAP, SIGMA_GAP, SHORTEST, LONGEST)
    shape = float(rng.uniform(*SHAPES))
    left = joined if kind == "one_time" else joined + float(rng.exponential(MEAN_LIFE))
    days, passed = demand()
    ordinary = purchases.gamma_gaps(rng, joined, mean, shape) - joined
    since = float(np.interp(joined, days, passed))
    drawn = np.interp(since + ordinary, passed, days, right=END)
    bought, following = purchases.split(drawn[drawn < END], left)
    lost_from = left + 3 * mean
    if len(bought) == 1:
        lost_from = max(lost_from, float(bought[0]) + ONE_TIME_DAYS)
    fate = fate_of(left, lost_from)
    return _customer(rng, customer_id, kind, fate, left, mean, shape, bought, following)


def _calendar(rng: np.random.Generator, customer_id: str, kind: str) -> Customer:
    joined = BEGIN if rng.random() < 0.5 else float(rng.uniform(BEGIN, -200))
    left = joined + float(rng.exponential(MEAN_LIFE_CALENDAR))
    if kind == "seasonal":
        centre, width = _season(rng), float(rng.uniform(*WIDTHS))
        buys_twice = 0.1 if rng.random() < 0.5 else 0.8
    else:
        spread = float(rng.uniform(*YEARLY_SPREADS))
        centre, width, buys_twice = float(rng.uniform(0, YEAR)), 6 * spread, 0.0
    first = BEGIN + (centre - JULY_FIRST - BEGIN) % YEAR
    middles = np.arange(first, END, YEAR)
    bought_in: list[Days] = []
    for middle in middles:
        if kind == "seasonal":
            n = 0 if rng.random() < SKIPPED else 1 + int(rng.random() < buys_twice)
            drawn = middle + rng.uniform(-width / 2, width / 2, n)
        else:
            n = 0 if rng.random() < SKIPPED else 1
            drawn = middle + np.clip(rng.normal(0, spread, n), -width / 2, width / 2)
        drawn = np.sort(drawn)
        bought_in.append(drawn[(drawn >= joined) & (drawn <= left)])
    bought, following = purchases.split(np.concatenate(bought_in), left)

    over = middles + width / 2 + GRACE_DAYS
    # the first season that ends after they left, and in which they had not bought yet
    has_bought = np.array([len(each) > 0 for each in bought_in])
    missed = over[(middles + width / 2 > left) & ~has_bought]
    fate = fate_of(left, float(missed[0]) if len(missed) else NEVER)
    n_seasons = sum(bool(len(each) and each[0] < 0) for each in bought_in)
    if fate == "alive" and n_seasons < 2:
        # one season tells nobody that there will be another
        fate = "undecided"
    if fate == "lost" and len(bought) == 1 and -bought[0] < ONE_TIME_DAYS:
        fate = "undecided"
    customer = _customer(rng, customer_id, kind, fate, left, YEAR, 0.0, bought, following)
    customer.seasons = n_seasons
    if fate == "alive":
        # a purchase a year, anywhere in a window of weeks, may be called either
        is_either = len(bought) == n_seasons
        customer.labels = frozenset({"seasonal", "yearly"} if is_either else {kind})
        is_in_rhythm = len(bought_in[int(np.sum(over < 0)) - 1]) > 0
        if is_in_rhythm and customer.silence > 2 * GRACE_DAYS:
            customer.silent_because = kind
    return customer


def _season(rng: np.random.Generator) -> float:
    drawn = rng.random()
    for centre, share in SEASONS:
        if drawn < share:
            return float(centre)
        drawn -= share
    return float(rng.uniform(0, YEAR))


def _customer(
    rng: np.random.Generator,
    customer_id: str,
    kind: str,
    fate: Fate,
    left: float,
    mean: float,
    shape: float,
    bought: Days,
    following: float | None,
) -> Customer:
    quantities, amounts = purchases.baskets(rng, len(bought), int(rng.integers(1, 5)))
    return Customer(
        customer_id,
        kind,
        fate,
        left if left < END else NEVER,
        mean,
        shape,
        bought,
        following,
        sizes=np.ones(len(bought)),
        quantities=quantities,
        amounts=amounts,
    )
