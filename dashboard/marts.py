"""Reads the published file. Every value keeps where it came from, so that a page can say it and a test can check it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb

from orchestration.publishing import Publication, read_publication
from orchestration.querying import connect_hardened


@dataclass(frozen=True)
class Figure:
    """One value and its origin: `select column from mart where <where> and <each key expression> = <its value>`."""

    value: Any
    mart: str
    column: str
    key: tuple[tuple[str, Any], ...]
    where: str = ""

    @property
    def key_json(self) -> str:
        """The key as JSON: SQL expression -> value as DuckDB writes it as text, None for NULL."""
        return json.dumps({expression: as_text(value) for expression, value in self.key}, ensure_ascii=False)


def as_text(value: Any) -> str | None:
    """A value as DuckDB casts it to varchar (booleans in lower case), None for NULL."""
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Row(Mapping[str, Any]):
    """One row of an answer: `row["x"]` is a plain value, `row.figure("x")` the value with its origin."""

    values_by_name: Mapping[str, Any]
    mart: str
    columns: Mapping[str, str]
    key: Mapping[str, str]
    where: str

    def __getitem__(self, name: str) -> Any:
        return self.values_by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)

    def figure(self, name: str) -> Figure:
        """The value of a column that was asked for, with its origin."""
        key = tuple((expression, self.values_by_name[alias]) for alias, expression in self.key.items())
        return Figure(self.values_by_name[name], self.mart, self.columns[name], key, self.where)


@dataclass(frozen=True)
class Marts:
    """An open published file."""

    con: duckdb.DuckDBPyConnection
    publication: Publication

    @property
    def as_of(self) -> date:
        return self.publication.as_of_date

    def read(
        self,
        mart: str,
        key: Sequence[str] | Mapping[str, str],
        columns: Sequence[str] | Mapping[str, str],
        where: str = "true",
        *,
        grouped: bool = False,
        order: str = "all",
        limit: int | None = None,
    ) -> list[Row]:
        """Rows of a mart (or of a FROM clause of marts).

        Args:
            key: what identifies a row: column names, or alias -> SQL expression.
            columns: what is wanted of it, in the same two forms.
            grouped: the columns are aggregates over the rows of a key.
        """
        key, columns = _expressions(key), _expressions(columns)
        picked = ", ".join(f"{expression} as {alias}" for alias, expression in {**key, **columns}.items())
        sql = f"select {picked} from {mart} where {where}"
        sql += (" group by all" if grouped else "") + f" order by {order}" + (f" limit {limit}" if limit else "")
        answer = self.con.execute(sql)
        names = [column[0] for column in answer.description]
        origin = where if grouped and where != "true" else ""
        return [Row(dict(zip(names, values, strict=True)), mart, columns, key, origin) for values in answer.fetchall()]

    def scalar(self, sql: str) -> Any:
        """The first column of the first row: for what steers a page (the last complete month), never shown as it is."""
        row = self.con.execute(sql).fetchone()
        return row[0] if row else None

    @cached_property
    def csm_names(self) -> dict[str, str]:
        """CSM -> the name that pages show; who shares it with somebody is told apart by the id."""
        return dict(
            self.con.execute(
                """select csm_user_id, coalesce(full_name, csm_user_id)
                    || case when count(*) over (partition by full_name) > 1 then ' (' || csm_user_id || ')' else '' end
                from dim_csms"""
            ).fetchall()
        )

    @cached_property
    def comments(self) -> dict[str, str]:
        """What the published file says of each of its tables, by name."""
        rows = self.con.execute("select table_name, comment from duckdb_tables() order by 1").fetchall()
        return {name: comment or "" for name, comment in rows}


def _expressions(names: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    return dict(names) if isinstance(names, Mapping) else {name: name for name in names}


@contextmanager
def open_marts(marts_file: Path) -> Iterator[Marts]:
    """Open the published file for reading only."""
    publication = read_publication(marts_file)
    with connect_hardened(marts_file) as con:
        yield Marts(con, publication)
