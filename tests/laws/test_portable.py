"""The SQL of the families is plain enough to run elsewhere: sqlglot writes it for Spark."""

import pytest
import sqlglot

from monitor.sums import FAMILIES
from tests.laws.test_merge import FROZEN, VIEWS

NOT_PORTABLE = ("hash(", "quantile", "approx", "histogram", "sample(", "md5(", "list_")


@pytest.mark.parametrize("name", [n for n, f in FAMILIES.items() if n not in VIEWS and not f.whole_episodes])
def test_family_sql_transpiles_to_spark(name, loaded) -> None:
    select = FAMILIES[name].select(loaded.config, FROZEN)
    spark = sqlglot.transpile(
        select, read="duckdb", write="spark", unsupported_level=sqlglot.ErrorLevel.RAISE
    )
    assert len(spark) == 1 and spark[0].startswith("SELECT")
    assert not [word for word in NOT_PORTABLE if word in select.lower()]
