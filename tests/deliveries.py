"""One company delivered in many ways: other order, files, formats and repeats, and with rows that are broken."""

import csv
import gzip
import io
import json
import random
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from orchestration.contract import DELETED, TABLES

Texts = list[str | None]
FORMATS = ("csv", "csv.gz", "jsonl", "parquet")
BROKEN = "n0t / a value"


def texts_of(table: str, row: dict[str, Any]) -> Texts:
    """A typed row as the texts of its columns, in contract order, then `_deleted`."""
    return [_text(row.get(column.name)) for column in (*TABLES[table].columns, DELETED)]


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    return None if value is None else str(value)


def names_of(table: str) -> list[str]:
    return [column.name for column in (*TABLES[table].columns, DELETED)]


def write(landing: Path, table: str, rows: Sequence[Texts], name: str, kind: str) -> Path:
    """Write rows as one file of a kind below the table's folder."""
    path = landing / table / f"{name}.{kind}"
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "parquet":
        columns = {column: [row[at] for row in rows] for at, column in enumerate(names_of(table))}
        pq.write_table(pa.table({column: pa.array(values, pa.string()) for column, values in columns.items()}), path)
    elif kind == "jsonl":
        lines = [json.dumps(dict(zip(names_of(table), row, strict=True))) for row in rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    else:
        text = ",".join(names_of(table)) + "\n" + "".join(csv_line(row) for row in rows)
        path.write_bytes(gzip.compress(text.encode()) if kind == "csv.gz" else text.encode())
    return path


def csv_line(row: Sequence[str | None]) -> str:
    handle = io.StringIO()
    csv.writer(handle, lineterminator="\n").writerow(row)
    return handle.getvalue()


def deliver(tables: dict[str, list[dict]], landing: Path, seed: int) -> None:
    """Every row at least once: shuffled, cut into files of all kinds, some rows and whole files twice."""
    rng = random.Random(seed)
    for table, typed in tables.items():
        rows = [texts_of(table, row) for row in typed]
        rows += rng.sample(rows, len(rows) // 5)
        rng.shuffle(rows)
        files = rng.randint(1, 4)
        for number in range(files):
            part = rows[number::files]
            kind = rng.choice(FORMATS)
            if part or kind.startswith("csv"):
                write(landing, table, part, f"{rng.randrange(10**6)}-{number}", kind)
                if rng.random() < 0.3:  # the same file again, in another shape
                    write(landing, table, part, f"again-{number}", rng.choice([one for one in FORMATS if one != kind]))


def spoil(table: str, row: Texts, rng: random.Random) -> Texts:
    """The row with one value that no reader can take."""
    spoiled = list(row)
    columns = (*TABLES[table].columns, DELETED)
    typed = [at for at, column in enumerate(columns) if column.type != "VARCHAR"]
    needed = [at for at, column in enumerate(columns) if column.required]
    if rng.random() < 0.5:
        spoiled[rng.choice(typed)] = BROKEN
    else:
        spoiled[rng.choice(needed)] = None
    return spoiled


def raw_content(con: duckdb.DuckDBPyConnection, *, distinct: bool = False) -> dict[str, tuple[int, int]]:
    """Rows and an order-free hash of each raw table, without the number of the load."""
    content = {}
    for name in TABLES:
        rows = f"(select {'distinct' if distinct else ''} * exclude (_load_id) from raw.{name}) as landed"
        # the sum tells two equal rows from none, which exclusive or does not
        content[name] = con.execute(f"select count(*), coalesce(sum(hash(landed)), 0) from {rows}").fetchone()
    return content


def built_content(file: Path, schemas: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Rows and an order-free hash of every table that dbt built, without what names the load."""
    with duckdb.connect(str(file), read_only=True) as con:
        content = {}
        names = con.execute(
            """select schema_name || '.' || table_name, list(column_name order by column_index) from duckdb_columns()
            where list_contains(?, schema_name) group by all""",
            [list(schemas)],
        ).fetchall()
        for name, columns in names:
            kept = ", ".join(column for column in columns if column not in ("_load_id", "last_load_id"))
            # rows of no event stay where an event was moved away
            where = "where n_events > 0" if "int_usage" in name else ""
            content[name] = con.execute(
                f"select count(*), sum(hash(kept)) from (select {kept} from {name} {where}) as kept"
            ).fetchone()
        return content
