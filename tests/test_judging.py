"""Bands on nights made by hand: what blocks, and which quiet days pass."""

import duckdb
import pytest

from expectations.arrivals import OPS_TABLES
from expectations.judging import RAW_HOURS


@pytest.mark.parametrize(
    ("tonight", "is_shifted"),
    [
        ({10: 100, 12: 200, 14: 200, 2: 600}, False),
        ({4: 100, 6: 200, 8: 200}, True),
        ({4: 100, 6: 200, 8: 200, 2: 600}, True),
    ],
    ids=["an import on top of the usual day", "the usual day six hours early", "both"],
)
def test_rows_on_top_are_no_shifted_clock(tonight, is_shifted):
    with duckdb.connect() as con:
        con.execute("create schema ops")
        con.execute(OPS_TABLES)
        for number, hours in enumerate([{10: 100, 12: 200, 14: 200}] * 8 + [tonight]):
            con.execute(
                "insert into ops.arrivals by name "
                "select ? as run_id, 'support_tickets' as table_name, 1 as rows_before, ? as last_load_id",
                [f"run{number}", number],
            )
            for hour, count in hours.items():
                con.execute(
                    "insert into ops.arrived_hours values (?, 'support_tickets', 'created_at', ?, ?)",
                    [f"run{number}", hour, count],
                )
        con.execute(RAW_HOURS, {"run": "run8"})
        assert con.execute("select coalesce(shift_evidence, 0) > 20 from ops.raw_hours").fetchone()[0] == is_shifted
