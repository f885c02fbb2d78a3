"""Personal data: tagged, kept inside, pseudonyms, and gone when it is asked for. Canaries are planted in the sample."""

import hashlib
import hmac
import re
import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from orchestration.building import failing_rows
from orchestration.cli import main
from orchestration.data_tests import NodeResult
from orchestration.loading import create_landing_schema, load_landing
from orchestration.personal import personal_columns
from orchestration.publishing import marts_of, publish, read_publication
from orchestration.settings import resolve_settings
from orchestration.variables import UsageError
from orchestration.warehouse import Warehouse
from serving.parquet import publish_parquet
from tests.conftest import CANARIES, Published

# Where marts.sql has a place for it; everything else stays inside.
PUBLISHED = {
    ("crm_users", "full_name"): {("dim_csms", "full_name"), ("mart_csm_scorecards", "full_name")},
    ("survey_responses", "comment"): {("fct_survey_responses", "comment"), ("fct_feedback_items", "body")},
    ("feedback_items", "body"): {("fct_feedback_items", "body")},
    ("feedback_items", "url"): {("fct_feedback_items", "url")},
}
KEY = "a secret of sixteen or more"


def as_published(origin: tuple[str, str]) -> str:
    """A canary as staging leaves it: free text loses the addresses in it."""
    text = CANARIES[origin]
    return text if origin[1] == "email" else re.sub(r"\S+@\S+", "[e-mail]", text)


def places_of(con: duckdb.DuckDBPyConnection, text: str) -> set[tuple[str, str]]:
    """The text columns of a database in which a text stands, and not as part of a longer word."""
    alone = rf"(^|[^\w-]){re.escape(text)}($|[^\w-])"
    columns = con.execute(
        "select table_name, column_name from duckdb_columns() where data_type = 'VARCHAR' and not internal"
    ).fetchall()
    return {
        (table, column)
        for table, column in columns
        if con.execute(f'select 1 from "{table}" where regexp_matches("{column}", ?) limit 1', [alone]).fetchone()
    }


def files_with(folder: Path, texts: list[str], *, but: tuple[str, ...] = ()) -> set[tuple[str, str]]:
    """Every file below a folder whose bytes hold one of the texts, with the text."""
    return {
        (str(file.relative_to(folder)), text)
        for file in folder.rglob("*")
        if file.is_file() and file.relative_to(folder).parts[0] not in but
        for data in [file.read_bytes()]
        for text in texts
        # an id of eight letters is part of other ids
        if (
            re.search(rb"(?<![\w-])" + re.escape(text.encode()) + rb"(?![\w-])", data)
            if len(text) < 12
            else text.encode() in data
        )
    }


def test_every_column_of_people_and_their_words_is_tagged():
    assert dict(personal_columns()) == {
        ("crm_contacts", "email"): "email",
        ("crm_contacts", "title"): "job_title",
        ("crm_users", "email"): "email",
        ("crm_users", "full_name"): "name",
        ("cs_health_ratings", "comment"): "free_text",
        ("survey_responses", "comment"): "free_text",
        ("feedback_items", "body"): "free_text",
        ("feedback_items", "url"): "link",
    }
    assert personal_columns().keys() == CANARIES.keys()


def test_what_marts_publish_of_people_is_tagged(sample: Published):
    tagged = {
        (node["name"], name): column["config"]["meta"].get("personal", "free_text")
        for node in sample.manifest["nodes"].values()
        if node["resource_type"] == "model" and node["schema"] == "marts"
        for name, column in node["columns"].items()
        if "personal" in column["config"]["meta"] or "free_text" in column["config"]["tags"]
    }
    contacts = {("fct_survey_responses", "contact_id"), ("fct_tickets", "requester_contact_id")}
    assert {place for place, kind in tagged.items() if kind == "contact"} == contacts
    assert {place for place, kind in tagged.items() if kind != "contact"} == set().union(*PUBLISHED.values())


@pytest.mark.parametrize("origin", sorted(CANARIES))
def test_a_canary_is_published_where_the_contract_says_and_nowhere_else(sample: Published, origin):
    with duckdb.connect(str(sample.marts_file), read_only=True) as con:
        assert places_of(con, as_published(origin)) == PUBLISHED.get(origin, set())
        if "@" in CANARIES[origin]:
            assert places_of(con, CANARIES[origin].split()[-1]) == set()


def test_no_canary_is_in_logs_digests_runs_or_lineage(sample: Published):
    texts = list(CANARIES.values())
    # pages show what is published
    open_to_all = {"marts.duckdb", "versions", "pages", "dashboard"}
    assert files_with(sample.warehouse, texts, but=("build", *open_to_all)) == set()
    assert not any(text in sample.output for text in texts)
    inside = files_with(sample.warehouse / "build", texts)
    assert {name for name, _ in inside} <= {"warehouse.duckdb"}
    assert (sample.warehouse / "build").stat().st_mode & 0o077 == 0
    hidden = [text for origin, text in CANARIES.items() if origin not in PUBLISHED]
    assert files_with(sample.warehouse, hidden, but=("build",)) == set()


