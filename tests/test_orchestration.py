"""The whole night in real parts: Dagster instance, dbt, Great Expectations, publishing, kills."""

import hashlib
import io
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout, suppress
from datetime import date
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from dagster._core.definitions.reconstruct import repository_def_from_target_def
from dagster._core.workspace.autodiscovery import loadable_targets_from_python_module

from orchestration.building import MODEL_SCHEMAS, begin_build, build, finish_build, prepare_manifest, read_manifest
from orchestration.cli import main
from orchestration.code_location import definitions_for, write_instance
from orchestration.contract import TABLES
from orchestration.event_log import prune_runs
from orchestration.history import CARRIED
from orchestration.night import PUBLISHED, UNFINISHED, one_night
from orchestration.publishing import Publication, kept_versions, marts_of, read_publication
from orchestration.settings import Settings, resolve_settings
from orchestration.warehouse import Warehouse
from tests.conftest import SAMPLE_END
from tests.deliveries import built_content

pytestmark = pytest.mark.slow

AS_OF = "2025-03-31"
VARS = ["--var", "reporting_timezone=Asia/Tokyo", "min_responses=4"]
PUBLICATION = dg.AssetKey(["publication", "marts"])

# Two customers: a1 pays 100 a month from January 5th, a2 240 from February 5th. The other accounts never bought.
LANDING = {
    "crm_accounts": [
        "account_id,account_name,segment,is_internal,created_at,_loaded_at",
        *(f"a{n},Account {n},smb,false,2024-12-01 00:00:00,2025-03-31 00:00:00" for n in range(1, 121)),
    ],
    "billing_subscriptions": [
        "subscription_id,account_id,currency,status,started_at",
        "s1,a1,USD,active,2025-01-05 00:00:00",
        "s2,a2,USD,active,2025-02-05 00:00:00",
    ],
    "billing_subscription_items": [
        "item_version_id,item_id,subscription_id,plan_id,quantity,unit_amount,discount_pct,billing_interval,"
        "interval_count,is_recurring,effective_from",
        "v1,i1,s1,pro,1,100,0,month,1,true,2025-01-05 00:00:00",
        "v2,i2,s2,pro,3,80,0,month,1,true,2025-02-05 00:00:00",
    ],
}


def land(folder: Path, tables: dict[str, list[str]], name: str = "1") -> None:
    for table, lines in tables.items():
        (folder / table).mkdir(parents=True, exist_ok=True)
        (folder / table / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def nightly(folder: Path, *options: str) -> int:
    landing, warehouse = str(folder / "landing"), str(folder / "warehouse")
    return main(["nightly", "--landing", landing, "--warehouse", warehouse, "--as-of", AS_OF, *options])


def content_of(file: Path) -> dict[str, list[tuple]]:
    """Every row of every mart, but for what names the run."""
    with duckdb.connect(str(file), read_only=True) as con:
        names = [name for (name,) in con.execute("select table_name from duckdb_tables() order by 1").fetchall()]
        return {
            name: con.execute(f"select * from {name} order by all").fetchall()
            for name in names
            if name not in ("meta_publication", "mart_freshness")
        }


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def first_night(tmp_path_factory):
    """A warehouse after its first night, and what that night printed; copied by the tests that go on from it."""
    folder = tmp_path_factory.mktemp("first")
    land(folder / "landing", LANDING)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as printed:
        patch.chdir("/")  # from anywhere
        assert nightly(folder, *VARS, "--timings") == 0
    return folder, printed.getvalue()


@pytest.fixture
def folder(first_night, tmp_path):
    shutil.copytree(first_night[0], tmp_path / "night")
    return tmp_path / "night"


def test_the_first_night_publishes_what_the_files_say(first_night):
    folder, printed = first_night
    file = folder / "warehouse" / "marts.duckdb"
    with duckdb.connect(str(file), read_only=True) as con:
        closing = con.execute(
            "select period_start, value from kpi_mrr where period_type = 'month' and segment_type = 'all' order by 1"
        ).fetchall()
    # 00:00 UTC of the 5th is 09:00 of the same day in Tokyo.
    assert closing == [(date(2025, 1, 1), 100.0), (date(2025, 2, 1), 340.0), (date(2025, 3, 1), 340.0)]
    published = read_publication(file)
    assert published.as_of_date == date(2025, 3, 31)
    assert (published.reporting_currency, published.reporting_timezone) == ("USD", "Asia/Tokyo")
    assert published.checks_passed > 100
    assert published.previous_published_at is None
    assert "PUBLISHED" in printed
    assert "3 new, 0 known, 0 refused" in printed
    assert "124 delivered, 124 loaded, 0 quarantined" in printed
    assert "seconds by stage" in printed


def test_dagster_recorded_the_run(first_night):
    home = first_night[0] / "warehouse" / "dagster"
    with dg.DagsterInstance.from_config(str(home)) as instance:
        [run] = instance.get_runs()
        assert run.is_success
        assert instance.get_latest_materialization_event(PUBLICATION)
        raw = instance.get_latest_materialization_event(dg.AssetKey(["raw", "crm_accounts"]))
        assert raw.asset_materialization.metadata["rows loaded"].value == 120
        [gate] = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(dg.AssetKey(["raw", "crm_accounts"]), "expectations"), limit=5
        )
        assert gate.status.value == "SUCCEEDED"


