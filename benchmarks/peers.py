"""The events aggregate and the ledger beside dbt, SQLMesh, Polars and pandas: `make peers`.

Run: python -m benchmarks.peers [--accounts 2000 --events 5000000 --months 30 --rounds 3]
     python -m benchmarks.peers --ledger-accounts 100000

What is computed, the same for all, and how each does it: benchmarks/contenders.py. Contenders run in turn, each time in
a new process and an empty folder, in an environment of their own (.venv-peers, made once); first their results are
compared row by row with ours. Printed are CPU seconds of the process and all its children, start-up and the parsing of
a project included; `no rows` is the same run on an empty file, so what it costs to begin. Memory is the greatest
resident set of one process; it begins with the memory of this one, so what takes memory here is called apart. The
ratios are the result.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from statistics import median

from benchmarks.contenders import (
    COLUMNS,
    IN_PROCESS,
    month_starts,
    usual_sql,
    write_dbt_project,
    write_sqlmesh_project,
)
from orchestration.processes import apart

HERE = Path(__file__).resolve().parent
HOME = HERE.parent / ".venv-peers"
PACKAGES = ("duckdb", "dbt-core", "dbt-duckdb", "sqlmesh", "polars", "pandas", "pyarrow")
END = date(2026, 10, 31)
LABELS = {
    "ours": "our SQL, one DuckDB process",
    "asof": "our change points, as-of join",
    "usual": "the usual SQL, one DuckDB process",
    "dbt": "the usual SQL by dbt build",
    "sqlmesh": "the usual SQL by sqlmesh plan",
    "polars": "Polars, lazy and streaming",
    "pandas": "pandas",
}
CONTENDERS = {
    "usage": ("ours", "usual", "dbt", "sqlmesh", "polars", "pandas"),
    "ledger": ("ours", "asof", "usual", "dbt", "sqlmesh", "polars", "pandas"),
}
PROJECTS = {"dbt": write_dbt_project, "sqlmesh": write_sqlmesh_project}


@dataclass(frozen=True)
class Core:
    """One of the two computations: its name, its rows and a file of the same columns without rows (both as DuckDB and
    Polars name files), and the month ends to read at (the ledger only)."""

    name: str
    source: str
    empty: str
    month_ends: tuple[date, ...] = ()


@dataclass(frozen=True)
class Cost:
    """One run: CPU seconds, user and system, of a process and its children; bytes of the greatest resident set."""

    cpu_seconds: float
    peak: int


@dataclass
class Costs:
    """All runs of a contender on the rows and on no rows."""

    full: list[Cost] = field(default_factory=list)
    empty: list[Cost] = field(default_factory=list)


def install() -> None:
    """The contenders' environment, made once."""
    if HOME.exists():
        return
    subprocess.run([sys.executable, "-m", "venv", HOME], check=True)
    command = [Path(sys.executable).with_name("uv"), "pip", "install", "--quiet", "--require-hashes"]
    command += ["--compile-bytecode", "--only-binary", ":all:", "-r", HERE / "peers.requirements.txt"]
    subprocess.run(command, check=True, env={**os.environ, "VIRTUAL_ENV": str(HOME)})


def versions() -> dict[str, str]:
    """Versions of the contenders' packages.

    Raises:
        SystemExit: one is missing.
    """
    ask = """
import importlib.metadata, json, sys
found = {part.metadata["name"].lower(): part.version for part in importlib.metadata.distributions()}
print(json.dumps({name: found.get(name) for name in sys.argv[1:]}))
"""
    answer = subprocess.run([HOME / "bin" / "python", "-c", ask, *PACKAGES], check=True, capture_output=True, text=True)
    found = json.loads(answer.stdout)
    if missing := [name for name, version in found.items() if version is None]:
        raise SystemExit(f"{HOME.name} lacks {', '.join(missing)}: remove the folder, it is then made anew")
    return found


def result_of(folder: Path, contender: str) -> Path:
    """The file that a contender makes in its folder; SQLMesh has a schema of its own name, so the file has another."""
    return folder / f"by_{contender}.{'parquet' if contender in ('polars', 'pandas') else 'duckdb'}"


def run(core: Core, contender: str, folder: Path, *, empty: bool = False) -> Cost:
    """Run a contender in an empty folder, which this makes.

    Raises:
        SystemExit: it fails; its last words are told.
    """
    folder.mkdir(parents=True)
    source, result = core.empty if empty else core.source, result_of(folder, contender)
    if contender in IN_PROCESS:
        command = ["python", "-P", str(HERE / "contenders.py"), core.name, contender, source, str(result)]
        command += map(str, core.month_ends)
    else:
        command = PROJECTS[contender](folder, core.name, usual_sql(core.name, source, core.month_ends), result)
    environment = {**os.environ, "HOME": str(folder), "TZ": "UTC", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
    log = folder / "output.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [HOME / "bin" / command[0], *command[1:]], cwd=folder, env=environment, stdout=output, stderr=output
        )
        # of this one process and of its children that have ended
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or not result.exists():
        raise SystemExit(f"{LABELS[contender]} fails on {core.name}:\n{log.read_text(errors='replace')[-3000:]}")
    return Cost(used.ru_utime + used.ru_stime, 1024 * used.ru_maxrss)


