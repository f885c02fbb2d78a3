"""Row rules: what can't be is quarantined with a reason, what is on the edge is loaded; both readers judge alike."""

from datetime import date, datetime
from pathlib import Path

import duckdb
import pytest

from orchestration import rows
from orchestration.contract import TABLES
from orchestration.loading import load_landing

NOW = datetime(2025, 3, 1, 2, 0)
ITEMS_WITHOUT_INTERVAL = (
    "item_version_id,item_id,subscription_id,plan_id,quantity,unit_amount,discount_pct,is_recurring,effective_from"
)
ITEMS = f"{ITEMS_WITHOUT_INTERVAL},billing_interval"
COUNTED_ITEMS = f"{ITEMS},interval_count"
DEALS = "opportunity_id,account_id,opportunity_type,stage,is_closed,created_at"
ANSWERS = "response_id,survey_id,sent_at,responded_at,score"
ACTIONS = "action_id,action_type,opened_at,closed_at,status"
INVOICES = "invoice_id,account_id,issued_at,currency,amount_subtotal,amount_paid,status"
ACCOUNTS = "account_id,account_name,is_internal,created_at,merged_into_account_id"
RATES = "rate_date,from_currency,to_currency,rate"
SUBSCRIPTIONS = "subscription_id,account_id,status,currency,started_at,ended_at"
EVENTS = "event_id,account_id,user_id,event_name,occurred_at,_loaded_at"

# table, header, row, and the words of the reason; None = the row is loaded
CASES = [
    ("billing_subscription_items", ITEMS, "v,i,s,p,1,0,100,true,2026-01-01,month", None),
    (
        "billing_subscription_items",
        ITEMS,
        "v,i,s,p,1,-0.01,0,true,2025-01-01,month",
        "unit_amount: '-0.01' is outside 0 to",
    ),
    ("billing_subscription_items", ITEMS, "v,i,s,p,1,1000000000,0,true,2025-01-01,month", "unit_amount: '1000000000'"),
    ("billing_subscription_items", ITEMS, "v,i,s,p,-1,10,0,true,2025-01-01,month", "quantity: '-1' is outside 0 to"),
    (
        "billing_subscription_items",
        ITEMS,
        "v,i,s,p,1,10,101,true,2025-01-01,month",
        "discount_pct: '101' is outside",
    ),
    (
        "billing_subscription_items",
        ITEMS,
        "v,i,s,p,1,10,0,true,2025-01-01,",
        "is_recurring: 'true' needs a billing_interval",
    ),
    (
        "billing_subscription_items",
        ITEMS_WITHOUT_INTERVAL,
        "v,i,s,p,1,10,0,true,2025-01-01",
        "is_recurring: 'true' needs a billing_interval",
    ),
    ("billing_subscription_items", ITEMS, "v,i,s,p,1,10,0,false,2025-01-01,", None),
    ("billing_subscription_items", COUNTED_ITEMS, "v,i,s,p,1,10,0,true,2025-01-01,Day,365", None),
    ("billing_subscriptions", SUBSCRIPTIONS, "s,a,\u00a0Active\u200b,eur\u00a0,2025-01-01,", None),
    ("billing_subscription_items", COUNTED_ITEMS, "v,i,s,p,1,10,0,true,2025-01-01,week,156", None),
    ("billing_subscription_items", COUNTED_ITEMS, "v,i,s,p,1,10,0,true,2025-01-01,month,121", "'121' is outside 1 to"),
    ("billing_subscription_items", COUNTED_ITEMS, "v,i,s,p,1,10,0,true,2025-01-01,day,0", "'0' is outside 1 to"),
    ("billing_subscription_items", COUNTED_ITEMS, "v,i,s,p,1,10,0,false,2025-01-01,,1", None),
    ("crm_opportunities", DEALS, "o,a,upsell,won,true,2025-01-01", None),
    ("crm_users", "user_id,full_name,role,active_from", "u,Ann,partner,2025-01-01", None),
    ("support_tickets", "ticket_id,status,is_spam,is_agent_initiated,created_at", "t,hold,0,0,2025-01-01", None),
    ("survey_responses", ANSWERS, "r,s,2025-02-01 10:00,2025-02-01 00:00,0", None),
    (
        "survey_responses",
        ANSWERS,
        "r,s,2025-02-03 10:00,2025-02-01 10:00,9",
        "'2025-02-01 10:00' is before sent_at",
    ),
    ("survey_responses", ANSWERS, "r,s,2025-02-01,2025-02-02,101", "score: '101' is outside -100 to 100"),
    ("survey_responses", ANSWERS, "r,s,2025-02-01,2025-03-02 02:00,9", None),
    (
        "survey_responses",
        ANSWERS,
        "r,s,2025-02-01,2025-03-02 02:01,9",
        "'2025-03-02 02:01' lies in the future",
    ),
    ("cs_actions", ACTIONS, "a,interview,2025-02-03,2025-02-01,done", "closed_at: '2025-02-01' is before opened_at"),
    ("cs_actions", ACTIONS, "a, Interview ,2025-02-03,,OPEN", None),
    ("cs_actions", ACTIONS, "a,interviews,2025-02-03,,open", "action_type: 'interviews' is not one of playbook"),
    ("billing_invoices", INVOICES, "i,a,2025-02-01,eur,10,10,paid", None),
    ("billing_invoices", INVOICES, "i,a,2025-02-01,EURO,10,10,paid", "currency: 'EURO' is no currency of ISO 4217"),
    ("billing_invoices", INVOICES, "i,a,1970-01-01,EUR,10,10,paid", "issued_at: '1970-01-01' is before 1980-01-01"),
    ("billing_invoices", INVOICES, "i,a,2025-03-05,EUR,10,10,open", "issued_at: '2025-03-05' lies in the future"),
    ("crm_accounts", ACCOUNTS, "a,A,false,2024-01-01,a", "merged_into_account_id: 'a' is the row itself"),
    ("crm_accounts", ACCOUNTS, "a,A,false,2024-01-01,b", None),
    ("fin_exchange_rates", RATES, "2025-02-01,USD,EUR,0", "rate: '0' is outside"),
    ("fin_exchange_rates", RATES, "2022-12-30,HRK,EUR,0.1327", None),
    ("billing_subscriptions", SUBSCRIPTIONS, "s,a,active,EUR,2025-02-01,2026-02-01", None),
    ("billing_subscriptions", SUBSCRIPTIONS, "s,a,actve,EUR,2025-02-01,", "status: 'actve' is not one of trialing"),
    ("product_events", EVENTS, "e,a,u,login,2025-02-28,2025-03-04", "_loaded_at: '2025-03-04' lies in the future"),
]


