"""Erasing where it is hard: ids that are plain numbers, words of others, and a kill in the middle."""

import csv
import json
import shutil
import sqlite3
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestration import erasing
from orchestration.cli import main
from orchestration.erasing import ids_in_marts
from orchestration.loading import create_landing_schema, load_landing
from orchestration.night import begin, one_night
from orchestration.settings import resolve_settings
from orchestration.subject import Subject, is_telling
from orchestration.variables import UsageError
from orchestration.warehouse import Warehouse, activations
from serving.activation import activate_to_csv
from tests.conftest import Published
from tests.test_privacy import files_with

VERSION = datetime(2026, 1, 2, 3, 4, 5)
# Contact 5 is one of account 7; account 5, ticket 5 and answer 5 are somebody else's.
FILES = {
    "crm_accounts.csv": "account_id,account_name,is_internal,created_at\n"
    "5,Growth,false,2025-01-01\n7,Seven Ltd,false,2025-01-01\n",
    "crm_contacts.csv": "contact_id,account_id,email,title,created_at\n"
    "5,7,ada@seven.example,Head,2025-01-01\n 5\u00a0,7,ada@seven.example,Chief,2025-01-02\n"
    "6,5,bob@growth.example,Head,2025-01-01\n"
    "5,7,ada@seven.example,Head,2025-02-30\n6,5,bob@growth.example,Head,5\n",
    "survey_responses.jsonl": '{"response_id": "5", "survey_id": "5", "account_id": "5", "contact_id": "6", "score": '
    '5, "comment": "Ask ada@seven.example"}\n'
    '{"response_id": "8", "survey_id": "5", "account_id": "7", "contact_id": "5", "score": 5, "comment": "Good"}\n',
    "billing_subscriptions.csv": "subscription_id,account_id,status,currency,started_at\n5,5,active,EUR,2025-01-01\n",
}


@pytest.fixture
def numbered(tmp_path: Path) -> Published:
    """A small warehouse of ids that are plain numbers, with a published file, a digest, a log and a history of runs."""
    landing = tmp_path / "landing"
    landing.mkdir()
    for name, text in FILES.items():
        (landing / name).write_text(text)
    tickets = {"ticket_id": [5, 9], "account_id": [5, 7], "requester_contact_id": [6, 5]}
    more = {"status": ["new"] * 2, "is_spam": [False] * 2, "is_agent_initiated": [False] * 2}
    pq.write_table(
        pa.table(tickets | more | {"created_at": [date(2025, 1, 1)] * 2}), landing / "support_tickets.parquet"
    )
    warehouse = Warehouse(tmp_path / "warehouse")
    warehouse.prepare()
    with duckdb.connect(str(warehouse.build_file)) as con:
        create_landing_schema(con)
        load(con, landing)
    version = warehouse.versions / "20260102T030405000000Z.duckdb"
    with duckdb.connect(str(version)) as con:
        con.execute(
            """create table meta_publication as select date '2026-01-01' as as_of_date, $at as published_at,
            '5' as code_version, 'h' as input_hash, 'EUR' as reporting_currency, 'UTC' as reporting_timezone,
            5 as checks_passed, 0 as checks_warned, 'r' as run_id, null::timestamp as previous_published_at""",
            {"at": VERSION},
        )
        con.execute(
            "create table dim_accounts as from (values ('5', 'Growth'), ('7', 'Seven Ltd')) t(account_id, account_name)"
        )
        con.execute(
            """create table fct_tickets as from (values ('5', '5', '6', 'Growth'), ('9', '7', '5', 'Growth'))
            t(ticket_id, account_id, requester_contact_id, topic)"""
        )
        con.execute(
            """create table mart_alerts as from (values
            ('account', '5', 'Growth has fallen by 5'), ('csm', '5', 'Growth is 5')
            ) t(subject_type, subject_id, message)"""
        )
    warehouse.marts_file.hardlink_to(version)
    (warehouse.alerts / "2026-01-01.md").write_text("- row: examples=5\n")
    (warehouse.alerts / "2026-01-02.md").write_text("- row: examples=9\n")
    warehouse.write_last_run({"exit_code": 0, "problems": ["row 5"]})
    (warehouse.target / "m").mkdir(parents=True)
    (warehouse.target / "m" / "manifest.json").write_text('{"limit": 5}')
    warehouse.activation.mkdir()
    rows = [{"account_id": "5", "account_name": "Growth", "score": 5}, {"account_id": "7", "account_name": "Seven Ltd"}]
    pending = {"key": "k", "body": json.dumps({"rows": rows}), "hashes": {"5": "h5", "7": "h7"}}
    facts = {"destination": "d", "sequence": 5, "delivered": {"5": "h5", "7": "h7"}, "pending": pending}
    (warehouse.activation / "webhook.json").write_text(json.dumps(facts))
    with sqlite3.connect(warehouse.dagster_home / "x.db") as con:
        con.execute("create table event_logs (event text)")
        con.executemany(
            "insert into event_logs values (?)", [('{"row": "examples=5, 9"}',), ('{"row": "examples=9"}',)]
        )
        con.execute("create table runs (body text)")
        con.execute("insert into runs values ('{\"tries\": 5}')")
    return Published(warehouse.root, landing, "", "5")


