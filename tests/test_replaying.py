"""Quarantine, repair, replay: the warehouse becomes the one that a clean delivery would have made."""

import csv
import random
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from orchestration import conversion
from orchestration.cli import main
from orchestration.loading import create_landing_schema, load_landing, load_time
from orchestration.quarantine import export_rows, list_rows, read_repaired
from orchestration.replaying import close_replaced, replay
from orchestration.variables import UsageError
from orchestration.warehouse import Warehouse
from tests.dbt_runs import EVERYTHING, FILE, prepare_build, run_models
from tests.deliveries import FORMATS, built_content, csv_line, names_of, raw_content, spoil, texts_of, write
from tests.histories import history, settings

NOW = datetime(2026, 3, 1, 2)


def load(warehouse: Warehouse, landing: Path, night: int = 1) -> None:
    with duckdb.connect(str(warehouse.build_file)) as con:
        create_landing_schema(con)
        moment = load_time(con, NOW + timedelta(days=night))
        load_landing(con, landing, run_id=f"run{night}", loaded_at=moment, progress=lambda _: None)
        close_replaced(con, run_id=f"run{night}", now=NOW + timedelta(days=night))


def content(warehouse: Warehouse) -> dict[str, tuple[int, int]]:
    with duckdb.connect(str(warehouse.build_file), read_only=True) as con:
        return raw_content(con)


def rows(warehouse: Warehouse, sql: str) -> list[tuple]:
    with duckdb.connect(str(warehouse.build_file), read_only=True) as con:
        return con.execute(sql).fetchall()


def make_warehouse(folder: Path) -> Warehouse:
    warehouse = Warehouse(folder)
    warehouse.prepare()
    return warehouse


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """The warehouse of a clean delivery of history 5: every table in another format. Nobody writes to it."""
    tmp_path = tmp_path_factory.mktemp("clean")
    tables = history(5)
    for number, (table, typed) in enumerate(sorted(tables.items())):
        texts = [texts_of(table, row) for row in typed]
        write(tmp_path / "clean", table, texts, "1", FORMATS[number % len(FORMATS)])
    warehouse = make_warehouse(tmp_path / "clean-warehouse")
    load(warehouse, tmp_path / "clean")
    assert rows(warehouse, "select count(*) from ops.quarantine") == [(0,)]
    return warehouse


@pytest.fixture(scope="module")
def spoiled_delivery(tmp_path_factory, clean):
    """The same delivery with a tenth of its rows spoiled, loaded, and the true rows by (table, place)."""
    tmp_path = tmp_path_factory.mktemp("spoiled")
    rng = random.Random(7)
    truth = {}
    for number, (table, typed) in enumerate(sorted(history(5).items())):
        texts = [texts_of(table, row) for row in typed]
        spoiled = []
        for place, row in enumerate(texts):
            if rng.random() < 0.1:
                truth[table, place] = row
                row = spoil(table, row, rng)
            spoiled.append(row)
        write(tmp_path / "dirty", table, spoiled, "1", FORMATS[number % len(FORMATS)])
    warehouse = make_warehouse(tmp_path / "dirty-warehouse")
    load(warehouse, tmp_path / "dirty")
    assert len(truth) > 50
    assert rows(warehouse, "select count(*) from ops.quarantine where status = 'open'") == [(len(truth),)]
    assert content(warehouse) != content(clean)
    return tmp_path, truth


@pytest.fixture
def dirty(spoiled_delivery, tmp_path):
    """A copy of it that may be written to: its warehouse and the true rows."""
    folder, truth = spoiled_delivery
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return Warehouse(tmp_path / "dirty-warehouse"), truth


