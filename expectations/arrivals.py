"""The figures by which the suites judge what arrived: a few scans of tonight's rows, kept in schema `ops`.

`ops.arrivals` and the tables `ops.arrived_*` keep what each night measured: that is the history. The tables `ops.raw_*`
hold tonight's figures beside what is usual; the suites of raw.py read only those. A figure that can't be judged (no
history, too few rows) is NULL, and NULL passes.
"""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import duckdb

from expectations import judging
from expectations.contradictions import find_contradictions
from expectations.raw import CATEGORIES, DESCRIBED, HOURLY, UNUSUAL
from expectations.versions import newest_first
from orchestration.contract import TABLES, Column, Table
from orchestration.reading import partition_of
from orchestration.sql import bare, literals

NUMBERS = ("INTEGER", "BIGINT", "DOUBLE", "DECIMAL")
# Nights back in which a delivery is looked for that tonight's may repeat.
NIGHTS_COMPARED = 7
# Files back whose columns tonight's are compared with.
FILES_COMPARED = 60

OPS_TABLES = """
create table if not exists ops.arrivals (
    run_id varchar, area varchar, table_name varchar, delivered_files bigint, n_rows bigint, rows_before bigint,
    arrived_on date, last_load_id bigint, is_accepted boolean);
alter table ops.arrivals add column if not exists known_files bigint;
alter table ops.arrivals add column if not exists n_delivered bigint;
alter table ops.arrivals add column if not exists n_quarantined bigint;
alter table ops.arrivals add column if not exists repeated_share double;
alter table ops.arrivals add column if not exists n_vanished bigint;
alter table ops.arrivals add column if not exists kept_share double;
alter table ops.arrivals add column if not exists n_conflicts bigint;
alter table ops.arrivals add column if not exists deleted_share double;
create table if not exists ops.arrived_columns (
    run_id varchar, area varchar, table_name varchar, column_name varchar, n_rows bigint, n_null bigint,
    n_unknown bigint, n_out_of_range bigint, examples varchar, mean_value double);
alter table ops.arrived_columns add column if not exists n_untidy bigint;
alter table ops.arrived_columns add column if not exists n_positive bigint;
alter table ops.arrived_columns add column if not exists mean_log double;
alter table ops.arrived_columns add column if not exists mean_log_squared double;
create table if not exists ops.arrived_values (
    run_id varchar, table_name varchar, column_name varchar, value varchar, n_rows bigint);
create table if not exists ops.arrived_hours (
    run_id varchar, table_name varchar, column_name varchar, hour integer, n_rows bigint);
create table if not exists ops.arrived_answers (run_id varchar, survey_id varchar, share double, n_rows bigint);
"""
_HISTORIES = ("arrived_columns", "arrived_values", "arrived_hours", "arrived_answers")


def profile_arrivals(con: duckdb.DuckDBPyConnection, run_id: str, arrived_on: date, timezone: str = "UTC") -> None:
    """Measure what was loaded since the last published run, and lay the tables `ops.raw_*` ready.

    What a blocked or killed run loaded is measured again, so that a load that blocked once blocks until it's mended.
    Mended is a row by a newer one of its key: of each key only the newest of these rows is measured. `timezone` is that
    of the reporting: hours of the day are told by its clock, so that its summer time is no shift.
    """
    con.execute(OPS_TABLES)
    for table in _HISTORIES:
        con.execute(f"delete from ops.{table} where run_id not in (select run_id from ops.arrivals where is_accepted)")
    con.execute("delete from ops.arrivals where not is_accepted")
    settled = con.execute("select coalesce(max(last_load_id), 0) from ops.arrivals").fetchone()[0]
    # two files that hold a header only are alike, but nothing was sent again
    new = con.execute(
        """select
            table_name, count(*) filter (not is_repeated and status <> 'replayed'), count(*) filter (is_repeated),
            max(load_id), coalesce(sum(delivered_rows) filter (status <> 'replayed'), 0)::bigint,
            (select count(*) from ops.quarantine as open
            where open.table_name = loads.table_name and load_id > $settled and status = 'open')
        from (
            select *, status = 'known' and exists (
                select 1 from ops.load_log as earlier
                where earlier.table_name = log.table_name and earlier.content_hash = log.content_hash
                    and earlier.delivered_rows > 0
            ) as is_repeated
            from ops.load_log as log where load_id > $settled
        ) as loads group by all""",
        {"settled": settled},
    ).fetchall()
    con.execute("create or replace temp table superseded (table_name varchar, row_id bigint)")
    for name, *delivery in new:
        _measure_table(con, run_id, TABLES[name], settled, arrived_on, *delivery)
        _measure_columns(con, run_id, TABLES[name], settled)
        _measure_values(con, run_id, TABLES[name], settled)
        _measure_hours(con, run_id, TABLES[name], settled, timezone)
    _measure_scores(con, run_id, settled)
    con.execute(judging.RAW_TABLES, {"run": run_id, "today": arrived_on})
    con.execute(judging.RAW_COLUMNS, {"run": run_id})
    con.execute(judging.RAW_VALUES, {"run": run_id})
    con.execute(judging.RAW_HOURS, {"run": run_id})
    con.execute(judging.RAW_SCORES, {"run": run_id})
    _find_lost_columns(con, settled)
    _find_orphans(con, settled)
    find_contradictions(con, settled)