def load(con: duckdb.DuckDBPyConnection, landing: Path) -> int:
    """Load what landed; returns the number of files that are new."""
    now = datetime.now(UTC).replace(tzinfo=None)
    return load_landing(con, landing, run_id="r", loaded_at=now, progress=lambda _: None).total("files_new")


def erase(company: Published, *who: str) -> int:
    return main(["erase", *who, "--warehouse", str(company.warehouse), "--landing", str(company.landing)])


def raw(company: Published, sql: str) -> list[tuple]:
    with duckdb.connect(str(company.build_file), read_only=True) as con:
        return con.execute(sql).fetchall()


def token_of(company: Published) -> str:
    [(token,)] = raw(company, "select token from ops.erasures")
    return token


@pytest.mark.parametrize(
    ("value", "telling"),
    [
        ("5", False),
        ("512345678", False),
        ("Growth", False),
        ("customers", False),
        ("A5", False),
        ("A000005", True),
        ("0015g00000XyZ", True),
        ("Seven Ltd", True),
        ("ada@seven.example", True),
    ],
)
def test_a_word_is_looked_for_in_texts_only_when_it_can_be_nothing_else(value, telling):
    assert is_telling(value) == telling


def test_a_contact_called_5_leaves_every_other_5_alone(numbered):
    assert erase(numbered, "--contact", "5") == 0
    token = token_of(numbered)
    contacts = "select contact_id, account_id, email, title from raw.crm_contacts order by all"
    assert raw(numbered, contacts) == [("6", "5", "bob@growth.example", "Head"), *[(token, "7", None, None)] * 2]
    assert raw(numbered, "select account_id, account_name from raw.crm_accounts order by 1") == [
        ("5", "Growth"),
        ("7", "Seven Ltd"),
    ]
    answers = (
        "select response_id, survey_id, account_id, contact_id, score, comment from raw.survey_responses order by 1"
    )
    assert raw(numbered, answers) == [
        ("5", "5", "5", "6", 5, "Ask [erased]"),  # another's words, without the address in them
        ("8", "5", "7", token, 5, None),
    ]
    tickets = "select ticket_id, account_id, requester_contact_id from raw.support_tickets order by 1"
    assert raw(numbered, tickets) == [("5", "5", "6"), ("9", "7", token)]
    assert raw(numbered, "select raw_line, status from ops.quarantine order by line") == [
        ("[erased]", "dropped"),
        ("6,5,bob@growth.example,Head,5", "open"),
    ]
    assert numbered.rows("from fct_tickets order by 1") == [("5", "5", "6", "Growth"), ("9", "7", token, "Growth")]
    assert numbered.rows("from dim_accounts order by 1") == [("5", "Growth"), ("7", "Seven Ltd")]
    assert numbered.rows("select code_version, checks_passed from meta_publication") == [("5", 5)]
    assert numbered.marts_file.samefile(numbered.warehouse / "versions" / "20260102T030405000000Z.duckdb")


