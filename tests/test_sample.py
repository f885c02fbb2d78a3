"""The sample company: whole, clean, exact in size, the same for the same seed, and worth predicting."""

import csv
import hashlib
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from orchestration import stages
from orchestration.night import Night, Stopped, one_night
from orchestration.sample import make_sample
from orchestration.sample.write import CONTRACT
from orchestration.settings import resolve_settings
from orchestration.stages import load
from orchestration.warehouse import Warehouse

END = date(2025, 10, 19)
EVENTS = 60_000
SIZE = {"accounts": 300, "months": 20, "events": EVENTS, "end": END}

# The labels the contract lists in its meanings, where the list is closed.
LABELS = {
    ("crm_accounts", "segment"): "smb, mid_market, enterprise",
    ("crm_contacts", "contact_role"): "champion, exec_sponsor, admin, billing, user",
    ("crm_users", "role"): "csm, support_agent, account_manager, exec",
    ("crm_account_links", "source_system"): "stripe, zendesk, segment",
    ("crm_opportunities", "opportunity_type"): "new, expansion, renewal",
    ("billing_subscriptions", "status"): (
        "trialing, active, past_due, paused, unpaid, canceled, incomplete, incomplete_expired"
    ),
    ("billing_subscriptions", "cancel_type"): "voluntary, involuntary",
    ("billing_subscription_items", "billing_interval"): "day, week, month, year",
    ("billing_invoices", "status"): "draft, open, paid, uncollectible, void",
    ("support_tickets", "channel"): "email, chat, web, phone, social",
    ("support_tickets", "status"): "new, open, pending, solved, closed",
    ("support_ticket_events", "event_type"): (
        "public_reply, internal_note, assigned, escalated, solved, reopened, closed"
    ),
    ("support_ticket_events", "actor_type"): "agent, customer, system",
    ("support_self_service_sessions", "channel"): "help_center, bot, community, in_app_guide",
    ("surveys", "survey_type"): "nps, csat, ces, onboarding, custom",
    ("survey_responses", "interaction_type"): "trial_signup, upgrade, renewal, training_request",
    ("survey_responses", "channel"): "email, in_app, web, sms",
    ("feedback_items", "source"): (
        "interview, in_person, feedback_session, social, review_site, in_app_widget, web_form, sales_call"
    ),
    ("cs_activities", "activity_type"): (
        "email, call, meeting, training, qbr, exec_sponsor_visit, onboarding_session, onsite"
    ),
    ("cs_activities", "direction"): "outbound, inbound",
    ("cs_activities", "status"): "completed, scheduled, cancelled, no_show",
    ("cs_advocacy", "advocacy_type"): "referral, review, case_study, reference_call, testimonial, speaking, community",
    ("cs_advocacy", "status"): "requested, committed, completed, declined",
    ("cs_actions", "action_type"): "playbook, detractor_followup, interview, action_plan, improvement",
    ("cs_actions", "status"): "open, done, dropped",
    ("cs_health_ratings", "colour"): "red, yellow, green",
    ("fin_costs", "cost_type"): "acquisition, retention, cs_team, support, cogs",
}


def contract() -> dict[str, dict[str, dict[str, str]]]:
    tables: dict[str, dict[str, dict[str, str]]] = defaultdict(dict)
    with CONTRACT.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            tables[row["table"]][row["column"]] = row
    return tables


def source(folder: Path, table: str) -> str:
    """The SQL that reads one landed table, CSV by the contract's types."""
    found = [*folder.glob(f"{table}.*"), *(folder / table).glob("*.*")]
    if found[0].suffix == ".parquet":
        return f"read_parquet({[str(path) for path in found]})"
    types = {column: row["type"] for column, row in contract()[table].items()}
    return f"read_csv({[str(path) for path in found]}, header = true, columns = {types})"


def digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sample")
    make_sample(out, **SIZE, progress=lambda line: None)
    return out


@pytest.fixture(scope="module")
def landed(folder: Path) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    for table in contract():
        connection.execute(f"create table {table} as select * from {source(folder, table)}")
    return connection


def value(landed: duckdb.DuckDBPyConnection, query: str):
    return landed.execute(query).fetchone()[0]


