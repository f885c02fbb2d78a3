"""Contradictions on small loads: what blocks, what is only shown, what passes, and how a blocked night is mended."""

from __future__ import annotations

import duckdb
import pytest

from expectations.contradictions import CAUSES, find_contradictions
from expectations.raw import RAW_SUITES
from orchestration.contract import TABLES

ACCOUNTS = "account_id,account_name,is_internal,created_at,parent_account_id,merged_into_account_id,_deleted"
SUBSCRIPTIONS = "subscription_id,account_id,status,currency,started_at,trial_end,ended_at,_deleted"
ITEMS = (
    "item_version_id,item_id,subscription_id,plan_id,quantity,unit_amount,discount_pct,billing_interval,"
    "interval_count,is_recurring,effective_from,effective_to,_deleted"
)
INVOICES = "invoice_id,account_id,subscription_id,issued_at,currency,amount_subtotal,amount_paid,status,_deleted"
COSTS = "cost_id,cost_month,cost_type,amount,currency"
RATES = "rate_date,from_currency,to_currency,rate"
RULES = [rule for suite in RAW_SUITES for rule in suite.rules if rule.profile == "raw_contradictions"]


class Books:
    """Raw tables and their nights, from January 2nd, 2025 on."""

    def __init__(self):
        self.con = duckdb.connect()
        self.con.execute("create schema raw; create schema ops")
        for table in TABLES.values():
            columns = ", ".join(f"{column.name} {column.type}" for column in table.columns)
            self.con.execute(f"create table raw.{table.name} ({columns}, _deleted boolean, _load_id bigint)")
        self.night_number = self.settled = 0

    def night(self, files, *, publish=False):
        """Load `files` (table -> lines); (what blocks, what is shown) as rule -> who."""
        self.night_number += 1
        for table, (head, *lines) in files.items():
            marks = ", ".join("?" * len(head.split(",")))
            loaded = f"timestamp '2025-01-01 02:00:00' + interval {self.night_number} day, {self.night_number}"
            self.con.executemany(
                f"insert into raw.{table} ({head}, _loaded_at, _load_id) values ({marks}, {loaded})",
                [[text or None for text in line.split(",")] for line in lines],
            )
        find_contradictions(self.con, self.settled)
        if publish:
            self.settled = self.night_number
        said = {"error": {}, "warning": {}}
        for rule in RULES:
            column, most = rule.arguments["column"], rule.arguments["max_value"]
            for cause, who in self.con.execute(
                f"select cause, examples from ops.raw_contradictions where {column} > {most}"
            ).fetchall():
                if cause == rule.where[1]:
                    said[rule.severity][rule.name] = who
        return said["error"], said["warning"]


def account(number, *, name="", internal=False, created="2024-01-01", parent="", survivor="", deleted=False):
    return f"a{number},{name or f'Name {number}'},{internal},{created},{parent},{survivor},{deleted}"


def subscription(
    number, *, owner="", status="active", currency="USD", start="2023-01-01", trial="", end="", deleted=False
):
    return f"s{number},{owner or f'a{number}'},{status},{currency},{start},{trial},{end},{deleted}"


def item(
    number, *, version="v", owner="", plan="pro", amount=29.99, interval="month", count=1, recurring=True,
    start="2023-01-01", end="", deleted=False,
):  # fmt: skip
    return (
        f"{version}{number},i{number},{owner or f's{number}'},{plan},1,{amount},0,{interval},{count},{recurring},"
        f"{start},{end},{deleted}"
    )


def invoice(name, number, amount, *, owner="", bare=False, issued="2024-12-31", currency="USD", deleted=False):
    """Of subscription `number`, or of no subscription of its account."""
    of = "" if bare else f"s{number}"
    return f"{name},{owner or f'a{number}'},{of},{issued},{currency},{amount},0,open,{deleted}"


