"""What the days of the baseline looked like, and a batch's profile beside it: plain arithmetic.

The reference is made once for a frozen baseline out of the stored profiles of its days, and kept:
later rows of those days do not move it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import duckdb

from monitor.config import Config
from monitor.log.profile import DAY

MIN_ROWS = 100
BLOCK = 6
STATISTICS = ("null_share", "min", "max", "mean", "sd", "distinct")
Frame = dict[int, dict[str, float]]


def reference(
    connection: duckdb.DuckDBPyConnection, config: Config, baseline: str | None
) -> dict[str, Any] | None:
    """The reference of the frozen baseline of that hash, made when it is asked for first."""
    period = config.baseline
    if baseline is None or period is None:
        return None
    known = connection.execute("SELECT body FROM profile_reference WHERE baseline = ?", [baseline]).fetchall()
    if known:
        return dict(json.loads(known[0][0]))
    first, last = (int(t.timestamp() // 3600) for t in (period.start, period.end))
    whole = range(-(-first // DAY), last // DAY)
    days = list(whole or range(first // DAY, -(-last // DAY)))
    hours = _hours(connection, days)
    body = described(stored(connection, days), hours, 168 if config.season == "7d" else DAY)
    connection.execute("INSERT INTO profile_reference VALUES (?, ?)", [baseline, json.dumps(body)])
    return body


def described(frame: Frame, hours: Mapping[int, int], season: int) -> dict[str, Any]:
    """The reference from the profiles of some days and the rows of their hours.

    `columns`: largest null share of a day, least and greatest value, lowest and highest mean and sd
    of a day, sd over all of them; `hours`: mean rows an hour by place in the season; `volume` and
    `quietest`: the lowest of a day. Days of under MIN_ROWS rows say nothing about means and shares.
    """
    big = {day: row for day, row in frame.items() if row["batch.rows"] >= MIN_ROWS}
    names = sorted({c.rpartition(".")[0] for row in big.values() for c in row} - {"batch"})
    body: dict[str, Any] = {
        "columns": {name: _column(name, list(big.values())) for name in names},
        "hours": _typical(hours, season),
        "season": season,
        "duplicate_share": max(_values(big.values(), "batch.duplicate_share"), default=None),
    }
    volumes = [_volumes(day, hours, body, min(hours), max(hours) + 1) for day in frame] if hours else []
    body["volume"] = min((v for v, _ in volumes if v is not None), default=None)
    body["quietest"] = min((q for _, q in volumes if q is not None), default=None)
    return body


def batches(
    connection: duckdb.DuckDBPyConnection,
    days: Sequence[int],
    against: Mapping[str, Any] | None,
    closed: int,
) -> Frame:
    """What is validated: a row for each day, its columns those of `monitor.suite.columns`.

    Left out are numbers that say nothing yet: shares, means and spreads of fewer than MIN_ROWS rows,
    spreads of a day that is not over, and volumes where fewer than MIN_ROWS rows are expected.
    """
    if not days:
        return {}
    frame = stored(connection, days)
    over = dict(connection.execute("SELECT day, complete FROM profile_batches").fetchall())
    bounds = connection.execute("SELECT MIN(hour), MAX(hour) FROM profile_hours").fetchall()[0]
    hours = _hours(connection, days)
    late = connection.execute(
        f'SELECT hour // {DAY}, SUM(late) / SUM("rows") FROM profile_hours GROUP BY 1'
    ).fetchall()
    for day, share in late:
        if day in frame:
            frame[day]["batch.late_share"] = float(share)
    for day, row in frame.items():
        volume, quietest = _volumes(day, hours, against, bounds[0], min(bounds[1], closed))
        row |= {"batch.volume": _nan(volume), "batch.quietest": _nan(quietest)}
        few = row["batch.rows"] < MIN_ROWS
        for name in row:
            statistic = name.rpartition(".")[2]
            sparse = few and statistic not in ("rows", "min", "max", "volume", "quietest")
            if (sparse and not _required(name)) or (statistic == "sd" and not over[day]):
                row[name] = math.nan
    return frame


def stored(connection: duckdb.DuckDBPyConnection, days: Sequence[int]) -> Frame:
    """The stored profiles of some days, a row each, with NaN where there is no number."""
    frame: Frame = {}
    listed = [list(days)]
    for day, rows, *values in connection.execute(
        'SELECT day, "rows", duplicate_share, reward_lag_hours, weight_check, propensity_check '
        "FROM profile_batches WHERE day IN (SELECT unnest(?::BIGINT[])) ORDER BY day", listed
    ).fetchall():
        names = ("duplicate_share", "reward_lag_hours", "weight_check", "propensity_check")
        frame[day] = {"batch.rows": float(rows)}
        frame[day] |= {f"batch.{n}": _nan(v) for n, v in zip(names, values, strict=True)}
    for day, name, *values in connection.execute(
        'SELECT day, column_name, null_share, "min", "max", mean, sd, "distinct" FROM profile '
        "WHERE day IN (SELECT unnest(?::BIGINT[])) ORDER BY day, column_name", listed
    ).fetchall():
        frame[day] |= {f"{name}.{s}": _nan(v) for s, v in zip(STATISTICS, values, strict=True)}
    return frame


def _required(name: str) -> bool:
    return name in ("decision_id.null_share", "ts.null_share", "policy_id.null_share")


def _column(name: str, rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    found = {"null_share": max(_values(rows, f"{name}.null_share"), default=1.0)}
    means, sds = _values(rows, f"{name}.mean"), _values(rows, f"{name}.sd")
    if not means or len(means) != len(sds):
        return found
    weights = [r["batch.rows"] for r in rows if math.isfinite(r[f"{name}.mean"])]
    middle = sum(w * m for w, m in zip(weights, means, strict=True)) / sum(weights)
    squares = (w * (s * s + (m - middle) ** 2) for w, m, s in zip(weights, means, sds, strict=True))
    return {
        **found,
        "min": min(_values(rows, f"{name}.min")),
        "max": max(_values(rows, f"{name}.max")),
        "mean_low": min(means), "mean_high": max(means),
        "sd": math.sqrt(sum(squares) / sum(weights)), "sd_low": min(sds), "sd_high": max(sds),
    }


def _typical(hours: Mapping[int, int], season: int) -> list[float]:
    """Mean rows an hour by place in the season, over all hours from the first to the last."""
    if not hours:
        return [0.0] * season
    total, count = [0.0] * season, [0] * season
    for hour in range(min(hours), max(hours) + 1):
        total[hour % season] += hours.get(hour, 0)
        count[hour % season] += 1
    return [t / c if c else 0.0 for t, c in zip(total, count, strict=True)]


def _volumes(
    day: int, hours: Mapping[int, int], against: Mapping[str, Any] | None, begin: int, end: int
) -> tuple[float | None, float | None]:
    """Rows against what the reference had in the same hours: of the day's hours from `begin` to
    before `end`, and of the quietest six-hour block among them."""
    if not against or not against["hours"]:
        return None, None
    covered = range(max(begin, day * DAY), min(end, (day + 1) * DAY))
    ratios = []
    for start in range(day * DAY, (day + 1) * DAY, BLOCK):
        block = [h for h in covered if start <= h < start + BLOCK]
        ratios.append(_ratio(block, hours, against))
    blocks = [r for r in ratios if r is not None]
    return _ratio(covered, hours, against), min(blocks, default=None)


def _ratio(covered: Sequence[int], hours: Mapping[int, int], against: Mapping[str, Any]) -> float | None:
    expected = sum(against["hours"][h % against["season"]] for h in covered)
    return sum(hours.get(h, 0) for h in covered) / expected if expected >= MIN_ROWS else None


def _hours(connection: duckdb.DuckDBPyConnection, days: Sequence[int]) -> dict[int, int]:
    found = connection.execute(
        f'SELECT hour, "rows" FROM profile_hours WHERE hour // {DAY} IN (SELECT unnest(?::BIGINT[]))',
        [list(days)],
    ).fetchall()
    return {int(h): int(n) for h, n in found}


def _values(rows: Iterable[Mapping[str, float]], name: str) -> list[float]:
    return [v for r in rows if math.isfinite(v := r.get(name, math.nan))]


def _nan(value: float | None) -> float:
    return math.nan if value is None else float(value)