def test_parquet_copies_hold_what_the_published_file_holds(sample: Published, tmp_path):
    warehouse = Warehouse(tmp_path)
    warehouse.prepare()
    shutil.copy(sample.marts_file, warehouse.marts_file)
    folder = publish_parquet(warehouse)
    with duckdb.connect() as con:
        for file in folder.glob("*.parquet"):
            con.execute(f"create view {file.stem} as select * from '{file}'")
        for origin in CANARIES:
            assert places_of(con, as_published(origin)) == PUBLISHED.get(origin, set())


def test_a_slipped_column_shows_the_shape_of_an_address_and_not_the_address(tmp_path):
    folder = tmp_path / "landing" / "crm_contacts"
    folder.mkdir(parents=True)
    (folder / "1.csv").write_text(
        "contact_id,account_id,email,title,contact_role,created_at\n"
        "c1,a1,Head,champion,2025-01-01,ada.l1@leak.example\n"
        'c2,a1,"bob@leak.example"bob@leak.example,Head,champion,2025-01-01\n'
    )
    said = []
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as con:
        create_landing_schema(con)
        report = load_landing(
            con, tmp_path / "landing", run_id="r", loaded_at=datetime(2025, 2, 1), progress=said.append
        )
        reasons = [reason for (reason,) in con.execute("select reason from ops.quarantine order by line").fetchall()]
        kept = con.execute("select count(*) from ops.quarantine where contains(raw_line, 'leak.example')").fetchone()
    assert reasons[0] == "created_at: 'xxx.x9@xxxx.xxxxxxx' is no timestamp"
    assert "leak" not in "".join([*reasons, *said, *(row.message() for row in report.refused_rows)])
    assert kept == (2,)  # to be mended, it has to be whole


def test_failing_rows_do_not_show_people(sample: Published):
    node = NodeResult(
        *("test.p.t", "test", "t", "fail", 0.0, 1, "", ""),
        compiled_code="select * from raw.crm_users",
        attached_node=None,
    )
    rows = failing_rows(sample.build_file, node)
    assert len(rows) == 5
    assert all("email=(personal)" in row and "full_name=(personal)" in row for row in rows)


def test_a_key_in_the_environment_makes_pseudonyms_of_contacts(sample: Published, tmp_path, monkeypatch):
    monkeypatch.setenv("CSW_PSEUDONYM_KEY", KEY)
    settings = resolve_settings(warehouse=str(tmp_path))
    assert KEY not in repr(settings)
    warehouse = Warehouse(tmp_path)
    warehouse.prepare()
    (warehouse.build_file).symlink_to(sample.build_file)
    publication = read_publication(sample.marts_file)
    publish(warehouse, marts_of(sample.manifest), publication, settings.pseudonym_key)
    expected = "p-" + hmac.new(KEY.encode(), sample.canary_contact.encode(), hashlib.sha256).hexdigest()[:24]
    answers = "select count(*), count(distinct contact_id) from fct_survey_responses"
    asked = "select count(*) from fct_tickets where requester_contact_id = ?"
    with duckdb.connect(str(warehouse.marts_file), read_only=True) as con:
        assert con.execute(answers).fetchall() == sample.rows(answers)
        assert places_of(con, sample.canary_contact) == set()
        theirs = con.execute("select comment from fct_survey_responses where contact_id = ?", [expected]).fetchall()
        assert (CANARIES["survey_responses", "comment"],) in theirs
        plain = sample.rows(f"select count(*) from fct_tickets where requester_contact_id = '{sample.canary_contact}'")
        assert con.execute(asked, [expected]).fetchall() == plain


def test_a_short_key_is_refused(monkeypatch):
    monkeypatch.setenv("CSW_PSEUDONYM_KEY", "short")
    with pytest.raises(UsageError, match="16 characters"):
        resolve_settings()


# ------------------------------------------------------------------------------------------------------------- erasing


@pytest.fixture
def company(sample: Published, tmp_path) -> Published:
    """A copy of the sample with everything that a warehouse folder can hold."""
    for folder in ("warehouse", "landing"):
        shutil.copytree(sample.warehouse.parent / folder, tmp_path / folder, symlinks=True)
    warehouse = Warehouse(tmp_path / "warehouse")
    return Published(warehouse.root, tmp_path / "landing", "", sample.canary_contact)


