"""The contenders of the comparison (benchmarks/peers.py) are held to values worked out by hand, each by itself."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from datetime import date
from pathlib import Path

import duckdb
import pytest

from benchmarks import peers
from benchmarks.contenders import COLUMNS, IN_PROCESS, KEYS

# account, user, when
EVENTS = [
    ("A1", "U1", "2026-01-01 00:00:00"),
    ("A1", "U1", "2026-01-01 23:59:59"),
    ("A1", "U1", "2026-01-31 12:00:00"),
    ("A1", "U1", "2026-02-01 00:00:00"),
    ("A1", "U2", "2026-01-05 08:00:00"),
    (None, "U3", "2026-02-28 08:00:00"),
    (None, "U3", "2026-02-28 09:00:00"),
    ("A2", None, "2026-01-05 08:00:00"),
]
USAGE = [
    ("", "U3", date(2026, 2, 1), 2, 1),
    ("A1", "U1", date(2026, 1, 1), 3, 2),
    ("A1", "U1", date(2026, 2, 1), 1, 1),
    ("A1", "U2", date(2026, 1, 1), 1, 1),
]
MONTH_ENDS = (date(2026, 1, 31), date(2026, 2, 28), date(2026, 3, 31))
# account, quantity, price in ten-thousandths, interval, intervals, from, to
ITEMS = [
    # 2 x 10.00 in January; three from 28 February on, the day on which the two end
    ("A1", 2, 100_000, "month", 1, "2026-01-10 11:00:00", "2026-02-28 10:00:00"),
    ("A1", 3, 100_000, "month", 1, "2026-02-28 10:00:00", None),
    # 100.00 a year are 8.33 a month, from the last day of March
    ("A1", 1, 1_000_000, "year", 1, "2026-03-31 23:00:00", None),
    # 1.00 a week is 52 / 12 = 4.33 a month, with an end before February's
    ("A2", 1, 10_000, "week", 1, "2025-12-01 00:00:00", "2026-02-01 00:00:00"),
    # within a month: seen at no month end
    ("A3", 1, 90_000, "day", 30, "2026-02-10 00:00:00", "2026-02-20 00:00:00"),
    # free
    ("A4", 1, 0, "month", 1, "2026-01-01 00:00:00", None),
    # 10.00 every 3 months are 3.33 a month, on the last day of February only
    ("A5", 1, 100_000, "month", 3, "2026-02-28 23:59:59", "2026-03-01 00:00:00"),
    # each is rounded down to 0.01 before they are added
    ("A6", 1, 150, "month", 1, "2026-02-01 00:00:00", None),
    ("A6", 1, 150, "month", 1, "2026-03-01 00:00:00", None),
]
LEDGER = [
    ("A1", date(2026, 1, 31), 2000),
    ("A1", date(2026, 2, 28), 3000),
    ("A1", date(2026, 3, 31), 3833),
    ("A2", date(2026, 1, 31), 433),
    ("A5", date(2026, 2, 28), 333),
    ("A6", date(2026, 2, 28), 1),
    ("A6", date(2026, 3, 31), 2),
]
EXPECTED = {"usage": USAGE, "ledger": LEDGER}


def write_events(folder: Path, rows: list[tuple]) -> str:
    """Two files of events; returns the pattern that finds them."""
    folder.mkdir()
    with duckdb.connect() as con:
        con.execute("create table events (account_id varchar, user_id varchar, occurred_at timestamp)")
        if rows:
            con.executemany("insert into events values (?, ?, ?)", rows)
        for number in range(2):
            con.execute(f"copy (select * from events where rowid % 2 = {number}) to '{folder}/{number}.parquet'")
    return str(folder / "*.parquet")


def write_items(file: Path, rows: list[tuple]) -> str:
    """A file of items; returns its name."""
    with duckdb.connect() as con:
        con.execute(
            """create table items (account_id varchar, quantity bigint, unit_amount_e4 bigint, billing_interval varchar,
            interval_count bigint, effective_from timestamp, effective_to timestamp)"""
        )
        if rows:
            con.executemany("insert into items values (?, ?, ?, ?, ?, ?, ?)", rows)
        con.execute(f"copy items to '{file}' (format parquet)")
    return str(file)


@pytest.fixture
def cores(tmp_path) -> dict[str, peers.Core]:
    """Both cores on the rows above."""
    usage = (write_events(tmp_path / "events", EVENTS), write_events(tmp_path / "no_events", []))
    ledger = (write_items(tmp_path / "items.parquet", ITEMS), write_items(tmp_path / "no_items.parquet", []))
    return {"usage": peers.Core("usage", *usage), "ledger": peers.Core("ledger", *ledger, MONTH_ENDS)}


def content(core: str, file: Path) -> list[tuple]:
    """The rows of a result, in order of its key."""
    with duckdb.connect() as con:
        if file.suffix == ".duckdb":
            con.execute(f"attach '{file}' as result (read_only)")
        place = f"result.{core}" if file.suffix == ".duckdb" else f"read_parquet('{file}')"
        columns = ", ".join(f"cast({name} as {kind})" for name, kind in COLUMNS[core].items())
        return con.execute(f"select {columns} from {place} order by {', '.join(KEYS[core])}").fetchall()


def computed(core: peers.Core, contender: str, source: str, folder: Path) -> list[tuple]:
    """What a contender makes in this process."""
    folder.mkdir(exist_ok=True)
    result = peers.result_of(folder, contender)
    IN_PROCESS[contender](core.name, contender, source, result, core.month_ends)
    return content(core.name, result)


HERE = [(core, contender) for core, them in peers.CONTENDERS.items() for contender in them if contender in IN_PROCESS]


@pytest.mark.parametrize(("core", "contender"), HERE)
def test_a_contender_computes_what_was_worked_out_by_hand(cores, core, contender, tmp_path):
    assert computed(cores[core], contender, cores[core].source, tmp_path / "own") == EXPECTED[core]


@pytest.mark.parametrize(("core", "contender"), HERE)
def test_a_contender_begins_without_rows(cores, core, contender, tmp_path):
    assert computed(cores[core], contender, cores[core].empty, tmp_path / "own") == []


@pytest.mark.skipif(not peers.HOME.exists(), reason="dbt and SQLMesh need .venv-peers: `make peers` makes it")
@pytest.mark.parametrize("contender", sorted(peers.PROJECTS))
@pytest.mark.parametrize("core", sorted(EXPECTED))
def test_a_project_computes_the_same(cores, core, contender, tmp_path):
    computed(cores[core], "ours", cores[core].source, tmp_path / "ours")
    cost = peers.run(cores[core], contender, tmp_path / contender)
    found = peers.differences(core, {"ours": tmp_path / "ours", contender: tmp_path / contender})
    assert found == {"ours": 0, contender: 0}
    assert cost.cpu_seconds > 0
    assert cost.peak > 0


def test_results_that_differ_are_found(cores, tmp_path):
    folders = {contender: tmp_path / contender for contender in ("ours", "usual", "polars")}
    for contender, folder in folders.items():
        computed(cores["ledger"], contender, cores["ledger"].source, folder)
    assert peers.differences("ledger", folders) == {"ours": 0, "usual": 0, "polars": 0}
    with duckdb.connect(str(peers.result_of(folders["usual"], "usual"))) as con:
        # a cent more, and a row twice
        con.execute("update ledger set mrr_cents = mrr_cents + 1 where account_id = 'A2'")
        con.execute("insert into ledger from ledger where account_id = 'A5'")
    assert peers.differences("ledger", folders) == {"ours": 0, "usual": 3, "polars": 0}


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(peers, "HOME", Path(sys.prefix))
    monkeypatch.setattr(peers, "PACKAGES", ("duckdb", "absent-package"))
    with pytest.raises(SystemExit, match="lacks absent-package"):
        peers.versions()


def test_a_contender_that_fails_is_named(monkeypatch, cores, tmp_path):
    monkeypatch.setattr(peers, "HOME", Path(sys.prefix))
    broken = peers.Core("ledger", str(tmp_path / "absent.parquet"), "")
    with pytest.raises(SystemExit, match="the usual SQL, one DuckDB process fails on ledger"):
        peers.run(broken, "usual", tmp_path / "own")


def test_contenders_stand_at_our_pins():
    locked = (peers.HERE / "peers.requirements.txt").read_text(encoding="utf-8")
    pins = dict(re.findall(r"^([\w-]+)==(\S+)", locked, re.M))
    # SQLMesh needs an older pandas, and is nowhere else
    for package in set(peers.PACKAGES) - {"pandas", "sqlmesh"}:
        assert pins[package] == importlib.metadata.version(package)
    assert "://" not in locked