def test_what_a_number_means_in_a_log_nobody_knows_so_the_log_goes_and_nothing_else(numbered):
    warehouse = Warehouse(numbered.warehouse)
    told = (warehouse.activation / "webhook.json").read_text()
    assert erase(numbered, "--contact", "5") == 0
    assert [file.name for file in warehouse.alerts.iterdir()] == ["2026-01-02.md"]
    assert warehouse.read_last_run() is None
    assert (warehouse.target / "m" / "manifest.json").read_text() == '{"limit": 5}'
    assert (warehouse.activation / "webhook.json").read_text() == told
    with sqlite3.connect(warehouse.dagster_home / "x.db") as con:
        assert con.execute("select event from event_logs").fetchall() == [('{"row": "examples=9"}',)]
        assert con.execute("select body from runs").fetchall() == [('{"tries": 5}',)]


def test_a_csv_file_on_its_way_to_a_consumer_goes_and_is_made_anew(numbered, tmp_path):
    warehouse = Warehouse(numbered.warehouse)
    with duckdb.connect(str(warehouse.marts_file)) as con:
        con.execute(
            """create table activation as from (values ('5', 'Growth', 'h5'), ('7', 'Seven Ltd', 'h7'))
            t(account_id, account_name, row_hash)"""
        )
    part, file = tmp_path / ".out.csv.part", tmp_path / "out.csv"
    part.write_text("account_id,account_name,row_hash,is_gone\n5,Growth,h5,False\n7,Seven Ltd,h7,False\n")
    pending = {"part": str(part), "file": str(file), "hashes": {"5": "h5", "7": "h7"}}
    facts = {"destination": "csv", "sequence": 0, "delivered": {}, "pending": pending}
    (warehouse.activation / "csv.json").write_text(json.dumps(facts))
    assert erase(numbered, "--account", "5") == 0
    assert not part.exists()
    assert activate_to_csv(warehouse, file).rows == 2
    with file.open(newline="") as handle:
        names = {row["account_name"] for row in csv.DictReader(handle)}
    assert names == {"Seven Ltd", f"Erased account {token_of(numbered)[-4:]}"}


def test_nobody_is_erased_while_an_activation_would_bring_them_back(numbered, capsys):
    warehouse = Warehouse(numbered.warehouse)
    before = numbered.build_file.read_bytes()
    with activations(warehouse):
        assert erase(numbered, "--contact", "5") == 2
    assert "csw activate is under way" in capsys.readouterr().err
    assert numbered.build_file.read_bytes() == before
    with activations(warehouse, stopped=True), pytest.raises(UsageError, match="csw erase is under way"):
        activate_to_csv(warehouse, numbered.warehouse.parent / "out.csv")


def test_landing_files_change_in_the_rows_of_the_subject_only(numbered):
    assert erase(numbered, "--contact", "5") == 0
    token, landing = token_of(numbered), numbered.landing
    assert (landing / "crm_contacts.csv").read_text() == (
        "contact_id,account_id,email,title,created_at\n"
        f"{token},7,,,2025-01-01\n{token},7,,,2025-01-02\n6,5,bob@growth.example,Head,2025-01-01\n"
        f"{token},7,,,2025-02-30\n6,5,bob@growth.example,Head,5\n"
    )
    for name in ("crm_accounts.csv", "billing_subscriptions.csv"):
        assert (landing / name).read_text() == FILES[name]
    other, mine = [json.loads(line) for line in (landing / "survey_responses.jsonl").read_text().splitlines()]
    assert (other["account_id"], other["contact_id"], other["comment"]) == ("5", "6", "Ask [erased]")
    assert (mine["account_id"], mine["contact_id"], mine["comment"]) == ("7", token, "")
    tickets = pq.read_table(landing / "support_tickets.parquet").to_pylist()
    assert [(row["ticket_id"], row["account_id"], row["requester_contact_id"]) for row in tickets] == [
        (5, 5, "6"),
        (9, 7, token),
    ]
    with duckdb.connect(str(numbered.build_file)) as con:
        assert load(con, landing) == 0


