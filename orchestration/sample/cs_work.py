"""What customer success does: touches, playbooks and other actions, advocacy, and the CSM's colour of an account."""

import numpy as np
import pyarrow as pa

from orchestration.sample.billing import Billing
from orchestration.sample.customers import Customers, pick_contacts
from orchestration.sample.product import Usage
from orchestration.sample.staff import Staff
from orchestration.sample.traits import RESCUE, Traits
from orchestration.sample.voice import Answers, answer_ids
from orchestration.sample.words import THEMES
from orchestration.sample.world import NONE, World, choose, ids, text

TYPES = ("email", "call", "meeting", "training", "qbr", "exec_sponsor_visit", "onboarding_session", "onsite")
TYPE_WEIGHTS = ((58, 24, 8, 7, 1, 0.3, 0, 0.2), (44, 24, 16, 8, 5, 1, 0, 1), (34, 22, 22, 7, 8, 3, 0, 3))
MINUTES = np.array((0, 20, 45, 60, 75, 120, 60, 240))
STATUSES = ("completed", "scheduled", "cancelled", "no_show")
COMPLETED, SCHEDULED, CANCELLED, NO_SHOW = range(4)
PLAYBOOKS = ("risk_review", "adoption_boost", "renewal_preparation")
PLAYBOOK_KPI = ("customer_health_score", "product_adoption_rate", "gross_renewal_rate")
ADVOCACY = ("referral", "review", "case_study", "reference_call", "testimonial", "speaking", "community")
ADVOCACY_STATUSES = ("requested", "committed", "completed", "declined")
ACTIONS = ("playbook", "detractor_followup", "interview", "action_plan", "improvement")
ACTION_STATUSES = ("open", "done", "dropped")
DEPARTMENTS = ("Product", "Engineering", "Support", "Finance", "Customer Success")
COLOURS = ("red", "yellow", "green")


def activity_columns(
    world: World, customers: Customers, staff: Staff, traits: Traits, billing: Billing, usage: Usage
) -> dict:  # fmt: skip
    """cs_activities: more for big, new and engaged accounts; who is about to leave stops answering."""
    rng = world.stream("activities")
    live = billing.weekly_seats > 0
    state, owned = traits.satisfaction[:, : world.weeks], staff.owner >= 0
    base = np.array((0.1, 0.26, 0.62))[customers.segment][:, None]
    age = np.arange(world.weeks) - customers.start_day[:, None] // 7
    answers = 0.35 + 0.65 * np.clip(usage.breadth * 2, 0, 1)
    rate = live * owned * base * np.exp(0.22 * state) * np.where((age >= 0) & (age < 6), 2.5, 1.0) * answers
    account, week = np.nonzero(rate)
    number = rng.poisson(rate[account, week])
    account, week = np.repeat(account, number), np.repeat(week, number)
    early = age[account, week] < 6
    drawn = np.stack([choose(rng, row, len(account)) for row in TYPE_WEIGHTS])
    kind = drawn[customers.segment[account], np.arange(len(account))]
    kind = np.where(early & (rng.random(len(account)) < 0.35), TYPES.index("onboarding_session"), kind)
    kind[: len(TYPES)] = np.arange(len(TYPES))[: len(kind)]
    day = week * 7 + rng.integers(0, 7, len(week))

    runs = np.repeat(np.arange(len(traits.run_account)), 3)
    follow = traits.run_opened[runs] + np.tile((1, 8, 16), len(traits.run_account)) + rng.integers(0, 6, len(runs))
    mail_account, mail_week = np.nonzero(live & (np.arange(world.weeks) % 4 == 1))
    sizes = (len(account), len(runs), len(mail_account))
    playbook = np.concatenate([np.full(sizes[0], -1), traits.run_kind[runs], np.full(sizes[2], -1)])
    account = np.concatenate([account, traits.run_account[runs], mail_account])
    day = np.concatenate([day, follow, mail_week * 7 + 2])
    kind = np.concatenate([kind, np.tile((1, 2, 3), len(traits.run_account)), np.zeros(sizes[2], dtype=np.int64)])
    automated = np.repeat([False, False, True], sizes)
    user = staff.owner_on(account, day)
    kept = (day < world.days) & (day >= customers.start_day[account]) & ((user >= 0) | automated)
    order = np.flatnonzero(kept)[np.argsort(day[kept], kind="stable")]
    account, day, kind, playbook, automated, user = (
        part[order] for part in (account, day, kind, playbook, automated, user)
    )
    count = len(order)
    user = np.where(user >= 0, user, staff.of_role("exec")[0])
    inbound = ~automated & (playbook < 0) & (rng.random(count) < 0.17)
    status = choose(rng, (91, 0, 5, 4), count)
    status = np.where(automated | (kind == 0), COMPLETED, status)
    planned = (day >= world.days - 3) & ~automated & ~inbound & (rng.random(count) < 0.4)
    planned[np.flatnonzero(~automated)[-1:]] = True
    status = np.where(planned, SCHEDULED, status)
    return {
        "activity_id": ids("AC", np.arange(1, count + 1)),
        "account_id": text(customers.account_id, account),
        "user_id": text(staff.user_id, user),
        "contact_id": text(customers.contact_id, np.where(automated, -1, pick_contacts(rng, customers, account, day))),
        "activity_type": text(TYPES, kind),
        "direction": text(("outbound", "inbound"), inbound.astype(np.int64)),
        "is_automated": automated,
        "status": text(STATUSES, status),
        "occurred_at": world.instant(day, world.office_second(rng, count)),
        "duration_minutes": np.where((kind == 0) | (status != COMPLETED), np.nan, MINUTES[kind]),
        "playbook_name": text(PLAYBOOKS, playbook),
    }


