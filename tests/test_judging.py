"""Bands on nights made by hand: what blocks, what a blocked night takes to be mended, and which quiet days pass."""

from datetime import date, datetime, timedelta

import duckdb
import pytest

from expectations.arrivals import OPS_TABLES, accept_arrivals, profile_arrivals
from expectations.judging import RAW_HOURS, RAW_TABLES
from expectations.raw import RAW_SUITES
from orchestration.contract import TABLES
from orchestration.loading import load_landing
from orchestration.replaying import close_replaced, replay

HEADERS = {
    "crm_accounts": "account_id,account_name,is_internal,created_at,merged_into_account_id",
    "crm_contacts": "contact_id,account_id,created_at",
    "crm_opportunities": "opportunity_id,account_id,opportunity_type,stage,is_closed,created_at",
    "crm_users": "user_id,full_name,role,active_from",
    "surveys": "survey_id,survey_type,survey_name,scale_min,scale_max,higher_is_better,positive_threshold",
    "billing_invoices": "invoice_id,account_id,issued_at,paid_at,currency,amount_subtotal,amount_paid,status",
    "billing_refunds": "refund_id,invoice_id,amount,currency,refunded_at",
    "product_events": "event_id,account_id,user_id,event_name,feature_key,occurred_at",
    "support_tickets": "ticket_id,status,is_spam,is_agent_initiated,created_at",
    "support_ticket_events": "event_id,ticket_id,event_type,actor_type,occurred_at",
    "survey_responses": "response_id,survey_id,account_id,responded_at,score",
    "cs_activities": "activity_id,account_id,user_id,activity_type,direction,is_automated,status,occurred_at",
    "cs_health_ratings": "account_id,user_id,rated_at,colour",
    "fin_costs": "cost_id,cost_month,cost_type,amount,currency",
    "fin_exchange_rates": "rate_date,from_currency,to_currency,rate",
}


class Nights:
    """A landing folder and a build in memory, loaded night after night; `day` is that of the last one."""

    def __init__(self, folder):
        self.landing = folder / "landing"
        self.con = duckdb.connect()
        self.day = datetime(2025, 1, 1, 2)
        self.runs = 0

    def run(self, files, *, headers=None, publish=True, days=1):
        """Land `files` (table -> rows) `days` after the last night, load and measure; broken rules as (rule, table)."""
        headers = HEADERS | (headers or {})
        self.day += timedelta(days=days)
        self.runs += 1
        for table, rows in files.items():
            path = self.landing / table / f"{self.runs:03}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join([headers[table], *rows]) + "\n", encoding="utf-8")
        run_id = f"run{self.runs}"
        now = self.day + timedelta(minutes=self.runs)  # what comes again on the same day comes later
        load_landing(self.con, self.landing, run_id=run_id, loaded_at=now, progress=lambda _: None)
        close_replaced(self.con, run_id=run_id, now=now)
        profile_arrivals(self.con, run_id, self.day.date())
        if publish:
            accept_arrivals(self.con, run_id)
        return broken(self.con)


def broken(con, severity="error"):
    """The rules of this severity that what was measured breaks, as (rule, table)."""
    found = set()
    for rule in (rule for suite in RAW_SUITES for rule in suite.rules if rule.severity == severity):
        column = rule.arguments["column"]
        low, high = rule.arguments.get("min_value", "-inf"), rule.arguments.get("max_value", "inf")
        rows = con.execute(
            f"select distinct table_name from ops.{rule.profile} where {rule.where[0]} = ? "
            f"and {column}::double not between ?::double and ?::double",
            [rule.where[1], low, high],
        )
        found |= {(rule.name, table) for (table,) in rows.fetchall()}
    return found


@pytest.fixture
def nights(tmp_path):
    return Nights(tmp_path)


def usual(number, day, *, hour=9):
    """What a company of forty accounts delivers every night; ids begin with the night's number."""
    return {
        "crm_accounts": [f"a{n},Name {number},false,2024-01-01," for n in range(40)],
        "product_events": [f"e{number}-{n},a{n},u{n},use,f1,{day:%F} 09:00" for n in range(40)],
        "support_tickets": [f"t{number}-{n},new,false,false,{day:%F} {hour + n % 3:02}:00" for n in range(80)],
        "support_ticket_events": [f"x{number}-{n},t0-{n},assigned,agent,{day:%F} 09:00" for n in range(40)],
        "survey_responses": [f"r{number}-{n},s1,a{n},{day:%F},{9 + n % 2}" for n in range(40)],
        "billing_invoices": [f"i{number}-{n},a{n},{day:%F},{day:%F},EUR,1234.50,1234.50,paid" for n in range(40)],
        "billing_refunds": [f"r{number}-{n},i{number}-{n},10.00,EUR,{day:%F}" for n in range(40)],
        "cs_activities": [f"c{number}-{n},a{n},u1,call,outbound,false,completed,{day:%F}" for n in range(40)],
        "cs_health_ratings": [f"a{n},u1,{day:%F} 09:00,green" for n in range(4)],
        "fin_costs": [f"c{number}-{n},2025-01-01,cs_team,{100 + n % 3},EUR" for n in range(40)],
    }


