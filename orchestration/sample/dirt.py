"""The defects of everyday loads, put into landed tables: what a loader must refuse, repair, count or simply bear."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from orchestration.sample.world import World

MASTER_DATA = {"surveys", "product_features", "product_plan_features", "crm_users", "fin_exchange_rates"}
"""Small tables on which everything hangs: only repeated and untidy, never broken."""

UNTIDY = ("status", "segment", "country", "currency", "activity_type", "channel", "source", "event_type", "industry")
ORPHANS = ("account_id", "subscription_id", "ticket_id", "contact_id")


class Dirt:
    """Spoils tables; `share` of the rows is hit, spread evenly over the kinds of defects that fit the table."""

    def __init__(self, world: World, share: float) -> None:
        self.world, self.share = world, share

    def write(self, out: Path, name: str, table: pa.Table) -> int:
        """Write the spoiled table as CSV text, part of it delivered twice; gives the number of rows delivered."""
        rng = self.world.stream(f"dirt {name}")
        types = {field.name: field.type for field in table.schema}
        texts = {column: _as_text(table[column]) for column in table.column_names}
        rows = self._pick(rng, table.num_rows)
        groups = np.array_split(rng.permutation(rows), 6)
        untidy, offsets, orphans, bad, repeated, late = groups
        for column in UNTIDY:
            if column in texts:
                _change(texts, column, untidy, lambda value: f"  {value.upper()} ")
        for column, kind in types.items():
            if pa.types.is_timestamp(kind) and column != "_loaded_at":
                _change(texts, column, offsets, _with_offset)
        if name not in MASTER_DATA:
            self._break(rng, texts, types, orphans, bad)
        texts["_loaded_at"][late] = [self._late(value) for value in texts["_loaded_at"][late]]
        count = table.num_rows
        order = np.concatenate([np.arange(count), repeated])
        spoiled = pa.table({column: pa.array(values[order], pa.string()) for column, values in texts.items()})
        if "accounts" in name:
            spoiled = spoiled.append_column("crm_internal_note", pa.array(["n/a"] * len(order)))
        again = spoiled.slice(0, min(len(order), max(1, int(count * self.share))))
        folder = out / name
        folder.mkdir(parents=True)
        for part, rows_of_part in (("part-1", spoiled), ("part-1-again", again)):
            pa_csv.write_csv(rows_of_part, folder / f"{part}.csv", pa_csv.WriteOptions(quoting_style="needed"))
        return len(spoiled) + len(again)

    def _pick(self, rng: np.random.Generator, count: int) -> np.ndarray:
        hit = max(min(count, 6), round(count * self.share))
        return rng.choice(count, hit, replace=False)

    def _break(
        self, rng: np.random.Generator, texts: dict, types: dict, orphans: np.ndarray, bad: np.ndarray
    ) -> None:  # fmt: skip
        """Ids that nobody knows; numbers that are words and days that do not exist."""
        keys = [column for column in ORPHANS if column in texts and column != next(iter(texts))]
        if keys:
            _change(texts, keys[0], orphans, lambda value: f"X{value[1:]}")
        columns = [
            column
            for column, kind in types.items()
            if column != "_loaded_at" and not (pa.types.is_string(kind) or pa.types.is_boolean(kind))
        ]
        if columns:
            column = columns[int(rng.integers(0, len(columns)))]
            is_day = pa.types.is_temporal(types[column])
            texts[column][bad] = "2025-02-30" if is_day else "twelve"

    def _late(self, value: str) -> str:
        last = self.world.date(self.world.days)
        return f"{last} 05:30:00" if value is not None else value

    def spoil_events(self, out: Path) -> int:
        """Repeat some events in a file of their own, deliver one day's file twice; gives the rows added."""
        folder = out / "product_events"
        paths = sorted(folder.glob("*.parquet"))
        rng, added = self.world.stream("dirt product_events"), 0
        largest = max(paths, key=lambda path: path.stat().st_size)
        last = next(path for path in reversed(paths) if pq.read_metadata(path).num_rows)
        shutil.copyfile(last, last.with_name(f"{last.stem}-again.parquet"))
        added += pq.read_metadata(last).num_rows
        table = pq.read_table(largest)
        rows = table.take(pa.array(np.sort(self._pick(rng, table.num_rows))))
        orphaned = np.arange(len(rows)) % 5 == 0
        plain = rows.cast(pa.schema([
            pa.field(field.name, pa.string() if pa.types.is_dictionary(field.type) else field.type)
            for field in rows.schema
        ]))  # fmt: skip
        account = pc.if_else(pa.array(orphaned), "X000000", plain["account_id"])
        event = pc.if_else(
            pa.array(orphaned), pc.binary_join_element_wise(plain["event_id"], "-x", ""), plain["event_id"]
        )
        plain = plain.set_column(plain.column_names.index("account_id"), "account_id", account)
        plain = plain.set_column(plain.column_names.index("event_id"), "event_id", event)
        pq.write_table(plain, folder / f"{largest.stem}-repeats.parquet")
        return added + len(rows)


def _as_text(column: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("s"))
    return np.array(column.cast(pa.string()).to_pylist(), dtype=object)


def _change(texts: dict, column: str, rows: np.ndarray, how) -> None:
    texts[column][rows] = [value if value is None else how(value) for value in texts[column][rows]]


def _with_offset(value: str) -> str:
    """The same instant as somebody two hours east of Greenwich writes it."""
    moment = np.datetime64(value.replace(" ", "T"), "s") + np.timedelta64(2, "h")
    return f"{str(moment).replace('T', ' ')}+02:00"
