"""Parquet copies: a whole set a version, and one link that is swapped."""

from __future__ import annotations

import os
import time
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from orchestration.publishing import PART, clean_leftovers, kept_versions, rollback
from orchestration.warehouse import Warehouse
from serving.parquet import publish_parquet, withdraw_parquet
from tests.test_publishing import publish_generation, reading


@pytest.fixture
def warehouse(tmp_path) -> Warehouse:
    warehouse = Warehouse(tmp_path / "wh")
    warehouse.prepare()
    return warehouse


def generations(folder: Path) -> set[int]:
    """What the files of one set say about who wrote them; fct_numbers has 1,000 rows of its generation."""
    numbers = pq.read_table(folder / "fct_numbers.parquet", columns=["generation"])["generation"].unique().to_pylist()
    [[total]] = duckdb.sql(f"select total from '{folder}/mart_sum.parquet'").fetchall()
    return {*numbers, int(total) // 1000}


def test_the_copies_hold_what_the_file_holds(warehouse):
    published = publish_generation(warehouse, 3)
    folder = publish_parquet(warehouse)
    current = warehouse.parquet / "current"
    assert current.resolve() == folder
    assert sorted(path.name for path in folder.iterdir()) == [
        "fct_numbers.parquet",
        "mart_sum.parquet",
        "meta_columns.parquet",
        "meta_publication.parquet",
    ]
    numbers = pl.read_parquet(current / "fct_numbers.parquet")
    assert numbers["number"].to_list() == list(range(1000))
    assert pd.read_parquet(current / "meta_publication.parquet")["run_id"].to_list() == ["run3"]
    notes = pq.read_metadata(current / "fct_numbers.parquet").metadata
    assert (notes[b"version"], notes[b"as_of_date"]) == (published.version.encode(), b"2025-03-31")


@pytest.mark.parametrize("umask", [0o077, 0o002])
def test_everybody_may_read_the_copies_whatever_the_umask(warehouse, umask):
    publish_generation(warehouse, 1)
    before = os.umask(umask)
    try:
        folder = publish_parquet(warehouse)
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in (warehouse.parquet, folder)] == [0o755, 0o755]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o444}


def test_copies_follow_the_file_back_and_go_with_its_versions(warehouse):
    for number in range(1, 5):
        publish_generation(warehouse, number, keep=2)
        publish_parquet(warehouse)
    assert sorted(path.name for path in warehouse.parquet.iterdir()) == [*kept_versions(warehouse), "current"]
    rollback(warehouse)
    publish_parquet(warehouse)
    assert generations(warehouse.parquet / "current") == {3}


def test_a_reader_that_resolves_the_link_never_sees_two_versions(warehouse):
    publish_generation(warehouse, 1)
    publish_parquet(warehouse)
    with reading(warehouse.parquet, _read_until) as [reader]:
        time.sleep(1)
        for number in range(2, 10):
            publish_generation(warehouse, number)
            publish_parquet(warehouse)
    seen = reader.result()
    assert all(len(numbers) == 1 for numbers in seen)
    assert len({number for numbers in seen for number in numbers}) > 1


def _read_until(parquet: Path, stop: Path) -> list[set[int]]:
    seen = []
    while not stop.exists():
        seen.append(generations((parquet / "current").resolve()))
    return seen


def test_what_a_killed_run_left_is_cleared_and_the_set_before_stays(warehouse):
    publish_generation(warehouse, 1)
    publish_parquet(warehouse)
    second = publish_generation(warehouse, 2)
    half = warehouse.parquet / f"{second.version}{PART}"
    half.mkdir()
    (half / "fct_numbers.parquet").write_bytes(b"PAR1")
    (warehouse.parquet / f"current{PART}").symlink_to(second.version)
    assert generations(warehouse.parquet / "current") == {1}
    assert len(clean_leftovers(warehouse)) == 2
    publish_parquet(warehouse)
    assert generations(warehouse.parquet / "current") == {2}


def test_copies_that_are_not_asked_for_any_more_go(warehouse):
    withdraw_parquet(warehouse)
    publish_generation(warehouse, 1)
    publish_parquet(warehouse)
    withdraw_parquet(warehouse)
    assert not warehouse.parquet.exists()