def test_a_blocked_night_is_mended_by_what_its_message_asks_for(nights):
    known = {"crm_users": ["u1,Ann,csm,2024-01-01"], "surveys": ["s1,nps,Us,0,10,true,9"]}
    assert nights.run(known | usual(0, nights.day)) == set()
    for number in range(1, 8):
        assert nights.run(usual(number, nights.day)) == set()
    yesterday, day = nights.runs - 1, nights.day
    right = usual(yesterday + 1, day)

    def wrong(table, old, new):
        return [row.replace(old, new) for row in right[table]]

    spoiled = {
        "crm_accounts": right["crm_accounts"],
        "product_events": wrong("product_events", ",f1,", ",,"),
        "support_tickets": usual(yesterday + 1, day, hour=18)["support_tickets"],
        "support_ticket_events": [*usual(yesterday, day - timedelta(days=1))["support_ticket_events"], ""],
        "survey_responses": [row.replace(",9", ",1").replace(",a", ",b") for row in right["survey_responses"]],
        "billing_invoices": wrong("billing_invoices", f",{day:%F},EUR", ",,EUR"),
        "billing_refunds": wrong("billing_refunds", "10.00", '"10,00"'),
        "cs_activities": wrong("cs_activities", "false", "true"),
        "cs_health_ratings": [*right["cs_health_ratings"], right["cs_health_ratings"][0].replace("green", "red")],
        "fin_costs": wrong("fin_costs", "cs_team,1", "cs_team,10"),
    }
    # of the ticket's events fewer are tonight's than were sent again
    right["support_ticket_events"] = right["support_ticket_events"][:8]
    renamed = {"crm_accounts": HEADERS["crm_accounts"].replace("merged_into_account_id", "merged_into")}
    assert nights.run(spoiled, headers=renamed, publish=False) == {
        ("columns_are_whole", "crm_accounts"),
        ("missing_values_are_usual", "product_events"),
        ("clock_is_usual", "support_tickets"),
        ("delivery_is_new", "support_ticket_events"),
        ("most_parents_are_known", "survey_responses"),
        ("scores_keep_their_scale", "survey_responses"),
        ("missing_values_are_usual", "billing_invoices"),
        ("most_rows_can_be_loaded", "billing_refunds"),
        ("shares_are_usual", "cs_activities"),
        ("copies_agree", "cs_health_ratings"),
        ("scale_is_usual", "fin_costs"),
    }
    assert nights.run(right, publish=False, days=0) == set()
    assert broken(nights.con, "warning") == set()


def test_a_column_is_missed_only_if_every_file_before_had_it(nights):
    for number in range(6):
        user, with_user = ("", {}) if number == 2 else (",u1", {"fin_costs": HEADERS["fin_costs"] + ",user_id"})
        nights.run({"fin_costs": [f"c{number},2025-01-01,cogs,100,EUR{user}"]}, headers=with_user)
    assert nights.run({"fin_costs": ["c6,2025-01-01,cogs,100,EUR"]}) == set()


def test_an_orphan_waits_until_its_id_is_corrected(nights):
    nights.run({"crm_accounts": ["a1,Name,false,2024-01-01,"], "crm_contacts": ["c1,a9,2024-01-01"]})
    assert broken(nights.con, "warning") == {("parents_are_known", "crm_contacts")}
    nights.run({"crm_contacts": ["c1,a1,2024-01-01"]})
    assert broken(nights.con, "warning") == set()


def test_a_role_a_type_and_a_status_of_ones_own_are_shown(nights):
    first = {
        "crm_users": ["u1,Ann,partner,2024-01-01"],
        "crm_opportunities": ["o1,a1,upsell,won,true,2024-01-01"],
        "support_tickets": ["t1,hold,false,false,2024-01-01"],
    }
    assert nights.run(first) == set()
    assert broken(nights.con, "warning") == {("values_are_known", table) for table in first}


def test_rates_of_friday_stay_in_force_at_the_weekend(nights):
    currencies = ("USD", "GBP", "JPY", "CHF", "SEK")
    for number in range(6):
        rates = [f"{nights.day:%F},{one},EUR,0.9{number}" for one in currencies]
        assert nights.run({"fin_exchange_rates": rates}) == set()
    assert nights.run({"fin_exchange_rates": rates}) == set(), "the same bytes"
    assert broken(nights.con, "warning") == {("rates_are_new", "fin_exchange_rates")}
    assert nights.run({"fin_exchange_rates": rates[::-1]}) == set(), "the same rows"


def figures(history, tonight):
    """(volume_z, n_empty) by table of the last of these deliveries (day, table -> rows), others being published."""
    with duckdb.connect() as con:
        con.execute("create schema ops")
        con.execute(OPS_TABLES)
        for number, (day, rows) in enumerate([*history, tonight]):
            for table, count in rows.items():
                con.execute(
                    "insert into ops.arrivals by name select ? as run_id, ? as area, ? as table_name, 1 as "
                    "delivered_files, ? as n_rows, ? as n_delivered, ? as rows_before, ?::date as arrived_on, "
                    "? as last_load_id, 0 as n_quarantined",
                    [f"run{number}", TABLES[table].area, table, count, count, number, day, number],
                )
        con.execute(RAW_TABLES, {"run": f"run{len(history)}", "today": tonight[0]})
        found = con.execute("select table_name, round(volume_z, 2), n_empty from ops.raw_tables").fetchall()
    return {table: (volume_z, n_empty) for table, volume_z, n_empty in found}


