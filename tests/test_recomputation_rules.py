"""The recomputation against cases worked by hand from the rules."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import count

import pytest

from tests.recomputation import Settings, recompute
from tests.recomputation.calendar import local_day, periods, quarter_start
from tests.recomputation.fitting import fit
from tests.recomputation.lifetime import begun_months, whole_months
from tests.recomputation.onboarding import kaplan_meier_median, percentile
from tests.recomputation.promoters import Adjusted, band, vote

LOADED = datetime(2025, 1, 1)


class Landing:
    """A small landed company, row by row; every row loaded at the same time."""

    def __init__(self) -> None:
        self.tables: dict[str, list[dict]] = {}
        self._number = count(1)

    def add(self, table, **row):
        self.tables.setdefault(table, []).append({"_loaded_at": LOADED, "_deleted": None} | row)
        return row

    def account(self, account_id, **row):
        defaults = {"account_name": account_id, "is_internal": False, "created_at": datetime(2020, 1, 1)}
        self.add("crm_accounts", account_id=account_id, **(defaults | row))

    def subscription(self, account_id, start, end=None, price=100, plan="basic", currency="USD", **row):
        """A monthly subscription of one item; `price` may be a list of (day, price) steps."""
        subscription_id = f"sub_{next(self._number)}"
        columns = {"status": "active", "currency": currency, "started_at": start, "ended_at": end} | row
        self.add("billing_subscriptions", subscription_id=subscription_id, account_id=account_id, **columns)
        self.item(subscription_id, start, price=price, plan=plan)
        return subscription_id

    def item(self, subscription_id, start, end=None, price=100, plan="basic", quantity=1, every=("month", 1), **row):
        number = next(self._number)
        columns = {
            "item_version_id": f"ver_{number}",
            "item_id": f"item_{number}",
            "subscription_id": subscription_id,
            "plan_id": plan,
            "quantity": Decimal(quantity),
            "unit_amount": Decimal(price),
            "discount_pct": Decimal(0),
            "billing_interval": every[0],
            "interval_count": every[1],
            "is_recurring": True,
            "effective_from": start,
            "effective_to": end,
        }
        self.add("billing_subscription_items", **(columns | row))

    def term(self, subscription_id, start, end, term_id="t", auto_renew=False):
        columns = {"term_start": start, "term_end": end, "auto_renew": auto_renew}
        self.add("billing_contract_terms", term_id=term_id, subscription_id=subscription_id, **columns)

    def nps(self, account_id, day, score, contact=None, **row):
        number = next(self._number)
        columns = {"response_id": f"res_{number:03d}", "survey_id": "nps", "account_id": account_id, "score": score}
        self.add("survey_responses", contact_id=contact, sent_at=day, responded_at=day, **(columns | row))

    def run(self, as_of, **settings):
        return recompute(self.tables, Settings(as_of=as_of, **({"seeds": {"plan_products": []}} | settings)))


@pytest.fixture
def landing():
    return Landing()


def one(rows, **wanted):
    found = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    assert len(found) == 1, found
    return found[0]


def movements(tables):
    return [
        (row["movement_date"], row["movement_type"], row["movement_subtype"], row["amount"])
        for row in sorted(tables["fct_mrr_movements"], key=lambda row: (row["movement_date"], row["movement_subtype"]))
    ]


def day(text):
    return datetime.fromisoformat(text)


# ----- calendar
def test_day_is_cut_after_conversion():
    assert local_day(day("2024-02-28 15:30"), "Asia/Tokyo") == date(2024, 2, 29)
    assert local_day(day("2024-03-01 04:59"), "America/New_York") == date(2024, 2, 29)


def test_fiscal_quarter_starts_with_the_fiscal_year():
    assert quarter_start(date(2024, 1, 31), 2) == date(2023, 11, 1)
    assert quarter_start(date(2024, 2, 1), 2) == date(2024, 2, 1)


def test_periods_run_to_the_month_of_as_of():
    found = {(one.type, one.start, one.end, one.is_complete) for one in periods(date(2025, 1, 1), date(2025, 2, 27), 1)}
    assert found == {
        ("month", date(2025, 1, 1), date(2025, 1, 31), True),
        ("month", date(2025, 2, 1), date(2025, 2, 28), False),
        ("quarter", date(2025, 1, 1), date(2025, 3, 31), False),
        ("ttm", date(2024, 2, 1), date(2025, 1, 31), True),
        ("ttm", date(2024, 3, 1), date(2025, 2, 28), False),
    }


# ----- recurring revenue
@pytest.mark.parametrize(
    ("every", "price", "mrr"),
    [
        (("month", 1), "100", "100.00"),
        (("month", 3), "300", "100.00"),
        (("year", 2), "2400", "100.00"),
        (("week", 1), "30", "130.00"),  # 30 x 52 / 12
        (("day", 30), "24", "24.33"),  # 24 x 365 / 360 = 24.333
        (("month", None), "100", "100.00"),
    ],
)
def test_intervals(landing, every, price, mrr):
    landing.account("a")
    landing.add(
        "billing_subscriptions",
        subscription_id="s",
        account_id="a",
        status="past_due",
        currency="USD",
        started_at=day("2024-01-01"),
    )
    landing.item("s", day("2024-01-10"), price=price, every=every)
    landing.item("s", day("2024-01-10"), price=9999, is_recurring=False)
    tables = landing.run(date(2024, 1, 31))
    assert movements(tables) == [(date(2024, 1, 10), "new", "new", Decimal(mrr))]


def test_quantity_discount_trial_and_zero_plan(landing):
    landing.account("a")
    subscription = landing.subscription(
        "a", day("2024-01-01"), price=0, trial_start=day("2024-01-01"), trial_end=day("2024-01-15")
    )
    landing.item(subscription, day("2024-01-01"), price=50, quantity=3, discount_pct=Decimal(10))
    landing.account("free")
    landing.subscription("free", day("2024-01-01"), price=0)
    landing.account("unpaid_signup")
    landing.subscription("unpaid_signup", day("2024-01-01"), status="incomplete")
    tables = landing.run(date(2024, 1, 31))
    assert movements(tables) == [(date(2024, 1, 15), "new", "new", Decimal("135.00"))]
    assert one(tables["kpi_mrr"], period_type="month", segment_type="all")["closing_logos"] == 1


def test_pause_resume_churn_and_reactivation(landing):
    landing.account("a")
    first = landing.subscription("a", day("2024-01-05"), day("2024-04-01"))
    landing.add(
        "billing_subscription_pauses",
        pause_id="p1",
        subscription_id=first,
        paused_from=day("2024-02-01"),
        paused_until=day("2024-02-10"),
    )
    landing.add(
        "billing_subscription_pauses",
        pause_id="p2",
        subscription_id=first,
        paused_from=day("2024-03-20"),
        paused_until=None,
    )
    landing.subscription("a", day("2024-06-15"), price=70)
    tables = landing.run(date(2024, 6, 30))
    assert movements(tables) == [
        (date(2024, 1, 5), "new", "new", Decimal("100.00")),
        (date(2024, 2, 1), "pause", "pause", Decimal("-100.00")),
        (date(2024, 2, 10), "resume", "resume", Decimal("100.00")),
        (date(2024, 3, 20), "pause", "pause", Decimal("-100.00")),
        (date(2024, 4, 1), "churn", "churn", Decimal("0.00")),
        (date(2024, 6, 15), "reactivation", "reactivation", Decimal("70.00")),
    ]
    march = one(tables["kpi_mrr"], period_type="month", period_start=date(2024, 3, 1), segment_type="all")
    assert (march["closing_mrr"], march["closing_logos"], march["churned_logos"]) == (Decimal(0), 1, 0)
    assert march["quick_ratio"] == 0.0
    year = one(tables["kpi_mrr"], period_type="ttm", period_end=date(2024, 6, 30), segment_type="all")
    assert (year["new_logos"], year["reactivated_logos"], year["churned_logos"], year["closing_logos"]) == (1, 1, 1, 1)
    assert year["quick_ratio"] == pytest.approx((100 + 100 + 70) / 200)


def test_same_day_plan_swap_is_its_net_difference(landing):
    landing.account("a")
    subscription = landing.subscription("a", day("2024-01-01"), price=0)
    landing.item(subscription, day("2024-01-01"), day("2024-01-20 09:00"), price=100, plan="basic")
    landing.item(subscription, day("2024-01-20 09:00"), day("2024-01-20 11:00"), price=900, plan="typo")
    landing.item(subscription, day("2024-01-20 11:00"), price=130, plan="pro")
    assert movements(landing.run(date(2024, 1, 31))) == [
        (date(2024, 1, 1), "new", "new", Decimal("100.00")),
        (date(2024, 1, 20), "expansion", "upgrade_price", Decimal("30.00")),
    ]


def test_expansion_is_split_over_what_rose(landing):
    landing.account("a")
    subscription = landing.subscription("a", day("2024-01-01"), price=0)
    landing.item(subscription, day("2024-01-01"), day("2024-01-20"), price=100, plan="seats", quantity=1)
    landing.item(subscription, day("2024-01-01"), day("2024-01-20"), price=100, plan="list")
    landing.item(subscription, day("2024-01-01"), day("2024-01-20"), price=60, plan="falls")
    landing.item(subscription, day("2024-01-20"), price=100, plan="seats", quantity=2)  # + 100
    landing.item(subscription, day("2024-01-20"), price=120, plan="list")  # + 20
    landing.item(subscription, day("2024-01-20"), price=40, plan="extra")  # + 40
    landing.item(subscription, day("2024-01-20"), price=20, plan="falls")  # - 40: net 120 of the 160 that rose
    landing.item(subscription, day("2024-01-01"), day("2024-01-25"), price=10, plan="dropped")
    assert movements(landing.run(date(2024, 1, 31)))[1:] == [
        (date(2024, 1, 20), "expansion", "cross_sell", Decimal("30.00")),
        (date(2024, 1, 20), "expansion", "upgrade_price", Decimal("15.00")),
        (date(2024, 1, 20), "expansion", "upsell_quantity", Decimal("75.00")),
        (date(2024, 1, 25), "contraction", "product_dropped", Decimal("-10.00")),
    ]


def test_second_subscription_is_expansion_and_dropping_it_contraction(landing):
    landing.account("a")
    landing.subscription("a", day("2024-01-01"))
    landing.subscription("a", day("2024-01-10"), day("2024-01-20"), price=40, plan="extra")
    assert movements(landing.run(date(2024, 1, 31)))[1:] == [
        (date(2024, 1, 10), "expansion", "cross_sell", Decimal("40.00")),
        (date(2024, 1, 20), "contraction", "product_dropped", Decimal("-40.00")),
    ]


@pytest.mark.parametrize(("days_late", "is_continuous"), [(0, True), (30, True), (31, False)])
def test_late_successor_is_continuous_within_the_grace_days(landing, days_late, is_continuous):
    landing.account("a")
    first = landing.subscription("a", day("2024-01-01"), day("2024-04-01"))
    start = day("2024-04-01") + timedelta(days=days_late)
    landing.subscription("a", start, price=80, renews_subscription_id=first)
    landing.term(first, date(2024, 1, 1), date(2024, 4, 1))
    tables = landing.run(date(2024, 6, 30))
    kinds = [kind for _, kind, _, _ in movements(tables)]
    renewal = tables["fct_renewals"][0]
    if is_continuous:
        assert kinds == ["new", "contraction"]
        assert renewal["outcome"] == ("renewed_late" if days_late else "renewed")
        assert (renewal["downsell_arr"], renewal["churn_arr"]) == (Decimal("240.00"), Decimal("0.00"))
        assert renewal["days_late"] == (days_late or None)
    else:
        assert kinds == ["new", "churn", "reactivation"]
        assert (renewal["outcome"], renewal["churn_arr"]) == ("churned", Decimal("1200.00"))


@pytest.mark.parametrize("void_on", ["2024-03-19", "2024-04-01", "2024-04-10"])
@pytest.mark.parametrize("is_followed", [True, False])
def test_a_successor_that_was_void_at_once_takes_nothing_over(landing, void_on, is_followed):
    landing.account("a")
    first = landing.subscription("a", day("2024-01-01"), day("2024-04-01"))
    landing.subscription("a", day(void_on), day(void_on), renews_subscription_id=first)
    if is_followed:
        landing.subscription("a", day("2024-04-12"), renews_subscription_id=first)
    landing.term(first, date(2024, 1, 1), date(2024, 4, 1))
    tables = landing.run(date(2024, 6, 30))
    changes = [(on, kind) for on, kind, _, _ in movements(tables)][1:]
    [renewal] = tables["fct_renewals"]
    found = (renewal["outcome"], renewal["days_late"], renewal["renewed_arr"], renewal["churn_arr"])
    if is_followed:
        assert changes == []
        assert found == ("renewed_late", 11, Decimal("1200.00"), Decimal("0.00"))
    else:
        assert changes == [(date(2024, 4, 1), "churn")]
        assert found == ("churned", None, Decimal("0.00"), Decimal("1200.00"))


@pytest.mark.parametrize(
    ("trial_end", "found"),
    [
        ("2024-01-15", [("2024-02-04", "new", "50.00")]),
        ("2024-01-20", [("2024-02-04", "new", "50.00")]),
        ("2024-01-14", [("2024-01-14", "new", "100.00"), ("2024-02-04", "contraction", "-50.00")]),
    ],
)
def test_a_late_successor_continues_a_trial_that_was_open_at_the_end_as_one(landing, trial_end, found):
    landing.account("a")
    trial = {"trial_start": day("2024-01-01"), "trial_end": day(trial_end)}
    first = landing.subscription("a", day("2024-01-01"), day("2024-01-15"), **trial)
    landing.subscription("a", day("2024-02-04"), price=50, renews_subscription_id=first)
    tables = landing.run(date(2024, 6, 30))
    assert [(on.isoformat(), kind, str(amount)) for on, kind, _, amount in movements(tables)] == found


@pytest.mark.parametrize("status", ["incomplete", "incomplete_expired"])
def test_a_subscription_that_never_began_has_no_term_to_renew(landing, status):
    landing.account("a")
    landing.subscription("a", day("2024-01-01"))
    never = landing.subscription("a", day("2024-01-01"), day("2024-01-02"), status=status)
    first, second = date(2024, 1, 1), date(2024, 4, 1)
    landing.term(never, first, second)
    assert landing.run(date(2024, 6, 30))["fct_renewals"] == []


def test_change_is_valued_at_the_previous_month_end_and_the_rest_is_fx(landing):
    for when, rate in (("2023-12-15", "1.0"), ("2024-01-31", "1.1"), ("2024-02-15", "1.5"), ("2024-02-29", "1.2")):
        landing.add(
            "fin_exchange_rates",
            rate_date=date.fromisoformat(when),
            from_currency="EUR",
            to_currency="USD",
            rate=Decimal(rate),
        )
    landing.account("a")
    subscription = landing.subscription("a", day("2024-01-10"), price=100, currency="EUR")
    landing.item(subscription, day("2024-02-20"), price=50)
    tables = landing.run(date(2024, 2, 29))
    assert movements(tables) == [
        (date(2024, 1, 10), "new", "new", Decimal("110.00")),  # no opening balance: the month's own end rate
        (date(2024, 2, 20), "expansion", "upsell_quantity", Decimal("55.00")),  # 50 x 1.1, one seat more
        (date(2024, 2, 29), "fx", "fx", Decimal("15.00")),  # 150 x 1.2 - 110 - 55
    ]
    february = one(tables["fct_account_mrr_months"], month=date(2024, 2, 1))
    assert (february["opening_mrr"], february["closing_mrr"]) == (Decimal("110.00"), Decimal("180.00"))


# ----- one cohort, point to point
def test_golden_quarter_naive_hides_the_customer_that_left(landing):
    """7 customers at the start, one leaves, one joins: naive 100 %, true 6 of 7 = 85.7 %."""
    for number in range(7):
        landing.account(f"a{number}")
        landing.subscription(f"a{number}", day("2024-08-01"), day("2024-11-15") if number == 0 else None)
    landing.account("joined")
    landing.subscription("joined", day("2024-12-01"))
    tables = landing.run(date(2024, 12, 31))
    wanted = {"period_type": "quarter", "period_start": date(2024, 10, 1), "segment_type": "all"}
    retention = one(tables["kpi_customer_retention_rate"], **wanted)
    assert retention["value"] == pytest.approx(6 / 7)
    assert retention["naive_end_over_start"] == 1.0
    assert one(tables["kpi_customer_churn_rate"], **wanted)["value"] == pytest.approx(1 / 7)


def test_ninety_of_a_hundred_is_ninety_percent_both_ways_when_nobody_joins(landing):
    for number in range(100):
        landing.account(f"a{number}")
        landing.subscription(f"a{number}", day("2024-01-01"), day("2024-02-10") if number < 10 else None)
    row = one(
        landing.run(date(2024, 2, 29))["kpi_customer_retention_rate"],
        period_type="month",
        period_start=date(2024, 2, 1),
        segment_type="all",
    )
    assert (row["value"], row["naive_end_over_start"]) == (0.9, 0.9)


def test_who_is_paused_all_along_is_a_customer_at_both_ends(landing):
    """Two pay and one is paused at either end: 3 of 3, though the cohort holds the two that pay."""
    for name in ("pays", "pays_too", "paused"):
        landing.account(name)
        subscription = landing.subscription(name, day("2024-01-01"))
    landing.add(
        "billing_subscription_pauses", pause_id="p", subscription_id=subscription, paused_from=day("2024-01-20")
    )
    row = one(
        landing.run(date(2024, 2, 29))["kpi_customer_retention_rate"],
        period_type="month",
        period_start=date(2024, 2, 1),
        segment_type="all",
    )
    assert (row["opening_logos"], row["opening_logos_total"], row["closing_logos_total"]) == (2, 3, 3)
    assert (row["value"], row["naive_end_over_start"]) == (1.0, 1.0)


def test_retention_of_revenue(landing):
    """Opening 400: one doubles, one halves, one leaves, one pauses; a new one never counts."""
    for name in ("doubles", "halves", "leaves", "pauses", "new"):
        landing.account(name, segment="smb")
    for name, price in (("doubles", 200), ("halves", 50)):
        subscription = landing.subscription(name, day("2024-01-01"), price=0)
        landing.item(subscription, day("2024-01-01"), day("2024-02-15"), price=100)
        landing.item(subscription, day("2024-02-15"), price=price)
    landing.subscription("leaves", day("2024-01-01"), day("2024-02-20"))
    paused = landing.subscription("pauses", day("2024-01-01"))
    landing.add(
        "billing_subscription_pauses",
        pause_id="p",
        subscription_id=paused,
        paused_from=day("2024-02-25"),
        paused_until=None,
    )
    landing.subscription("new", day("2024-02-10"), price=1000)
    tables = landing.run(date(2024, 2, 29))
    wanted = {"period_type": "month", "period_start": date(2024, 2, 1), "segment_type": "segment"}
    nrr = one(tables["kpi_net_revenue_retention"], **wanted)
    assert (nrr["expansion_mrr"], nrr["contraction_mrr"], nrr["churn_mrr"]) == (100, 150, 100)
    assert nrr["value"] == pytest.approx(250 / 400)
    assert one(tables["kpi_gross_revenue_retention"], **wanted)["value"] == pytest.approx(150 / 400)
    assert one(tables["kpi_customer_churn_rate"], **wanted)["mrr_churn_rate"] == pytest.approx(0.25)


def test_account_that_left_and_came_back_is_retained(landing):
    landing.account("a")
    landing.subscription("a", day("2024-01-01"), day("2024-02-05"))
    landing.subscription("a", day("2024-02-20"))
    tables = landing.run(date(2024, 2, 29))
    wanted = {"period_type": "month", "period_start": date(2024, 2, 1), "segment_type": "all"}
    assert one(tables["kpi_customer_churn_rate"], **wanted)["value"] == 0.0
    assert one(tables["kpi_mrr"], **wanted)["churn_events"] == 1
    opening = one(tables["kpi_customer_churn_rate"], **(wanted | {"period_start": date(2024, 1, 1)}))
    assert (opening["value"], opening["n"]) == (None, 0)


def test_book_of_the_first_day_whoever_owns_it_later(landing):
    landing.account("a")
    landing.subscription("a", day("2024-01-01"), day("2024-02-20"))
    for user, start, end in (("ana", "2024-01-01", "2024-02-10"), ("ben", "2024-02-10", None)):
        landing.add(
            "crm_account_owners",
            account_id="a",
            user_id=user,
            role="csm",
            valid_from=day(start),
            valid_to=end and day(end),
        )
    tables = landing.run(date(2024, 2, 29))
    wanted = {"period_type": "month", "period_start": date(2024, 2, 1), "segment_type": "csm"}
    cohort = one(tables["kpi_net_revenue_retention"], **wanted)
    assert (cohort["segment_value"], cohort["value"], cohort["is_suppressed"]) == ("ana", 0.0, True)
    assert one(tables["fct_mrr_movements"], movement_type="churn")["csm_user_id"] == "ben"


# ----- accounts
def test_merged_account_is_restated_under_the_survivor_and_internal_ones_vanish(landing):
    landing.account("old", merged_into_account_id="mid", merged_at=day("2024-01-20"))
    landing.account("mid", merged_into_account_id="new", merged_at=day("2024-01-25"))
    landing.account("new")
    landing.account("test", is_internal=True)
    landing.add("crm_account_links", source_system="stripe", source_account_id="cus_1", account_id="old")
    for system, account_id in (("stripe", "old"), ("segment", "new")):
        landing.add("crm_account_links", source_system=system, source_account_id="both", account_id=account_id)
    landing.subscription("cus_1", day("2024-01-01"), price=10)
    landing.subscription("both", day("2024-01-01"), price=3)
    landing.subscription("new", day("2024-01-01"), price=5)
    landing.subscription("test", day("2024-01-01"), price=1000)
    landing.subscription("nobody", day("2024-01-01"), price=1000)
    tables = landing.run(date(2024, 1, 31))
    assert movements(tables) == [(date(2024, 1, 1), "new", "new", Decimal("18.00"))]
    assert tables["fct_mrr_movements"][0]["account_id"] == "new"
    # before the merges, `both` names two accounts
    opening = landing.run(date(2024, 1, 19))["fct_mrr_movements"]
    assert {row["account_id"]: row["amount"] for row in opening} == {"old": Decimal("10.00"), "new": Decimal("5.00")}


def test_last_load_wins_and_a_deletion_removes(landing):
    landing.account("a")
    subscription = landing.subscription("a", day("2024-01-01"), price=10)
    version = landing.tables["billing_subscription_items"][0]
    landing.add("billing_subscription_items", **(version | {"unit_amount": 99, "_loaded_at": LOADED - timedelta(1)}))
    landing.item(subscription, day("2024-01-01"), price=7)
    deleted = landing.tables["billing_subscription_items"][-1]
    landing.add("billing_subscription_items", **(deleted | {"_deleted": True, "_loaded_at": LOADED + timedelta(1)}))
    assert movements(landing.run(date(2024, 1, 31)))[0][3] == Decimal("10.00")


def test_nothing_after_the_as_of_date_is_known(landing):
    landing.account("a")
    landing.subscription("a", day("2024-01-01"), day("2024-02-10"))
    landing.subscription("a", day("2024-02-01"), price=1)
    tables = landing.run(date(2024, 1, 31))
    assert [kind for _, kind, _, _ in movements(tables)] == ["new"]


# ----- renewals
def test_renewal_outcomes(landing):
    """Worth 1200 a year each; by the due day 2024-04-01 one grew, one fell, one left, one left early, one is later."""
    for name in ("grew", "fell", "left", "early", "later"):
        landing.account(name)
        end = {"left": "2024-04-01", "early": "2024-03-10"}.get(name)
        subscription = landing.subscription(name, day("2024-01-01"), end and day(end), price=0)
        landing.item(subscription, day("2024-01-01"), day("2024-04-01"), price=100)
        landing.item(subscription, day("2024-04-01"), price={"grew": 150, "fell": 60}.get(name, 100))
        end = date(2024, 12, 1) if name == "later" else date(2024, 4, 1)
        landing.term(subscription, date(2024, 1, 1), end, term_id=name, auto_renew=True)
    tables = landing.run(date(2024, 4, 30))
    outcomes = {row["term_id"]: row for row in tables["fct_renewals"]}
    assert {name: row["outcome"] for name, row in outcomes.items()} == {
        "grew": "renewed",
        "fell": "renewed",
        "left": "churned",
        "early": "churned_early",
        "later": "upcoming",
    }
    assert (outcomes["grew"]["renewed_arr"], outcomes["grew"]["renewed_arr_capped"]) == (1800, 1200)
    assert (outcomes["later"]["renewable_arr"], outcomes["later"]["renewed_arr"]) == (1200, None)
    assert outcomes["early"]["due_date"] == date(2024, 3, 10)
    year = one(tables["kpi_gross_renewal_rate"], period_type="ttm", period_end=date(2024, 4, 30), segment_type="all")
    # Renewable 4 x 1200; lost 480 by the fall and 2 x 1200 by the two that left.
    assert year["value"] == pytest.approx((4800 - 480 - 2400) / 4800)
    assert year["net_renewal_rate"] == pytest.approx((1800 + 720) / 4800)
    assert (year["terms_due"], year["terms_renewed"], year["logo_renewal_rate"]) == (4, 2, 0.5)


# ----- NPS
def nps_survey(landing, low=0):
    landing.add(
        "surveys",
        survey_id="nps",
        survey_type="nps",
        survey_name="NPS",
        scale_min=low,
        scale_max=10,
        higher_is_better=True,
        positive_threshold=9,
    )


@pytest.mark.parametrize(("score", "wanted"), [(0, -1), (6, -1), (7, 0), (8, 0), (9, 1), (10, 1)])
def test_promoters_passives_detractors(score, wanted):
    assert vote(score) == wanted


@pytest.mark.parametrize(
    ("score", "label"),
    [(0, "not_positive"), (0.1, "positive"), (50, "positive"), (50.1, "good"), (70, "good"), (70.1, "outstanding")],
)
def test_bands_of_the_score(score, label):
    assert band(score) == label


def test_interval_has_a_width_when_all_answer_alike():
    """5 promoters: n' = 8, p' = 5.75/8, d' = 0.75/8; centre 62.5, half width 196 sqrt((0.8125 - 0.390625)/8) = 45.0."""
    low, high = Adjusted.of(5, 0, 5).interval
    assert low == pytest.approx(62.5 - 45.0089, abs=1e-3)
    assert high == 100.0