def land_more(company: Published, name: str, text: str) -> Path:
    """One more file, loaded."""
    path = company.landing / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    with duckdb.connect(str(company.build_file)) as con:
        assert load(con, company.landing) == 1
    return path


def test_landing_rows_end_where_the_loader_ends_them(numbered):
    """A quote inside a plain field is text, and one that is never closed costs one row."""
    head = "contact_id,account_id,email,title,created_at\n"
    others = '8,5,c@growth.example,5" lead,2025-01-01\n', '9,5,d@growth.example,"Head of,2025-01-01\n'
    many = "".join(f"{number},5,d@growth.example,Head,2025-01-01\n" for number in range(1000, 5000))
    path = land_more(
        numbered,
        "crm_contacts/quotes.csv",
        f'{head}{others[0]}5,7,ada@seven.example,CEO,2025-01-01\r\n\n{others[1]}5,7,,6" lead,2025-01-01\n{many}',
    )
    assert erase(numbered, "--contact", "5") == 0
    token = token_of(numbered)
    assert path.read_bytes().decode() == (
        f"{head}{others[0]}{token},7,,,2025-01-01\r\n\n{others[1]}{token},7,,,2025-01-01\n{many}"
    )
    with duckdb.connect(str(numbered.build_file)) as con:
        assert load(con, numbered.landing) == 0


def test_columns_that_the_contract_does_not_know_go_with_the_rows_of_the_subject(numbered):
    text = (
        "contact_id,phone,account_id,first_name,created_at,_Deleted,,\n"
        "5,+49 30 5,7,Ada,2025-01-01,true,x,y\n6,+49 30 6,5,asks ada@seven.example,2025-01-01,,x,y\n"
    )
    path = land_more(numbered, "crm_contacts/more.csv", text)
    lines = {"contact_id": "5", "account_id": "7", "created_at": "2025-01-01", "tags": ["Ada"], "age": 40}
    other = json.dumps(lines | {"contact_id": "6", "nick": "ada@seven.example"})
    in_json = land_more(numbered, "crm_contacts/more.jsonl", f"{json.dumps(lines)}\n{other}\n")
    columns = {"contact_id": [5, 6], "account_id": ["7", "5"], "created_at": ["2025-01-01"] * 2}
    own = {"tags": [["Ada"], ["Bob"]], "note": ["Ada", "asks ada@seven.example"], "age": [40, 50]}
    in_parquet = numbered.landing / "crm_contacts" / "more.parquet"
    pq.write_table(pa.table(columns | own), in_parquet)
    assert erase(numbered, "--contact", "5") == 0
    token = token_of(numbered)
    assert path.read_text() == (
        "contact_id,phone,account_id,first_name,created_at,_Deleted,,\n"
        f"{token},,7,,2025-01-01,true,,\n6,+49 30 6,5,asks [erased],2025-01-01,,x,y\n"
    )
    erased = {"contact_id": token, "account_id": "7", "created_at": "2025-01-01"}
    kept = {"contact_id": "6", "account_id": "5", "created_at": "2025-01-01"}
    assert [json.loads(line) for line in in_json.read_text().splitlines()] == [
        erased | {"tags": None, "age": None},
        kept | {"account_id": "7", "tags": ["Ada"], "age": "40", "nick": "[erased]"},
    ]
    assert pq.read_table(in_parquet).to_pylist() == [
        erased | {"tags": None, "note": None, "age": None},
        kept | {"tags": ["Bob"], "note": "asks [erased]", "age": 50},
    ]