USUAL = {"product_events": 2000, "support_tickets": 60, "support_ticket_events": 200}
FOUR_WEEKS = [(date(2025, 1, 6) + timedelta(days=n), USUAL) for n in range(29)]
HOLIDAY = date(2025, 2, 4)


def test_a_holiday_is_shared_by_two_areas_and_a_cut_is_not():
    # areas are down to 0.1 and 0.13, the median of 0.15 and 0.11; four Tuesdays before: of the events
    # (200 - 0.2 x 2000) / sqrt(2000 x 5/4 + (0.4 x 0.87 x 2000)^2) = -0.29
    holiday = {"product_events": 200, "support_tickets": 9, "support_ticket_events": 22}
    found = figures(FOUR_WEEKS, (HOLIDAY, holiday))
    assert found == {"product_events": (-0.29, 0), "support_tickets": (-0.13, 0), "support_ticket_events": (-0.25, 0)}
    nothing = figures(FOUR_WEEKS, (HOLIDAY, holiday | {"support_ticket_events": 0}))
    assert nothing["support_ticket_events"][1] == 0

    # (60 - 9) / sqrt(60 x 5/4) and (200 - 22) / sqrt(200 x 5/4) below
    cut = figures(FOUR_WEEKS, (HOLIDAY, holiday | {"product_events": 2000}))
    assert cut == {"product_events": (0, 0), "support_tickets": (-5.89, 0), "support_ticket_events": (-11.26, 0)}
    assert figures(FOUR_WEEKS, (HOLIDAY, USUAL | {"support_tickets": 0}))["support_tickets"][1] == 1


def test_nothing_on_a_weekday_that_never_was_is_no_empty_delivery():
    week = [(date(2025, 1, 5) + timedelta(days=n), {"support_tickets": 50}) for n in range(6)]
    saturday, monday = date(2025, 1, 11), date(2025, 1, 13)
    assert figures(week, (saturday, {"support_tickets": 0}))["support_tickets"] == (None, 0)
    assert figures(week, (monday, {"support_tickets": 0}))["support_tickets"] == (None, 1)


def test_what_comes_later_on_a_day_comes_on_top():
    published = [*FOUR_WEEKS, (HOLIDAY, USUAL)]
    # (60 + 3 - 60) / sqrt(60 x 5/4)
    assert figures(published, (HOLIDAY, {"support_tickets": 3}))["support_tickets"] == (0.35, 0)


def test_rows_out_of_quarantine_are_no_delivery(nights):
    nights.run({"fin_costs": [f"c{n},2025-01-01,cogs,{'12' if n else 'twelve'},EUR" for n in range(60)]})
    nights.con.execute(
        """insert into ops.arrivals by name
        select arrivals.* replace (
            arrived_on + 7 * week::int as arrived_on, 'week' || week as run_id, 60 as rows_before)
        from ops.arrivals, range(1, 4) as weeks(week)"""
    )
    [(mended, line)] = nights.con.execute("select quarantine_id, raw_line from ops.quarantine").fetchall()
    nights.day += timedelta(days=28)
    replay(nights.con, run_id="replay", now=nights.day, repaired={mended: line.replace("twelve", "12")})
    assert nights.run({}, days=0) == set()
    assert nights.con.execute("select n_rows, volume_z from ops.raw_tables").fetchall() == [(1, None)]


@pytest.mark.parametrize(
    ("tonight", "is_shifted"),
    [
        ({10: 100, 12: 200, 14: 200, 2: 600}, False),
        ({4: 100, 6: 200, 8: 200}, True),
        ({4: 100, 6: 200, 8: 200, 2: 600}, True),
    ],
    ids=["an import on top of the usual day", "the usual day six hours early", "both"],
)
def test_rows_on_top_are_no_shifted_clock(tonight, is_shifted):
    with duckdb.connect() as con:
        con.execute("create schema ops")
        con.execute(OPS_TABLES)
        for number, hours in enumerate([{10: 100, 12: 200, 14: 200}] * 8 + [tonight]):
            con.execute(
                "insert into ops.arrivals by name "
                "select ? as run_id, 'support_tickets' as table_name, 1 as rows_before, ? as last_load_id",
                [f"run{number}", number],
            )
            for hour, count in hours.items():
                con.execute(
                    "insert into ops.arrived_hours values (?, 'support_tickets', 'created_at', ?, ?)",
                    [f"run{number}", hour, count],
                )
        con.execute(RAW_HOURS, {"run": "run8"})
        assert con.execute("select coalesce(shift_evidence, 0) > 20 from ops.raw_hours").fetchone()[0] == is_shifted