def test_nps_counts_one_answer_per_contact_and_period(landing):
    nps_survey(landing)
    landing.account("a")
    landing.nps("a", day("2024-01-05"), 2, "con_1")
    landing.nps("a", day("2024-01-20"), 10, "con_1")  # supersedes the 2 in January
    landing.nps("a", day("2024-02-03"), 6, "con_1")  # supersedes both in the quarter
    for number in range(4):
        landing.nps("a", day("2024-01-10"), 9, f"con_x{number}")
    landing.nps("a", day("2024-01-11"), 11, "con_out")
    landing.nps("a", day("2024-01-12"), None, "con_silent")
    tables = landing.run(date(2024, 3, 31))["kpi_net_promoter_score"]
    january = one(tables, period_type="month", period_start=date(2024, 1, 1), segment_type="all")
    assert (january["promoters"], january["detractors"], january["n"], january["value"]) == (5, 0, 5, 100.0)
    assert (january["n_surveyed"], january["response_rate"]) == (7, pytest.approx(5 / 7))
    assert (january["nps_band"], january["promoter_passive_ratio"]) == ("outstanding", None)
    quarter = one(tables, period_type="quarter", segment_type="all")
    assert (quarter["promoters"], quarter["detractors"], quarter["value"]) == (4, 1, pytest.approx(60.0))
    february = one(tables, period_type="month", period_start=date(2024, 2, 1), segment_type="all")
    assert (february["n"], february["value"], february["is_suppressed"]) == (1, None, True)
    march = one(tables, period_type="month", period_start=date(2024, 3, 1), segment_type="all")
    assert (march["n"], march["denominator"], march["response_rate"]) == (0, 0.0, None)