def history(numbers=range(1, 12)):
    """The same to all: 29.99 a month since January 2023, and one invoice of 2023 to most; costs and a rate."""
    return {
        "crm_accounts": [ACCOUNTS, *(account(n) for n in numbers)],
        "billing_subscriptions": [SUBSCRIPTIONS, *(subscription(n) for n in numbers)],
        "billing_subscription_items": [ITEMS, *(item(n) for n in numbers)],
        "billing_invoices": [INVOICES, *(invoice(f"old{n}", n, 29.99, issued="2023-06-01") for n in numbers[:8])],
        "fin_costs": [COSTS, *(f"c{n},2024-12-01,cs_team,100,EUR" for n in numbers)],
        "fin_exchange_rates": [RATES, "2025-01-01,EUR,USD,1.05"],
    }


@pytest.fixture
def books():
    """Two years of these books are published."""
    made = Books()
    assert made.night(history(), publish=True) == ({}, {})
    return made


# cause -> (who, table, lines that block, lines that its remedy asks for)
MENDED = {
    "gone_in_crm_but_live_in_billing": ("s1", "crm_accounts", account(1, deleted=True), account(1)),
    "internal_in_crm_but_live_in_billing": (
        "a10, a7, a8",
        "crm_accounts",
        "\n".join(account(n, internal=True) for n in (7, 8, 10)),
        "\n".join(account(n) for n in (7, 8, 10)),
    ),
    "versions_overlap": (
        "i2",
        "billing_subscription_items",
        item(2, version="w", start="2024-12-15"),
        item(2, end="2024-12-15"),
    ),
    "invoice_contradicts_subscription": (
        "new3",
        "billing_invoices",
        invoice("new3", 3, 29.99, currency="EUR"),
        invoice("new3", 3, 29.99, currency="EUR", deleted=True),
    ),
    "ended_without_a_date": (
        "s4",
        "billing_subscriptions",
        subscription(4, status="canceled"),
        subscription(4, status="canceled", end="2024-12-31"),
    ),
    "price_does_not_fit_its_plan": (
        "v20",
        "billing_subscription_items",
        item(20, owner="s8", amount=2999),
        item(20, owner="s8"),
    ),
    "invoice_does_not_fit_its_account": (
        "new5",
        "billing_invoices",
        invoice("new5", 5, 2999),
        invoice("new5", 5, 29.99),
    ),
    "cost_does_not_fit_its_type": (
        "c20",
        "fin_costs",
        "c20,2025-01-01,cs_team,10000,EUR",
        "c20,2025-01-01,cs_team,100,EUR",
    ),
    "rate_jumps": (
        "EUR/USD 2025-01-02",
        "fin_exchange_rates",
        "2025-01-02,EUR,USD,2.1",
        "2025-01-02,EUR,USD,1.06",
    ),
    "merged_into_nobody": ("a6", "crm_accounts", account(6, survivor="a99"), account(6)),
    "closed_history_is_rewritten": (
        "old6",
        "billing_invoices",
        invoice("old6", 6, 39.99, issued="2023-06-01"),
        invoice("old6", 6, 29.99, issued="2023-06-01"),
    ),
    "closed_prices_are_rewritten": ("v7", "billing_subscription_items", item(7, amount=39.99), item(7)),
    "closed_subscriptions_are_rewritten": (
        "s9",
        "billing_subscriptions",
        subscription(9, deleted=True),
        subscription(9),
    ),
    "subscription_changes_hands": (
        "s10",
        "billing_subscriptions",
        subscription(10, currency="EUR"),
        subscription(10),
    ),
    "id_is_used_again": ("a11", "crm_accounts", account(11, name="Else", created="2024-12-31"), account(11)),
}


def delivery(place):
    files = {table: [lines[0]] for table, lines in history().items()}
    for row in MENDED.values():
        files[row[1]] += row[place].splitlines()
    return files


def test_a_blocked_night_passes_when_the_true_rows_are_delivered(books):
    everything = {cause.name: MENDED[cause.name][0] for cause in CAUSES if cause.severity == "error"}
    assert books.night(delivery(2)) == (everything, {})
    assert books.night({}) == (everything, {}), "while nobody mends it"
    assert books.night(delivery(3)) == ({}, {})


