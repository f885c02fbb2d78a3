"""What every account holds at the end of a day, read straight from its subscriptions."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from functools import cached_property

from tests.recomputation.calendar import ONE_DAY
from tests.recomputation.company import Company
from tests.recomputation.landed import Row
from tests.recomputation.money import Native

PERIODS_A_YEAR = {"day": Fraction(365), "week": Fraction(52), "month": Fraction(12), "year": Fraction(1)}
NEVER_STARTED = ("incomplete", "incomplete_expired")


@dataclass(frozen=True)
class Version:
    """One priced version of an item, in force on [start, end), in the currency of its subscription."""

    plan: str
    quantity: Fraction
    mrr: Fraction
    start: date
    end: date | None


def runs(start: date | None, end: date | None, day: date) -> bool:
    """Whether [start, end) holds the day; a missing bound is open."""
    return (start is None or start <= day) and (end is None or day < end)


def carried(end: date | None, ended: date | None, until: date | None) -> date | None:
    """Where a stretch ends once the subscription's end is applied; what ran on its last day runs on to `until`."""
    if ended is None:
        return end
    return until if end is None or end >= ended else end


@dataclass
class Subscription:
    """One subscription cut to local days; `until` is its end, or the start of a late successor."""

    row: Row
    account: str
    currency: str
    started: date
    ended: date | None
    until: date | None
    trial: tuple[date | None, date | None] | None
    versions: list[Version]
    pauses: list[tuple[date, date | None]]

    def in_force(self, day: date) -> list[Version]:
        """Versions that would carry MRR that day but for a pause."""
        if self.row["status"] in NEVER_STARTED or not runs(None, self.until, day):
            return []
        if self.trial is not None and runs(*self.trial, day):
            return []
        return [version for version in self.versions if runs(version.start, version.end, day)]

    def is_paused(self, day: date) -> bool:
        """Whether a pause holds the day."""
        return any(runs(start, end, day) for start, end in self.pauses)

    def mrr(self, day: date) -> Fraction:
        """MRR in the subscription's currency at the end of the day."""
        if self.is_paused(day):
            return Fraction(0)
        return sum((version.mrr for version in self.in_force(day)), Fraction(0))


