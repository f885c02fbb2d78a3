"""The suites on real loads and on marts made by hand: what they find, whom they name, what they let pass."""

import csv
from datetime import date, datetime, timedelta

import duckdb
import pytest

from expectations.arrivals import OPS_TABLES, accept_arrivals, profile_arrivals
from expectations.judging import RAW_HOURS
from expectations.marts import FAMILIES, MART_SUITES
from expectations.profiles import profile_marts
from expectations.raw import CATEGORIES, DESCRIBED, HOURLY, RAW_SUITES, UNUSUAL, activity_types
from expectations.rules import Rule, Suite
from expectations.runner import run_suites
from orchestration.contract import TABLES
from orchestration.loading import load_landing
from orchestration.replaying import close_replaced
from orchestration.variables import PROJECT_DIR

ACCOUNTS = "account_id,account_name,is_internal,created_at,_deleted,_loaded_at"
TICKETS = "ticket_id,status,channel,is_spam,is_agent_initiated,created_at"
COSTS = "cost_id,cost_month,cost_type,amount,currency,user_id"
INVOICES = "invoice_id,account_id,subscription_id,issued_at,currency,amount_subtotal,amount_paid,status"
SUBSCRIPTIONS = "subscription_id,account_id,status,currency,started_at,ended_at"