def litter(company: Published, texts: list[str]) -> None:
    """Let digests, logs, pages, the history of runs, copies and quarantine speak of the subject."""
    warehouse = Warehouse(company.warehouse)
    words = " and ".join(texts)
    (warehouse.alerts / "2020-01-01.md").write_text(f"- row: {words}\n")
    (warehouse.runs / "old.log").write_text(f"row: {words}\n")
    (warehouse.root / "dashboard").mkdir(exist_ok=True)
    (warehouse.root / "dashboard" / "index.html").write_text(f"<p>{words}</p>")
    with sqlite3.connect(warehouse.dagster_home / "old.db") as con:
        con.execute("create table event_logs (event text)")
        con.execute("insert into event_logs values (?)", [f'{{"row": "{words}"}}'])
    publish_parquet(warehouse)
    with duckdb.connect(str(company.build_file)) as con:
        con.execute(
            """insert into ops.quarantine by name select 'q' as quarantine_id, 'crm_contacts' as table_name,
            'x.csv' as path, 'open' as status, ? as raw_line,
            ? as value, 'r' as reason""",
            [f"broken,{words}", texts[0]],
        )


def assert_gone(company: Published, texts: list[str]) -> None:
    """No byte of any file, no text column of any database, no copy."""
    assert files_with(company.warehouse, texts) == set()
    for file in [company.build_file, company.marts_file, *(company.warehouse / "versions").glob("*.duckdb")]:
        with duckdb.connect(str(file), read_only=True) as con:
            con.execute("set search_path = 'main,raw,ops'" if file == company.build_file else "select 1")
            for text in texts:
                assert places_of(con, text) == set(), (file, text)
    with duckdb.connect() as con:
        for file in (company.warehouse / "parquet" / "current").glob("*.parquet"):
            con.execute(f"create view {file.stem} as select * from '{file}'")
        for text in texts:
            assert places_of(con, text) == set(), text


def test_an_erased_contact_is_in_no_file_and_no_figure_changes(company: Published, capsys):
    contact = company.canary_contact
    theirs = [
        CANARIES[origin] for origin in CANARIES if origin[0] in ("crm_contacts", "survey_responses", "feedback_items")
    ]
    texts = [contact, *theirs]
    litter(company, [contact, CANARIES["crm_contacts", "email"]])
    figures = "select * from mart_kpi_values order by all"
    before, comments = company.rows(figures), company.rows("select comment from duckdb_columns() order by all")
    raw_rows = {}
    with duckdb.connect(str(company.build_file), read_only=True) as con:
        for table in ("crm_contacts", "survey_responses", "product_events", "support_tickets"):
            raw_rows[table] = con.execute(f"select count(*) from raw.{table}").fetchone()
    version = read_publication(company.marts_file).version
    assert main(["erase", "--contact", contact, "--warehouse", str(company.warehouse)]) == 0
    said = capsys.readouterr().out
    assert "survey_responses.csv" in said
    assert "--landing" in said
    assert files_with(company.landing, [contact])  # landing files are the user's until they are named
    assert_gone(company, texts)
    assert company.rows(figures) == before
    assert company.rows("select comment from duckdb_columns() order by all") == comments
    assert read_publication(company.marts_file).version == version
    assert company.marts_file.samefile(company.warehouse / "versions" / f"{version}.duckdb")
    with duckdb.connect(str(company.build_file), read_only=True) as con:
        for table, rows in raw_rows.items():
            assert con.execute(f"select count(*) from raw.{table}").fetchone() == rows
        assert con.execute("select status, raw_line from ops.quarantine").fetchall() == [("dropped", "[erased]")]
        assert con.execute("select kind, count(*) from ops.erasures group by 1").fetchall() == [("contact", 1)]
    assert main(["erase", "--contact", contact, "--warehouse", str(company.warehouse)]) == 2
    assert "no loaded row names" in capsys.readouterr().err


def test_an_erased_account_takes_its_contacts_along_and_landing_files_stay_known(company: Published, capsys):
    [(account,)] = company.rows(
        f"select account_id from fct_survey_responses where contact_id = '{company.canary_contact}' limit 1"
    )
    [(name,)] = company.rows(f"select account_name from dim_accounts where account_id = '{account}'")
    with duckdb.connect(str(company.build_file), read_only=True) as con:
        contacts = con.execute(
            "select contact_id, email from raw.crm_contacts where account_id = ?", [account]
        ).fetchall()
        same_name = con.execute("select count(*) from raw.crm_accounts where account_name = ?", [name]).fetchone()
    texts = [account, *(text for row in contacts for text in row if text), CANARIES["survey_responses", "comment"]]
    texts += [name] if same_name == (1,) else []
    litter(company, texts)
    sums = "select sum(value), count(*) from mart_kpi_values"
    before = company.rows(sums)
    command = ["erase", "--account", account, "--landing", str(company.landing), "--warehouse", str(company.warehouse)]
    assert main(command) == 0
    assert "still in a file of yours" not in capsys.readouterr().out
    assert_gone(company, texts)
    assert files_with(company.landing, texts) == set()
    assert company.rows(sums) == before
    with duckdb.connect(str(company.build_file)) as con:
        report = load_landing(
            con,
            company.landing,
            run_id="after",
            loaded_at=datetime.now(UTC).replace(tzinfo=None),
            progress=lambda _: None,
        )
        assert report.total("files_new") == report.total("files_refused") == 0
        assert con.execute("select count(*) from raw.crm_contacts where account_id = ?", [account]).fetchone() == (0,)
