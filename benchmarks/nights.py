"""What a first night and the night after cost, as ratios within one run.

Run: python -m benchmarks.nights [--accounts 2000] [--events 5000000] [--months 30] [--folder DIR]

Makes a sample company, holds back its last day of product events, runs a first night, lands that day, runs the next
night. Beside each night stand the bare dbt build of the same tables and the yardstick (benchmarks/yardstick.py): the
same SQL in one process, and what DuckDB takes to copy the landed files into tables as they are. All figures are CPU
seconds of every thread and child process; beside other work the same SQL has taken 40 % more, so the machine is to be
quiet. Memory is the greatest resident set. The ratios are the result.
"""

from __future__ import annotations

import argparse
import re
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from benchmarks.processes import cpu_seconds, peak_memory
from benchmarks.yardstick import bare_build, recorded_build, replayed
from orchestration.building import memory_limit
from orchestration.conservation import seal_loads
from orchestration.history import carry_history
from orchestration.loading import load_landing
from orchestration.night import Night
from orchestration.nightly import run_night
from orchestration.processes import apart
from orchestration.reading import discover
from orchestration.sample import make_sample
from orchestration.settings import Settings, resolve_settings
from orchestration.variables import PROJECT_DIR
from orchestration.warehouse import Warehouse, open_database

END = date(2026, 10, 31)
SCAN = """
    select max(account_id), max(user_id), max(feature_key), max(occurred_at) from read_parquet($files)
"""
READERS = {"parquet": "read_parquet", "csv": "read_csv", "csv.gz": "read_csv", "jsonl": "read_json"}
OF_DAGSTER = ("preparing", "building")
MUCH_MEMORY = "4GB"


@dataclass(frozen=True)
class Before:
    """What a night found: copies of the build file and of the published one."""

    build_file: Path
    published: Path


@dataclass
class Cost:
    """CPU seconds of one night: the whole, what of it is not Great Expectations' own process, the stages of that, a
    bare dbt build of the same, that with one model at a time, the SQL of that, the same SQL within much memory, a plain
    copy of the landed files into tables, and one of the tables built; peaks are bytes of the greatest resident set."""

    total: float = 0.0
    own: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    dbt: float = 0.0
    dbt_in_turn: float = 0.0
    sql: float = 0.0
    roomy_sql: float = 0.0
    copy: float = 0.0
    rewriting: float = 0.0
    peak: int = 0
    sql_peak: int = 0

    @property
    def job(self) -> float:
        """What Dagster's job adds to dbt's build, and that build."""
        return self.own - sum(seconds for name, seconds in self.stages.items() if name not in OF_DAGSTER)


@contextmanager
def counted(cost: Cost) -> Iterator[None]:
    """Count what is spent in each stage while a night runs in this process."""
    stage = Night.stage

    @contextmanager
    def timed_stage(self, name, **order):
        began = time.process_time()
        with stage(self, name, **order):
            yield
        cost.stages[name] = cost.stages.get(name, 0.0) + time.process_time() - began

    Night.stage = timed_stage
    began, began_own = cpu_seconds(), time.process_time()
    try:
        yield
    finally:
        cost.total, cost.own = cpu_seconds() - began, time.process_time() - began_own
        Night.stage = stage


def settings_for(folder: Path, as_of: date) -> Settings:
    """The settings of one night in this folder."""
    return resolve_settings(
        landing=str(folder / "landing"), warehouse=str(folder / "wh"), as_of=str(as_of), no_dashboard=True
    )


def landed_sample(landing: Path, accounts: int, events: int, months: int) -> None:
    """Make a sample company of this size."""
    make_sample(landing, accounts=accounts, months=months, events=events, end=END, progress=lambda _line: None)


def hold_back(landing: Path, aside: Path) -> tuple[Path, Path]:
    """Move the last day of product events out of the landing folder: (where it lay, where it lies now)."""
    last = max((landing / "product_events").iterdir())
    shutil.move(last, aside / last.name)
    return last, aside / last.name


