"""How long things take, and how much memory: measured, beside what DuckDB alone needs for the same data."""