# How a priced version of two years ago, or its subscription, may come again.
REWRITTEN = {
    "interval": ("closed_prices_are_rewritten", item(1, interval="year")),
    "count": ("closed_prices_are_rewritten", item(2, count=12)),
    "recurring": ("closed_prices_are_rewritten", item(3, recurring=False)),
    "subscription": ("closed_prices_are_rewritten", item(4, owner="s5")),
    "plan": ("closed_prices_are_rewritten", item(5, plan="basic")),
    "deleted version": ("closed_prices_are_rewritten", item(6, deleted=True)),
    "deleted": ("closed_subscriptions_are_rewritten", subscription(9, deleted=True)),
    "never begun": ("closed_subscriptions_are_rewritten", subscription(10, status="incomplete_expired")),
    "begins some day": ("closed_subscriptions_are_rewritten", subscription(11, start="9999-12-31")),
}


def test_closed_revenue_is_rewritten_by_any_column_that_decides_it(books):
    rows = [row for _, row in REWRITTEN.values()]
    tonight = {
        "billing_subscription_items": [ITEMS, *(row for row in rows if row.startswith("v"))],
        "billing_subscriptions": [SUBSCRIPTIONS, *(row for row in rows if row.startswith("s"))],
    }
    blocked, _ = books.night(tonight)
    assert blocked == {
        "closed_prices_are_rewritten": "v1, v2, v3, v4, v5",  # five are named
        "closed_subscriptions_are_rewritten": "s10, s11, s9",
    }
    assert books.con.execute(
        "select n_new from ops.raw_contradictions where cause = 'closed_prices_are_rewritten'"
    ).fetchone() == (6,)


def test_what_a_month_may_add_to_its_books_is_no_rewriting(books):
    new = {
        "billing_subscriptions": [
            SUBSCRIPTIONS,
            subscription(20, owner="a1", trial="2024-12-20"),
            subscription(21, owner="a2", start="2024-12-01"),
        ],
        "billing_subscription_items": [
            ITEMS,
            item(20, plan="lite"),
            item(21, plan="lite", start="2024-12-01"),
        ],
    }
    assert books.night(new, publish=True) == ({}, {})
    tonight = {
        "billing_subscriptions": [
            SUBSCRIPTIONS,
            subscription(1, status="canceled", end="2025-01-03"),
            subscription(20, owner="a1", trial="2024-12-20", deleted=True),  # was never paid for in a closed month
            subscription(21, owner="a2", start="2024-12-01", deleted=True),
        ],
        "billing_subscription_items": [
            ITEMS,
            item(2, end="2025-01-03"),
            item(3, end="2025-01-03"),
            item(3, version="w", amount=39.99, start="2025-01-03"),
            item(4, count=""),  # none is one
            item(21, plan="lite", start="2024-12-01", deleted=True),
        ],
    }
    assert books.night(tonight) == ({}, {})


def test_the_first_load_of_a_table_is_shown_what_would_block_later_and_told_of_once():
    books = Books()
    versions = [ITEMS, item(1), item(1, version="w", start="2024-06-01")]
    devalued = [RATES, "2023-12-12,USD,ARS,366", "2023-12-13,USD,ARS,799"]
    assert books.night({"fin_exchange_rates": devalued}, publish=True) == (
        {},
        {"rate_jumps_in_a_first_load": "USD/ARS 2023-12-13"},
    )
    # months later billing is connected, too; both tables come whole
    devalued.append("2025-01-02,USD,ARS,1030")
    assert books.night({"billing_subscription_items": versions, "fin_exchange_rates": devalued}, publish=True) == (
        {},
        {"versions_overlap_in_a_first_load": "i1"},
    )
    devalued.append("2025-01-03,USD,ARS,1031")
    versions.append(item(2))
    tonight = {"billing_subscription_items": versions, "fin_exchange_rates": devalued}
    assert books.night(tonight, publish=True) == ({}, {})
    versions.append(item(2, version="w", start="2024-06-01"))
    assert books.night({"billing_subscription_items": versions}) == ({"versions_overlap": "i2"}, {})


