"""Real clients ask two of the questions of the file, its Parquet copies and PostgreSQL, and get the same numbers."""

from __future__ import annotations

import csv
import io
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import adbc_driver_duckdb
import adbc_driver_manager.dbapi
import adbc_driver_postgresql.dbapi
import duckdb
import pandas as pd
import polars as pl
import pytest
import sqlalchemy

from orchestration.warehouse import Warehouse
from serving.address import server_of
from serving.parquet import publish_parquet
from serving.postgres import serve_file
from tests.postgres import QUOTED, Postgres, postgres_server
from tests.test_questions import QUESTIONS

ASKED = ["Q1", "Q12"]  # what moved our recurring revenue; what the team costs and brings
OPTIONS = "-csearch_path=marts"


@pytest.fixture(scope="module")
def server(sample) -> Iterator[Postgres]:
    with postgres_server() as server:
        serve_file(server_of(server.url), sample.marts_file)
        with server.connect() as con:
            con.execute("create role ann login password 's3cr%20t/pw' in role csw_analyst")
        yield server


@pytest.fixture(scope="module")
def places(sample, server, tmp_path_factory) -> dict[str, Any]:
    """Where each kind of client finds the marts."""
    warehouse = Warehouse(tmp_path_factory.mktemp("copies"))
    warehouse.prepare()
    shutil.copy(sample.marts_file, warehouse.marts_file)
    publish_parquet(warehouse)
    address = f"ann:{QUOTED}@127.0.0.1:{server.port}/{server.database}"
    return {
        "file": str(sample.marts_file),
        "parquet": (warehouse.parquet / "current").resolve(),
        "postgresql": f"postgresql://{address}?options={OPTIONS.replace('=', '%3D')}",
        "file engine": sqlalchemy.create_engine(
            f"duckdb:///{sample.marts_file}", connect_args={"read_only": True}, poolclass=sqlalchemy.NullPool
        ),
        "postgresql engine": sqlalchemy.create_engine(
            f"postgresql+psycopg://{address}", connect_args={"options": OPTIONS}, poolclass=sqlalchemy.NullPool
        ),
    }


def plain(value: Any) -> Any:
    """A value as every client can mean it: numbers to nine digits, days as text, whatever is missing as None."""
    if value is None or value is pd.NaT or value == "" or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return value[:10]
    if isinstance(value, int | float | Decimal):
        return float(f"{float(value):.9g}")
    return value.isoformat()[:10] if isinstance(value, date | datetime) else value


def rows_of(cursor: Any, sql: str) -> list[tuple]:
    cursor.execute(sql)
    return cursor.fetchall()


def psql(places: dict[str, Any], sql: str) -> list[tuple]:
    command = ["psql", "--no-psqlrc", "--csv", "--tuples-only", "--command", sql, places["postgresql"]]
    said = subprocess.run(command, capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]})
    return [tuple(row) for row in csv.reader(io.StringIO(said.stdout))]


def sqlalchemy_rows(engine: sqlalchemy.Engine, sql: str) -> list[tuple]:
    with engine.connect() as con:
        return [tuple(row) for row in con.execute(sqlalchemy.text(sql))]


def pandas_rows(engine: sqlalchemy.Engine, sql: str) -> list[tuple]:
    with engine.connect() as con:
        return list(pd.read_sql(sqlalchemy.text(sql), con).itertuples(index=False, name=None))


def adbc_rows(connection: Any, sql: str) -> list[tuple]:
    with connection, connection.cursor() as cursor:
        return rows_of(cursor, sql)


def polars_rows(connection: Any, sql: str) -> list[tuple]:
    with connection:
        return pl.read_database(sql, connection).rows()


def polars_on_parquet(places: dict[str, Any], sql: str) -> list[tuple]:
    [table] = [name for name in ("kpi_mrr", "kpi_cs_team_roi") if name in sql]
    frame = pl.scan_parquet(places["parquet"] / f"{table}.parquet")
    return pl.SQLContext({table: frame}).execute(sql, eager=True).rows()


def duckdb_on_parquet(places: dict[str, Any], sql: str) -> list[tuple]:
    with duckdb.connect() as con:
        for file in places["parquet"].glob("*.parquet"):
            con.execute(f"create view {file.stem} as select * from '{file}'")
        return rows_of(con, sql)


CLIENTS: dict[str, Callable[[dict[str, Any], str], list[tuple]]] = {
    "psql on PostgreSQL": psql,
    "SQLAlchemy on the file": lambda places, sql: sqlalchemy_rows(places["file engine"], sql),
    "SQLAlchemy on PostgreSQL": lambda places, sql: sqlalchemy_rows(places["postgresql engine"], sql),
    "pandas on the file": lambda places, sql: pandas_rows(places["file engine"], sql),
    "pandas on PostgreSQL": lambda places, sql: pandas_rows(places["postgresql engine"], sql),
    "ADBC on the file": lambda places, sql: adbc_rows(
        adbc_driver_manager.dbapi.connect(
            driver=adbc_driver_duckdb.driver_path(),
            entrypoint="duckdb_adbc_init",
            db_kwargs={"path": places["file"], "access_mode": "read_only"},
        ),
        sql,
    ),
    "ADBC on PostgreSQL": lambda places, sql: adbc_rows(
        adbc_driver_postgresql.dbapi.connect(places["postgresql"]), sql
    ),
    "Polars on PostgreSQL": lambda places, sql: polars_rows(
        adbc_driver_postgresql.dbapi.connect(places["postgresql"]), sql
    ),
    "Polars on the file": lambda places, sql: polars_rows(duckdb.connect(places["file"], read_only=True), sql),
    "Polars on Parquet": polars_on_parquet,
    "DuckDB on Parquet": duckdb_on_parquet,
}


@pytest.mark.parametrize("client", CLIENTS)
def test_every_client_gets_the_same_numbers(client, sample, places):
    for question in ASKED:
        sql = QUESTIONS[question]
        expected = [[plain(value) for value in row] for row in sample.rows(sql)]
        assert len(expected) >= 4
        found = [[plain(value) for value in row] for row in CLIENTS[client](places, sql)]
        assert found == expected, f"{client} on {question}"


def test_the_file_is_of_the_storage_that_older_and_newer_clients_read(sample):
    """The storage of DuckDB 1.0 is what 1.x and 2.0 read; a default that moves shows here."""
    [(tags,)] = sample.rows("select tags from duckdb_databases() where not internal")
    assert tags["storage_version"] == "v1.0.0+"