def test_of_the_runs_that_ended_as_many_stay_as_there_are_logs(tmp_path):
    write_instance(tmp_path)
    history = tmp_path / "history"
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:

        def add_run(job: str, status: dg.DagsterRunStatus) -> str:
            return instance.add_run(dg.DagsterRun(job, status=status)).run_id

        others = [add_run("another", dg.DagsterRunStatus.SUCCESS), add_run("nightly", dg.DagsterRunStatus.STARTED)]
        ended = [add_run("nightly", dg.DagsterRunStatus.SUCCESS) for _ in range(40)]
        for run_id in (ended[9], ended[10]):
            instance.report_engine_event("it ran", run_id=run_id, job_name="nightly")
        with sqlite3.connect(history / "index.db") as con:
            con.executemany(
                "insert into asset_check_executions (check_name, run_id) values ('c', ?)", [[ended[9]], [ended[10]]]
            )
        prune_runs(instance)
        assert set(instance.get_run_ids()) == {*others, *ended[10:]}
    assert not list(history.glob(f"{ended[9]}*"))
    assert (history / f"{ended[10]}.db").exists()
    with sqlite3.connect(history / "index.db") as con:
        assert con.execute("select run_id from asset_check_executions").fetchall() == [(ended[10],)]


def test_definitions_hold_the_lineage_from_landing_to_publication(first_night, monkeypatch):
    warehouse = first_night[0] / "warehouse"
    monkeypatch.setenv("CSW_WAREHOUSE", str(warehouse))
    monkeypatch.setenv("CSW_VARS", "reporting_timezone=Asia/Tokyo,min_responses=4")
    [target] = loadable_targets_from_python_module("orchestration.definitions", None)
    repository = repository_def_from_target_def(target.target_definition)
    graph = repository.asset_graph
    [folder] = (warehouse / "build" / "target").iterdir()
    manifest = read_manifest(folder)
    nodes = [node for node in manifest["nodes"].values() if node["resource_type"] in ("model", "seed", "snapshot")]
    keys = graph.materializable_asset_keys
    raw = {dg.AssetKey(["raw", name]) for name in TABLES}
    marts = {dg.AssetKey(["marts", mart.name]) for mart in marts_of(manifest)}
    assert len(raw) == 28
    assert raw | marts | {PUBLICATION} <= keys
    assert len(keys) >= len(nodes) + len(raw) + len(CARRIED) + 1
    assert graph.get(PUBLICATION).parent_keys == marts
    ancestors = graph.get_ancestor_asset_keys(PUBLICATION)
    assert dg.AssetKey(["raw", "billing_subscriptions"]) in ancestors

    checks = graph.asset_check_keys
    tests = [key for key in manifest["nodes"] if key.startswith("test.")]
    gates = {key for key in checks if key.name == "expectations"}
    assert {key.asset_key for key in gates} == raw | marts
    assert all(graph.get(key).blocking for key in gates)
    assert len(checks - gates) > 0.9 * len(tests)

    assert repository.get_job("nightly").executor_def.name == "in_process"
    [schedule] = repository.schedule_defs
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 2 * * *", "Asia/Tokyo")
    assert schedule.job.name == "nightly"
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    assert schedule.tags["dagster/retry_strategy"] == "ALL_STEPS"
    assert graph.get(PUBLICATION).freshness_policy_or_from_metadata is not None


