"""Onboardings: from purchase by way of the first value to completion, and those that stall."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from orchestration.sample.billing import FREE, Billing
from orchestration.sample.customers import Customers
from orchestration.sample.staff import Staff
from orchestration.sample.traits import Traits
from orchestration.sample.world import NONE, World, ids, text

MILESTONES = ("first report shared", "first integration live", "ten active users", "first automation running",
              "data imported", "first project delivered")  # fmt: skip
TARGET_DAYS = np.array((30, 45, 60))


@dataclass(frozen=True)
class Onboardings:
    """One entry an onboarding; days are NONE where it has not come."""

    account: np.ndarray
    csm: np.ndarray
    purchased: np.ndarray
    started: np.ndarray
    completed: np.ndarray
    first_value: np.ndarray
    cancelled: np.ndarray

    @property
    def names(self) -> pa.Array:
        return ids("O", np.arange(1, len(self.account) + 1), 6)


def make_onboardings(
    world: World, customers: Customers, staff: Staff, traits: Traits, billing: Billing
) -> Onboardings:  # fmt: skip
    """Nearly every paying customer has one; it ends unfinished when the customer leaves first or loses interest."""
    rng, subs = world.stream("onboardings"), billing.subs
    first_sub = np.full(world.accounts, -1)
    first_sub[subs.whole("account")[::-1]] = np.arange(subs.rows)[::-1]
    bought = (first_sub >= 0) & ~customers.never_pays & (billing.weekly_plan[:, -1] != FREE)
    account = np.flatnonzero(bought & (rng.random(world.accounts) < 0.93))
    sub = first_sub[account]
    count = len(account)
    purchased = subs.whole("start")[sub]
    started = purchased + rng.integers(0, 10, count)
    kept = started < world.days
    account, sub, purchased, started = (part[kept] for part in (account, sub, purchased, started))
    count = len(account)
    value = started + np.maximum(1, np.rint(traits.value_days[account])).astype(np.int64)
    completed = np.maximum(value + rng.integers(-6, 15, count), started + 3)
    tired = rng.random(count) < 0.04
    quits = np.where(tired, started + rng.integers(15, 60, count), 10**7)
    end = subs.whole("planned")[sub]
    quits = np.minimum(quits, np.where(end == NONE, 10**7, end))
    cancelled = np.where(quits < value, np.maximum(quits, started), NONE)
    stopped = cancelled != NONE
    owner = staff.owner_on(account, started)
    stand_in = np.searchsorted(staff.team[staff.role == 0], customers.segment[account])
    return Onboardings(
        account=account,
        csm=np.where(owner >= 0, owner, stand_in),
        purchased=purchased,
        started=started,
        completed=np.where(stopped, NONE, world.known(completed)),
        first_value=np.where(stopped, NONE, world.known(value)),
        cancelled=world.known(cancelled),
    )


def onboarding_columns(world: World, customers: Customers, staff: Staff, onboardings: Onboardings) -> dict:
    """cs_onboardings."""
    rng, account = world.stream("onboarding columns"), onboardings.account
    count, second = len(account), customers.second[account]
    unknown = rng.random(count) < 0.02
    return {
        "onboarding_id": onboardings.names,
        "account_id": text(customers.account_id, account),
        "csm_user_id": text(staff.user_id, onboardings.csm),
        "purchased_at": world.instant(np.where(unknown, NONE, onboardings.purchased), second),
        "started_at": world.instant(onboardings.started, second + 1800),
        "completed_at": world.instant(onboardings.completed, second + 5400),
        "first_value_at": world.instant(onboardings.first_value, second + 3600),
        "cancelled_at": world.instant(onboardings.cancelled, second + 5400),
        "first_value_milestone": text(MILESTONES, np.where(unknown, -1, rng.integers(0, len(MILESTONES), count))),
        "target_days": TARGET_DAYS[customers.segment[account]],
    }
