"""What every batch of probabilities must be: shape, numbers, distributions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1e-6
Array = NDArray[np.float64]


class ScoreError(Exception):
    """A candidate that cannot be scored: one sentence that names the batch and the rule."""


def distributions(given: Any, rows: int, actions: int, batch: str) -> Array:
    """`given` as probabilities of shape (rows, actions). Raises ScoreError: every number finite and in
    [0, 1], every row summing to 1 within 1e-6."""
    try:
        found = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise ScoreError(f"{batch}: probabilities are not numbers, or rows differ in length") from None
    if found.shape != (rows, actions):
        raise ScoreError(f"{batch}: probabilities have the shape {found.shape}, not {(rows, actions)}")
    _refuse(~np.isfinite(found).all(axis=1), batch, "a probability that is not finite")
    _refuse(((found < 0) | (found > 1)).any(axis=1), batch, "a probability outside [0, 1]")
    total = found.sum(axis=1)
    off = np.abs(total - 1) > TOLERANCE
    if off.any():
        first = int(np.argmax(off))
        raise ScoreError(
            f"{batch}: the probabilities of row {first + 1} sum to {total[first]:.6g}, not to 1"
        )
    return found


def drawn(probabilities: Array, row_hash: NDArray[np.int64]) -> NDArray[np.int64]:
    """One action a row, drawn from its probabilities by a hash of the decision: the same every time."""
    mixed = row_hash.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(32)
    uniform = (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53
    below = np.cumsum(probabilities, axis=1)
    place = (below <= (uniform * below[:, -1])[:, None]).sum(axis=1)
    return np.minimum(place, probabilities.shape[1] - 1)


def _refuse(wrong: Any, batch: str, what: str) -> None:
    if wrong.any():
        raise ScoreError(f"{batch}: row {int(np.argmax(wrong)) + 1} has {what}")