@pytest.mark.parametrize(("table", "header", "row", "reason"), CASES, ids=[f"{case[0]}:{case[2]}" for case in CASES])
def test_a_row_rule(table: str, header: str, row: str, reason: str | None, tmp_path: Path) -> None:
    landing = tmp_path / "landing"
    (landing / table).mkdir(parents=True)
    (landing / table / "plain.csv").write_text(f"{header}\n{row}\n")
    lined = ",".join(f'"{value}"' if value else "" for value in row.split(","))
    (landing / table / "lines.jsonl").write_text(
        "{" + ",".join(f'"{n}":"{v}"' for n, v in zip(header.split(","), row.split(","), strict=True)) + "}\n"
    )
    (landing / table / "beside_a_broken_line.csv").write_text(f"{header}\n{lined}\nbroken\n")
    with duckdb.connect() as con:
        load_landing(con, landing, run_id="r", loaded_at=NOW, progress=lambda _: None)
        loaded = con.execute(f"select count(*) from raw.{table}").fetchone()[0]
        said = con.execute(
            "select reason, remedy from ops.quarantine where reason not like '%fields where%'"
        ).fetchall()
    assert loaded == (3 if reason is None else 0)
    assert [text for text, _ in said if reason not in text] == []
    assert len(said) == 3 - loaded
    assert all(remedy for _, remedy in said)


def test_a_night_for_a_later_day_than_the_clock_believes_the_day(tmp_path: Path) -> None:
    (tmp_path / "product_events.csv").write_text(f"{EVENTS}\ne,a,u,login,2025-06-30 23:00,2025-07-01\n")
    with duckdb.connect() as con:
        report = load_landing(
            con, tmp_path, run_id="r", loaded_at=NOW, progress=lambda _: None, as_of=date(2025, 6, 30)
        )
    assert report.total("rows_loaded") == 1


def test_rules_name_columns_of_the_contract() -> None:
    for table, column in [*rows.KNOWN_VALUES, *rows.RANGES]:
        assert column in TABLES[table].by_name
    for table, columns in [*rows.HAPPENED.items(), *rows.SELF_REFERENCES.items()]:
        assert set(columns) <= set(TABLES[table].by_name)
    for table, pairs in [*rows.ORDERED.items(), *rows.NEEDED.items()]:
        assert {name for pair in pairs for name in pair} <= set(TABLES[table].by_name)
