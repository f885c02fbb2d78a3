"""Tickets with everything that happens to them, and the help customers find by themselves."""

from dataclasses import dataclass

import numpy as np

from orchestration.sample.billing import Billing
from orchestration.sample.customers import Customers, pick_contacts
from orchestration.sample.staff import Staff, pick_agents
from orchestration.sample.traits import Traits
from orchestration.sample.world import World, choose, ids, sigmoid, text

CHANNELS = ("email", "chat", "web", "phone", "social")
TOPICS = ("billing", "login", "integration", "performance", "reporting", "how_to", "bug", "data_import")
PAIN_TOPIC = np.array((3, 5, 0, 5, 7, 4, 2, 6))
PRIORITIES = ("low", "normal", "high", "urgent")
STATUSES = ("new", "open", "pending", "solved", "closed")
EVENT_TYPES = ("public_reply", "internal_note", "assigned", "escalated", "solved", "reopened", "closed")
REPLY, NOTE, ASSIGNED, ESCALATED, SOLVED, REOPENED, CLOSED = range(7)
ACTORS = ("agent", "customer", "system")
AGENT, CUSTOMER, SYSTEM = range(3)
SELF_SERVICE_CHANNELS = ("help_center", "bot", "community", "in_app_guide")
HOUR = 1 / 24


@dataclass(frozen=True)
class Tickets:
    """One entry a ticket, in order of creation. Times are fractional days; `solved` is NaN where it never was."""

    account: np.ndarray
    contact: np.ndarray
    agent: np.ndarray
    channel: np.ndarray
    topic: np.ndarray
    created: np.ndarray
    solved: np.ndarray
    reopened: np.ndarray
    status: np.ndarray
    is_spam: np.ndarray
    by_agent: np.ndarray
    merged_into: np.ndarray
    event_ticket: np.ndarray
    event_type: np.ndarray
    event_actor: np.ndarray
    event_time: np.ndarray


def make_tickets(world: World, customers: Customers, staff: Staff, traits: Traits, billing: Billing) -> Tickets:
    """Unhappy, big and new customers ask more; unhappy ones wait longer and come back more often."""
    rng = world.stream("tickets")
    account, created = _arrivals(world, rng, customers, traits, billing)
    count = len(account)
    state = traits.at(account, created)
    spam = rng.random(count) < 0.015
    by_agent = ~spam & (rng.random(count) < 0.03)
    merged_into = np.where(~spam & ~by_agent & (rng.random(count) < 0.02), _earlier_ticket(account, spam), -1)
    normal = ~spam & (merged_into < 0)
    topic = choose(rng, (12, 11, 13, 12, 12, 18, 14, 8), count)
    topic = np.where(rng.random(count) < 0.4, PAIN_TOPIC[customers.pain[account]], topic)
    never = rng.random(count) < 0.015

    log: list[tuple[np.ndarray, int, int, np.ndarray]] = []

    def note(which: np.ndarray, kind: int, actor: int, time: np.ndarray) -> None:
        log.append((np.flatnonzero(which), kind, actor, time[which]))

    first = created + HOUR * np.exp(rng.normal(1.2, 0.9, count) - 0.15 * state)
    first = np.where(by_agent, created, first)
    note(normal, ASSIGNED, SYSTEM, created + HOUR * 0.05)
    waiting, answering = _forced_endings(world, created, first, normal)
    replied, rounds = first.copy(), np.minimum(rng.geometric(sigmoid(0.9 + 0.35 * state)), 4)
    note(normal & np.isfinite(first), REPLY, AGENT, first)
    for extra in range(1, 4):
        again = normal & ((rounds > extra) | answering) & np.isfinite(replied) & ~waiting
        asked = replied + HOUR * np.exp(rng.normal(1.6, 0.9, count))
        asked = np.where(answering, (replied + world.days) / 2, asked)
        note(again, REPLY, CUSTOMER, asked)
        answer = asked + HOUR * np.exp(rng.normal(1.3, 0.8, count))
        note(again & ~answering, REPLY, AGENT, answer)
        replied = np.where(again, np.where(answering, np.inf, answer), replied)
    notes = normal & (rng.random(count) < 0.2)
    note(notes, NOTE, AGENT, first + HOUR * 0.2)
    escalated = normal & (rng.random(count) < sigmoid(-3.0 - 0.5 * state))
    note(escalated, ESCALATED, AGENT, first + HOUR * 0.6)
    solved = replied + np.where(rng.random(count) < 0.6, HOUR * 0.02, rng.uniform(0.2, 3, count))
    solved = np.where(normal & ~never & ~waiting & np.isfinite(solved), solved, np.nan)
    note(np.isfinite(solved), SOLVED, AGENT, solved)
    reopened = np.isfinite(solved) & (rng.random(count) < sigmoid(-2.4 - 0.6 * state))
    back = solved + np.minimum(rng.exponential(2.5, count), 14)
    note(reopened, REPLY, CUSTOMER, back)
    note(reopened, REOPENED, CUSTOMER, back + HOUR * 0.001)
    thanks = reopened & (rng.random(count) < 0.25)
    final = back + HOUR * np.exp(rng.normal(1.5, 0.8, count))
    note(reopened & ~thanks, REPLY, AGENT, final)
    note(reopened, SOLVED, AGENT, final + HOUR * 0.02)
    last = np.where(reopened, final + HOUR * 0.02, solved)
    # The latest solved ticket stays solved, even where a small company has had no other for days.
    rest = np.full(count, 4.0)
    rest[np.flatnonzero(last < world.days)[-1:]] = world.days
    note(np.isfinite(last), CLOSED, SYSTEM, last + rest)
    note(~normal, CLOSED, SYSTEM, created + HOUR * 2)

    event_ticket = np.concatenate([rows for rows, *_ in log])
    event_type = np.repeat([kind for _, kind, _, _ in log], [len(rows) for rows, *_ in log])
    event_actor = np.repeat([actor for _, _, actor, _ in log], [len(rows) for rows, *_ in log])
    event_time = np.concatenate([time for *_, time in log])
    order = np.flatnonzero(event_time < world.days)
    order = order[np.argsort(event_time[order], kind="stable")]
    event_ticket, event_type = event_ticket[order], event_type[order]
    event_actor, event_time = event_actor[order], event_time[order]
    return Tickets(
        account=np.where(spam, -1, account),
        contact=np.where(spam, -1, pick_contacts(rng, customers, account, created)),
        agent=pick_agents(world, staff, rng, count),
        channel=choose(rng, (42, 25, 18, 12, 3), count),
        topic=topic,
        created=created,
        solved=np.where(solved < world.days, solved, np.nan),
        reopened=reopened,
        status=_statuses(count, event_ticket, event_type, event_actor),
        is_spam=spam,
        by_agent=by_agent,
        merged_into=merged_into,
        event_ticket=event_ticket,
        event_type=event_type,
        event_actor=event_actor,
        event_time=event_time,
    )