def test_nps_change_and_its_significance(landing):
    """20 promoters in January, 20 detractors in February: nobody doubts the change. In March the same as February."""
    nps_survey(landing, low=1)
    landing.account("a")
    for number in range(20):
        landing.nps("a", day("2024-01-10"), 10, f"c{number}")
        landing.nps("a", day("2024-02-10"), 1, f"c{number}")
        landing.nps("a", day("2024-03-10"), 1 if number else 10, f"c{number}")
    rows = landing.run(date(2024, 3, 31))["kpi_net_promoter_score"]
    months = [
        one(rows, period_type="month", period_start=date(2024, month, 1), segment_type="all") for month in (1, 2, 3)
    ]
    assert [row["change"] for row in months] == [None, -200.0, 10.0]
    assert [row["is_significant_change"] for row in months] == [None, True, False]


def test_nps_weighted_by_arr(landing):
    """A pays 300 with votes +1 and -1 (mean 0), B pays 100 with +1: (0 x 300 + 1 x 100) / 400 = 25."""
    nps_survey(landing)
    for name, price in (("a", 300), ("b", 100)):
        landing.account(name)
        landing.subscription(name, day("2024-01-01"), price=price)
    landing.nps("a", day("2024-01-10"), 10, "c1")
    landing.nps("a", day("2024-01-10"), 0, "c2")
    for number in range(3):
        landing.nps("b", day("2024-01-10"), 9, f"d{number}")
    row = one(landing.run(date(2024, 1, 31))["kpi_net_promoter_score"], period_type="month", segment_type="all")
    assert row["nps_arr_weighted"] == pytest.approx(25.0)
    assert row["value"] == pytest.approx(60.0)


