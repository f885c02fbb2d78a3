"""From columns to files: the landing format of the raw contract."""

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from orchestration.sample.world import World

CONTRACT = Path(__file__).parents[1] / "raw_contract.csv"
PARQUET_FROM_ROWS = 200_000

ARROW_TYPES = {
    "VARCHAR": pa.string(),
    "BOOLEAN": pa.bool_(),
    "INTEGER": pa.int32(),
    "DOUBLE": pa.float64(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
    "DECIMAL(18,2)": pa.decimal128(18, 2),
    "DECIMAL(18,4)": pa.decimal128(18, 4),
    "DECIMAL(7,4)": pa.decimal128(7, 4),
    "DECIMAL(18,8)": pa.decimal128(18, 8),
}

Columns = Mapping[str, pa.Array | np.ndarray]


@cache
def contract() -> dict[str, dict[str, str]]:
    """raw table -> {column: SQL type}, in the order of the contract."""
    tables: dict[str, dict[str, str]] = {}
    with CONTRACT.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            tables.setdefault(row["table"], {})[row["column"]] = row["type"]
    return tables


def to_table(name: str, columns: Columns) -> pa.Table:
    """An arrow table with exactly the contract's columns and types; `name` is the raw table.

    Raises ValueError when columns are missing or unknown.
    """
    types = contract()[name]
    if set(columns) != set(types):
        raise ValueError(f"{name}: columns differ from the contract: {sorted(set(columns) ^ set(types))}")
    arrays = [_to_array(columns[column], ARROW_TYPES[sql]) for column, sql in types.items()]
    return pa.table(arrays, names=list(types))


def _to_array(values: pa.Array | np.ndarray, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values, pa.Array):
        return values if values.type == kind else values.cast(kind)
    if pa.types.is_decimal(kind):
        return _to_decimal(values, kind)
    if pa.types.is_integer(kind) and values.dtype.kind == "f":
        missing = np.isnan(values)
        return pa.array(np.where(missing, 0, values).astype(np.int32), kind, mask=missing)
    if pa.types.is_timestamp(kind):
        return pa.array(values.astype("datetime64[us]"), kind)
    return pa.array(values, kind, from_pandas=True)


def _to_decimal(values: np.ndarray, kind: pa.Decimal128Type) -> pa.Array:
    """Decimals from floats by way of whole units, because the float itself is not the price that was meant."""
    missing = np.isnan(values)
    units = np.rint(np.where(missing, 0, values) * 10**kind.scale).astype(np.int64)
    words = np.empty((len(units), 2), dtype=np.int64)
    words[:, 0], words[:, 1] = units, units >> 63
    valid = None if not missing.any() else pa.array(~missing).buffers()[1]
    return pa.Array.from_buffers(kind, len(units), [valid, pa.py_buffer(words)])


def write_table(out: Path, name: str, table: pa.Table) -> Path:
    """Write one landed file: CSV for small tables, Parquet for large ones; gives its path."""
    if table.num_rows >= PARQUET_FROM_ROWS:
        path = out / f"{name}.parquet"
        pq.write_table(table, path, compression="zstd")
        return path
    path = out / f"{name}.csv"
    narrow = [
        pa.field(field.name, pa.timestamp("s") if pa.types.is_timestamp(field.type) else field.type)
        for field in table.schema
    ]
    pa_csv.write_csv(table.cast(pa.schema(narrow)), path, pa_csv.WriteOptions(quoting_style="needed"))
    return path


def arrivals(world: World, name: str, columns: Columns) -> np.ndarray:
    """When each row arrived: the night after the last thing in it happened; master data comes whole every night."""
    nightly = np.timedelta64(90, "m")
    last_night = world.date(world.days).astype("datetime64[s]") + nightly
    types = contract()[name]
    count = len(next(iter(columns.values())))
    arrived = np.full(count, np.datetime64("NaT", "s"))
    for column, values in columns.items():
        kind = types[column]
        if kind == "TIMESTAMP" or (kind == "DATE" and name == "fin_exchange_rates"):
            arrived = np.fmax(arrived, values.astype("datetime64[s]"))
    following = arrived.astype("datetime64[D]") + 1 + nightly
    return np.where(np.isnat(arrived), last_night, np.minimum(following, last_night))