def _arrivals(
    world: World, rng: np.random.Generator, customers: Customers, traits: Traits, billing: Billing
) -> tuple[np.ndarray, np.ndarray]:
    """(account, fractional day) of tickets in order of time."""
    seats, state = billing.weekly_seats, traits.satisfaction[:, : world.weeks]
    age = np.arange(world.weeks) - customers.start_day[:, None] // 7
    rate = (seats > 0) * (0.03 + 0.011 * seats**0.75) * np.exp(-0.45 * state) * np.where(age < 8, 1.8, 1.0)
    rate[customers.never_pays] = 0
    account, week = np.nonzero(rate)
    number = rng.poisson(rate[account, week])
    account, week = np.repeat(account, number), np.repeat(week, number)
    day = week * 7 + choose(rng, (20, 20, 19, 18, 15, 5, 3), len(week))
    # The world may begin on any day of the week: shift so that the quiet days are Saturday and Sunday.
    first_weekday = (int(world.date(0).astype(np.int64)) + 3) % 7
    day = week * 7 + (day - week * 7 - first_weekday) % 7
    created = day + np.clip(rng.normal(0.6, 0.14, len(day)), 0.02, 0.99)
    kept = (created < world.days) & (day > customers.start_day[account])
    order = np.flatnonzero(kept)[np.argsort(created[kept], kind="stable")]
    return account[order], created[order]


def _earlier_ticket(account: np.ndarray, spam: np.ndarray) -> np.ndarray:
    """The ticket of the same account before this one; -1 without one."""
    real = np.flatnonzero(~spam)
    order = real[np.argsort(account[real], kind="stable")]
    same = account[order][1:] == account[order][:-1]
    earlier = np.full(len(account), -1)
    earlier[order[1:][same]] = order[:-1][same]
    return earlier