def differences(core: str, folders: Mapping[str, Path]) -> dict[str, int]:
    """Rows in which each contender's result differs from ours, both ways, a repeated row as often as it comes."""
    import duckdb

    columns = ", ".join(f"cast({name} as {kind}) as {name}" for name, kind in COLUMNS[core].items())
    found = {}
    with duckdb.connect() as con:
        for contender, folder in folders.items():
            file = result_of(folder, contender)
            if file.suffix == ".duckdb":
                # under its own name, by which a view in it knows its table
                con.execute(f"attach '{file}' as {file.stem} (read_only)")
                place = f"{file.stem}.main.{core}"
            else:
                place = f"read_parquet('{file}')"
            con.execute(f"create temp table rows_of_{contender} as select {columns} from {place}")
            found[contender] = con.execute(
                f"""select count(*) from (
                    (select * from rows_of_{contender} except all select * from rows_of_ours)
                    union all (select * from rows_of_ours except all select * from rows_of_{contender})
                )"""
            ).fetchall()[0][0]
    return found


def count_rows(source: str) -> int:
    """The rows of Parquet files."""
    import duckdb

    with duckdb.connect() as con:
        return con.execute(f"select count(*) from read_parquet('{source}')").fetchall()[0][0]


def compare(core: Core, folder: Path) -> None:
    """Let every contender compute once and hold its result to ours.

    Raises:
        SystemExit: one differs, or there is nothing to compare.
    """
    folders = {contender: folder / contender for contender in CONTENDERS[core.name]}
    for contender, own in folders.items():
        run(core, contender, own)
    if not apart(count_rows, core.source):
        raise SystemExit(f"{core.name}: no rows")
    found = apart(differences, core.name, folders)
    shutil.rmtree(folder)
    for contender, rows in found.items():
        if rows:
            raise SystemExit(f"{LABELS[contender]} differs from ours on {core.name} in {rows:,} rows")


def write_items(landing: Path, target: Path) -> None:
    """The sample's recurring items in the columns of the ledger's core; items of an ended subscription end with it."""
    import duckdb

    with duckdb.connect() as con:
        con.execute(
            f"""copy (
                select
                    subscriptions.account_id,
                    cast(items.quantity as bigint) as quantity,
                    cast(round(items.unit_amount * 10000) as bigint) as unit_amount_e4,
                    items.billing_interval,
                    cast(coalesce(items.interval_count, 1) as bigint) as interval_count,
                    cast(items.effective_from as timestamp) as effective_from,
                    cast(coalesce(items.effective_to, subscriptions.ended_at) as timestamp) as effective_to
                from read_csv('{landing}/billing_subscription_items.csv') as items
                inner join read_csv('{landing}/billing_subscriptions.csv') as subscriptions
                    on items.subscription_id = subscriptions.subscription_id
                where items.is_recurring and subscriptions.account_id is not null
            ) to '{target}' (format parquet)"""
        )


def write_many_items(accounts: int, first: date, months: int, target: Path) -> None:
    """Items by rule instead of a sample: one or two an account, one to five versions of 30 to 399 days each.

    Args:
        first: the day before which no item begins; the beginnings are spread over the `months` after it.
    """
    import duckdb

    with duckdb.connect() as con:
        con.execute(
            f"""copy (
                with items as (
                    select
                        account,
                        item,
                        date '{first}'
                            + cast(hash(account, 'start') % {30 * months} + 20 * item as integer) as started_on,
                        1 + cast(hash(account, item, 'versions') % 5 as integer) as n_versions,
                        30 + cast(hash(account, item, 'days') % 370 as integer) as days,
                        hash(account, item, 'interval') % 100 as interval_draw,
                        hash(account, item, 'end') % 3 = 0 as has_end
                    from range({accounts}) as accounts (account), range(2) as items (item)
                    where item = 0 or hash(account, 'items') % 2 = 0
                )
                select
                    format('A{{:07d}}', account) as account_id,
                    cast(1 + hash(account, item, version, 'quantity') % 50 as bigint) as quantity,
                    cast(10000 + hash(account, item, version, 'price') % 990000 as bigint) as unit_amount_e4,
                    case
                        when interval_draw < 60 then 'month' when interval_draw < 90 then 'year'
                        when interval_draw < 95 then 'week' else 'day'
                    end as billing_interval,
                    cast(case when interval_draw < 95 then 1 else 30 end as bigint) as interval_count,
                    cast(started_on + cast(version * days as integer) as timestamp) as effective_from,
                    case
                        when version + 1 < n_versions or has_end
                            then cast(started_on + cast((version + 1) * days as integer) as timestamp)
                    end as effective_to
                from items, range(5) as versions (version)
                where version < n_versions
            ) to '{target}' (format parquet)"""
        )