def mended(entry: dict[str, str], truth: dict) -> str:
    """What a careful person makes of a raw line: the true row, in the shape of its file."""
    kind = entry["path"].split(".", 1)[1]
    # CSV has a header, the others count from their first row
    place = int(entry["line"]) - (2 if kind.startswith("csv") else 1)
    row = truth[entry["table_name"], place]
    if kind.startswith("csv"):
        return csv_line(row).rstrip("\n")
    parts = ", ".join(
        f'"{name}": ' + ("null" if value is None else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"')
        for name, value in zip(names_of(entry["table_name"]), row, strict=True)
    )
    return "{" + parts + "}"


def mend_all(exported: Path, given_back: Path, truth: dict) -> None:
    """Every exported row as a careful person gives it back."""
    with exported.open(newline="") as source, given_back.open("w", newline="") as target:
        reader = csv.DictReader(source)
        writer = csv.DictWriter(target, reader.fieldnames)
        writer.writeheader()
        writer.writerows({**entry, "raw_line": mended(entry, truth)} for entry in reader)


def test_rows_mended_by_hand_make_the_warehouse_of_a_clean_delivery(clean, dirty, tmp_path, capsys):
    warehouse, truth = dirty
    exported, given_back = tmp_path / "rows.csv", tmp_path / "mended.csv"
    root = ["--warehouse", str(warehouse.root)]
    assert main(["quarantine", "--out", str(exported), *root]) == 0
    assert exported.stat().st_mode & 0o777 == 0o600
    mend_all(exported, given_back, truth)
    assert main(["replay", *root]) == 1  # nothing was mended yet: every row stays, none is lost
    assert "0 rows loaded, 0 dropped" in capsys.readouterr().out
    assert main(["replay", "--file", str(given_back), *root]) == 0
    assert f"{len(truth)} rows loaded, 0 dropped, 0 still in quarantine" in capsys.readouterr().out
    assert content(warehouse) == content(clean)
    assert rows(warehouse, "select distinct status from ops.quarantine") == [("replayed",)]
    assert rows(
        warehouse,
        """select count(*), count(distinct quarantine_id) from ops.replays join ops.quarantine using (quarantine_id)
        join ops.load_log on replays.load_id = load_log.load_id and load_log.status = 'replayed'""",
    ) == [(len(truth), len(truth))]
    load(warehouse, tmp_path / "dirty", 2)  # the next night finds nothing new
    assert content(warehouse) == content(clean)
    with pytest.raises(UsageError, match="do not wait"), duckdb.connect(str(warehouse.build_file)) as con:
        replay(con, run_id="again", now=NOW, repaired=read_repaired(given_back))


@pytest.mark.long
def test_what_is_built_after_a_replay_is_what_a_clean_delivery_builds(sample, clean, dirty, tmp_path):
    """Table hash by table hash, from staging to the marts."""
    warehouse, truth = dirty
    exported, given_back = tmp_path / "rows.csv", tmp_path / "mended.csv"
    root = ["--warehouse", str(warehouse.root)]
    assert main(["quarantine", "--out", str(exported), *root]) == 0
    mend_all(exported, given_back, truth)
    untouched = tmp_path / "untouched" / FILE
    untouched.parent.mkdir()
    shutil.copy(warehouse.build_file, untouched)
    assert main(["replay", "--file", str(given_back), *root]) == 0
    built = {}
    for name, file in (("clean", clean.build_file), ("replayed", warehouse.build_file), ("untouched", untouched)):
        copy = tmp_path / name / "build" / FILE
        copy.parent.mkdir(parents=True)
        shutil.copy(file, copy)
        with duckdb.connect(str(copy)) as con:
            prepare_build(con)
        run_models(sample.manifest_folder, copy, settings(5, clv_lifetime_model="sbg"), EVERYTHING)
        built[name] = built_content(copy, ("staging", "intermediate", "marts"))
    # how often a row came, and when, is not what it says
    tell_of_loads = {f"staging.stg_product__event_{name}" for name in ("repeats", "hashes")} | {"marts.mart_freshness"}
    differing = {name for name in built["clean"] if built["clean"][name] != built["replayed"][name]}
    assert differing <= tell_of_loads
    assert len([name for name in built["clean"] if built["clean"][name] != built["untouched"][name]]) > 50


def test_rows_that_the_source_delivers_again_leave_quarantine(clean, dirty, tmp_path):
    warehouse, truth = dirty
    for table in {table for table, _ in truth}:
        again = [row for (name, _), row in sorted(truth.items()) if name == table]
        write(tmp_path / "dirty", table, again, "corrected", "csv")
    load(warehouse, tmp_path / "dirty", 2)
    assert content(warehouse) == content(clean)
    statuses = dict(rows(warehouse, "select status, count(*) from ops.quarantine group by 1"))
    # a row whose key is what was broken can't be matched: it waits for somebody to drop it
    unmatched = statuses.pop("open", 0)
    assert unmatched < len(truth) / 2
    assert statuses == {"replaced": len(truth) - unmatched}
    with duckdb.connect(str(warehouse.build_file)) as con:
        waiting = [
            key for (key,) in con.execute("select quarantine_id from ops.quarantine where status = 'open'").fetchall()
        ]
        report = replay(con, run_id="drop", now=NOW, repaired=dict.fromkeys(waiting, ""))
    assert (report.dropped, report.replayed) == (unmatched, 0)
    assert content(warehouse) == content(clean)


def test_a_mended_contract_lets_the_rows_in_as_they_were(clean, tmp_path, monkeypatch):
    warehouse = make_warehouse(tmp_path / "strict")
    with monkeypatch.context() as patch:
        patch.setattr(conversion, "_DAY", conversion._DAY.replace("1[0-2]", "1[01]"))  # knows no December
        load(warehouse, clean.root.parent / "clean")
    [(refused,)] = rows(warehouse, "select count(*) from ops.quarantine")
    assert refused > 50
    with duckdb.connect(str(warehouse.build_file)) as con:
        report = replay(con, run_id="again", now=NOW)
    assert (report.replayed, report.refused) == (refused, [])
    assert content(warehouse) == content(clean)


def test_a_row_that_an_older_delivery_brings_keeps_waiting(tmp_path):
    warehouse = make_warehouse(tmp_path / "warehouse")
    head = "cost_id,cost_month,cost_type,amount,currency,_loaded_at\n"
    folder = tmp_path / "landing" / "fin_costs"
    folder.mkdir(parents=True)
    (folder / "1.csv").write_text(head + "c1,2025-01-01,cogs,ten,USD,2025-02-02\n")
    load(warehouse, tmp_path / "landing", 1)
    (folder / "2.csv").write_text(head + "c1,2025-01-01,cogs,5,USD,2025-02-01\n")
    load(warehouse, tmp_path / "landing", 2)
    assert rows(warehouse, "select status from ops.quarantine") == [("open",)]
    (folder / "3.csv").write_text(head + "c1,2025-01-01,cogs,10,USD,2025-02-02\n")
    load(warehouse, tmp_path / "landing", 3)
    assert rows(warehouse, "select status from ops.quarantine") == [("replaced",)]
    assert rows(warehouse, "select outcome, load_id from ops.replays") == [("replaced", 3)]


def test_folder_names_and_load_times_count_as_they_did_when_the_file_came(tmp_path):
    warehouse = make_warehouse(tmp_path / "warehouse")
    folder = tmp_path / "landing" / "fin_costs" / "cost_month=2025-01-01"
    folder.mkdir(parents=True)
    (folder / "1.csv").write_text("cost_id,cost_type,amount,currency\nc1,cogs,ten,USD\nc2,cogs,11,USD,,\n")
    load(warehouse, tmp_path / "landing", 1)
    entries = rows(warehouse, "select quarantine_id, raw_line from ops.quarantine order by line")
    repaired = {entries[0][0]: "c1,cogs,10,USD", entries[1][0]: "c2,cogs,11,USD\nc3,cogs,12,USD"}
    with duckdb.connect(str(warehouse.build_file)) as con:
        report = replay(con, run_id="again", now=NOW + timedelta(days=9), repaired=repaired)
    assert report.replayed == 1
    assert "2 rows where one was" in report.refused[0]
    assert rows(warehouse, "select cost_id, cost_month::varchar, amount::varchar, _loaded_at from raw.fin_costs") == [
        ("c1", "2025-01-01", "10.00", NOW + timedelta(days=1))
    ]
    # what was published in between did not know the row: it restates from now on
    assert rows(warehouse, "select loaded_at from ops.load_log where status = 'replayed'") == [
        (NOW + timedelta(days=9),)
    ]


def test_what_is_shown_and_what_is_refused(dirty, tmp_path):
    warehouse, truth = dirty
    lines = list_rows(warehouse, None)
    assert lines[0] == f"{len(truth)} rows wait in quarantine"
    assert lines[-1].startswith(f"  and {len(truth) - 20} more")
    with pytest.raises(UsageError, match="no raw table"):
        list_rows(warehouse, "crm_account")
    with pytest.raises(UsageError, match="can't be written"):
        export_rows(warehouse, None, tmp_path / "missing" / "rows.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match="quarantine_id"):
        read_repaired(tmp_path / "other.csv")


def test_a_mended_line_may_be_long_but_no_field_may_lack(tmp_path):
    file, long = tmp_path / "rows.csv", "c1," + "x" * 200_000
    with file.open("w", newline="") as handle:
        csv.writer(handle).writerows([("quarantine_id", "raw_line"), ("q1", long), ("q2", "")])
    assert read_repaired(file) == {"q1": long, "q2": ""}
    for given_back in ("q1\n", "q1,c1,10\n"):
        file.write_text("quarantine_id,raw_line\n" + given_back)
        with pytest.raises(UsageError, match=r"rows\.csv:2: more or fewer fields than the header names"):
            read_repaired(file)


def test_a_row_given_back_twice_is_not_half_lost(tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text('quarantine_id,raw_line\nq1,"c1,10"\nq2,"c2,10"\nq1,"c3,10"\n')
    with pytest.raises(UsageError, match=r"rows\.csv:4: q1 once more"):
        read_repaired(file)


def test_a_clock_that_went_back_does_not_make_a_delivery_older(tmp_path):
    warehouse = make_warehouse(tmp_path / "warehouse")
    folder = tmp_path / "landing" / "fin_costs"
    folder.mkdir(parents=True)
    for night, amount in ((9, 1), (2, 2), (3, 3)):
        text = f"cost_id,cost_month,cost_type,amount,currency\nc1,2025-01-01,cogs,{amount},USD\n"
        (folder / f"{amount}.csv").write_text(text)
        load(warehouse, tmp_path / "landing", night)
    [(newest,)] = rows(warehouse, "select arg_max(amount, _loaded_at)::int from raw.fin_costs")
    assert newest == 3
