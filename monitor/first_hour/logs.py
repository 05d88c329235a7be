"""What `monitor doctor` asks of the logs: rejects, clocks, late rewards, propensities and weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import duckdb

from monitor.config import Config, Loaded
from monitor.first_hour.complaint import Complaint
from monitor.metrics.offpolicy import snips
from monitor.metrics.sums import Settings, Sums
from monitor.readings import sheet_of
from monitor.store import Store, has_table, opened

MISSING = 0.01
AHEAD = timedelta(minutes=5)
EQUAL = 1e-9


def held_columns(sums: duckdb.DuckDBPyConnection, config: Config) -> frozenset[str]:
    """Columns of a decision that hold data, told by the sums; others as the sources map them."""
    mapped = {c for s in config.log.sources for c in (*s.columns, *s.constants)}
    counted = {
        "reward": ("reward", "n_reward"), "propensity": ("action", "n_p"),
        "candidate_action": ("pair", "n_pair"),
    }  # fmt: skip
    held = {c for c, (family, column) in counted.items() if _total(sums, family, column) > 0}
    if _total(sums, "offpolicy", "n_rows") > _total(sums, "offpolicy", "n_missing_q"):
        held.add("candidate_propensity")
    if _total(sums, "pair", "n_pair") > 0:
        held.add("action")
    return frozenset((mapped - set(counted) - {"candidate_propensity"}) | held)


def log_quality(sums: duckdb.DuckDBPyConnection, config: Config) -> Iterator[Complaint]:
    """Rejected rows by reason, and columns with unusable values, above `log.max_rejects`."""
    if not has_table(sums, "sums_quality"):
        return
    select = 'SELECT "key", CAST(SUM(n) AS DOUBLE) FROM sums_quality GROUP BY 1'
    counts = dict(sums.execute(select).fetchall())
    rejected = {k.removeprefix("rejects:"): n for k, n in counts.items() if k.startswith("rejects:")}
    rows = counts.get("rows", 0.0) + sum(rejected.values())
    limit = config.log.max_rejects
    if rows and sum(rejected.values()) > limit * rows:
        most = max(rejected, key=lambda k: rejected[k])
        yield Complaint(
            f"{sum(rejected.values()):.0f} of {rows:.0f} rows were rejected, most for {most}",
            f"above {100 * limit:g} % the gate takes no number from this log",
            "`monitor ingest --export-rejects FILE`, mend them or what writes them", blocks=True,
        )  # fmt: skip
    if rejected.get("future"):
        yield Complaint(
            f"{rejected['future']:.0f} rows lay more than 1 h in the future",
            "a clock is wrong, or local time is logged as UTC", "log times with their offset",
        )  # fmt: skip
    for key, n in counts.items():
        if key.startswith("faults:") and rows and n > limit * rows:
            yield Complaint(
                f"column {key.removeprefix('faults:')} is unusable in {n:.0f} of {rows:.0f} rows",
                "those values count as missing", "compare its type and range with monitor.yaml", blocks=True,
            )  # fmt: skip


def maturity(
    sums: duckdb.DuckDBPyConnection, config: Config, newest: datetime, as_of: datetime
) -> Iterator[Complaint]:
    """Rewards that are missing where they should be there, or that none is old enough to count."""
    n, rewarded = _total(sums, "reward", "n"), _total(sums, "reward", "n_reward")
    if not rewarded:
        yield Complaint(
            "no decision has a reward", "reward_drop and every off-policy item are without data",
            "map `reward`, or add a source of kind: rewards", blocks=True,
        )  # fmt: skip
    elif rewarded < (1 - MISSING) * n and config.reward.missing_after_maturity == "exclude":
        yield Complaint(
            f"{100 * (1 - rewarded / n):.3g} % of the decisions have no reward",
            "they are left out: if only good news is logged, every mean is too high",
            "`missing_after_maturity: 0` if a missing reward means none; else see why they are missing",
        )
    if config.reward.matures_after > timedelta(0) and newest > as_of - config.reward.matures_after:
        days = config.reward.matures_after / timedelta(days=1)
        last = "day" if days == 1 else f"{days:.3g} days"
        yield Complaint(
            f"rewards of the last {last} are immature", "they are counted and left out until then",
            "nothing; a shorter `matures_after` judges sooner and less surely",
        )  # fmt: skip


def off_policy(sums: duckdb.DuckDBPyConnection, config: Config, start: int, end: int) -> Iterator[Complaint]:
    """Missing propensities, the mean weight, and the placebo: with π_e = π_b, V̂ must be r̄."""
    rows, known = _total(sums, "action", "n", key=""), _total(sums, "action", "n_p")
    if rows and known < (1 - MISSING) * rows:
        yield Complaint(
            f"{100 * (1 - known / rows):.3g} % of the decisions have no propensity",
            "off-policy estimates are without data (evidence grade C where none has one)",
            "log the probability of the executed action when it is chosen; it cannot be made up later",
        )
    sheet = sheet_of(sums, config, None, start, end, max(1, end - start))
    for policy, candidate in sheet.pairs():
        cells = sheet.cells("offpolicy", policy, candidate, "", start, end)
        if not len(cells) or not cells.total("n") > 0:
            continue
        mean = sheet.estimate("weight_mean", policy, start, end, candidate)
        z = sheet.estimate("weight_mean_z", policy, start, end, candidate)
        if math.isfinite(mean.value) and abs(mean.value - 1) > 0.02 and abs(z.value) > 4:
            yield Complaint(
                f"the mean weight of {candidate} on {policy} is {mean.value:.3g}, "
                f"{z.value:.2g} standard errors from 1",
                "logged probabilities are not those the actions were drawn with",
                "compare how both probabilities are computed: same action, same moment, no rounding",
                blocks=True,
            )
        value, average = placebo(cells, sheet.settings)
        if not abs(value - average) <= EQUAL * max(1.0, abs(average)):
            yield Complaint(
                f"placebo: with the candidate equal to {policy} its value is {value:.6g}, not {average:.6g}",
                "the sums or the estimator are wrong", "report this with your configuration", blocks=True,
            )  # fmt: skip


def placebo(cells: Sums, settings: Settings) -> tuple[float, float]:
    """(V̂, r̄) of off-policy sums with every weight set to 1, which is what π_e = π_b means; NaN and NaN
    never agree."""
    columns = dict(cells.columns)
    columns |= {"w1": columns["k1"], "wr1": columns["r1"]}
    equal = Sums(cells.hour, cells.bucket, cells.key, columns)
    value = snips({"offpolicy": equal}, replace(settings, independent=True)).value
    return value, equal.total("r1") / equal.total("k1")


def clock_skew(loaded: Loaded, store: Store, as_of: datetime) -> Iterator[Complaint]:
    """Decisions later than now, or than the last change of any file they can have come from."""
    if not store.decisions.exists():
        return
    with opened(store.decisions, read_only=True) as connection:
        ((newest,),) = connection.execute("SELECT MAX(ts) FROM decisions").fetchall()
        ((modified,),) = connection.execute("SELECT MAX(modified) FROM files").fetchall()
    if newest is None or modified is None:
        return
    last, written = newest.replace(tzinfo=UTC), datetime.fromtimestamp(modified, UTC)
    if last > min(written, as_of) + AHEAD and written <= as_of + AHEAD:
        yield Complaint(
            f"the newest decision says {last:%Y-%m-%d %H:%M} UTC, its file was written "
            f"{written:%Y-%m-%d %H:%M}",
            "a clock is ahead, or local time is logged as UTC: windows close before their rows arrive",
            "log times with their offset, and set the clock",
        )


def _total(sums: duckdb.DuckDBPyConnection, family: str, column: str, key: str | None = None) -> float:
    table = f"sums_{family}"
    if not has_table(sums, table):
        return 0.0
    where, values = ("", []) if key is None else (' WHERE "key" = ?', [key])
    ((total,),) = sums.execute(f'SELECT SUM("{column}") FROM "{table}"{where}', values).fetchall()
    return float(total or 0.0)
