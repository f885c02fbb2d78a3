"""The copy in PostgreSQL on a real server: swaps under readers, what roles see, a night that can't serve."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from types import MappingProxyType

import duckdb
import psycopg
import pytest

from orchestration import stages
from orchestration.cli import main
from orchestration.night import UNFINISHED, one_night
from orchestration.publishing import Mart, keep_versions, publish, read_publication, rollback
from orchestration.settings import resolve_settings
from orchestration.summary import status_of, summary_of
from orchestration.variables import UsageError
from orchestration.warehouse import Warehouse
from serving.address import Server, server_of
from serving.postgres import serve_file
from tests.postgres import PASSWORD, QUOTED, Postgres, postgres_server
from tests.test_publishing import publication

CELLS = Mart(
    "mart_kpi_values",
    ["kpi_id", "period_type", "period_start", "segment_type", "segment_value"],
    "Every KPI.",
    {"value": "The value, it's said: 50 % of \\ $csw$."},
)
ANSWERS = Mart("fct_answers", ["answer_id"], "Answers.", {"comment": "As written."}, frozenset(["comment"]))
READERS = 4


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres_server() as server:
        yield server


@pytest.fixture
def database(server, request) -> Postgres:
    """An empty database for one test."""
    return server.new_database(f"d{abs(hash(request.node.nodeid)) % 10**12}")


@pytest.fixture
def target(database) -> Server:
    return server_of(database.url)


@pytest.fixture
def warehouse(tmp_path) -> Warehouse:
    warehouse = Warehouse(tmp_path / "wh")
    warehouse.prepare()
    return warehouse


def publish_cells(
    warehouse: Warehouse, generation: int, *, rows: int = 50, columns: str = "", without: str = "", answers: bool = True
) -> None:
    """Every row says which generation wrote it. Of months 1, 2, 3 ... the even ones are small cells."""
    with duckdb.connect(str(warehouse.build_file)) as con:
        con.execute("create schema if not exists marts")
        con.execute(
            f"""create or replace table marts.mart_kpi_values as
            select * exclude ({without or "nothing"}) from (
                select 'nps' as kpi_id, 'month' as period_type,
                    cast(date '2000-01-01' + to_months(cast(number as integer)) as date) as period_start,
                    'all' as segment_type, 'all' as segment_value, {generation}::double as value,
                    {generation}::decimal(18, 2) as money, (number - 1)::double as previous_value,
                    timestamp '2025-03-31 01:02:03.456789' as seen_at, number % 2 = 0 as is_suppressed, 1 as nothing
                    {columns}
                from range(1, {rows} + 1) as numbers(number))"""
        )
        con.execute(
            f"""create or replace table marts.fct_answers as
            select 'a' || number as answer_id, {generation} as generation, 'my words' || chr(0) as comment
            from range({rows}) as numbers(number)"""
        )
    publish(
        warehouse,
        [CELLS, ANSWERS] if answers else [CELLS],
        publication(generation, read_publication(warehouse.marts_file)),
    )
    keep_versions(warehouse, 7)


def account(server: Postgres, name: str, role: str) -> str:
    with server.connect() as con:
        if not con.execute("select 1 from pg_roles where rolname = %s", [name]).fetchone():
            con.execute(f"create role {name} login password '{PASSWORD}'")
        con.execute(f"grant {role} to {name}")
    return name


def schemas(server: Postgres) -> list[str]:
    return [name for (name,) in server.rows("select nspname from pg_namespace where nspname ~ '^marts' order by 1")]


def generation_of(server: Postgres) -> set[float]:
    return {value for (value,) in server.rows("select distinct value from marts.mart_kpi_values")}


# --- what is there after serving ------------------------------------------------------------------------------------


def test_tables_are_made_from_the_contracts_and_hold_what_the_file_holds(warehouse, database, target):
    publish_cells(warehouse, 1)
    served = serve_file(target, warehouse.marts_file)
    assert served.rows == 50 + 50 + 1 + _described_columns(warehouse)
    [schema] = [name for name in schemas(database) if name.startswith("marts_2")]
    columns = database.rows(
        f"""select column_name, data_type, numeric_precision, is_nullable from information_schema.columns
        where table_schema = '{schema}' and table_name = 'mart_kpi_values' order by ordinal_position"""
    )
    assert [(name, kind) for name, kind, _, _ in columns] == [
        ("kpi_id", "text"),
        ("period_type", "text"),
        ("period_start", "date"),
        ("segment_type", "text"),
        ("segment_value", "text"),
        ("value", "double precision"),
        ("money", "numeric"),
        ("previous_value", "double precision"),
        ("seen_at", "timestamp without time zone"),
        ("is_suppressed", "boolean"),
    ]
    assert [name for name, _, _, nullable in columns if nullable == "NO"] == list(CELLS.grain)
    assert database.rows(
        f"select pg_get_constraintdef(oid) from pg_constraint where conrelid = '{schema}.mart_kpi_values'::regclass"
    ) == [("PRIMARY KEY (kpi_id, period_type, period_start, segment_type, segment_value)",)]
    order = "order by period_start"
    with duckdb.connect(str(warehouse.marts_file), read_only=True) as con:
        held = con.execute(f"select * from mart_kpi_values {order}").fetchall()
    assert database.rows(f"select * from marts.mart_kpi_values {order}") == held
    # PostgreSQL's text has no character of code 0
    assert database.rows("select distinct comment from marts.fct_answers") == [("my words",)]


def _described_columns(warehouse: Warehouse) -> int:
    with duckdb.connect(str(warehouse.marts_file), read_only=True) as con:
        return con.execute("select count(*) from meta_columns").fetchone()[0]


def test_a_key_too_long_for_an_index_is_left_out_and_said(warehouse, database, target):
    publish_cells(warehouse, 1)
    with duckdb.connect(str(warehouse.build_file)) as con:
        # no part of it comes again, so that PostgreSQL can't shorten it
        long = "(select string_agg(sha256(n::varchar), '') from range(100) as numbers(n))"
        con.execute(f"update marts.fct_answers set answer_id = {long} where answer_id = 'a7'")
    publish(warehouse, [CELLS, ANSWERS], publication(2, read_publication(warehouse.marts_file)))
    served = serve_file(target, warehouse.marts_file)
    assert "fct_answers has no primary key" in served.text()
    assert database.rows("select max(length(answer_id)), count(*) from marts.fct_answers") == [(6400, 50)]
    assert database.rows(
        """select relname::text from pg_constraint inner join pg_class on pg_class.oid = conrelid
        where contype = 'p' and relname in ('fct_answers', 'mart_kpi_values')"""
    ) == [("mart_kpi_values",)]


def test_views_carry_the_docs(warehouse, database, target):
    publish_cells(warehouse, 1)
    serve_file(target, warehouse.marts_file)
    for place in ("marts", "marts_bi"):
        view = f"'{place}.mart_kpi_values'::regclass"
        number = f"(select attnum from pg_attribute where attrelid = {view} and attname = 'value')"
        assert database.rows(f"select obj_description({view}), col_description({view}, {number})") == [
            ("Every KPI.", "The value, it's said: 50 % of \\ $csw$.")
        ]


def test_a_database_of_another_encoding_gets_the_same_letters_or_nothing(warehouse, server):
    latin = server.new_database("latin", encoding="LATIN1")
    publish_cells(warehouse, 1, columns=", 'Müller' as owner")
    serve_file(server_of(latin.url), warehouse.marts_file)
    assert latin.rows("select distinct owner, length(owner) from marts.mart_kpi_values") == [("Müller", 6)]
    publish_cells(warehouse, 2, columns=", 'Łuczak' as owner")
    with pytest.raises(UsageError, match=r"latin: .*no equivalent in encoding \"LATIN1\""):
        serve_file(server_of(latin.url), warehouse.marts_file)
    assert generation_of(latin) == {1}


def test_bi_sees_no_free_text_and_no_small_cells_and_analysts_see_all(warehouse, database, target):
    publish_cells(warehouse, 1, columns=", 0.25::double as pct_change_vs_previous")
    serve_file(target, warehouse.marts_file)
    bi, analyst = account(database, "bea", "csw_bi"), account(database, "ann", "csw_analyst")
    assert database.rows("select count(*) from marts.mart_kpi_values", analyst) == [(50,)]
    assert database.rows("select count(comment) from marts.fct_answers", analyst) == [(50,)]
    seen = database.rows(
        "select previous_value, pct_change_vs_previous, is_suppressed from marts_bi.mart_kpi_values", bi
    )
    # months 1, 3, 5 ...; the month before each is a small one, so neither what it was nor what it can be reckoned from
    assert len(seen) == 25
    assert set(seen) == {(None, None, False)}
    assert database.rows("select count(*), min(generation) from marts_bi.fct_answers", bi) == [(50, 1)]
    version = next(name for name in schemas(database) if name.startswith("marts_2"))
    for forbidden in (
        "select comment from marts_bi.fct_answers",
        "select * from marts.mart_kpi_values",
        f"select * from {version}.mart_kpi_values",
        "delete from marts_bi.fct_answers",
        "create table marts_bi.mine (one int)",
        "drop view marts_bi.fct_answers",
    ):
        with pytest.raises(psycopg.Error):
            database.rows(forbidden, bi)
    for forbidden in (f"select * from {version}.fct_answers", "update marts.fct_answers set comment = ''"):
        with pytest.raises(psycopg.Error):
            database.rows(forbidden, analyst)


def test_a_function_of_the_readers_own_does_not_see_small_cells(warehouse, database, target):
    publish_cells(warehouse, 1)
    serve_file(target, warehouse.marts_file)
    heard: list[str] = []
    with database.connect(account(database, "bea", "csw_bi")) as con:
        con.add_notice_handler(lambda notice: heard.append(notice.message_primary))
        con.execute(
            """create function pg_temp.listen(small boolean) returns boolean language plpgsql cost 0.0000001 as
            $$ begin raise notice '%', small; return true; end $$"""
        )
        con.execute("select * from marts_bi.mart_kpi_values where pg_temp.listen(is_suppressed)").fetchall()
    assert set(heard) == {"f"}


def test_the_sample_company_is_served_whole(sample, database, target):
    serve_file(target, sample.marts_file)
    account(database, "bea", "csw_bi")
    with duckdb.connect(str(sample.marts_file), read_only=True) as con:
        for table, keyed in con.execute(
            "select table_name, count(key_position) from meta_columns group by table_name order by table_name"
        ).fetchall():
            assert keyed or table.startswith("meta_"), f"{table} has no key"
            held = con.execute(f"select count(*) from {table}").fetchone()
            assert database.rows(f"select count(*) from marts.{table}") == [held], table
            flags = {"is_suppressed", "is_low_confidence"} & {
                name for (name,) in con.execute(f"select column_name from (describe {table})").fetchall()
            }
            small = "is_suppressed" if "is_suppressed" in flags else "is_low_confidence"
            if flags:
                assert database.rows(f"select count(*) from marts_bi.{table} where {small}", "bea") == [(0,)], table
        shown = con.execute("select count(*) from mart_kpi_values where not is_suppressed").fetchone()
        assert database.rows("select count(*) from marts_bi.mart_kpi_values", "bea") == [shown]
        cells = "kpi_id, period_type, period_start, segment_type, segment_value"
        [[hidden]] = con.execute(
            f"""select count(*) from first_published_kpi_values
            where ({cells}) not in (select ({cells}) from mart_kpi_values where not is_suppressed)"""
        ).fetchall()
    assert hidden > 0
    assert database.rows(
        """select (select count(*) from marts.first_published_kpi_values)
            - (select count(*) from marts_bi.first_published_kpi_values)"""
    ) == [(hidden,)]


@pytest.mark.parametrize(
    ("table", "column", "kpi", "cell"),
    [
        (
            "mart_csm_scorecards",
            "gross_renewal_rate",
            "gross_renewal_rate",
            """kpi.period_type = card.period_type and kpi.period_start = card.period_start and kpi.segment_value = case
            when card.csm_user_id = 'all' then card.team when card.segment_value = 'all' then card.csm_user_id
            else card.csm_user_id || '/' || card.segment_value end
            and kpi.segment_type in ('csm', 'team', 'csm_segment') and not card.is_low_confidence""",
        ),
        (
            "mart_segment_scorecards",
            "nrr_ttm",
            "net_revenue_retention",
            """kpi.period_type = 'ttm' and kpi.period_end = last_day(card.month) and card.accounts >= 3
            and kpi.segment_type = card.segment_type and kpi.segment_value = card.segment_value""",
        ),
    ],
)
def test_scorecards_of_bi_have_no_figure_of_a_suppressed_cell(sample, database, target, table, column, kpi, cell):
    serve_file(target, sample.marts_file)
    account(database, "bea", "csw_bi")
    [(shown, small)] = sample.rows(
        f"""select count(card.{column}) filter (where not kpi.is_suppressed),
            count(card.{column}) filter (where kpi.is_suppressed)
        from {table} as card inner join kpi_{kpi} as kpi on {cell}"""
    )
    assert shown > 0
    assert small > 0, "the sample has nothing to hide here"
    assert database.rows(f"select count({column}) from marts_bi.{table}", "bea") == [(shown,)]


# --- versions -------------------------------------------------------------------------------------------------------


def test_the_version_before_is_kept_and_older_ones_go(warehouse, database, target):
    for generation in (1, 2, 3, 4):
        publish_cells(warehouse, generation)
        assert serve_file(target, warehouse.marts_file).rows
    assert schemas(database) == ["marts", "marts_20250401t030000000000z", "marts_20250401t040000000000z", "marts_bi"]
    rollback(warehouse)
    assert serve_file(target, warehouse.marts_file).rows == 0
    assert generation_of(database) == {3}
    rollback(warehouse)  # a version that the server dropped long ago comes out of its file
    assert serve_file(target, warehouse.marts_file).rows
    assert generation_of(database) == {2}


def test_what_was_erased_from_the_files_leaves_the_server(warehouse, database, target):
    for generation in (1, 2):
        publish_cells(warehouse, generation)
        serve_file(target, warehouse.marts_file)
    for file in warehouse.versions.glob("*.duckdb"):  # as csw erase does: every version is written anew
        file.chmod(0o644)
        with duckdb.connect(str(file)) as con:
            con.execute("update fct_answers set comment = null")
    assert serve_file(target, warehouse.marts_file).rows > 0
    [schema] = [name for name in schemas(database) if name not in ("marts", "marts_bi")]
    assert schema.startswith("marts_20250401t020000000000z_")
    assert database.rows(f"select count(comment), count(*) from {schema}.fct_answers") == [(0, 50)]
    assert database.rows("select count(comment), count(*) from marts.fct_answers") == [(0, 50)]
    assert serve_file(target, warehouse.marts_file).rows == 0
    publish_cells(warehouse, 3)
    serve_file(target, warehouse.marts_file)
    assert schemas(database) == ["marts", schema, "marts_20250401t030000000000z", "marts_bi"]


def test_csw_rollback_goes_back_on_the_server_too(warehouse, database, capsys):
    for generation in (1, 2):
        publish_cells(warehouse, generation)
        assert main(["serve", "--warehouse", str(warehouse.root), "--serve", database.url, "--parquet"]) == 0
    assert main(["rollback", "--warehouse", str(warehouse.root), "--serve", database.url]) == 0
    assert generation_of(database) == {1}
    with duckdb.connect() as con:
        cells = f"{warehouse.parquet}/current/mart_kpi_values.parquet"
        assert con.execute(f"select distinct value from '{cells}'").fetchall() == [(1.0,)]
    said = capsys.readouterr()
    assert QUOTED not in said.out + said.err
    assert PASSWORD not in said.out + said.err


def test_an_old_version_that_somebody_built_on_stays(warehouse, database, target):
    publish_cells(warehouse, 1)
    serve_file(target, warehouse.marts_file)
    with database.connect() as con:
        con.execute("create view public.on_a_version as select * from marts_20250401t010000000000z.fct_answers")
    for generation in (2, 3):
        publish_cells(warehouse, generation)
        served = serve_file(target, warehouse.marts_file)
    assert "marts_20250401t010000000000z could not be dropped yet" in served.text()
    assert database.rows("select count(*) from public.on_a_version") == [(50,)]


def test_a_rollback_that_is_not_told_of_the_server_says_what_it_still_shows(warehouse, database, capsys):
    options = ["--warehouse", str(warehouse.root)]
    for generation in (1, 2):
        publish_cells(warehouse, generation, columns=", 7 as extra" * (generation - 1))
        assert main(["serve", *options, "--serve", database.url]) == 0
    assert main(["rollback", *options]) == 4
    said = capsys.readouterr().err
    assert f"127.0.0.1:{database.port}/{database.database} still shows version 20250401T020000000000Z" in said
    assert main(["serve", *options, "--serve", database.url, "--replace-changed"]) == 0
    assert generation_of(database) == {1}
    assert main(["rollback", *options, "--to", "20250401T010000000000Z"]) == 0


# --- columns that come and go ---------------------------------------------------------------------------------------


def test_a_new_column_comes_last_and_views_on_top_live_on(warehouse, database, target):
    publish_cells(warehouse, 1)
    serve_file(target, warehouse.marts_file)
    with database.connect() as con:
        con.execute("create view public.mine as select * from marts.mart_kpi_values")
    publish_cells(warehouse, 2, columns=", 7 as extra")
    serve_file(target, warehouse.marts_file)
    assert database.rows("select distinct extra, value from marts.mart_kpi_values") == [(7, 2.0)]
    assert database.rows("select distinct value from public.mine") == [(2.0,)]


def test_a_column_that_would_go_stops_and_names_what_stands_on_it(warehouse, database, target):
    publish_cells(warehouse, 1)
    serve_file(target, warehouse.marts_file)
    with database.connect() as con:
        con.execute("create schema desk")
        con.execute("create view desk.board as select period_start, money from marts.mart_kpi_values")
        con.execute("create materialized view desk.monthly as select sum(money) from desk.board")
    publish_cells(warehouse, 2, without="money")
    with pytest.raises(UsageError) as stopped:
        serve_file(target, warehouse.marts_file)
    message = str(stopped.value)
    assert "marts.mart_kpi_values loses money; depending on it: desk.board, desk.monthly" in message
    assert "csw serve --replace-changed" in message
    with pytest.raises(UsageError, match=r"desk\.board"):
        serve_file(target, warehouse.marts_file, replace_changed=True)
    assert generation_of(database) == {1}
    assert [name for name in schemas(database) if name.startswith("marts_2")] == ["marts_20250401t010000000000z"]
    with database.connect() as con:
        con.execute("drop view desk.board cascade")
    serve_file(target, warehouse.marts_file, replace_changed=True)
    assert generation_of(database) == {2}
    assert database.rows("select count(*) from marts_bi.mart_kpi_values", account(database, "bea", "csw_bi")) == [(25,)]


def test_a_column_of_another_type_and_a_table_that_is_gone_stop_too(warehouse, database, target):
    publish_cells(warehouse, 1, columns=", 7 as extra")
    serve_file(target, warehouse.marts_file)
    publish_cells(warehouse, 2, columns=", 'seven' as extra", answers=False)
    with pytest.raises(UsageError) as stopped:
        serve_file(target, warehouse.marts_file)
    assert "marts.mart_kpi_values changes extra from integer to text; depending on it: nothing" in str(stopped.value)
    assert "marts_bi.fct_answers is not published any more" in str(stopped.value)
    serve_file(target, warehouse.marts_file, replace_changed=True)
    assert database.rows("select distinct extra from marts.mart_kpi_values") == [("seven",)]
    assert database.rows("select to_regclass('marts.fct_answers')") == [(None,)]


def test_what_others_put_into_the_schemas_of_views_is_left_alone(warehouse, database, target):
    publish_cells(warehouse, 1)
    serve_file(target, warehouse.marts_file)
    with database.connect() as con:
        con.execute("create view marts.my_report as select answer_id from marts.fct_answers where generation = 2")
        con.execute("create table marts.salaries as select 1 as salary")
    publish_cells(warehouse, 2)
    serve_file(target, warehouse.marts_file)
    assert database.rows("select count(*) from marts.my_report") == [(50,)]
    analyst = account(database, "ann", "csw_analyst")
    assert database.rows("select count(*) from marts.fct_answers", analyst) == [(50,)]
    for theirs in ("my_report", "salaries"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            database.rows(f"select * from marts.{theirs}", analyst)


# --- readers --------------------------------------------------------------------------------------------------------

_READ = """
import sys, time, psycopg
address, stop, out = sys.argv[1:]
from pathlib import Path
reads = failed = torn = 0
seen = []
with open(out, "w") as log:
    while not Path(stop).exists():
        try:
            with psycopg.connect(address) as con:
                for _ in range(3):
                    # one statement on two tables, and the analyst's own view in the same transaction
                    pairs = con.execute(
                        "select distinct cells.value, answers.generation, (select distinct value from public.mine) "
                        "from marts.mart_kpi_values as cells cross join marts.fct_answers as answers"
                    ).fetchall()
                    con.commit()
                    reads += 1
                    torn += len(pairs) != 1 or len({int(value) for value in pairs[0]}) != 1
                    seen.append(pairs[0][0])
        except Exception as error:
            failed += 1
            print(error, file=log)
    print(reads, failed, torn, len(set(seen)), seen == sorted(seen), sep=",", file=log)