def advocacy_columns(
    world: World, customers: Customers, staff: Staff, traits: Traits, billing: Billing
) -> dict:  # fmt: skip
    """cs_advocacy: asked of those who are glad."""
    rng = world.stream("advocacy")
    state = traits.satisfaction[:, : world.weeks]
    rate = (billing.weekly_seats > 0) * (staff.owner >= 0) * (state > 0.2) * 0.005 * np.exp(0.7 * state)
    account, week = np.nonzero(rng.random(rate.shape) < rate)
    day = week * 7 + rng.integers(0, 7, len(week))
    kept = (day < world.days) & (day >= customers.start_day[account])
    order = np.flatnonzero(kept)[np.argsort(day[kept], kind="stable")]
    account, day = account[order], day[order]
    count = len(account)
    kind = choose(rng, (24, 26, 10, 16, 12, 4, 8), count)
    kind[: len(ADVOCACY)] = np.arange(len(ADVOCACY))[:count]
    wanted = choose(rng, (10, 12, 52, 26), count)
    wanted[: len(ADVOCACY_STATUSES)] = np.arange(len(ADVOCACY_STATUSES))[:count]
    done = day + rng.integers(5, 60, count)
    status = np.where((wanted == 2) & (done >= world.days), 1, wanted)
    return {
        "advocacy_id": ids("AD", np.arange(1, count + 1), 6),
        "account_id": text(customers.account_id, account),
        "contact_id": text(customers.contact_id, pick_contacts(rng, customers, account, day)),
        "user_id": text(staff.user_id, staff.owner_on(account, day)),
        "advocacy_type": text(ADVOCACY, kind),
        "status": text(ADVOCACY_STATUSES, status),
        "requested_at": world.instant(day, world.office_second(rng, count)),
        "completed_at": world.instant(np.where(status == 2, done, NONE), world.office_second(rng, count)),
    }


class _Actions:
    """Actions of every kind, gathered piece by piece."""

    def __init__(self, world: World, staff: Staff) -> None:
        self.world, self.staff, self.parts = world, staff, []

    def add(
        self,
        kind: int,
        account: np.ndarray,
        opened: np.ndarray,
        due: np.ndarray,
        closed: np.ndarray,
        dropped: np.ndarray,
        playbook: np.ndarray | int = -1,
        theme: np.ndarray | int = -1,
        department: np.ndarray | int = 4,
        trigger: np.ndarray | int = -1,
        kpi: np.ndarray | int = -1,
    ) -> None:
        """`closed` is the day it will be closed; later than the last day means still open."""
        owner = np.where(account >= 0, self.staff.owner_on(np.maximum(account, 0), opened), -1)
        columns = (kind, account, opened, due, self.world.known(closed), dropped, playbook, theme, department, trigger,
                   kpi, owner)  # fmt: skip
        seen = opened < self.world.days
        self.parts.append([np.broadcast_to(column, seen.shape)[seen] for column in columns])