def test_the_scheduled_job_runs_in_an_instance_and_changes_nothing(folder, monkeypatch):
    """Not `csw nightly` but the job as Dagster starts it, by run configuration."""
    before = content_of(folder / "warehouse" / "marts.duckdb")
    settings = resolve_settings(
        landing=str(folder / "landing"), warehouse=str(folder / "warehouse"), as_of=AS_OF, variables=VARS[1:]
    )
    job = definitions_for(settings).resolve_job_def("nightly")
    config = {"landing": str(folder / "landing"), "warehouse": str(folder / "warehouse"), "as_of": AS_OF}
    with dg.DagsterInstance.from_config(str(folder / "warehouse" / "dagster")) as instance:
        result = job.execute_in_process(
            instance=instance,
            run_config={"resources": {"night": {"config": {**config, "variables": VARS[1:], "retries": 2}}}},
        )
        assert result.success
        assert len(instance.get_runs()) == 2
    warehouse = Warehouse(folder / "warehouse")
    assert content_of(warehouse.marts_file) == before
    assert len(kept_versions(warehouse)) == 2
    published = read_publication(warehouse.marts_file)
    assert published.previous_published_at.strftime("%Y%m%dT%H%M%S%fZ") == kept_versions(warehouse)[0]
    assert warehouse.read_last_run()["outcome"] == "published"
    assert main(["rollback", "--warehouse", str(warehouse.root)]) == 0
    assert read_publication(warehouse.marts_file).run_id != published.run_id


@pytest.mark.parametrize(
    ("asset", "why"),
    [("marts", "this run has left out 'checking the marts'"), ("parquet", "this run has published nothing")],
)
def test_a_part_of_the_night_started_by_itself_publishes_nothing(folder, asset, why):
    """`Materialize selected`, or `Re-execute from failure`: what stands in the build file is of another night."""
    warehouse = Warehouse(folder / "warehouse")
    before = digest(warehouse.marts_file)
    job = definitions_for(resolve_settings(warehouse=str(warehouse.root), parquet=True)).resolve_job_def("nightly")
    # another day than that of the build file
    config = {"landing": str(folder / "landing"), "warehouse": str(warehouse.root), "as_of": "2025-02-28"}
    with dg.DagsterInstance.from_config(str(warehouse.dagster_home)) as instance:
        result = job.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(["publication", asset])],
            run_config={"resources": {"night": {"config": config}}},
            raise_on_error=False,
        )
    assert not result.success
    assert digest(warehouse.marts_file) == before
    last = warehouse.read_last_run()
    assert why in "".join([*last["problems"], *last["unserved"]])


def deletions(count):
    rows = (f"a{n},Account {n},smb,false,2024-12-01 00:00:00,true,2025-04-01 00:00:00" for n in range(1, count + 1))
    return {"crm_accounts": ["account_id,account_name,segment,is_internal,created_at,_deleted,_loaded_at", *rows]}