def _forced_endings(
    world: World, created: np.ndarray, first: np.ndarray, normal: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The latest tickets are still alive: new ones without a reply, some waiting for the customer, some for us.

    Sets the first replies in place; gives (waiting for the customer, waiting for us).
    """
    waiting, answering = np.zeros(len(created), dtype=bool), np.zeros(len(created), dtype=bool)
    some = max(1, len(created) // 800)
    latest = np.flatnonzero(normal)[-3 * some :]
    new, others = latest[2 * some :], latest[: 2 * some]
    first[new] = np.inf
    first[others] = np.minimum(created[others] + 0.05, (created[others] + world.days) / 2)
    waiting[others[:some]] = True
    answering[others[some:]] = True
    return waiting, answering


def _statuses(count: int, ticket: np.ndarray, kind: np.ndarray, actor: np.ndarray) -> np.ndarray:
    """What the last thing that happened means; events come in order of time."""
    meaning = np.full(len(ticket), -1)
    meaning[(kind == REPLY) & (actor == AGENT)] = STATUSES.index("pending")
    meaning[((kind == REPLY) & (actor == CUSTOMER)) | (kind == REOPENED)] = STATUSES.index("open")
    meaning[kind == SOLVED] = STATUSES.index("solved")
    meaning[kind == CLOSED] = STATUSES.index("closed")
    status = np.zeros(count, dtype=np.int64)
    tells = meaning >= 0
    status[ticket[tells]] = meaning[tells]
    return status


def ticket_columns(world: World, customers: Customers, staff: Staff, tickets: Tickets) -> dict:
    """support_tickets: a few carry only the requester, not the account."""
    rng, count = world.stream("ticket columns"), len(tickets.account)
    name = ticket_ids(tickets)
    nameless = rng.random(count) < 0.02
    return {
        "ticket_id": name,
        "account_id": text(customers.zendesk_id, np.where(nameless, -1, tickets.account)),
        "requester_contact_id": text(customers.contact_id, tickets.contact),
        "assignee_user_id": text(staff.user_id, np.where(tickets.is_spam, -1, tickets.agent)),
        "channel": text(CHANNELS, tickets.channel),
        "topic": text(TOPICS, np.where(tickets.is_spam | (rng.random(count) < 0.03), -1, tickets.topic)),
        "priority": text(PRIORITIES, choose(rng, (20, 55, 19, 6), count)),
        "status": text(STATUSES, tickets.status),
        "is_spam": tickets.is_spam,
        "is_agent_initiated": tickets.by_agent,
        "merged_into_ticket_id": text(name, tickets.merged_into),
        "created_at": world.moment(tickets.created),
    }


def ticket_ids(tickets: Tickets):
    return ids("TK", np.arange(1, len(tickets.account) + 1))


def ticket_event_columns(world: World, tickets: Tickets) -> dict:
    """support_ticket_events."""
    return {
        "event_id": ids("TE", np.arange(1, len(tickets.event_ticket) + 1), 8),
        "ticket_id": text(ticket_ids(tickets), tickets.event_ticket),
        "event_type": text(EVENT_TYPES, tickets.event_type),
        "actor_type": text(ACTORS, tickets.event_actor),
        "occurred_at": world.moment(tickets.event_time),
    }


def session_columns(
    world: World, customers: Customers, traits: Traits, billing: Billing, tickets: Tickets
) -> dict:  # fmt: skip
    """support_self_service_sessions: searches of their own, and some that end in a ticket a few hours later."""
    rng = world.stream("sessions")
    seats = billing.weekly_seats
    rate = np.where(seats > 0, 0.028 * seats**0.8, 0)
    rate[customers.never_pays] = 0
    account, week = np.nonzero(rate)
    number = rng.poisson(rate[account, week])
    account, week = np.repeat(account, number), np.repeat(week, number)
    started = week * 7 + rng.integers(0, 7, len(week)) + np.clip(rng.normal(0.58, 0.15, len(week)), 0.01, 0.99)
    kept = (started < world.days) & (started > customers.start_day[account] + 1)
    account, started = account[kept], started[kept]
    contact = pick_contacts(rng, customers, account, started)
    led = np.flatnonzero((tickets.account >= 0) & (rng.random(len(tickets.account)) < 0.12))
    before = tickets.created[led] - rng.uniform(0.02, 0.25, len(led))
    account = np.append(account, tickets.account[led])
    contact = np.append(contact, tickets.contact[led])
    failed = np.repeat([False, True], [len(started), len(led)])
    topic = np.append(choose(rng, np.ones(8), len(started)), tickets.topic[led])
    started = np.append(started, before)
    order = np.argsort(started, kind="stable")
    account, contact, started, failed, topic = (part[order] for part in (account, contact, started, failed, topic))
    count = len(account)
    anonymous = ~failed & (rng.random(count) < 0.22)
    helped = rng.random(count) < sigmoid(1.1 + 0.4 * traits.at(account, started))
    answer = np.where(rng.random(count) < 0.6, -1, np.where(failed, rng.random(count) < 0.1, helped))
    return {
        "session_id": ids("SS", np.arange(1, count + 1)),
        "account_id": text(customers.zendesk_id, np.where(anonymous & (rng.random(count) < 0.5), -1, account)),
        "contact_id": text(customers.contact_id, np.where(anonymous, -1, contact)),
        "channel": text(SELF_SERVICE_CHANNELS, choose(rng, (50, 20, 10, 20), count)),
        "topic": text(TOPICS, np.where(rng.random(count) < 0.1, -1, topic)),
        "started_at": world.moment(started),
        "is_resolved": text(("false", "true"), answer),
    }