def test_same_seed_same_files_other_seed_other_files(folder: Path, tmp_path: Path) -> None:
    for name, seed in (("again", 7), ("other", 8)):
        make_sample(tmp_path / name, **SIZE, seed=seed, progress=lambda line: None)
    assert digest(tmp_path / "again") == digest(folder)
    same = digest(tmp_path / "other").items() & digest(folder).items()
    assert {name for name, _ in same} <= {"surveys.csv", "product_features.csv", "product_plan_features.csv"}


def test_all_tables_filled_and_events_exact(landed: duckdb.DuckDBPyConnection) -> None:
    counts = {table: value(landed, f"select count(*) from {table}") for table in contract()}
    assert len(counts) == 28
    assert not [table for table, count in counts.items() if count == 0]
    assert counts["product_events"] == EVENTS


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int | None, str]]:
    """Loads as a night does that makes a sample when nothing has landed: its exit code, had it ended here, and why."""

    def one_sample(out: Path, *, end: date, progress: Callable[[str], None]) -> None:
        make_sample(out, accounts=60, months=6, events=10, end=end, progress=progress)

    def load(make: Callable[..., None] = one_sample) -> tuple[int | None, str]:
        monkeypatch.setattr("orchestration.sample.make_sample", make)
        where = {"landing": str(tmp_path / "landing"), "warehouse": str(tmp_path / "warehouse")}
        settings = resolve_settings(**where, as_of=str(END), sample_if_empty=True)
        with one_night(settings, echo=lambda line: None) as night, suppress(Stopped):
            stages.load(night)
        return (night.stopped.exit_code, str(night.stopped)) if night.stopped else (None, "")

    return load


def test_a_sample_that_was_killed_leaves_no_half_of_itself(tmp_path: Path, run) -> None:
    def killed(out: Path, **_: object) -> None:
        out.mkdir(exist_ok=True)
        (out / "crm_accounts.csv").write_text("account_id\nhalf\n")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(killed)
    assert not (tmp_path / "landing").exists()
    assert run() == (None, "")
    assert {path.name.split(".")[0] for path in (tmp_path / "landing").iterdir()} == set(contract())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["landing", "warehouse"]


def test_a_landing_folder_that_no_folder_can_replace_is_filled_by_hand(tmp_path: Path, run, monkeypatch) -> None:
    def busy(*_: object) -> None:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(Path, "rename", busy)  # as for a mount point
    code, why = run()
    assert code == 2
    assert f"(Device or resource busy): csw sample --out {tmp_path / 'landing'} writes there" in why
    assert [path.name for path in tmp_path.iterdir()] == ["warehouse"]


def test_a_warehouse_of_the_sample_takes_no_other_company(tmp_path: Path, run) -> None:
    assert run() == run() == (None, "")
    accounts = tmp_path / "landing" / "crm_accounts.csv"
    theirs = accounts.read_text()
    (tmp_path / "landing" / "crm_contacts").mkdir()
    more = tmp_path / "landing" / "crm_contacts" / "more.csv"
    more.write_text("contact_id,account_id,created_at\nc,A000001,2025-01-01\n")
    assert run() == (None, "")  # who tries something out on the sample
    accounts.write_text("account_id,account_name,is_internal,created_at\nours,Ours,false,2025-01-01 00:00:00\n")
    code, why = run()
    assert code == 2
    assert "holds the sample company" in why
    assert "1 of its files are others or gone (crm_accounts.csv)" in why
    assert "a landing and a warehouse folder of their own (--landing, --warehouse)" in why
    accounts.unlink()
    assert run()[0] == 2
    accounts.write_text(theirs)
    more.unlink()
    assert run() == (None, "")


@pytest.mark.parametrize("events", [0, 1, 999])
def test_any_number_of_events(tmp_path: Path, events: int) -> None:
    summary = make_sample(tmp_path, accounts=60, months=6, events=events, end=END, progress=lambda line: None)
    assert summary.rows["product_events"] == events
    assert duckdb.sql(f"select count(*) from '{tmp_path}/product_events/*.parquet'").fetchone() == (events,)


