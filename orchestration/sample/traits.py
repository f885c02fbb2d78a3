"""What nobody sees: how satisfied each account is, week by week, and the playbooks that try to mend it.

Satisfaction drifts around a level of the account's own, moved by fit, by the owning CSM's skill, by a slow start, by
shocks (an outage, a lost champion, a price increase) and by playbooks that work. Everything the warehouse does see
follows from it, and what can be seen moves before the customer leaves.
"""

from dataclasses import dataclass, replace

import numpy as np

from orchestration.sample.customers import Customers
from orchestration.sample.staff import Staff
from orchestration.sample.world import NONE, World

PULL = 0.045
RESCUE, ADOPTION = 0, 1


@dataclass(frozen=True)
class Traits:
    """`satisfaction` has shape [accounts, weeks + 1], about -3..3; `value_days` [accounts]: how long first value takes.

    Playbook runs are rows: account, kind (RESCUE or ADOPTION), day opened, day closed (NONE while open) and whether
    it was carried through.
    """

    satisfaction: np.ndarray
    value_days: np.ndarray
    price_days: tuple[int, int]
    run_account: np.ndarray
    run_kind: np.ndarray
    run_opened: np.ndarray
    run_closed: np.ndarray
    run_done: np.ndarray

    def at(self, account: np.ndarray, day: np.ndarray) -> np.ndarray:
        """Satisfaction of accounts on days (fractions allowed), straight between the weeks."""
        position = np.clip(np.asarray(day) / 7, 0, self.satisfaction.shape[1] - 1.001)
        week = position.astype(np.int64)
        part = position - week
        return self.satisfaction[account, week] * (1 - part) + self.satisfaction[account, week + 1] * part


def darken(traits: Traits, leaving: np.ndarray) -> Traits:
    """Satisfaction as it is felt: lower by up to 1.4 on the way out; `leaving` [accounts, weeks], 0..1."""
    felt = traits.satisfaction.copy()
    felt[:, :-1] -= 1.4 * leaving
    felt[:, -1] -= 1.4 * leaving[:, -1]
    return replace(traits, satisfaction=felt)


def make_traits(world: World, customers: Customers, staff: Staff) -> Traits:
    """Let the weeks pass."""
    rng, n = world.stream("traits"), world.accounts
    target = np.array((28.0, 38.0, 55.0))[customers.segment]
    # Newer customers reach value sooner: onboarding got better over the years.
    learning = 1.15 - 0.35 * np.clip(customers.start_day / world.days, 0, 1)
    value_days = target * learning * np.exp(-0.28 * customers.fit + rng.normal(0, 0.45, n))
    slow = np.log(value_days / target)
    level = customers.mood - 0.3 * slow
    price_days = (int(world.days * 0.38), int(world.days * 0.76))
    outage = int(world.days * 0.58) // 7

    state = level + rng.normal(0, 0.3, n)
    satisfaction = np.empty((n, world.weeks + 1), dtype=np.float32)
    run_until, runs = np.full(n, -1), []
    pending: dict[int, list[tuple[np.ndarray, float]]] = {}
    for week in range(world.weeks + 1):
        satisfaction[:, week] = state
        day = week * 7
        owner = staff.owner[:, min(week, world.weeks - 1)]
        skill = np.where(owner >= 0, staff.skill[owner], -0.15)
        shock = np.where(rng.random(n) < 0.006, -rng.uniform(0.9, 2.2, n), 0.0)
        shock += np.where(rng.random(n) < 0.002, rng.uniform(0.5, 1.0, n), 0.0)
        shock -= 0.35 * (week == outage) * (rng.random(n) < 0.6)
        shock -= 0.2 * (day // 7 in (price_days[0] // 7, price_days[1] // 7))
        for helped, strength in pending.pop(week, []):
            shock[helped] += strength
        state = state + PULL * (level + skill - state) + rng.normal(0, 0.13, n) + shock
        free = (run_until < day) & (day > customers.start_day + 60) & (day < world.days) & (owner >= 0)
        rescue = free & (state < -0.7) & (rng.random(n) < 0.045)
        adoption = free & ~rescue & (state < 0.6) & (rng.random(n) < 0.006)
        chosen = np.flatnonzero(rescue | adoption)
        kind = np.where(rescue[chosen], RESCUE, ADOPTION)
        opened = day + rng.integers(0, 7, len(chosen))
        closed = opened + rng.integers(18, 50, len(chosen))
        done = rng.random(len(chosen)) < 0.8
        run_until[chosen] = closed + 60
        runs.append((chosen, kind, opened, closed, done))
        for at_week in np.unique(closed[done] // 7):
            mended = chosen[done & (closed // 7 == at_week)]
            pending.setdefault(int(at_week), []).append((mended, 0.8))
    account, kind, opened, closed, done = (np.concatenate(part) for part in zip(*runs, strict=True))
    seen = opened < world.days
    return Traits(
        satisfaction=satisfaction,
        value_days=value_days,
        price_days=price_days,
        run_account=account[seen],
        run_kind=kind[seen],
        run_opened=opened[seen],
        run_closed=np.where(closed < world.days, closed, NONE)[seen],
        run_done=done[seen],
    )
