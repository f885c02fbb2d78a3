"""The figures that the suites judge: one scan of what arrived tonight, one of each KPI table, kept in schema `ops`.

Suites read these few rows instead of the data, so their cost doesn't grow with it. What earlier nights measured stays
in `ops.arrivals` and `ops.arrived_columns`: it's the history that drift and volume are judged against.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

import duckdb

from expectations.marts import CUMULATIVE_MARTS, FAMILIES
from expectations.raw import KNOWN_VALUES, RANGES
from orchestration.contract import TABLES, Column

LEAST_ROWS_JUDGED = 100
NUMBERS = ("INTEGER", "BIGINT", "DOUBLE", "DECIMAL")

_TABLES = """
create table if not exists ops.arrivals (
    run_id varchar, area varchar, table_name varchar, delivered_files bigint, n_rows bigint, n_deleted bigint,
    rows_before bigint, arrived_on date, last_load_id bigint, is_accepted boolean);
create table if not exists ops.arrived_columns (
    run_id varchar, area varchar, table_name varchar, column_name varchar, n_rows bigint, n_null bigint,
    n_unknown bigint, n_out_of_range bigint, examples varchar, mean_value double);
"""


def profile_arrivals(con: duckdb.DuckDBPyConnection, run_id: str, arrived_on: date) -> None:
    """Measure what was loaded since the last published run, and lay `ops.raw_tables` and `ops.raw_columns` ready.

    What a blocked or killed run loaded is measured again, so that a load that blocked once blocks until it's mended.
    """
    con.execute(_TABLES)
    con.execute(
        "delete from ops.arrived_columns where run_id not in (select run_id from ops.arrivals where is_accepted)"
    )
    con.execute("delete from ops.arrivals where not is_accepted")
    settled = con.execute("select coalesce(max(last_load_id), 0) from ops.arrivals").fetchone()[0]
    new = con.execute(
        "select table_name, count(*), max(load_id) from ops.load_log where load_id > ? group by all", [settled]
    ).fetchall()
    for name, files, last_load_id in new:
        _measure(con, run_id, name, settled, [files, arrived_on, last_load_id])
    con.execute(_RAW_TABLES, {"run": run_id, "today": arrived_on})
    con.execute(_RAW_COLUMNS, {"run": run_id})


def accept_arrivals(con: duckdb.DuckDBPyConnection, run_id: str) -> None:
    """What this run measured was published: from now on it's history."""
    con.execute("update ops.arrivals set is_accepted = true where run_id = ?", [run_id])


def _measure(con: duckdb.DuckDBPyConnection, run_id: str, name: str, settled: int, delivery: list[object]) -> None:
    table = TABLES[name]
    arrived = f"raw.{name} where _load_id > {int(settled)}"
    columns = [column for column in table.columns if not column.key and column.name != "_loaded_at"]
    measures = [
        "count(*)",
        "count(*) filter (_deleted)",
        *(part for column in columns for part in _parts(name, column)),
    ]
    rows, deleted, *figures = con.execute(f"select {', '.join(measures)} from {arrived}").fetchone()
    if deleted:  # a later row of the same key may have brought it back
        deleted = con.execute(
            f"""select count(*) from (
                select arg_max(coalesce(_deleted, false), _loaded_at) as is_deleted from {arrived}
                group by {", ".join(table.key)}) where is_deleted"""
        ).fetchone()[0]
    before = con.execute(f"select count(*) from raw.{name}").fetchone()[0] - rows
    con.execute(
        "insert into ops.arrivals values (?, ?, ?, ?, ?, ?, ?, ?, ?, false)",
        [run_id, table.area, name, delivery[0], rows, deleted, before, *delivery[1:]],
    )
    con.executemany(
        "insert into ops.arrived_columns values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            [run_id, table.area, name, column.name, rows, *figures[5 * position : 5 * position + 5]]
            for position, column in enumerate(columns)
        ],
    )


