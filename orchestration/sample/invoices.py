"""What was billed, paid, left unpaid and given back."""

from dataclasses import dataclass

import numpy as np

from orchestration.sample.billing import INTERVAL_MONTHS, INTERVALS, PAYMENT_FAILED, Billing
from orchestration.sample.contracts import ordered_versions, subscription_ids
from orchestration.sample.customers import Customers
from orchestration.sample.traits import Traits
from orchestration.sample.world import CURRENCIES, NONE, World, ids, sigmoid, spread, text

STATUSES = ("draft", "open", "paid", "uncollectible", "void")
DRAFT, OPEN, PAID, UNCOLLECTIBLE, VOID = range(5)
REFUND_REASONS = ("service_credit", "duplicate", "chargeback", "credit_note")


@dataclass(frozen=True)
class Invoices:
    """One entry an invoice, in order of day: subscription row, day issued, amount, status, day paid (NONE if not)."""

    sub: np.ndarray
    account: np.ndarray
    day: np.ndarray
    amount: np.ndarray
    status: np.ndarray
    paid_day: np.ndarray

    @property
    def overdue_subs(self) -> np.ndarray:
        """Subscription rows with an invoice left open for more than two weeks."""
        last = int(self.day.max(initial=0))
        return np.unique(self.sub[(self.status == OPEN) & (self.day < last - 14)])


def make_invoices(world: World, customers: Customers, traits: Traits, billing: Billing) -> Invoices:
    """Bill every subscription at the start of each interval for what is in force; unhappy customers pay late."""
    rng = world.stream("invoices")
    sub, day = _billing_days(world, billing)
    amount = _amounts(world, billing, sub, day)
    account = billing.subs.whole("account")[sub]
    due = (amount > 0) & ~customers.never_pays[account]
    order = np.flatnonzero(due)[np.argsort(day[due], kind="stable")]
    sub, day, amount, account = sub[order], day[order], amount[order], account[order]
    count = len(sub)
    satisfied = traits.at(account, day)
    delay = np.where(rng.random(count) < 0.75, rng.integers(0, 2, count), rng.integers(3, 31, count))
    delay = delay + np.where(rng.random(count) < sigmoid(-2.6 - 0.8 * satisfied), rng.integers(10, 40, count), 0)
    fails = rng.random(count) < 0.25 * sigmoid(-3.6 - 1.0 * satisfied)
    planned = billing.subs.whole("planned")[sub]
    broke = billing.subs.whole("reason")[sub] == PAYMENT_FAILED
    fails |= broke & (day > planned - 60)
    fails |= _forced_failures(world, traits, billing, sub, day, account)
    paid_day = np.where(fails, NONE, world.known(day + delay))
    status = np.where(paid_day != NONE, PAID, OPEN)
    status = np.where(fails & (day < world.days - 75), UNCOLLECTIBLE, status)
    void = (rng.random(count) < 0.004) & ~broke
    void[:1] = True
    status = np.where(void, VOID, status)
    draft = (day >= world.days - 2) & (rng.random(count) < 0.3)
    draft[-1:] = True
    status = np.where(draft, DRAFT, status)
    return Invoices(sub, account, day, amount, status, np.where(status == PAID, paid_day, NONE))


def _billing_days(world: World, billing: Billing) -> tuple[np.ndarray, np.ndarray]:
    """(subscription row, day) of every invoice: none before the trial's end, after the end or in a pause."""
    subs = billing.subs
    start, trial_end, end = subs.whole("start"), subs.whole("trial_end"), subs.whole("end")
    interval = subs.whole("interval")
    base = np.where(trial_end == NONE, start, trial_end)
    limit = np.where(end == NONE, world.days, np.minimum(end, world.days))
    length = INTERVAL_MONTHS[interval] * 365 / 12
    sub, nth = spread(np.maximum(np.ceil((limit - base) / length) + 1, 0))
    fixed = np.array([{"week": 7, "day": 30}.get(name or "", 0) for name in INTERVALS])[interval[sub]]
    months = np.rint(INTERVAL_MONTHS[interval[sub]]).astype(np.int64) * nth
    day = np.where(fixed > 0, base[sub] + fixed * nth, world.add_months(base[sub], months))
    kept = day < limit[sub]
    sub, day = sub[kept], day[kept]
    idle = np.zeros(len(sub), dtype=bool)
    first = np.searchsorted(sub, np.arange(subs.rows + 1))
    pauses = billing.pauses
    owner, nth = spread((first[1:] - first[:-1])[pauses.whole("sub")])
    row = first[pauses.whole("sub")[owner]] + nth
    within = (day[row] >= pauses.whole("start")[owner]) & (day[row] < pauses.whole("until")[owner])
    idle[row[within]] = True
    return sub[~idle], day[~idle]


