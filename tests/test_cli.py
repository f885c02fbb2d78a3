"""The command line: options, environment, exit codes. Nothing here starts dbt."""

import json
import os
import shlex
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path

import duckdb
import jinja2
import pytest
import yaml

from orchestration.cli import _parser, _settings, main
from orchestration.night import Night
from orchestration.publishing import read_publication
from orchestration.settings import now_utc, resolve_settings, split_assignments
from orchestration.summary import command_to_go_on
from orchestration.variables import PROJECT_DIR, UsageError, parse_var, var_defaults
from orchestration.warehouse import Warehouse, exclusive, open_database
from tests.test_publishing import publish_generation


def test_several_vars_after_one_option_and_the_option_repeated():
    settings = resolve_settings(
        as_of="2025-03-31",
        variables=["reporting_timezone=Asia/Tokyo", "reporting_currency=eur", "min_responses=4"],
    )
    assert settings.dbt_vars == {
        "as_of_date": "2025-03-31",
        "reporting_timezone": "Asia/Tokyo",
        "reporting_currency": "EUR",
        "min_responses": 4,
    }
    assert settings.var("fcr_reopen_window_days") == 7


@pytest.mark.parametrize(
    "arguments",
    [
        ["--var", "reporting_timezone=Asia/Tokyo", "reporting_currency=EUR"],
        ["--var", "reporting_timezone=Asia/Tokyo", "--var", "reporting_currency=EUR"],
        ["--var", "reporting_timezone=Asia/Tokyo", "--as-of", "2025-03-31", "--var", "reporting_currency=EUR"],
    ],
)
def test_var_may_be_given_in_one_go_or_again_and_again(arguments, monkeypatch):
    seen = []
    monkeypatch.setattr("orchestration.cli._nightly", lambda options: seen.append(options.var) or 0)
    assert main(["nightly", *arguments]) == 0
    assert seen == [["reporting_timezone=Asia/Tokyo", "reporting_currency=EUR"]]


def test_options_come_from_the_environment_and_the_command_line_wins(monkeypatch, tmp_path):
    monkeypatch.setenv("CSW_LANDING", str(tmp_path / "in"))
    monkeypatch.setenv("CSW_WAREHOUSE", str(tmp_path / "wh"))
    monkeypatch.setenv("CSW_AS_OF", "2025-01-31")
    monkeypatch.setenv("CSW_VARS", "adapters=ravenstack,reporting_currency=GBP, min_responses=9")
    monkeypatch.setenv("CSW_VERSIONS", "3")
    settings = resolve_settings(variables=["reporting_currency=EUR"], as_of="2025-02-28")
    assert (settings.landing, settings.warehouse) == (tmp_path / "in", tmp_path / "wh")
    assert settings.as_of == date(2025, 2, 28)
    assert dict(settings.given_vars) == {
        "adapters": parse_var("adapters=ravenstack")[1],
        "reporting_currency": "EUR",
        "min_responses": 9,
    }
    assert settings.versions == 3


def test_an_adapter_fills_the_tables_that_its_models_are_named_after(monkeypatch, tmp_path):
    ten = "crm_accounts billing_subscriptions billing_subscription_items product_features product_events"
    ten += " support_tickets support_ticket_events surveys survey_responses feedback_items"
    assert parse_var("adapters=ravenstack") == ("adapters", {"ravenstack": ten.split()})
    monkeypatch.setattr("orchestration.variables.ADAPTERS_DIR", tmp_path)
    models = [("mine", "fin_costs.sql"), ("mine", "crm_users.py"), ("mine", "helper.sql"), ("typo", "user.sql")]
    for adapter, model in models:
        (tmp_path / adapter).mkdir(exist_ok=True)
        (tmp_path / adapter / f"{adapter}__{model}").touch()
    assert parse_var("adapters=mine") == ("adapters", {"mine": ["crm_users", "fin_costs"]})
    with pytest.raises(UsageError, match=r"'typo' fills no raw table: .* models/adapters/typo/typo__<raw table>\.sql"):
        parse_var("adapters=mine,typo")


def test_a_comma_parts_assignments_only_before_a_name():
    assert split_assignments("adapters=one,two,min_responses=9, x_y=") == [
        "adapters=one,two",
        "min_responses=9",
        "x_y=",
    ]
    assert split_assignments("") == []


