"""What the product can do, which plan may use it, and how lively each account is in each week."""

from dataclasses import dataclass

import numpy as np

from orchestration.sample.billing import ADDON, FREE, PLANS, Billing
from orchestration.sample.customers import Customers
from orchestration.sample.traits import Traits
from orchestration.sample.world import NONE, World, sigmoid, spread, text

# key, name, core, plans that may use it, share of the history when it was released (< 0: before) or retired
FEATURES = (
    ("dashboards", "Dashboards", True, (0, 1, 2, 4), -1, None),
    ("projects", "Projects", True, (0, 1, 2, 4), -1, None),
    ("comments", "Comments", True, (0, 1, 2, 4), -1, None),
    ("search", "Search", True, (0, 1, 2), -1, None),
    ("file_import", "File import", True, (0, 1, 2), -1, None),
    ("reports", "Reports", True, (0, 1, 2), -1, None),
    ("email_digest", "E-mail digest", False, (0, 1, 2), -1, 0.8),
    ("mobile_app", "Mobile app", False, (0, 1, 2), 0.2, None),
    ("automations", "Automations", True, (1, 2), -1, None),
    ("integrations", "Integrations", True, (1, 2), -1, None),
    ("scheduled_exports", "Scheduled exports", False, (1, 2), -1, None),
    ("api_access", "API access", False, (1, 2), -1, None),
    ("custom_fields", "Custom fields", False, (1, 2), -1, None),
    ("templates", "Templates", False, (1, 2), 0.3, None),
    ("guest_access", "Guest access", False, (1, 2), 0.55, None),
    ("single_sign_on", "Single sign-on", True, (2,), -1, None),
    ("audit_log", "Audit log", False, (2,), -1, None),
    ("roles", "Roles and permissions", False, (2,), -1, None),
    ("sandbox", "Sandbox", False, (2,), 0.25, None),
    ("data_residency", "Data residency", False, (2,), 0.7, None),
    ("forecasts", "Forecasts", True, (3,), -1, None),
    ("cohort_explorer", "Cohort explorer", False, (3,), -1, None),
    ("benchmarks", "Benchmarks", False, (3,), 0.6, None),
)
ALWAYS = -2000


@dataclass(frozen=True)
class Usage:
    """How lively: `weight` and `breadth` [accounts, weeks]; `users` is the pool of active users [accounts, weeks]."""

    weight: np.ndarray
    users: np.ndarray
    breadth: np.ndarray
    curious: np.ndarray


def released_days(world: World) -> tuple[np.ndarray, np.ndarray]:
    """(first day, day retired) of every feature; a feature that stays is retired on a day far away."""
    first = [ALWAYS if share < 0 else int(share * world.days) for *_, share, _ in FEATURES]
    last = [10**7 if share is None else int(share * world.days) for *_, share in FEATURES]
    return np.array(first), np.array(last)


def entitled(plan: int, with_addon: bool) -> np.ndarray:
    """Features (indices) of a plan, the most popular first."""
    plans = {plan, ADDON} if with_addon else {plan}
    return np.array([number for number, feature in enumerate(FEATURES) if plans & set(feature[3])])


def make_usage(world: World, customers: Customers, traits: Traits, billing: Billing) -> Usage:
    """Usage follows satisfaction and fit, grows in the first weeks, fades in the months before a customer leaves."""
    rng, n, weeks = world.stream("usage"), world.accounts, world.weeks
    state = traits.satisfaction[:, :weeks]
    fit = customers.fit[:, None].astype(np.float32)
    seats = billing.weekly_seats
    age = np.arange(weeks) - customers.start_day[:, None] // 7
    ramp = np.clip(0.3 + 0.7 * age / 7, 0.3, 1).astype(np.float32)
    fade = 0.1 + 0.9 * (1 - billing.leaving)
    own = np.exp(rng.normal(0, 0.3, (n, 1))).astype(np.float32)
    weight = seats * own * np.exp(0.5 * state + 0.2 * fit) * ramp * fade * _resting(world, billing)
    weight[customers.never_pays] = 0
    weight *= np.where(billing.weekly_plan == FREE, np.float32(0.5), np.float32(1))
    share = sigmoid(0.9 + 1.05 * state + 0.2 * fit) * ramp * (0.35 + 0.65 * fade)
    users = np.maximum(1, np.rint(seats * np.where((state > 1.2) & (fit > 0.8), 1.08, share)))
    breadth = sigmoid(-0.1 + 0.9 * state + 0.6 * fit) * ramp * (0.5 + 0.5 * fade)
    curious = (customers.fit > 0.2) & (rng.random(n) < 0.15)
    return Usage(weight.astype(np.float32), users.astype(np.float32), breadth.astype(np.float32), curious)


def _resting(world: World, billing: Billing) -> np.ndarray:
    """Factor [accounts, weeks] that is small while a subscription is paused."""
    rest = np.ones((world.accounts, world.weeks), dtype=np.float32)
    pauses = billing.pauses
    first, until = pauses.whole("start") // 7 + 1, pauses.whole("until") // 7
    pause, nth = spread(np.maximum(until - first, 0))
    week = first[pause] + nth
    kept = week < world.weeks
    account = billing.subs.whole("account")[pauses.whole("sub")[pause[kept]]]
    rest[account, week[kept]] = 0.08
    return rest


def feature_columns(world: World) -> dict:
    """product_features."""
    first, last = released_days(world)
    return {
        "feature_key": text([row[0] for row in FEATURES], np.arange(len(FEATURES))),
        "feature_name": text([row[1] for row in FEATURES], np.arange(len(FEATURES))),
        "is_core": np.array([row[2] for row in FEATURES]),
        "released_on": world.date(first),
        "retired_on": world.date(world.known(last)),
    }


def plan_feature_columns(world: World) -> dict:
    """product_plan_features: templates moved from the enterprise plan to the pro plan too, a year before the end."""
    pairs = [(plan, number) for number, feature in enumerate(FEATURES) for plan in feature[3]]
    plan, feature = (np.array(part) for part in zip(*pairs, strict=True))
    first, _ = released_days(world)
    begins = first[feature]
    ends = np.full(len(pairs), NONE)
    guest = [row[0] for row in FEATURES].index("guest_access")
    moved = (feature == guest) & (plan == 1)
    begins = np.where(moved, np.maximum(begins, int(world.days * 0.65)), begins)
    comments = [row[0] for row in FEATURES].index("comments")
    ends = np.where((feature == comments) & (plan == FREE), int(world.days * 0.6), ends)
    return {
        "plan_id": text(PLANS, plan),
        "feature_key": text([row[0] for row in FEATURES], feature),
        "valid_from": world.date(begins),
        "valid_to": world.date(ends),
    }
