"""Counts of rows, rejects by reason and faults by column, by hour."""

from __future__ import annotations

from monitor.config import Config
from monitor.sums.family import Family, Frozen


def _select(config: Config, baseline: Frozen | None) -> str:
    return """
        SELECT '' AS policy_id, '' AS candidate_id, hour, -1 AS bucket, 'rows' AS key, COUNT(*) AS n
        FROM decisions GROUP BY 1, 2, 3, 4, 5
        UNION ALL
        SELECT '' AS policy_id, '' AS candidate_id, hour, -1 AS bucket,
            CONCAT('rejects:', reason) AS key, COUNT(*) AS n
        FROM rejects WHERE mended_at IS NULL GROUP BY 1, 2, 3, 4, 5
        UNION ALL
        SELECT '' AS policy_id, '' AS candidate_id, hour, -1 AS bucket,
            CONCAT('faults:', column_name) AS key, COUNT(*) AS n
        FROM faults GROUP BY 1, 2, 3, 4, 5"""


FAMILY = Family("quality", ("n",), _select, inner="key")