def test_an_expectation_blocks_and_says_what_to_do(folder, capsys):
    file = folder / "warehouse" / "marts.duckdb"
    before = digest(file)
    land(folder / "landing", deletions(90), "2")
    assert nightly(folder, *VARS) == 1
    printed = capsys.readouterr().out
    assert digest(file) == before
    assert "BLOCKED" in printed
    assert "built      0 models" in printed
    for said in ("crm_accounts", "raw_crm.deletions_are_few", "n_rows=90", "_loaded_at", "--accept"):
        assert said in printed
    assert main(["status", "--warehouse", str(folder / "warehouse")]) == 0
    status = capsys.readouterr().out
    for said in ("as of 2025-03-31", "blocked", "raw_crm.deletions_are_few", "to go on", "csw nightly --landing"):
        assert said in status
    with dg.DagsterInstance.from_config(str(folder / "warehouse" / "dagster")) as instance:
        run = instance.get_runs(limit=1)[0]
        assert run.status == dg.DagsterRunStatus.FAILURE
        [gate] = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(dg.AssetKey(["raw", "crm_accounts"]), "expectations"), limit=1
        )
        assert gate.status.value == "FAILED"
    accepted = ["raw_crm.deletions_are_few", "raw_billing.gone_in_crm_but_live_in_billing"]
    assert nightly(folder, *VARS, "--accept", *accepted) == 1
    assert "marts_tables.history_is_kept" in capsys.readouterr().out
    assert digest(file) == before
    assert nightly(folder, *VARS, "--accept", *accepted, "marts_tables.history_is_kept") == 0
    assert digest(file) != before


def test_a_currency_without_a_rate_blocks_wherever_it_is_converted(folder, capsys):
    before = digest(folder / "warehouse" / "marts.duckdb")
    land(
        folder / "landing",
        {
            "billing_subscriptions": [LANDING["billing_subscriptions"][0], "s2,a2,CHF,active,2025-02-05 00:00:00"],
            "billing_contract_terms": [
                "term_id,subscription_id,term_start,term_end,auto_renew",
                "t2,s2,2025-02-05,2026-02-05,true",
            ],
            "billing_invoices": [
                "invoice_id,account_id,issued_at,currency,amount_subtotal,amount_paid,status,paid_at",
                "i2,a2,2025-02-05 00:00:00,CHF,240,240,paid,2025-02-06 00:00:00",
            ],
            "fin_costs": ["cost_id,cost_month,cost_type,amount,currency", "c1,2025-02-01,cs_team,900,CHF"],
        },
        "no_rate_for_this_currency",
    )
    assert nightly(folder, *VARS, "--accept", "raw_billing.subscription_changes_hands") == 1
    printed = capsys.readouterr().out
    assert "BLOCKED" in printed
    for amount in (
        *("int_mrr_changes_amount", "int_account_periods_closing_mrr", "int_renewals_renewable_arr"),
        *("int_account_cash_months_net_revenue", "int_team_costs_cs_cost"),
    ):
        assert f"test not_null_{amount}: " in printed
    for said in ("rows fail", "account_id=a2", "term_id=t2", "cost_id=c1", "deliver fin_exchange_rates"):
        assert said in printed
    assert digest(folder / "warehouse" / "marts.duckdb") == before


def test_a_currency_billed_before_its_first_rate_blocks_though_the_month_ends_with_one(folder, capsys):
    before = digest(folder / "warehouse" / "marts.duckdb")
    subscription, item = LANDING["billing_subscriptions"], LANDING["billing_subscription_items"]
    land(
        folder / "landing",
        {
            "billing_subscriptions": [subscription[0], "s3,a3,CHF,active,2025-02-05 00:00:00"],
            "billing_subscription_items": [item[0], "v3,i3,s3,pro,1,50,0,month,1,true,2025-02-05 00:00:00"],
            "cs_actions": [
                "action_id,action_type,account_id,opened_at,status",
                "x1,playbook,a3,2025-02-10 00:00:00,open",
            ],
            "fin_exchange_rates": ["rate_date,from_currency,to_currency,rate", "2025-02-20,CHF,USD,1.1"],
        },
        "the_first_rate_comes_late",
    )
    assert nightly(folder, *VARS) == 1
    printed = capsys.readouterr().out
    for said in ("BLOCKED", "has_a_rate_int_account_balances", "account_id=a3", "deliver fin_exchange_rates"):
        assert said in printed
    assert digest(folder / "warehouse" / "marts.duckdb") == before