def accept_arrivals(con: duckdb.DuckDBPyConnection, run_id: str) -> None:
    """What this run measured was published: from now on it's history."""
    con.execute("update ops.arrivals set is_accepted = true where run_id = ?", [run_id])


def _measure_table(
    con: duckdb.DuckDBPyConnection,
    run_id: str,
    table: Table,
    settled: int,
    arrived_on: date,
    files: int,
    known_files: int,
    last_load_id: int,
    delivered: int,
    quarantined: int,
) -> None:
    conflicts = _set_aside_superseded(con, table, settled)
    rows, has_deleted = con.execute(f"select count(*), bool_or(_deleted) from {_arrived(table, settled)}").fetchone()
    before = con.execute(f"select count(*) from raw.{table.name} where _load_id <= {int(settled)}").fetchone()[0]
    deleted_share = _share_deleted(con, table, settled, before) if has_deleted else None
    repeated, kept, vanished = _compare_with_earlier(con, table, settled)
    if not rows and known_files and before:
        repeated = 1.0  # nothing but files that are known, under new names
    con.execute(
        "insert into ops.arrivals by name select ? as run_id, ? as area, ? as table_name, ? as delivered_files, "
        "? as n_rows, ? as deleted_share, ? as rows_before, ?::date as arrived_on, ? as last_load_id, "
        "false as is_accepted, ? as known_files, ? as n_delivered, ? as n_quarantined, ? as repeated_share, "
        "? as kept_share, ? as n_vanished, ? as n_conflicts",
        [
            *(run_id, table.area, table.name, files, rows, deleted_share, before, arrived_on, last_load_id),
            *(known_files, delivered, quarantined, repeated, kept, vanished, conflicts),
        ],
    )


def _set_aside_superseded(con: duckdb.DuckDBPyConnection, table: Table, settled: int) -> int:
    """Note which of tonight's rows a later one of tonight replaces, in the order of staging; returns how many keys have
    newest rows of one file that contradict each other."""
    key = ", ".join(table.key)
    arrived = f"raw.{table.name} where _load_id > {int(settled)}"
    # the few keys that came twice are found by a number each, so that millions of events fit into memory
    con.execute(
        f"""create or replace temp table came_twice as
        select
            rowid as row_id, {_content(table)} as content, _loaded_at, _load_id, {key},
            row_number() over (partition by {key} order by {newest_first(table)}, rowid) as place
        from {arrived} and hash({key}) in (select hash({key}) from {arrived} group by all having count(*) > 1)"""
    )
    con.execute("insert into superseded select ?, row_id from came_twice where place > 1", [table.name])
    return con.execute(
        f"""select count(*) from (
            select {key} from came_twice join (
                select {key}, _loaded_at, _load_id from came_twice where place = 1
            ) as newest using ({key}, _loaded_at, _load_id)
            group by {key} having min(content) <> max(content))"""
    ).fetchone()[0]


def _arrived(table: Table, settled: int) -> str:
    """Tonight's rows, of each key the newest, to select from."""
    superseded = f"select row_id from superseded where table_name = '{table.name}'"
    return (
        f"(select landed.* from raw.{table.name} as landed anti join ({superseded}) as older "
        f"on landed.rowid = older.row_id where _load_id > {int(settled)}) as arrived"
    )


