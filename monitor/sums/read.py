"""Sums out of the store, as the columns that metrics take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from monitor.metrics.sums import Sums
from monitor.store import has_table
from monitor.sums import FAMILIES, exposure
from monitor.sums.family import Family
from monitor.sums.pair_sample import SPAN_SIZE
from monitor.sums.sample import SIZE, WINDOW_SIZE

DAY = 24
Index = dict[tuple[str, str, str], Sums]
HASHES = ("row_hash", "unit_hash")


def read(
    connection: duckdb.DuckDBPyConnection, name: str, start: int, end: int, span: int, *, by_day: bool = False
) -> Index:
    """Sums of one family for hours start ≤ hour < end, by (policy, candidate, key), sorted by hour.

    The candidate is '' for families of the controlling policy; the key is the constraint or the
    feature, else ''. `span` is the length in hours of the windows that will be cut from the
    answer: `units` adds up each window before it squares, a sample keeps the smallest hashes.
    `by_day` adds up the hours of a day in families that are `daily`: a gate over months reads a
    twenty-fourth of their cells. Of families of whole days, those only. A family that was never
    summed is empty.
    """
    family = FAMILIES[name]
    start = 0 if family.from_start else start
    try:
        if name == "segments":
            by_segment = replace(FAMILIES["offpolicy"], outer=True)
            return _plain(connection, by_segment, start, end, by_day=True)
        if name == "exposure":
            return _exposure(connection, end)
        if name == "units":
            return _units(connection, start, end, span)
        if name == "unit_rewards":
            return _unit_rewards(connection, start, end, span)
        if name == "segment_rewards":
            return _segment_rewards(connection, start, end, span)
        if family.sampled:
            return _sample(connection, family, start, end, span)
        if name == "pair_sample":
            return _pairs(connection, family, start, end, span)
        if name == "largest":
            return _largest(connection, family, start, end - DAY + 1)
        if name == "gram":
            return _gram(connection, start, end, span)
        return _plain(connection, family, start, end, by_day and family.daily)
    except duckdb.CatalogException:
        return {}


def _plain(
    connection: duckdb.DuckDBPyConnection, family: Family, start: int, end: int, by_day: bool
) -> Index:
    candidate = "candidate_id" if family.by_candidate else "''"
    outer = '"key"' if family.outer else "''"
    beside = "".join(f", {c}" for c in family.places)
    end = end - DAY + 1 if family.whole_days else end
    sums = ", ".join(_merged(family, column) for column in family.sums)
    hour = "GREATEST(hour // 24 * 24, $start)" if by_day else "hour"
    found = connection.execute(
        f"""SELECT policy_id, {candidate} AS candidate, {outer} AS outer_key, {hour} AS hour, bucket,
                {family.inner} AS inner_key{beside}, {sums}
            FROM "sums_{family.name}" WHERE hour >= $start AND hour < $end
            GROUP BY ALL ORDER BY 1, 2, 3, 4, 5, 6""",
        {"start": start, "end": end},
    ).fetchnumpy()
    return _cut(found, (*family.places, *family.sums))


def between(sums: Sums, start: int, end: int) -> Sums:
    """The cells of hours start ≤ hour < end of sums sorted by hour: views, nothing is copied."""
    first, last = np.searchsorted(sums.hour, [start, end])
    part = slice(first, last)
    return Sums(
        sums.hour[part],
        sums.bucket[part],
        sums.key[part],
        {name: column[part] for name, column in sums.columns.items()},
    )


def empty(name: str) -> Sums:
    """Sums of a window without a row."""
    family = FAMILIES[name]
    return _sums({}, (*family.places, *family.sums), slice(0, 0))


def merge(parts: Iterable[Sums]) -> Sums:
    """Cells of several Sums of one family put side by side: every metric adds cells up."""
    kept = [p for p in parts if len(p)]
    if len(kept) == 1:
        return kept[0]
    names = kept[0].columns
    return Sums(
        np.concatenate([p.hour for p in kept]),
        np.concatenate([p.bucket for p in kept]),
        np.concatenate([p.key for p in kept]),
        {name: np.concatenate([p.columns[name] for p in kept]) for name in names},
    )


def _merged(family: Family, column: str) -> str:
    how = "MAX" if column in family.largest else "MIN" if column in family.smallest else "SUM"
    return f'CAST({how}("{column}") AS DOUBLE) AS "{column}"'


def _gram(connection: duckdb.DuckDBPyConnection, start: int, end: int, span: int) -> Index:
    """Products of features, added up over each window: a model has no use for single days."""
    family = FAMILIES["gram"]
    found = connection.execute(
        """SELECT policy_id, candidate_id AS candidate, '' AS outer_key,
                ? + ((hour - ?) // ?) * ? AS hour, bucket, "key" AS inner_key, i, j, SUM(g) AS g
            FROM sums_gram WHERE hour >= ? AND hour < ? GROUP BY ALL ORDER BY 1, 2, 3, 4, 5, 6""",
        [start, start, span, span, start, end - DAY + 1],
    ).fetchnumpy()
    return _cut(found, (*family.places, *family.sums))


def _units(connection: duckdb.DuckDBPyConnection, start: int, end: int, span: int) -> Index:
    found = connection.execute(
        """SELECT policy_id, candidate_id AS candidate, '' AS outer_key, hour, -1 AS bucket, '' AS inner_key,
                CAST(COUNT(*) AS DOUBLE) AS n_units,
                SUM(k) AS k1, SUM(k * k) AS k2, SUM(w) AS w1, SUM(w * w) AS w2
            FROM (SELECT policy_id, who AS candidate_id, ? + ((hour - ?) // ?) * ? AS hour, unit_hash,
                    SUM(k) AS k, SUM(w) AS w
                  FROM (SELECT *, '' AS who FROM sums_units
                        UNION ALL
                        SELECT *, candidate_id AS who FROM sums_units WHERE candidate_id <> '') AS grains
                  WHERE hour >= ? AND hour < ? GROUP BY 1, 2, 3, 4) AS per_unit
            GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6""",
        [start, start, span, span, start, end],
    ).fetchnumpy()
    return _cut(found, FAMILIES["units"].sums)


def _unit_rewards(connection: duckdb.DuckDBPyConnection, start: int, end: int, span: int) -> Index:
    found = connection.execute(
        """SELECT policy_id, '' AS candidate, '' AS outer_key, hour, bucket, '' AS inner_key,
                CAST(COUNT(*) AS DOUBLE) AS g, SUM(m) AS m1, SUM(m * m) AS m2, SUM(x) AS x1,
                SUM(x * x / m) AS x2m
            FROM (SELECT policy_id, ? + ((hour - ?) // ?) * ? AS hour, bucket, unit_hash,
                    CAST(SUM(m) AS DOUBLE) AS m, CAST(SUM(x) AS DOUBLE) AS x
                  FROM sums_units WHERE hour >= ? AND hour < ?
                  GROUP BY 1, 2, 3, 4 HAVING SUM(m) > 0) AS per_unit
            GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6""",
        [start, start, span, span, start, end],
    ).fetchnumpy()
    return _cut(found, FAMILIES["unit_rewards"].sums)


def _segment_rewards(connection: duckdb.DuckDBPyConnection, start: int, end: int, span: int) -> Index:
    found = connection.execute(
        """SELECT policy_id, '' AS candidate, '' AS outer_key, ? + ((hour - ?) // ?) * ? AS hour,
                -1 AS bucket, "key" AS inner_key,
                CAST(SUM(n_reward) AS DOUBLE) AS n_reward, CAST(SUM(n_one) AS DOUBLE) AS n_one
            FROM sums_reward WHERE hour >= ? AND hour < ?
            GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6""",
        [start, start, span, span, start, end],
    ).fetchnumpy()
    return _cut(found, FAMILIES["segment_rewards"].sums)


def _exposure(connection: duckdb.DuckDBPyConnection, end: int) -> Index:
    """Units at first exposure; where decisions are units there is no table of them, and the arms' counts
    and all their rows stand for it."""
    if has_table(connection, "sums_exposure"):
        columns = [row[0] for row in connection.execute("DESCRIBE sums_exposure").fetchall()]
        features = [c.removeprefix("bin_") for c in columns if c.startswith("bin_")]
        selects = [exposure.units(end), *(exposure.states(f, end) for f in features)]
    else:
        selects = [exposure.of_decisions(end)]
    found = connection.execute(
        f"SELECT * FROM ({' UNION ALL '.join(selects)}) AS cells ORDER BY 1, 2, 3, 4, 5, 6"
    ).fetchnumpy()
    return _cut(found, exposure.COLUMNS)


def _sample(
    connection: duckdb.DuckDBPyConnection, family: Family, start: int, end: int, span: int
) -> Index:
    who = "candidate_id" if family.by_candidate else "''"
    most = SIZE if span == 1 else WINDOW_SIZE
    ranked = _ranked(who, start, end, span)
    table = connection.sql(
        f"""SELECT policy_id, {who} AS candidate, hour, bucket, key, {", ".join(family.sums)}
            FROM (SELECT *, {ranked} AS place FROM "sums_{family.name}" WHERE hour >= $start AND hour < $end)
            WHERE place <= {most} ORDER BY policy_id, candidate, hour, row_hash""",
        params={"start": start, "end": end},
    ).to_arrow_table()
    # Hundreds of thousands of rows with a few names: each name becomes one object of Python, not one a row.
    policies, policy = _coded(table["policy_id"])
    candidates, candidate = _coded(table["candidate"])
    keys, key = _coded(table["key"])
    found = {name: table[name].to_numpy() for name in ("hour", "bucket", *family.sums)}
    found["inner_key"] = keys[key]
    pair = policy.astype(np.int64) * (len(candidates) + 1) + candidate
    ends = [*(np.flatnonzero(np.diff(pair)) + 1).tolist(), len(pair)]
    return {
        (str(policies[policy[a]]), str(candidates[candidate[a]]), ""): _sums(found, family.sums, slice(a, b))
        for a, b in zip([0, *ends[:-1]], ends, strict=True)
        if b
    }


def _pairs(
    connection: duckdb.DuckDBPyConnection, family: Family, start: int, end: int, span: int
) -> Index:
    """Single rows of a pair of policies, at most SPAN_SIZE of smallest hash a window."""
    place = _ranked("candidate_id", start, end, span)
    found = connection.execute(
        f"""SELECT policy_id, candidate_id AS candidate, '' AS outer_key, hour, bucket, '' AS inner_key,
                {", ".join(family.sums)}
            FROM (SELECT *, {place} AS place FROM "sums_{family.name}" WHERE hour >= $start AND hour < $end)
            WHERE place <= {SPAN_SIZE} ORDER BY policy_id, candidate_id, hour, row_hash""",
        {"start": start, "end": end},
    ).fetchnumpy()
    return _cut(found, family.sums)


def _largest(connection: duckdb.DuckDBPyConnection, family: Family, start: int, end: int) -> Index:
    """The largest weights of each day, as they are."""
    found = connection.execute(
        """SELECT policy_id, candidate_id AS candidate, '' AS outer_key, hour, bucket, '' AS inner_key, w
            FROM sums_largest WHERE hour >= ? AND hour < ? ORDER BY 1, 2, 4, 7""",
        [start, end],
    ).fetchnumpy()
    return _cut(found, family.sums)


def _ranked(who: str, start: int, end: int, span: int) -> str:
    """The place of a row in its window by its hash; an hour holds no more than may be kept as it is. DuckDB
    need not sort them all where only columns tell windows apart, as one window does."""
    if span == 1:
        return "1"
    window = "" if end - start <= span else f", (hour - $start) // {span}"
    columns = f"policy_id, {who}" if who == "candidate_id" else "policy_id"
    return f"ROW_NUMBER() OVER (PARTITION BY {columns}{window} ORDER BY row_hash)"


def _coded(column: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """The distinct texts of a column of Arrow, and which of them each row has."""
    coded = column.combine_chunks().dictionary_encode()
    return np.array(coded.dictionary.to_pylist(), dtype=object), coded.indices.to_numpy()


def _cut(found: Mapping[str, NDArray[Any]], columns: tuple[str, ...]) -> Index:
    size = len(found["hour"])
    if not size:
        return {}
    names = ("policy_id", "candidate", "outer_key")
    changed = np.zeros(size, dtype=bool)
    changed[0] = True
    for name in names:
        values = found[name]
        changed[1:] |= values[1:] != values[:-1]
    starts = np.flatnonzero(changed)
    ends = np.append(starts[1:], size)
    return {
        (str(found[names[0]][a]), str(found[names[1]][a]), str(found[names[2]][a])): _sums(
            found, columns, slice(a, b)
        )
        for a, b in zip(starts.tolist(), ends.tolist(), strict=True)
    }


def _sums(found: Mapping[str, NDArray[Any]], columns: tuple[str, ...], part: slice) -> Sums:
    def column(name: str, kind: Any) -> NDArray[Any]:
        values = np.asarray(found[name][part]) if name in found else np.empty(0)
        return values.astype(kind, copy=False)

    return Sums(
        column("hour", np.int64),
        column("bucket", np.int64),
        column("inner_key", object),
        MappingProxyType({c: column(c, np.int64 if c in HASHES else np.float64) for c in columns}),
    )