def test_models_that_run_out_of_memory_are_built_once_more_with_that_of_the_machine(sample, tmp_path, monkeypatch):
    settings = resolve_settings(landing=str(sample.landing), warehouse=str(sample.warehouse), as_of=SAMPLE_END)
    copy = tmp_path / sample.build_file.name
    shutil.copy(sample.build_file, copy)
    manifest_folder = prepare_manifest(Warehouse(sample.warehouse), settings.given_vars)
    variables = {**settings.dbt_vars, "published_at": "2026-01-01 00:00:00"}
    monkeypatch.setenv("CSW_MEMORY_LIMIT", "24MB")
    said: list[str] = []
    nodes = build(copy, manifest_folder, variables, full_refresh=True, progress=said.append)
    broken = [f"{node.name}: {node.message}" for node in nodes if node.is_broken or node.status == "skipped"]
    assert not broken, "\n".join(broken)
    assert len([line for line in said if "out of memory" in line]) == 1
    assert os.environ["CSW_MEMORY_LIMIT"] == "24MB"
    assert built_content(copy, ["intermediate"]) == built_content(sample.build_file, ["intermediate"])


def test_models_and_seeds_go_to_the_schemas_that_a_full_build_empties(sample):
    settings = resolve_settings(landing=str(sample.landing), warehouse=str(sample.warehouse), as_of=SAMPLE_END)
    manifest = read_manifest(prepare_manifest(Warehouse(sample.warehouse), settings.given_vars))
    made = {node["schema"] for node in manifest["nodes"].values() if node["resource_type"] in ("model", "seed")}
    assert {"seeds", "staging", "intermediate", "marts"} <= made <= set(MODEL_SCHEMAS)


def test_only_what_a_build_of_the_same_kind_left_is_built_upon(tmp_path, monkeypatch):
    def settings(as_of: str, *variables: str) -> Settings:
        return resolve_settings(warehouse=str(tmp_path / "wh"), as_of=as_of, variables=variables)

    def stands(con: duckdb.DuckDBPyConnection) -> bool:
        return bool(con.execute("from duckdb_tables() where table_name = 'int_renamed_since'").fetchall())

    with duckdb.connect(str(tmp_path / "build.duckdb")) as con:
        assert begin_build(con, "nothing was left", settings(AS_OF))
        con.execute("create schema intermediate")
        con.execute("create table intermediate.int_renamed_since as select 1 as one")
        finish_build(con)
        assert not begin_build(con, "the same again", settings(AS_OF))
        assert stands(con)
        assert begin_build(con, "the last one did not end", settings(AS_OF))
        assert not stands(con)
        finish_build(con)
        assert begin_build(con, "an earlier day", settings("2025-03-30"))
        finish_build(con)
        assert begin_build(con, "other vars", settings("2025-03-30", "min_responses=4"))
        finish_build(con)
        monkeypatch.setattr(duckdb, "__version__", "0.0.1")
        assert begin_build(con, "another engine", settings("2025-03-30", "min_responses=4"))


def test_a_refused_file_ends_with_two(folder, capsys):
    before = digest(folder / "warehouse" / "marts.duckdb")
    land(folder / "landing", {"billing_invoices": ["invoice_id,amount", "i1,10"]})
    assert nightly(folder, *VARS) == 2
    printed = capsys.readouterr().out
    assert "billing_invoices/1.csv" in printed
    assert "nothing was published" in printed
    assert digest(folder / "warehouse" / "marts.duckdb") == before