@pytest.mark.parametrize(
    ("zone", "day"),
    [("Asia/Tokyo", date(2025, 3, 31)), ("UTC", date(2025, 3, 30)), ("America/New_York", date(2025, 3, 30))],
)
def test_as_of_is_yesterday_in_the_reporting_timezone(zone, day, monkeypatch):
    monkeypatch.setenv("CSW_NOW", "2025-03-31T15:30:00+00:00")  # 00:30 of April 1st in Tokyo
    assert resolve_settings(variables=[f"reporting_timezone={zone}"]).as_of == day


def test_a_day_that_has_not_begun_is_refused(monkeypatch):
    monkeypatch.setenv("CSW_NOW", "2025-03-31T15:30:00+00:00")  # 00:30 of April 1st in Tokyo
    in_tokyo = resolve_settings(variables=["reporting_timezone=Asia/Tokyo"], as_of="2025-04-01")
    assert in_tokyo.as_of == date(2025, 4, 1)
    with pytest.raises(UsageError, match="2025-04-01 lies in the future: it is 2025-03-31 in UTC"):
        resolve_settings(as_of="2025-04-01")


def test_a_sample_is_made_in_an_empty_folder_only(tmp_path, capsys):
    small = ["--accounts", "60", "--months", "6", "--events", "10", "--out"]
    (tmp_path / "mine").mkdir()
    mine = tmp_path / "mine" / "crm_accounts.csv"
    mine.write_text("account_id\nmine\n")
    assert main(["sample", *small, str(tmp_path / "mine")]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert mine.read_text() == "account_id\nmine\n"
    assert main(["sample", *small, str(mine)]) == 2
    assert "can't be written: File exists" in capsys.readouterr().err
    assert main(["sample", *small, str(tmp_path / "new")]) == 0
    assert (tmp_path / "new" / "crm_accounts.csv").exists()


def test_rows_in_quarantine_are_not_read_during_a_run(tmp_path, capsys):
    warehouse = Warehouse(tmp_path)
    with exclusive(warehouse):
        assert main(["quarantine", "--warehouse", str(tmp_path)]) == 2
    assert "a run is using" in capsys.readouterr().err
    assert main(["quarantine", "--warehouse", str(tmp_path)]) == 0


def test_a_reader_that_stops_early_is_no_failure(tmp_path):
    duckdb.connect(str(tmp_path / "marts.duckdb")).close()
    program = Path(sys.executable).parent / "csw"
    query = [program, "query", "--csv", "from range(100000)", "--warehouse", tmp_path]
    with subprocess.Popen(query, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "range\n"
        process.stdout.close()
        assert process.stderr.read() == ""


def test_as_of_date_is_a_var_too():
    assert resolve_settings(variables=["as_of_date=2025-03-31"]).as_of == date(2025, 3, 31)
    with pytest.raises(UsageError, match="given twice"):
        resolve_settings(variables=["as_of_date=2025-03-31"], as_of="2025-04-30")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--var", "nonsense=1"],
        ["--var", "reporting_timezone"],
        ["--var", "reporting_timezone=Mars/Olympus"],
        ["--var", "reporting_timezone="],
        ["--var", "reporting_currency=EURO"],
        ["--var", "fiscal_year_start_month=13"],
        ["--var", "fiscal_year_start_month=0"],
        ["--var", "late_renewal_grace_days=soon"],
        ["--var", "min_responses=-1"],
        ["--var", "gross_margin_pct=101"],
        ["--var", "discount_rate_annual=nan"],
        ["--var", "finite_discounts=maybe"],
        ["--var", "adapters=nobody"],
        ["--var", "ravenstack_dir=no/such/folder"],
        ["--var", "as_of_date=31.03.2025"],
        ["--as-of", "2025-02-30"],
        ["--as-of", "2999-01-01"],
        ["--versions", "0"],
        ["--landing", "no/such/folder"],
    ],
)
def test_wrong_use_ends_with_two_and_says_why(arguments, tmp_path, capsys):
    assert main(["nightly", "--warehouse", str(tmp_path / "wh"), *arguments]) == 2
    captured = capsys.readouterr()
    said = captured.err + captured.out
    assert arguments[-1].split("=")[0].split("/")[-1].removeprefix("--") in said
    assert "Traceback" not in said
    assert not (tmp_path / "wh" / "marts.duckdb").exists()


