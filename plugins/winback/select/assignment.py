"""The draw between treated and holdout: a pure function of keys and a salt.

Reading candidates and storing what was drawn is `selection.py`.
"""

from __future__ import annotations

import hmac
from collections import defaultdict
from collections.abc import Iterable
from hashlib import sha256
from typing import Literal

Arm = Literal["treated", "holdout"]


def draw(
    candidates: Iterable[tuple[str, str]], holdout_pct: float, salt: str, batch: str
) -> dict[str, Arm]:
    """Draws the holdout by ranks of a keyed hash within each stratum.

    Ranks instead of a threshold give every stratum its share exactly, rounded; a stratum of two or
    more gets at least one of each arm. A stratum of one is drawn by the hash alone.

    Args:
        candidates: Pairs of customer key and stratum.
        holdout_pct: Share that is left alone, in per cent.
        salt: Secret of the draw.
        batch: Names the campaign and date, so that people of different batches are drawn afresh.

    Returns:
        The arm of each customer key.
    """
    strata: dict[str, list[tuple[bytes, str]]] = defaultdict(list)
    for key, stratum in candidates:
        text = f"{batch}\x1f{stratum}\x1f{key}".encode()
        strata[stratum].append((hmac.digest(salt.encode(), text, sha256), key))
    arms: dict[str, Arm] = {}
    for members in strata.values():
        n_holdout = _n_holdout(members, holdout_pct / 100)
        for rank, (_, key) in enumerate(sorted(members)):
            arms[key] = "holdout" if rank < n_holdout else "treated"
    return arms


def _n_holdout(members: list[tuple[bytes, str]], share: float) -> int:
    n = len(members)
    if n == 1:
        return int(int.from_bytes(members[0][0][:8], "big") < share * 2**64)
    return min(max(1, round(n * share)), n - 1)
