"""Publishing: whole or not at all, whoever reads and whenever it's killed. The build files here are made by hand."""

import hashlib
import multiprocessing
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from orchestration import stages
from orchestration.history import CARRIED, carry_history
from orchestration.night import PUBLISHED, Night
from orchestration.publishing import (
    Mart,
    Publication,
    clean_leftovers,
    keep_versions,
    kept_versions,
    next_instant,
    publish,
    read_publication,
    rollback,
)
from orchestration.querying import connect_hardened
from orchestration.settings import now_utc, resolve_settings
from orchestration.variables import UsageError
from orchestration.warehouse import Warehouse

MARTS = [
    Mart(
        "fct_numbers",
        ["number"],
        "Numbers, it's said.",
        {"number": "A number.", "gone": "Not built."},
        frozenset(["generation"]),
    ),
    Mart("mart_sum", [], "", {"total": "Their sum."}),
]


def build(warehouse: Warehouse, generation: int, rows: int = 1_000) -> None:
    """Every row says which generation wrote it, so a torn file shows."""
    with duckdb.connect(str(warehouse.build_file)) as con:
        con.execute("create schema if not exists marts")
        con.execute(
            f"""create or replace table marts.fct_numbers as
            select number, {generation} as generation from range({rows}) as numbers(number) order by random()"""
        )
        con.execute("create or replace view marts.mart_sum as select sum(generation) as total from marts.fct_numbers")


def publication(generation: int, previous: Publication | None = None) -> Publication:
    return Publication(
        as_of_date=date(2025, 3, 31),
        published_at=datetime(2025, 4, 1) + timedelta(hours=generation),
        code_version="0.1.0+abc",
        input_hash="0" * 64,
        reporting_currency="EUR",
        reporting_timezone="Asia/Tokyo",
        checks_passed=10,
        checks_warned=2,
        run_id=f"run{generation}",
        previous_published_at=previous.published_at if previous else None,
    )


def publish_generation(warehouse: Warehouse, generation: int, keep: int = 7, rows: int = 1_000) -> Publication:
    previous = read_publication(warehouse.marts_file)
    build(warehouse, generation, rows)
    published = publication(generation, previous)
    publish(warehouse, MARTS, published)
    keep_versions(warehouse, keep)
    return published


def generation_of(file: Path) -> int:
    """The one generation that a published file holds; fails when it's torn."""
    with duckdb.connect(str(file), read_only=True) as con:
        rows, low, high = con.execute("select count(*), min(generation), max(generation) from fct_numbers").fetchone()
        run_id = con.execute("select run_id from meta_publication").fetchone()[0]
        total = con.execute("select total from mart_sum").fetchone()[0]
    assert low == high
    assert total == rows * low
    assert run_id == f"run{low}"
    return low


@pytest.fixture
def warehouse(tmp_path):
    warehouse = Warehouse(tmp_path / "wh")
    warehouse.prepare()
    return warehouse


def test_the_file_holds_the_marts_in_order_with_their_docs(warehouse):
    published = publish_generation(warehouse, 1)
    assert read_publication(warehouse.marts_file) == published
    with duckdb.connect(str(warehouse.marts_file), read_only=True) as con:
        assert con.execute("select number from fct_numbers limit 3").fetchall() == [(0,), (1,), (2,)]
        tables = con.execute(
            "select table_name, comment from duckdb_tables() where schema_name = 'main' order by 1"
        ).fetchall()
        columns = con.execute(
            "select column_name, comment from duckdb_columns() where table_name = 'fct_numbers' order by 1"
        ).fetchall()
        undescribed = con.execute(
            "select table_name, column_name from meta_columns where description is null"
        ).fetchall()
        described = con.execute(
            "select * exclude (description) from meta_columns where table_name in ('fct_numbers', 'mart_sum')"
        ).fetchall()
    assert [(name, text) for name, text in tables if not name.startswith("meta_")] == [
        ("fct_numbers", "Numbers, it's said."),
        ("mart_sum", None),
    ]
    assert columns == [("generation", None), ("number", "A number.")]
    assert undescribed == [("fct_numbers", "generation")]
    assert described == [
        ("fct_numbers", "number", 1, "BIGINT", 1, False),
        ("fct_numbers", "generation", 2, "INTEGER", None, True),
        ("mart_sum", "total", 1, "HUGEINT", None, False),
    ]
    assert stat.S_IMODE(warehouse.marts_file.stat().st_mode) == 0o444
    assert stat.S_IMODE(warehouse.build.stat().st_mode) == 0o700
    assert sorted(path.name for path in warehouse.root.iterdir()) == [
        "alerts",
        "build",
        "dagster",
        "marts.duckdb",
        "runs",
        "versions",
    ]