def test_a_landing_folder_that_is_gone_is_told_like_any_night_that_is_refused(tmp_path, capsys):
    options = ["--landing", str(tmp_path / "gone"), "--warehouse", str(tmp_path / "wh"), "--as-of", "2025-03-31"]
    assert main(["nightly", *options]) == 2
    warehouse = Warehouse(tmp_path / "wh")
    assert f"there is no landing folder {tmp_path / 'gone'}" in (warehouse.alerts / "2025-03-31.md").read_text()
    capsys.readouterr()
    assert main(["status", "--warehouse", str(warehouse.root)]) == 0
    said = capsys.readouterr().out
    assert "last run   refused, as of 2025-03-31" in said
    assert "there is no landing folder" in said


def test_memory_is_a_size_and_an_empty_one_is_the_default(monkeypatch):
    monkeypatch.setenv("CSW_MEMORY_LIMIT", "lots")
    with pytest.raises(UsageError, match="CSW_MEMORY_LIMIT must be a size such as 600MB or 2GB, not 'lots'"):
        resolve_settings()
    profile = yaml.safe_load((PROJECT_DIR / "profiles.yml").read_text())["customer_success_warehouse"]
    written = jinja2.Template(profile["outputs"]["duckdb"]["settings"]["memory_limit"])
    for given, granted in (("", "500MB"), ("2GB", "2GB")):
        monkeypatch.setenv("CSW_MEMORY_LIMIT", given)
        resolve_settings()
        assert written.render(env_var=os.environ.get) == granted
        with open_database(":memory:", spill=PROJECT_DIR) as con, duckdb.connect() as other:
            other.execute("set memory_limit = $granted", {"granted": granted})
            limits = [one.execute("select current_setting('memory_limit')").fetchone() for one in (con, other)]
        assert limits[0] == limits[1]


def test_an_unknown_var_lists_all_of_them(capsys):
    assert main(["nightly", "--var", "nonsense=1"]) == 2
    said = capsys.readouterr().err
    assert all(name in said for name in var_defaults())


def test_a_folder_that_cannot_be_made_is_wrong_use(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert main(["nightly", "--landing", str(tmp_path), "--warehouse", str(tmp_path / "file" / "wh")]) == 2
    assert "can't be written" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["rollback"], ["query", "select 1"]])
def test_nothing_published_is_wrong_use(command, tmp_path, capsys):
    assert main([*command, "--warehouse", str(tmp_path)]) == 2
    assert "nothing is published" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"),
    [("CSW_PARQUET", "y"), ("CSW_FORGET_LATER", "tru"), ("CSW_ACCEPT", "raw_crm.deletions_are_fewer")],
)
def test_a_switch_that_can_be_read_neither_way_is_refused(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=value):
        resolve_settings()


def test_expectations_may_stand_with_blanks_between(monkeypatch):
    monkeypatch.setenv("CSW_ACCEPT", "raw_crm.deletions_are_few, marts_tables.history_is_kept,")
    assert resolve_settings().accept == {"raw_crm.deletions_are_few", "marts_tables.history_is_kept"}


def test_after_a_run_that_was_killed_there_is_nothing_to_document(tmp_path, capsys):
    warehouse = Warehouse(tmp_path)
    warehouse.prepare()
    publish_generation(warehouse, 1)
    warehouse.write_last_run({"run_id": "r", "started_at": "2025-03-31", "outcome": "running"})
    assert main(["docs", "--warehouse", str(tmp_path)]) == 2
    assert "run csw nightly first" in capsys.readouterr().err


