"""Costs, exchange rates, and the deals in the sales pipeline."""

import numpy as np

from orchestration.sample.billing import Billing
from orchestration.sample.customers import Customers
from orchestration.sample.staff import ROLES, Staff
from orchestration.sample.world import CURRENCIES, NONE, World, choose, ids, text

COST_TYPES = ("acquisition", "retention", "cs_team", "support", "cogs")
DEAL_TYPES = ("new", "expansion", "renewal")
STAGES = ("prospecting", "negotiation", "closed_won", "closed_lost")
PAIRS = ((1, 0), (2, 0), (0, 1), (2, 1))


def cost_columns(world: World, customers: Customers, staff: Staff, billing: Billing) -> dict:
    """fin_costs: salaries per CSM, what it took to win each account, gifts and workshops, hosting and support."""
    rng, months = world.stream("costs"), world.month_starts
    moves = billing.moves
    first = moves.whole("kind") == 0
    account, day = moves.whole("account")[first], moves.whole("day")[first]
    won = moves["value"][first] * rng.uniform(0.15, 0.5, first.sum()) + 200
    live = billing.weekly_seats[:, np.minimum(months // 7 + 2, world.weeks - 1)] > 0
    kept_account, kept_month = np.nonzero(live & (rng.random(live.shape) < 0.06))
    paid = np.nonzero((staff.role == ROLES.index("csm"))[:, None] & (staff.active_from[:, None] <= months)
                      & ((staff.active_to[:, None] == NONE) | (staff.active_to[:, None] > months)))  # fmt: skip
    customers_live = live.sum(axis=0)
    month_of = np.searchsorted(months, day, side="right") - 1
    parts = (
        # type, month, account, user, amount, currency
        (0, month_of, account, -1, won, customers.currency[account]),
        (1, kept_month, kept_account, -1, rng.uniform(40, 600, len(kept_month)), customers.currency[kept_account]),
        (1, np.arange(len(months)), -1, -1, 300 + 2.0 * customers_live, 0),
        (2, paid[1], -1, paid[0], 5200 + 900 * (staff.team[paid[0]] == 2) + 12 * paid[1], 0),
        (3, np.arange(len(months)), -1, -1, 1500 + 9.0 * customers_live, 0),
        (4, np.arange(len(months)), -1, -1, 2500 + 31.0 * customers_live, 0),
        (4, np.arange(len(months)), -1, -1, 800 + 6.0 * customers_live, 1),
    )
    rows = [[np.broadcast_to(column, part[1].shape) for column in part] for part in parts]
    kind, month, account, user, amount, currency = (np.concatenate(column) for column in zip(*rows, strict=True))
    order = np.argsort(month, kind="stable")
    return {
        "cost_id": ids("CO", np.arange(1, len(order) + 1), 6),
        "cost_month": world.date(months[month[order]]),
        "cost_type": text(COST_TYPES, kind[order]),
        "account_id": text(customers.account_id, account[order]),
        "user_id": text(staff.user_id, user[order]),
        "amount": np.round(amount[order], 2),
        "currency": text(CURRENCIES, currency[order]),
    }


def rate_columns(world: World) -> dict:
    """fin_exchange_rates: a random walk on weekdays from before the first billed day; weekends are gaps."""
    rng = world.stream("rates")
    day = np.arange(-15, world.days)
    dollars = np.ones((3, len(day)))
    for currency, middle in ((1, 1.09), (2, 1.27)):
        steps = rng.normal(0, 0.0035, len(day))
        walk = np.zeros(len(day))
        for position in range(1, len(day)):
            walk[position] = 0.995 * walk[position - 1] + steps[position]
        dollars[currency] = middle * np.exp(walk)
    weekday = (world.date(day).astype(np.int64) + 3) % 7 < 5
    day, dollars = day[weekday], dollars[:, weekday]
    origin, target = (np.array(part) for part in zip(*PAIRS, strict=True))
    rate = dollars[origin] / dollars[target]
    return {
        "rate_date": world.date(np.repeat(day, len(PAIRS))),
        "from_currency": text(CURRENCIES, np.tile(origin, len(day))),
        "to_currency": text(CURRENCIES, np.tile(target, len(day))),
        "rate": np.round(rate.T.ravel(), 8),
    }


def deal_columns(world: World, customers: Customers, staff: Staff, billing: Billing) -> dict:
    """crm_opportunities: first sales, expansions won and lost, and the renewals of every term."""
    rng, subs, moves, terms = world.stream("deals"), billing.subs, billing.moves, billing.terms
    account, day = moves.whole("account"), moves.whole("day")
    lost = np.flatnonzero((moves.whole("kind") == 1) & (rng.random(moves.rows) < 0.35))
    open_day = world.days - rng.integers(1, 60, max(4, world.accounts // 25))
    hopeful = rng.choice(np.flatnonzero(billing.weekly_seats[:, -1] > 0), len(open_day))
    term_account = subs.whole("account")[terms.whole("sub")]
    near = terms.whole("end") < world.days + 90
    renewal, due = term_account[near], terms.whole("end")[near]
    ended = subs.whole("end")[terms.whole("sub")[near]]
    value = billing.weekly_seats[:, -1] * 400
    parts = (
        # type, account, created, closed, won, amount
        (moves.whole("kind"), account, day - rng.integers(10, 70, moves.rows), day, 1, moves["value"]),
        (1, account[lost], day[lost] + 20, day[lost] + 20 + rng.integers(20, 80, len(lost)), 0, moves["value"][lost]),
        (1, hopeful, open_day, 10**6, 0, value[hopeful]),
        (2, renewal, due - 85, due, (ended == NONE) | (ended > due), value[renewal]),
    )
    rows = [[np.broadcast_to(column, part[1].shape) for column in part] for part in parts]
    kind, account, created, closed, won, amount = (np.concatenate(column) for column in zip(*rows, strict=True))
    seen = created < world.days
    order = np.flatnonzero(seen)[np.argsort(created[seen], kind="stable")]
    kind, account, created, closed, won, amount = (
        column[order] for column in (kind, account, created, closed, won, amount)
    )
    count, shut = len(order), closed < world.days
    stage = np.where(shut, np.where(won > 0, 2, 3), choose(rng, (1, 1), count))
    csm = staff.owner_on(account, created)
    sellers = staff.of_role("account_manager")
    sourced = (rng.random(count) < np.where(kind == 0, 0, 0.6)) & (csm >= 0)
    return {
        "opportunity_id": ids("OP", np.arange(1, count + 1), 6),
        "account_id": text(customers.account_id, account),
        "opportunity_type": text(DEAL_TYPES, kind),
        "stage": text(STAGES, stage),
        "is_closed": shut,
        "is_won": text(("false", "true"), np.where(shut, won, -1)),
        "amount_arr": np.round(np.maximum(amount, 0), 2),
        "currency": text(CURRENCIES, customers.currency[account]),
        "sourced_by_user_id": text(staff.user_id, np.where(sourced, csm, -1)),
        "owner_user_id": text(staff.user_id, rng.choice(sellers, count)),
        "created_at": world.instant(created, world.office_second(rng, count)),
        "close_date": world.date(np.where(shut, closed, NONE)),
    }