def test_every_label_occurs_and_no_other(landed: duckdb.DuckDBPyConnection) -> None:
    wrong = {}
    for (table, column), labels in LABELS.items():
        rows = landed.execute(f"select distinct {column} from {table} where {column} is not null").fetchall()
        if {row[0] for row in rows} != set(labels.split(", ")):
            wrong[table, column] = rows
    assert not wrong


def test_missing_values_only_where_the_contract_allows(landed: duckdb.DuckDBPyConnection) -> None:
    for table, columns in contract().items():
        required = [column for column, row in columns.items() if row["nullable"] == "no"]
        nulls = landed.execute(
            f"select {', '.join(f'count(*) - count({column})' for column in required)} from {table}"
        ).fetchone()
        assert not any(nulls), (table, dict(zip(required, nulls, strict=True)))


def test_keys_are_unique(landed: duckdb.DuckDBPyConnection) -> None:
    for table, columns in contract().items():
        keys = [column for column, row in columns.items() if row["key"].startswith("PK")]
        twice = value(landed, f"select count(*) - count(distinct ({', '.join(keys)})) from {table}")
        assert twice == 0, table


def test_foreign_keys_resolve(landed: duckdb.DuckDBPyConnection) -> None:
    keys = {table: next(iter(columns)) for table, columns in contract().items()}
    for table, columns in contract().items():
        for column, row in columns.items():
            if "FK " not in row["key"]:
                continue
            parent = row["key"].split("FK ")[1]
            linked = "union all select source_account_id from crm_account_links" if parent == "crm_accounts" else ""
            orphans = value(
                landed,
                f"""select count(*) from {table} where {column} is not null
                    and {column} not in (select {keys[parent]} from {parent} {linked})""",
            )
            assert orphans == 0, (table, column)


def test_ranges_do_not_overlap_and_ends_follow_starts(landed: duckdb.DuckDBPyConnection) -> None:
    for table, key, begin, end in (
        ("crm_account_owners", "account_id, role", "valid_from", "valid_to"),
        ("billing_subscription_items", "item_id", "effective_from", "effective_to"),
        ("billing_subscription_pauses", "subscription_id", "paused_from", "paused_until"),
        ("billing_contract_terms", "subscription_id", "term_start", "term_end"),
    ):
        overlapping = value(
            landed,
            f"""select count(*) from (select coalesce({end}, timestamp '9999-01-01') as until,
                    lead({begin}) over (partition by {key} order by {begin}) as following from {table})
                where following < until""",
        )
        assert overlapping == 0, table
    for table, begin, end in (
        ("billing_subscriptions", "started_at", "ended_at"),
        ("billing_subscriptions", "started_at", "cancel_requested_at"),
        ("billing_subscriptions", "cancel_requested_at", "ended_at"),
        ("billing_subscription_items", "effective_from", "effective_to"),
        ("billing_subscription_pauses", "paused_from", "paused_until"),
        ("billing_contract_terms", "term_start", "term_end"),
        ("billing_invoices", "issued_at", "paid_at"),
        ("cs_onboardings", "purchased_at", "started_at"),
        ("cs_onboardings", "started_at", "completed_at"),
        ("cs_onboardings", "started_at", "first_value_at"),
        ("cs_actions", "opened_at", "closed_at"),
        ("cs_advocacy", "requested_at", "completed_at"),
        ("survey_responses", "sent_at", "responded_at"),
        ("crm_users", "active_from", "active_to"),
    ):
        assert value(landed, f"select count(*) from {table} where {end} < {begin}") == 0, (table, end)


def test_nothing_happens_after_the_last_day(landed: duckdb.DuckDBPyConnection) -> None:
    planned = {"due_at", "_loaded_at", "trial_end"}
    for table, columns in contract().items():
        for column, row in columns.items():
            if row["type"] in ("TIMESTAMP", "DATE") and column not in planned | {"term_end"}:
                late = value(landed, f"select count(*) from {table} where {column}::date > date '{END}'")
                assert late == 0, (table, column)


