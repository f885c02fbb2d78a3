"""Load the landing folder into schema `raw` of the build file: each file once, each row loaded or quarantined.

Files that DuckDB reads without a fault go in by one INSERT a batch. A file in which anything is wrong is read again
record by record, so that the rows at fault are quarantined with their physical line and text, and the rest is
loaded. The rows of a batch and their entries in `ops.load_log` are one transaction: a load that is killed leaves
whole files only, and the next load goes on with the others.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from itertools import groupby, islice
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import duckdb
import pyarrow as pa

from orchestration.contract import DELETED, TABLES, Table
from orchestration.conversion import Projection, Source, explain, is_nested, projection
from orchestration.personal import without_value
from orchestration.reading import (
    Content,
    FileRefused,
    Header,
    JsonLines,
    LandedFile,
    Notice,
    Problem,
    Record,
    check_bytes,
    csv_header,
    csv_records,
    discover,
    landed_file,
    match_header,
    partition_of,
    records_of_text,
)
from orchestration.sql import quote_literal, quote_name, transaction

# A batch is one INSERT: large enough that a year of daily files is a few of them, small enough to bound the memory.
BATCH_BYTES = 128 * 2**20
BATCH_FILES = 400
CHUNK_ROWS = 100_000
# How many refused rows of a table the report itself shows; all of them are in ops.quarantine.
SHOWN_ROWS = 20
_PROGRESS_SECONDS = 2.0
# A column name that no delivery has.
_FILE = "_csw_landing_file"

_OPS_TABLES = """
CREATE SCHEMA IF NOT EXISTS raw;
CREATE SCHEMA IF NOT EXISTS ops;
CREATE TABLE IF NOT EXISTS ops.load_log (
    load_id BIGINT, run_id VARCHAR, table_name VARCHAR, path VARCHAR, content_hash VARCHAR, bytes BIGINT,
    file_format VARCHAR, header VARCHAR[], delivered_rows BIGINT, loaded_rows BIGINT, quarantined_rows BIGINT,
    loaded_at TIMESTAMP, extra_columns VARCHAR[], status VARCHAR);
CREATE TABLE IF NOT EXISTS ops.quarantine (
    quarantine_id VARCHAR, load_id BIGINT, table_name VARCHAR, path VARCHAR, line BIGINT, column_name VARCHAR,
    value VARCHAR, reason VARCHAR, remedy VARCHAR, raw_line VARCHAR, row_hash VARCHAR, quarantined_at TIMESTAMP,
    status VARCHAR);
CREATE TABLE IF NOT EXISTS ops.replays (
    quarantine_id VARCHAR, table_name VARCHAR, outcome VARCHAR, load_id BIGINT, raw_line VARCHAR, run_id VARCHAR,
    replayed_at TIMESTAMP);