def test_a_user_of_the_contact_is_the_same_user_afterwards_in_events_that_name_no_contact(numbered):
    """User 1 of account 7, which events call g7, too, is contact 5; user 1 of account 5 is somebody else."""
    land_more(
        numbered, "crm_account_links.csv", "source_system,source_account_id,account_id\nsegment,g7,7\nsegment,g5,5\n"
    )
    head = "event_id,account_id,user_id,contact_id,event_name,occurred_at,browser\n"
    others = "e3,5,1,,login,2025-01-03,Lynx\ne4,7,2,6,login,2025-01-04,Lynx\n"
    text = (
        f"{head}e1,7,1,,login,2025-01-01,Lynx\ne2,7,1,5,login,2025-01-02,Lynx\n{others}"
        "e5,g7, 1,,login,2025-01-05,Lynx\ne6,7,1,,login,2025-02-30,Lynx\n"
    )
    path = land_more(numbered, "product_events/1.csv", text)
    in_parquet = numbered.landing / "product_events" / "2.parquet"
    columns = {"event_id": ["e7", "e8"], "account_id": [7, 5], "user_id": [1, 1], "event_name": ["login"] * 2}
    pq.write_table(pa.table(columns | {"occurred_at": [date(2025, 1, 7)] * 2}), in_parquet)
    with duckdb.connect(str(numbered.build_file)) as con:
        assert load(con, numbered.landing) == 1
    assert erase(numbered, "--contact", "5") == 0
    token = token_of(numbered)
    [(user,)] = raw(numbered, "select user_id from raw.product_events where event_id = 'e2'")
    assert user.startswith("erased-")
    assert raw(numbered, "select event_id, account_id, user_id, contact_id from raw.product_events order by 1") == [
        ("e1", "7", user, None),
        ("e2", "7", user, token),
        ("e3", "5", "1", None),
        ("e4", "7", "2", "6"),
        ("e5", "g7", user, None),
        ("e7", "7", user, None),
        ("e8", "5", "1", None),
    ]
    assert raw(numbered, "select raw_line, status from ops.quarantine where table_name = 'product_events'") == [
        ("[erased]", "dropped")
    ]
    assert path.read_text() == (
        f"{head}e1,7,{user},,login,2025-01-01,\ne2,7,{user},{token},login,2025-01-02,\n{others}"
        f"e5,g7,{user},,login,2025-01-05,\ne6,7,{user},,login,2025-02-30,\n"
    )
    assert [(row["account_id"], row["user_id"]) for row in pq.read_table(in_parquet).to_pylist()] == [
        (7, user),
        (5, "1"),
    ]
    with duckdb.connect(str(numbered.build_file)) as con:
        assert load(con, numbered.landing) == 0


def test_landing_files_that_may_hold_the_subject_all_the_same_are_named(numbered, capsys):
    head = "contact_id,account_id,email,title,created_at\n"
    slipped = land_more(numbered, "crm_contacts/slipped.csv", f"{head}5,7,Head,2025-01-01\n6,5,Head,2025-01-01\n")
    named = land_more(numbered, "crm_contacts/account_id=7/1.csv", "contact_id,created_at\n77,2025-01-01\n")
    assert erase(numbered, "--account", "7") == 0
    said = capsys.readouterr().out
    assert [line.strip() for line in said.splitlines() if "still in" in line] == [
        f"still in a file of yours: {path}" for path in (named, slipped)
    ]


def test_an_account_called_growth_leaves_that_word_alone(numbered):
    assert erase(numbered, "--account", "5") == 0
    token = token_of(numbered)
    name = f"Erased account {token[-4:]}"
    [(account, called), (contact,)] = [
        raw(numbered, "select account_id, account_name from raw.crm_accounts order by 1 desc")[0],
        raw(numbered, "select contact_id from raw.crm_contacts where account_id <> '7'")[0],
    ]
    assert (account, called) == (token, name)
    assert numbered.rows("from dim_accounts order by 1") == [("7", "Seven Ltd"), (token, name)]
    assert numbered.rows("from fct_tickets order by 1") == [("5", token, contact, "Growth"), ("9", "7", "5", "Growth")]
    assert numbered.rows("from mart_alerts order by 1") == [
        ("account", token, f"{name} has fallen by 5"),
        ("csm", "5", "Growth is 5"),
    ]
    assert raw(numbered, "select subscription_id, account_id from raw.billing_subscriptions") == [("5", token)]
    facts = json.loads((Warehouse(numbered.warehouse).activation / "webhook.json").read_text())
    assert facts["delivered"] == facts["pending"]["hashes"] == {token: "h5", "7": "h7"}
    assert json.loads(facts["pending"]["body"])["rows"][0] == {"account_id": token, "account_name": name, "score": 5}