def test_events_lie_within_a_subscription_and_use_known_features(landed: duckdb.DuckDBPyConnection) -> None:
    outside = value(
        landed,
        """with resolved as (
            select coalesce(links.account_id, events.account_id) as account_id, occurred_at
            from product_events as events
            left join crm_account_links as links on links.source_account_id = events.account_id)
        select count(*) from resolved where not exists (
            select 1 from billing_subscriptions as subs where subs.account_id = resolved.account_id
                and resolved.occurred_at >= started_at
                and resolved.occurred_at < coalesce(ended_at, timestamp '9999-01-01'))""",
    )
    assert outside == 0
    too_early = value(
        landed,
        """select count(*) from product_events join product_features using (feature_key)
        where occurred_at::date < released_on or occurred_at::date >= coalesce(retired_on, date '9999-01-01')""",
    )
    assert too_early == 0
    assert value(landed, "select count(distinct event_id) from product_events") == EVENTS


def test_rates_stand_before_every_billed_day_with_weekend_gaps(landed: duckdb.DuckDBPyConnection) -> None:
    late = value(
        landed,
        """select count(*) from billing_subscriptions as subs
        cross join (select unnest(['USD', 'EUR']) as target)
        where subs.currency <> target and not exists (
            select 1 from fin_exchange_rates where from_currency = subs.currency and to_currency = target
                and rate_date <= subs.started_at::date)""",
    )
    assert late == 0
    assert value(landed, "select count(*) from fin_exchange_rates where isodow(rate_date) > 5") == 0


def test_terms_renew_by_every_way(landed: duckdb.DuckDBPyConnection) -> None:
    """The same subscription goes on, a successor follows at once, or late but within 30 days."""
    assert value(landed, "select count(*) - count(distinct subscription_id) from billing_contract_terms") > 0
    gaps = landed.execute(
        """select later.started_at::date - earlier.ended_at::date from billing_subscriptions as later
        join billing_subscriptions as earlier on earlier.subscription_id = later.renews_subscription_id"""
    ).fetchall()
    days = {row[0] for row in gaps}
    assert 0 in days
    assert max(days) > 0
    assert min(days) == 0
    assert max(days) <= 30


def test_recent_weeks_hold_open_things(landed: duckdb.DuckDBPyConnection) -> None:
    queries = (
        f"select count(*) from billing_contract_terms where term_end between date '{END}' and date '{END}' + 90",
        "select count(*) from billing_subscriptions where ended_at is null and cancel_requested_at is not null",
        "select count(*) from cs_actions where status = 'open'",
        "select count(*) from cs_onboardings where first_value_at is null and cancelled_at is null",
        f"""select count(*) from survey_responses where survey_id = 'nps_relationship' and score <= 6
            and responded_at > date '{END}' - 30
            and response_id not in (select trigger_ref from cs_actions where trigger_ref is not null)""",
    )
    assert [query for query in queries if not value(landed, query)] == []


def test_usage_and_scores_foretell_churn(landed: duckdb.DuckDBPyConnection) -> None:
    """Of the accounts paying at a month's end, those who leave within 90 days have used less and scored lower."""
    rows = landed.execute(
        f"""with months as (
            select unnest(generate_series(timestamp '2024-09-01', timestamp '2025-07-01', interval 1 month)) as day),
        paying as (
            select day, account_id,
                max(case when subscription_id in (select renews_subscription_id from billing_subscriptions)
                    then timestamp '9999-01-01' else coalesce(ended_at, timestamp '9999-01-01') end) as last_day
            from months join billing_subscriptions
                on started_at < day - interval 60 day and coalesce(ended_at, timestamp '9999-01-01') > day
            where status not in ('incomplete', 'incomplete_expired')
                and account_id not in (select account_id from crm_accounts where is_internal) group by all),
        used as (
            select day, coalesce(links.account_id, events.account_id) as account_id,
                count(*) filter (where occurred_at >= day - interval 28 day) as lately,
                count(*) filter (where occurred_at < day - interval 28 day) / 3 as before
            from months join product_events as events
                on occurred_at >= day - interval 112 day and occurred_at < day
            left join crm_account_links as links on links.source_account_id = events.account_id group by all),
        scored as (
            select day, contacts.account_id, avg(score) as nps
            from months join survey_responses as answers
                on responded_at >= day - interval 180 day and responded_at < day and survey_id = 'nps_relationship'
            join crm_contacts as contacts using (contact_id) group by all)
        select last_day < day + interval 90 day as leaves, coalesce(lately, 0) / (coalesce(before, 0) + 1), nps
        from paying left join used using (day, account_id) left join scored using (day, account_id)
        where day + interval 90 day <= date '{END}'"""
    ).fetchall()
    leaves, trend, nps = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    asked = ~np.isnan(nps)
    assert 0.015 < leaves.mean() < 0.09
    assert spearmanr(nps[asked], leaves[asked]).statistic < -0.08
    assert spearmanr(trend, leaves).statistic < -0.08
    score = rankdata(trend[asked]) + rankdata(nps[asked])
    ranks, left = rankdata(-score), leaves[asked] == 1
    n_left, n_stayed = left.sum(), (~left).sum()
    auc = (ranks[left].sum() - n_left * (n_left + 1) / 2) / (n_left * n_stayed)
    assert auc > 0.75