@dataclass
class Holding:
    """What an account holds at the end of a day."""

    plans: dict[str, Native] = field(default_factory=lambda: defaultdict(lambda: defaultdict(Fraction)))
    with_paused: dict[str, Native] = field(default_factory=lambda: defaultdict(lambda: defaultdict(Fraction)))
    quantity: dict[str, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    plans_in_force: set[str] = field(default_factory=set)
    is_paused: bool = False

    @cached_property
    def native(self) -> Native:
        """MRR by currency."""
        total: Native = defaultdict(Fraction)
        for plan in self.plans.values():
            for currency, amount in plan.items():
                total[currency] += amount
        return total

    @property
    def has_mrr(self) -> bool:
        """Whether the account pays."""
        return any(self.native.values())

    @property
    def held(self) -> set[str]:
        """Plans that carry MRR."""
        return {plan for plan, native in self.plans.items() if any(native.values())}


class Book:
    """All subscriptions of a company, and what its accounts hold on a day."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.subscriptions = {row["subscription_id"]: self._subscription(row) for row in self._rows}
        for subscription in self.subscriptions.values():
            self._carry_to_late_successor(subscription)
        self.by_account: dict[str, list[Subscription]] = defaultdict(list)
        for subscription in self.subscriptions.values():
            self.by_account[subscription.account].append(subscription)
        self._holdings: dict[tuple[str, date], Holding] = {}
        company.main_plan = self.main_plan

    @cached_property
    def _rows(self) -> list[Row]:
        return self.company.counted("billing_subscriptions")

    @cached_property
    def _children(self) -> dict[str, dict[str, list[Row]]]:
        children: dict[str, dict[str, list[Row]]] = {}
        for table in ("billing_subscription_items", "billing_subscription_pauses"):
            children[table] = defaultdict(list)
            for row in self.company.tables[table]:
                children[table][row["subscription_id"]].append(row)
        return children

    def _subscription(self, row: Row) -> Subscription:
        day = self.company.day
        ended = day(row["ended_at"])
        trial = None
        if row["trial_start"] is not None or row["trial_end"] is not None:
            trial = (day(row["trial_start"]), day(row["trial_end"]))
        items = self._children["billing_subscription_items"][row["subscription_id"]]
        pauses = self._children["billing_subscription_pauses"][row["subscription_id"]]
        return Subscription(
            row=row,
            account=row["account"],
            currency=row["currency"],
            started=day(row["started_at"]),
            ended=ended,
            until=ended,
            trial=trial,
            versions=[self._version(item, items) for item in items if item["is_recurring"]],
            pauses=[(day(pause["paused_from"]), day(pause["paused_until"])) for pause in pauses],
        )

    def _version(self, item: Row, siblings: list[Row]) -> Version:
        discount = item["discount_pct"] or 0
        if self.company.settings.finite_discounts == "ignore":
            discount = min(
                sibling["discount_pct"] or 0
                for sibling in siblings
                if sibling["item_id"] == item["item_id"] and sibling["effective_from"] >= item["effective_from"]
            )
        per_interval = Fraction(item["quantity"]) * Fraction(item["unit_amount"]) * (1 - Fraction(discount) / 100)
        a_year = PERIODS_A_YEAR.get(item["billing_interval"], Fraction(0)) / (item["interval_count"] or 1)
        return Version(
            plan=item["plan_id"],
            quantity=Fraction(item["quantity"]),
            mrr=per_interval * a_year / 12,
            start=self.company.day(item["effective_from"]),
            end=self.company.day(item["effective_to"]),
        )

    def successors(self, subscription: Subscription) -> list[Subscription]:
        """Subscriptions that name this one as what they renew and that did start."""
        return [
            other
            for other in self.subscriptions.values()
            if other.row["renews_subscription_id"] == subscription.row["subscription_id"]
            and other.row["status"] not in NEVER_STARTED
        ]

    def late_start(self, subscription: Subscription) -> date | None:
        """The day on which a successor takes over within the grace days after the end; None without one."""
        if subscription.ended is None:
            return None
        starts = [
            other.started
            for other in self.successors(subscription)
            if other.ended is None or other.ended > max(other.started, subscription.ended)
        ]
        if any(start <= subscription.ended for start in starts):
            return None
        late = [start for start in starts if (start - subscription.ended).days <= self._grace_days]
        return min(late, default=None)

    @property
    def _grace_days(self) -> int:
        return self.company.settings.late_renewal_grace_days

    def _carry_to_late_successor(self, subscription: Subscription) -> None:
        takes_over = self.late_start(subscription)
        if takes_over is None:
            return
        subscription.until = takes_over
        subscription.versions = [
            Version(
                version.plan,
                version.quantity,
                version.mrr,
                version.start,
                carried(version.end, subscription.ended, takes_over),
            )
            for version in subscription.versions
            if version.start < subscription.ended
        ]
        subscription.pauses = [
            (start, carried(end, subscription.ended, takes_over))
            for start, end in subscription.pauses
            if start < subscription.ended
        ]
        if subscription.trial is not None:
            start, end = subscription.trial
            subscription.trial = (start, carried(end, subscription.ended, takes_over))

    def holding(self, account: str, day: date) -> Holding:
        """What the account holds at the end of the day."""
        if (account, day) not in self._holdings:
            self._holdings[account, day] = self._hold(account, day)
        return self._holdings[account, day]

    def _hold(self, account: str, day: date) -> Holding:
        holding = Holding()
        for subscription in self.by_account.get(account, []):
            paused = subscription.is_paused(day)
            for version in subscription.in_force(day):
                holding.with_paused[version.plan][subscription.currency] += version.mrr
                if paused:
                    holding.is_paused = holding.is_paused or version.mrr > 0
                else:
                    holding.plans_in_force.add(version.plan)
                if version.mrr and not paused:
                    holding.plans[version.plan][subscription.currency] += version.mrr
                    holding.quantity[version.plan] += version.quantity
        return holding

    def is_customer(self, account: str, day: date) -> bool:
        """Whether the account is a customer: it pays, or is paused since it last did."""
        while not self.holding(account, day).has_mrr and self.holding(account, day).is_paused:
            day -= ONE_DAY
        return self.holding(account, day).has_mrr

    def main_plan(self, account: str, day: date) -> str:
        """The plan that brings the most on a day, paused ones by what they would bring; 'none' without one."""
        brings = {
            plan: self.company.rates.value(native, day)
            for plan, native in self.holding(account, day).with_paused.items()
            if any(native.values())
        }
        return min(brings, key=lambda plan: (-brings[plan], plan), default="none")

    def before(self, account: str, day: date) -> Holding:
        """What the account held at the end of the day before."""
        return self.holding(account, day - ONE_DAY)