def _share_deleted(con: duckdb.DuckDBPyConnection, table: Table, settled: int, before: int) -> float | None:
    """The share of the rows that stood before tonight which tonight deletes for good, if there were a hundred.

    Of millions of rows every n-th, by a number made of its key, stands for all.
    """
    key = ", ".join(table.key)
    looked_at = f"hash({key}) % {1 + before // 1_000_000} = 0"
    newest = f"select {key}, arg_max(coalesce(_deleted, false), _loaded_at) as is_gone from raw.{table.name}"
    return con.execute(
        f"""select case when count(*) >= 100 then avg(coalesce(tonight.is_gone, false)::int) end
        from ({newest} where _load_id <= {int(settled)} and {looked_at} group by {key}) as earlier
        left join ({newest} where _load_id > {int(settled)} and {looked_at} group by {key}) as tonight using ({key})
        where not earlier.is_gone"""
    ).fetchone()[0]


def _content(table: Table) -> str:
    """A number, in SQL, that stands for what a row says: all but when it was written, and whether it withdraws."""
    names = [column.name for column in table.columns if column.name != "_loaded_at"]
    return f"hash({', '.join(names)}, coalesce(_deleted, false))"


def _compare_with_earlier(
    con: duckdb.DuckDBPyConnection, table: Table, settled: int
) -> tuple[float | None, float | None, int | None]:
    """(share of tonight's rows that arrived as they are in the last nights, or ever in a file of the same bytes, share
    of the last night's keys that came again, and how many did not). When several runs loaded, the first is that of the
    run that repeats the least: what was sent again harms nothing once tonight's is there. Rows out of quarantine are no
    delivery. The first load of a table is all its history, not a night: it is not compared with.
    """
    marks = con.execute(
        "select last_load_id from ops.arrivals where table_name = ? and is_accepted and n_rows > 0 "
        "order by last_load_id desc",
        [table.name],
    ).fetchall()
    ids = [mark for (mark,) in marks]
    if len(ids) < 2:
        return None, None, None
    key = ", ".join(table.key)
    content = _content(table)
    repeated = con.execute(
        """select distinct before.load_id from ops.load_log as before
        join ops.load_log as tonight using (table_name, content_hash)
        where table_name = ? and before.load_id <= ? and tonight.load_id > ?""",
        [table.name, settled, settled],
    ).fetchall()
    nights = f"_load_id > {ids[min(NIGHTS_COMPARED, len(ids) - 1)]} and _load_id <= {int(settled)}"
    nights += "".join(f" or _load_id = {load_id}" for (load_id,) in repeated)
    last = f"_load_id > {ids[1]} and _load_id <= {ids[0]}"
    return con.execute(
        f"""with
        tonight as (
            select distinct {key}, {content} as content, _delivery
            from raw.{table.name} join (
                select load_id as _load_id, case when status = 'loaded' then run_id end as _delivery from ops.load_log
            ) using (_load_id) where _load_id > {int(settled)}
        ),
        earlier as (
            select distinct {key}, {content} as content, {last} and not coalesce(_deleted, false) as is_last
            from raw.{table.name} where {nights}
        ),
        expected as (select distinct {key}, 1 as was_last from earlier where is_last),
        again as (select distinct {key}, 1 as is_back from tonight)
        select
            (select min(share) from (
                select avg((content in (select content from earlier))::int) as share
                from tonight where _delivery is not null group by _delivery)),
            avg(coalesce(is_back, 0)), count(*) filter (is_back is null)
        from expected left join again using ({key})
        where exists (select 1 from tonight)"""
    ).fetchone()


def _measure_columns(con: duckdb.DuckDBPyConnection, run_id: str, table: Table, settled: int) -> None:
    columns = [column for column in table.columns if column.name != "_loaded_at"]
    parts = [part for column in columns for part in _parts(table.name, column)]
    rows, *figures = con.execute(f"select count(*), {', '.join(parts)} from {_arrived(table, settled)}").fetchone()
    width = len(parts) // len(columns)
    measured = [
        [run_id, table.area, table.name, column.name, rows, *figures[width * place : width * (place + 1)]]
        for place, column in enumerate(columns)
    ]
    marks = ", ".join(f"({', '.join('?' * len(measured[0]))})" for _ in measured)
    con.execute(
        f"""insert into ops.arrived_columns (
            run_id, area, table_name, column_name, n_rows, n_null, n_unknown, n_out_of_range, examples, mean_value,
            n_untidy, n_positive, mean_log, mean_log_squared
        ) values {marks}""",
        [figure for row in measured for figure in row],
    )