def land(build_file: Path, landing: Path, as_of: date, published: Path) -> None:
    """Load what is new in the landing folder into a build file, in the night that follows this day, and what was
    published before."""
    with open_database(str(build_file), spill=build_file.parent) as con:
        moment = datetime.combine(as_of + timedelta(days=1), datetime.min.time())
        load_landing(con, landing, run_id="benchmark", loaded_at=moment, progress=lambda _line: None)
        seal_loads(con)
        carry_history(con, published)


def plain_copy(landing: Path, new: Collection[Path] | None) -> float:
    """CPU seconds that DuckDB takes to copy landed files into tables as they are: all of them, or those that are new.
    No check, no quarantine, no books."""
    began = time.process_time()
    with (
        TemporaryDirectory(dir=landing.parent) as aside,
        open_database(f"{aside}/copy.duckdb", spill=Path(aside)) as con,
    ):
        for table, files in discover(landing)[0].items():
            alike = defaultdict(list)
            for path, file_format in files:
                if new is None or path in new:
                    alike[file_format].append(str(path))
            for file_format, paths in alike.items():
                name = f'"{table} {file_format}"'
                con.execute(f"create table {name} as from {READERS[file_format]}($paths)", {"paths": paths})
    return time.process_time() - began


def rewriting(built: Path) -> float:
    """CPU seconds that DuckDB takes to write the built tables again as they are: the least that any way to compute
    them would cost. Those of staging, intermediate and marts, by one thread, as a night writes them."""
    began = time.process_time()
    with TemporaryDirectory(dir=built.parent) as aside, open_database(f"{aside}/copy.duckdb", spill=Path(aside)) as con:
        con.execute("set preserve_insertion_order = false")
        con.execute("set threads = 1")
        con.execute(f"attach '{built}' as built (read_only)")
        found = con.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = 'built' and schema_name in "
            "('staging', 'intermediate', 'marts')"
        ).fetchall()
        for schema, table in found:
            con.execute(f"create schema if not exists {schema}")
            con.execute(f"create table {schema}.{table} as from built.{schema}.{table}")
    return time.process_time() - began


def night(folder: Path, as_of: date, new: Collection[Path] | None, before: Before | None) -> Cost:
    """One `csw nightly` in this process, without the dashboard; then the same build by dbt alone and by SQL alone.

    Args:
        new: the files that have landed since the night before; None for the first one, to which all are new.
        before: what the night found; None for the first one, which found nothing.
    """
    settings, cost = settings_for(folder, as_of), Cost()
    with counted(cost):
        ended = run_night(settings)
    if ended.exit_code:
        raise SystemExit(f"the night ended with {ended.exit_code}")
    cost.peak = peak_memory()
    cost.copy = apart(plain_copy, settings.landing, new)
    warehouse = Warehouse(settings.warehouse)
    loaded = folder / "loaded" / warehouse.build_file.name
    loaded.parent.mkdir(exist_ok=True)
    if before is None:  # a full build replaces everything, so what stands does not matter
        shutil.copy(warehouse.build_file, loaded)
    else:
        shutil.move(before.build_file, loaded)
        land(loaded, settings.landing, as_of, before.published)
    build = recorded_build(warehouse, loaded, settings, full_refresh=before is None)
    replay = replayed(build)
    cost.sql, cost.sql_peak = replay.cpu_seconds, replay.peak
    cost.rewriting = apart(rewriting, build.after)
    cost.dbt_in_turn = bare_build(build, full_refresh=before is None, threads=1)
    cost.dbt = bare_build(build, full_refresh=before is None)
    with memory_limit(MUCH_MEMORY):
        cost.roomy_sql = replayed(build).cpu_seconds
    shutil.rmtree(loaded.parent)
    return cost


def questions(marts: Path) -> list[tuple[str, float]]:
    """CPU milliseconds of each of the documented questions on the opened file: the median of five."""
    text = (PROJECT_DIR / "docs" / "questions.sql").read_text(encoding="utf-8")
    found = []
    with duckdb.connect(str(marts), read_only=True) as con:
        for statement in duckdb.extract_statements(text):
            costs = []
            for _ in range(5):
                began = time.process_time()
                con.execute(statement).fetchall()
                costs.append(1000 * (time.process_time() - began))
            title = re.search(r"^-- (Q\d+\..*)$", statement.query, re.M)[1]
            found.append((title[:60], sorted(costs)[2]))
    return found