# ----- support
def ticket(landing, number, events, created="2024-01-01 10:00", **row):
    columns = {"account_id": "a", "status": "solved", "is_spam": False, "is_agent_initiated": False}
    landing.add("support_tickets", ticket_id=f"t{number}", created_at=day(created), **(columns | row))
    for position, (kind, actor, when) in enumerate(events):
        landing.add(
            "support_ticket_events",
            event_id=f"e{number}_{position}",
            ticket_id=f"t{number}",
            event_type=kind,
            actor_type=actor,
            occurred_at=day(when),
        )


REPLY, SOLVED = ("public_reply", "agent", "2024-01-01 11:00"), ("solved", "agent", "2024-01-01 12:00")


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([REPLY, SOLVED], "first_contact"),
        ([REPLY, ("public_reply", "agent", "2024-01-01 11:30"), SOLVED], "not_first_contact"),
        # A thank-you reopens; it is closed again without a reply.
        (
            [REPLY, SOLVED, ("reopened", "customer", "2024-01-02 09:00"), ("solved", "system", "2024-01-02 09:05")],
            "first_contact",
        ),
        ([REPLY, SOLVED, ("reopened", "customer", "2024-01-08 11:59:59")], "not_first_contact"),
        ([REPLY, SOLVED, ("reopened", "customer", "2024-01-08 12:00:00")], "first_contact"),
        ([SOLVED], "excluded"),
        ([REPLY], "unsolved"),
        ([REPLY, ("solved", "agent", "2024-01-25 12:00")], "pending"),
    ],
)
def test_first_contact(landing, events, status):
    landing.account("a")
    ticket(landing, 1, events)
    assert landing.run(date(2024, 1, 31))["fct_tickets"][0]["fcr_status"] == status