def test_a_night_for_an_earlier_day_forgets_nothing_unless_told_to(folder, capsys):
    warehouse = Warehouse(folder / "warehouse")
    with duckdb.connect(str(warehouse.marts_file), read_only=True) as con:
        n_scores = con.execute("select count(*) from fct_health_scores where score_date = ?", [AS_OF]).fetchone()[0]
    assert n_scores == 2
    before = digest(warehouse.marts_file)
    assert nightly(folder, *VARS, "--as-of", "2025-03-30") == 2
    assert "2025-03-31 is published: a night for 2025-03-30 would forget" in capsys.readouterr().out
    assert digest(warehouse.marts_file) == before
    assert nightly(folder, *VARS, "--as-of", "2025-03-30", "--forget-later") == 0
    assert read_publication(warehouse.marts_file).as_of_date == date(2025, 3, 30)
    assert main(["rollback", "--warehouse", str(warehouse.root)]) == 0
    assert digest(warehouse.marts_file) == before


def test_an_empty_landing_folder_publishes_nothing(tmp_path, first_night, capsys):
    (tmp_path / "landing").mkdir()
    target = Path("warehouse") / "build" / "target"
    shutil.copytree(first_night[0] / target, tmp_path / target)
    assert nightly(tmp_path, *VARS) == 2
    assert "nothing has landed" in capsys.readouterr().out
    assert not (tmp_path / "warehouse" / "marts.duckdb").exists()


def test_an_internal_failure_ends_with_three_and_a_log(folder, capsys, monkeypatch):
    before = digest(folder / "warehouse" / "marts.duckdb")

    def disk_full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("expectations.arrivals.profile_arrivals", disk_full)
    assert nightly(folder, *VARS) == 3
    printed = capsys.readouterr().out
    assert "No space left on device" in printed
    assert "Traceback" not in printed
    last = Warehouse(folder / "warehouse").read_last_run()
    assert "disk_full" in Path(last["log"]).read_text(encoding="utf-8")
    assert digest(folder / "warehouse" / "marts.duckdb") == before


def test_what_fails_behind_the_swap_is_noted_and_the_night_is_published(folder, monkeypatch, capsys):
    def disk_full(*_):
        raise OSError(28, "No space left on device")

    warehouse = Warehouse(folder / "warehouse")
    before = digest(warehouse.marts_file)
    warehouse.parquet.mkdir()
    monkeypatch.setattr("expectations.arrivals.accept_arrivals", disk_full)
    monkeypatch.setattr("serving.parquet.withdraw_parquet", disk_full)
    assert nightly(folder, *VARS) == 4
    assert digest(warehouse.marts_file) != before
    printed = capsys.readouterr().out
    assert "nothing was published" not in printed
    last = warehouse.read_last_run()
    assert last["crash"] is None
    assert [problem.split(":")[0] for problem in last["unserved"]] == ["withdrawing parquet copies"]
    assert any(warning.startswith("settling what arrived: OSError") for warning in last["warnings"])
    with dg.DagsterInstance.from_config(str(warehouse.dagster_home)) as instance:
        assert instance.get_runs(limit=1)[0].is_success  # so the copies follow


@pytest.mark.parametrize(
    ("tries", "ends"),
    [
        ([RuntimeError("gone"), None], PUBLISHED),
        ([RuntimeError("gone"), RuntimeError("gone")], UNFINISHED),
        ([KeyboardInterrupt()], UNFINISHED),
    ],
)
def test_a_copy_counts_by_its_last_try(tmp_path, tries, ends):
    warehouse = Warehouse(tmp_path)
    with one_night(resolve_settings(warehouse=str(tmp_path), as_of=AS_OF)) as night:
        night.publication = Publication(date(2025, 3, 31), night.published_at, "c", "i", "USD", "UTC", 1, 0, "r", None)
        for error in tries:
            asked = not isinstance(error, KeyboardInterrupt)
            with suppress(BaseException), night.after_publication("copying", "again", is_asked_for=asked):
                if error:
                    raise error
    assert night.exit_code == ends
    assert len(warehouse.read_last_run()["unserved"]) == (ends == UNFINISHED)


