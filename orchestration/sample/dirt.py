"""The defects of everyday loads, put into landed tables: what a loader must refuse, repair, count or simply bear."""

import shutil
from collections.abc import Callable
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
DEFECTS = 8


class Dirt:
    """Spoils tables; `share` of the rows is hit, spread evenly over the kinds of defects that fit the table."""

    def __init__(self, world: World, share: float) -> None:
        self.world, self.share = world, share

    def write(self, out: Path, name: str, table: pa.Table) -> int:
        """Write the spoiled table as CSV text, its first part delivered twice; gives the number of rows delivered."""
        rng = self.world.stream(f"dirt {name}")
        spoiled, repeated = self._spoil(rng, name, table)
        spoiled = pa.concat_tables([spoiled, spoiled.take(pa.array(repeated))])
        again = spoiled.slice(0, max(1, int(table.num_rows * self.share)))
        folder = out / name
        folder.mkdir(parents=True)
        for part, rows in (("part-1", spoiled), ("part-1-again", again)):
            pa_csv.write_csv(rows, folder / f"{part}.csv", pa_csv.WriteOptions(quoting_style="needed"))
        return len(spoiled) + len(again)

    def _pick(self, rng: np.random.Generator, count: int) -> np.ndarray:
        hit = max(min(count, DEFECTS), round(count * self.share))
        return rng.choice(count, hit, replace=False)

    def _spoil(self, rng: np.random.Generator, name: str, table: pa.Table) -> tuple[pa.Table, np.ndarray]:
        """(the table as text with its defects, the rows that come twice)."""
        picked = np.array_split(self._pick(rng, table.num_rows), DEFECTS)
        untidy, offsets, orphans, words, days, repeated, late, deleted = picked
        kinds = {field.name: field.type for field in table.schema}
        moments = [each for each, kind in kinds.items() if pa.types.is_timestamp(kind) and each != "_loaded_at"]
        numbers = [each for each, kind in kinds.items() if pa.types.is_integer(kind) or pa.types.is_decimal(kind)]
        last = f"{self.world.date(self.world.days)} 05:30:00"
        text = _as_text(table)
        for column in UNTIDY:
            text = _change(text, column, untidy, lambda value: f"  {value.upper()} ")
        for column in moments:
            text = _change(text, column, offsets, _with_offset)
        if name not in MASTER_DATA:
            keys = [column for column in ORPHANS if column in kinds and column != table.column_names[0]]
            text = _change(text, next(iter(keys), ""), orphans, lambda value: f"X{value[1:]}")
            text = _change(text, next(iter(numbers), ""), words, lambda _: "twelve")
            text = _change(text, next(iter(moments), ""), days, lambda _: "2025-02-30 10:00:00")
        if name == "survey_responses":
            text = _change(text, "score", late, lambda _: "11")
        text = _change(text, "_loaded_at", late, lambda _: last)
        if name in ("cs_activities", "feedback_items"):
            flags = np.full(table.num_rows, "false")
            flags[deleted] = "true"
            text = text.append_column("_deleted", pa.array(flags))
        if name in ("crm_accounts", "crm_account_owners"):
            text = text.append_column("crm_internal_note", pa.array(np.full(table.num_rows, "n/a")))
        return text, np.sort(repeated)

    def spoil_events(self, out: Path) -> int:
        """Deliver one day's file again and some events again, a fifth for unknown accounts; gives the rows added."""
        paths = sorted((out / "product_events").glob("*.parquet"))
        rng = self.world.stream("dirt product_events")
        filled = [path for path in paths if pq.read_metadata(path).num_rows]
        if not filled:
            return 0
        last, largest = filled[-1], max(filled, key=lambda path: path.stat().st_size)
        shutil.copyfile(last, last.with_name(f"{last.stem}-again.parquet"))
        table = pq.read_table(largest)
        rows = table.take(pa.array(np.sort(self._pick(rng, table.num_rows))))
        types = [
            pa.field(field.name, pa.string() if pa.types.is_dictionary(field.type) else field.type)
            for field in rows.schema
        ]
        rows = rows.cast(pa.schema(types))
        unknown = np.arange(0, len(rows), 5)
        rows = _change(rows, "account_id", unknown, lambda _: "X000000")
        rows = _change(rows, "event_id", unknown, lambda value: f"{value}-x")
        pq.write_table(rows, largest.with_name(f"{largest.stem}-repeats.parquet"))
        return pq.read_metadata(last).num_rows + len(rows)


def _as_text(table: pa.Table) -> pa.Table:
    seconds = [
        column.cast(pa.timestamp("s")) if pa.types.is_timestamp(column.type) else column for column in table.columns
    ]
    return pa.table([column.cast(pa.string()) for column in seconds], names=table.column_names)


def _change(table: pa.Table, column: str, rows: np.ndarray, how: Callable[[str], str]) -> pa.Table:
    """The table with `how` applied to the values in these rows that are not null; a table without the column stays."""
    if column not in table.column_names or not len(rows):
        return table
    place = table.column_names.index(column)
    rows = np.sort(rows)
    old = table[column].take(pa.array(rows)).to_pylist()
    mask = np.zeros(len(table), dtype=bool)
    mask[rows] = True
    new = pa.array([value if value is None else how(value) for value in old], pa.string())
    changed = pc.replace_with_mask(table[column].combine_chunks(), pa.array(mask), new)
    return table.set_column(place, column, changed)


def _with_offset(value: str) -> str:
    """The same instant as somebody two hours east of Greenwich writes it."""
    moment = np.datetime64(value.replace(" ", "T"), "s") + np.timedelta64(2, "h")
    return f"{str(moment).replace('T', ' ')}+02:00"
