"""Rows that wait in quarantine: to be shown, to be taken out by hand, and to be named by the digest of a night."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable
from pathlib import Path

import duckdb

from orchestration.contract import TABLES
from orchestration.night import Problem
from orchestration.variables import UsageError
from orchestration.warehouse import Warehouse, is_running

# What an exported file holds. Only raw_line is read back.
EXPORTED = ("quarantine_id", "table_name", "path", "line", "reason", "remedy", "raw_line")
SHOWN_ROWS = 20

_WAITING = """
select
    table_name, count(*), min(quarantined_at), arg_min(reason, (path, line)), arg_min(path || ':' || line, (path, line))
from ops.quarantine where status = 'open' group by table_name order by table_name
"""


def waiting_rows(warehouse: Warehouse) -> list[Problem]:
    """One problem for each raw table of which rows wait in quarantine.

    Raises:
        duckdb.Error: the build file can't be read.
    """
    return [
        Problem(
            f"raw.{table}",
            f"{rows:,} rows wait in quarantine since {since:%Y-%m-%d}",
            (f"{place}: {reason}",),
            f"correct them at the source; or write them out with csw quarantine --table {table} --out rows.csv "
            f"--warehouse {warehouse.root}, mend raw_line, csw replay --file rows.csv --warehouse {warehouse.root}",
            rule="quarantine",
        )
        for table, rows, since, reason, place in _rows(warehouse, _WAITING)
    ]


def list_rows(warehouse: Warehouse, table: str | None) -> list[str]:
    """The lines that `csw quarantine` prints: rows by table, and the first of them with reason and remedy.

    Raises:
        UsageError: no raw table has this name, or a run is using the warehouse.
    """
    rows = _open_rows(warehouse, table)
    lines = [f"{len(rows):,} rows wait in quarantine"]
    for _, name, path, line, reason, remedy, _ in rows[:SHOWN_ROWS]:
        lines.append(f"  {name}  {path}:{line}: {reason}; {remedy}")
    if len(rows) > SHOWN_ROWS:
        lines.append(f"  and {len(rows) - SHOWN_ROWS:,} more: --out FILE writes them all")
    return lines


def export_rows(warehouse: Warehouse, table: str | None, file: Path) -> int:
    """Write the waiting rows as CSV (columns EXPORTED), readable by their owner only; returns their number.

    Raises:
        UsageError: no raw table has this name, a run is using the warehouse, or the file can't be written.
    """
    rows = _open_rows(warehouse, table)
    try:
        with file.open("w", newline="", encoding="utf-8") as handle:
            file.chmod(0o600)
            writer = csv.writer(handle)
            writer.writerow(EXPORTED)
            writer.writerows(rows)
    except OSError as error:
        raise UsageError(f"{file} can't be written: {error.strerror}") from error
    return len(rows)


def read_repaired(file: Path) -> dict[str, str]:
    """The repaired raw lines of a file that `export_rows` wrote, by quarantine id.

    Raises:
        UsageError: the file can't be read, lacks one of the two columns that count, gives a row back twice, or has a
            line with more or fewer fields than its header: an empty raw_line drops a row, a missing one is a mishap.
    """
    csv.field_size_limit(sys.maxsize)  # the loader knows no limit that a text of Python's csv has by itself
    try:
        with file.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle)
            if not {"quarantine_id", "raw_line"} <= set(reader.fieldnames or ()):
                raise UsageError(
                    f"{file} must have the columns quarantine_id and raw_line, as csw quarantine --out writes"
                )
            repaired = {}
            for row in reader:
                if None in row or None in row.values():
                    raise UsageError(
                        f"{file}:{reader.line_num}: more or fewer fields than the header names; put raw_line in quotes"
                    )
                if row["quarantine_id"] in repaired:
                    raise UsageError(
                        f"{file}:{reader.line_num}: {row['quarantine_id']} once more; give back one row for one"
                    )
                repaired[row["quarantine_id"]] = row["raw_line"]
            return repaired
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{file} can't be read: {error}") from error


def check_table(table: str | None) -> None:
    """Raise UsageError when there is no such raw table."""
    if table is not None and table not in TABLES:
        raise UsageError(f"there is no raw table {table!r}; the contract has {', '.join(TABLES)}")


def _open_rows(warehouse: Warehouse, table: str | None) -> list[tuple]:
    check_table(table)
    if is_running(warehouse):
        raise UsageError(f"a run is using {warehouse.root}: wait for it to end (csw status says when)")
    return list(
        _rows(
            warehouse,
            f"""select {", ".join(EXPORTED)} from ops.quarantine
            where status = 'open' and coalesce(table_name = $table, true) order by table_name, path, line""",
            {"table": table},
        )
    )


def _rows(warehouse: Warehouse, sql: str, parameters: dict[str, object] | None = None) -> Iterable[tuple]:
    if not warehouse.build_file.exists():
        return []
    with duckdb.connect(str(warehouse.build_file), read_only=True) as con:
        has_loaded = con.execute("select 1 from duckdb_tables() where table_name = 'quarantine'").fetchone()
        return con.execute(sql, parameters or {}).fetchall() if has_loaded else []
