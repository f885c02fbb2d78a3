"""The landing loader: what it takes, what it refuses, and that no row and no file is ever lost or loaded twice."""

import csv
import gzip
import io
import itertools
import os
import random
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration import loading
from orchestration.contract import TABLES
from orchestration.loading import LoadReport, create_landing_schema, load_landing
from orchestration.variables import UsageError

LOADED_AT = datetime(2025, 3, 1, 2, 0, 0)
USERS = "user_id,full_name,role,active_from,_loaded_at"
COSTS = "cost_id,cost_month,cost_type,amount,currency,_loaded_at"
LINKS = "source_system,source_account_id,account_id,_loaded_at"


@pytest.fixture
def con(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        yield connection


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    folder = tmp_path / "landing"
    folder.mkdir()
    return folder


def put(landing: Path, name: str, content: str | bytes) -> Path:
    path = landing / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return path


def load(
    con: duckdb.DuckDBPyConnection, landing: Path, run_id: str = "run-1", loaded_at: datetime = LOADED_AT
) -> LoadReport:
    report = load_landing(con, landing, run_id=run_id, loaded_at=loaded_at, progress=lambda _: None)
    assert report.total("rows_delivered") == report.total("rows_loaded") + report.total("rows_quarantined")
    return report


def rows(con: duckdb.DuckDBPyConnection, sql: str) -> list[tuple]:
    return con.execute(sql).fetchall()


def one(con: duckdb.DuckDBPyConnection, sql: str) -> object:
    ((value,),) = rows(con, sql)
    return value


# ------------------------------------------------------------------------------------------------------- the contract


def test_contract_has_all_tables_typed() -> None:
    assert len(TABLES) == 28
    assert sum(len(table.columns) for table in TABLES.values()) == 252
    assert sum(table.tier == "optional" for table in TABLES.values()) == 5
    assert {table.area for table in TABLES.values()} == {
        "crm", "billing", "product", "support", "surveys", "cs", "finance",
    }  # fmt: skip
    owners = TABLES["crm_account_owners"]
    assert owners.key == ("account_id", "role", "valid_from")
    assert owners.by_name["account_id"].references == "crm_accounts"
    assert not owners.by_name["valid_to"].required
    assert owners.by_name["valid_from"].required
    assert not owners.by_name["_loaded_at"].required
    assert TABLES["fin_exchange_rates"].by_name["rate"].type == "DECIMAL(18,8)"


def test_schema_has_every_contract_column_and_no_constraint(con: duckdb.DuckDBPyConnection) -> None:
    create_landing_schema(con)
    create_landing_schema(con)
    for table in TABLES.values():
        expected = [(column.name, column.type) for column in table.columns]
        described = rows(con, f"DESCRIBE raw.{table.name}")
        assert [(name, kind) for name, kind, *_ in described] == [
            *expected, ("_deleted", "BOOLEAN"), ("_load_id", "BIGINT"),
        ]  # fmt: skip
    assert rows(con, "SELECT * FROM duckdb_constraints()") == []


def test_empty_landing_makes_empty_tables(con: duckdb.DuckDBPyConnection, landing: Path) -> None:
    report = load(con, landing)
    assert set(report.tables) == set(TABLES)
    assert report.total("files_new") == 0
    assert all(one(con, f"SELECT count(*) FROM raw.{name}") == 0 for name in TABLES)


def test_missing_landing_folder_is_said(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="nowhere"):
        load(con, tmp_path / "nowhere")


# ------------------------------------------------------------------------------------------------ where files may lie


def test_files_and_folders_of_every_format_load(con: duckdb.DuckDBPyConnection, landing: Path) -> None:
    put(landing, "crm_users.csv", f"{USERS}\nu1,Ann,csm,2024-01-01,2024-01-02\n")
    put(landing, "crm_users/2024/a.csv.gz", gzip.compress(f"{USERS}\nu2,Bob,csm,2024-01-01,2024-01-02\n".encode()))
    put(
        landing,
        "crm_users/b.jsonl",
        '{"user_id":"u3","full_name":"Cy","role":"csm","active_from":"2024-01-01","_loaded_at":"2024-01-02"}\n',
    )
    values = {"user_id": ["u4"], "full_name": ["Di"], "role": ["csm"], "active_from": [date(2024, 1, 1)]}
    pq.write_table(pa.table(values | {"_loaded_at": [datetime(2024, 1, 2)]}), landing / "crm_users" / "c.parquet")
    put(landing, "crm_users/UPPER.CSV", f"{USERS}\nu5,Eve,csm,2024-01-01,2024-01-02\n")
    report = load(con, landing)
    assert report.tables["crm_users"].files_new == 5
    assert rows(con, "SELECT user_id, full_name, active_from, _loaded_at FROM raw.crm_users ORDER BY 1") == [
        (f"u{number}", name, date(2024, 1, 1), datetime(2024, 1, 2))
        for number, name in enumerate(("Ann", "Bob", "Cy", "Di", "Eve"), start=1)
    ]
    assert one(con, "SELECT max(loaded_at) FROM ops.load_log") == LOADED_AT + timedelta(microseconds=4)


def test_hive_folders_give_columns_only_by_contract(con: duckdb.DuckDBPyConnection, landing: Path) -> None:
    header = "from_currency,to_currency,rate"
    put(landing, "fin_exchange_rates/year=2024/rate_date=2024-05-01/r.csv", f"{header}\nEUR,USD,1.1\n")
    put(landing, "fin_exchange_rates/year=2024/rate_date=2024-05-02/r.csv", f"{header}\nEUR,USD,1.2\nEUR,,9\n")
    table = pa.table({"from_currency": ["GBP"], "to_currency": ["USD"], "rate": [1.25]})
    folder = landing / "fin_exchange_rates" / "rate_date=2024-05-03"
    folder.mkdir()
    pq.write_table(table, folder / "r.parquet")
    report = load(con, landing)
    assert report.refused_files == []
    assert rows(con, "SELECT rate_date, from_currency, rate FROM raw.fin_exchange_rates ORDER BY 1") == [
        (date(2024, 5, 1), "EUR", Decimal("1.10000000")),
        (date(2024, 5, 2), "EUR", Decimal("1.20000000")),
        (date(2024, 5, 3), "GBP", Decimal("1.25000000")),
    ]
    assert report.tables["fin_exchange_rates"].rows_quarantined == 1


def test_unknown_names_and_types_are_noticed_and_stop_nothing(con: duckdb.DuckDBPyConnection, landing: Path) -> None:
    put(landing, "crm_user.csv", "x\n")
    put(landing, "crm_users.xlsx", "x")
    put(landing, "payroll/salaries.csv", "x\n")
    put(landing, "crm_users/_SUCCESS", "")
    put(landing, "crm_users/.crc", "x")
    put(landing, "crm_users/notes.txt", "x")
    put(landing, "crm_users/a.csv", f"{USERS}\nu1,Ann,csm,2024-01-01,2024-01-02\n")
    report = load(con, landing)
    assert [notice.path for notice in report.notices] == [
        "crm_user.csv", "crm_users/notes.txt", "crm_users.xlsx", "payroll/",
    ]  # fmt: skip
    assert report.notices[0].remedy == "rename it to crm_users"
    assert report.refused_files == []
    assert one(con, "SELECT count(*) FROM raw.crm_users") == 1


def test_linked_folders_are_read_and_links_back_up_are_not(con: duckdb.DuckDBPyConnection, landing: Path) -> None:
    put(landing, "crm_users/a.csv", f"{USERS}\nu1,Ann,csm,2024-01-01,2024-01-02\n")
    elsewhere = put(landing.parent, "elsewhere/2025/b.csv", f"{USERS}\nu2,Bob,csm,2024-01-01,2024-01-02\n").parent
    (landing / "crm_users" / "more").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(landing / "crm_users")
    report = load(con, landing)
    assert rows(con, "SELECT path FROM ops.load_log ORDER BY 1") == [("crm_users/a.csv",), ("crm_users/more/b.csv",)]
    assert report.tables["crm_users"].rows_loaded == 2


@pytest.mark.parametrize("below", ["", "/crm_users/2025"])
def test_a_folder_that_cannot_be_listed_is_said(
    below: str, con: duckdb.DuckDBPyConnection, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(landing, "crm_users/2025/a.csv", f"{USERS}\nu1,Ann,csm,2024-01-01,2024-01-02\n")
    closed = Path(f"{landing}{below}")
    listed = Path.iterdir

    def refuse(folder: Path) -> Iterator[Path]:
        if folder == closed:
            raise PermissionError(13, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(UsageError, match=f"{closed} can't be read: Permission denied"):
        load(con, landing)


def test_a_parquet_column_that_comes_twice_is_refused(con: duckdb.DuckDBPyConnection, landing: Path) -> None:
    row = {"user_id": ["u1"], "full_name": ["Ann"], "role": ["csm"], "active_from": [date(2024, 1, 1)], "n": [1]}
    table = pa.table(row).append_column("ROLE", pa.array(["exec"])).append_column("n", pa.array([2]))
    (landing / "crm_users").mkdir()
    pq.write_table(table, landing / "crm_users" / "twice.parquet")
    pq.write_table(pa.table(row).append_column("n", pa.array([2])), landing / "crm_users" / "else_twice.parquet")
    report = load(con, landing)
    assert [refusal.message() for refusal in report.refused_files] == [
        "crm_users/twice.parquet: column role comes twice; keep one column of that name"
    ]
    assert rows(con, "SELECT user_id, role FROM raw.crm_users") == [("u1", "csm")]  # what is no column of ours may


@pytest.mark.parametrize("name", ["a[1].csv", "a*b.csv", "a?b.csv", "it's.csv", "ünï côdé.csv", r"a\b[1].csv"])
def test_odd_file_names_mean_themselves(con: duckdb.DuckDBPyConnection, landing: Path, name: str) -> None:
    put(landing, f"crm_users/{name}", f"{USERS}\nu1,Ann,csm,2024-01-01,2024-01-02\n")
    put(landing, "crm_users/axb.csv", f"{USERS}\nu2,Bob,csm,2024-01-01,2024-01-02\n")
    load(con, landing)
    assert rows(con, "SELECT user_id FROM raw.crm_users ORDER BY 1") == [("u1",), ("u2",)]
    logged = rows(con, "SELECT path, loaded_rows FROM ops.load_log ORDER BY path")
    assert sorted(logged) == sorted([(f"crm_users/{name}", 1), ("crm_users/axb.csv", 1)])


def test_odd_file_names_parquet(con: duckdb.DuckDBPyConnection, landing: Path) -> None:
    (landing / "crm_account_links").mkdir()
    for name in ("a*.parquet", "a[b].parquet", "ab.parquet"):
        table = pa.table({"source_system": ["s"], "source_account_id": [name], "account_id": ["A"]})
        pq.write_table(table, landing / "crm_account_links" / name)
    load(con, landing)
    assert rows(con, "SELECT source_account_id FROM raw.crm_account_links ORDER BY 1") == [
        ("a*.parquet",), ("a[b].parquet",), ("ab.parquet",),
    ]  # fmt: skip


# --------------------------------------------------------------------------------------------------------- header rules


def test_column_order_case_blanks_and_bom_do_not_matter(con: duckdb.DuckDBPyConnection, landing: Path) -> None:
    text = "\ufeffACTIVE_FROM , Role,user_id, Full_Name\n2024-01-01,csm,u1,Ann\n"
    put(landing, "crm_users/a.csv", text)
    put(landing, "crm_users/b.csv", '\ufeff"user_id","full_name","role","active_from"\r\nu2,Bob,csm,2024-01-01\r\n')
    load(con, landing)
    assert rows(con, "SELECT user_id, full_name, role, active_from FROM raw.crm_users ORDER BY 1") == [
        ("u1", "Ann", "csm", date(2024, 1, 1)),
        ("u2", "Bob", "csm", date(2024, 1, 1)),
    ]


def test_extra_columns_stay_out_and_are_reported(con: duckdb.DuckDBPyConnection, landing: Path) -> None:
    put(landing, "crm_users/a.csv", f"{USERS},shoe_size,_load_id\nu1,Ann,csm,2024-01-01,2024-01-02,44,999\n")
    put(
        landing, "crm_users/b.jsonl", '{"user_id":"u2","full_name":"B","role":"csm","active_from":"2024-01-01","hat":1}'
    )
    report = load(con, landing)
    assert report.tables["crm_users"].extra_columns == {"shoe_size", "_load_id", "hat"}
    assert rows(con, "SELECT extra_columns FROM ops.load_log ORDER BY path") == [
        (["shoe_size", "_load_id"],),
        (["hat"],),
    ]
    assert rows(con, "SELECT DISTINCT _load_id FROM raw.crm_users ORDER BY 1") == rows(
        con, "SELECT load_id FROM ops.load_log ORDER BY 1"
    )


def test_missing_optional_column_is_null_and_loaded_at_is_the_load(
    con: duckdb.DuckDBPyConnection, landing: Path
) -> None:
    put(landing, "crm_users/a.csv", "user_id,full_name,role,active_from\nu1,Ann,csm,2024-01-01\n")
    put(landing, "crm_users/b.csv", f"{USERS},_deleted\nu2,Bob,csm,2024-01-01,,yes\nu3,Cy,csm,2024-01-01,2024-01-02,\n")
    load(con, landing)
    assert rows(con, "SELECT user_id, email, team, active_to, _loaded_at, _deleted FROM raw.crm_users ORDER BY 1") == [
        ("u1", None, None, None, LOADED_AT, None),
        ("u2", None, None, None, LOADED_AT + timedelta(microseconds=1), True),
        ("u3", None, None, None, datetime(2024, 1, 2), None),
    ]


@pytest.mark.parametrize(
    ("name", "content", "line", "column", "reason"),
    [
        ("a.csv", "user_id,full_name,role\nu1,A,csm\n", 1, "active_from", "required column missing: active_from"),
        ("a.csv", "user_id,role\nu1,csm\n", 1, "full_name", "required columns missing: full_name, active_from"),
        ("a.csv", "user_id,USER_ID,full_name,role,active_from\n", 1, "user_id", "column user_id comes twice"),
        ("a.csv", "u1,Ann,csm,2024-01-01\n", 1, None, "the first line is no header"),
        ("a.csv", "user_id;full_name;role;active_from\nu1;A;csm;2024-01-01\n", 1, None, "separated by ';'"),
        ("a.csv", '"user_id";"full_name";"role"\n"u1";"A";"csm"\n', 1, None, "separated by ';'"),
        ("a.jsonl", '{"a": 1}\n', None, "user_id", "required columns missing: user_id, full_name, role"),
        ("a.csv", "", None, None, "empty (0 bytes)"),
        ("a.csv", "\n\n", 1, None, "it has no header"),
        ("a.csv", '"user_id,full_name\n', 1, None, "a quote is opened and never closed"),
        ("a.csv", f"{USERS}\nu1,Ann,csm,2024-01-01,\n".encode("utf-16"), None, None, "UTF-16"),
        ("a.csv", gzip.compress(b"user_id\n", mtime=0), None, None, "the file is gzip"),
        ("a.csv", b"PK\x03\x04spreadsheet", None, None, "a zip archive or a spreadsheet"),
        ("a.csv.gz", f"{USERS}\n".encode(), None, None, "the gzip file is cut off or damaged"),
        ("a.jsonl", '[{"user_id":"u1"}]', 1, None, "JSON array"),
        ("a.jsonl", "\n", 1, None, "the file holds no line"),
        ("a.jsonl", '{"user_id":"u1","full_name":"A","role":"csm"}\n', None, "active_from", "required column missing"),
        ("a.jsonl", "", None, None, "empty (0 bytes)"),
        ("a.parquet", "not parquet at all", None, None, "the Parquet file can't be read"),
        ("a.parquet", "", None, None, "empty (0 bytes)"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_and_the_others_go_on(
    con: duckdb.DuckDBPyConnection,
    landing: Path,
    name: str,
    content: str | bytes,
    line: int | None,
    column: str | None,
    reason: str,
) -> None:
    put(landing, f"crm_users/{name}", content)
    put(landing, "crm_users/good.csv", f"{USERS}\nu9,Zoe,csm,2024-01-01,2024-01-02\n")
    report = load(con, landing)
    (refusal,) = report.refused_files
    assert (refusal.table, refusal.path, refusal.line, refusal.column) == (
        "crm_users",
        f"crm_users/{name}",
        line,
        column,
    )
    assert reason in refusal.reason
    assert refusal.remedy
    assert f"crm_users/{name}" in refusal.message()
    assert rows(con, "SELECT user_id FROM raw.crm_users") == [("u9",)]


def test_bytes_that_are_not_utf8_refuse_the_file_and_name_the_line(
    con: duckdb.DuckDBPyConnection, landing: Path
) -> None:
    put(landing, "crm_users.csv", f"{USERS}\nu1,Ann,csm,2024-01-01,\nu2,Jos\xe9,csm,2024-01-01,\n".encode("latin-1"))
    put(landing, "surveys.jsonl", '{"survey_id":"s"}\n{"survey_id":"é"}\n'.encode("latin-1"))
    report = load(con, landing)
    assert [(refusal.path, refusal.line, refusal.reason) for refusal in report.refused_files] == [
        ("crm_users.csv", 3, "the file is not UTF-8 text"),
        ("surveys.jsonl", 2, "the file is not UTF-8 text"),
    ]
    assert one(con, "SELECT count(*) FROM raw.crm_users") == 0


@pytest.mark.parametrize("harm", ["cut", "cut at a line", "flip"])
def test_damaged_gzip_is_refused_whole(con: duckdb.DuckDBPyConnection, landing: Path, harm: str) -> None:
    lines = [f"u{number},Ann,csm,2024-01-01,2024-01-02\n" for number in range(2000)]
    whole = gzip.compress(f"{USERS}\n{''.join(lines)}".encode())
    if harm == "cut":
        damaged = whole[: len(whole) // 2]
    elif harm == "cut at a line":
        # The text that can be read ends with a whole line; only the gzip trailer is gone.
        damaged = whole[:-8]
    else:
        damaged = bytearray(whole)
        damaged[-6] ^= 0xFF
    put(landing, "crm_users.csv.gz", bytes(damaged))
    report = load(con, landing)
    assert "cut off or damaged" in report.refused_files[0].reason
    assert one(con, "SELECT count(*) FROM raw.crm_users") == 0


def test_gzip_that_python_reads_is_loaded(con: duckdb.DuckDBPyConnection, landing: Path) -> None:
    """DuckDB knows no zeros behind a gzip stream and few flags of its header, and names neither file nor cause."""

    def flagged(flag: int, more: bytes, packed: bytes) -> bytes:
        return packed[:3] + bytes([flag]) + packed[4:10] + more + packed[10:]

    def packed(user_id: str) -> bytes:
        return gzip.compress(f"{USERS}\n{user_id},Ann,csm,2024-01-01,2024-01-02\n".encode(), mtime=0)

    put(landing, "crm_users/padded.csv.gz", packed("padded") + bytes(512))
    put(landing, "crm_users/text.csv.gz", flagged(1, b"", packed("text")))
    checked = flagged(2, b"", packed("checked"))
    checksum = (zlib.crc32(checked[:10]) % 2**16).to_bytes(2, "little")
    put(landing, "crm_users/checked.csv.gz", flagged(2, checksum, checked))
    put(landing, "crm_users/commented.csv.gz", flagged(16, b"by the export\0", packed("commented")))
    put(landing, "crm_users/plain.csv.gz", packed("plain"))
    report = load(con, landing)
    assert report.refused_files == []
    loaded = rows(con, "SELECT user_id FROM raw.crm_users ORDER BY 1")
    assert loaded == [("checked",), ("commented",), ("padded",), ("plain",), ("text",)]


def test_damaged_parquet_pages_are_refused_whole(con: duckdb.DuckDBPyConnection, landing: Path) -> None:
    generator = random.Random(5)
    ids = [f"{generator.random()}" for _ in range(20_000)]
    path = landing / "crm_account_links.parquet"
    pq.write_table(pa.table({"source_system": ids, "source_account_id": ids, "account_id": ids}), path)
    damaged = bytearray(path.read_bytes())
    for position in range(2000, 60_000):
        damaged[position] = 0
    path.write_bytes(bytes(damaged))
    report = load(con, landing)
    assert "the Parquet file can't be read" in report.refused_files[0].reason
    assert one(con, "SELECT count(*) FROM raw.crm_account_links") == 0


def test_nested_parquet_column_is_refused_but_nested_extra_is_kept_out(
    con: duckdb.DuckDBPyConnection, landing: Path
) -> None:
    good = {"source_system": ["s"], "source_account_id": ["x"], "account_id": ["A"]}
    (landing / "crm_account_links").mkdir()
    pq.write_table(pa.table(good | {"account_id": [["A"]]}), landing / "crm_account_links" / "nested.parquet")
    pq.write_table(pa.table(good | {"tags": [["A"]]}), landing / "crm_account_links" / "tags.parquet")
    report = load(con, landing)
    assert [(refusal.path, refusal.column) for refusal in report.refused_files] == [
        ("crm_account_links/nested.parquet", "account_id")
    ]
    assert one(con, "SELECT account_id FROM raw.crm_account_links") == "A"
    assert report.tables["crm_account_links"].extra_columns == {"tags"}


def test_a_refused_file_is_tried_again(con: duckdb.DuckDBPyConnection, landing: Path) -> None:
    put(landing, "crm_users.csv", "user_id\nu1\n")
    load(con, landing, "run-1")
    again = load(con, landing, "run-2", LOADED_AT + timedelta(days=1))
    assert len(again.refused_files) == 1
    put(landing, "crm_users.csv", f"{USERS}\nu1,Ann,csm,2024-01-01,\n")
    mended = load(con, landing, "run-3", LOADED_AT + timedelta(days=2))
    assert mended.refused_files == []
    assert one(con, "SELECT count(*) FROM raw.crm_users") == 1


# ---------------------------------------------------------------------------------------------------------- values


TIMES = [
    ("2024-03-05", datetime(2024, 3, 5)),
    ("2024-03-05 10:20", datetime(2024, 3, 5, 10, 20)),
    ("2024-03-05 10:20:30", datetime(2024, 3, 5, 10, 20, 30)),
    ("2024-03-05T10:20:30.5", datetime(2024, 3, 5, 10, 20, 30, 500000)),
    ("2024-03-05T10:20:30.123456", datetime(2024, 3, 5, 10, 20, 30, 123456)),
    (" 2024-03-05 10:20:30 ", datetime(2024, 3, 5, 10, 20, 30)),
    ("2024-03-05T10:20:30Z", datetime(2024, 3, 5, 10, 20, 30)),
    ("2024-03-05 10:20:30 UTC", datetime(2024, 3, 5, 10, 20, 30)),
    ("2024-03-05T10:20:30+02", datetime(2024, 3, 5, 8, 20, 30)),
    ("2024-03-05 10:20+0200", datetime(2024, 3, 5, 8, 20)),
    ("2024-03-05 10:20:30.25+02:00", datetime(2024, 3, 5, 8, 20, 30, 250000)),
    ("2024-03-05T20:20:30-05:30", datetime(2024, 3, 6, 1, 50, 30)),
    ("2024-03-01 00:30:00 +01:00", datetime(2024, 2, 29, 23, 30)),
]
NO_TIMES = [
    "2024-02-30 10:00", "2024-13-01", "05.03.2024", "03/05/2024", "2024-03-05 24:00", "2024-03-05 10:61",
    "2024-03-05 10:20:30 CET", "2024-03-05 10:20+25:00", "1709634030", "yesterday", "infinity", "2024-3-5",
    "10:20:30", "2024-03-05 10", "2024-03-05+02:00",
]  # fmt: skip


@pytest.mark.parametrize("timezone", ["UTC", "Asia/Tokyo"])
def test_timestamps(con: duckdb.DuckDBPyConnection, landing: Path, timezone: str) -> None:
    con.execute(f"SET TimeZone = '{timezone}'")
    header = "refund_id,invoice_id,amount,currency,refunded_at"
    texts = [text for text, _ in TIMES]
    put(landing, "billing_refunds/clean.csv", _lines(header, [f"{n},i,1,USD,{text}" for n, text in enumerate(texts)]))
    mixed = [f"m{n},i,1,USD,{text}" for n, text in enumerate([*texts, *NO_TIMES])]
    put(landing, "billing_refunds/mixed.csv", _lines(header, mixed))
    load(con, landing)
    for prefix in ("", "m"):
        for number, (text, expected) in enumerate(TIMES):
            found = one(con, f"SELECT refunded_at FROM raw.billing_refunds WHERE refund_id = '{prefix}{number}'")
            assert found == expected, text
    quarantined = rows(con, "SELECT value, line, column_name FROM ops.quarantine ORDER BY line")
    first = 2 + len(TIMES)
    assert quarantined == [(text, first + number, "refunded_at") for number, text in enumerate(NO_TIMES)]


def _lines(header: str, lines: list[str]) -> str:
    return "\n".join([header, *lines]) + "\n"


@pytest.mark.parametrize(
    ("column", "good", "bad"),
    [
        (
            "is_internal",
            {"true": True, "F": False, "1": True, "0": False, "Yes": True, "NO": False, " t ": True, "FALSE": False},
            {"": "no value", "2": "neither", "maybe": "neither", "1.0": "neither", "null": "neither"},
        ),
        (
            "score",
            {"5": 5, "5.0": 5, "-3": -3, "+7": 7, "10.": 10, "": None, "100": 100},
            {"5.5": "no whole number", "1e1": "no whole", "9999999999": "too large", "0x10": "no whole"},
        ),
        (
            "amount",
            {
                "12.5": Decimal("12.50"), "12.50000": Decimal("12.50"), "-.5": Decimal("-0.50"), "7.": Decimal(7),
                "1.5E2": Decimal(150), "19.990000000000002": Decimal("19.99"), "0.30000000000000004": Decimal("0.30"),
                "9999999999999999.99": Decimal("9999999999999999.99"),
            },
            {
                "12.345": "more than 2 decimals", "1e-3": "more than 2 decimals", "10000000000000000": "too large",
                "1,5": "is no number", "$5": "is no number", "1_000": "is no number", "nan": "is no number",
                "9999999999999999.999": "decimals", "": "has no value", "inf": "is no number",
            },
        ),
        (
            "rating",
            {"4.5": 4.5, "-0": 0.0, "1e1": 10.0, "": None, ".25": 0.25},
            {"nan": "finite", "inf": "finite", "-Infinity": "finite", "1e400": "finite", "good": "finite"},
        ),
        (
            "cost_month",
            {
                "2024-02-29": date(2024, 2, 29), "2024-02-01 00:00:00": date(2024, 2, 1),
                "2024-02-01T00:00:00Z": date(2024, 2, 1),
            },
            {"2023-02-29": "no date", "2024-02-01 10:00": "no date", "01.02.2024": "no date", "": "no value"},
        ),
    ],
)  # fmt: skip
def test_values(
    con: duckdb.DuckDBPyConnection, landing: Path, column: str, good: dict[str, object], bad: dict[str, str]
) -> None:
    table = next(table for table in TABLES.values() if column in table.by_name)
    if column == "amount":
        table = TABLES["fin_costs"]
    filler = {"VARCHAR": "x", "TIMESTAMP": "2024-01-01", "DATE": "2024-01-01", "BOOLEAN": "true"}
    names = [wanted.name for wanted in table.columns if wanted.required or wanted.name == column]

    def text(values: list[str], prefix: str) -> str:
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, names, lineterminator="\n")
        writer.writeheader()
        for number, value in enumerate(values):
            row = {name: filler.get(table.by_name[name].type, "1") for name in names}
            row |= {name: value for name, value in {"cost_type": "cogs", "currency": "EUR"}.items() if name in row}
            writer.writerow(row | {table.key[0]: f"{prefix}{number}", column: value})
        return buffer.getvalue()

    # Once in a file without faults (DuckDB reads it), once beside faults (read record by record): the same outcome.
    put(landing, f"{table.name}/clean.csv", text(list(good), "a"))
    put(landing, f"{table.name}/mixed.csv", text([*good, *bad], "b"))
    load(con, landing)
    for prefix in "ab":
        for number, (value, expected) in enumerate(good.items()):
            found = one(con, f"SELECT {column} FROM raw.{table.name} WHERE {table.key[0]} = '{prefix}{number}'")
            assert found == expected, value
    refused = rows(con, "SELECT line, column_name, value, reason, remedy FROM ops.quarantine ORDER BY line")
    assert len(refused) == len(bad)
    for number, ((value, reason), entry) in enumerate(zip(bad.items(), refused, strict=True)):
        line, name, kept, said, remedy = entry
        assert (line, name, kept) == (2 + len(good) + number, column, value)
        assert reason in said
        assert remedy


def test_text_is_kept_byte_for_byte(con: duckdb.DuckDBPyConnection, landing: Path) -> None:
    names = [
        "  padded ",
        'say "hi"',
        "two\nlines",
        "crlf\r\ninside",
        "a,b",
        "Zoë 日本 🎉",
        "x'; DROP TABLE raw.crm_users; --",
    ]
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerows(
        [USERS.split(","), *([f"u{n}", name, "csm", "2024-01-01", ""] for n, name in enumerate(names))]
    )
    put(landing, "crm_users/a.csv", buffer.getvalue())
    # The same rows read record by record, because of one bad row.
    put(
        landing, "crm_users/b.csv", buffer.getvalue().replace("u", "v", 1).replace("v", "u", 1) + "u9,Bad,csm,soon,\r\n"
    )
    load(con, landing)
    for path in ("crm_users/a.csv", "crm_users/b.csv"):
        found = rows(
            con,
            "SELECT full_name FROM raw.crm_users JOIN ops.load_log ON load_id = _load_id "
            f"WHERE path = '{path}' ORDER BY user_id",
        )
        assert [name for (name,) in found] == names


def test_blank_required_text_is_quarantined(con: duckdb.DuckDBPyConnection, landing: Path) -> None:
    lines = ("  ,Ann", 'u2,""', "u3,Cy", "u4,\u200b", "u5,\u202f \u00a0", "u6,\u200bDi")
    put(landing, "crm_users.csv", "\n".join([USERS, *(f"{line},csm,2024-01-01," for line in lines)]) + "\n")
    load(con, landing)
    assert rows(con, "SELECT line, column_name FROM ops.quarantine ORDER BY 1") == [
        (2, "user_id"),
        (3, "full_name"),
        (5, "full_name"),
        (6, "full_name"),
    ]
    reason = "full_name is required and has no value"
    assert rows(con, "SELECT DISTINCT reason FROM ops.quarantine WHERE line > 2") == [(reason,)]
    assert rows(con, "SELECT user_id FROM raw.crm_users ORDER BY 1") == [("u3",), ("u6",)]


def test_header_only_files_load_as_nothing(con: duckdb.DuckDBPyConnection, landing: Path) -> None:
    put(landing, "crm_users/a.csv", USERS)
    put(landing, "crm_users/b.csv.gz", gzip.compress(f"{USERS}\r\n".encode()))
    report = load(con, landing)
    assert (report.tables["crm_users"].files_new, report.refused_files) == (2, [])
    assert rows(con, "SELECT delivered_rows, loaded_rows FROM ops.load_log") == [(0, 0), (0, 0)]


# ------------------------------------------------------------------------------------------------------- quarantine


def test_quarantine_keeps_the_physical_line_and_the_raw_text(con: duckdb.DuckDBPyConnection, landing: Path) -> None:
    text = (
        f"{USERS}\n"
        'u1,"Ann\nof\nThree Lines",csm,2024-01-01,\n'
        "\n"
        'u2,"Bob ""B""\nBad",csm,soon,\n'
        "u3,Cy,csm,2024-01-01\n"
        "u4,Di,csm,2024-01-01,,\n"
        "u5,Eve,csm,2024-01-01,,,\n"
        "u6,Fay,csm,never,tomorrow\n"
        'u7,"Gus" Junior,csm,2024-01-01,\n'
        'u8,Hal "the pal",csm,2024-01-01,\n'
        'u9,"Ivy,csm,2024-01-01,\n'
    )
    put(landing, "crm_users.csv", text)
    report = load(con, landing)
    found = rows(con, "SELECT line, column_name, value, reason, raw_line FROM ops.quarantine ORDER BY line")
    assert found == [
        (6, "active_from", "soon", "active_from: 'soon' is no date", 'u2,"Bob ""B""\nBad",csm,soon,'),
        (8, None, None, "4 fields where the header names 5 columns", "u3,Cy,csm,2024-01-01"),
        (10, None, None, "7 fields where the header names 5 columns", "u5,Eve,csm,2024-01-01,,,"),
        (
            11, "active_from", "never", "active_from: 'never' is no date; _loaded_at: 'tomorrow' is no timestamp",
            "u6,Fay,csm,never,tomorrow",
        ),
        (
            12, None, " Junior,csm,2024-01-01,", "text after a closing quote: ' Junior,csm,2024-01-01,'",
            'u7,"Gus" Junior,csm,2024-01-01,',
        ),
        (14, None, None, "a quote is opened and never closed", 'u9,"Ivy,csm,2024-01-01,'),
    ]  # fmt: skip
    assert rows(con, "SELECT user_id, full_name FROM raw.crm_users ORDER BY 1") == [
        ("u1", "Ann\nof\nThree Lines"), ("u4", "Di"), ("u8", 'Hal "the pal"'),
    ]  # fmt: skip
    tally = report.tables["crm_users"]
    assert (tally.rows_delivered, tally.rows_loaded, tally.rows_quarantined) == (9, 3, 6)
    assert rows(con, "SELECT delivered_rows, loaded_rows, quarantined_rows, status FROM ops.load_log") == [
        (9, 3, 6, "loaded")
    ]
    assert report.refused_rows[0].message().startswith("crm_users.csv:6: active_from: 'soon' is no date; write YYYY")


def test_an_unclosed_quote_costs_one_row_not_the_rest(con: duckdb.DuckDBPyConnection, landing: Path) -> None:
    lines = [f"u{number},Ann,csm,2024-01-01," for number in range(500)]
    lines[100] = 'u100,"Ann,csm,2024-01-01,'
    put(landing, "crm_users.csv", _lines(USERS, lines))
    load(con, landing)
    assert rows(con, "SELECT line FROM ops.quarantine") == [(102,)]
    assert one(con, "SELECT count(*) FROM raw.crm_users") == 499


def test_a_bad_row_in_one_of_many_files_touches_only_that_file(
    con: duckdb.DuckDBPyConnection, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    careful: list[str] = []
    load_carefully = loading._Load._load_carefully

    def spy(self: loading._Load, table: object, plan: loading._Planned) -> None:
        careful.append(plan.file.relative)
        load_carefully(self, table, plan)

    monkeypatch.setattr(loading._Load, "_load_carefully", spy)
    for number in range(12):
        bad = {3: "u,Ann,csm,soon,", 7: "u,Ann,csm"}.get(number, f"x{number},Ann,csm,2024-01-01,")
        put(landing, f"crm_users/{number:02}.csv", _lines(USERS, [f"u{number},Ann,csm,2024-01-01,", bad]))
    load(con, landing)
    assert sorted(careful) == ["crm_users/03.csv", "crm_users/07.csv"]
    assert rows(con, "SELECT path, line FROM ops.quarantine ORDER BY 1") == [
        ("crm_users/03.csv", 3), ("crm_users/07.csv", 3),
    ]  # fmt: skip
    assert one(con, "SELECT count(*) FROM raw.crm_users") == 22


def test_mixed_line_ends_are_read(con: duckdb.DuckDBPyConnection, landing: Path) -> None:
    row = "{},Ann,csm,2024-01-01,"
    text = (
        USERS + "\n" + row.format("u1") + "\r\n" + row.format("u2") + "\n" + row.format("u3") + "\r" + row.format("u4")
    )
    put(landing, "crm_users.csv", text)
    load(con, landing)
    assert [user for (user,) in rows(con, "SELECT user_id FROM raw.crm_users ORDER BY 1")] == ["u1", "u2", "u3", "u4"]


def test_jsonl_rows(con: duckdb.DuckDBPyConnection, landing: Path) -> None:
    lines = [
        '{"Cost_ID":"c1","cost_month":"2024-01-01","cost_type":"cogs","amount":1234567890123456.78,"currency":"USD"}',
        '{"cost_id":"c2","cost_month":"2024-01-01","cost_type":"cogs","amount":12.345,"currency":"USD"}',
        '{"cost_id":"c3","cost_month":"2024-01-01","cost_type":"cogs","amount":',
        "",
        '{"cost_id":"c4","cost_month":"2024-01-01","cost_type":"cogs","amount":{"usd":1},"currency":"USD"}',
        '["c5"]',
        '{"cost_id":null,"cost_month":"2024-01-01","cost_type":"cogs","amount":1,"currency":"USD"}',
        '{"cost_id":"c7","cost_month":"2024-01-01","cost_type":"cogs","amount":NaN,"currency":"USD"}',
        '{"cost_id":"c\\n8","cost_month":"2024-01-01","cost_type":"cogs","amount":2,"currency":"USD","_deleted":true}',
        '{"cost_id":"\\ud800","cost_month":"2024-01-01","cost_type":"cogs","amount":2,"currency":"USD"}',
    ]
    put(landing, "fin_costs.jsonl", "\r\n".join(lines))
    load(con, landing)
    assert rows(con, "SELECT cost_id, cost_type, amount, _deleted FROM raw.fin_costs ORDER BY 1") == [
        ("c\n8", "cogs", Decimal("2.00"), True),
        ("c1", "cogs", Decimal("1234567890123456.78"), None),
    ]
    found = rows(con, "SELECT line, column_name, value FROM ops.quarantine ORDER BY 1")
    assert found == [
        (2, "amount", "12.345"), (3, None, None), (5, "amount", '{"usd": "1"}'), (6, None, None), (7, "cost_id", None),
        (8, "amount", "NaN"), (10, "cost_id", None),
    ]  # fmt: skip
    assert one(con, "SELECT raw_line FROM ops.quarantine WHERE line = 3") == lines[2]


def test_parquet_types_are_converted(con: duckdb.DuckDBPyConnection, landing: Path) -> None:
    moment = datetime(2024, 1, 1, 10)
    table = pa.table(
        {
            "survey_id": pa.array([1, 2, 3, 4], pa.int64()),
            "survey_type": pa.array(["nps"] * 4).dictionary_encode(),
            "survey_name": pa.array([b"N"] * 4, pa.binary()),
            "scale_min": pa.array([0, 0, 0, 0], pa.int8()),
            "scale_max": pa.array([10.0, 10.5, None, 10.0], pa.float64()),
            "higher_is_better": pa.array([1, 1, 1, 0], pa.int32()),
            "positive_threshold": pa.array(["9", "9", "9", "9.0"]),
            "_loaded_at": pa.array([moment] * 4, pa.timestamp("us", tz="America/New_York")),
        }
    )
    pq.write_table(table, landing / "surveys.parquet")
    load(con, landing)
    assert rows(con, "SELECT * EXCLUDE (_load_id) FROM raw.surveys ORDER BY 1") == [
        ("1", "nps", "N", 0, 10, True, 9, moment, None),
        ("4", "nps", "N", 0, 10, False, 9, moment, None),
    ]
    found = rows(con, "SELECT line, column_name, value FROM ops.quarantine ORDER BY 1")
    assert found == [(2, "scale_max", "10.5"), (3, "scale_max", None)]
    assert '"survey_id":"2"' in one(con, "SELECT raw_line FROM ops.quarantine WHERE line = 2")


def test_parquet_numbers_and_days(con: duckdb.DuckDBPyConnection, landing: Path) -> None:
    amounts = [0.1 + 0.2, 19.99, 1.005, float("nan"), None, 5.0]
    table = pa.table(
        {
            "cost_id": [f"c{number}" for number in range(6)],
            "cost_month": pa.array([datetime(2024, 1, 1)] * 5 + [datetime(2024, 1, 1, 12)], pa.timestamp("ns")),
            "cost_type": ["cogs"] * 6,
            "amount": pa.array(amounts, pa.float64()),
            "currency": ["USD"] * 6,
        }
    )
    (landing / "fin_costs").mkdir()
    pq.write_table(table, landing / "fin_costs" / "a.parquet")
    exact = pa.array([Decimal("1.2500"), Decimal("1.2550")], pa.decimal128(10, 4))
    table = table.slice(0, 2).set_column(3, "amount", exact).set_column(0, "cost_id", pa.array(["d0", "d1"]))
    pq.write_table(table, landing / "fin_costs" / "b.parquet")
    load(con, landing)
    assert rows(con, "SELECT cost_id, cost_month, amount FROM raw.fin_costs ORDER BY 1") == [
        ("c0", date(2024, 1, 1), Decimal("0.30")),
        ("c1", date(2024, 1, 1), Decimal("19.99")),
        ("d0", date(2024, 1, 1), Decimal("1.25")),
    ]
    assert rows(con, "SELECT path, line, column_name FROM ops.quarantine ORDER BY 1, 2") == [
        ("fin_costs/a.parquet", 3, "amount"),
        ("fin_costs/a.parquet", 4, "amount"),
        ("fin_costs/a.parquet", 5, "amount"),
        ("fin_costs/a.parquet", 6, "cost_month"),
        ("fin_costs/b.parquet", 2, "amount"),
    ]


def test_parquet_column_names_are_no_sql(con: duckdb.DuckDBPyConnection, landing: Path) -> None:
    values = {"source_system": ["s", None], "source_account_id": ["x", "y"], "account_id": ["A", "B"]}
    odd = {'a"b': [1, 2], "c'd": [3, 4], "load_id": [5, 6], "file": [7, 8], "v0": [9, 9], "s0": [1, 1]}
    pq.write_table(pa.table(values | odd), landing / "crm_account_links.parquet")
    load(con, landing)
    assert rows(con, "SELECT account_id FROM raw.crm_account_links") == [("A",)]
    assert rows(con, "SELECT line, column_name FROM ops.quarantine") == [(2, "source_system")]


# ------------------------------------------------------------------------------------------------ once, and only once


def snapshot(con: duckdb.DuckDBPyConnection, *names: str) -> dict[str, list[tuple]]:
    """Everything landed (in all tables, unless some are named), apart from the numbers of the loads."""
    tables = {name: f"SELECT * EXCLUDE (_load_id) FROM raw.{name} ORDER BY ALL" for name in names or TABLES}
    tables["quarantine"] = "SELECT * EXCLUDE (load_id) FROM ops.quarantine ORDER BY ALL"
    tables["load_log"] = "SELECT * EXCLUDE (load_id) FROM ops.load_log ORDER BY ALL"
    return {name: rows(con, sql) for name, sql in tables.items()}


def test_rerun_changes_nothing(con: duckdb.DuckDBPyConnection, landing: Path) -> None:
    put(landing, "crm_users.csv", f"{USERS}\nu1,Ann,csm,2024-01-01,\nu2,Bob,csm,soon,\n")
    put(landing, "fin_costs/a.csv", f"{COSTS}\nc1,2024-01-01,cogs,1,USD,\n")
    load(con, landing)
    before = snapshot(con)
    again = load(con, landing, "run-2", LOADED_AT + timedelta(days=1))
    assert snapshot(con) == before
    assert (again.total("files_known"), again.total("files_new"), again.total("rows_delivered")) == (2, 0, 0)


def test_redelivery_under_another_name_is_known(con: duckdb.DuckDBPyConnection, landing: Path) -> None:
    text = f"{USERS}\nu1,Ann,csm,2024-01-01,\nu2,Bob,csm,soon,\n"
    put(landing, "crm_users/monday.csv", text)
    put(landing, "crm_users/monday-copy.csv", text)
    first = load(con, landing)
    assert (first.tables["crm_users"].files_new, first.tables["crm_users"].files_known) == (1, 1)
    put(landing, "crm_users/tuesday.csv", text)
    put(landing, "crm_users.csv", text)
    for run in ("run-2", "run-3"):
        assert load(con, landing, run).tables["crm_users"].files_known == 4
    assert one(con, "SELECT count(*) FROM raw.crm_users") == 1
    assert one(con, "SELECT count(*) FROM ops.quarantine") == 1
    assert rows(con, "SELECT path, status, delivered_rows FROM ops.load_log ORDER BY load_id") == [
        ("crm_users/monday-copy.csv", "loaded", 2),
        ("crm_users/monday.csv", "known", 0),
        ("crm_users/tuesday.csv", "known", 0),
        ("crm_users.csv", "known", 0),
    ]


TEAM = "user_id,full_name,role,active_from,team\nu1,Ann,csm,2024-01-01,{}\n"


@pytest.mark.parametrize("name", ["crm_users.csv", "crm_users/{}.csv"])
def test_a_table_that_goes_back_to_what_it_said_takes_the_books_back(
    con: duckdb.DuckDBPyConnection, landing: Path, name: str
) -> None:
    nights = [LOADED_AT + timedelta(days=night) for night in range(4)]
    for night, team in enumerate(("East", "West", "East", "East")):
        put(landing, name.format(night), TEAM.format(team))
        load(con, landing, f"run-{night}", nights[night])
        load(con, landing, f"again-{night}", nights[night] + timedelta(hours=1))  # nothing has changed since
    assert rows(con, "SELECT team, _loaded_at FROM raw.crm_users ORDER BY _load_id") == [
        ("East", nights[0]),
        ("West", nights[1]),
        ("East", nights[2]),
    ]


def test_files_of_several_nights_that_come_at_once_are_taken_in_order(
    con: duckdb.DuckDBPyConnection, landing: Path
) -> None:
    for night, team in enumerate(("East", "West", "East")):
        put(landing, f"crm_users/{night}.csv", TEAM.format(team))
    load(con, landing)
    assert rows(con, "SELECT team FROM raw.crm_users ORDER BY _load_id") == [("East",), ("West",), ("East",)]
    assert load(con, landing, "run-2").tables["crm_users"].files_known == 3


def test_of_days_that_are_delivered_together_the_last_one_wins(con: duckdb.DuckDBPyConnection, landing: Path) -> None:
    """However a file is read, and though each brings no `_loaded_at` of its own."""
    put(landing, "crm_users/2025-01-01.csv", TEAM.format("A"))
    put(landing, "crm_users/2025-01-02.csv", TEAM.format("B") + "u2,Bob,csm,soon,B\n")
    values = {"user_id": ["u1"], "full_name": ["Ann"], "role": ["csm"], "active_from": ["2024-01-01"], "team": ["C"]}
    pq.write_table(pa.table(values), landing / "crm_users" / "2025-01-03.parquet")
    put(
        landing,
        "crm_users/2025-01-04.jsonl",
        '{"user_id":"u1","full_name":"Ann","role":"csm","active_from":"2024-01-01"}',
    )
    put(landing, "crm_users/2025-01-05.csv", TEAM.format("E"))
    load(con, landing)
    assert rows(con, "SELECT team, _loaded_at FROM raw.crm_users ORDER BY _loaded_at") == [
        (team, LOADED_AT + timedelta(microseconds=place)) for place, team in enumerate(("A", "B", "C", None, "E"))
    ]
    assert rows(
        con, "SELECT DISTINCT _loaded_at - loaded_at FROM raw.crm_users JOIN ops.load_log ON load_id = _load_id"
    ) == [(timedelta(0),)]
    assert loading.load_time(con, LOADED_AT) == LOADED_AT + timedelta(microseconds=5)


def test_an_old_file_that_was_moved_says_nothing_new_and_one_written_anew_does(
    con: duckdb.DuckDBPyConnection, landing: Path
) -> None:
    old = put(landing, "crm_users/1.csv", TEAM.format("East"))
    put(landing, "crm_users/2.csv", TEAM.format("West"))
    load(con, landing)
    old.rename(put(landing, "crm_users/old/1.csv", ""))
    moved = load(con, landing, "run-2", LOADED_AT + timedelta(days=1))
    assert (moved.tables["crm_users"].files_known, moved.tables["crm_users"].files_new) == (2, 0)
    put(landing, "crm_users/3.csv", TEAM.format("East"))
    os.utime(landing / "crm_users" / "3.csv", ns=(0, (landing / "crm_users/old/1.csv").stat().st_mtime_ns + 1))
    assert load(con, landing, "run-3", LOADED_AT + timedelta(days=2)).tables["crm_users"].files_new == 1
    assert rows(con, "SELECT team FROM raw.crm_users ORDER BY _load_id") == [("East",), ("West",), ("East",)]


def test_a_row_refused_in_two_deliveries_waits_twice(con: duckdb.DuckDBPyConnection, landing: Path) -> None:
    bad = TEAM.format("East") + "u2,Bob,csm,soon,East\n"
    for night, text in enumerate((bad, TEAM.format("West"), bad)):
        put(landing, "crm_users.csv", text)
        load(con, landing, f"run-{night}", LOADED_AT + timedelta(days=night))
    assert one(con, "SELECT count(DISTINCT quarantine_id) FROM ops.quarantine") == 2


def test_folders_that_give_a_column_make_rows_of_their_own_of_equal_files(
    con: duckdb.DuckDBPyConnection, landing: Path
) -> None:
    for plan in ("basic", "pro"):
        put(landing, f"product_plan_features/plan_id={plan}/f.csv", "feature_key,valid_from\nexport,2025-01-01\n")
        put(landing, f"crm_users/year={plan}/f.csv", TEAM.format("East"))  # no column of the table
    load(con, landing)
    assert rows(con, "SELECT plan_id, feature_key FROM raw.product_plan_features ORDER BY 1") == [
        ("basic", "export"),
        ("pro", "export"),
    ]
    assert one(con, "SELECT count(*) FROM raw.crm_users") == 1
    assert load(con, landing, "run-2").total("files_known") == 4


def test_the_same_bytes_in_two_tables_load_into_both(con: duckdb.DuckDBPyConnection, landing: Path) -> None:
    # A file that fits two tables: each table has its own memory of what it has seen.
    header = "source_system,source_account_id,account_id,user_id,full_name,role,active_from"
    text = f"{header}\ns,x,A,u1,Ann,csm,2024-01-01\n"
    put(landing, "crm_account_links.csv", text)
    put(landing, "crm_users.csv", text)
    load(con, landing)
    assert one(con, "SELECT count(*) FROM raw.crm_users") == one(con, "SELECT count(*) FROM raw.crm_account_links") == 1


def test_a_changed_file_under_an_old_name_is_a_new_delivery(con: duckdb.DuckDBPyConnection, landing: Path) -> None:
    put(landing, "crm_users.csv", f"{USERS}\nu1,Ann,csm,2024-01-01,\n")
    load(con, landing)
    put(landing, "crm_users.csv", f"{USERS}\nu1,Ann,csm,2024-01-01,\nu2,Bob,csm,2024-01-01,\n")
    report = load(con, landing, "run-2")
    assert report.tables["crm_users"].rows_loaded == 2
    assert one(con, "SELECT count(*) FROM raw.crm_users") == 3


def test_a_file_that_changes_while_it_is_read_is_refused(
    con: duckdb.DuckDBPyConnection, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(landing, "crm_users/a.csv", f"{USERS}\nu1,Ann,csm,2024-01-01,\n")
    put(landing, "crm_users/b.csv", f"{USERS}\nu2,Bob,csm,2024-01-01,\n")
    plan = loading._Load._plan

    def append_after_planning(self: loading._Load, file: loading.LandedFile) -> loading._Planned:
        planned = plan(self, file)
        if file.path == path:
            with path.open("a") as stream:
                stream.write("u3,Cy,csm,2024-01-01,\n")
        return planned

    monkeypatch.setattr(loading._Load, "_plan", append_after_planning)
    report = load(con, landing)
    assert [(refusal.path, refusal.reason) for refusal in report.refused_files] == [
        ("crm_users/a.csv", "the file changed while it was read")
    ]
    assert rows(con, "SELECT user_id FROM raw.crm_users") == [("u2",)]
    monkeypatch.undo()
    load(con, landing, "run-2")
    assert rows(con, "SELECT user_id FROM raw.crm_users ORDER BY 1") == [("u1",), ("u2",), ("u3",)]


def test_a_fault_of_the_warehouse_is_no_fault_of_the_file(con: duckdb.DuckDBPyConnection, landing: Path) -> None:
    con.execute("CREATE SCHEMA raw; CREATE TABLE raw.crm_account_links (nothing INTEGER)")
    values = {"source_system": ["s"], "source_account_id": ["x"], "account_id": ["A"]}
    pq.write_table(pa.table(values), landing / "crm_account_links.parquet")
    with pytest.raises(duckdb.Error):
        load(con, landing)
    assert one(con, "SELECT count(*) FROM ops.load_log") == 0


def test_files_in_any_order_and_split_land_alike(tmp_path: Path) -> None:
    generator = random.Random(11)
    lines = [f"c{number},2024-01-01,cogs,{number}.25,USD,2024-02-01 00:00:{number:02}" for number in range(60)]
    lines[17] = "c17,2024-01-01,cogs,abc,USD,2024-02-01"
    outcomes = []
    for attempt in range(3):
        shuffled = generator.sample(lines, len(lines))
        folder = tmp_path / f"landing-{attempt}"
        cuts = [0, *sorted(generator.sample(range(1, 60), attempt * 2)), 60]
        for part, (start, end) in enumerate(itertools.pairwise(cuts)):
            put(folder, f"fin_costs/{generator.random()}-{part}.csv", _lines(COSTS, shuffled[start:end]))
        with duckdb.connect(str(tmp_path / f"{attempt}.duckdb")) as con:
            load(con, folder)
            outcomes.append(
                (
                    rows(con, "SELECT * EXCLUDE (_load_id) FROM raw.fin_costs ORDER BY ALL"),
                    rows(con, "SELECT row_hash, raw_line, reason FROM ops.quarantine ORDER BY ALL"),
                )
            )
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert len(outcomes[0][0]) == 59


# ------------------------------------------------------------------------------------------------------- conservation


FIELD = st.text(alphabet=st.sampled_from('ab ,"\n\r;é1'), max_size=5)


@pytest.fixture(scope="module")
def shared_con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        create_landing_schema(connection)
        yield connection


def emptied(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    for name in ("raw.crm_account_links", "ops.load_log", "ops.quarantine"):
        con.execute(f"DELETE FROM {name}")
    return con


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    data=st.lists(st.tuples(FIELD, FIELD, FIELD, st.sampled_from(["", "2024-01-01", "soon"])), max_size=12),
    line_end=st.sampled_from(["\n", "\r\n"]),
    harm=st.lists(st.tuples(st.floats(0, 1), st.sampled_from(['"', ",", "\n", "x", "", "\t"])), max_size=3),
)
def test_every_delivered_row_is_loaded_or_quarantined(
    tmp_path_factory: pytest.TempPathFactory,
    shared_con: duckdb.DuckDBPyConnection,
    data: list[tuple[str, str, str, str]],
    line_end: str,
    harm: list[tuple[float, str]],
) -> None:
    buffer = io.StringIO()
    # Python's writer leaves a lone carriage return unquoted when lines end otherwise.
    quoting = csv.QUOTE_ALL if "\r" in "".join(map("".join, data)) else csv.QUOTE_MINIMAL
    csv.writer(buffer, lineterminator=line_end, quoting=quoting).writerows(data)
    body = buffer.getvalue()
    for where, what in harm:
        position = int(where * len(body))
        body = body[:position] + what + body[position + (not what) :]
    landing = tmp_path_factory.mktemp("landing")
    put(landing, "crm_account_links.csv", f"{LINKS}{line_end}{body}")

    con = emptied(shared_con)
    report = load(con, landing)
    assert report.refused_files == []
    ((delivered, loaded, quarantined),) = rows(
        con, "SELECT delivered_rows, loaded_rows, quarantined_rows FROM ops.load_log"
    )
    assert one(con, "SELECT count(*) FROM raw.crm_account_links") == loaded
    assert one(con, "SELECT count(*) FROM ops.quarantine") == quarantined
    assert delivered == loaded + quarantined
    if not harm:
        # Without harm the rows are known without any reader.
        filled = [row for row in data if all(cell.strip(" \r\n") for cell in row[:3]) and row[3] != "soon"]
        assert delivered == len(data)
        expected = sorted((*row[:3], datetime(2024, 1, 1) if row[3] else LOADED_AT) for row in filled)
        found = "SELECT source_system, source_account_id, account_id, _loaded_at FROM raw.crm_account_links"
        assert sorted(rows(con, found)) == expected
    before = snapshot(con, "crm_account_links")
    load(con, landing, "run-2")
    assert snapshot(con, "crm_account_links") == before

    # Read record by record from the start: DuckDB's reader and ours see the same rows.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading._Load, "_insert_batch", lambda self, table, batch: list(batch))
        load(emptied(con), landing)
    assert snapshot(con, "crm_account_links") == before


KILLED_LOAD = """
import sys
from datetime import datetime
from pathlib import Path
import duckdb
from orchestration import loading

loading.BATCH_FILES = 3
log_loaded = loading._Load._log_loaded

def tell(self, outcomes):
    print("rows are in, the log entry is not", flush=True)
    log_loaded(self, outcomes)

loading._Load._log_loaded = tell
con = duckdb.connect(sys.argv[1])
moment = datetime(2025, 3, 1, 2)
loading.load_landing(con, Path(sys.argv[2]), run_id="killed", loaded_at=moment, progress=lambda _: None)
"""


@pytest.mark.parametrize("batches", [1, 4, 12])
def test_killed_in_mid_load_and_run_again_equals_a_clean_load(tmp_path: Path, batches: int) -> None:
    landing = tmp_path / "landing"
    for number in range(40):
        lines = [f"c{number}-{row},2024-01-01,cogs,{row}.5,USD,2024-02-01" for row in range(100)]
        if number % 10 == 0:
            lines[5] = "broken,row"
        put(landing, f"fin_costs/{number:03}.csv", _lines(COSTS, lines))
    with duckdb.connect(str(tmp_path / "clean.duckdb")) as con:
        load(con, landing)
        clean = snapshot(con)
    assert len(clean["fin_costs"]) == 40 * 100 - 4

    warehouse = tmp_path / "killed.duckdb"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED_LOAD, str(warehouse), str(landing)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    for _ in range(batches):
        assert process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    with duckdb.connect(str(warehouse)) as con:
        # What is there is whole: every file of the log with all its rows, and no row of any other file.
        logged = rows(con, "SELECT load_id, loaded_rows FROM ops.load_log ORDER BY 1")
        assert logged == rows(con, "SELECT _load_id, count(*) FROM raw.fin_costs GROUP BY 1 ORDER BY 1")
        assert len(logged) < 40
        load(con, landing)
        ended = snapshot(con)
    # The log tells which run loaded what, and when; everything else is the same.
    for log in (clean["load_log"], ended["load_log"]):
        log[:] = sorted(entry[1:10] + entry[11:] for entry in log)
    assert ended == clean


def test_batches_are_bounded(con: duckdb.DuckDBPyConnection, landing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "BATCH_FILES", 4)
    monkeypatch.setattr(loading, "CHUNK_ROWS", 3)
    for number in range(10):
        lines = [f"u{number}-{row},Ann,csm,2024-01-01," for row in range(7)]
        if number == 5:
            lines[4] = "u,Ann,csm,soon,"
        put(landing, f"crm_users/{number}.csv", _lines(USERS, lines))
    report = load(con, landing)
    assert (report.total("files_new"), report.total("rows_loaded"), report.total("rows_quarantined")) == (10, 69, 1)


def test_progress_and_cap_on_shown_rows(con: duckdb.DuckDBPyConnection, landing: Path) -> None:
    lines = [f"u{row},Ann,csm,soon," for row in range(100)]
    put(landing, "crm_users.csv", _lines(USERS, lines))
    said: list[str] = []
    report = load_landing(con, landing, run_id="run-1", loaded_at=LOADED_AT, progress=said.append)
    assert said == ["crm_users: 1 new files, 0 known, 0 refused; 0 rows loaded, 100 quarantined"]
    assert len(report.refused_rows) == loading.SHOWN_ROWS
    assert one(con, "SELECT count(DISTINCT quarantine_id) FROM ops.quarantine") == 100
