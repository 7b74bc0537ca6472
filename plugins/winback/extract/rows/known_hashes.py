"""Keyed hashes of whole batches: a text that came before is looked up instead of hashed again.

In a table of orders a customer comes many times and in no order, so looking up is what takes the
time. A dictionary of Python texts waits for memory at each of them; here a batch is looked up at
once, in sorted numbers. How a keyed hash is made belongs to `privacy/keyed_hash.py`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pandas.util import hash_array

from winback.privacy.keyed_hash import LENGTH

NOTHING = pa.scalar(None, pa.string())
# of 56 bytes each
MOST_KNOWN = 2_000_000
# to remember new ones takes a pass over all that are known: fewer are hashed when they come again
WORTH_LEARNING = 0.05


class KnownHashes:
    """The keyed hashes of the texts that came so far.

    A text is found by a SipHash of 64 bits and taken for the same when a second one agrees as well.
    Both keys are drawn for this process, so nobody can choose texts that agree by intent.
    """

    def __init__(self, hashed: Callable[[str], str]) -> None:
        """Knows nothing yet.

        Args:
            hashed: Makes a keyed hash.
        """
        self._hashed = hashed
        self._keys = secrets.token_hex(8), secrets.token_hex(8)
        self._forget()

    def of(self, texts: pa.Array) -> pa.Array:
        """Hashes a batch.

        Args:
            texts: Strings, nulls among them.

        Returns:
            The keyed hash of each, null where the text is.
        """
        written = texts.fill_null("").to_numpy(zero_copy_only=False)
        first, second = (hash_array(written, hash_key=key, categorize=False) for key in self._keys)
        found = self._find(first)
        is_new = self._sorted[found] != first
        if is_new.sum() > len(texts) * WORTH_LEARNING:
            self._learn(written[is_new], first[is_new], second[is_new])
            found = self._find(first)
        place = self._places[found]
        digests = self._digests[place]
        is_other = (self._sorted[found] != first) | (self._seconds[place] != second)
        digests[is_other] = self._digests_of(written[is_other])
        ends = np.arange(len(texts) + 1, dtype=np.int32) * LENGTH
        made = pa.Array.from_buffers(
            pa.string(), len(texts), [None, pa.py_buffer(ends), pa.py_buffer(digests)]
        )
        return pc.if_else(texts.is_null(), NOTHING, made) if texts.null_count else made

    def _forget(self) -> None:
        # a first one, so that a search always ends at a place
        self._sorted = np.array([2**64 - 1], np.uint64)
        self._places = np.zeros(1, np.int64)
        self._seconds = np.zeros(1, np.uint64)
        self._digests = np.zeros((1, LENGTH), np.uint8)

    def _find(self, first: np.ndarray) -> np.ndarray:
        """Where each stands in the sorted ones, or would."""
        # neighbours are then found in memory that is at hand
        order = np.argsort(first)
        found = np.empty(len(first), np.int64)
        found[order] = np.searchsorted(self._sorted, first[order])
        return found

    def _learn(self, written: np.ndarray, first: np.ndarray, second: np.ndarray) -> None:
        firsts, rows = np.unique(first, return_index=True)
        if len(self._sorted) + len(firsts) > MOST_KNOWN:
            self._forget()
        places = len(self._seconds) + np.arange(len(firsts))
        self._seconds = np.concatenate([self._seconds, second[rows]])
        self._digests = np.concatenate([self._digests, self._digests_of(written[rows])])
        both = np.concatenate([self._sorted, firsts])
        # two sorted parts, which this kind of sorting only has to merge
        order = np.argsort(both, kind="stable")
        self._sorted = both[order]
        self._places = np.concatenate([self._places, places])[order]

    def _digests_of(self, written: np.ndarray) -> np.ndarray:
        """The characters of the keyed hashes, shape (texts, `LENGTH`)."""
        made = "".join(map(self._hashed, written))
        return np.frombuffer(made.encode("ascii"), np.uint8).reshape(-1, LENGTH)