def test_strict_needs_no_new_ticket_on_the_topic(landing):
    landing.account("a")
    same = {"requester_contact_id": "c", "topic": "login"}
    ticket(landing, 1, [REPLY, SOLVED], **same)
    ticket(landing, 2, [], created="2024-01-08 11:59", **same)
    ticket(landing, 3, [REPLY, SOLVED], requester_contact_id="other", topic="login")
    tables = landing.run(date(2024, 1, 31))
    strict = {row["ticket_id"]: row["fcr_strict_status"] for row in tables["fct_tickets"]}
    assert strict == {"t1": "not_first_contact", "t2": "unsolved", "t3": "first_contact"}
    rate = one(tables["kpi_first_contact_resolution_rate"], period_type="month", segment_type="all")
    assert (rate["value"], rate["strict_rate"], rate["n_unsolved"]) == (1.0, 0.5, 1)


def test_self_service(landing):
    """Yes beats no; no says no; silence counts unless a ticket comes within 24 hours of the last session."""
    landing.account("a")
    said = {"c_yes": [True, False], "c_no": [False], "c_silent": [None], "c_asked": [None], "c_late": [None]}
    for contact, answers in said.items():
        for number, answer in enumerate(answers):
            landing.add(
                "support_self_service_sessions",
                session_id=f"{contact}{number}",
                account_id="a",
                contact_id=contact,
                channel="bot",
                started_at=day("2024-01-10 10:00"),
                is_resolved=answer,
            )
    ticket(landing, 1, [], created="2024-01-11 09:59:59", requester_contact_id="c_asked")
    ticket(landing, 2, [], created="2024-01-11 10:00:00", requester_contact_id="c_late")
    row = one(landing.run(date(2024, 1, 31))["kpi_self_service_rate"], period_type="month", segment_type="all")
    assert (row["issues_decided"], row["issues_self_resolved"], row["tickets"]) == (5, 3, 2)
    assert (row["value"], row["attempt_success_rate"], row["self_service_score"]) == (0.6, 0.6, 2.5)


