"""One company told in other words: what is the same stays the same in every published table, what doubles doubles.

The recomputation doesn't know health scores, alerts, queues and scorecards; here they are compared with themselves.
"""

import re
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from orchestration.loading import load_landing
from orchestration.publishing import marts_of
from tests.compare import Row, differences
from tests.dbt_runs import EVERYTHING, FILE, prepare_build, run_models
from tests.histories import Tables, history, settings, write_landing
from tests.recomputation import Settings
from tests.recomputation.landed import clean

pytestmark = pytest.mark.slow

SEED = 5  # told in Tokyo
SHOWN = 20
LONG_AFTER = datetime(2026, 1, 1)
SWAPPED = {"EUR": "USD", "USD": "EUR"}
# Tokyo is 12 hours ahead of São Paulo, which has had no summer time since 2019.
TWIN_ZONE, HOURS_APART = "America/Sao_Paulo", timedelta(hours=12)
MONEY = ("unit_amount", "amount", "amount_subtotal", "amount_paid", "amount_arr")
# Names that hang on the wording, places among equals (decision log, D107) and what says when rows came in.
WORDING = {"alert_id", "row_hash", "fiscal_quarter", "first_published_at", "priority", "clv_rank", "clv_decile"}
ALERTS_BY = ("alert_type", "kpi_id", "subject_type", "subject_id", "raised_on", "message")
# KPIs whose numerator is money, and those of them whose value is: a number per account where not named here.
IN_MONEY = {"net_revenue_retention", "gross_revenue_retention", "gross_renewal_rate", "cs_team_roi"}
SUMS_OF_MONEY = {"mrr", "quarterly_expansion_revenue"}
MEANS_OF_MONEY = {"customer_lifetime_value"}
VALUES = ("value", "previous_value", "change_abs", "value_last_year", "first_published_value")


