"""Holds what was said about the customers of a world against the truth.

Pure arithmetic: whether it was said by the marts (`calls.py`) or by somebody who knows how the
world was made (`oracle.py`) makes no difference here. What is good enough stands in `bounds.yaml`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tests.worlds.truth import Call, Customer, World

LABELS = ("stocked_up", "seasonal", "yearly", "absent", "moved", "household")
CALENDAR = ("seasonal", "yearly")
# a warning is to come true within so many days
WARNED_DAYS = 90.0
# who left within so many days: the old losses any rule finds
RECENT_DAYS = 180.0
# who bought within this part of their own mean gap: later, long gaps would be over-represented
FRESH = 0.25

Calls = Mapping[str, Call]


@dataclass(frozen=True)
class Figure:
    """A measure of how well a world was read.

    Attributes:
        name: Its name in `bounds.yaml`.
        value: A share, unless the name says days; not a number without any customers.
        n: How many customers it is a measure of.
    """

    name: str
    value: float
    n: int


def judge(world: World, calls: Calls) -> list[Figure]:
    """Every figure of a world.

    Raises:
        AssertionError: Nothing was said about some of the customers.
    """
    missing = [each.customer_id for each in world.customers if each.customer_id not in calls]
    assert not missing, f"{len(missing)} customers have no state, such as {missing[:3]}"
    figures = lapsed(world, calls) + false_inactivity(world, calls) + expected(world, calls)
    if any(each.reason for each in world.customers):
        figures += reasons(world, calls) + warnings(world, calls)
    return figures


def lapsed(world: World, calls: Calls) -> list[Figure]:
    """How many of the lost are found, and how many of those found are lost.

    Who left too short a time ago to know counts for neither.
    """
    lost = [each for each in world.customers if each.fate == "lost"]
    found = [each for each in lost if is_found(calls[each.customer_id])]
    listed = [
        each
        for each in world.customers
        if calls[each.customer_id].is_lapsed and each.fate != "undecided"
    ]
    undecided = [each for each in world.customers if each.fate == "undecided"]
    figures = [
        Figure("lapsed.precision", _share(each.fate == "lost" for each in listed), len(listed)),
        Figure("lapsed.recall", _share(is_found(calls[e.customer_id]) for e in lost), len(lost)),
    ]
    for kind in sorted({each.kind for each in lost}):
        of_kind = [each for each in lost if each.kind == kind]
        share = len([each for each in found if each.kind == kind]) / len(of_kind)
        figures.append(Figure(f"lapsed.recall.{kind}", share, len(of_kind)))
    recent = [each for each in lost if each.left >= -RECENT_DAYS]
    recall = _share(is_found(calls[each.customer_id]) for each in recent)
    figures.append(Figure("lapsed.recall.recent", recall, len(recent)))
    alive = [each for each in world.customers if each.fate == "alive"]
    wrongly = _share(calls[each.customer_id].is_lapsed for each in alive)
    figures.append(Figure("lapsed.share_of_alive", wrongly, len(alive)))
    called = _share(calls[each.customer_id].is_lapsed for each in undecided)
    return [*figures, Figure("lapsed.share_of_undecided", called, len(undecided))]


def is_found(call: Call) -> bool:
    """Whether somebody who left counts as found: on the list, or known to have cancelled."""
    return call.is_lapsed or call.state == "cancelled"


def false_inactivity(world: World, calls: Calls) -> list[Figure]:
    """Per label: who is silent for that reason and spared, who is labelled so, and who rightly.

    The share that is labelled is one of those who would be lapsed by their silence otherwise, as
    only they need a label.
    """
    figures = []
    for label in LABELS:
        silent = [each for each in world.customers if each.silent_because == label]
        said = [calls[each.customer_id] for each in silent]
        needed = [
            (each, call)
            for each, call in zip(silent, said, strict=True)
            if call.is_lapsed or call.not_lapsed_because
        ]
        labelled = [
            each
            for each in world.customers
            if calls[each.customer_id].not_lapsed_because == label and each.fate != "undecided"
        ]
        if silent:
            figures += [
                Figure(f"spared.{label}", _share(not call.is_lapsed for call in said), len(said)),
                Figure(
                    f"labelled.{label}",
                    _share(call.not_lapsed_because in each.labels for each, call in needed),
                    len(needed),
                ),
            ]
        if label in CALENDAR and silent:
            # two seasons are the least that tells one from another kind of customer
            few = [call for each, call in zip(silent, said, strict=True) if each.seasons == 2]
            spared = _share(not call.is_lapsed for call in few)
            figures.append(Figure(f"spared.{label}.two_seasons", spared, len(few)))
        if silent or labelled:
            right = _share(label in each.labels for each in labelled)
            figures.append(Figure(f"label_precision.{label}", right, len(labelled)))
    lost = [each for each in world.customers if each.fate == "lost"]
    excused = _share(calls[each.customer_id].not_lapsed_because is not None for each in lost)
    return [*figures, Figure("excused_though_lost", excused, len(lost))]


def expected(world: World, calls: Calls) -> list[Figure]:
    """How often the expected span holds the true next purchase, and how wide it is in days."""
    known = [
        each for each in world.customers if each.fate == "alive" and each.next_purchase is not None
    ]
    groups = {
        "": [each for each in known if _is_fresh(each)],
        ".stocked_up": [each for each in known if each.silent_because == "stocked_up"],
        ".calendar": [each for each in known if each.silent_because in CALENDAR],
    }
    figures = []
    for suffix, group in groups.items():
        if not group:
            continue
        spans = [calls[each.customer_id].expected for each in group]
        covered = [
            span is not None and span[0] <= math.floor(each.next_purchase or 0) <= span[1]
            for each, span in zip(group, spans, strict=True)
        ]
        widths = [span[1] - span[0] for span in spans if span is not None]
        figures += [
            Figure(f"expected.coverage{suffix}", _share(covered), len(group)),
            Figure(
                f"expected.width_days{suffix}",
                float(np.median(widths)) if widths else math.nan,
                len(widths),
            ),
        ]
    return figures


def _is_fresh(customer: Customer) -> bool:
    return (
        customer.kind not in CALENDAR
        and len(customer.purchases) > 2
        and customer.silence <= FRESH * customer.mean_gap
    )


def reasons(world: World, calls: Calls) -> list[Figure]:
    """How often the main reason is the true one, of those found whose reason left a trace."""
    found = [
        each
        for each in world.customers
        if each.fate == "lost" and each.reason and is_found(calls[each.customer_id])
    ]
    told = [each for each in found if each.has_evidence]
    figures = [Figure("reason.accuracy", _share(_is_right(e, calls) for e in told), len(told))]
    for reason in sorted({each.reason or "" for each in told}):
        group = [each for each in told if each.reason == reason]
        right = _share(_is_right(each, calls) for each in group)
        figures.append(Figure(f"reason.recall.{reason}", right, len(group)))
    untold = [each for each in found if not each.has_evidence]
    unknown = _share(calls[each.customer_id].reason in (None, "unknown") for each in untold)
    return [*figures, Figure("reason.unknown_without_evidence", unknown, len(untold))]


def _is_right(customer: Customer, calls: Calls) -> bool:
    return calls[customer.customer_id].reason == customer.reason


def warnings(world: World, calls: Calls) -> list[Figure]:
    """How often a warning comes true, and how many of the leaving were warned of.

    Only of customers who are still there and not called lapsed; who has just left, unknown to
    everybody, counts for neither.
    """
    there = [
        each
        for each in world.customers
        if each.fate == "alive" and not calls[each.customer_id].is_lapsed
    ]
    leaving = [each for each in there if each.left <= WARNED_DAYS]
    base = len(leaving) / len(there) if there else math.nan
    figures = [Figure("warnings.base_rate", base, len(there))]
    for n_signs, suffix in ((1, ""), (2, ".two_signs")):
        warned = [each for each in there if calls[each.customer_id].n_signs >= n_signs]
        precision = _share(each.left <= WARNED_DAYS for each in warned)
        recall = _share(calls[each.customer_id].n_signs >= n_signs for each in leaving)
        figures += [
            Figure(f"warnings.precision{suffix}", precision, len(warned)),
            Figure(f"warnings.lift{suffix}", precision / base if base else math.nan, len(warned)),
            Figure(f"warnings.recall{suffix}", recall, len(leaving)),
        ]
    return figures


def _share(answers: Iterable[bool]) -> float:
    listed = list(answers)
    return sum(listed) / len(listed) if listed else math.nan