def _amounts(world: World, billing: Billing, sub: np.ndarray, day: np.ndarray) -> np.ndarray:
    """Sum of the items in force on the day; one-time items on the first invoice only."""
    versions = ordered_versions(world, billing)
    items = billing.items
    width = 4 * world.days
    key = versions["item"] * width + versions["day"]
    first = np.searchsorted(sub, np.arange(billing.subs.rows + 1))
    item, nth = spread((first[1:] - first[:-1])[items.whole("sub")])
    invoice = first[items.whole("sub")[item]] + nth
    found = np.searchsorted(key, item * width + day[invoice], side="right") - 1
    found = np.maximum(found, 0)
    in_force = (versions["item"][found] == item) & (versions["day"][found] <= day[invoice])
    end = items.whole("end")[item]
    in_force &= (end == NONE) | (end > day[invoice])
    in_force &= (items.whole("kind")[item] < 2) | (nth == 0)
    price = versions["price"][found] * versions["quantity"][found] * (1 - versions["discount"][found] / 100)
    amount = np.bincount(invoice, weights=np.where(in_force, price, 0), minlength=len(sub))
    return np.round(amount, 2)


def _forced_failures(
    world: World, traits: Traits, billing: Billing, sub: np.ndarray, day: np.ndarray, account: np.ndarray
) -> np.ndarray:
    """Even a small company has some customers behind with their payments today: the least satisfied of the recent."""
    running = billing.subs.whole("end")[sub] == NONE
    recent = np.flatnonzero(running & (day > world.days - 50) & (day < world.days - 16))
    worst = recent[np.argsort(traits.at(account[recent], day[recent]), kind="stable")]
    fails = np.zeros(len(sub), dtype=bool)
    fails[worst[: max(3, world.accounts // 200)]] = True
    return fails


def invoice_columns(world: World, customers: Customers, billing: Billing, invoices: Invoices) -> dict:
    """billing_invoices."""
    second = customers.second[invoices.account]
    paid = invoices.status == PAID
    return {
        "invoice_id": invoice_ids(invoices),
        "account_id": text(customers.account_id, invoices.account),
        "subscription_id": text(subscription_ids(billing), invoices.sub),
        "issued_at": world.instant(invoices.day, second),
        "currency": text(CURRENCIES, customers.currency[invoices.account]),
        "amount_subtotal": invoices.amount,
        "amount_paid": np.where(paid, invoices.amount, 0.0),
        "status": text(STATUSES, invoices.status),
        "paid_at": world.instant(invoices.paid_day, second + 600),
    }


def invoice_ids(invoices: Invoices):
    return ids("INV", np.arange(1, len(invoices.sub) + 1))


def refund_columns(world: World, customers: Customers, traits: Traits, invoices: Invoices) -> dict:
    """billing_refunds: more for the unhappy; a third of them in full."""
    rng = world.stream("refunds")
    chance = 0.006 + 0.03 * sigmoid(-2 - 1.2 * traits.at(invoices.account, invoices.day))
    day = np.where(invoices.paid_day == NONE, NONE, invoices.paid_day + rng.integers(1, 40, len(invoices.sub)))
    chosen = np.flatnonzero((rng.random(len(day)) < chance) & (day != NONE) & (day < world.days))
    count = len(chosen)
    share = np.where(rng.random(count) < 0.33, 1.0, rng.uniform(0.1, 0.5, count))
    account = invoices.account[chosen]
    return {
        "refund_id": ids("RF", np.arange(1, count + 1), 6),
        "invoice_id": text(invoice_ids(invoices), chosen),
        "amount": np.maximum(np.round(invoices.amount[chosen] * share, 2), 0.01),
        "currency": text(CURRENCIES, customers.currency[account]),
        "refunded_at": world.instant(day[chosen], world.office_second(rng, count)),
        "reason": text(REFUND_REASONS, np.where(rng.random(count) < 0.1, -1, rng.integers(0, 4, count))),
    }