def scan(files: Path) -> float:
    """CPU seconds of one scan of four columns of the landed events: the median of three."""
    costs = []
    with duckdb.connect() as con:
        for _ in range(3):
            began = time.process_time()
            con.execute(SCAN, {"files": str(files / "*.parquet")}).fetchall()
            costs.append(time.process_time() - began)
    return sorted(costs)[1]


def report(accounts: int, events: int, months: int, folder: Path) -> None:
    """Run both nights and print the ratios."""
    landing = folder / "landing"
    apart(landed_sample, landing, accounts, events, months)  # its memory is not that of the night
    files = landing / "product_events"
    parquet = sum(path.stat().st_size for path in files.iterdir())
    last, held_back = hold_back(landing, folder)
    one_scan = apart(scan, files)
    first = night(folder, END - timedelta(days=1), None, None)
    shutil.move(held_back, last)
    warehouse = Warehouse(folder / "wh")
    before = Before(folder / "before.duckdb", folder / "published before.duckdb")
    shutil.copy(warehouse.build_file, before.build_file)
    shutil.copy(warehouse.marts_file, before.published)
    second = night(folder, END, [last.absolute()], before)

    print(f"\n{accounts:,} accounts, {events:,} events, {parquet / 1e6:,.0f} MB of Parquet; CPU seconds")
    print(f"{'':28}{'first':>10}{'next':>10}")
    for label, name in (
        ("the whole night", "total"),
        ("dbt build alone", "dbt"),
        ("one model at a time", "dbt_in_turn"),
        ("its SQL alone", "sql"),
        ("a copy of the landed files", "copy"),
        ("a copy of the built tables", "rewriting"),
        (f"its SQL within {MUCH_MEMORY}", "roomy_sql"),
    ):
        print(f"{label:28}{getattr(first, name):10.1f}{getattr(second, name):10.1f}")
    for name in first.stages:
        print(f"  {name:26}{first.stages[name]:10.1f}{second.stages.get(name, 0.0):10.1f}")
    for label, ratio in (
        ("full build through dbt / its SQL", first.dbt / first.sql),
        ("full build through dbt, one model at a time / its SQL", first.dbt_in_turn / first.sql),
        ("SQL of the full build / one scan of four columns", first.sql / one_scan),
        ("a copy of the built tables / one scan of four columns", first.rewriting / one_scan),
        ("SQL of the next night / SQL of the full build", second.sql / first.sql),
        ("a copy of the built tables / SQL of the full build", second.rewriting / first.sql),
        ("Dagster's job / bare dbt build, next night", second.job / second.dbt),
        ("whole first night / SQL of its build", first.total / first.sql),
        ("whole next night / SQL of its build", second.total / second.sql),
        ("whole first night / copy of the files and SQL", first.total / (first.copy + first.sql)),
        ("whole next night / copy of the files and SQL", second.total / (second.copy + second.sql)),
        (f"full SQL within the memory granted / within {MUCH_MEMORY}", first.sql / first.roomy_sql),
        ("peak memory of the first night / bytes of raw Parquet", first.peak / parquet),
        ("peak memory of its SQL alone / bytes of raw Parquet", first.sql_peak / parquet),
    ):
        print(f"{label:64}{ratio:10.2f}")
    for title, milliseconds in questions(warehouse.marts_file):
        print(f"question {title:60}{milliseconds:8.1f} ms")


def command_line(description: str, report: Callable[..., None], *, accounts: int, events: int) -> None:
    """Report on a company of the size that the command line gives; without one, of this size."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--accounts", type=int, default=accounts)
    parser.add_argument("--events", type=int, default=events)
    parser.add_argument("--months", type=int, default=30)
    parser.add_argument("--folder", type=Path, help="where to work (a new temporary folder)")
    options = parser.parse_args()
    with TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        report(options.accounts, options.events, options.months, folder)


if __name__ == "__main__":
    command_line(__doc__, report, accounts=2000, events=5_000_000)
