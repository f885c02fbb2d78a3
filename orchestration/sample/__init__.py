"""A sample company: 28 raw tables of a believable software vendor, all driven by a hidden satisfaction and fit."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa

from orchestration.sample import billing as billing_area
from orchestration.sample import (
    contracts,
    cs_work,
    customers,
    events,
    finance,
    invoices,
    onboarding,
    product,
    support,
    traits,
    voice,
)
from orchestration.sample import staff as staff_area
from orchestration.sample.dirt import Dirt
from orchestration.sample.world import World
from orchestration.sample.write import arrivals, to_table, write_table

LEAST_ACCOUNTS = 60
LEAST_MONTHS = 6


@dataclass(frozen=True)
class SampleSummary:
    """Rows written per raw table (repeats made by `dirt` included) and the seconds it took."""

    rows: dict[str, int]
    seconds: float


def make_sample(
    out: Path,
    *,
    accounts: int = 400,
    months: int = 30,
    events: int = 200_000,
    end: date,
    seed: int = 7,
    dirt: float = 0.0,
    progress: Callable[[str], None] = print,
) -> SampleSummary:
    """Write a sample company to the landing folder `out`, replacing the raw tables there.

    `end` is the last day with data; `months` calendar months end with it. `events` product events are written, exactly.
    `dirt` is the share of rows (0..0.5) hit by the defects of everyday loads; 0 is wholly clean. The same arguments
    give the same files. From 100 accounts and 18 months on, every label that the raw contract lists occurs.

    Raises ValueError when accounts, months, events or dirt are out of range.
    """
    if accounts < LEAST_ACCOUNTS or months < LEAST_MONTHS or events < 0 or not 0 <= dirt <= 0.5:
        raise ValueError(
            f"sample: accounts from {LEAST_ACCOUNTS}, months from {LEAST_MONTHS}, events from 0, dirt from 0 to 0.5; "
            f"given accounts={accounts}, months={months}, events={events}, dirt={dirt}"
        )
    started = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    world = World.ending(end, months, accounts, seed)
    company = _live(world)
    progress(f"{accounts:,} accounts lived from {world.start} to {end}")
    defects = Dirt(world, dirt) if dirt else None
    rows: dict[str, int] = {}
    for name, table in _tables(company):
        _clear(out, name)
        if defects:
            rows[name] = defects.write(out, name, table)
        else:
            write_table(out, name, table)
            rows[name] = table.num_rows
    progress(f"{len(rows)} tables written, {sum(rows.values()):,} rows")
    _clear(out, "product_events")
    rows["product_events"] = _write_events(company, out, events, progress)
    if defects:
        rows["product_events"] += defects.spoil_events(out)
    seconds = time.perf_counter() - started
    progress(f"sample company: {sum(rows.values()):,} rows in {seconds:.1f} s")
    return SampleSummary(rows=rows, seconds=seconds)


@dataclass(frozen=True)
class _Company:
    world: World
    customers: customers.Customers
    staff: staff_area.Staff
    traits: traits.Traits
    billing: billing_area.Billing
    usage: product.Usage


def _live(world: World) -> _Company:
    who = customers.make_customers(world)
    people = staff_area.make_staff(world, who)
    hidden = traits.make_traits(world, who, people)
    billed = billing_area.simulate(world, who, hidden)
    felt = traits.darken(hidden, billed.leaving)
    return _Company(world, who, people, felt, billed, product.make_usage(world, who, felt, billed))


def _write_events(company: _Company, out: Path, count: int, progress: Callable[[str], None]) -> int:
    return events.write_events(
        company.world, company.customers, company.billing, company.usage, out, count, progress
    )  # fmt: skip


def _tables(company: _Company) -> Iterator[tuple[str, pa.Table]]:
    """Every raw table but product_events, one after the other so that only one is held."""
    world, who, people = company.world, company.customers, company.staff
    hidden, billed = company.traits, company.billing
    paid = invoices.make_invoices(world, who, hidden, billed)
    tickets = support.make_tickets(world, who, people, hidden, billed)
    started = onboarding.make_onboardings(world, who, people, hidden, billed)
    answers = voice.make_answers(world, who, people, hidden, billed, tickets, started)
    makers: dict[str, Callable[[], dict]] = {
        "crm_accounts": lambda: customers.account_columns(world, who),
        "crm_account_links": lambda: customers.link_columns(world, who),
        "crm_contacts": lambda: customers.contact_columns(world, who),
        "crm_users": lambda: staff_area.user_columns(world, people),
        "crm_account_owners": lambda: staff_area.owner_columns(world, who, people),
        "crm_opportunities": lambda: finance.deal_columns(world, who, people, billed),
        "billing_subscriptions": lambda: contracts.subscription_columns(world, who, billed, paid.overdue_subs),
        "billing_subscription_items": lambda: contracts.item_columns(world, who, billed),
        "billing_subscription_pauses": lambda: contracts.pause_columns(world, who, billed),
        "billing_contract_terms": lambda: contracts.term_columns(world, billed),
        "billing_invoices": lambda: invoices.invoice_columns(world, who, billed, paid),
        "billing_refunds": lambda: invoices.refund_columns(world, who, hidden, paid),
        "product_features": lambda: product.feature_columns(world),
        "product_plan_features": lambda: product.plan_feature_columns(world),
        "support_tickets": lambda: support.ticket_columns(world, who, people, tickets),
        "support_ticket_events": lambda: support.ticket_event_columns(world, tickets),
        "support_self_service_sessions": lambda: support.session_columns(world, who, hidden, billed, tickets),
        "surveys": lambda: voice.survey_columns(),
        "survey_responses": lambda: voice.answer_columns(world, who, people, tickets, started, answers),
        "feedback_items": lambda: voice.feedback_columns(world, who, people, hidden, billed),
        "cs_activities": lambda: cs_work.activity_columns(world, who, people, hidden, billed, company.usage),
        "cs_onboardings": lambda: onboarding.onboarding_columns(world, who, people, started),
        "cs_advocacy": lambda: cs_work.advocacy_columns(world, who, people, hidden, billed),
        "cs_actions": lambda: cs_work.action_columns(world, who, people, hidden, billed, answers),
        "cs_health_ratings": lambda: cs_work.rating_columns(world, who, people, hidden, billed),
        "fin_costs": lambda: finance.cost_columns(world, who, people, billed),
        "fin_exchange_rates": lambda: finance.rate_columns(world),
    }
    for name, make in makers.items():
        columns = make()
        columns["_loaded_at"] = arrivals(world, name, columns)
        yield name, to_table(name, columns)


def _clear(out: Path, name: str) -> None:
    """Remove what an earlier sample left for this table, whatever its form."""
    for path in (*out.glob(f"{name}.*"), out / name):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()