STAGES = ("preparing", "loading", "checking what arrived", "building", "checking the marts", "publishing")


@pytest.mark.parametrize(
    "stages",
    [
        pytest.param(("building",), id="one"),
        *(pytest.param((stage,) * 4, id=stage, marks=pytest.mark.long) for stage in STAGES),
    ],
)
def test_killed_in_any_stage_nothing_changes_and_the_next_run_finishes(folder, capsys, stages):
    chance = random.Random(" ".join(stages))
    warehouse = Warehouse(folder / "warehouse")
    before, content = digest(warehouse.marts_file), content_of(warehouse.marts_file)
    usual = warehouse.read_last_run()["stages"]
    land(folder / "landing", NEW_COLLEAGUE, "2")
    command = [sys.executable, "-c", "import sys; from orchestration.cli import main; sys.exit(main())", "nightly"]
    command += ["--landing", str(folder / "landing"), "--warehouse", str(warehouse.root), "--as-of", AS_OF, *VARS]
    for stage in stages:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        for line in process.stdout:
            if line.rstrip().endswith(f"] {stage}"):
                break
        time.sleep(chance.random() * usual[stage])
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        published = warehouse.read_last_run()["outcome"] == "published"
        assert published or digest(warehouse.marts_file) == before or stage == "publishing"
        assert content_of(warehouse.marts_file).keys() == content.keys()
        if not published:
            assert main(["status", "--warehouse", str(warehouse.root)]) == 0
            assert "was killed" in capsys.readouterr().out
    assert nightly(folder, *VARS) == 0
    assert_finished(warehouse, content)


NEW_COLLEAGUE = {"crm_users": ["user_id,full_name,role,active_from", "u1,Ann,csm,2025-01-01"]}


def assert_finished(warehouse: Warehouse, content: dict[str, list[tuple]]) -> None:
    """The night was published with the colleague and nothing else new, and nothing half-made lies about."""
    assert warehouse.read_last_run()["outcome"] == "published"
    after = content_of(warehouse.marts_file)
    # every active CSM has a quarter, also one without accounts
    assert {name for name in content if after[name] != content[name]} == {"dim_csms", "kpi_quarterly_expansion_revenue"}
    assert [row[0] for row in after["dim_csms"]] == ["u1"]
    assert not [path for path in warehouse.versions.iterdir() if path.suffix != ".duckdb"]


@pytest.fixture
def small_disk(folder, tmp_path) -> Iterator[tuple[Path, Callable[[int], None]]]:
    """The first night on a disk of its own, and what leaves so many bytes free on it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", disk], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here (it takes root): {mounted.stderr.strip()}")

    def leave(free: int) -> None:
        used = shutil.disk_usage(disk).used
        subprocess.run(["mount", "-o", f"remount,size={used + free}", disk], check=True)

    try:
        shutil.copytree(folder, disk / "night")
        yield disk / "night", leave
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.mark.parametrize(
    "free",
    [0, 25 * 10**6, *(pytest.param(size, marks=pytest.mark.long) for size in (4_000, 10**6, 12 * 10**6, 35 * 10**6))],
)
def test_a_full_disk_changes_nothing_and_the_next_run_finishes(small_disk, capsys, free):
    folder, leave = small_disk
    warehouse = Warehouse(folder / "warehouse")
    before, content = digest(warehouse.marts_file), content_of(warehouse.marts_file)
    land(folder / "landing", NEW_COLLEAGUE, "2")
    leave(free)
    assert nightly(folder, *VARS) == 3
    printed = capsys.readouterr().out
    assert "the disk is full: make room" in printed
    assert "Traceback" not in printed
    assert digest(warehouse.marts_file) == before
    leave(400_000_000)
    assert nightly(folder, *VARS) == 0
    assert_finished(warehouse, content)