def action_columns(
    world: World, customers: Customers, staff: Staff, traits: Traits, billing: Billing, answers: Answers
) -> dict:  # fmt: skip
    """cs_actions: playbook runs, answers to detractors, interviews, plans and company-wide improvements."""
    rng, actions = world.stream("actions"), _Actions(world, staff)
    kpis = (*PLAYBOOK_KPI, "net_promoter_score", "customer_satisfaction_score")
    closed = np.where(traits.run_closed == NONE, world.days, traits.run_closed)
    pains = np.where(traits.run_kind == RESCUE, customers.pain[traits.run_account], -1)
    actions.add(0, traits.run_account, traits.run_opened, traits.run_opened + 30, closed, ~traits.run_done,
                playbook=traits.run_kind, theme=pains,
                kpi=traits.run_kind)  # fmt: skip
    subs, terms = billing.subs, billing.terms
    account = subs.whole("account")[terms.whole("sub")]
    opened = terms.whole("end") - 80 + rng.integers(0, 14, terms.rows)
    ready = (rng.random(terms.rows) < 0.5) & (opened > terms.whole("start")) & ~customers.is_internal[account]
    over = terms.whole("end") - rng.integers(2, 30, terms.rows)
    actions.add(0, account[ready], opened[ready], terms.whole("end")[ready] - 14, over[ready],
                rng.random(ready.sum()) < 0.08, playbook=2, kpi=2)  # fmt: skip
    unhappy = answers.detractors
    opened = np.floor(answers.responded[unhappy]).astype(np.int64) + 1 + rng.geometric(0.4, len(unhappy))
    follows = rng.random(len(unhappy)) < 0.68
    unhappy, opened = unhappy[follows], opened[follows]
    actions.add(1, answers.account[unhappy], opened, opened + 7, opened + rng.integers(1, 22, len(unhappy)),
                rng.random(len(unhappy)) < 0.06, trigger=unhappy, kpi=3)  # fmt: skip
    weekly = np.arange(world.weeks) * 7
    some = rng.integers(0, world.accounts, (2, world.weeks))
    lived = customers.start_day[some] < weekly - 30
    for kind, chosen, length in ((2, some[0][lived[0]], 30), (3, some[1][lived[1]], 60)):
        opened = weekly[lived[kind - 2]] + rng.integers(0, 5, len(chosen))
        actions.add(kind, chosen, opened, opened + length, opened + rng.integers(10, length + 40, len(chosen)),
                    rng.random(len(chosen)) < 0.1, theme=np.where(kind == 3, customers.pain[chosen], -1),
                    kpi=np.where(kind == 3, 4, -1))  # fmt: skip
    opened = np.linspace(world.days * 0.1, world.days - 20, 14).astype(np.int64)
    actions.add(4, np.full(14, -1), opened, opened + 90, opened + rng.integers(40, 110, 14), np.zeros(14, dtype=bool),
                theme=np.arange(14) % len(THEMES), department=np.arange(14) % 4, kpi=3)  # fmt: skip
    columns = [np.concatenate(part) for part in zip(*actions.parts, strict=True)]
    order = np.argsort(columns[2], kind="stable")
    kind, account, opened, due, closed, dropped, playbook, theme, department, trigger, kpi, owner = (
        column[order] for column in columns
    )
    count, shut = len(order), closed != NONE
    dropped = dropped & shut
    outcomes = ("solved with the customer", "improved since", "no change seen", "customer did not answer")
    second = world.office_second(rng, count)
    return {
        "action_id": ids("AX", np.arange(1, count + 1), 6),
        "action_type": text(ACTIONS, kind),
        "playbook_name": text(PLAYBOOKS, playbook),
        "account_id": text(customers.account_id, account),
        "owner_user_id": text(staff.user_id, owner),
        "team": text(DEPARTMENTS, department),
        "theme": text(THEMES, theme),
        "trigger_ref": text(answer_ids(answers), trigger),
        "target_kpi": text(kpis, kpi),
        "opened_at": world.instant(opened, second),
        "due_at": world.instant(due, 16 * 3600),
        "closed_at": world.instant(closed, second),
        "status": text(ACTION_STATUSES, np.where(~shut, 0, np.where(dropped, 2, 1))),
        "outcome": text(outcomes, np.where(~shut, -1, np.where(dropped, 3, rng.integers(0, 3, count)))),
    }


def rating_columns(
    world: World, customers: Customers, staff: Staff, traits: Traits, billing: Billing
) -> dict:  # fmt: skip
    """cs_health_ratings: once a month for most accounts, by feel and rather too kindly."""
    rng = world.stream("ratings")
    day = world.month_starts + 4
    day = day[day < world.days]
    week = day // 7
    rated = (billing.weekly_seats[:, week] > 0) & (staff.owner[:, week] >= 0) & ~customers.never_pays[:, None]
    rated &= (customers.start_day[:, None] < day) & (rng.random(rated.shape) < 0.6)
    account, month = np.nonzero(rated)
    count = len(account)
    felt = traits.at(account, day[month]) + rng.normal(0.25, 0.9, count)
    colour = np.where(felt < -0.8, 0, np.where(felt < 0.1, 1, 2))
    said: pa.Array = text(
        ("Sponsor is quiet.", "Budget talks ahead.", "Good energy in the last call.", "Waiting for the new release."),
        np.where(rng.random(count) < 0.2, np.where(colour == 2, 2, rng.integers(0, 4, count)), -1),
    )
    return {
        "account_id": text(customers.account_id, account),
        "user_id": text(staff.user_id, staff.owner[account, week[month]].astype(np.int64)),
        "rated_at": world.instant(day[month], world.office_second(rng, count)),
        "colour": text(COLOURS, colour),
        "comment": said,
    }