def test_one_unusual_amount_is_shown_and_one_in_cents_blocks(books):
    first = {"billing_invoices": [INVOICES, invoice("used11", 11, 3, bare=True)]}
    assert books.night(first, publish=True) == ({}, {})
    tonight = {
        "crm_accounts": [ACCOUNTS, account(2, parent="a1"), account(3, parent="a2")],
        "billing_subscription_items": [ITEMS, item(20, owner="s1", amount=1, start="2025-01-03")],
        "billing_invoices": [
            INVOICES,
            invoice("used12", 11, 99, bare=True),  # 33 times
            invoice("setup4", 4, 990),  # 33 times
            invoice("child3", 3, 29.99, owner="a1"),  # its parent's parent pays
        ],
        "fin_costs": [COSTS, "fair,2025-01-01,cs_team,4000,EUR"],
    }
    unusual = {
        "price_is_unusual_for_its_plan": "v20",
        "invoice_is_unusual_for_its_account": "setup4, used12",
        "cost_is_unusual_for_its_type": "fair",
    }
    assert books.night(tonight) == ({}, unusual)
    cents = {
        "billing_subscription_items": [ITEMS, item(20, owner="s1", amount=0.3, start="2025-01-03")],
        "billing_invoices": [
            INVOICES,
            invoice("used12", 11, 290, bare=True),
            invoice("setup4", 4, 3499),
            invoice("child3", 3, 29.99, owner="a4"),
        ],
        "fin_costs": [COSTS, "fair,2025-01-01,cs_team,9000,EUR"],
    }
    assert books.night(cents) == (
        {
            "price_does_not_fit_its_plan": "v20",
            "invoice_does_not_fit_its_account": "setup4, used12",
            "invoice_contradicts_subscription": "child3",
            "cost_does_not_fit_its_type": "fair",
        },
        {},
    )


def test_an_exchange_rate_that_is_turned_over_blocks():
    books = Books()
    days = ["2024-12-27", "2024-12-30", "2025-01-01"]
    first = [RATES, *(f"{day},EUR,USD,1.05" for day in days), "2025-01-01,EUR,CHF,0.985"]
    assert books.night({"fin_exchange_rates": first}, publish=True) == ({}, {})

    def tonight(*rates):
        return books.night({"fin_exchange_rates": [RATES, *rates]})

    assert tonight("2025-01-05,EUR,USD,0.952") == ({"rate_jumps": "EUR/USD 2025-01-05"}, {})
    # so near 1 it may have moved
    assert tonight("2025-01-05,EUR,USD,1.07", "2025-01-05,EUR,CHF,1.015") == ({}, {})
    whole = ", ".join(f"EUR/USD {day}" for day in days)
    assert tonight(*(f"{day},EUR,USD,0.952" for day in days), "2025-01-05,EUR,USD,0.935") == (
        {"rate_jumps": whole},
        {},
    )


def test_accounts_that_are_parents_of_themselves_are_named(books):
    pairs = [(1, 2), (2, 3), (3, 1), (4, 1), (5, 6)]
    tonight = {"crm_accounts": [ACCOUNTS, *(account(child, parent=f"a{parent}") for child, parent in pairs)]}
    assert books.night(tonight, publish=True) == ({}, {"parents_in_a_circle": "a1, a2, a3"})
    assert books.night(tonight) == ({}, {}), "told of once, though the table comes whole"


def test_two_accounts_may_turn_out_to_be_our_own_but_not_a_quarter_of_those_that_are_billed(books):
    """Of eleven that are billed; a twelfth is not."""

    def tonight(*numbers):
        return books.night({"crm_accounts": [ACCOUNTS, *(account(n, internal=n in numbers) for n in range(1, 13))]})

    assert tonight(1, 2, 12) == ({}, {})
    assert tonight(1, 2, 3) == ({"internal_in_crm_but_live_in_billing": "a1, a2, a3"}, {})
    assert tonight(1) == ({}, {})
