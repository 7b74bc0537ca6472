"""What winback's marts say about the customers of a world, in the judge's words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.worlds.truth import Call, World, day_of
from winback.privacy.keyed_hash import customer_hasher

Execute = Callable[[str], list[tuple[Any, ...]]]

STATES = """
select customer_key, state, is_lapsed, not_lapsed_because,
    expected_next_purchase_from, expected_next_purchase_until
from marts.fct_customer_states
"""
REASONS = "select customer_key, reason from marts.fct_lapse_reasons where rank = 1"
WARNINGS = "select customer_key, n_signs from marts.fct_warnings"


def read_states(world: World, execute: Execute) -> dict[str, Call]:
    """State, label and expected next purchase by customer id."""
    ids = _ids(world)
    return {
        ids[key]: Call(
            state,
            is_lapsed,
            because,
            None if begin is None or end is None else (day_of(begin), day_of(end)),
        )
        for key, state, is_lapsed, because, begin, end in execute(STATES)
    }


def with_reasons(world: World, calls: dict[str, Call], execute: Execute) -> dict[str, Call]:
    """Adds the main reason."""
    ids = _ids(world)
    said = {ids[key]: reason for key, reason in execute(REASONS)}
    return {name: replace(call, reason=said.get(name)) for name, call in calls.items()}


def with_warnings(world: World, calls: dict[str, Call], execute: Execute) -> dict[str, Call]:
    """Adds the number of signs."""
    ids = _ids(world)
    said = {ids[key]: n_signs for key, n_signs in execute(WARNINGS)}
    return {name: replace(call, n_signs=said.get(name, 0)) for name, call in calls.items()}


def _ids(world: World) -> dict[str, str]:
    key_of = customer_hasher(world.name)
    return {key_of(each.customer_id): each.customer_id for each in world.customers}