def _parts(table: str, column: Column) -> list[str]:
    """Nulls, values that the contract doesn't name, numbers out of range, examples of both, and the mean."""
    known, bounds = KNOWN_VALUES.get((table, column.name)), RANGES.get((table, column.name))
    strange = f"lower(trim({column.name})) not in ({_list(known)})" if known else "false"
    outside = f"{column.name} not between {bounds[0]} and {bounds[1]}" if bounds else "false"
    values = f"list(distinct {column.name}::varchar) filter ({strange} or {outside})"
    return [
        f"count(*) - count({column.name})",
        f"count(*) filter ({strange})",
        f"count(*) filter ({outside})",
        f"array_to_string(list_sort({values})[:5], ', ')" if known or bounds else "null",
        f"avg({column.name}::double)" if column.type.startswith(NUMBERS) else "null",
    ]


# History is what earlier runs saw arrive. `volume_z` is in standard deviations that grow with the square root of the
# usual volume, never less than the spread seen; NULL (so not judged) below five earlier arrivals.
_RAW_TABLES = """
create or replace table ops.raw_tables as
with earlier as (
    select
        area, table_name, count(*) as n_nights, avg(n_rows) as usual_rows, coalesce(stddev_samp(n_rows), 0) as spread,
        max(arrived_on) as last_arrived_on,
        date_diff('day', min(arrived_on), max(arrived_on)) / nullif(count(distinct arrived_on) - 1, 0) as usual_gap_days
    from ops.arrivals where run_id <> $run and n_rows > 0 group by area, table_name
),
tonight as (select * from ops.arrivals where run_id = $run)
select
    coalesce(tonight.area, earlier.area) as area,
    coalesce(tonight.table_name, earlier.table_name) as table_name,
    coalesce(tonight.n_rows, 0) as n_rows,
    coalesce(tonight.delivered_files, 0) as delivered_files,
    coalesce(earlier.n_nights, 0) as n_nights,
    round(earlier.usual_rows, 1) as usual_rows,
    case when earlier.n_nights >= 5 and tonight.delivered_files > 0
        then (tonight.n_rows - earlier.usual_rows) / greatest(sqrt(earlier.usual_rows), earlier.spread, 1)
        end as volume_z,
    case when earlier.n_nights >= 5
        then date_diff('day', earlier.last_arrived_on, $today::date) - 2 * earlier.usual_gap_days - 1
        end as overdue_days,
    case when tonight.rows_before >= 100 then tonight.n_deleted / tonight.rows_before end as deleted_share
from tonight full join earlier using (table_name)
"""

_RAW_COLUMNS = """
create or replace table ops.raw_columns as
with earlier as (
    select
        table_name, column_name, count(*) as n_nights, sum(n_rows) as n_rows,
        sum(n_null) / sum(n_rows) as null_share, avg(mean_value) as usual_mean, stddev_samp(mean_value) as spread
    from ops.arrived_columns where run_id <> $run and n_rows > 0 group by all
)
select
    tonight.area, tonight.table_name, tonight.column_name, tonight.n_rows, tonight.n_unknown, tonight.n_out_of_range,
    tonight.examples,
    tonight.n_null / nullif(tonight.n_rows, 0) as null_share,
    earlier.null_share as usual_null_share,
    case when earlier.n_nights >= 5 and abs(tonight.n_null / tonight.n_rows - earlier.null_share) > 0.05
        then (tonight.n_null / tonight.n_rows - earlier.null_share)
            / sqrt((earlier.null_share * (1 - earlier.null_share) + 1.0 / earlier.n_rows) / tonight.n_rows)
        end as null_share_z,
    case when earlier.n_nights >= 5 and earlier.usual_mean <> 0 and tonight.n_rows >= 30
        then abs(log10(abs(nullif(tonight.mean_value, 0) / earlier.usual_mean))) end as mean_shift_log10,
    tonight.mean_value, earlier.usual_mean
from ops.arrived_columns as tonight left join earlier using (table_name, column_name)
where tonight.run_id = $run and tonight.n_rows > 0
"""


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
    select period_type, arg_max(move, period_start) as last_move from moves where move is not null group by all
),
spreads as (
    select moves.period_type, count(*) as n_moves, stddev_samp(move) as spread
    from moves join last_moves using (period_type)
    where period_start < (select max(period_start) from moves) and move is not null group by all
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


def _list(values: Iterable[str]) -> str:
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values)