"""


def swaps_under_readers(warehouse: Warehouse, database: Postgres, swaps: int) -> list[list[str]]:
    """Publish and serve again and again while readers read; what each reader counted."""
    target = server_of(database.url)
    publish_cells(warehouse, 1)
    serve_file(target, warehouse.marts_file)
    with database.connect() as con:
        con.execute("create view public.mine as select * from marts.mart_kpi_values where value > 0")
    stop = warehouse.root / "stop"
    logs = [warehouse.root / f"reader{number}" for number in range(READERS)]
    address = database.url.replace("publisher", "postgres")
    readers = [subprocess.Popen([sys.executable, "-c", _READ, address, str(stop), str(log)]) for log in logs]
    time.sleep(1)
    try:
        for generation in range(2, swaps + 2):
            publish_cells(warehouse, generation)
            serve_file(target, warehouse.marts_file)
            time.sleep(0.1)
    finally:
        stop.touch()
        for reader in readers:
            reader.wait(timeout=60)
    assert generation_of(database) == {swaps + 1}
    assert database.rows("select distinct value from public.mine") == [(swaps + 1,)]
    return [log.read_text().splitlines()[-1].split(",") for log in logs]


@pytest.mark.parametrize("run", [pytest.param(1), pytest.param(2, marks=pytest.mark.long)])
def test_readers_never_fail_and_never_see_two_versions(run, warehouse, database):
    swaps = 25 if os.environ.get("CSW_SWAPS") == "full" or run == 2 else 6
    counted = swaps_under_readers(warehouse, database, swaps)
    print(counted)
    for reads, failed, torn, versions, in_order in counted:
        assert int(reads) > swaps
        assert (failed, torn, in_order) == ("0", "0", "True")
        assert int(versions) > swaps // 2


def test_a_reader_that_holds_a_view_is_waited_for_and_then_named(warehouse, database, target):
    publish_cells(warehouse, 1)
    serve_file(target, warehouse.marts_file)
    publish_cells(warehouse, 2)
    with database.connect() as holder:
        holder.execute("begin")
        holder.execute("select count(*) from marts.mart_kpi_values")
        began = time.monotonic()
        with pytest.raises(UsageError) as stopped:
            serve_file(target, warehouse.marts_file, patience=1)
        assert f"process {holder.info.backend_pid} of postgres" in str(stopped.value)
        assert 1 <= time.monotonic() - began < 15
        assert database.rows("select distinct value from marts.mart_kpi_values") == [(1.0,)]  # others go on reading
        holder.execute("commit")
    served = serve_file(target, warehouse.marts_file)
    assert (served.rows, served.tries) == (0, 1)
    assert generation_of(database) == {2}


# --- what goes wrong ------------------------------------------------------------------------------------------------

_SERVE = """
import sys
from pathlib import Path
from serving.address import server_of
from serving.postgres import serve_file
serve_file(server_of(sys.argv[1]), Path(sys.argv[2]), say=lambda line: print(line, flush=True))
"""


def test_killed_in_mid_load_the_views_are_as_they_were_and_the_next_run_goes_on(warehouse, database, target):
    publish_cells(warehouse, 1)
    serve_file(target, warehouse.marts_file)
    publish_cells(warehouse, 2, rows=2_000)
    for pause in (0.0, 0.02, 0.05):
        process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, database.url, str(warehouse.marts_file)], stdout=subprocess.PIPE
        )
        assert b"loading" in process.stdout.readline()
        time.sleep(pause)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert generation_of(database) <= {1, 2}
        assert len(generation_of(database)) == 1
    _wait_until_alone(database)
    serve_file(target, warehouse.marts_file)
    assert generation_of(database) == {2}
    assert database.rows("select count(*) from marts.fct_answers") == [(2_000,)]


def _wait_until_alone(database: Postgres) -> None:
    """The server notices a little later that its client is gone, and then takes its transaction back."""
    for _ in range(100):
        if database.rows("select count(*) from pg_stat_activity where application_name = 'csw serve'") == [(0,)]:
            return
        time.sleep(0.1)


def test_two_at_once_are_refused(warehouse, database, target):
    publish_cells(warehouse, 1)
    with database.connect() as other:
        other.execute("select pg_advisory_lock(hashtext('csw serve'))")
        with pytest.raises(UsageError, match="another run is serving"):
            serve_file(target, warehouse.marts_file)


def test_an_account_that_may_not_make_roles_is_told_what_to_ask_for(warehouse, database):
    publish_cells(warehouse, 1)
    with database.connect() as con:
        con.execute(f"create role modest login password '{PASSWORD}'")
        con.execute(f"grant create on database {database.database} to modest")
    modest = server_of(database.url.replace("publisher", "modest"), bi_role="bi_two", analyst_role="ann_two")
    with pytest.raises(UsageError, match=r"create role bi_two nologin; create role ann_two nologin;"):
        serve_file(modest, warehouse.marts_file)
    with database.connect() as con:
        con.execute("create role bi_two nologin")
        con.execute("create role ann_two nologin")
    serve_file(modest, warehouse.marts_file)


@pytest.mark.parametrize(
    "broken",
    [
        f"postgresql://publisher:{QUOTED}@127.0.0.1:1/warehouse",  # nobody listens
        f"postgresql://publisher:{QUOTED}@127.0.0.1:PORT/nowhere",  # no such database
        f"postgresql://nobody:{QUOTED}@127.0.0.1:PORT/warehouse",  # no such account
        f"postgresql://publisher:{QUOTED}@127.0.0.1:PORT/warehouse?nonsense=1",  # the driver repeats the whole address
        f"postgresql://127.0.0.1:PORT/warehouse?user=nobody&password={QUOTED}",
    ],
)
def test_a_night_that_cannot_serve_stays_published_and_says_so_without_the_password(broken, warehouse, server, capsys):
    publish_cells(warehouse, 1)
    before = warehouse.marts_file.read_bytes()
    settings = resolve_settings(
        warehouse=str(warehouse.root), as_of="2025-03-31", serve=broken.replace("PORT", str(server.port))
    )
    assert "s3cr" not in repr(settings)
    with one_night(settings) as night:
        night.publication = read_publication(warehouse.marts_file)
        with pytest.raises(UsageError):
            stages.serve(night)
        said = summary_of(night)
    assert night.exit_code == UNFINISHED
    assert "127.0.0.1" in said
    assert "csw serve" in said
    assert "PUBLISHED, BUT NOT EVERYWHERE" in said
    assert warehouse.marts_file.read_bytes() == before
    status = status_of(warehouse)
    assert "last run   published, but not everywhere" in status
    printed = capsys.readouterr()
    written = "".join(path.read_text() for path in warehouse.runs.iterdir())
    for text in (said, status, printed.out, printed.err, written):
        assert "s3cr" not in text


@pytest.mark.parametrize(
    "address",
    ["mysql://host/db", "postgresql://host", "host/db", "postgresql://h:port/db", "postgresql://u:s3cr@h:x/d"],
)
def test_an_address_that_is_none_is_wrong_use(address, capsys, tmp_path):
    assert main(["nightly", "--serve", address, "--warehouse", str(tmp_path), "--landing", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "must look like" in said or "can't be read" in said
    assert "s3cr" not in said


@pytest.mark.parametrize("role", ["Drop Table", "csw_analyst", 'a"b'])
def test_a_role_has_a_plain_name_of_its_own(role):
    with pytest.raises(UsageError):
        server_of("postgresql://h/d", bi_role=role)


def test_dagster_shows_the_copies_that_are_asked_for():
    from orchestration.assets import copies

    settings = resolve_settings(as_of="2025-03-31", parquet=True, serve=f"postgresql://u:{QUOTED}@h/d")
    assert settings.given_vars == MappingProxyType({})
    wanted = copies(settings)
    assert [asset.key.path for asset in wanted] == [["publication", "parquet"], ["publication", "postgresql"]]
    assert "s3cr" not in str([asset.descriptions_by_key for asset in wanted])