class Nights:
    """A landing folder and a build file, loaded night after night."""

    def __init__(self, folder):
        self.landing = folder / "landing"
        self.landing.mkdir()
        self.build_file = folder / "warehouse.duckdb"
        self.number = 0

    def run(self, files=None, *, publish=True, judge=True):
        """Land `files` (table -> lines), load, check; the findings as (rule, table, severity)."""
        self.number += 1
        for table, lines in (files or {}).items():
            folder = self.landing / table
            folder.mkdir(exist_ok=True)
            (folder / f"{self.number}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        now = datetime(2025, 1, 1, 2) + timedelta(days=self.number)
        run_id = f"run{self.number}"
        with duckdb.connect(str(self.build_file)) as con:
            load_landing(con, self.landing, run_id=run_id, loaded_at=now, progress=lambda _: None)
            close_replaced(con, run_id=run_id, now=now)
            profile_arrivals(con, run_id, now.date())
        self.results = run_suites(self.build_file, RAW_SUITES) if judge else []
        findings = [finding for result in self.results for finding in result.findings]
        if publish:
            with duckdb.connect(str(self.build_file)) as con:
                accept_arrivals(con, run_id)
        self.findings = {(finding.rule, finding.table): finding for finding in findings}
        return {(finding.rule, finding.table, finding.severity) for finding in findings}

    def contradictions(self, files, *, publish=True):
        """Land `files`; the contradictions of tonight as cause -> who."""
        self.run(files, judge=False, publish=publish)
        with duckdb.connect(str(self.build_file), read_only=True) as con:
            return dict(con.execute("select cause, examples from ops.raw_contradictions where n_judged > 0").fetchall())


@pytest.fixture
def nights(tmp_path):
    return Nights(tmp_path)


def accounts(numbers, *, deleted=False, loaded="2025-01-01 00:00:00"):
    return [ACCOUNTS, *(f"a{n},Name {n},false,2024-01-01 00:00:00,{deleted},{loaded}" for n in numbers)]


def tickets(night, count, *, channel="email"):
    return [TICKETS, *(f"t{night}-{n},new,{channel},false,false,2025-01-01 00:00:00" for n in range(count))]


def costs(night, count, *, amount=100, user="u1"):
    return [COSTS, *(f"c{night}-{n},2025-01-01,cs_team,{amount + n % 3},EUR,{user}" for n in range(count))]


def test_a_first_night_passes_however_small(nights):
    assert nights.run({"crm_accounts": accounts(range(2)), "fin_costs": costs(0, 1)}) == set()
    assert all(set(result.passed) == set(result.rules) for result in nights.results)
    assert {result.suite for result in nights.results} == {f"raw_{table.area}" for table in TABLES.values()}


def test_a_night_without_files_passes(nights):
    nights.run({"crm_accounts": accounts(range(2))})
    assert nights.run() == set()


def test_strange_values_that_decide_nothing_are_named_and_let_through(nights):
    strange = [*tickets(0, 3), *tickets(1, 1, channel="fax")[1:], *tickets(2, 1, channel=" Email ")[1:]]
    feedback = ["feedback_id,source,collected_at,body,sentiment", "f1,social,2024-12-01,Fine,1.5"]
    assert nights.run({"support_tickets": strange, "feedback_items": feedback}) == {
        ("values_are_known", "support_tickets", "warning"),
        ("numbers_are_in_range", "feedback_items", "warning"),
    }
    assert nights.findings["values_are_known", "support_tickets"].rows == [
        "column_name=channel, examples=fax, n_rows=5, n_unknown=1"
    ]
    assert nights.findings["numbers_are_in_range", "feedback_items"].rows == [
        "column_name=sentiment, examples=1.5, n_rows=1, n_out_of_range=1"
    ]


def test_a_type_of_activity_that_the_seed_weighs_is_known(nights, monkeypatch, tmp_path):
    (tmp_path / "engagement_weights.csv").write_text("activity_type,weight\ncall,3\nwebinar,5\n")
    monkeypatch.setitem(DESCRIBED, ("cs_activities", "activity_type"), activity_types(tmp_path))
    header = "activity_id,account_id,user_id,activity_type,direction,is_automated,status,occurred_at"
    came = [f"x{n},a1,u1,{kind},outbound,false,completed,2024-12-01" for n, kind in enumerate(["Webinar", "podcast"])]
    nights.run({"cs_activities": [header, *came]})
    assert nights.findings["values_are_known", "cs_activities"].rows == [
        "column_name=activity_type, examples=podcast, n_rows=2, n_unknown=1"
    ]


def test_a_table_deleted_in_one_night_blocks_until_it_is_brought_back(nights):
    nights.run({"crm_accounts": accounts(range(150))})
    few = accounts(range(10), deleted=True, loaded="2025-01-02 00:00:00")
    assert nights.run({"crm_accounts": few}) == set()

    most = accounts(range(10, 100), deleted=True, loaded="2025-01-03 00:00:00")
    blocked = {("deletions_are_few", "crm_accounts", "error")}
    assert nights.run({"crm_accounts": most}, publish=False) == blocked
    assert nights.run(publish=False) == blocked, "a blocked load blocks again while nobody mends it"

    mended = accounts(range(10, 100), loaded="2025-01-04 00:00:00")
    assert nights.run({"crm_accounts": mended}) == set()


def test_deletions_are_a_share_of_the_rows_that_stand_however_often_they_came(nights):
    def whole(night, n_deleted):
        lines = costs(0, 200)[1:]
        return [f"{COSTS},night,_deleted", *(f"{line},{night},{n < n_deleted}" for n, line in enumerate(lines))]

    for night in range(3):
        nights.run({"fin_costs": whole(night, 0)}, judge=False)
    blocked = {("deletions_are_few", "fin_costs", "error")}
    assert nights.run({"fin_costs": whole(3, 101)}, publish=False) == blocked, "101 of 200"
    assert nights.run({"fin_costs": whole(4, 90)}) == set(), "90 of 200"
    assert nights.run({"fin_costs": whole(5, 110)}) == set(), "20 of 110: the others were gone before"


def test_volume_missing_values_and_scale_are_judged_against_earlier_nights(nights):
    for night in range(22):
        landed = {"support_tickets": tickets(night, 400 + 10 * (night % 3)), "fin_costs": costs(night, 60)}
        nights.run(landed, judge=night >= 20)
        assert nights.findings == {}
    landed = {"support_tickets": tickets(22, 240), "fin_costs": costs(22, 60, amount=10_000, user="")}
    found = nights.run(landed, publish=False)
    assert ("delivery_is_whole", "support_tickets", "error") in found
    assert ("missing_values_are_usual_elsewhere", "fin_costs", "warning") in found
    assert ("scale_is_usual", "fin_costs", "error") in found
    assert "usual_rows=410.0" in nights.findings["delivery_is_whole", "support_tickets"].rows[0]


def test_a_few_amounts_that_are_larger_are_no_other_unit(nights):
    for night in range(6):
        nights.run({"fin_costs": costs(night, 20)}, judge=False)
    assert nights.run({"fin_costs": costs(6, 19, amount=1000)}, publish=False) == set()
    assert nights.run({"fin_costs": costs(7, 20, amount=1000)}, publish=False) == {
        ("scale_is_usual", "fin_costs", "error")
    }


def test_unhappy_answers_are_no_other_scale(nights):
    survey = "survey_id,survey_type,survey_name,scale_min,scale_max,higher_is_better,positive_threshold"

    def evidence(*scores, judge=False, figure="scale_evidence"):
        lines = [f"r{nights.number}-{n},s1,2024-12-01,{score}" for n, score in enumerate(scores)]
        nights.run({"survey_responses": ["response_id,survey_id,responded_at,score", *lines]}, judge=judge)
        with duckdb.connect(str(nights.build_file), read_only=True) as con:
            return con.execute(f"select round({figure}, 2) from ops.raw_scores").fetchone()[0]

    nights.run({"surveys": [survey, "s1,csat,Fine,0,1,true,1"]}, judge=False)
    assert evidence(*[1] * 11, 0, figure="usual_share") is None, "nothing came before"
    for _ in range(5):
        evidence(*[1] * 11, 0)
    assert evidence(0, 0, 0, 0) is None, "four"
    # 10 of 76 were bad before: 3 ln((3/5) / (11/77)) + 2 ln((2/5) / (67/77))
    assert evidence(0, 0, 0, 1, 1, judge=True) == 2.75
    assert nights.findings == {}
    # 13 of 81: 8 ln(1 / (14/82))
    assert evidence(*[0] * 8, judge=True) == 14.14
    assert set(nights.findings) == {("scores_keep_their_scale", "survey_responses")}


def test_a_shifted_clock_blocks_from_two_hours_on_and_is_told_of_once(nights):
    def shifted(hours):
        number = nights.number
        lines = [
            f"t{number}-{n},new,email,false,false,2025-01-{number + 1:02} {8 + hours + hour:02}:30:00"
            for n, hour in enumerate([0, 1, 1, 2, 2, 2, 2, 3, 3, 4] * 10)
        ]
        return {"support_tickets": [TICKETS, *lines]}

    for hours in [0] * 8:
        nights.run(shifted(hours), judge=False)
    assert nights.run(shifted(-1)) == {("clock_is_usual_to_the_hour", "support_tickets", "warning")}
    assert nights.run(shifted(-1)) == set(), "summer time goes on"
    assert nights.run(shifted(2), publish=False) == {("clock_is_usual", "support_tickets", "error")}
    assert "shift_hours=2" in nights.findings["clock_is_usual", "support_tickets"].rows[0]


@pytest.mark.parametrize(
    ("hours", "tonight", "found"),
    [
        # none of 600 rows at three o'clock, all at twelve: 10 ln(601 / 1), whatever was before the sixty nights
        ([15] * 10 + [12] * 60, 15, [(3, 63.99, None)]),
        # 590 at twelve, 10 at three: 10 ln(591 / 11), which is what the night of those ten had
        ([15] + [12] * 59, 15, [(3, 0.0, None)]),
        ([15] + [12] * 59, 13, [(1, None, 63.82)]),
        ([12] * 6, 15, []),
    ],
    ids=["nights before the last sixty", "a shift that was published", "another shift", "no week of nights"],
)
def test_the_clock_is_that_of_the_last_sixty_nights(hours, tonight, found):
    with duckdb.connect() as con:
        con.execute("create schema ops")
        con.execute(OPS_TABLES)
        for number, hour in enumerate([*hours, tonight]):
            night = f"run{number}"
            rows = 10 if len(hours) > 6 else 100
            con.execute(
                "insert into ops.arrived_hours values (?, 'support_tickets', 'created_at', ?, ?)", [night, hour, rows]
            )
            con.execute(
                "insert into ops.arrivals by name "
                "select ? as run_id, 'support_tickets' as table_name, 1 as rows_before, ? as last_load_id",
                [night, number],
            )
        con.execute(RAW_HOURS, {"run": f"run{len(hours)}"})
        shifts = con.execute("select shift_hours, round(shift_evidence, 2), round(hour_evidence, 2) from ops.raw_hours")
        assert shifts.fetchall() == found


def test_a_nightly_table_that_does_not_come_is_shown_the_same_night(nights):
    for night in range(12):
        nights.run({"support_tickets": tickets(night, 50)}, judge=False)
    assert nights.run() == {("arrives_on_time", "support_tickets", "warning")}


def test_yesterdays_file_sent_again_blocks_under_any_name(nights):
    for night in range(6):
        nights.run({"support_tickets": tickets(night, 50)}, judge=False)
    blocked = {("delivery_is_new", "support_tickets", "error")}
    assert nights.run({"support_tickets": tickets(5, 50)}, publish=False) == blocked, "the same bytes"
    (nights.landing / "support_tickets" / "7.csv").unlink()
    assert nights.run({"support_tickets": [*tickets(5, 49), ""]}, publish=False) == blocked, "the same rows"


def test_a_header_alone_blocks_where_many_rows_came_and_is_a_quiet_day_elsewhere(nights):
    for night in range(8):
        nights.run({"support_tickets": tickets(night, 20), "fin_costs": costs(night, 1)}, judge=False)
    blocked = {("delivery_is_not_empty", "support_tickets", "error")}
    empty = {"support_tickets": [TICKETS], "fin_costs": [COSTS]}
    assert nights.run(empty, publish=False) == blocked
    assert nights.run({"support_tickets": tickets(8, 20)}) == set()
    assert nights.run(empty) == blocked, "the bytes of the night before are no rows sent again"


def test_a_file_of_long_ago_sent_again_blocks(nights):
    for night in range(12):
        nights.run({"support_tickets": tickets(night, 50)}, judge=False)
    again = nights.run({"support_tickets": tickets(1, 50)}, publish=False)
    assert again == {("delivery_is_new", "support_tickets", "error")}


def test_rows_of_one_file_that_contradict_each_other_block(nights):
    twice = [*costs(0, 2), "c0-1,2025-01-01,cs_team,999,EUR,u1"]
    assert nights.run({"fin_costs": [*costs(0, 2), costs(0, 2)[1]]}) == set(), "an exact repeat is harmless"
    loaded_at = [f"{line},2025-01-01 00:00:00" if n else f"{line},_loaded_at" for n, line in enumerate(twice)]
    assert nights.run({"fin_costs": loaded_at}) == {("copies_agree", "fin_costs", "error")}


def test_of_two_rows_of_one_instant_the_checks_read_the_one_that_staging_reads(nights):
    def cost(amount, loaded):
        return {"fin_costs": [f"{COSTS},_loaded_at", f"c9,2025-01-01,cs_team,{amount},EUR,u1,{loaded}"]}

    blocked = {("cost_does_not_fit_its_type", "fin_costs", "error")}
    nights.run({"fin_costs": costs(0, 10)}, judge=False)
    assert nights.run(cost(10000, "2025-01-03 00:00:00"), publish=False) == blocked
    assert nights.run(cost(100, "2025-01-03 00:00:00"), publish=False) == blocked, "10000 is what staging reads"
    assert nights.run(cost(100, "2025-01-03 00:00:01")) == set()


def test_rows_withdrawn_are_no_rows_sent_again(nights):
    for night in range(6):
        nights.run({"fin_costs": costs(night, 10)}, judge=False)
    withdrawn = [f"{COSTS},_deleted", *(f"{line},true" for line in costs(5, 8)[1:])]
    assert nights.run({"fin_costs": withdrawn}) == set()


def test_a_copy_that_withdraws_its_row_contradicts_the_one_that_does_not(nights):
    nights.run({"fin_costs": costs(0, 2)})
    twice = [f"{COSTS},_deleted", *(f"{costs(1, 1)[1]},{deleted}" for deleted in ("false", "true"))]
    assert nights.run({"fin_costs": twice}) == {("copies_agree", "fin_costs", "error")}


def test_a_subscription_that_should_have_ended_long_ago_is_told_of_once(nights):
    def billed(subscription_id, loaded, status="active", asked=""):
        row = f"{subscription_id},a1,{status},EUR,2023-01-01 00:00:00,,{asked},{loaded} 00:00:00"
        return {"billing_subscriptions": [f"{SUBSCRIPTIONS},cancel_requested_at,_loaded_at", row]}

    overdue = ("ended_without_a_date", "billing_subscriptions", "error")
    nights.run({"crm_accounts": accounts(range(2)), **billed("s0", "2025-01-01")})
    assert nights.run(billed("s1", "2025-01-02", "canceled", "2023-12-01 00:00:00")) == set(), "398 days"
    assert nights.run(billed("s2", "2025-01-04")) == set(), "400 days"
    assert nights.run(billed("s3", "2025-01-05"), publish=False) == {overdue}
    assert nights.findings[overdue[:2]].rows == ["n_new=1, n_all=1, examples=s1, n_judged=1"]
    assert nights.run() == {overdue}, "a night that was not published is judged again"
    assert nights.run(billed("s4", "2025-01-06")) == set()


def test_rows_wait_for_their_parent_and_are_counted(nights):
    answers = ["response_id,survey_id,account_id,responded_at,score"]
    answers += ["r1,s1,a1,2024-12-01,5", "r2,s1,a9,2024-12-01,5"]
    survey = ["survey_id,survey_type,survey_name,scale_min,scale_max,higher_is_better,positive_threshold"]
    first = {
        "crm_accounts": accounts([1]),
        "surveys": [*survey, "s1,csat,Fine,1,5,true,4"],
        "survey_responses": answers,
    }
    assert nights.run(first) == {("parents_are_known", "survey_responses", "warning")}
    [row] = nights.findings["parents_are_known", "survey_responses"].rows
    assert row == "column_name=account_id, n_orphans=1, n_waiting=1, examples=a9"
    assert nights.run({"fin_costs": costs(0, 40)}) == {("parents_are_known", "survey_responses", "warning")}, "it waits"
    [row] = nights.findings["parents_are_known", "survey_responses"].rows
    assert row == "column_name=account_id, n_orphans=0, n_waiting=1, examples=a9"
    assert nights.run({"crm_accounts": accounts([9])}) == set()


def test_blanks_around_an_id_that_staging_takes_off_are_none_to_the_checks(nights):
    def billed(*lines):
        return {"billing_subscriptions": [f"{SUBSCRIPTIONS},_loaded_at", *lines]}

    spoken = "s1,a1,active,EUR,2024-06-01 00:00:00,,2025-01-02 00:00:00"
    nights.run({"crm_accounts": accounts(range(2)), **billed(spoken)})
    again = spoken.replace("a1", "a1\t").replace("EUR", "eur").replace("2025-01-02", "2025-01-03")
    assert nights.run(billed(again)) == set()
    nights.run({"support_tickets": [f"{TICKETS},account_id", "t1,new,e-mail\t,false,false,2025-01-01,a1\t"]})
    assert set(nights.findings) == {("values_are_known", "support_tickets")}
    assert nights.run({"support_tickets": [TICKETS, "t2,new,email\t,false,false,2025-01-01"]}) == set()


def test_most_rows_in_quarantine_block_and_are_shown_at_first(nights):
    def bad(night):
        return [f"c{night}-bad{n},2025-01-01,cs_team,twelve,EUR,u1" for n in range(6)]

    assert nights.run({"fin_costs": [*costs(0, 40), *bad(0)]}) == {
        ("most_rows_of_a_first_load_fit", "fin_costs", "warning")
    }
    assert nights.run({"fin_costs": [*costs(1, 40), *bad(1)]}, publish=False) == {
        ("most_rows_can_be_loaded", "fin_costs", "error")
    }
    assert nights.run({"fin_costs": costs(2, 40)}) == set(), "a later delivery mends the share"


def test_a_first_load_is_shown_what_would_block_later(nights):
    answers = ["response_id,survey_id,account_id,responded_at,score"]
    answers += [f"r{n},s1,a{n},2024-12-01,5" for n in range(1, 10)]
    survey = ["survey_id,survey_type,survey_name,scale_min,scale_max,higher_is_better,positive_threshold"]
    costs_twice = [f"{COSTS},_loaded_at", *(f"c1,2025-01-01,cs_team,{n},EUR,u1,2025-01-01 00:00:00" for n in (5, 6))]
    first = {
        "crm_accounts": accounts([1]),
        "surveys": [*survey, "s1,csat,Fine,1,5,true,4"],
        "survey_responses": answers,
        "fin_costs": costs_twice,
    }
    assert nights.run(first) == {
        ("parents_are_known", "survey_responses", "warning"),
        ("copies_of_a_first_load_agree", "fin_costs", "warning"),
    }


def test_contradictions_are_found_in_upper_and_lower_case(nights):
    deals = "opportunity_id,account_id,opportunity_type,stage,is_closed,is_won,created_at,close_date"
    first = {
        "crm_accounts": accounts([1, 2]),
        "billing_subscriptions": [SUBSCRIPTIONS, "s1,a1,Active,usd,2024-01-01,", " s2 ,a2,active,USD,2024-01-01,"],
        "fin_exchange_rates": ["rate_date,from_currency,to_currency,rate", "2024-12-30,EUR,USD,1.1"],
    }
    assert nights.contradictions(first) == {}
    second = {
        "crm_accounts": accounts([1], deleted=True, loaded="2025-01-02 00:00:00"),
        "billing_subscriptions": [
            SUBSCRIPTIONS,
            "s3,a2,Canceled,USD,2024-01-01,",
            "s2,a2,canceled,USD,2024-01-01,2024-12-31",
            "s4,a2,active,USD,2024-01-01,",
        ],
        "billing_invoices": [INVOICES, "i1,a1,s1,2024-12-01,USD,100,100,paid"],
        "crm_opportunities": [deals, "o1,a2,Renewal,lost,true,false,2024-11-01,2024-12-20"],
        "fin_exchange_rates": ["rate_date,from_currency,to_currency,rate", "2024-12-31,eur,usd,2.2"],
    }
    assert nights.contradictions(second) == {
        "gone_in_crm_but_live_in_billing": "s1",
        "ended_without_a_date": "s3",
        "lost_in_crm_but_live_in_billing": "s4",
        "rate_jumps": "EUR/USD 2024-12-31",
    }


def test_ids_that_stand_for_one_account_contradict_nothing(nights):
    merged = "account_id,account_name,is_internal,created_at,merged_into_account_id"
    first = {
        "crm_accounts": accounts([1, 2, 3, 4, 5]),
        "crm_account_links": ["source_system,source_account_id,account_id", "stripe,cus_1,a1", "segment,ws_5,a5"],
        "billing_subscriptions": [
            SUBSCRIPTIONS,
            *(f"s{n},a1,active,USD,2024-01-01," for n in (1, 2, 3, 4, 5)),
            "s6,a5,canceled,USD,2023-01-01,2024-01-01",
        ],
        "billing_invoices": [INVOICES, "i1,a1,s1,2024-12-01,USD,100,100,paid"],
    }
    assert nights.contradictions(first) == {}
    second = {
        # a1 is a3 now, by way of a2
        "crm_accounts": [merged, "a1,Name 1,false,2024-01-01,a2", "a2,Name 2,false,2024-01-01,a3"],
        "billing_subscriptions": [
            SUBSCRIPTIONS,
            "s1,a3,active,USD,2024-01-01,",  # i1 says a1
            "s3,cus_1,active,USD,2024-01-01,",
            "s4,a4,active,USD,2024-01-01,",
        ],
        "billing_invoices": [
            INVOICES,
            "i2,a3,s2,2024-12-31,USD,100,100,paid",
            "i3,cus_1,s2,2024-12-31,USD,100,100,paid",
            "i5,a4,s5,2024-12-31,USD,100,100,paid",
        ],
        "product_events": ["event_id,account_id,user_id,event_name,occurred_at", "e1,ws_5,u1,used,2024-12-31"],
    }
    assert nights.contradictions(second) == {
        "invoice_contradicts_subscription": "i5",
        "subscription_changes_hands": "s4",
        "usage_after_churn": "a5",
    }
    # a deleted account leads nowhere, merged or not: what else names it would count for nobody
    third = {
        "crm_accounts": [f"{merged},_deleted", "a3,Name 3,false,2024-01-01,a4,true"],
        "billing_subscriptions": [SUBSCRIPTIONS, "s1,a4,active,USD,2024-01-01,"],
    }
    assert nights.contradictions(third)["subscription_changes_hands"] == "s1"


def test_amounts_are_held_against_those_of_the_nights_before_in_their_currency(nights):
    items = (
        "item_version_id,item_id,subscription_id,plan_id,quantity,unit_amount,discount_pct,"
        "billing_interval,interval_count,is_recurring,effective_from"
    )

    def priced(number, amount):
        return f"v{number},i{number},s{number},pro,1,{amount},0,Month,1,true,2024-01-01"

    first = {
        "crm_accounts": accounts(range(12)),
        "billing_subscriptions": [
            SUBSCRIPTIONS,
            *(f"s{n},a{n},active,{'JPY' if n == 11 else 'USD'},2024-01-01," for n in range(12)),
        ],
        "billing_subscription_items": [items, *(priced(n, 49) for n in range(8))],
        "billing_invoices": [INVOICES, "i1,a1,,2024-12-01,USD,49,49,paid", "i2,a2,,2024-12-01,USD,49,49,paid"],
        "fin_costs": costs(0, 8),
    }
    assert nights.contradictions(first) == {}
    # all tables come whole; 7500 yen are no 7500 dollars; 4900 dollars are 49 in cents
    second = {
        "billing_subscription_items": [items, *(priced(n, 49) for n in range(8)), priced(10, 4900), priced(11, 7500)],
        "billing_invoices": [
            *first["billing_invoices"],
            "i3,a1,,2024-12-31,USD,4900,0,open",
            "i4,a2,,2024-12-31,JPY,7500,0,open",
        ],
        "fin_costs": [*costs(0, 8), "c2,2025-01-01,cs_team,10000,eur,u1", "c3,2025-01-01,cs_team,10000,JPY,u1"],
    }
    assert nights.contradictions(second) == {
        "price_does_not_fit_its_plan": "v10",
        "invoice_does_not_fit_its_account": "i3",
        "cost_does_not_fit_its_type": "c2",
    }
    assert nights.contradictions({"billing_subscription_items": [*second["billing_subscription_items"], ""]}) == {}, (
        "a price that was let pass is told of once, though the table comes whole"
    )


def test_a_rule_that_cannot_be_checked_blocks(nights):
    nights.run({"crm_accounts": accounts(range(2))})
    broken = Rule(
        name="broken",
        profile="raw_tables",
        kind="ExpectColumnValuesToBeBetween",
        arguments={"column": "no_such_column", "max_value": 0},
        severity="warning",
        remedy="none",
        where=("area", "crm"),
        identify=("table_name",),
    )
    [result] = run_suites(nights.build_file, [Suite("broken", [broken])])
    assert result.passed == []
    assert result.findings[0].severity == "error"
    assert "no_such_column" in result.findings[0].rows[0]


def test_no_row_is_lost_however_many_are_refused(tmp_path):
    build_file = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(build_file)) as con:
        con.execute("create schema ops")
        con.execute(
            """create table ops.figures as
            select case when range % 40 = 0 then 'crm' else 'support' end as area, 'table' || range as name, 1 as figure
            from range(80)"""
        )
    rules = [
        Rule(
            name=f"{area}_figures",
            profile="figures",
            kind="ExpectColumnValuesToBeBetween",
            arguments={"column": "figure", "max_value": 0},
            severity="error",
            remedy="none",
            where=("area", area),
            identify=("name",),
        )
        for area in ("crm", "support", "billing")
    ]
    [result] = run_suites(build_file, [Suite("figures", rules)])
    assert result.passed == ["billing_figures"]
    assert {finding.table for finding in result.findings if finding.rule == "crm_figures"} == {"table0", "table40"}
    assert len({finding.table for finding in result.findings}) == 80


