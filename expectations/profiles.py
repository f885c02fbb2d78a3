"""The figures by which the suites judge the marts: one scan of each KPI table, kept in schema `ops`.

Suites read these few rows instead of the data, so their cost doesn't grow with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import duckdb

from expectations.marts import CUMULATIVE_MARTS, FAMILIES

LEAST_ROWS_JUDGED = 100


def profile_marts(con: duckdb.DuckDBPyConnection, as_of: date, marts_file: Path) -> None:
    """Measure the built marts and lay `ops.mart_tables` and `ops.mart_kpis` ready for the suites of the marts."""
    built = _tables(con, "marts")
    previous_rows, previous_as_of = _previous(con, marts_file)
    is_comparable = previous_as_of is not None and previous_as_of <= as_of
    con.execute(
        """create or replace table ops.mart_tables
        (table_name varchar, n_rows bigint, previous_rows bigint, kept_share double, is_judged varchar)"""
    )
    for name in sorted(built):
        rows = con.execute(f"select count(*) from marts.{name}").fetchone()[0]
        before = previous_rows.get(name, 0)
        is_judged = is_comparable and name in CUMULATIVE_MARTS and before >= LEAST_ROWS_JUDGED
        con.execute(
            "insert into ops.mart_tables values (?, ?, ?, ?, ?)",
            [name, rows, before, rows / before if before else None, "yes" if is_judged else "no"],
        )
    con.execute(
        """create or replace table ops.mart_kpis (family varchar, table_name varchar, period_type varchar,
        lowest_allowed double, highest_allowed double, lowest double, highest double, n_values bigint,
        n_not_finite bigint, jump_sd double)"""
    )
    for family, kpis in FAMILIES.items():
        for kpi, (low, high) in kpis.items():
            if f"kpi_{kpi}" in built:
                con.execute(_KPI.format(table=f"kpi_{kpi}"), {"family": family, "low": low, "high": high})


# `jump_sd`: how far the last complete value of `all` moved, in standard deviations of the moves before it.
_KPI = """
insert into ops.mart_kpis
with moves as (
    select period_type, period_start, value - lag(value) over (partition by period_type order by period_start) as move
    from marts.{table} where segment_type = 'all' and is_complete and value is not null
),
last_moves as (
    select period_type, max(period_start) as last_start, arg_max(move, period_start) as last_move
    from moves where move is not null group by all
),
spreads as (
    select moves.period_type, count(*) as n_moves, stddev_samp(move) as spread
    from moves join last_moves using (period_type)
    where period_start < last_start and move is not null group by all
)
select
    $family, '{table}', period_type, $low, $high, min(value), max(value), count(value),
    count(*) filter (isnan(value) or isinf(value)),
    any_value(case when n_moves >= 12 and spread > 0 then abs(last_move) / spread end)
from marts.{table} left join last_moves using (period_type) left join spreads using (period_type)
group by period_type
"""


def _tables(con: duckdb.DuckDBPyConnection, schema: str) -> set[str]:
    rows = con.execute(
        """select table_name from information_schema.tables
        where table_catalog = current_database() and table_schema = ?""",
        [schema],
    ).fetchall()
    return {name for (name,) in rows}


def _previous(con: duckdb.DuckDBPyConnection, marts_file: Path) -> tuple[Mapping[str, int], date | None]:
    if not marts_file.exists():
        return {}, None
    with duckdb.connect(str(marts_file), read_only=True) as published:
        names = [name for (name,) in published.execute("select table_name from duckdb_tables()").fetchall()]
        rows = {name: published.execute(f'select count(*) from "{name}"').fetchone()[0] for name in names}
        return rows, published.execute("select as_of_date from meta_publication").fetchone()[0]
