"""What waits in quarantine goes through the loader again, as it was or as somebody mended it.

A row that fits is loaded as if its file had brought it right at once: under its file's path and load time, so that the
warehouse becomes the one that a clean delivery would have made. It leaves quarantine with an entry in `ops.replays`:

    replayed   loaded by this replay
    replaced   a later delivery brought a row of the same key that is not older
    dropped    given back with an empty raw_line: nobody can mend it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import duckdb

from orchestration.contract import TABLES
from orchestration.loading import LoggedFile, converted, create_landing_schema, load_again, reason_of
from orchestration.reading import Problem, Record
from orchestration.sql import transaction
from orchestration.variables import UsageError

REPLAYED, REPLACED, DROPPED = "replayed", "replaced", "dropped"


class _Waiting(NamedTuple):
    quarantine_id: str
    line: int
    raw: str


@dataclass
class ReplayReport:
    """Rows by what became of them; `refused` names those that still don't fit, one line each."""

    replayed: int = 0
    dropped: int = 0
    refused: list[str] = field(default_factory=list)


def replay(
    con: duckdb.DuckDBPyConnection,
    *,
    run_id: str,
    now: datetime,
    table: str | None = None,
    repaired: Mapping[str, str] | None = None,
) -> ReplayReport:
    """Load the rows that wait in quarantine again: those of `table`, or those that `repaired` (by id) gives back.

    `con` is the build file with no transaction open; `now` is UTC without a zone. Each file's rows are one transaction.

    Raises:
        UsageError: `repaired` names a row that does not wait in quarantine.
    """
    create_landing_schema(con)
    report = ReplayReport()
    waiting = _waiting(con, table)
    if repaired is not None:
        known = {row.quarantine_id for _, rows in waiting for row in rows}
        if strangers := sorted(repaired.keys() - known):
            raise UsageError(f"these rows do not wait in quarantine: {', '.join(strangers[:3])}; export them again")
    for logged, rows in waiting:
        if repaired is not None:
            rows = [row._replace(raw=repaired[row.quarantine_id]) for row in rows if row.quarantine_id in repaired]
        with transaction(con):
            _replay_file(con, logged, rows, run_id, now, report)
    return report


def _replay_file(
    con: duckdb.DuckDBPyConnection,
    logged: LoggedFile,
    rows: Sequence[_Waiting],
    run_id: str,
    now: datetime,
    report: ReplayReport,
) -> None:
    dropped = [row for row in rows if not row.raw.strip()]
    _leave(con, dropped, DROPPED, logged.table.name, None, run_id, now)
    report.dropped += len(dropped)
    tried = [row for row in rows if row.raw.strip()]
    records = [_one_record(logged, row) for row in tried]
    if not records:
        return
    load_id, refused = load_again(con, logged, records, run_id=run_id, now=now)
    loaded = [row for place, row in enumerate(tried) if place not in refused]
    _leave(con, loaded, REPLAYED, logged.table.name, load_id, run_id, now)
    report.replayed += len(loaded)
    for place, problems in sorted(refused.items()):
        row = tried[place]
        reason, remedy = reason_of(problems, logged.table), "; ".join(one.remedy for one in problems)
        report.refused.append(f"{logged.path}:{row.line}: {reason}; {remedy}")
        con.execute(
            "update ops.quarantine set reason = ?, remedy = ?, column_name = ?, value = ? where quarantine_id = ?",
            [reason, remedy, problems[0].column, problems[0].value, row.quarantine_id],
        )


def _one_record(logged: LoggedFile, row: _Waiting) -> Record:
    records = logged.records(row.line, row.raw)
    if len(records) == 1:
        return records[0]
    return Record(row.line, row.raw, None, Problem(f"{len(records)} rows where one was", "give back one row for one"))


def close_replaced(con: duckdb.DuckDBPyConnection, *, run_id: str, now: datetime) -> int:
    """Let rows leave quarantine of which a later load brought a row of the same key that is not older.

    A row whose key can't be read stays. Returns the number of rows that left; each file's rows are one transaction.
    """
    left = 0
    newest = dict(con.execute("select table_name, max(load_id) from ops.load_log group by all").fetchall())
    for logged, rows in _waiting(con, None):
        if newest[logged.table.name] == logged.load_id:
            continue
        records = {row.quarantine_id: _one_record(logged, row) for row in rows}
        legible = [(key, record) for key, record in records.items() if record.problem is None]
        _, relation, arrow = converted(logged, [record for _, record in legible])
        con.register("landing_rows", arrow)
        columns = [column.name for column in logged.table.columns]
        keys = " and ".join(f"landed.{name} = refused.v{columns.index(name)}" for name in logged.table.key)
        arrived = f"coalesce(refused.v{columns.index('_loaded_at')}, $loaded_at)"
        found = con.execute(
            f"""select landing_row, max(landed._load_id) from {relation} as refused
            join raw.{logged.table.name} as landed
                on {keys} and landed._load_id > $load_id and landed._loaded_at >= {arrived}
            group by landing_row""",
            {"load_id": logged.load_id, "loaded_at": logged.loaded_at},
        ).fetchall()
        waiting = {row.quarantine_id: row for row in rows}
        with transaction(con):
            for place, load_id in found:
                _leave(con, [waiting[legible[place][0]]], REPLACED, logged.table.name, load_id, run_id, now)
        left += len(found)
    return left


def _waiting(con: duckdb.DuckDBPyConnection, table: str | None) -> list[tuple[LoggedFile, list[_Waiting]]]:
    """The open rows of the quarantine by the file that brought them, in the order of loads."""
    files = con.execute(
        """select distinct
            log.load_id, log.table_name, log.path, log.content_hash, log.file_format, log.header, log.loaded_at
        from ops.quarantine as quarantine join ops.load_log as log using (load_id)
        where quarantine.status = 'open' and coalesce(quarantine.table_name = $table, true) order by 1""",
        {"table": table},
    ).fetchall()
    found = []
    for load_id, name, path, content_hash, file_format, header, loaded_at in files:
        rows = con.execute(
            """select quarantine_id, line, raw_line from ops.quarantine
            where status = 'open' and load_id = ? order by line""",
            [load_id],
        ).fetchall()
        logged = LoggedFile(TABLES[name], path, content_hash, file_format, tuple(header), load_id, loaded_at)
        found.append((logged, [_Waiting(*row) for row in rows]))
    return found


def _leave(
    con: duckdb.DuckDBPyConnection,
    rows: Sequence[_Waiting],
    outcome: str,
    table: str,
    load_id: int | None,
    run_id: str,
    now: datetime,
) -> None:
    if not rows:
        return
    con.executemany(
        "insert into ops.replays values (?, ?, ?, ?, ?, ?, ?)",
        [[row.quarantine_id, table, outcome, load_id, row.raw, run_id, now] for row in rows],
    )
    ids = [row.quarantine_id for row in rows]
    con.execute("update ops.quarantine set status = ? where status = 'open' and quarantine_id in ?", [outcome, ids])
