"""One test among those of its kind that look at the same window: which of them are told together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from monitor.metrics.families import benjamini_hochberg, holm

Others = Callable[[], Sequence[float]]


def nobody() -> Sequence[float]:
    """No p-value of any other test."""
    return ()


def among_guardrails(p: float, others: Others, n_tests: int, level: float) -> bool:
    """Whether p is small by Holm; tests of the `n_tests` that `others` says nothing of count as 1."""
    return p < level and bool(holm(_family(p, others, n_tests), level)[0])


def among_signals(p: float, others: Others, n_tests: int, level: float) -> bool:
    """Whether p is small by Benjamini–Hochberg."""
    return p < level and bool(benjamini_hochberg(_family(p, others, n_tests), level)[0])


def _family(p: float, others: Others, n_tests: int) -> list[float]:
    known = [p, *others()]
    return known + [1.0] * (n_tests - len(known))
