"""Units of an experiment by hour and arm: when each was first seen, in which state, with what rewards.

A unit's first exposure is the least `began` over its hours and arms, so it is found when the sums are
read; `bin_<feature>` is the bin of the unit's first decision in that hour and arm. Where every decision
is a unit of its own there is nothing to keep: the arms' counts are the exposures.
"""

from __future__ import annotations

from monitor.config import Config
from monitor.store import literal, quoted
from monitor.sums.arm import rows
from monitor.sums.family import Family, Frozen, number, reward
from monitor.sums.state import bin_of

WEEK = 7 * 24
# Rows by the time since their unit's first exposure: from that hour on, and before that one.
SPANS: dict[str, tuple[int, int | None]] = {
    "first": (0, WEEK), "later": (WEEK, None), "week2": (WEEK, 2 * WEEK), "week3": (2 * WEEK, 3 * WEEK),
    "week4": (3 * WEEK, None),
}  # fmt: skip
OF_ROWS = tuple(f"{sum_}_{when}" for when in SPANS for sum_ in ("k", "r"))
COLUMNS = ("n_units", "n_both", *OF_ROWS)
FIRST = """
    SELECT policy_id, unit_hash, bucket, MIN(hour) AS hour, COUNT(DISTINCT "key") AS arms,
        ARG_MIN("key", (began, "key")) AS arm, {bin} AS bin
    FROM sums_exposure WHERE hour < {end} GROUP BY 1, 2, 3"""


def _select(config: Config, baseline: Frozen | None) -> str | None:
    if config.experiment is None or config.unit == "decision":
        return None
    bins = baseline.bins if baseline else {}
    low, high = config.reward.range
    places = "".join(
        f", {bin_of(quoted('state_' + f), body)} AS {quoted('bin_' + f)}" for f, body in bins.items()
    )
    first = "".join(f", ARG_MIN({quoted('bin_' + f)}, ts) AS {quoted('bin_' + f)}" for f in bins)
    return f"""
        SELECT {literal(config.policies.candidate)} AS policy_id, '' AS candidate_id, hour,
            unit_hash % 64 AS bucket, arm AS key, unit_hash,
            MIN(ts) AS began,
            SUM(CASE WHEN r IS NULL THEN 0e0 ELSE 1e0 / keep_prob END) AS k1,
            COALESCE(SUM((r - {number((low + high) / 2)}) / keep_prob), 0e0) AS r1{first}
        FROM ({rows(config, f"ts, keep_prob, {reward(config)} AS r{places}")}) AS arms
        GROUP BY 1, 2, 3, 4, 5, 6"""


def units(end: int) -> str:
    """SQL of the cells of exposures before the hour `end`: units by the hour, bucket and arm of their first
    exposure, `n_both` of them seen in both arms; rewards of rows by arm and time since their unit's first
    exposure, as SPANS has it (`week4` and what comes after)."""
    first = FIRST.format(bin=0, end=end)
    split = ", ".join(
        f"SUM(CASE WHEN {_since(*span)} THEN g.{sum_}1 ELSE 0e0 END) AS {sum_}_{when}"
        for when, span in SPANS.items()
        for sum_ in ("k", "r")
    )
    none = ", ".join(f"0e0 AS {column}" for column in OF_ROWS)
    return f"""
        SELECT policy_id, '' AS candidate, '' AS outer_key, hour, bucket, inner_key,
            {", ".join(f"CAST(SUM({c}) AS DOUBLE) AS {c}" for c in COLUMNS)}
        FROM (SELECT policy_id, hour, bucket, arm AS inner_key, COUNT(*) AS n_units,
                  SUM(CASE WHEN arms > 1 THEN 1 ELSE 0 END) AS n_both, {none}
              FROM ({first}) AS units GROUP BY 1, 2, 3, 4
              UNION ALL BY NAME
              SELECT g.policy_id, g.hour, g.bucket, g."key" AS inner_key, 0 AS n_units, 0 AS n_both, {split}
              FROM sums_exposure AS g JOIN ({first}) AS u USING (unit_hash)
              WHERE g.hour < {end} GROUP BY 1, 2, 3, 4) AS cells
        GROUP BY 1, 2, 3, 4, 5, 6"""


def _since(low: int, high: int | None) -> str:
    until = "" if high is None else f" AND g.hour < u.hour + {high}"
    return f"g.hour >= u.hour + {low}{until}"


def states(feature: str, end: int) -> str:
    """SQL of the cells of one feature: units by day, arm and bin (`arm:bin`) of their first decision."""
    column = quoted("bin_" + feature)
    first = FIRST.format(bin=f'ARG_MIN({column}, (began, "key"))', end=end)
    return _of_bins(feature, "arm", f"({first}) AS units WHERE bin IS NOT NULL", "COUNT(*)")


def of_decisions(end: int) -> str:
    """The same cells where every decision is a unit: counts of the arms, and of all their rows by bin."""
    nothing = ", ".join(f"0e0 AS {c}" for c in COLUMNS[1:])
    both = "SELECT DISTINCT who FROM sums_arm WHERE \"key\" <> 'before'"
    began = "SELECT MIN(hour) FROM sums_arm WHERE \"key\" <> 'before'"
    arms = f"""
        SELECT policy_id, '' AS candidate, '' AS outer_key, hour, bucket, "key" AS inner_key,
            CAST(SUM(n) AS DOUBLE) AS n_units, {nothing}
        FROM sums_arm WHERE "key" <> 'before' AND hour < {end} GROUP BY 1, 2, 3, 4, 5, 6"""
    rows_ = f"""
        (SELECT a.policy_id, s."key" AS feature, s.hour, s.bin, s.n,
             CASE WHEN s.policy_id = a.policy_id THEN 'candidate' ELSE 'control' END AS arm
         FROM sums_state AS s, (SELECT DISTINCT policy_id FROM sums_arm) AS a
         WHERE s.policy_id IN ({both}) AND s.hour >= ({began}) AND s.hour < {end}) AS counted"""
    return f"{arms} UNION ALL {_of_bins('', 'arm', rows_, 'SUM(n)', outer='feature')}"


def _of_bins(feature: str, arm: str, source: str, count: str, outer: str | None = None) -> str:
    nothing = ", ".join(f"0e0 AS {c}" for c in COLUMNS[1:])
    return f"""
        SELECT policy_id, '' AS candidate, {outer or literal(feature)} AS outer_key, hour // 24 * 24 AS hour,
            -1 AS bucket, {arm} || ':' || CAST(bin AS VARCHAR) AS inner_key,
            CAST({count} AS DOUBLE) AS n_units, {nothing}
        FROM {source} GROUP BY 1, 2, 3, 4, 5, 6"""


FAMILY = Family("exposure", COLUMNS, _select, outer=True, inner='"key"', from_start=True)