def test_the_last_versions_are_kept_and_rolled_back_to(warehouse):
    generations = [publish_generation(warehouse, number, keep=3) for number in range(1, 6)]
    assert kept_versions(warehouse) == [item.version for item in generations[2:]]
    assert rollback(warehouse).run_id == "run4"
    assert generation_of(warehouse.marts_file) == 4
    assert rollback(warehouse).run_id == "run3"
    with pytest.raises(UsageError, match="not kept"):
        rollback(warehouse)
    assert generation_of(warehouse.marts_file) == 3
    assert rollback(warehouse, generations[4].version).run_id == "run5"
    assert generation_of(warehouse.marts_file) == 5
    assert len(kept_versions(warehouse)) == 3


@pytest.mark.parametrize("keep", [2, 7])
def test_after_a_rollback_the_next_publication_follows_the_good_one(warehouse, keep):
    for number in (1, 2):
        publish_generation(warehouse, number, keep)
    rollback(warehouse)
    publish_generation(warehouse, 3, keep)
    assert len(kept_versions(warehouse)) == min(keep, 3)
    assert rollback(warehouse).run_id == "run1"


def test_what_fails_behind_the_swap_is_noted_and_another_try_follows_the_version_before(warehouse, monkeypatch):
    for number in (1, 2):
        publish_generation(warehouse, number)
    night = Night(resolve_settings(warehouse=str(warehouse.root)), warehouse, print, now_utc(), datetime(2025, 4, 2))
    night.stages["checking the marts"] = 0.0
    build(warehouse, 3)
    monkeypatch.setattr("orchestration.building.prepare_manifest", lambda *_: None)
    monkeypatch.setattr("orchestration.building.read_manifest", lambda _: None)
    monkeypatch.setattr("orchestration.publishing.marts_of", lambda _: MARTS)
    monkeypatch.setattr("orchestration.stages._input_hash", lambda _: "0" * 64)
    with monkeypatch.context() as patched:
        patched.setattr("orchestration.publishing.keep_versions", fail)
        stages.publish(night)
    assert [(problem.table, problem.what) for problem in night.undrawn][:1] == [("keeping versions", "OSError: full")]
    assert night.exit_code == PUBLISHED
    stages.publish(night)
    assert rollback(warehouse).run_id == "run2"


def fail(*_):
    raise OSError("full")


def test_a_file_that_somebody_lays_among_the_versions_is_none_and_stays(warehouse):
    publish_generation(warehouse, 1)
    copy = warehouse.versions / "before-migration.duckdb"
    shutil.copy(warehouse.marts_file, copy)
    for number in (2, 3):
        publish_generation(warehouse, number, keep=2)
    assert next_instant(warehouse, datetime(2025, 4, 1, 3, tzinfo=UTC)) == datetime(2025, 4, 1, 3, 0, 0, 1)
    assert [version[:11] for version in kept_versions(warehouse)] == ["20250401T02", "20250401T03"]
    assert generation_of(copy) == 1


def test_rolling_back_to_what_is_published_changes_nothing(warehouse):
    published = publish_generation(warehouse, 1)
    assert rollback(warehouse, published.version) == published
    assert not list(warehouse.root.glob(".marts*"))


def test_rollback_without_an_earlier_version(warehouse):
    publish_generation(warehouse, 1)
    with pytest.raises(UsageError, match="no earlier version"):
        rollback(warehouse)


def test_a_clock_that_went_back_keeps_the_order(warehouse):
    published = publish_generation(warehouse, 1)
    assert next_instant(warehouse, datetime(2020, 1, 1, tzinfo=UTC)) == published.published_at + timedelta(
        microseconds=1
    )


def test_a_stale_wal_is_not_replayed_into_the_new_file(warehouse):
    publish_generation(warehouse, 1)
    (warehouse.root / "marts.duckdb.wal").write_bytes(b"left by somebody who wrote")
    publish_generation(warehouse, 2)
    assert generation_of(warehouse.marts_file) == 2


def test_half_a_state_file_that_a_killed_run_left_is_removed_before_anybody_erases(warehouse):
    halves = [warehouse.alerts / "state.new", warehouse.runs / "last.new", warehouse.build / "erasing.new"]
    for half in halves:
        half.write_text('{"contact": "ada@seven.example')
    assert sorted(clean_leftovers(warehouse)) == ["erasing.new", "last.new", "state.new"]
    assert not any(half.exists() for half in halves)


def test_a_mart_that_is_not_built_leaves_the_published_file(warehouse):
    publish_generation(warehouse, 1)
    before = hashlib.sha256(warehouse.marts_file.read_bytes()).hexdigest()
    with pytest.raises(duckdb.CatalogException):
        publish(warehouse, [*MARTS, Mart("fct_missing", [], "", {})], publication(2))
    assert hashlib.sha256(warehouse.marts_file.read_bytes()).hexdigest() == before
    assert clean_leftovers(warehouse)
    assert generation_of(warehouse.marts_file) == 1