def test_the_command_that_goes_on_is_the_same_night(tmp_path, monkeypatch):
    """As the summary prints it and as csw status reads it back; addresses and the key are in the environment again."""
    secrets = {
        "CSW_SERVE": "postgresql://publisher:hush@db.example/marts",
        "CSW_ALERT_WEBHOOK": "https://chat.example/hook?token=hush",
        "CSW_ALERT_SMTP": "smtp://nightly:hush@mail.example?from=a@b.example&to=c@d.example",
        "CSW_PSEUDONYM_KEY": "hush" * 8,
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CSW_NO_DASHBOARD")
    root = tmp_path / "ware house"
    night = ["nightly", "--landing", str(tmp_path / "it's in"), "--warehouse", str(root), "--as-of", "2025-03-31"]
    night += ["--var", "adapters=ravenstack", f"ravenstack_dir={tmp_path}", "gross_margin_pct=72.5"]
    night += ["--forget-later", "--sample-if-empty", "--timings", "--no-dashboard", "--parquet", "--versions", "30"]
    night += ["--accept", "raw_crm.deletions_are_few", "marts_tables.history_is_kept"]
    night += ["--bi-role", "viewers", "--analyst-role", "analysts"]
    for arguments in (night, night[:7]):
        settings = _settings(_parser().parse_args(arguments))
        outcome = Night(settings, Warehouse(root), print, now_utc(), datetime(2025, 4, 1)).outcome()
        printed = command_to_go_on(outcome, Warehouse(root))
        assert printed == command_to_go_on(json.loads(json.dumps(outcome, default=str)), Warehouse(root))
        program, *again = shlex.split(printed, comments=True)
        assert program == "csw"
        assert _settings(_parser().parse_args(again)) == settings
        assert "hush" not in printed
        assert printed.endswith(f"  # with {', '.join(secrets)} as before")
    assert "--parquet" not in printed


def test_a_rollback_makes_what_it_can_and_says_what_still_shows_the_other_version(tmp_path, capsys, monkeypatch):
    warehouse = Warehouse(tmp_path)
    warehouse.prepare()
    first, second = publish_generation(warehouse, 1), publish_generation(warehouse, 2)
    warehouse.dashboard.symlink_to("pages")
    warehouse.note_served("elsewhere:5432/db", second.version)
    warehouse.note_served("beside:5432/db", first.version)
    drawn = []

    def fail(_):
        raise OSError("disk full")

    monkeypatch.setattr("serving.parquet.publish_parquet", fail)
    monkeypatch.setattr("dashboard.site.render_dashboard", drawn.append)
    server = "postgresql://u:s3cr@127.0.0.1:1/db"
    assert main(["rollback", "--warehouse", str(tmp_path), "--parquet", "--serve", server]) == 4
    assert drawn == [warehouse]
    assert read_publication(warehouse.marts_file).run_id == "run1"
    said = capsys.readouterr()
    assert "s3cr" not in said.out + said.err
    lines = said.err.splitlines()
    assert lines[0] == "csw: published again, but not everywhere"
    assert lines[1] == "OSError: disk full"
    assert [line.strip() for line in lines if "csw serve" in line] == [
        "mend it, then: csw serve --parquet",
        "mend it, then: csw serve",
        f"csw serve --serve with its address; if it is no more, remove it from {warehouse.served_file}",
    ]
    assert [line for line in lines if "still shows" in line] == [
        f"elsewhere:5432/db still shows version {second.version}"
    ]


def test_status_of_an_empty_warehouse(tmp_path, capsys):
    assert main(["status", "--warehouse", str(tmp_path)]) == 0
    assert "nothing is published" in capsys.readouterr().out


def test_a_second_run_is_refused_at_once(tmp_path, capsys):
    warehouse = Warehouse(tmp_path)
    warehouse.prepare()
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD.format(root=str(tmp_path))], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout.readline() == b"held\n"
    try:
        assert main(["nightly", "--warehouse", str(tmp_path), "--landing", str(tmp_path)]) == 2
        said = capsys.readouterr().err
        assert f"process {holder.pid}" in said
        assert "nothing was changed" in said
    finally:
        holder.kill()
        holder.wait()
    with exclusive(warehouse):  # the lock died with its holder
        pass


_HOLD = """
import sys
from pathlib import Path
from orchestration.warehouse import Warehouse, exclusive
with exclusive(Warehouse(Path({root!r}))):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_light_commands_import_nothing_heavy(tmp_path):
    with duckdb.connect(str(tmp_path / "marts.duckdb")) as con:
        con.execute("create table meta_publication as select 1 as one")
    code = f"""
import sys
from orchestration.cli import main
for command in (["query", "select 1"], ["status"]):
    try:
        main([*command, "--warehouse", {str(tmp_path)!r}])
    except SystemExit:
        pass
heavy = {{"dagster", "dbt", "great_expectations", "pandas"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True, env={**os.environ})