def coarse(tables: Tables) -> Tables:
    """The company with its days drawn together to three a month, in the order they had: much happens on one day."""

    def drawn(value):
        if not isinstance(value, date):
            return value
        first = value.replace(day=1 + 10 * min((value.day - 1) // 10, 2))
        if not isinstance(value, datetime):
            return first
        first = first.replace(hour=0, minute=0, second=0, microsecond=0)
        return first + timedelta(seconds=(value - first).total_seconds() // 24)

    kept = ("_loaded_at", "rate_date")
    return changed(tables, lambda _, name, value: value if name in kept else drawn(value))


def changed(tables: Tables, change) -> Tables:
    return {
        table: [{name: change(table, name, value) for name, value in row.items()} for row in rows]
        for table, rows in tables.items()
    }


def cut(rows: list[Row], key: str, start: str, end: str) -> list[Row]:
    """Every range told as two that follow each other."""
    told = []
    for row in rows:
        middle = row[start] + ((row[end] or LONG_AFTER) - row[start]) // 3
        middle = middle.replace(microsecond=0)
        if middle <= row[start]:
            told.append(row)
        else:
            told += [row | {end: middle}, row | {key: f"{row[key]} cut", start: middle}]
    return told


def is_id(name: str) -> bool:
    return (name.endswith("_id") and name != "plan_id") or name == "trigger_ref"


def reversed_ids(tables: Tables) -> dict[str, str]:
    """A new name for each id, so that what was the greatest is the smallest."""
    ids = {value for rows in tables.values() for row in rows for name, value in row.items() if is_id(name) and value}
    return {old: f"~{len(ids) - place:06d}" for place, old in enumerate(sorted(ids))}


def build(sample, folder: Path, tables: Tables, chosen: Settings) -> dict[str, list[Row]]:
    """Every published table of one night on these rows."""
    write_landing(tables, folder / "landing")
    with duckdb.connect(str(folder / FILE)) as con:
        prepare_build(con)
        load_landing(con, folder / "landing", run_id="run", loaded_at=LONG_AFTER, progress=lambda _: None)
        assert con.execute("select count(*) from ops.quarantine").fetchone() == (0,)
    run_models(sample.manifest_folder, folder / FILE, chosen, EVERYTHING)
    marts = {}
    with duckdb.connect(str(folder / FILE), read_only=True) as con:
        for mart in marts_of(sample.manifest):
            found = con.execute(f"select * from marts.{mart.name}")
            names = [column[0] for column in found.description]
            marts[mart.name] = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return marts


@pytest.fixture(scope="module")
def chosen() -> Settings:
    # the model of lifetimes that the manifest was parsed for
    return settings(SEED, clv_lifetime_model="sbg", reporting_timezone="Asia/Tokyo")


@pytest.fixture(scope="module")
def company(chosen) -> Tables:
    tables = coarse(history(SEED))
    for row in tables["support_self_service_sessions"]:
        if row["contact_id"]:  # sessions of one contact on one day have one account: else the greatest id (D45)
            row["account_id"] = None
    return tables


@pytest.fixture(scope="module")
def told_first(sample, company, chosen, tmp_path_factory) -> dict[str, list[Row]]:
    return build(sample, tmp_path_factory.mktemp("first"), company, chosen)


def assert_same(sample, expected: dict[str, list[Row]], actual: dict[str, list[Row]], ignored: set[str]) -> None:
    wrong = []
    for mart in marts_of(sample.manifest):
        if mart.name == "mart_freshness":
            continue
        key = ALERTS_BY if mart.name == "mart_alerts" else tuple(mart.grain)
        kept = [{name: value for name, value in row.items() if name not in ignored} for row in expected[mart.name]]
        found = differences(kept, actual[mart.name], key, money_tolerance=0.0101)
        wrong += [f"{mart.name}: {one}" for one in found]
    shown = "\n".join(wrong[:SHOWN])
    assert not wrong, f"{len(wrong)} differences:\n{shown}"
    assert sum(map(len, expected.values())) > 10_000


def test_other_words_give_the_same_marts(sample, company, chosen, told_first, tmp_path):
    """Other ids in the reverse order, each price and pause told in two pieces, only the last version of each row and
    nothing of the future, the two currencies renamed, every instant and the clock on the wall twelve hours on, fiscal
    years that begin half a year later, with the same quarters."""
    told = clean(company, chosen)
    told["billing_subscription_items"] = cut(
        told["billing_subscription_items"], "item_version_id", "effective_from", "effective_to"
    )
    told["billing_subscription_pauses"] = cut(
        told["billing_subscription_pauses"], "pause_id", "paused_from", "paused_until"
    )
    ids = reversed_ids(told)

    def reword(_, name, value):
        if isinstance(value, datetime) and name != "_loaded_at":
            return value + HOURS_APART
        if is_id(name):
            return ids.get(value)
        return SWAPPED.get(value, value) if name.endswith("currency") else value

    retold = build(
        sample,
        tmp_path,
        changed(told, reword),
        replace(
            chosen,
            reporting_currency=SWAPPED[chosen.reporting_currency],
            reporting_timezone=TWIN_ZONE,
            fiscal_year_start_month=(chosen.fiscal_year_start_month + 5) % 12 + 1,
        ),
    )
    old = {new: former for former, new in ids.items()}

    def back(_, name, value):
        if isinstance(value, str):
            return re.sub(r"~\d{6}", lambda token: old[token.group()], value)
        return value - HOURS_APART if isinstance(value, datetime) else value

    assert_same(sample, told_first, changed(retold, back), WORDING)


def test_twice_the_money(sample, company, chosen, told_first, tmp_path):
    """Prices, invoices, refunds and costs doubled: so is all money, and no rate, score, colour or alert is another."""
    richer = changed(company, lambda _, name, value: value * 2 if name in MONEY and value is not None else value)

    def doubled(table: str, row: Row) -> Row:
        kpi = row.get("kpi_id") or table
        names = [name for name, value in row.items() if isinstance(value, Decimal)]
        if kpi in IN_MONEY | SUMS_OF_MONEY:
            names += ["numerator", "denominator"]
        if kpi in MEANS_OF_MONEY:
            names.append("numerator")
        if kpi in SUMS_OF_MONEY | MEANS_OF_MONEY:
            names += VALUES
        return row | {name: 2 * row[name] for name in names if row.get(name) is not None}

    expected = {table: [doubled(table, row) for row in rows] for table, rows in told_first.items()}
    # that one is a quotient of published cents, and messages tell amounts
    ignored = WORDING | {"predicted_renewal_rate"}
    actual = build(sample, tmp_path, richer, chosen)
    for marts in (expected, actual):
        marts["mart_alerts"] = [row for row in marts["mart_alerts"] if row["kpi_id"] not in SUMS_OF_MONEY]
    assert_same(sample, expected, actual, ignored)
