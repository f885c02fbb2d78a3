"""Two nights on a small company: what the first published is kept, what changed is named, what is over is cleared."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import duckdb
import pytest

from orchestration.warehouse import Warehouse
from tests.conftest import run_csw
from tests.dbt_runs import FILE, prepare_build, run_models
from tests.recomputation import Settings

# a1 pays 100 a month, a2 200, a3 400 and a4 800, all from January 5th; a5 to a120 never bought.
ACCOUNTS = "account_id,account_name,segment,is_internal,created_at,merged_into_account_id,_loaded_at"
SUBSCRIPTIONS = "subscription_id,account_id,currency,status,started_at,cancel_requested_at,ended_at,_loaded_at"
ITEMS = (
    "item_version_id,item_id,subscription_id,plan_id,quantity,unit_amount,discount_pct,billing_interval,interval_count,"
    "is_recurring,effective_from,effective_to,recorded_at,_loaded_at"
)
TERMS = "term_id,subscription_id,term_start,term_end,auto_renew,_loaded_at"
ACTIVITIES = "activity_id,account_id,user_id,activity_type,direction,is_automated,status,occurred_at,_loaded_at"
SURVEYS = "survey_id,survey_type,survey_name,scale_min,scale_max,higher_is_better,positive_threshold,_loaded_at"
ANSWERS = "response_id,survey_id,account_id,contact_id,sent_at,responded_at,score,_loaded_at"
FIRST, SECOND = "2025-03-31", "2025-04-01"


def item(number: int, amount: int, start: str, recorded: str, loaded: str, version: str = "v") -> str:
    return (
        f"{version}{number},i{number},s{number},pro,1,{amount},0,month,1,true,{start} 00:00:00,,{recorded} 00:00:00,"
        f"{loaded} 00:00:00"
    )


def land(landing: Path, night: str, tables: dict[str, list[str]]) -> None:
    for table, lines in tables.items():
        (landing / table).mkdir(parents=True, exist_ok=True)
        (landing / table / f"{night}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def first_delivery(landing: Path) -> None:
    answers = [f"r{n},n1,a{n},c{n},2025-02-03 00:00:00,2025-02-05 00:00:00,9,{FIRST} 00:00:00" for n in range(1, 5)]
    land(
        landing,
        FIRST,
        {
            "crm_accounts": [
                ACCOUNTS,
                *(f"a{n},Account {n},smb,false,2024-12-01 00:00:00,,{FIRST} 00:00:00" for n in range(1, 121)),
            ],
            "billing_subscriptions": [
                SUBSCRIPTIONS,
                *(f"s{n},a{n},USD,active,2025-01-05 00:00:00,,,{FIRST} 00:00:00" for n in range(1, 4)),
                f"s4,a4,USD,active,2025-01-05 00:00:00,2025-03-20 00:00:00,,{FIRST} 00:00:00",
            ],
            "billing_subscription_items": [
                ITEMS,
                *(item(n, 100 * 2 ** (n - 1), "2025-01-05", "2025-01-05", FIRST) for n in range(1, 5)),
            ],
            "billing_contract_terms": [TERMS, f"t4,s4,2025-01-05,2025-06-01,true,{FIRST} 00:00:00"],
            "cs_activities": [
                ACTIVITIES,
                *(
                    f"e{n},a{n},u1,call,outbound,false,completed,2025-03-2{n} 10:00:00,{FIRST} 00:00:00"
                    for n in range(1, 5)
                ),
                f"e5,a1,u1,call,outbound,false,completed,in February,{FIRST} 00:00:00",
            ],
            "surveys": [SURVEYS, f"n1,nps,NPS,0,10,true,9,{FIRST} 00:00:00"],
            "survey_responses": [ANSWERS, *answers],
        },
    )
    # known before anything was published, in a file that follows another one of the same night
    merged = f"a121,Account 121,smb,false,2024-12-01 00:00:00,a120,{FIRST} 00:00:00"
    land(landing, f"{FIRST}_merged", {"crm_accounts": [ACCOUNTS, merged]})


def second_delivery(landing: Path) -> None:
    """a4 stays, its term prolonged; a1 paid 150 since February 1st, told today; a fifth NPS answer of February."""
    land(
        landing,
        SECOND,
        {
            "billing_subscriptions": [
                SUBSCRIPTIONS,
                f"s4,a4,USD,active,2025-01-05 00:00:00,,,{SECOND} 00:00:00",
            ],
            "billing_subscription_items": [
                ITEMS,
                item(1, 100, "2025-01-05", "2025-01-05", SECOND).replace(
                    "2025-01-05 00:00:00,,", "2025-01-05 00:00:00,2025-02-01 00:00:00,"
                ),
                # its end is planned: it speaks of February all the same
                item(1, 150, "2025-02-01", "2025-04-01", SECOND, version="w").replace(
                    "2025-02-01 00:00:00,,", "2025-02-01 00:00:00,2025-06-01 00:00:00,"
                ),
            ],
            "billing_contract_terms": [TERMS, f"t4,s4,2025-01-05,2026-06-01,true,{SECOND} 00:00:00"],
            "survey_responses": [
                ANSWERS,
                f"r5,n1,a5,c5,2025-02-03 00:00:00,2025-02-06 00:00:00,0,{SECOND} 00:00:00",
            ],
        },
    )


def replay_february(warehouse: Path, file: Path) -> None:
    """The activity that waits in quarantine was on February 10th."""
    options = ("--warehouse", warehouse)
    assert run_csw("quarantine", "--out", file, *options).returncode == 0
    file.write_text(file.read_text().replace("in February", "2025-02-10 10:00:00"))
    assert run_csw("replay", "--file", file, *options).returncode == 0


@pytest.fixture(scope="module")
def nights(sample, tmp_path_factory) -> tuple[Path, Path]:
    """The published files of the two nights."""
    base = tmp_path_factory.mktemp("nights")
    landing, warehouse = base / "landing", base / "warehouse"
    sample.lend_manifest(warehouse)
    for as_of, deliver in ((FIRST, first_delivery), (SECOND, second_delivery)):
        deliver(landing)
        if as_of == SECOND:
            replay_february(warehouse, base / "rows.csv")
        night = run_csw("nightly", "--landing", landing, "--warehouse", warehouse, "--as-of", as_of)
        assert night.returncode == 0, night.stdout + night.stderr
    first, second = sorted((warehouse / "versions").glob("*.duckdb"))
    return first, second


def rows(file: Path, query: str) -> list[tuple]:
    with duckdb.connect(str(file), read_only=True) as con:
        return con.execute(query).fetchall()


def published_at(file: Path) -> datetime:
    [(instant,)] = rows(file, "select published_at from meta_publication")
    return instant


FEBRUARY = "period_type = 'month' and period_start = date '2025-02-01' and segment_type = 'all'"


def test_the_first_value_stays_and_the_new_one_stands_beside_it(nights):
    first, second = nights
    # 100 + 200 + 400 + 800 at first, 150 instead of 100 now
    assert rows(first, f"select value from kpi_mrr where {FEBRUARY}") == [(1500.0,)]
    assert rows(second, f"select value from kpi_mrr where {FEBRUARY}") == [(1550.0,)]
    kept = "select first_published_value, first_published_at from first_published_kpi_values where kpi_id = 'mrr' and "
    assert rows(second, kept + FEBRUARY) == [(1500.0, published_at(first))]
    assert rows(first, "select count(*) from mart_restatements") == [(0,)]


def test_a_restatement_names_its_cause(nights):
    _, second = nights
    query = (
        "select first_published_value, current_value, difference, cause from mart_restatements where kpi_id = '{}' and "
    )
    assert rows(second, query.format("mrr") + FEBRUARY) == [(1500.0, 1550.0, 50.0, "backdated change")]
    # four promoters were too few to be shown; with the detractor there are five: 100 x (4 - 1) / 5
    assert rows(second, query.format("net_promoter_score") + FEBRUARY) == [(None, 60.0, None, "late row")]
    # the first night knew of the call only that it did not fit
    assert rows(second, query.format("engagement_activity") + FEBRUARY) == [(0.0, 1.0, 1.0, "late row")]
    january = FEBRUARY.replace("02-01", "01-01")
    assert rows(second, query.format("mrr") + january) == []


def test_what_a_night_loads_came_before_its_publication_and_after_the_last_one(nights):
    first, second = nights
    loads = rows(
        Warehouse(first.parents[1]).build_file,
        "select count(*), min(loaded_at), max(loaded_at) from ops.load_log group by run_id order by 2",
    )
    assert [count for count, *_ in loads] == [8, 1, 4]  # the first delivery, the activity mended, the second delivery
    (_, _, last_of_first), (_, of_replay, _), (_, first_of_second, last_of_second) = loads
    assert last_of_first < published_at(first) < of_replay
    assert published_at(first) < first_of_second < last_of_second < published_at(second)


def test_what_ended_tonight_is_first_published_tonight(nights):
    first, second = nights
    april = "select count(*) from first_published_kpi_values where period_start >= date '2025-04-01'"
    assert rows(second, april) == [(0,)]
    march = (
        "select distinct first_published_as_of from first_published_kpi_values where period_start = date '2025-03-01'"
    )
    assert rows(first, march) == rows(second, march) == [(date(2025, 3, 31),)]


def test_an_alert_is_cleared_when_it_is_over_and_kept_while_it_lasts(nights):
    first, second = nights
    query = "select alert_id, raised_on, cleared_on from mart_alerts where alert_type = 'renewal_at_risk'"
    [(raised, on, cleared)] = rows(first, query)  # a4 had asked to cancel and comes due within 90 days
    assert (on, cleared) == (date(2025, 3, 31), None)
    assert rows(second, query) == [(raised, date(2025, 3, 31), date(2025, 4, 1))]
    lasting = "select alert_id, raised_on from mart_alerts where cleared_on is null and raised_on = date '2025-03-31'"
    assert set(rows(second, lasting)) <= set(rows(first, lasting))


def test_scores_of_the_first_night_stay_as_they_were(nights):
    first, second = nights
    query = """select account_id, score_date, score, colour from fct_health_scores
        where score_date <= date '2025-03-31' order by all"""
    assert rows(second, query) == rows(first, query)
    assert rows(second, "select max(score_date) from fct_health_scores") == [(date(2025, 4, 1),)]


def test_the_queue_of_tonight_forgets_the_request_that_was_withdrawn(nights):
    first, second = nights
    query = "select account_id, reason, suggested_playbook from mart_action_queue where reason like '%cancel%'"
    [(account, reason, playbook)] = rows(first, query)
    assert (account, playbook) == ("a4", "save_the_account")
    assert reason == "asked to cancel on 2025-03-20; renewal due on 2025-06-01"
    assert rows(second, query) == []


def test_a_late_renewal_restates_the_churn_as_a_late_row(sample, tmp_path):
    """s1 ends on March 20th and is published as churn; its successor starts and lands on April 1st."""
    landing, warehouse = tmp_path / "landing", tmp_path / "warehouse"
    sample.lend_manifest(warehouse)
    subscriptions = f"{SUBSCRIPTIONS},renews_subscription_id"
    accounts = [f"a{n},Account {n},smb,false,2024-12-01 00:00:00,,{FIRST} 00:00:00" for n in range(1, 121)]
    first = {
        "crm_accounts": [ACCOUNTS, *accounts],
        "billing_subscriptions": [
            subscriptions,
            f"s1,a1,USD,canceled,2025-01-05 00:00:00,,2025-03-20 00:00:00,{FIRST} 00:00:00,",
        ],
        "billing_subscription_items": [ITEMS, item(1, 100, "2025-01-05", "2025-01-05", FIRST)],
    }
    second = {
        "billing_subscriptions": [
            subscriptions,
            f"s2,a1,USD,active,2025-04-01 00:00:00,,,{SECOND} 00:00:00,s1",
        ],
        "billing_subscription_items": [ITEMS, item(2, 100, "2025-04-01", "2025-04-01", SECOND)],
    }
    for as_of, tables in ((FIRST, first), (SECOND, second)):
        land(landing, as_of, tables)
        night = run_csw("nightly", "--landing", landing, "--warehouse", warehouse, "--as-of", as_of)
        assert night.returncode == 0, night.stdout + night.stderr
    restated = """select first_published_value, current_value, cause from mart_restatements
        where kpi_id = 'customer_churn_rate' and period_type = 'month' and segment_type = 'all'"""
    assert rows(warehouse / "marts.duckdb", restated) == [(1.0, 0.0, "late row")]


# New York is four hours behind UTC.
ARRIVALS = [
    ("ops.load_log", {"load_id": 0, "loaded_at": "2025-03-31 11:00"}),
    ("ops.load_log", {"load_id": 1, "loaded_at": "2025-04-01 11:00"}),
    ("history.first_published_kpi_values", {"first_published_at": "2025-04-01 12:00"}),
    ("ops.load_log", {"load_id": 2, "loaded_at": "2025-04-11 06:00"}),
    ("raw.survey_responses", {"response_id": "r0", "responded_at": "2025-03-01 12:00", "_load_id": 1}),
    ("raw.survey_responses", {"response_id": "r1", "responded_at": "2025-04-01 02:30", "_load_id": 2}),
    ("raw.product_events", {"event_id": "e1", "occurred_at": "2025-04-03 12:00", "_load_id": 2}),
    ("raw.product_events", {"event_id": "e2", "occurred_at": "2025-04-01 03:59", "_load_id": 2}),
    # takes effect on March 31st 23:00, recorded on April 1st 01:00; recorded at 23:00 of the day it takes effect
    (
        "raw.billing_subscription_items",
        {
            "item_version_id": "v1",
            "effective_from": "2025-04-01 03:00",
            "recorded_at": "2025-04-01 05:00",
            "_load_id": 2,
        },
    ),
    (
        "raw.billing_subscription_items",
        {
            "item_version_id": "v2",
            "effective_from": "2025-04-05 22:00",
            "recorded_at": "2025-04-06 03:00",
            "_load_id": 2,
        },
    ),
    # completed in the last minute of the as-of day, first value after it
    (
        "raw.cs_onboardings",
        {
            "onboarding_id": "o1",
            "completed_at": "2025-04-11 03:59",
            "first_value_at": "2025-04-11 04:00",
            "_load_id": 2,
        },
    ),
    # closed since, which is no news; spam, as was found out
    ("raw.support_tickets", {"ticket_id": "t1", "status": "open", "created_at": "2025-03-20", "_load_id": 1}),
    ("raw.support_tickets", {"ticket_id": "t1", "status": "closed", "created_at": "2025-03-20", "_load_id": 2}),
    ("raw.support_tickets", {"ticket_id": "t2", "is_spam": False, "created_at": "2025-03-25 12:00", "_load_id": 1}),
    ("raw.support_tickets", {"ticket_id": "t2", "is_spam": True, "created_at": "2025-03-25 12:00", "_load_id": 2}),
    # a date is the same day in any zone; retired after the as-of day
    ("raw.billing_contract_terms", {"term_id": "t1", "term_start": "2025-04-01", "_load_id": 2}),
    (
        "raw.product_features",
        {"feature_key": "f1", "released_on": "2025-04-01", "retired_on": "2025-04-11", "_load_id": 2},
    ),
    # what load 1 said by mistake is taken back; c2 comes again as it was
    *(
        ("raw.fin_costs", {"cost_id": "c1", "cost_month": "2025-03-01", "amount": amount, "_load_id": load})
        for load, amount in enumerate([10, 1, 10])
    ),
    *(
        ("raw.fin_costs", {"cost_id": "c2", "cost_month": "2025-01-01", "amount": 5, "_load_id": load})
        for load in (0, 2)
    ),
    *(
        ("raw.crm_users", {"user_id": "u1", "team": team, "active_from": "2025-02-01", "_load_id": load})
        for load, team in enumerate(["East", "West", "East"])
    ),
    # another name is no change of a figure, whoever bears it
    *(
        ("raw.crm_accounts", {"account_id": "a1", "account_name": name, "created_at": "2025-01-01", "_load_id": load})
        for load, name in ((0, "Acme"), (2, "Acme Europe"))
    ),
    # a2 turns out to be internal; a3 counts as it did, in another segment
    *(
        ("raw.crm_accounts", {"account_id": account, column: value, "created_at": "2025-01-01", "_load_id": load})
        for account, column, before, now in (("a2", "is_internal", False, True), ("a3", "segment", "smb", "enterprise"))
        for load, value in ((0, before), (2, now))
    ),
    *(
        ("raw.surveys", {"survey_id": "s1", "survey_type": "nps", "survey_name": name, "_load_id": load})
        for load, name in ((0, "NPS"), (2, "Recommendation"))
    ),
    *(
        ("raw.cs_advocacy", {"advocacy_id": "a1", "requested_at": "2025-03-05", "_deleted": gone, "_load_id": load})
        for load, gone in enumerate([None, True, None])
    ),
]


def test_what_arrives_speaks_of_days_of_the_company(sample, tmp_path):
    """Loads 0 and 1 came before the first publication, load 2 after April 10th, the as-of day."""
    file = tmp_path / FILE
    with duckdb.connect(str(file)) as con:
        prepare_build(con)
        for table, row in ARRIVALS:
            marks = ", ".join("?" * len(row))
            con.execute(f"insert into {table} ({', '.join(row)}) values ({marks})", list(row.values()))
    settings = Settings(as_of=date(2025, 4, 10), reporting_timezone="America/New_York")
    run_models(sample.manifest_folder, file, settings, ["+int_late_arrivals"])
    assert rows(file, "select source_table, kind, earliest_day from intermediate.int_late_arrivals order by all") == [
        ("billing_contract_terms", "late row", date(2025, 4, 1)),
        ("billing_subscription_items", "backdated change", date(2025, 3, 31)),
        ("billing_subscription_items", "late row", date(2025, 4, 5)),
        ("crm_accounts", "backdated change", date(1900, 1, 1)),
        ("crm_accounts", "other cut", date(1900, 1, 1)),
        ("crm_users", "backdated change", date(1900, 1, 1)),
        ("cs_advocacy", "late row", date(2025, 3, 4)),
        ("cs_onboardings", "late row", date(2025, 4, 10)),
        ("fin_costs", "late row", date(2025, 3, 1)),
        ("product_events", "late row", date(2025, 3, 31)),
        ("product_features", "late row", date(2025, 4, 1)),
        ("support_tickets", "late row", date(2025, 3, 25)),
        ("survey_responses", "late row", date(2025, 3, 31)),
    ]
