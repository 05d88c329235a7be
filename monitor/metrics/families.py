"""Which of a family of tests are told: Holm where a wrong one costs, Benjamini–Hochberg for signals."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from monitor.metrics.jackknife import Array


def holm(p: ArrayLike, level: float) -> NDArray[np.bool_]:
    """Which of m p-values are below `level` when at most a share `level` of families may have a wrong one,
    however their tests depend on each other: going up, p₍ᵢ₎ < level/(m − i + 1), until one is not.

    NaN is never below. Source: Holm 1979.
    """
    ordered, place = _ascending(p)
    small = ordered < level / np.arange(len(ordered), 0, -1)
    found = np.empty(len(ordered), dtype=bool)
    found[place] = np.logical_and.accumulate(small)
    return found


def benjamini_hochberg(p: ArrayLike, level: float) -> NDArray[np.bool_]:
    """Which of m p-values are below `level` when at most a share `level` of those told may be wrong: all up
    to the largest with p₍ᵢ₎ < i·level/m. For tests that are independent or rise together. NaN never is.

    Source: Benjamini and Hochberg 1995.
    """
    ordered, place = _ascending(p)
    m = len(ordered)
    small = np.flatnonzero(ordered < np.arange(1, m + 1) * level / max(m, 1))
    found = np.empty(m, dtype=bool)
    found[place] = np.arange(m) <= (small[-1] if len(small) else -1)
    return found


def _ascending(p: ArrayLike) -> tuple[Array, NDArray[np.intp]]:
    values = np.nan_to_num(np.asarray(p, dtype=np.float64), nan=np.inf)
    place = np.argsort(values, kind="stable")
    return values[place], place