def write_empty(source: str, target: Path) -> None:
    """The columns of Parquet files without their rows."""
    import duckdb

    with duckdb.connect() as con:
        con.execute(f"copy (select * from read_parquet('{source}') limit 0) to '{target}' (format parquet)")


def make_landing(landing: Path, accounts: int, months: int, events: int) -> None:
    """A sample company in this folder."""
    from orchestration.sample import make_sample

    make_sample(landing, accounts=accounts, months=months, events=events, end=END, progress=lambda _line: None)


def core_of(name: str, source: str, folder: Path, month_ends: Sequence[date] = ()) -> Core:
    """A core on these rows, with its empty file in a folder of its own, as pandas takes folders."""
    empty = folder / f"no_{name}" / "none.parquet"
    empty.parent.mkdir()
    apart(write_empty, source, empty)
    # read as a pattern, like the rows, where those are
    return Core(name, source, str(empty.with_name("*.parquet") if "*" in source else empty), tuple(month_ends))


def measure(core: Core, folder: Path, rounds: int) -> dict[str, Costs]:
    """Run the contenders in turn, `rounds` times each, on no rows and on all."""
    costs = {contender: Costs() for contender in CONTENDERS[core.name]}
    for number in range(rounds):
        for contender, found in costs.items():
            own = folder / f"{contender}_{number}"
            found.empty.append(run(core, contender, own / "empty", empty=True))
            found.full.append(run(core, contender, own / "full"))
            shutil.rmtree(own)
    return costs


def report(core: Core, title: str, costs: Mapping[str, Costs]) -> None:
    """Print a core's table: medians over the rounds, and ratios against ours."""
    ours = median(cost.cpu_seconds for cost in costs["ours"].full)
    our_peak = median(cost.peak for cost in costs["ours"].full)
    print(f"\n{core.name}: {title}; medians of {len(costs['ours'].full)} runs")
    print(f"{'':36}{'CPU s':>8}{'least':>8}{'most':>8}{'no rows':>9}{'x ours':>8}{'peak MB':>9}{'x ours':>8}")
    for contender, found in costs.items():
        seconds = [cost.cpu_seconds for cost in found.full]
        start = median(cost.cpu_seconds for cost in found.empty)
        peak = median(cost.peak for cost in found.full)
        print(
            f"{LABELS[contender]:36}{median(seconds):8.2f}{min(seconds):8.2f}{max(seconds):8.2f}{start:9.2f}"
            f"{median(seconds) / ours:8.2f}{peak / 1e6:9,.0f}{peak / our_peak:8.2f}",
            flush=True,
        )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--accounts", type=int, default=2000)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--months", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ledger-accounts", type=int, help="the ledger alone, for so many accounts made by rule")
    options = parser.parse_args()
    install()
    print(", ".join(f"{name} {version}" for name, version in versions().items()), flush=True)
    first = 12 * END.year + END.month - options.months
    starts = month_starts(date(first // 12, first % 12 + 1, 1), END)
    month_ends = [start - timedelta(days=1) for start in starts[1:]]
    with tempfile.TemporaryDirectory(prefix="csw-peers-") as temporary:
        folder = Path(temporary)
        items = folder / "items.parquet"
        cores = []
        if options.ledger_accounts:
            accounts = options.ledger_accounts
            apart(write_many_items, accounts, starts[0], options.months, items)
        else:
            accounts, landing = options.accounts, folder / "landing"
            apart(make_landing, landing, accounts, options.months, options.events)
            apart(write_items, landing, items)
            events = landing / "product_events"
            megabytes = sum(file.stat().st_size for file in events.iterdir()) / 1e6
            title = f"{accounts:,} accounts, {options.events:,} events, {megabytes:,.0f} MB of Parquet"
            cores.append((core_of("usage", str(events / "*.parquet"), folder), title))
        title = f"{accounts:,} accounts, {apart(count_rows, str(items)):,} item versions, {options.months} month ends"
        cores.append((core_of("ledger", str(items), folder, month_ends), title))
        for core, title in cores:
            compare(core, folder / "compared")
            report(core, title, measure(core, folder / "runs", options.rounds))


if __name__ == "__main__":
    main()