# ----- onboarding
def test_kaplan_meier_counts_the_unfinished_as_censored():
    """Reached on days 2 and 6, seen without until 4 and 8: 3/4 after day 2, 3/4 x 1/2 = 3/8 after day 6."""
    assert kaplan_meier_median([(2, True), (4, False), (6, True), (8, False)]) == 6.0
    assert kaplan_meier_median([(2, True), (4, False), (5, False), (8, False)]) is None
    assert kaplan_meier_median([(2, True), (4, True)]) == 2.0


def test_percentile_lies_between_neighbours():
    assert percentile([10, 20], Fraction(9, 10)) == 19.0
    assert percentile([], Fraction(9, 10)) is None


# ----- lifetime
@pytest.mark.parametrize(
    ("survivors", "alpha", "beta"),
    [
        ([1000, 869, 743, 653, 593, 551, 517, 491], 0.668, 3.806),  # High End
        ([1000, 631, 468, 382, 326, 289, 262, 241], 0.704, 1.182),  # Regular
    ],
)
def test_fit_of_fader_and_hardie(survivors, alpha, beta):
    seen = [(year, True) for year in range(1, 8) for _ in range(survivors[year - 1] - survivors[year])]
    seen += [(7, False)] * survivors[7]
    assert fit(seen) == (pytest.approx(alpha, abs=5e-4), pytest.approx(beta, abs=5e-4))