@contextmanager
def reading(path: Path, read_until: Callable[[Path, Path], list], *, processes: int = 1) -> Iterator[list[Future]]:
    """Processes that read a path over and over, until the block ends; then what each has read is there."""
    stop = path.parent / "stop"
    # not a Pool: processes that it terminates may never end
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield [pool.submit(read_until, path, stop) for _ in range(processes)]
        finally:
            stop.touch()


def test_readers_that_open_in_a_loop_never_fail(warehouse):
    publish_generation(warehouse, 1, rows=20_000)
    with reading(warehouse.marts_file, _read_until, processes=3) as readers:
        time.sleep(1.5)
        for generation in range(2, 14):
            publish_generation(warehouse, generation, rows=20_000)
    seen = [reader.result() for reader in readers]
    for generations in seen:
        assert generations == sorted(generations)
        assert len(set(generations)) > 1


def _read_until(file: Path, stop: Path) -> list[int]:
    generations = []
    while not stop.exists():
        generations.append(generation_of(file))
    return [*generations, generation_of(file)]


_PUBLISH_FOR_EVER = """
import sys
from pathlib import Path
from orchestration.publishing import clean_leftovers, read_publication
from orchestration.warehouse import Warehouse
from tests.test_publishing import publish_generation
warehouse = Warehouse(Path(sys.argv[1]))
while True:
    clean_leftovers(warehouse)
    last = read_publication(warehouse.marts_file)
    generation = int(last.run_id[3:]) + 1 if last else 1
    publish_generation(warehouse, generation, keep=3, rows=50_000)
    print(generation, flush=True)
"""


def test_killed_anywhere_the_published_file_is_whole_and_the_next_run_goes_on(warehouse):
    chance = random.Random(11)
    publish_generation(warehouse, 1)
    reached = 1
    for _ in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", _PUBLISH_FOR_EVER, str(warehouse.root)], stdout=subprocess.PIPE
        )
        process.stdout.readline()
        time.sleep(chance.random() * 0.3)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        generation = generation_of(warehouse.marts_file)
        assert generation > reached
        reached = generation
    clean_leftovers(warehouse)
    assert not [path.name for path in warehouse.versions.iterdir() if path.suffix != ".duckdb"]
    assert read_publication(warehouse.marts_file).version in kept_versions(warehouse)
    for version in kept_versions(warehouse):
        generation_of(warehouse.versions / f"{version}.duckdb")


def test_history_is_what_was_published_and_rolls_back_with_it(warehouse):
    for score in (1, 2):
        with duckdb.connect(str(warehouse.build_file)) as con:
            con.execute("create schema if not exists marts")
            con.execute(
                f"""create or replace table marts.fct_health_scores as
                select 'a' as account_id, date '2025-03-31' as score_date, {score}::double as score, true as is_new"""
            )
        marts = [Mart("fct_health_scores", ["account_id"], "", {})]
        publish(warehouse, marts, publication(score, read_publication(warehouse.marts_file)))
        keep_versions(warehouse, 7)
    carried = [_carried(warehouse)]
    rollback(warehouse)
    carried.append(_carried(warehouse))
    assert carried == [[("a", 2.0, None, True)], [("a", 1.0, None, True)]]


def _carried(warehouse):
    with duckdb.connect(str(warehouse.build_file)) as con:
        rows = carry_history(con, warehouse.marts_file)
        assert set(rows) == set(CARRIED)
        assert con.execute("select count(*) from history.meta_publication").fetchone() == (1,)
        return con.execute("select account_id, score, colour, is_new from history.fct_health_scores").fetchall()


def test_history_of_a_first_night_is_empty_tables(warehouse):
    with duckdb.connect(str(warehouse.build_file)) as con:
        assert carry_history(con, warehouse.marts_file) == dict.fromkeys(CARRIED, 0)
        assert con.execute("select score, is_turned_red from history.fct_health_scores").fetchall() == []


HOSTILE = [
    "select * from read_csv('/etc/passwd')",
    "select * from read_text('/etc/hostname')",
    "select * from glob('/*')",
    "copy fct_numbers to '/tmp/stolen.csv'",
    "attach '/tmp/other.duckdb'",
    "install httpfs",
    "load httpfs",
    "create table mine as select 1",
    "drop table fct_numbers",
    "delete from fct_numbers",
    "update fct_numbers set number = 1",
    "set enable_external_access = true",
    "set lock_configuration = false",
    "pragma database_size; drop table fct_numbers",
    "export database '/tmp/stolen'",
]


@pytest.mark.parametrize("sql", HOSTILE)
def test_the_hardened_connection_only_reads_this_file(sql, warehouse):
    publish_generation(warehouse, 1)
    before = warehouse.marts_file.read_bytes()
    with connect_hardened(warehouse.marts_file) as con:
        assert con.execute("select count(*) from fct_numbers").fetchone() == (1_000,)
        with pytest.raises(duckdb.Error):
            con.execute(sql).fetchall()
    assert warehouse.marts_file.read_bytes() == before
