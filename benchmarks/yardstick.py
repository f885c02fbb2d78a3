"""The yardstick: the SQL of a build in one process, without dbt, Dagster or Great Expectations.

A bare dbt build is run on one copy of a build file and every statement that changes something is noted as dbt sends it.
Replayed on another copy in a process of its own, the statements make the same tables (tests/test_benchmarks.py holds
them to that) and cost what the SQL costs. Tables of Python models are copied, not computed.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.processes import peak_memory
from orchestration import building
from orchestration.data_tests import run_tests
from orchestration.processes import apart
from orchestration.settings import Settings
from orchestration.warehouse import Warehouse, open_database

Statement = tuple[str, Any]


@dataclass(frozen=True)
class Build:
    """A build by dbt alone: the files before and after it, its statements (SQL and bindings) in order."""

    before: Path
    after: Path
    manifest_folder: Path
    variables: Mapping[str, Any]
    statements: tuple[Statement, ...]
    copied: tuple[str, ...]


@dataclass(frozen=True)
class Replay:
    """The same without dbt: the file it made, CPU seconds, bytes of the greatest resident set."""

    file: Path
    cpu_seconds: float
    peak: int


@contextmanager
def noted(statements: list[Statement]) -> Iterator[None]:
    """Note what dbt sends to DuckDB, but for what it asks about the catalogue and about columns."""
    from dbt.adapters.duckdb.environments.local import DuckDBCursorWrapper

    execute = DuckDBCursorWrapper.execute

    def noting(self, sql, bindings=None):
        result = execute(self, sql, bindings)
        kinds = {part.type for part in duckdb.extract_statements(sql)}
        if not kinds <= {duckdb.StatementType.SELECT, duckdb.StatementType.TRANSACTION}:
            statements.append((sql, bindings))
        return result

    DuckDBCursorWrapper.execute = noting
    try:
        yield
    finally:
        DuckDBCursorWrapper.execute = execute


def recorded_build(warehouse: Warehouse, loaded: Path, settings: Settings, *, full_refresh: bool) -> Build:
    """Build a copy of the file `loaded` by dbt alone, as a night of these settings would.

    Raises:
        SystemExit: a model fails or a test finds something.
    """
    manifest_folder = building.prepare_manifest(warehouse, settings.given_vars)
    variables = {**settings.dbt_vars, "published_at": "2026-01-01 00:00:00"}
    after = _copied(loaded, "dbt")
    statements: list[Statement] = []
    # one model at a time, so that the statements can be run again one after another
    with noted(statements):
        nodes = building.build(
            after, manifest_folder, variables, full_refresh=full_refresh, progress=lambda _line: None, threads=1
        )
    if broken := [node.name for node in nodes if node.is_broken]:
        raise SystemExit(f"the build alone fails: {', '.join(broken)}")
    manifest = building.read_manifest(manifest_folder)["nodes"].values()
    copied = tuple(node["alias"] for node in manifest if node.get("language") == "python")
    own = re.compile(
        r"^\W*(?:/\*.*?\*/\s*)?(?:create|alter|drop|insert|delete)\b[^;(]*\b(?:" + "|".join(copied) + ")", re.S | re.I
    )
    by_sql = tuple(statement for statement in statements if not own.match(statement[0]))
    return Build(loaded, after, manifest_folder, variables, by_sql, copied)


def bare_build(build: Build, *, full_refresh: bool, threads: int | None = None) -> float:
    """CPU seconds of the same build by dbt alone, in a process of its own, `threads` models at a time: without them, as
    many as a night builds."""
    file = _copied(build.before, "bare")
    return apart(_build, file, build.manifest_folder, build.variables, full_refresh, threads)


def _build(
    file: Path, manifest_folder: Path, variables: Mapping[str, Any], full_refresh: bool, threads: int | None
) -> float:
    began = time.process_time()
    building.build(
        file, manifest_folder, variables, full_refresh=full_refresh, progress=lambda _line: None, threads=threads
    )
    return time.process_time() - began


def _copied(file: Path, name: str) -> Path:
    # SQL names the database, which is the name of the file
    copy = file.parent / name / file.name
    shutil.rmtree(copy.parent, ignore_errors=True)  # an earlier one's
    copy.parent.mkdir()
    shutil.copy(file, copy)
    return copy


def replayed(build: Build) -> Replay:
    """Run the statements of a build on a copy of the file it found, in a process of its own, within the memory that
    CSW_MEMORY_LIMIT grants."""
    file = _copied(build.before, "sql")
    with open_database(str(file), spill=file.parent) as con:
        con.execute(f"attach '{build.after}' as built (read_only)")
        con.execute("create schema if not exists intermediate")
        for table in build.copied:
            con.execute(f"create or replace table intermediate.{table} as from built.intermediate.{table}")
    return Replay(file, *apart(_run, file, build))


def _run(file: Path, build: Build) -> tuple[float, int]:
    began = time.process_time()
    tonight = {placeholder: str(build.variables[name]) for name, placeholder in building.RUN_VARS.items()}
    with open_database(str(file), spill=file.parent) as con:
        con.execute("set preserve_insertion_order = false")  # as profiles.yml has it
        con.execute("set threads = 1")
        for sql, bindings in build.statements:
            con.execute(sql, bindings)
        run_tests(con, build.manifest_folder, tonight, ())
    return time.process_time() - began, peak_memory()