def marts(folder, statements, *, as_of="2025-03-31", published=()):
    """Findings on marts made by these statements, after a publication made by `published`."""
    build_file, marts_file = folder / "warehouse.duckdb", folder / "marts.duckdb"
    if published:
        with duckdb.connect(str(marts_file)) as con:
            for statement in published:
                con.execute(statement)
    with duckdb.connect(str(build_file)) as con:
        con.execute("create schema ops; create schema marts; use marts")
        for statement in statements:
            con.execute(statement)
        con.execute("use main")
        profile_marts(con, date.fromisoformat(as_of), marts_file)
    return {
        (finding.rule, finding.table, finding.severity)
        for result in run_suites(build_file, [suite for suite in MART_SUITES if suite.name != "books"])
        for finding in result.findings
    }


def kpi(name, values, quarters=()):
    rows = ", ".join(
        f"('{period}', date '2024-01-01' + interval {n} {period}, 'all', 'all', {value}, true)"
        for period, each in (("month", values), ("quarter", quarters))
        for n, value in enumerate(each)
    )
    columns = "period_type, period_start, segment_type, segment_value, value, is_complete"
    return (
        f"create table kpi_{name} as select * replace (value::double as value) from (values {rows}) as rows({columns})"
    )


def test_values_that_arithmetic_forbids_block(tmp_path):
    found = marts(
        tmp_path,
        [
            kpi("net_promoter_score", ["-100", "100", "null"]),
            kpi("customer_churn_rate", ["0.2", "1.5"]),
            kpi("usage_frequency", ["0.5"]),
            kpi("mrr", ["'infinity'"]),
            kpi("net_revenue_retention", ["2.5", "-0.1"]),
        ],
    )
    assert found == {
        ("values_not_too_high", "kpi_customer_churn_rate", "error"),
        ("values_not_too_low", "kpi_usage_frequency", "error"),
        ("values_are_finite", "kpi_mrr", "error"),
    }


