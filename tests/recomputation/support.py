"""Tickets judged one by one along their events, and contacts who helped themselves."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from statistics import median
from zoneinfo import ZoneInfo

from tests.recomputation.calendar import ONE_DAY, month_end, months
from tests.recomputation.company import UNKNOWN, Company
from tests.recomputation.landed import Row
from tests.recomputation.money import share
from tests.recomputation.shape import Lists, Sums, standard
from tests.recomputation.subscriptions import Book
from tests.recomputation.surveys import Surveys

PERIOD_TYPES = ("month", "quarter")
DECIDED = ("first_contact", "not_first_contact")


def end_of_day(day: date, timezone: str) -> datetime:
    """The naive UTC instant at which the local day ends."""
    midnight = datetime.combine(day + ONE_DAY, time(), ZoneInfo(timezone))
    return midnight.astimezone(UTC).replace(tzinfo=None)


def hours(start: datetime, end: datetime | None) -> float | None:
    """Hours between two instants, never below zero."""
    return None if end is None else max((end - start).total_seconds(), 0.0) / 3600


@dataclass
class Ticket:
    """One ticket with its events in order."""

    row: Row
    account: str | None
    events: list[Row]
    exclusion: str | None
    fcr: str = ""
    strict: str = ""

    def times(self, *kinds: str, actor: str | None = None) -> list[datetime]:
        """When events of these kinds happened."""
        return [
            event["occurred_at"]
            for event in self.events
            if event["event_type"] in kinds and actor in (None, event["actor_type"])
        ]

    @property
    def is_genuine(self) -> bool:
        """A question of a customer: not merged away, spam, internal or opened by us."""
        return self.exclusion is None or self.exclusion == "no_agent_reply"

    @property
    def first_solved(self) -> datetime | None:
        """The first solve."""
        return min(self.times("solved"), default=None)

    @property
    def first_replied(self) -> datetime | None:
        """The first public reply of an agent."""
        return min(self.times("public_reply", actor="agent"), default=None)

    def is_solved_at(self, instant: datetime) -> bool:
        """Whether it stands solved just before an instant."""
        solved = max((at for at in self.times("solved", "closed") if at < instant), default=None)
        reopened = max((at for at in self.times("reopened") if at < instant), default=None)
        return solved is not None and (reopened is None or solved >= reopened)


class Support:
    """All tickets and self-service sessions of a company."""

    def __init__(self, company: Company, book: Book, surveys: Surveys) -> None:
        self.company = company
        self.book = book
        self.surveys = surveys
        self.zone = company.settings.reporting_timezone
        self.now = end_of_day(company.settings.as_of, self.zone)
        self.window = timedelta(hours=24 * company.settings.fcr_reopen_window_days)
        events = defaultdict(list)
        for event in company.tables["support_ticket_events"]:
            events[event["ticket_id"]].append(event)
        self.tickets = [
            self._ticket(row, events[row["ticket_id"]])
            for row in company.all_but_internal("support_tickets", "requester_contact_id")
        ]
        for ticket in self.tickets:
            self._judge(ticket)

    def _ticket(self, row: Row, events: list[Row]) -> Ticket:
        _, requester_is_internal = self.company.resolve(None, row["requester_contact_id"])
        exclusion = None
        if row["merged_into_ticket_id"]:
            exclusion = "merged"
        elif row["is_spam"]:
            exclusion = "spam"
        elif requester_is_internal:
            exclusion = "internal"
        elif row["is_agent_initiated"]:
            exclusion = "agent_initiated"
        return Ticket(row, row["account"], sorted(events, key=lambda event: event["occurred_at"]), exclusion)

    def _judge(self, ticket: Ticket) -> None:
        ticket.fcr = ticket.strict = self._status(ticket)
        if ticket.fcr == "first_contact" and self._asked_again(ticket):
            ticket.strict = "not_first_contact"

    def _status(self, ticket: Ticket) -> str:
        if ticket.exclusion is not None:
            return "excluded"
        if ticket.first_solved is None:
            return "unsolved"
        end = ticket.first_solved + self.window
        replies = [at for at in ticket.times("public_reply", actor="agent") if at < end]
        if not replies:
            ticket.exclusion = "no_agent_reply"
            return "excluded"
        if end > self.now:
            return "pending"
        return "first_contact" if len(replies) == 1 and ticket.is_solved_at(end) else "not_first_contact"

    def _asked_again(self, ticket: Ticket) -> bool:
        requester, topic = ticket.row["requester_contact_id"], ticket.row["topic"]
        if requester is None or topic is None:
            return False
        solved = ticket.first_solved
        return any(
            other is not ticket
            and (other.row["requester_contact_id"], other.row["topic"]) == (requester, topic)
            and solved <= other.row["created_at"] < solved + self.window
            for other in self.tickets
        )

    def fct_tickets(self) -> list[Row]:
        """One row a ticket."""
        return [
            {
                "ticket_id": ticket.row["ticket_id"],
                "account_id": ticket.account,
                "requester_contact_id": ticket.row["requester_contact_id"],
                "agent_user_id": ticket.row["assignee_user_id"],
                "channel": ticket.row["channel"],
                "topic": ticket.row["topic"],
                "priority": ticket.row["priority"],
                "created_at": ticket.row["created_at"],
                "first_replied_at": ticket.first_replied,
                "first_solved_at": ticket.first_solved,
                "public_replies": len(ticket.times("public_reply", actor="agent")),
                "reopens": len(ticket.times("reopened")),
                "first_response_hours": hours(ticket.row["created_at"], ticket.first_replied),
                "resolution_hours": hours(ticket.row["created_at"], ticket.first_solved),
                "fcr_status": ticket.fcr,
                "fcr_strict_status": ticket.strict,
                "exclusion_reason": ticket.exclusion,
            }
            for ticket in self.tickets
        ]

    def kpi_first_contact_resolution_rate(self) -> list[Row]:
        """By period of the first solve."""
        rows = []
        for period in self.company.periods:
            if period.type not in PERIOD_TYPES:
                continue
            found = Lists()
            for ticket in self.tickets:
                day = self.company.day(ticket.first_solved or ticket.row["created_at"])
                if period.holds(day):
                    own = {
                        "agent": ticket.row["assignee_user_id"] or UNKNOWN,
                        "topic": ticket.row["topic"] or UNKNOWN,
                        "channel": ticket.row["channel"] or UNKNOWN,
                    }
                    found.add(self.company.cuts(ticket.account, day) | own, ticket)
            for cut, tickets in found:
                status = [ticket.fcr for ticket in tickets]
                decided = sum(status.count(label) for label in DECIDED)
                kept = status.count("first_contact")
                strict = [ticket.strict for ticket in tickets].count("first_contact")
                rows.append(
                    {
                        **standard(
                            "first_contact_resolution_rate",
                            period,
                            cut,
                            numerator=kept,
                            denominator=decided,
                            value=share(kept, decided),
                            n=decided,
                        ),
                        "n_decided": decided,
                        "n_first_contact": kept,
                        "n_first_contact_strict": strict,
                        "strict_rate": share(strict, decided),
                        "n_pending": status.count("pending"),
                        "n_excluded": status.count("excluded"),
                        "n_unsolved": status.count("unsolved"),
                    }
                )
        return rows

    # ----- by account and month
    def fct_account_support_months(self) -> list[Row]:
        """Account x month in which the account was a customer at the end or anything happened."""
        rows = []
        for month in months(self.company.first_month, self.company.settings.as_of) if self.company.first_month else ():
            for account in sorted(self.company.accounts):
                row = self._support_month(account, month)
                if row is not None:
                    rows.append(row)
        return rows

    @cached_property
    def _genuine(self) -> dict[str | None, list[Ticket]]:
        found: dict[str | None, list[Ticket]] = defaultdict(list)
        for ticket in self.tickets:
            if ticket.is_genuine:
                found[ticket.account].append(ticket)
        return found

    @cached_property
    def _users(self) -> dict[tuple[str, date], set[str]]:
        """Users with a product event by account and month."""
        found: dict[tuple[str, date], set[str]] = defaultdict(set)
        for event in self.company.counted("product_events"):
            found[event["account"], self.company.day(event["occurred_at"]).replace(day=1)].add(event["user_id"])
        return found

    def _support_month(self, account: str, month: date) -> Row | None:
        last = min(month_end(month), self.company.settings.as_of)
        end = end_of_day(last, self.zone)

        def inside(instant: datetime | None) -> bool:
            return instant is not None and month <= self.company.day(instant) <= last

        tickets = self._genuine[account]
        opened = [ticket for ticket in tickets if inside(ticket.row["created_at"])]
        solved = [ticket for ticket in tickets if inside(ticket.first_solved)]
        backlog = [ticket for ticket in tickets if ticket.row["created_at"] < end and not ticket.is_solved_at(end)]
        escalations = sum(inside(at) for ticket in tickets for at in ticket.times("escalated"))
        period = next(one for one in self.company.periods if one.type == "month" and one.start == month)
        answers = [
            one for one in self.surveys.counted("csat", period) if one.row["ticket_id"] and one.account == account
        ]
        if not (opened or solved or backlog or escalations or answers or self.book.is_customer(account, last)):
            return None
        users = len(self._users.get((account, month), ()))
        waits = [hours(one.row["created_at"], one.first_replied) for one in opened if one.first_replied is not None]
        spans = [hours(one.row["created_at"], one.first_solved) for one in solved]
        decided = [one.fcr for one in solved if one.fcr in DECIDED]
        return {
            "account_id": account,
            "month": month,
            "tickets_opened": len(opened),
            "tickets_per_100_users": share(100 * len(opened), users),
            "median_first_response_hours": float(median(waits)) if waits else None,
            "median_resolution_hours": float(median(spans)) if spans else None,
            "open_backlog": len(backlog),
            "escalations": escalations,
            "csat_share": share(sum(one.is_positive for one in answers), len(answers)),
            "fcr_rate": share(decided.count("first_contact"), len(decided)),
        }

    # ----- self-service
    def _issues(self) -> list[Row]:
        """Contact x day with sessions, each with its outcome."""
        sessions: dict[tuple[str, date], list[Row]] = defaultdict(list)
        for row in self.company.all_but_internal("support_self_service_sessions", "contact_id"):
            if row["contact_id"]:
                sessions[row["contact_id"], self.company.day(row["started_at"])].append(row)
        window = timedelta(hours=self.company.settings.self_service_window_hours)
        created: dict[str, list[datetime]] = defaultdict(list)
        for ticket in self.tickets:
            if ticket.row["requester_contact_id"]:
                created[ticket.row["requester_contact_id"]].append(ticket.row["created_at"])
        issues = []
        for (contact, day), rows in sessions.items():
            start = min(row["started_at"] for row in rows)
            end = max(row["started_at"] for row in rows) + window
            said = {row["is_resolved"] for row in rows}
            if end > self.now:
                outcome = "pending"
            elif True in said:
                outcome = "resolved"
            elif False in said or any(start <= at < end for at in created[contact]):
                outcome = "unresolved"
            else:
                outcome = "resolved"
            account = max((row["account"] for row in rows if row["account"]), default=None)
            issues.append({"contact": contact, "day": day, "account": account, "outcome": outcome})
        return issues

    def kpi_self_service_rate(self) -> list[Row]:
        """Issues by day, tickets by day of creation."""
        rows = []
        issues = self._issues()
        anonymous = [
            row
            for row in self.company.all_but_internal("support_self_service_sessions", "contact_id")
            if not row["contact_id"]
        ]
        for period in self.company.periods:
            if period.type not in PERIOD_TYPES:
                continue
            sums, users, askers = Sums(), Lists(), Lists()
            for issue in issues:
                if period.holds(issue["day"]):
                    cuts = self.company.cuts(issue["account"], issue["day"])
                    sums.add(cuts, **{issue["outcome"]: 1})
                    users.add(cuts, issue["contact"])
            for row in anonymous:
                day = self.company.day(row["started_at"])
                if period.holds(day):
                    sums.add(self.company.cuts(row["account"], day), anonymous=1)
            for ticket in self.tickets:
                day = self.company.day(ticket.row["created_at"])
                if ticket.is_genuine and period.holds(day):
                    cuts = self.company.cuts(ticket.account, day)
                    sums.add(cuts, tickets=1)
                    if ticket.row["requester_contact_id"]:
                        askers.add(cuts, ticket.row["requester_contact_id"])
            for cut, parts in sums:
                resolved, decided = parts["resolved"], parts["resolved"] + parts["unresolved"]
                n_users, n_askers = len(set(users.get(cut))), len(set(askers.get(cut)))
                rows.append(
                    {
                        **standard(
                            "self_service_rate",
                            period,
                            cut,
                            numerator=resolved,
                            denominator=resolved + parts["tickets"],
                            value=share(resolved, resolved + parts["tickets"]),
                            n=resolved + parts["tickets"],
                        ),
                        "issues_decided": int(decided),
                        "issues_self_resolved": int(resolved),
                        "issues_pending": int(parts["pending"]),
                        "anonymous_sessions": int(parts["anonymous"]),
                        "tickets": int(parts["tickets"]),
                        "attempt_success_rate": share(resolved, decided),
                        "self_service_users": n_users,
                        "ticket_users": n_askers,
                        "self_service_score": share(n_users, n_askers),
                    }
                )
        return rows

    def published(self) -> dict[str, list[Row]]:
        """The tables of this module by name."""
        return {
            "fct_tickets": self.fct_tickets(),
            "fct_account_support_months": self.fct_account_support_months(),
            "kpi_first_contact_resolution_rate": self.kpi_first_contact_resolution_rate(),
            "kpi_self_service_rate": self.kpi_self_service_rate(),
        }