def test_the_marts_hold_ids_in_columns_that_are_known_as_such(sample):
    somebody = Subject("account", "a", "t", accounts={"a": "t"}, contacts={"c": "t"})
    with duckdb.connect(str(sample.marts_file), read_only=True) as con:
        ids = "select account_id from dim_accounts union select contact_id from fct_survey_responses"
        texts = con.execute(
            "select table_name, column_name from duckdb_columns() where data_type = 'VARCHAR' and not internal"
        ).fetchall()
        holding = {
            (table, column)
            for table, column in texts
            if con.execute(f'select exists (from "{table}" where "{column}" in ({ids}))').fetchone()[0]
        }
    assert len(holding) > 20
    unknown = {(table, column) for table, column in holding if not ids_in_marts(somebody, column)}
    assert unknown == {("mart_alerts", "subject_id")}


STEPS = ["_scrub_build", "rewrite_landed", "_rewrite_published", "_rewrite_others", "_withdraw_copies"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("finisher", ["erase", "night"])
def test_killed_before_any_step_it_is_finished_by_the_next(numbered, step, finisher, monkeypatch):
    class Killed(BaseException):
        """Passes every handler, as a killed process does."""

    def die(*_):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(erasing, step, die)
        with pytest.raises(Killed):
            erase(numbered, "--contact", "5")
    if finisher == "erase":
        assert erase(numbered, "--contact", "5") == 0
    else:
        with one_night(resolve_settings(warehouse=str(numbered.warehouse), landing=str(numbered.landing))) as night:
            begin(night)
    [(token,)] = raw(numbered, "select distinct contact_id from raw.crm_contacts where account_id = '7'")
    assert token == token_of(numbered)
    assert numbered.rows("select requester_contact_id from fct_tickets order by 1") == [("6",), (token,)]
    assert token in (numbered.landing / "crm_contacts.csv").read_text()
    assert files_with(numbered.warehouse.parent, ["ada@seven.example"]) == set()
    with duckdb.connect(str(numbered.build_file)) as con:
        assert load(con, numbered.landing) == 0
    assert erase(numbered, "--contact", "5") == 2


def test_a_landing_file_that_cannot_be_read_is_said_before_anything_changes(numbered, capsys):
    (numbered.landing / "surveys.csv.gz").write_bytes(b"\x1f\x8bcut")
    assert erase(numbered, "--contact", "5") == 2
    assert "surveys.csv.gz can't be read, so nothing was erased" in capsys.readouterr().err
    assert raw(numbered, "select count(*) from raw.crm_contacts where trim(contact_id) = '5'") == [(2,)]


def test_a_file_system_without_hard_links_and_a_copy_among_the_versions_hinder_nothing(numbered, monkeypatch):
    copy = numbered.warehouse / "versions" / "before-migration.duckdb"
    shutil.copy(numbered.marts_file, copy)

    def refuse(*_):
        raise OSError("not supported")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    assert erase(numbered, "--contact", "5") == 0
    token = token_of(numbered)
    for file in (numbered.marts_file, copy, *numbered.warehouse.glob("versions/2*.duckdb")):
        with duckdb.connect(str(file), read_only=True) as con:
            asked = con.execute("select requester_contact_id from fct_tickets order by ticket_id").fetchall()
        assert asked == [("6",), (token,)], file


def test_a_contact_that_only_waits_in_quarantine_can_be_erased(numbered):
    with duckdb.connect(str(numbered.build_file)) as con:
        con.execute("delete from raw.crm_contacts where trim(contact_id) = '5'")
        for table in ("survey_responses", "support_tickets"):
            con.execute(f"delete from raw.{table}")
    assert erase(numbered, "--contact", "5") == 0
    assert raw(numbered, "select raw_line from ops.quarantine where status = 'dropped'") == [("[erased]",)]
    assert erase(numbered, "--contact", "4") == 2