def test_a_move_far_beyond_all_before_is_shown(tmp_path):
    steady = [str(100 + (n % 4)) for n in range(14)]
    found = marts(tmp_path, [kpi("mrr", [*steady, "150"]), kpi("usage_frequency", ["1"] * 5 + ["31"])])
    assert found == {("moves_are_usual", "kpi_mrr", "warning")}


def test_the_last_move_of_a_period_type_stands_beside_its_own_moves_before(tmp_path):
    steady = [str(100 + (n % 4)) for n in range(14)]
    # the last quarter begins before the last month; in the spread of its own moves 150 would be no jump
    found = marts(tmp_path, [kpi("mrr", ["100"] * 60, [*steady, "150"])])
    assert found == {("moves_are_usual", "kpi_mrr", "warning")}


META = "create table meta_publication as select date '2025-03-30' as as_of_date"
MANY = "create table fct_tickets as select range as ticket_id from range(1000)"
FEW = "create table fct_tickets as select range as ticket_id from range(400)"


@pytest.mark.parametrize(
    ("as_of", "published", "is_blocked"),
    [("2025-03-31", [META, MANY], True), ("2024-12-31", [META, MANY], False), ("2025-03-31", [], False)],
    ids=["rows gone", "a past night built again", "first night"],
)
def test_most_rows_gone_since_the_last_publication_blocks(as_of, published, is_blocked, tmp_path):
    found = marts(tmp_path, [FEW], as_of=as_of, published=published)
    assert found == ({("history_is_kept", "fct_tickets", "error")} if is_blocked else set())


def test_every_kpi_of_the_catalogue_is_in_its_family():
    with (PROJECT_DIR / "seeds" / "kpi_catalog.csv").open(encoding="utf-8") as catalog:
        catalogued = {row["kpi_id"]: row["category"] for row in csv.DictReader(catalog)}
    assert {kpi: family for family, kpis in FAMILIES.items() for kpi in kpis} == catalogued


def test_rules_name_columns_of_the_contract():
    for table, column in [*DESCRIBED, *UNUSUAL, *HOURLY.items()]:
        assert column in TABLES[table].by_name
    for table, columns in CATEGORIES.items():
        assert set(columns) <= set(TABLES[table].by_name)