ALTER TABLE ops.load_log ADD COLUMN IF NOT EXISTS modified_ns BIGINT;
"""
_QUARANTINE_COLUMNS = pa.schema(
    [
        ("quarantine_id", pa.string()),
        ("load_id", pa.int64()),
        ("table_name", pa.string()),
        ("path", pa.string()),
        ("line", pa.int64()),
        ("column_name", pa.string()),
        ("value", pa.string()),
        ("reason", pa.string()),
        ("remedy", pa.string()),
        ("raw_line", pa.string()),
        ("row_hash", pa.string()),
    ]
)


class Refusal(NamedTuple):
    """A file or a row that was not loaded. `line` is the physical line (in Parquet the row), counted from 1."""

    table: str
    path: str
    line: int | None
    column: str | None
    value: str | None
    reason: str
    remedy: str

    def message(self) -> str:
        """One line for people: where, what, why, and what to do."""
        where = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{where}: {self.reason}; {self.remedy}"


@dataclass
class TableLoad:
    """What one load did for one table. Rows are those of new files."""

    table: str
    files_new: int = 0
    files_known: int = 0
    files_refused: int = 0
    rows_delivered: int = 0
    rows_loaded: int = 0
    rows_quarantined: int = 0
    extra_columns: set[str] = field(default_factory=set)


@dataclass
class LoadReport:
    """What a load did. `refused_rows` shows the first rows of each table; `notices` are files of no raw table."""

    tables: dict[str, TableLoad]
    refused_files: list[Refusal] = field(default_factory=list)
    refused_rows: list[Refusal] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)

    def total(self, figure: str) -> int:
        """The sum of a figure of TableLoad, such as 'rows_loaded', over all tables."""
        return sum(getattr(load, figure) for load in self.tables.values())


@dataclass(frozen=True)
class _Planned:
    """A new file that can be read: its header, the type of each of its columns, and its number in the load log."""

    file: LandedFile
    header: Header | None
    types: tuple[str, ...]
    load_id: int

    @property
    def shape(self) -> tuple[object, ...]:
        """What files must share to be read by one INSERT."""
        names = self.header.names if self.header else ()
        return (self.file.format, names, self.types, tuple(name for name, _ in self.file.partition))


@dataclass
class _Outcome:
    """What came of one file: rows, the columns it named, and the first of its refused rows."""

    header: Sequence[str] = ()
    extra: Sequence[str] = ()
    delivered: int = 0
    quarantined: int = 0
    shown: list[Refusal] = field(default_factory=list)


def create_landing_schema(con: duckdb.DuckDBPyConnection) -> None:
    """Create the schemas `raw` and `ops` and their tables where they don't exist.

    A raw table has the contract's columns, then `_deleted BOOLEAN` and `_load_id BIGINT`, without constraints: loads
    are at least once, so uniqueness is a matter of staging.
    """
    con.execute(_OPS_TABLES)
    present = con.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'raw'").fetchall()
    there = {name for (name,) in present}
    for table in TABLES.values():
        if table.name in there:
            continue
        columns = ", ".join(f"{column.name} {column.type}" for column in (*table.columns, DELETED))
        con.execute(f"CREATE TABLE raw.{table.name} ({columns}, _load_id BIGINT)")


def load_time(con: duckdb.DuckDBPyConnection, now: datetime) -> datetime:
    """`now` (UTC without a zone), or just after the last load.

    A clock that went back must not make what comes now older than what came before.
    """
    newest = con.execute("SELECT max(loaded_at) FROM ops.load_log").fetchone()[0]
    return now if newest is None else max(now, newest + timedelta(microseconds=1))


def load_landing(
    con: duckdb.DuckDBPyConnection,
    landing: Path,
    *,
    run_id: str,
    loaded_at: datetime,
    progress: Callable[[str], None],
    as_of: date | None = None,
) -> LoadReport:
    """Load every new file of the landing folder into its raw table.

    `con` is the build file, with no transaction open; `loaded_at` is UTC without a zone and becomes the `_loaded_at`
    of rows that bring none, a microsecond later with every file; `progress` receives a line now and then. What lies
    after both `loaded_at` and the day `as_of` is in the future. A file is known while its path holds what it held;
    under a new path, when the table's last load brought the same, or when it only moved. Files and rows that can't be
    loaded are in the report, rows in `ops.quarantine`, too; they stop nothing else. A refused file is tried again by
    the next load.

    Raises NotADirectoryError when `landing` is not a folder, and duckdb.Error when the warehouse itself fails (disk
    full, file locked): everything committed until then stays whole.
    """
    create_landing_schema(con)
    found, notices = discover(landing.absolute())
    # A night run for a day that the clock has not reached yet believes the day.
    now = max(loaded_at, datetime.combine(as_of, time.max)) if as_of else loaded_at
    load = _Load(con, landing.absolute(), run_id, loaded_at, now, progress)
    load.report.notices += notices
    for name, files in found.items():
        if files:
            load.table(TABLES[name], files)
    return load.report


@dataclass(frozen=True)
class LoggedFile:
    """A loaded file as the load log remembers it; `loaded_at` is UTC without a zone."""

    table: Table
    path: str
    content_hash: str
    format: str
    header: tuple[str, ...]
    load_id: int
    loaded_at: datetime

    def as_landed(self) -> LandedFile:
        """The file without its bytes: what names and folder say of it."""
        path = Path(self.path)
        partition = partition_of(self.table, path)
        return LandedFile(self.table, path, self.path, self.format, partition, 0, 0, self.content_hash)

    def records(self, line: int, raw: str) -> list[Record]:
        """The records that a raw line of this file holds: one, unless somebody made it more or less."""
        file = self.as_landed()
        if self.format in ("csv", "csv.gz"):
            return [record._replace(line=line) for record in records_of_text(raw, len(self.header))]
        # Rows of Parquet files are kept as JSON objects, too.
        return [JsonLines(file).record(line, raw)] if raw.strip() else []

    def positions(self) -> Mapping[str, int]:
        """Which field of its records is which column."""
        file = self.as_landed()
        if self.format in ("csv", "csv.gz"):
            return match_header(file, self.header).positions
        return {name: position for position, name in enumerate(JsonLines(file).columns)}


class _Suspected(Exception):
    """A batch holds files at fault: nothing of it stays."""


class _Load:
    """One run of the loader: the connection, what was loaded before, and the report under way."""

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        landing: Path,
        run_id: str,
        loaded_at: datetime,
        now: datetime,
        progress: Callable[[str], None],
    ) -> None:
        self.con = con
        self.landing = landing
        self.run_id = run_id
        self.loaded_at = loaded_at
        self.now = now
        self.progress = progress
        self.report = LoadReport({name: TableLoad(name) for name in TABLES})
        [self.first_load_id] = con.execute("SELECT coalesce(max(load_id), 0) + 1 FROM ops.load_log").fetchone()
        self.next_load_id = self.first_load_id
        # How often a table has loaded a content, which one last, what each path held last, and the files themselves.
        self.loads: Counter[tuple[str, Content]] = Counter()
        self.newest: dict[str, Content] = {}
        self.held: dict[tuple[str, str], Content] = {}
        self.files: set[tuple[str, Content, int]] = set()
        log = con.execute(
            "SELECT table_name, path, content_hash, modified_ns, status FROM ops.load_log "
            "WHERE status IN ('loaded', 'known') ORDER BY load_id"
        ).fetchall()
        for table, path, digest, modified_ns, status in log:
            content = Content(digest, partition_of(TABLES[table], Path(path)))
            if status == "loaded":
                self.loads[table, content] += 1
                self.newest[table] = content
            if (table, content) in self.loads:
                self.held[table, path] = content
            self.files.add((table, content, modified_ns))
        self._told = monotonic()

    # ------------------------------------------------------------------------------------------------------- planning

    def table(self, table: Table, candidates: Sequence[tuple[Path, str]]) -> None:
        """Load the new files of one table."""
        tally = self.report.tables[table.name]
        newest = self.newest.get(table.name)
        new: list[LandedFile] = []
        copies: list[LandedFile] = []
        for path, file_format in candidates:
            try:
                file = landed_file(table, path, file_format, self.landing)
            except OSError as error:
                relative = path.relative_to(self.landing).as_posix()
                self._refuse(table, relative, FileRefused(_unreadable(error)))
                continue
            if self.held.get((table.name, file.relative)) == file.content:
                tally.files_known += 1
            elif file.content == newest or self._has_moved(file):
                copies.append(file)
            else:
                new.append(file)
                newest = file.content
        if new:
            self._load_all(table, new)
        for file in copies:
            if (table.name, file.content) in self.loads:
                self._log_known(file)
            else:
                self._load_all(table, [file])
        if tally.files_new or tally.files_refused:
            self.progress(
                f"{table.name}: {tally.files_new} new files, {tally.files_known} known, {tally.files_refused} refused; "
                f"{tally.rows_loaded:,} rows loaded, {tally.rows_quarantined:,} quarantined"
            )

    def _has_moved(self, file: LandedFile) -> bool:
        """Whether it is a file that was taken in under another path, and nothing that was written since."""
        table = file.table.name
        return (table, file.relative) not in self.held and (table, file.content, file.modified_ns) in self.files

    def _load_all(self, table: Table, files: Sequence[LandedFile]) -> None:
        planned = []
        for file in files:
            with self._refusing(file):
                planned.append(self._plan(file))
        for _, alike in groupby(planned, key=lambda plan: plan.shape):
            for batch in _batches(list(alike)):
                self._tell(f"{table.name}: reading {len(batch)} files, {_megabytes(batch)} MB")
                self._load_batch(table, batch)

    def _plan(self, file: LandedFile) -> _Planned:
        check_bytes(file)
        header: Header | None = None
        types: tuple[str, ...] = ()
        if file.format == "parquet":
            header, types = self._parquet_header(file)
        elif file.format != "jsonl":
            header = csv_header(file)
        return _Planned(file, header, types, self._new_load_id())

    def _parquet_header(self, file: LandedFile) -> tuple[Header, tuple[str, ...]]:
        path = _glob_safe(file.path)
        try:
            described = self.con.execute(
                "DESCRIBE SELECT * FROM read_parquet(?, binary_as_string = true, hive_partitioning = false)", [[path]]
            ).fetchall()
            written = {name for (name,) in self.con.execute("SELECT name FROM parquet_schema(?)", [path]).fetchall()}
        except duckdb.Error as error:
            raise FileRefused(_unreadable_parquet(error)) from error
        names = [row[0] for row in described]
        # DuckDB numbers the second column of a name: status, status_1.
        match_header(file, [name if name in written else name.rpartition("_")[0] for name in names], line=None)
        header = match_header(file, names, line=None)
        types = tuple(row[1] for row in described)
        for column, position in header.positions.items():
            if is_nested(types[position]):
                problem = Problem(
                    f"column {column} is nested ({types[position][:80]})", "deliver one plain value a column", column
                )
                raise FileRefused(problem)
        return header, types

    # -------------------------------------------------------------------------------------------------------- batches

    def _load_batch(self, table: Table, batch: Sequence[_Planned]) -> None:
        """Load files of one shape: all by one INSERT if nothing is wrong with them, those at fault by themselves."""
        suspects = list(batch)
        if batch[0].header is not None and batch[0].header.is_plain:
            try:
                suspects = self._insert_batch(table, batch)
            except duckdb.Error as error:
                if not self._is_fault_of_files(batch, error):
                    raise
                # DuckDB doesn't reliably say in which file.
                if len(batch) > 1:
                    middle = len(batch) // 2
                    self._load_batch(table, batch[:middle])
                    self._load_batch(table, batch[middle:])
                    return
            else:
                clean = [plan for plan in batch if plan not in suspects]
                if suspects and clean:
                    self._load_batch(table, clean)
        for plan in suspects:
            with self._refusing(plan.file):
                self._load_carefully(table, plan)

    def _insert_batch(self, table: Table, batch: Sequence[_Planned]) -> list[_Planned]:
        """Insert the rows of all files, if every row fits. Otherwise nothing is inserted; returns the files at fault.

        The number of a row's load is negated when the row does not fit, so one scan both loads and judges.
        """
        relation, sources = _relation(batch[0])
        sources |= _partition_sources(batch[0], "landing_batch")
        also = ["landing_batch.load_id AS load_id", "landing_batch.loaded_at AS loaded_at"]
        conversion = projection(table, sources, "loaded_at", self.now, also=also)
        first = min(plan.load_id for plan in batch)
        self.con.register("landing_batch", self._describe(batch))
        try:
            with transaction(self.con):
                self.con.execute(
                    f"INSERT INTO raw.{table.name} "
                    f"SELECT {conversion.values}, CASE WHEN {conversion.is_bad} THEN -load_id ELSE load_id END "
                    f"FROM (SELECT {conversion.inner} FROM {relation} AS delivered "
                    f"JOIN landing_batch ON landing_batch.file = delivered.{_FILE})",
                    {"files": [_glob_safe(plan.file.path) for plan in batch]},
                )
                counted = f"SELECT _load_id, count(*) FROM raw.{table.name} WHERE _load_id"
                rows = dict(self.con.execute(f"{counted} >= {first} GROUP BY 1").fetchall())
                bad = {-load_id for load_id, _ in self.con.execute(f"{counted} < 0 GROUP BY 1").fetchall()}
                suspects = [plan for plan in batch if plan.load_id in bad or not plan.file.is_unchanged()]
                if suspects:
                    raise _Suspected
                outcomes = [
                    (plan, _Outcome(plan.header.names, plan.header.extra, rows.get(plan.load_id, 0))) for plan in batch
                ]
                self._log_loaded(outcomes)
        except _Suspected:
            return suspects
        self._count_loaded(outcomes)
        return []

    def _is_fault_of_files(self, batch: Sequence[_Planned], error: duckdb.Error) -> bool:
        """Whether an INSERT failed because of what it read, and not because of the warehouse it writes."""
        if not all(plan.file.is_unchanged() for plan in batch):
            return True
        # DuckDB also gives up on gzip files and paths that Python reads, by an error that disks have as well.
        if batch[0].file.format != "parquet" and not isinstance(error, duckdb.IOException):
            return isinstance(error, duckdb.InvalidInputException)
        try:
            relation, _ = _relation(batch[0])
            files = [_glob_safe(plan.file.path) for plan in batch]
            self.con.execute(f"SELECT bit_xor(hash(delivered)) FROM {relation} AS delivered", {"files": files})
        except duckdb.Error:
            return True
        return False

    # --------------------------------------------------------------------------------------------------- careful load

    def _load_carefully(self, table: Table, plan: _Planned) -> None:
        """Load one file by itself, its rows at fault into the quarantine. Raises FileRefused."""
        load = {"parquet": self._load_parquet, "jsonl": self._load_jsonl}.get(plan.file.format, self._load_csv)
        with transaction(self.con):
            outcome = load(table, plan)
            if not plan.file.is_unchanged():
                raise FileRefused(
                    Problem("the file changed while it was read", "write it under another name, then rename it")
                )
            self._log_loaded([(plan, outcome)])
        self._count_loaded([(plan, outcome)])

    def _load_csv(self, table: Table, plan: _Planned) -> _Outcome:
        outcome = _Outcome(plan.header.names, plan.header.extra)
        self._load_records(table, plan, plan.header.positions, csv_records(plan.file, plan.header), outcome)
        return outcome

    def _load_jsonl(self, table: Table, plan: _Planned) -> _Outcome:
        lines = JsonLines(plan.file)
        outcome = _Outcome()
        positions = {name: position for position, name in enumerate(lines.columns)}
        self._load_records(table, plan, positions, lines, outcome)
        outcome.header, outcome.extra = lines.header, lines.extra
        return outcome

    def _load_records(
        self, table: Table, plan: _Planned, positions: Mapping[str, int], records: Iterable[Record], outcome: _Outcome
    ) -> None:
        """Convert and insert records chunk by chunk; those that don't fit go into the quarantine.

        `positions` tells which field of a record is which column.
        """
        sources = {name: Source(f"delivered.c{position}", "VARCHAR") for name, position in positions.items()}
        sources = _partition_sources(plan, "delivered") | sources
        loaded_at = _timestamp(self._time_of(plan.load_id))
        conversion = projection(table, sources, loaded_at, self.now, also=["delivered.landing_row AS landing_row"])
        relation = f"(SELECT {conversion.inner} FROM landing_rows AS delivered)"
        stream = iter(records)
        while chunk := list(islice(stream, CHUNK_ROWS)):
            whole = [record for record in chunk if record.problem is None]
            refused = [(record.line, record.raw, [record.problem]) for record in chunk if record.problem is not None]
            self.con.register("landing_rows", _arrow_rows(whole, positions.values(), plan.file))
            if self._insert_good(table, conversion, plan.load_id, relation, {}) < len(whole):
                for row, _, problems in _bad_rows(self.con, conversion, relation, {}, "NULL"):
                    refused.append((whole[row].line, whole[row].raw, problems))
            self._quarantine(plan, sorted(refused, key=lambda entry: entry[0]), outcome)
            outcome.delivered += len(chunk)
            self._tell(f"{plan.file.relative}: {outcome.delivered:,} rows read one by one")

    def _load_parquet(self, table: Table, plan: _Planned) -> _Outcome:
        outcome = _Outcome(plan.header.names, plan.header.extra)
        relation, sources = _relation(plan)
        self.con.register("landing_batch", self._describe([plan]))
        row = ", ".join(
            f"{quote_literal(name)}: CAST(delivered.{quote_name(name)} AS VARCHAR)" for name in plan.header.names
        )
        also = ["delivered.file_row_number AS landing_row", f"CAST(to_json({{{row}}}) AS VARCHAR) AS landing_text"]
        constants = {name: Source(quote_literal(value), "VARCHAR") for name, value in plan.file.partition}
        loaded_at = _timestamp(self._time_of(plan.load_id))
        conversion = projection(table, constants | sources, loaded_at, self.now, also=also)
        relation = f"(SELECT {conversion.inner} FROM {relation} AS delivered)"
        files = {"files": [_glob_safe(plan.file.path)]}
        try:
            self._insert_good(table, conversion, plan.load_id, relation, files)
            # Another cursor, so that rows stream from it while this one writes. The file is all it needs to see.
            bad = _bad_rows(self.con.cursor(), conversion, relation, files, "landing_text")
            while chunk := list(islice(bad, CHUNK_ROWS)):
                self._quarantine(plan, [(row + 1, raw, problems) for row, raw, problems in chunk], outcome)
            delivered = self.con.execute("SELECT sum(num_rows) FROM parquet_file_metadata($files)", files)
            outcome.delivered = int(delivered.fetchone()[0])
        except duckdb.Error as error:
            if not self._is_fault_of_files([plan], error):
                raise
            raise FileRefused(_unreadable_parquet(error)) from error
        return outcome

    def _insert_good(
        self, table: Table, conversion: Projection, load_id: int, relation: str, parameters: Mapping[str, object]
    ) -> int:
        """Insert the rows that fit; returns their number."""
        inserted = self.con.execute(
            f"INSERT INTO raw.{table.name} SELECT {conversion.values}, {load_id} FROM {relation} "
            f"WHERE NOT ({conversion.is_bad})",
            parameters,
        )
        return inserted.fetchone()[0]

    # ------------------------------------------------------------------------------------------------------ the books

    def _quarantine(
        self, plan: _Planned, rows: Sequence[tuple[int, str, Sequence[Problem]]], outcome: _Outcome
    ) -> None:
        """Keep refused rows, given as (line, raw text, problems)."""
        if not rows:
            return
        file = plan.file
        delivery = f"{file.table.name}\n{file.content}\n{self.loads[file.table.name, file.content]}"
        columns: dict[str, list[object]] = {name: [] for name in _QUARANTINE_COLUMNS.names}
        for line, raw, problems in rows:
            first = problems[0]
            refusal = Refusal(
                table=file.table.name,
                path=file.relative,
                line=line,
                column=first.column,
                value=first.value,
                reason=reason_of(problems, file.table),
                remedy="; ".join(dict.fromkeys(problem.remedy for problem in problems)),
            )
            entry = {
                # The same row of the same delivery has the same id in every warehouse.
                "quarantine_id": _sha256(f"{delivery}\n{line}"),
                "load_id": plan.load_id,
                "table_name": refusal.table,
                "path": refusal.path,
                "line": line,
                "column_name": refusal.column,
                "value": refusal.value,
                "reason": refusal.reason,
                "remedy": refusal.remedy,
                "raw_line": raw,
                "row_hash": _sha256(raw),
            }
            for name, value in entry.items():
                columns[name].append(value)
            if len(outcome.shown) < SHOWN_ROWS:
                outcome.shown.append(refusal)
        outcome.quarantined += len(rows)
        self.con.register("landing_quarantine", pa.table(columns, schema=_QUARANTINE_COLUMNS))
        self.con.execute(
            "INSERT INTO ops.quarantine SELECT *, CAST(? AS TIMESTAMP), 'open' FROM landing_quarantine",
            [self.loaded_at],
        )

    def _log_loaded(self, outcomes: Sequence[tuple[_Planned, _Outcome]]) -> None:
        """Enter loaded files in the load log, in the transaction of their rows.

        Raises RuntimeError when a row was lost or made up, which undoes the transaction.
        """
        table = outcomes[0][0].file.table
        first = min(plan.load_id for plan, _ in outcomes)
        counted = f"SELECT _load_id, count(*) FROM raw.{table.name} WHERE _load_id >= {first} GROUP BY 1"
        loaded = dict(self.con.execute(counted).fetchall())
        for plan, outcome in outcomes:
            rows = loaded.get(plan.load_id, 0)
            if rows + outcome.quarantined != outcome.delivered:
                raise RuntimeError(
                    f"{plan.file.relative}: {outcome.delivered} rows delivered, but {rows} loaded and "
                    f"{outcome.quarantined} quarantined"
                )
            self._log(plan.file, plan.load_id, outcome, "loaded")

    def _log(self, file: LandedFile, load_id: int, outcome: _Outcome, status: str) -> None:
        self.con.execute(
            "INSERT INTO ops.load_log VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                load_id,
                self.run_id,
                file.table.name,
                file.relative,
                file.content_hash,
                file.bytes,
                file.format,
                list(outcome.header),
                outcome.delivered,
                outcome.delivered - outcome.quarantined,
                outcome.quarantined,
                self._time_of(load_id),
                list(outcome.extra),
                status,
                file.modified_ns,
            ],
        )

    def _log_known(self, file: LandedFile) -> None:
        """Count a file that was loaded under another path, and log this path, without rows."""
        self.report.tables[file.table.name].files_known += 1
        self._log(file, self._new_load_id(), _Outcome(), "known")

    def _count_loaded(self, outcomes: Sequence[tuple[_Planned, _Outcome]]) -> None:
        """Take committed files into the report."""
        for plan, outcome in outcomes:
            file = plan.file
            tally = self.report.tables[file.table.name]
            tally.files_new += 1
            tally.rows_delivered += outcome.delivered
            tally.rows_loaded += outcome.delivered - outcome.quarantined
            tally.rows_quarantined += outcome.quarantined
            tally.extra_columns.update(outcome.extra)
            shown = sum(refusal.table == file.table.name for refusal in self.report.refused_rows)
            self.report.refused_rows += outcome.shown[: SHOWN_ROWS - shown]
            self.loads[file.table.name, file.content] += 1

    @contextmanager
    def _refusing(self, file: LandedFile) -> Iterator[None]:
        """Turn what is wrong with a file into an entry of the report, so that the other files go on."""
        try:
            yield
        except FileRefused as refused:
            self._refuse(file.table, file.relative, refused)
        except OSError as error:
            self._refuse(file.table, file.relative, FileRefused(_unreadable(error)))

    def _refuse(self, table: Table, relative: str, refused: FileRefused) -> None:
        problem = refused.problem
        self.report.tables[table.name].files_refused += 1
        self.report.refused_files.append(
            Refusal(table.name, relative, refused.line, problem.column, problem.value, problem.reason, problem.remedy)
        )

    # ---------------------------------------------------------------------------------------------------------- means

    def _new_load_id(self) -> int:
        self.next_load_id += 1
        return self.next_load_id - 1

    def _time_of(self, load_id: int) -> datetime:
        """Files of one run come one after the other: of days that are delivered together the last one counts."""
        return self.loaded_at + timedelta(microseconds=load_id - self.first_load_id)

    def _describe(self, batch: Sequence[_Planned]) -> pa.Table:
        """One row a file: its path, the number and time of its load, and the columns that its folder names give."""
        columns = {
            "file": pa.array([str(plan.file.path) for plan in batch], pa.string()),
            "load_id": pa.array([plan.load_id for plan in batch], pa.int64()),
            "loaded_at": pa.array([self._time_of(plan.load_id) for plan in batch], pa.timestamp("us")),
        }
        for position, (name, _) in enumerate(batch[0].file.partition):
            columns[f"p_{name}"] = pa.array([plan.file.partition[position][1] for plan in batch], pa.string())
        return pa.table(columns)

    def _tell(self, message: str) -> None:
        now = monotonic()
        if now - self._told >= _PROGRESS_SECONDS:
            self._told = now
            self.progress(message)


def converted(logged: LoggedFile, records: Sequence[Record]) -> tuple[Projection, str, pa.Table]:
    """The conversion of records of a logged file, the relation to select it from, and the rows of `landing_rows`.

    The load time of the file stands in for a missing `_loaded_at`, as it did when the file came.
    """
    file, positions = logged.as_landed(), logged.positions()
    sources = {name: Source(f"delivered.c{position}", "VARCHAR") for name, position in positions.items()}
    folders = {name: Source(f"delivered.p_{name}", "VARCHAR") for name, _ in file.partition}
    conversion = projection(
        logged.table,
        folders | sources,
        _timestamp(logged.loaded_at),
        logged.loaded_at,
        also=["delivered.landing_row AS landing_row"],
    )
    relation = f"(SELECT {conversion.inner} FROM landing_rows AS delivered)"
    return conversion, relation, _arrow_rows(records, positions.values(), file)


def load_again(
    con: duckdb.DuckDBPyConnection, logged: LoggedFile, records: Sequence[Record], *, run_id: str, now: datetime
) -> tuple[int, dict[int, list[Problem]]]:
    """Load records of a logged file, in the caller's transaction, as a load of its own: the rows have the load time of
    their file, the log says `now`, since nothing that was published before knew of them.

    Returns the number of that load, and what is wrong with the records that still don't fit, by their place.
    """
    refused = {place: [record.problem] for place, record in enumerate(records) if record.problem is not None}
    whole = [place for place in range(len(records)) if place not in refused]
    conversion, relation, rows = converted(logged, [records[place] for place in whole])
    con.register("landing_rows", rows)
    load = _Load(con, Path(), run_id, now, now, lambda _: None)
    load_id = load._new_load_id()
    load._insert_good(logged.table, conversion, load_id, relation, {})
    for row, _, problems in _bad_rows(con, conversion, relation, {}, "NULL"):
        refused[whole[row]] = problems
    if len(refused) < len(records):
        raws = sorted(record.raw for place, record in enumerate(records) if place not in refused)
        again = replace(logged.as_landed(), content_hash=_sha256("\n".join([logged.content_hash, *raws])))
        outcome = _Outcome(logged.header, (), len(records) - len(refused))
        load._log(again, load_id, outcome, "replayed")
    return load_id, refused


def _batches(planned: Sequence[_Planned]) -> Iterator[list[_Planned]]:
    """Cut a list of files into batches of bounded bytes and number."""
    batch: list[_Planned] = []
    weight = 0
    for plan in planned:
        if batch and (weight + plan.file.bytes > BATCH_BYTES or len(batch) >= BATCH_FILES):
            yield batch
            batch, weight = [], 0
        batch.append(plan)
        weight += plan.file.bytes
    if batch:
        yield batch


def _relation(plan: _Planned) -> tuple[str, dict[str, Source]]:
    """The table function that reads files of this shape (parameter `files`), and where it has which column."""
    header = plan.header
    if plan.file.format == "parquet":
        relation = (
            f"read_parquet($files, binary_as_string = true, hive_partitioning = false, filename = '{_FILE}', "
            "file_row_number = true)"
        )
        sources = {
            column: Source(f"delivered.{quote_name(header.names[position])}", plan.types[position])
            for column, position in header.positions.items()
        }
        return relation, sources
    columns = ", ".join(f"c{position}: 'VARCHAR'" for position in range(len(header.names)))
    compression = "gzip" if plan.file.format == "csv.gz" else "none"
    relation = (
        f"read_csv($files, auto_detect = false, columns = {{{columns}}}, header = true, delim = ',', quote = '\"', "
        f"escape = '\"', nullstr = '', compression = '{compression}', hive_partitioning = false, filename = '{_FILE}')"
    )
    return relation, {
        column: Source(f"delivered.c{position}", "VARCHAR") for column, position in header.positions.items()
    }


def _partition_sources(plan: _Planned, relation: str) -> dict[str, Source]:
    """Where a relation has the columns that only the folder names give."""
    own = plan.header.positions if plan.header else {}
    return {name: Source(f"{relation}.p_{name}", "VARCHAR") for name, _ in plan.file.partition if name not in own}


def _arrow_rows(records: Sequence[Record], positions: Collection[int], file: LandedFile) -> pa.Table:
    """The wanted fields of records as columns c<position>, with their number in the chunk as `landing_row`."""
    columns = {
        f"c{position}": pa.array([record.fields[position] for record in records], pa.string()) for position in positions
    }
    columns["landing_row"] = pa.array(range(len(records)), pa.int64())
    for name, value in file.partition:
        columns[f"p_{name}"] = pa.array([value] * len(records), pa.string())
    return pa.table(columns)


def reason_of(problems: Sequence[Problem], table: Table) -> str:
    """What is wrong with a row, in one line that may be shown."""
    return "; ".join(without_value(problem.reason, problem.value, table.name, problem.column) for problem in problems)


def _bad_rows(
    con: duckdb.DuckDBPyConnection,
    conversion: Projection,
    relation: str,
    parameters: Mapping[str, object],
    raw: str,
) -> Iterator[tuple[int, str, list[Problem]]]:
    """The rows that do not fit: their number, the SQL expression `raw`, and every problem."""
    found = con.execute(
        f"SELECT landing_row, {raw}, {conversion.problems}, {conversion.texts} FROM {relation} "
        f"WHERE {conversion.is_bad} ORDER BY 1",
        parameters,
    )
    while rows := found.fetchmany(CHUNK_ROWS):
        for number, text, positions, values in rows:
            problems = [
                explain(conversion.faults[position], value) for position, value in zip(positions, values, strict=True)
            ]
            yield number, text, problems


def _unreadable(error: OSError) -> Problem:
    return Problem(f"the file can't be read: {error.strerror or error}", "make it readable, or take it away")


def _unreadable_parquet(error: duckdb.Error) -> Problem:
    first_line = str(error).splitlines()[0]
    return Problem(f"the Parquet file can't be read: {first_line[:200]}", "deliver the whole file again")


def _glob_safe(path: Path) -> str:
    """A path as DuckDB takes it: characters that would match other files stand for themselves."""
    return re.sub(r"([\[*?])", r"[\1]", str(path))


def _timestamp(moment: datetime) -> str:
    return f"TIMESTAMP '{moment.isoformat(sep=' ')}'"


def _megabytes(batch: Sequence[_Planned]) -> str:
    return f"{sum(plan.file.bytes for plan in batch) / 2**20:,.1f}"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
