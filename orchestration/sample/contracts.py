"""Subscriptions, item versions, pauses and terms as the billing tool exports them."""

import numpy as np

from orchestration.sample.billing import (
    INTERVAL_COUNTS,
    INTERVALS,
    ONCE,
    PLANS,
    REASONS,
    Billing,
)
from orchestration.sample.customers import Customers
from orchestration.sample.world import CURRENCIES, NONE, World, ids, text

STATUSES = ("trialing", "active", "past_due", "paused", "unpaid", "canceled", "incomplete", "incomplete_expired")


def subscription_ids(billing: Billing):
    return ids("SUB", np.arange(1, billing.subs.rows + 1), 6)


def ends(world: World, billing: Billing) -> np.ndarray:
    """End day of each subscription as known on the last day; NONE while it runs."""
    return world.known(billing.subs.whole("end"))


def pick_status(world: World, customers: Customers, billing: Billing, overdue: np.ndarray) -> np.ndarray:
    """Index into STATUSES for each subscription; `overdue` are row numbers with an unpaid invoice."""
    subs = billing.subs
    status = np.full(subs.rows, STATUSES.index("active"))
    status[overdue] = STATUSES.index("past_due")
    status[overdue[::5]] = STATUSES.index("unpaid")
    open_pause = billing.pauses.whole("until") >= world.days
    status[billing.pauses.whole("sub")[open_pause]] = STATUSES.index("paused")
    status[subs.whole("trial_end") >= world.days] = STATUSES.index("trialing")
    status[ends(world, billing) != NONE] = STATUSES.index("canceled")
    unpaid = np.flatnonzero(customers.never_pays[subs.whole("account")])
    status[unpaid] = STATUSES.index("incomplete_expired")
    status[unpaid[::3]] = STATUSES.index("incomplete")
    return status


def subscription_columns(world: World, customers: Customers, billing: Billing, overdue: np.ndarray) -> dict:
    """billing_subscriptions."""
    subs, account = billing.subs, billing.subs.whole("account")
    second = customers.second[account]
    status = pick_status(world, customers, billing, overdue)
    asked, end = world.known(subs.whole("asked")), ends(world, billing)
    expired = status == STATUSES.index("incomplete_expired")
    end = np.where(expired, np.minimum(subs.whole("start") + 1, world.days - 1), end)
    told = (asked != NONE) | (end != NONE)
    trial_end = subs.whole("trial_end")
    name = subscription_ids(billing)
    return {
        "subscription_id": name,
        "account_id": text(customers.account_id, account),
        "status": text(STATUSES, status),
        "currency": text(CURRENCIES, customers.currency[account]),
        "started_at": world.instant(subs.whole("start"), second),
        "trial_start": world.instant(np.where(trial_end == NONE, NONE, subs.whole("start")), second),
        "trial_end": world.instant(trial_end, second),
        "cancel_requested_at": world.instant(asked, np.minimum(second, 12 * 3600)),
        "ended_at": world.instant(end, second),
        "cancel_reason": text(REASONS, np.where(told, subs.whole("reason"), -1)),
        "cancel_type": text(("voluntary", "involuntary"), np.where(told, subs.whole("kind"), -1)),
        "renews_subscription_id": text(name, subs.whole("renews")),
    }


def ordered_versions(world: World, billing: Billing) -> dict[str, np.ndarray]:
    """Item versions by item and day, with `until`: the day of the next version or of the item's end, else NONE."""
    versions = billing.versions
    order = np.lexsort((versions.whole("day"), versions.whole("item")))
    rows = {name: versions[name][order] for name in versions.names}
    for name in ("item", "day", "plan", "interval"):
        rows[name] = rows[name].astype(np.int64)
    following = np.append(rows["item"][1:] == rows["item"][:-1], False)
    item_end = world.known(billing.items.whole("end"))[rows["item"]]
    rows["until"] = np.where(following, np.append(rows["day"][1:], 0), item_end)
    return rows


def item_columns(world: World, customers: Customers, billing: Billing) -> dict:
    """billing_subscription_items: of ended subscriptions, half the last versions are left open."""
    rng, rows = world.stream("items"), ordered_versions(world, billing)
    sub = billing.items.whole("sub")[rows["item"]]
    second = customers.second[billing.subs.whole("account")[sub]]
    count = len(sub)
    sub_end = ends(world, billing)[sub]
    closes = (rows["until"] == NONE) & (sub_end != NONE) & (rng.random(count) < 0.5)
    until = np.where(closes, sub_end, rows["until"])
    late = np.where(rng.random(count) < 0.03, rng.integers(1, 21, count), 0)
    recorded = np.minimum(rows["day"] + late, world.days - 1)
    return {
        "item_version_id": ids("IV", np.arange(1, count + 1)),
        "item_id": ids("IT", rows["item"] + 1),
        "subscription_id": text(subscription_ids(billing), sub),
        "plan_id": text(PLANS, rows["plan"]),
        "quantity": rows["quantity"],
        "unit_amount": rows["price"],
        "discount_pct": rows["discount"],
        "billing_interval": text(INTERVALS, rows["interval"]),
        "interval_count": np.array([np.nan if each is None else each for each in INTERVAL_COUNTS])[rows["interval"]],
        "is_recurring": rows["interval"] != ONCE,
        "effective_from": world.instant(rows["day"], second),
        "effective_to": world.instant(until, second),
        "recorded_at": world.instant(recorded, second),
    }


def pause_columns(world: World, customers: Customers, billing: Billing) -> dict:
    """billing_subscription_pauses."""
    sub = billing.pauses.whole("sub")
    second = customers.second[billing.subs.whole("account")[sub]]
    return {
        "pause_id": ids("PA", np.arange(1, len(sub) + 1), 6),
        "subscription_id": text(subscription_ids(billing), sub),
        "paused_from": world.instant(billing.pauses.whole("start"), second),
        "paused_until": world.instant(world.known(billing.pauses.whole("until")), second),
    }


def term_columns(world: World, billing: Billing) -> dict:
    """billing_contract_terms."""
    terms = billing.terms
    return {
        "term_id": ids("T", np.arange(1, terms.rows + 1), 6),
        "subscription_id": text(subscription_ids(billing), terms.whole("sub")),
        "term_start": world.date(terms.whole("start")),
        "term_end": world.date(terms.whole("end")),
        "auto_renew": terms["auto"] > 0,
    }
