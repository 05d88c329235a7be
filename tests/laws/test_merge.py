"""The law of every family: merge(state(A), state(B)) == state(A ∪ B)."""

import duckdb
import numpy as np
import pytest

from monitor.config import Loaded
from monitor.sums import FAMILIES
from monitor.sums.family import Frozen
from monitor.sums.sample import SIZE
from tests.conftest import rows_of

FROZEN = Frozen(
    "f" * 16,
    {
        "load": {"edges": [-2.0, -1.0, -0.2, 0.3, 1.1, 2.0], "sd": 0.9},
        "season": {"categories": ["low", "mid"], "seen": ["high"]},
    },
    {"north": ["a", "b"], "south": ["b"]},
)
BESIDE = ("model", "action_step")
PLACE = "policy_id, candidate_id, hour, bucket, key"
APART = ("sample", "pair_sample", "largest", "quality", "units", "exposure")
VIEWS = ("unit_rewards", "segment_rewards", "segments")


def summed(connection: duckdb.DuckDBPyConnection, loaded: Loaded, name: str):
    select = FAMILIES[name].select(loaded.config, FROZEN)
    assert select is not None
    return connection.sql(select).to_arrow_table().to_pandas()


def both(decisions, loaded: Loaded) -> duckdb.DuckDBPyConnection:
    connection = decisions(1)
    connection.register("more", rows_of(2, 4000))
    connection.execute("INSERT INTO decisions BY NAME SELECT * FROM more")
    for table in ("rejects", "faults"):
        connection.execute(f"INSERT INTO {table} (hour, {'reason' if table == 'rejects' else 'column_name'}) "
                           "SELECT hour, 'x' FROM decisions LIMIT 50")
    return connection


# Those of whole episodes are in test_episodes.py: there an episode is what cannot be split.
BY_ROW = [n for n, f in FAMILIES.items() if n not in (*APART, *VIEWS) and not f.whole_episodes]


@pytest.mark.parametrize("name", [n for n in BY_ROW if n not in BESIDE and not FAMILIES[n].sampled])
def test_sums_of_two_logs_merge_into_the_sums_of_both(name, decisions, loaded) -> None:
    import pandas as pd

    family = FAMILIES[name]
    parts = pd.concat([summed(decisions(1), loaded, name), summed(decisions(2), loaded, name)])
    whole = summed(both(decisions, loaded), loaded, name)
    place = [c for c in whole.columns if c not in family.sums]
    how = {c: "max" if c in family.largest else "min" if c in family.smallest else "sum" for c in family.sums}
    merged = parts.groupby(place, as_index=False, dropna=False).agg(how)
    assert len(merged) == len(whole) > 0
    merged, whole = (t.sort_values(place).reset_index(drop=True) for t in (merged, whole))
    for column in family.sums:
        a, b = merged[column].to_numpy(float), whole[column].to_numpy(float)
        if column == "n" or column.startswith("n_") or column == "x":
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_weights_of_units_merge_exactly_up_to_rounding(decisions, loaded) -> None:
    import pandas as pd

    place = ["policy_id", "candidate_id", "hour", "unit_hash"]
    parts = pd.concat([summed(decisions(1), loaded, "units"), summed(decisions(2), loaded, "units")])
    columns, counts = ["n", "k", "w", "m", "x"], ["n", "m", "x"]
    merged = parts.groupby(place)[columns].sum().astype(float)
    whole = summed(both(decisions, loaded), loaded, "units").set_index(place)[columns].astype(float)
    whole = whole.sort_index()
    assert (merged[counts] == whole[counts]).all(axis=None)
    np.testing.assert_allclose(merged.to_numpy(), whole.to_numpy(), rtol=1e-12)


def test_samples_merge_exactly_by_keeping_the_smallest_hashes(loaded) -> None:
    from monitor.log import schema

    def sample(seeds):
        connection = duckdb.connect(":memory:")
        schema.create(connection, loaded.config)
        for seed in seeds:
            connection.register("rows", rows_of(seed, 6000))
            connection.execute("INSERT INTO decisions BY NAME SELECT * FROM rows")
        connection.execute("UPDATE decisions SET hour = 490000, policy_id = 'old'")
        found = summed(connection, loaded, "sample")
        assert (found["bucket"] == found["unit_hash"] % 64).all()
        return sorted(zip(*(found[c] for c in ("row_hash", "unit_hash", "key", "reward")), strict=True))

    merged = sorted(sample([1]) + sample([2]))[:SIZE]
    assert merged == sample([1, 2])
    assert len(merged) == SIZE


@pytest.mark.parametrize(
    ("name", "first", "size"),
    [("pair_sample", lambda row: row[0], SIZE), ("largest", lambda row: -row[0], 100)],
)
def test_weighted_rows_merge_exactly_by_keeping_the_first(loaded, name, first, size) -> None:
    from monitor.log import schema

    def kept(seeds):
        connection = duckdb.connect(":memory:")
        schema.create(connection, loaded.config)
        for seed in seeds:
            connection.register("rows", rows_of(seed, 6000))
            connection.execute("INSERT INTO decisions BY NAME SELECT * FROM rows")
        connection.execute("UPDATE decisions SET hour = 490000, policy_id = 'old', candidate_id = 'new'")
        found = summed(connection, loaded, name)
        return sorted(zip(*(found[column] for column in FAMILIES[name].sums), strict=True), key=first)

    merged = sorted(kept([1]) + kept([2]), key=first)[:size]
    assert merged == kept([1, 2])
    assert len(merged) == size


def test_counts_of_rejects_and_faults_merge_exactly(decisions, loaded) -> None:
    connection = both(decisions, loaded)
    found = summed(connection, loaded, "quality").groupby("key")["n"].sum().to_dict()
    assert found == {"rows": 8000, "rejects:x": 50, "faults:x": 50}


@pytest.mark.parametrize("name", BESIDE)
def test_decisions_beside_each_other_merge_where_no_episode_is_in_both_logs(name, decisions, loaded) -> None:
    import pandas as pd

    def own(connection):
        connection.execute(
            "UPDATE decisions SET episode_id = CONCAT(split_part(decision_id, '-', 1), ' ', unit_hash % 40)"
        )
        return summed(connection, loaded, name)

    place, columns = PLACE.split(", "), list(FAMILIES[name].sums)
    parts = pd.concat([own(decisions(1)), own(decisions(2))])
    merged = parts.groupby(place)[columns].sum().sort_index()
    whole = own(both(decisions, loaded)).set_index(place)[columns].sort_index()
    assert len(whole) > 0 and merged["n"].equals(whole["n"].astype(merged["n"].dtype))
    np.testing.assert_allclose(merged.to_numpy(float), whole.to_numpy(float), rtol=1e-12)


@pytest.mark.parametrize("name", ["critic_sample", "goodhart_sample", "state_sample"])
def test_samples_of_pairs_merge_exactly(name, decisions, loaded) -> None:
    columns = ["policy_id", "hour", "key", *FAMILIES[name].sums]
    rows = lambda frame: sorted(map(tuple, frame[columns].to_numpy()))  # noqa: E731
    parts = rows(summed(decisions(1), loaded, name)) + rows(summed(decisions(2), loaded, name))
    assert sorted(parts) == rows(summed(both(decisions, loaded), loaded, name))
    assert len(parts) > 1000
