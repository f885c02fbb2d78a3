"""A hardened read-only connection to the published file: it reads this file and nothing else."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import duckdb

from orchestration.variables import UsageError


def connect_hardened(marts_file: Path) -> duckdb.DuckDBPyConnection:
    """Open the published file so that SQL can neither change anything nor reach other files, hosts or settings."""
    return duckdb.connect(
        str(marts_file),
        read_only=True,
        config={"enable_external_access": "false", "autoload_known_extensions": "false", "lock_configuration": "true"},
    )


def print_query(marts_file: Path, sql: str, *, as_csv: bool) -> None:
    """Print the result of one SELECT, as a table or as CSV.

    Raises:
        UsageError: the SQL is wrong or asks for more than reading.
    """
    with connect_hardened(marts_file) as con:
        try:
            relation = con.sql(sql)
            if relation is None:
                raise UsageError("csw query runs a SELECT")
            if not as_csv:
                relation.show(max_width=200, max_rows=100)
                return
            writer = csv.writer(sys.stdout)
            writer.writerow(relation.columns)
            while rows := relation.fetchmany(10_000):
                writer.writerows(rows)
        except duckdb.Error as error:
            raise UsageError(str(error)) from error
