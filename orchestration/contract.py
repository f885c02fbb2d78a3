"""The raw-source contract: which tables and columns a landing folder may hold, read from ``raw_contract.csv``."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from types import MappingProxyType

# The folder under models/staging that a table's first word belongs to.
_AREAS = {
    "crm": "crm",
    "billing": "billing",
    "product": "product",
    "support": "support",
    "surveys": "surveys",
    "survey": "surveys",
    "feedback": "surveys",
    "cs": "cs",
    "fin": "finance",
}


@dataclass(frozen=True)
class Column:
    """One column of a raw table.

    `type` is a DuckDB type name; `key` says whether the column belongs to the table's key; `references` is the raw
    table that the column points to, or None.
    """

    name: str
    type: str
    key: bool
    nullable: bool
    meaning: str
    references: str | None

    @property
    def required(self) -> bool:
        """Whether a delivery must bring the column with a value. A missing `_loaded_at` is the load's own time."""
        return not self.nullable and self.name != "_loaded_at"


# May come with every table beside its contract columns.
DELETED = Column("_deleted", "BOOLEAN", False, True, "true when the row was deleted at its source; null = false", None)


@dataclass(frozen=True)
class Table:
    """One raw table: its columns in contract order, the names of its key columns, and its tier (core or optional)."""

    name: str
    area: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    tier: str

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        """The columns by name."""
        return MappingProxyType({column.name: column for column in self.columns})


def _read() -> Mapping[str, Table]:
    text = resources.files(__package__).joinpath("raw_contract.csv").read_text(encoding="utf-8")
    rows: dict[str, list[dict[str, str]]] = {}
    for row in csv.DictReader(text.splitlines()):
        rows.setdefault(row["table"], []).append(row)
    return MappingProxyType({name: _table(name, columns) for name, columns in rows.items()})


def _table(name: str, rows: list[dict[str, str]]) -> Table:
    columns = tuple(_column(row) for row in rows)
    return Table(
        name=name,
        area=_AREAS[name.split("_", 1)[0]],
        columns=columns,
        key=tuple(column.name for column in columns if column.key),
        tier=rows[0]["tier"],
    )


def _column(row: dict[str, str]) -> Column:
    roles = [role.strip() for role in row["key"].split(",")]
    references = [role.removeprefix("FK ") for role in roles if role.startswith("FK ")]
    return Column(
        name=row["column"],
        type=row["type"],
        key="PK" in roles,
        nullable=row["nullable"] == "yes",
        meaning=row["meaning"],
        references=references[0] if references else None,
    )


TABLES: Mapping[str, Table] = _read()
