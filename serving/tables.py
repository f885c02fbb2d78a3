"""The tables of a published file as a copy elsewhere needs them: columns, types, keys, meanings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from orchestration.variables import UsageError


@dataclass(frozen=True)
class Column:
    """A column: its DuckDB type, its place in the table's key (from 1), and whether people wrote what it holds."""

    name: str
    data_type: str
    key_position: int | None
    is_free_text: bool
    description: str | None


@dataclass(frozen=True)
class Table:
    """A published table, its columns in order."""

    name: str
    description: str | None
    columns: Sequence[Column]

    @property
    def key(self) -> list[str]:
        """The columns of the key, in its order; empty when the table has none."""
        keyed = [column for column in self.columns if column.key_position]
        return [column.name for column in sorted(keyed, key=lambda column: column.key_position)]

    @property
    def columns_without_text(self) -> list[Column]:
        """The columns that hold no free text."""
        return [column for column in self.columns if not column.is_free_text]


def tables_of(marts_file: Path) -> list[Table]:
    """The tables of a published file by name, with `meta_publication` and `meta_columns`.

    Raises:
        UsageError: the file is older than `meta_columns`, so nobody knows its keys and free text.
    """
    with duckdb.connect(str(marts_file), read_only=True) as con:
        notes = dict(con.execute("select table_name, comment from duckdb_tables() order by table_name").fetchall())
        if "meta_columns" not in notes:
            raise UsageError(f"{marts_file} was published before keys were kept in it; publish a night first")
        rows = con.execute(
            """select table_name, column_name, data_type, key_position, is_free_text, description
            from meta_columns order by table_name, position"""
        ).fetchall()
    columns: dict[str, list[Column]] = {}
    for table, *facts in rows:
        columns.setdefault(table, []).append(Column(*facts))
    return [Table(name, notes[name], columns[name]) for name in notes]
