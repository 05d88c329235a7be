"""What is looked at in benchmarks/coverage.py: a metric, a stream, its truth and how often one looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.streams import (
    Array,
    Batch,
    autoregressive,
    blocks,
    growing,
    histograms,
    rewards,
    violations,
    weighted,
)
from monitor.metrics import METRICS
from monitor.metrics.divergence import jensen_shannon
from monitor.metrics.estimate import Estimate
from monitor.metrics.sums import Settings, Sums
from monitor.metrics.trend import slope

Generator = np.random.Generator
BUCKET, DAILY = 64, 24
AWAY = 2.0
WIDE = Settings(reward_low=-30, reward_high=30)
PLANT = replace(WIDE, time_blocks=True)
EACH_ALONE = Settings(independent=True)


@dataclass(frozen=True)
class Scenario:
    """`draw(rng, runs)` makes a batch whose truth is `truth`; `measure` is ours. `width_at` is the look
    whose width is told (the last for one look, n* for a sequence); `why` explains what stands out;
    `beside_fixed` measures the same interval for one look at every look."""

    interval: str
    stream: str
    measure: Callable[[Mapping[str, Any], Settings], Estimate]
    settings: Settings
    truth: float
    draw: Callable[[Generator, int], Batch]
    width_at: int = -1
    why: str = ""
    beside_fixed: bool = False
    runs: int = 100


def scenarios() -> list[Scenario]:
    """Intervals for one look first, then what is looked at again and again."""
    return [*_fixed(), *_sequences()]


def _fixed() -> list[Scenario]:
    mean, share = METRICS["reward_mean"].function, METRICS["violation_rate"].function
    snips, lift = METRICS["snips"].function, METRICS["lift"].function
    one = np.zeros(1, int)
    days14, hours28 = np.array([13]), np.array([27 * DAILY])
    return [
        Scenario("mean", "independent", mean, WIDE, 0, _mean(np.array([2000]))),
        Scenario("mean", "10 a user, icc .3", mean, WIDE, 0, _clustered(np.array([2000]))),
        Scenario("mean", "skewed (log-normal, skewness 6)", mean, WIDE, np.exp(0.5),
                 _skewed(np.array([2000])), why="2000 rows of skewness 6 are not normal yet"),
        Scenario("mean", "users and days, 28 days", mean, WIDE, 0, _two_way(hours28)),
        Scenario("mean", "days AR(1) .2, 28 days", mean, WIDE, 0, _two_way(hours28, 0.2)),
        Scenario("mean", "sensor, half-life 1.1 h, 14 days", mean, PLANT, 0, _sensor(days14, 1.1)),
        Scenario("mean", "sensor, half-life 6 h, 28 days", mean, PLANT, 0, _sensor(np.array([27]), 6.0)),
        Scenario("mean", "delayed, looked at when mature", mean, WIDE, 0, _delayed(np.array([15]))),
        Scenario("share", "independent .1", share, Settings(), 0.1, _share(np.array([2000]), 0.1)),
        Scenario("share", "rare .005", share, Settings(), 0.005, _share(np.array([4000]), 0.005),
                 why="exact at both ends: 20 events"),
        Scenario("share", "rare .005, users differ", share, Settings(), 0.005,
                 _share(np.array([4000]), 0.005, 400), why="few events: no more rows than users"),
        Scenario("share", "sensor beyond its .95 quantile, 28 days", share, PLANT, 0.05,
                 _exceeding(np.array([27]), 1.1)),
        Scenario("SNIPS", "heavy weights, ESS/n .24", snips, WIDE, _VALUE[1.2] + AWAY, _weights(one, 1.2)),
        Scenario("SNIPS", "heavier, ESS/n .11", snips, WIDE, _VALUE[1.5] + AWAY, _weights(one, 1.5),
                 why="the largest weights have not been seen yet"),
        Scenario("SNIPS", "heavy weights, 0/1 rewards", snips, Settings(), _VALUE[1.2],
                 _weights(one, 1.2, binary=True)),
        Scenario("lift", "heavy weights, ESS/n .24", lift, WIDE, _VALUE[1.2] - _LOGGED[1.2],
                 _weights(one, 1.2, "lift")),
        Scenario("D_JS", "shift of .5 sd, 14 days and 14 of baseline", METRICS["state_js"].function,
                 Settings(interior_bins=20), _SHIFT, _shifted(days14)),
        Scenario("slope", "28 independent days", _slope_once, Settings(), 0, _daily(np.array([27]), 0)),
        Scenario("slope", "28 days AR(1) .3", _slope_once, Settings(), 0, _daily(np.array([27]), 0.3)),
        Scenario("quantile .05", "independent", METRICS["reward_q05"].function, WIDE, -np.log(0.95), _sample),
    ]  # fmt: skip


def _sequences() -> list[Scenario]:
    mean, share = METRICS["reward_mean"].function, METRICS["violation_rate"].function
    snips, lift = METRICS["snips"].function, METRICS["lift"].function
    looks, early = growing(200, 10_000), growing(20, 10_000)
    at, early_at = int(np.searchsorted(looks, 2000)), int(np.searchsorted(early, 2000))
    ever, daily = np.arange(len(looks)), DAILY * np.arange(6, 42)
    wide, plant = replace(WIDE, n_star=2000), replace(PLANT, n_star=28 * 288)
    few = "a t quantile this far out with few days"
    return [
        Scenario("mean", "independent", mean, wide, 0, _mean(looks), at),
        Scenario("mean", "10 a user, icc .3", mean, wide, 0, _clustered(looks), at),
        Scenario("mean", "skewed (log-normal, skewness 6)", mean, wide, np.exp(0.5), _skewed(looks), at,
                 "200 rows of skewness 6 are far from normal"),
        Scenario("mean", "users and days, every day from 7 to 42", mean, replace(WIDE, n_star=1680), 0,
                 _two_way(daily), 21, few, beside_fixed=True),
        Scenario("mean", "sensor, half-life 1.1 h, every day from 7 to 56", mean, plant, 0,
                 _sensor(np.arange(6, 56), 1.1), 21, few),
        Scenario("mean", "delayed, looked at when mature", mean, wide, 0, _delayed(np.arange(1, 16)), 10),
        Scenario("share", "independent .1", share, Settings(n_star=2000), 0.1, _share(looks, 0.1), at),
        Scenario("share", "rare .005, from the 20th row", share, Settings(n_star=2000), 0.005,
                 _share(early, 0.005), early_at, "exact at both ends: 10 events at n*"),
        Scenario("SNIPS", "heavy weights, ESS/n .24", snips, wide, _VALUE[1.2] + AWAY,
                 _weights(ever, 1.2), at),
        Scenario("SNIPS", "heavy weights, 0/1 rewards", snips, Settings(n_star=2000), _VALUE[1.2],
                 _weights(ever, 1.2, binary=True), at),
        Scenario("lift", "heavy weights, ESS/n .24", lift, wide, _VALUE[1.2] - _LOGGED[1.2],
                 _weights(ever, 1.2, "lift"), at),
        Scenario("D_JS", "shift of .5 sd, every day from 7 to 56", METRICS["state_js"].function,
                 Settings(interior_bins=20, n_star=7000), _SHIFT, _shifted(np.arange(6, 56)), 7, few),
        Scenario("slope", "independent, every day from 14 to 56", _slope_sequence, Settings(), 0,
                 _daily(np.arange(13, 56), 0), 0, "told at its first look, of 14 days"),
        Scenario("Bernstein mean", "independent, beta(2, 5)", METRICS["reward_bounded"].function, EACH_ALONE,
                 2 / 7, _bounded(early), early_at, "holds at any n, without a normal law"),
        Scenario("Bernstein IPS", "heavy weights, ESS/n .24", METRICS["ips_bounded"].function, EACH_ALONE,
                 _VALUE[1.2], _weights(np.arange(len(early)), 1.2, "ips", looks=early), early_at,
                 "holds for any weights; the upper end pays for w - wr"),
    ]  # fmt: skip


def _mean(looks: Array) -> Callable[[Generator, int], Batch]:
    def draw(rng: Generator, runs: int) -> Batch:
        n = int(looks[-1])
        return rewards(rng.normal(size=(runs, n)), blocks(looks), rng.integers(0, BUCKET, n), _at(looks), 0.0)

    return draw


def _clustered(looks: Array) -> Callable[[Generator, int], Batch]:
    def draw(rng: Generator, runs: int) -> Batch:
        n = int(looks[-1])
        unit = rng.integers(0, n // 10, n)
        users = rng.normal(size=(runs, n // 10)) * np.sqrt(0.3)
        r = users[:, unit] + rng.normal(size=(runs, n)) * np.sqrt(0.7)
        return rewards(r, blocks(looks), unit % BUCKET, _at(looks), 0.0)

    return draw


def _skewed(looks: Array) -> Callable[[Generator, int], Batch]:
    def draw(rng: Generator, runs: int) -> Batch:
        n = int(looks[-1])
        r = rng.lognormal(size=(runs, n))
        return rewards(r, blocks(looks), rng.integers(0, BUCKET, n), _at(looks), 0.0)

    return draw


def _two_way(ends: Array, rho: float = 0.0) -> Callable[[Generator, int], Batch]:
    def draw(rng: Generator, runs: int) -> Batch:
        days = int(ends[-1]) // DAILY + 1
        n = 60 * days
        unit, day = rng.integers(0, 400, n), np.repeat(np.arange(days), 60)
        effects = 0.3 * autoregressive(rng, (runs, days), rho)
        r = 0.7 * rng.normal(size=(runs, 400))[:, unit] + effects[:, day] + rng.normal(size=(runs, n))
        return rewards(r, DAILY * day, unit % BUCKET, ends, 0.0)

    return draw


def _sensor(days: Array, half_life: float) -> Callable[[Generator, int], Batch]:
    """12 rows an hour that follow an AR(1) of the hours; each cell is a day."""

    def draw(rng: Generator, runs: int) -> Batch:
        hours = DAILY * (int(days[-1]) + 1)
        level = np.repeat(autoregressive(rng, (runs, hours), 0.5 ** (1 / half_life)), 12, axis=1)
        r = level + 0.3 * rng.normal(size=level.shape)
        day = np.repeat(np.arange(hours) // DAILY, 12)
        return rewards(r, DAILY * day, day % BUCKET, DAILY * days, 0.0)

    return draw


def _exceeding(days: Array, half_life: float) -> Callable[[Generator, int], Batch]:
    def draw(rng: Generator, runs: int) -> Batch:
        hours = DAILY * (int(days[-1]) + 1)
        level = autoregressive(rng, (runs, hours), 0.5 ** (1 / half_life))
        hour = np.arange(hours)
        return violations((level > 1.6448536).astype(float), hour, hour // DAILY, DAILY * days + 23)

    return draw


def _delayed(ends: Array) -> Callable[[Generator, int], Batch]:
    """180 decisions in six hours; rewards take up to 48 h, good ones longest. Ours reads what is mature,
    the rival what has arrived."""

    def draw(rng: Generator, runs: int) -> Batch:
        block = np.repeat(np.arange(int(ends[-1]) + 9), 180)
        r = rng.normal(size=(runs, len(block)))
        batch = rewards(r, block, rng.integers(0, BUCKET, len(block)), ends, 0.0)
        late = np.minimum(48.0, rng.exponential(np.where(r > 0, 24.0, 6.0)))
        came = 6 * block + late <= 6 * (int(ends[-1]) + 9)
        n, mean = came.sum(axis=1), (r * came).sum(axis=1) / came.sum(axis=1)
        margin = 1.96 * np.sqrt(((r - mean[:, None]) ** 2 * came).sum(axis=1) / n / n)
        arrived = tuple(np.repeat((mean + side * margin)[:, None], len(ends), axis=1) for side in (-1, 1))
        return replace(batch, rivals={"rewards that have arrived, 1.96 s/√n": (arrived[0], arrived[1])})

    return draw


def _share(looks: Array, rate: float, users: int = 0) -> Callable[[Generator, int], Batch]:
    """Violations; with `users` their rates differ as a beta distribution of the same mean."""

    def draw(rng: Generator, runs: int) -> Batch:
        n = int(looks[-1])
        unit = rng.integers(0, users, n) if users else rng.permutation(n)
        risk = rng.beta(20 * rate, 20 * (1 - rate), (runs, users))[:, unit] if users else rate
        return violations((rng.random((runs, n)) < risk).astype(float), blocks(looks), unit, _at(looks))

    return draw


def _weights(
    ends: Array, sigma: float, kind: str = "snips", binary: bool = False, looks: Array | None = None
) -> Callable[[Generator, int], Batch]:
    """Log-normal weights of mean 1, and rewards that grow with them; `AWAY` from 0 for SNIPS and lift
    unless they are 0/1."""
    size = looks if looks is not None else growing(200, 10_000) if len(ends) > 1 else np.array([3000])

    def draw(rng: Generator, runs: int) -> Batch:
        n = int(size[-1])
        w = rng.lognormal(-(sigma**2) / 2, sigma, (runs, n))
        level = _level(w)
        r = (rng.random((runs, n)) < level).astype(float) if binary else rng.uniform(0, 2 * level)
        r = r if binary or kind == "ips" else r + AWAY
        bucket = np.full(n, -1) if kind == "ips" else rng.integers(0, BUCKET, n)
        return weighted(w, r, blocks(size), bucket, ends, kind)

    return draw


def _shifted(days: Array) -> Callable[[Generator, int], Batch]:
    def draw(rng: Generator, runs: int) -> Batch:
        counts = rng.multinomial(500, _MOVED, (runs, int(days[-1]) + 1))
        return histograms(counts, rng.multinomial(500, np.full(20, 0.05), (runs, 14)), days)

    return draw


def _daily(ends: Array, rho: float) -> Callable[[Generator, int], Batch]:
    def draw(rng: Generator, runs: int) -> Batch:
        x = autoregressive(rng, (runs, int(ends[-1]) + 1), rho)
        t = np.arange(x.shape[1], dtype=float)
        steps = [t[: end + 1] - t[: end + 1].mean() for end in ends]
        slopes = np.stack([x[:, : len(step)] @ step / (step @ step) for step in steps], axis=1)
        return Batch(lambda run, look: {"t": t[: ends[look] + 1], "x": x[run, : ends[look] + 1]}, slopes)

    return draw


def _bounded(looks: Array) -> Callable[[Generator, int], Batch]:
    def draw(rng: Generator, runs: int) -> Batch:
        n = int(looks[-1])
        batch = rewards(rng.beta(2, 5, (runs, n)), blocks(looks), np.full(n, -1), _at(looks), 0.5)
        return replace(batch, rivals={})

    return draw


def _sample(rng: Generator, runs: int) -> Batch:
    r, n = rng.exponential(size=(runs, 500)), 500
    hashes = np.arange(n)

    def states(run: int, look: int) -> Mapping[str, Sums]:
        columns = {"row_hash": hashes, "unit_hash": hashes, "k": np.ones(n), "reward": r[run]}
        return {"sample": Sums(np.zeros(n, int), hashes % BUCKET, np.full(n, "", object), columns)}

    return Batch(states, np.quantile(r, 0.05, axis=1)[:, None])


def _slope_once(states: Mapping[str, Any], settings: Settings) -> Estimate:
    return slope(states["t"], states["x"])


def _slope_sequence(states: Mapping[str, Any], settings: Settings) -> Estimate:
    return slope(states["t"], states["x"], tightest_at=14)


def _at(looks: Array) -> Array:
    return np.arange(len(looks))


def _level(w: Array) -> Array:
    """Mean reward of a decision of weight w, between .05 and .45."""
    return 0.05 + 0.4 * w / (1 + w)


def _expected(sigma: float, under_candidate: bool) -> float:
    z, chance = np.polynomial.hermite_e.hermegauss(80)
    w = np.exp(sigma * z - sigma**2 / 2)
    return float(chance @ (_level(w) * (w if under_candidate else 1)) / np.sqrt(2 * np.pi))


def _moved() -> Array:
    from scipy.special import ndtr, ndtri

    return np.diff(ndtr(ndtri(np.linspace(0, 1, 21)) - 0.5))


_VALUE = {sigma: _expected(sigma, True) for sigma in (1.2, 1.5)}
_LOGGED = {sigma: _expected(sigma, False) for sigma in (1.2, 1.5)}
_MOVED = _moved()
_SHIFT = float(jensen_shannon(_MOVED, np.full(20, 0.05)))