def _parts(table: str, column: Column) -> list[str]:
    """Nulls, unknown values, numbers out of range, examples of both, the mean, untidy texts, and logarithms."""
    name = column.name
    known, bounds = DESCRIBED.get((table, name)), UNUSUAL.get((table, name))
    strange = f"lower({bare(name)}) not in ({literals(known)})" if known else "false"
    outside = f"{name} not between {bounds[0]} and {bounds[1]}" if bounds else "false"
    values = f"list(distinct {name}::varchar) filter ({strange} or {outside})"
    is_number = column.type.startswith(NUMBERS)
    logarithm = f"log10(case when {name} > 0 then {name}::double end)"
    return [
        f"count(*) - count({name})",
        f"count(*) filter ({strange})",
        f"count(*) filter ({outside})",
        f"array_to_string(list_sort({values})[:5], ', ')" if known or bounds else "null",
        f"avg({name}::double)" if is_number else "null",
        f"count(*) filter ({_is_untidy(name)})" if column.type == "VARCHAR" else "0",
        f"count({logarithm})" if is_number else "null",
        f"avg({logarithm})" if is_number else "null",
        f"avg(power({logarithm}, 2))" if is_number else "null",
    ]


def _is_untidy(name: str) -> str:
    """No-break and zero-width characters, letters apart from their accents, and UTF-8 read as Latin 1."""
    signs = "".join(chr(code) for code in range(0x80, 0xC0))
    latin = signs + signs.encode("latin-1").decode("cp1252", "ignore")
    broken = f"[\u00c3\u00c2][{re.escape(latin)}]|\u00e2\u20ac|\ufffd"
    marks = f"[\u00a0\u202f\u200b\ufeff]|{broken}".replace("'", "''")
    return (
        f"case when strlen({name}) = length({name}) then false "
        f"else regexp_matches({name}, '{marks}') or nfc_normalize({name}) <> {name} end"
    )


def _measure_values(con: duckdb.DuckDBPyConnection, run_id: str, table: Table, settled: int) -> None:
    for name in CATEGORIES.get(table.name, ()):
        con.execute(
            f"""insert into ops.arrived_values
            select ?, ?, ?, lower({bare("value")}), sum(n_rows) from (
                select {name}::varchar as value, count(*) as n_rows from {_arrived(table, settled)}
                where {name} is not null group by all
            ) group by all""",
            [run_id, table.name, name],
        )


def _measure_hours(con: duckdb.DuckDBPyConnection, run_id: str, table: Table, settled: int, timezone: str) -> None:
    if name := HOURLY.get(table.name):
        con.execute(
            f"""insert into ops.arrived_hours
            select ?, ?, ?, extract(hour from timezone(?, timezone('UTC', quarter_hour))), sum(n_rows) from (
                select time_bucket(interval 15 minute, {name}) as quarter_hour, count(*) as n_rows
                from {_arrived(table, settled)} where {name} is not null group by all
            ) group by all""",
            [run_id, table.name, name, timezone],
        )


def _measure_scores(con: duckdb.DuckDBPyConnection, run_id: str, settled: int) -> None:
    """Where answers lie on their survey's scale, 0 to 1: a changed scale shows in its survey, not in the sum of all."""
    con.execute(
        f"""insert into ops.arrived_answers
        with scales as (
            select survey_id, arg_max(scale_min, _loaded_at) as low, arg_max(scale_max, _loaded_at) as high
            from raw.surveys group by all
        )
        select $run, survey_id, (score - low) / nullif(high - low, 0) as share, count(*)
        from {_arrived(TABLES["survey_responses"], settled)} join scales using (survey_id)
        group by all having share is not null""",
        {"run": run_id},
    )