@pytest.mark.parametrize(
    ("start", "end", "whole", "begun"),
    [
        ("2024-01-15", "2024-03-14", 1, 2),
        ("2024-01-15", "2024-03-15", 2, 2),
        ("2024-01-31", "2024-02-29", 1, 1),
        ("2024-02-29", "2025-02-28", 12, 12),
        ("2024-01-15", "2024-01-15", 0, 0),
    ],
)
def test_months_of_a_life(start, end, whole, begun):
    start, end = date.fromisoformat(start), date.fromisoformat(end)
    assert (whole_months(start, end), begun_months(start, end)) == (whole, begun)


def test_hazard_lifetime_value(landing):
    """Four paying 100 since January, one leaves in February: hazard 1/(4 + 3) over two opened months.

    Of one who stays: received 300 x 0.8 - 20 - 10; to come (100 x 0.8 - 10 / 3 months) x 7 months.
    """
    for number in range(4):
        landing.account(f"a{number}")
        landing.subscription(f"a{number}", day("2024-01-01"), day("2024-02-15") if number == 0 else None)
    paid = {"currency": "USD", "amount_subtotal": 300, "issued_at": day("2024-01-01"), "status": "paid"}
    landing.add("billing_invoices", invoice_id="i", account_id="a1", amount_paid=300, paid_at=day("2024-01-05"), **paid)
    for kind, amount in (("acquisition", 20), ("retention", 10)):
        landing.add(
            "fin_costs",
            cost_id=kind,
            cost_month=date(2024, 2, 1),
            cost_type=kind,
            account_id="a1",
            amount=amount,
            currency="USD",
        )
    tables = landing.run(date(2024, 3, 31), clv_lifetime_model="hazard")
    row = one(tables["fct_account_lifetime_values"], account_id="a1")
    assert row["historical_clv"] == Decimal("210.00")
    assert row["expected_remaining_months"] == 7.0
    assert row["predicted_remaining_value"] == Decimal("536.67")
    assert row["clv_to_cac"] == pytest.approx((210 + 7 * (80 - 10 / 3)) / 20)
    assert row["predicted_total_revenue"] == 300 + 7 * 100
    gone = one(tables["fct_account_lifetime_values"], account_id="a0")
    assert (gone["predicted_remaining_value"], gone["clv_to_cac"]) == (Decimal(0), None)