def test_dirt_adds_defects(tmp_path: Path, folder: Path) -> None:
    summary = make_sample(tmp_path, **SIZE, dirt=0.03, progress=lambda line: None)
    clean = duckdb.sql(f"select count(*) from {source(folder, 'billing_invoices')}").fetchone()[0]
    assert summary.rows["billing_invoices"] > clean
    assert summary.rows["product_events"] > EVENTS
    files = f"{[str(path) for path in (tmp_path / 'billing_invoices').glob('*.csv')]}"
    text = f"read_csv({files}, header = true, all_varchar = true)"
    repeated, unparsed, offset, orphans, untidy = duckdb.sql(
        f"""select count(*) - count(distinct invoice_id),
            count(*) filter (where try_cast(amount_paid as decimal(18, 2)) is null
                or try_cast(amount_subtotal as decimal(18, 2)) is null
                or try_cast(issued_at as timestamp) is null
                or (paid_at is not null and try_cast(paid_at as timestamp) is null)),
            count(*) filter (where issued_at like '%+02:00'),
            count(*) filter (where account_id like 'X%'),
            count(*) filter (where status <> lower(trim(status)))
        from {text}"""
    ).fetchone()
    assert min(repeated, unparsed, offset, orphans, untidy) > 0
    extra = duckdb.sql(f"select * from read_csv('{tmp_path}/crm_accounts/*.csv', all_varchar = true)").columns
    assert "crm_internal_note" in extra
    for table, defect in (("survey_responses", "score = '11'"), ("cs_activities", "_deleted = 'true'")):
        rows = f"read_csv('{tmp_path}/{table}/*.csv', all_varchar = true)"
        assert duckdb.sql(f"select count(*) from {rows} where {defect}").fetchone()[0] > 0


@pytest.mark.parametrize("wrong", [{"accounts": 5}, {"months": 1}, {"events": -1}, {"dirt": 0.9}])
def test_sizes_out_of_range_are_refused(tmp_path: Path, wrong: dict) -> None:
    with pytest.raises(ValueError, match="sample: accounts from"):
        make_sample(tmp_path, **{"end": END, "progress": print, **wrong})


def test_no_sample_is_made_where_rows_were_ever_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    landing, warehouse = tmp_path / "landing", Warehouse(tmp_path / "warehouse")
    warehouse.prepare()
    settings = resolve_settings(
        landing=str(landing), warehouse=str(warehouse.root), as_of="2025-03-31", sample_if_empty=True
    )
    made: list[Path] = []
    monkeypatch.setattr("orchestration.sample.make_sample", lambda folder, **_: made.append(folder))

    def load_a_night() -> None:
        now = datetime(2025, 4, 1, len(made), tzinfo=UTC)
        load(Night(settings, warehouse, lambda _: None, now, now.replace(tzinfo=None)))

    landing.mkdir()
    (landing / "crm_users.csv").write_text("user_id,full_name,role,active_from\nu1,Ann,csm,2024-01-01\n")
    load_a_night()
    (landing / "crm_users.csv").unlink()  # put away, as it may be
    load_a_night()
    landing.rmdir()
    with pytest.raises(Stopped, match="there is no landing folder"):
        load_a_night()
    assert made == []