def _find_lost_columns(con: duckdb.DuckDBPyConnection, settled: int) -> None:
    """Columns that the last files of a table all named, and one of tonight's whose rows are still the newest doesn't.

    Lines of JSON say nothing of it: many writers leave out what is empty.
    """
    con.execute(
        "create or replace table ops.raw_headers (area varchar, table_name varchar, n_lost bigint, columns varchar)"
    )
    files = con.execute(
        """select table_name, load_id, path, header from ops.load_log
        where status = 'loaded' and loaded_rows > 0 and file_format <> 'jsonl'
        qualify load_id > $settled
            or row_number() over (partition by table_name, load_id > $settled order by load_id desc) <= $compared""",
        {"settled": settled, "compared": FILES_COMPARED},
    ).fetchall()
    for table in TABLES.values():
        columns = {column.name for column in table.columns if column.name != "_loaded_at"}
        named = {
            load_id: columns & {*(column.strip().lower() for column in header), *dict(partition_of(table, Path(path)))}
            for name, load_id, path, header in files
            if name == table.name
        }
        earlier = [names for load_id, names in named.items() if load_id <= settled]
        if len(earlier) < 5:
            continue
        expected = set.intersection(*earlier)
        lacking = {load_id: expected - names for load_id, names in named.items() if load_id > settled}
        lost = {
            name
            for load_id, names in lacking.items()
            if names and _has_rows_left(con, table, settled, load_id)
            for name in names
        }
        con.execute(
            "insert into ops.raw_headers values (?, ?, ?, ?)",
            [table.area, table.name, len(lost), ", ".join(sorted(lost))],
        )


def _has_rows_left(con: duckdb.DuckDBPyConnection, table: Table, settled: int, load_id: int) -> bool:
    found = con.execute(f"select 1 from {_arrived(table, settled)} where _load_id = {int(load_id)} limit 1")
    return found.fetchone() is not None


def _find_orphans(con: duckdb.DuckDBPyConnection, settled: int) -> None:
    """Rows that name a parent which has never landed: of tonight's rows, and of all but events. A row waits, whether or
    not anything arrived tonight."""
    con.execute(
        """create or replace table ops.raw_references (
        area varchar, table_name varchar, column_name varchar, parent varchar, n_rows bigint, n_orphans bigint,
        orphan_share double, n_waiting bigint, examples varchar)"""
    )
    arrived = {
        name for (name,) in con.execute("select table_name from ops.load_log where load_id > ?", [settled]).fetchall()
    }
    for table in TABLES.values():
        for column in table.columns:
            if column.references is None or (table.name == "product_events" and table.name not in arrived):
                continue
            parent = TABLES[column.references]
            [key] = parent.key
            if not con.execute(f"select count(*) from raw.{parent.name}").fetchone()[0]:
                continue  # a table that nobody delivers has no rows to miss
            known = f"select {bare(key)} from raw.{parent.name}"
            if parent.name == "crm_accounts":
                known += f" union all select {bare('source_account_id')} from raw.crm_account_links"
            scanned = f"_load_id > {int(settled)}" if table.name == "product_events" else "true"
            names = ", ".join(table.key)
            con.execute(
                f"""insert into ops.raw_references
                with unknown as (
                    select {column.name} as value from raw.{table.name} where {scanned} group by all
                    having {bare("value")} <> '' and {bare("value")} not in ({known})
                ),
                -- a row whose newest version names a parent that is known doesn't wait any more
                newest as (
                    select
                        {column.name} as value, coalesce(_deleted, false) as is_gone,
                        _load_id > {int(settled)} as is_new
                    from raw.{table.name} where {scanned} and hash({names}) in (
                        select hash({names}) from raw.{table.name}
                        where {scanned} and {column.name} in (select value from unknown)
                    )
                    qualify row_number() over (partition by {names} order by {newest_first(table)}) = 1
                ),
                orphans as (
                    select {bare("value")} as value, count(*) filter (is_new) as n_new, count(*) as n_all from newest
                    where not is_gone and value in (select value from unknown) group by 1
                ),
                tonight as (select count({column.name}) as n_rows from {_arrived(table, settled)})
                select ?, ?, ?, ?, any_value(n_rows), coalesce(sum(n_new), 0),
                    case when any_value(n_rows) >= 5 and {int(settled)} > 0
                        then coalesce(sum(n_new), 0) / any_value(n_rows) end,
                    coalesce(sum(n_all), 0),
                    array_to_string(list(value order by n_new = 0, value)[:5], ', ')
                from tonight left join orphans on true""",
                [table.area, table.name, column.name, parent.name],
            )
