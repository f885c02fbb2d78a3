"""Generated companies with the awkward cases of real billing, support and survey data, seeded and repeatable."""

import csv
import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.recomputation.calendar import ONE_DAY, add_months, month_end
from tests.recomputation.landed import contract
from tests.recomputation.settings import Settings

Row = dict[str, Any]
Tables = dict[str, list[Row]]

ZONES = ("UTC", "Asia/Tokyo", "America/New_York", "Asia/Kolkata")
CURRENCIES = ("USD", "EUR", "JPY")
# Prices are listed per (interval, count); quarterly, weekly, daily and two-yearly ones are rare but there.
PLANS = {
    "free": Decimal(0),
    "starter": Decimal("49.90"),
    "growth": Decimal("180.00"),
    "scale": Decimal("333.3333"),
    "addon_reports": Decimal("75.50"),
}
INTERVALS = (("month", 1, 1), ("month", 3, 3), ("year", 1, 12), ("year", 2, 24), ("week", 1, 0.25), ("day", 30, 1))
# Minutes of the local day near which a wrong time zone or a closed interval would show.
EDGES = (0, 1, 59, 540, 720, 1080, 1380, 1439)
FEATURES = ("boards", "reports", "exports", "api", "alerts", "forms", "audit")
COMMENTS = (
    None,
    "Great product, love the reports",
    "Support was slow and the price is too expensive",
    "The dashboard is confusing and hard to use",
    "Onboarding was helpful, easy setup",
    "Bugs and crashes, very frustrating",
    "It does what it should",
    "Missing integration with our crm, bad documentation",
)
SURVEYS = (
    ("s_nps", "nps", 0, 10, True, 9),
    ("s_nps_ten", "nps", 1, 10, True, 9),
    ("s_csat", "csat", 1, 5, True, 4),
    ("s_csat_good_bad", "csat", 0, 1, True, 1),
    ("s_ces", "ces", 1, 7, True, 5),
    ("s_effort", "ces", 1, 5, False, 2),
    ("s_onboarding", "onboarding", 1, 5, True, 4),
)


def settings(seed: int, **overrides: Any) -> Settings:
    """The variables under which the history of a seed is run; they vary with the seed."""
    return _Maker(seed).settings(**overrides)


def history(seed: int) -> Tables:
    """A company of 6 to 25 accounts over 8 to 20 months: typed rows by raw table, timestamps naive UTC.

    The rows reach past the as-of date of `settings(seed)`, come in any order, and hold superseded and deleted versions.
    """
    return _Maker(seed).make()


def write_landing(tables: Tables, folder: Path) -> None:
    """Write `<folder>/<table>.csv` for every table with rows, by the raw contract."""
    folder.mkdir(parents=True, exist_ok=True)
    for table, rows in tables.items():
        if not rows:
            continue
        names = [column["column"] for column in contract()[table]] + ["_deleted"]
        with (folder / f"{table}.csv").open("w", newline="", encoding="utf-8") as handle:
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerow(names)
            writer.writerows([_text(row.get(name)) for name in names] for row in rows)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat(sep=" ") if isinstance(value, datetime) else str(value)


@dataclass
class _Account:
    account_id: str
    ids: list[str]
    contacts: list[str]
    start: date
    is_internal: bool = False
    tickets: list[Row] = field(default_factory=list)


class _Maker:
    """Builds one history; every draw comes from one seeded generator in a fixed order."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.tables: Tables = defaultdict(list)
        self.counters: dict[str, int] = defaultdict(int)
        self.zone = ZONES[seed % len(ZONES)]
        self.currency = CURRENCIES[seed % 2]
        self.fiscal_start = (1, 2, 4, 7)[seed // 2 % 4]
        length = self.rng.randint(8, 20)
        # Most histories hold 29 February 2024.
        self.first = add_months(date(2024, 2, 1), -self.rng.randint(2, length + 2))
        self.end = month_end(add_months(self.first, length - 1))
        # The as-of day is the end of a month for a third of the seeds; the data go on after it.
        self.as_of = self.end - timedelta(days=self.rng.randint(5, 50))
        if seed % 3 == 0:
            self.as_of = month_end(add_months(self.as_of, -1))
        self.csms = ["csm_ana", "csm_ben", "csm_cho", "csm_dee"]
        self.accounts: list[_Account] = []

    def settings(self, **overrides: Any) -> Settings:
        chosen = {
            "as_of": self.as_of,
            "reporting_currency": self.currency,
            "reporting_timezone": self.zone,
            "fiscal_year_start_month": self.fiscal_start,
            # So few accounts seldom identify the two parameters of the other model, so two fits need not agree.
            "clv_lifetime_model": "hazard",
            **self._odd_variables(),
        }
        return Settings(**(chosen | overrides))

    def _odd_variables(self) -> dict[str, Any]:
        """Every third history keeps the defaults; the others depart from them here and there."""
        rng = random.Random(f"variables of {self.seed}")
        choices = {
            "finite_discounts": ("count", "ignore"),
            "late_renewal_grace_days": (30, 30, 0, 12, 45),
            "fcr_reopen_window_days": (7, 7, 3, 14),
            "self_service_window_hours": (24, 24, 48),
            "min_responses": (5, 5, 2),
            "min_responses_onboarding": (3, 1),
            "adoption_min_events": (1, 2),
            "purchase_gap_days": (90, 30),
            "lifetime_cap_months": (60, 12),
            "gross_margin_pct": (Decimal(80), Decimal("72.5")),
        }
        drawn = {name: rng.choice(values) for name, values in choices.items()}
        return drawn if self.seed % 3 else {}

    def make(self) -> Tables:
        self._rates()
        self._users()
        self._features()
        self._surveys()
        for _ in range(self.rng.randint(6, 25)):
            self._account()
        self._merges_and_links()
        for account in self.accounts:
            self._owners(account)
            self._billing(account)
            self._usage(account)
            self._support(account)
            self._cs_work(account)
            self._responses(account)
            self._feedback(account)
        self._actions()
        self._strangers()
        self._before_all_others()
        self._costs()
        self._second_successors()
        self._own_company()
        self._repeat_and_delete()
        self._owners_of_one_day()
        self._owners_for_a_while()
        self._void_successors()
        self._trials_to_the_end()
        self._events_of_nobody()
        self._spaces_around_events()
        self._ids_of_both_sides_of_a_merge()
        for rows in self.tables.values():
            self.rng.shuffle(rows)
        return dict(self.tables)

    # ----- small tools
    def _id(self, prefix: str) -> str:
        self.counters[prefix] += 1
        return f"{prefix}_{self.counters[prefix]}"

    def _at(self, day: date) -> datetime:
        """An instant on a local day, often near its midnight, as naive UTC."""
        minutes = self.rng.choice(EDGES) if self.rng.random() < 0.5 else self.rng.randint(0, 1439)
        local = datetime.combine(day, time(minutes // 60, minutes % 60, self.rng.randint(0, 59)), ZoneInfo(self.zone))
        return local.astimezone(UTC).replace(tzinfo=None)

    def _day(self, start: date, end: date | None = None) -> date:
        """A day of [start, end], month ends, firsts and leap days more often than others."""
        end = end or self.end
        if end <= start:
            return start
        day = start + timedelta(days=self.rng.randint(0, (end - start).days))
        if self.rng.random() < 0.25:
            day = self.rng.choice([day.replace(day=1), month_end(day)])
        if self.rng.random() < 0.03:
            day = date(2024, 2, 29)
        return min(max(day, start), end)

    def _add(self, table: str, **row: Any) -> Row:
        row["_loaded_at"] = datetime(2025, 6, 1, 2, 0) + timedelta(seconds=self.rng.randint(0, 86_400))
        row["_deleted"] = None
        self.tables[table].append(row)
        return row

    def _chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    # ----- master data
    def _rates(self) -> None:
        level = {"USD": 1.0, "EUR": 1.1, "JPY": 0.007}
        day = self.first - timedelta(days=40)
        while day <= self.end:
            for currency in CURRENCIES:
                level[currency] *= 1 + self.rng.uniform(-0.03, 0.03)
            for source, target in (("USD", "EUR"), ("JPY", "USD"), ("JPY", "EUR")):
                if day < self.first or self._chance(0.7):
                    self._rate(day, source, target, level)
                    self._rate(day, target, source, level)
            day += timedelta(days=self.rng.randint(1, 20))

    def _rate(self, day: date, source: str, target: str, level: dict[str, float]) -> None:
        rate = Decimal(level[source] / level[target]).quantize(Decimal("0.00000001"))
        self._add("fin_exchange_rates", rate_date=day, from_currency=source, to_currency=target, rate=rate)

    def _users(self) -> None:
        for user, team, role in (
            ("csm_ana", "north", "csm"),
            ("csm_ben", "north", "csm"),
            ("csm_cho", "south", "csm"),
            ("csm_dee", None, "csm"),
            ("agent_eli", "support", "support_agent"),
            ("agent_fay", "support", "support_agent"),
            ("am_gus", "sales", "account_manager"),
        ):
            self._add(
                "crm_users",
                user_id=user,
                full_name=user.title(),
                email=None,
                role=role,
                team=team,
                manager_user_id=None,
                active_from=self.first - timedelta(days=400),
                active_to=self._day(self.first) if user == "csm_dee" and self._chance(0.5) else None,
            )

    def _features(self) -> None:
        for index, feature in enumerate(FEATURES):
            self._add(
                "product_features",
                feature_key=feature,
                feature_name=feature.title(),
                is_core=index < 3,
                released_on=self.first - timedelta(days=300) if index < 5 else self._day(self.first),
                retired_on=self._day(self.first) if index == 4 else None,
            )
        for position, plan in enumerate(PLANS):
            for feature in FEATURES[: position + 3]:
                valid_from = self.first - timedelta(days=300) if self._chance(0.8) else self._day(self.first)
                self._add(
                    "product_plan_features",
                    plan_id=plan,
                    feature_key=feature,
                    valid_from=valid_from,
                    # a right that ends before it begins is quarantined, so none is made
                    valid_to=max(valid_from, self._day(self.first)) if self._chance(0.1) else None,
                )

    def _surveys(self) -> None:
        for survey_id, kind, low, high, higher_is_better, threshold in SURVEYS:
            self._add(
                "surveys",
                survey_id=survey_id,
                survey_type=kind,
                survey_name=survey_id,
                scale_min=low,
                scale_max=high,
                higher_is_better=higher_is_better,
                positive_threshold=threshold,
            )

    def _account(self) -> None:
        number = len(self.accounts) + 1
        account_id = f"acc_{number:02d}"
        start = self.first if number <= 3 else self._day(self.first, self.end - timedelta(days=60))
        contacts = [f"con_{number:02d}_{index}" for index in range(self.rng.randint(1, 4))]
        is_internal = number > 4 and self._chance(0.08)
        self.accounts.append(_Account(account_id, [account_id], contacts, start, is_internal))
        self._add(
            "crm_accounts",
            account_id=account_id,
            account_name=f"Company {number}",
            parent_account_id=f"acc_{number - 1:02d}" if number > 1 and self._chance(0.15) else None,
            segment=self.rng.choice(["smb", "mid_market", "enterprise", " smb ", None]),
            industry=self.rng.choice(["software", "Software", "retail", None]),
            country=self.rng.choice(["US", "DE", "JP", None]),
            is_internal=is_internal,
            created_at=self._at(start),
            merged_into_account_id=None,
            merged_at=None,
        )
        for contact in contacts:
            self._add(
                "crm_contacts",
                contact_id=contact,
                account_id=account_id,
                email=f"{contact}@example.com",
                title=None,
                contact_role=self.rng.choice(["champion", "admin", "user", None]),
                created_at=self._at(start),
            )

    def _merges_and_links(self) -> None:
        rows = {row["account_id"]: row for row in self.tables["crm_accounts"]}
        losers = self.accounts[4::4]
        for loser in losers:
            if not self._chance(0.6):
                continue
            # Into a later account, so that chains end; a survivor may itself be merged further.
            later = self.accounts[self.accounts.index(loser) + 1 :]
            if later:
                row = rows[loser.account_id]
                row["merged_into_account_id"] = self.rng.choice(later[:5]).account_id
                row["merged_at"] = self._at(self._day(loser.start))
        for account in self.accounts:
            if self._chance(0.3):
                foreign = f"cus_{account.account_id}"
                account.ids.append(foreign)
                for system in ("stripe", "segment")[: self.rng.randint(1, 2)]:
                    self._add(
                        "crm_account_links",
                        source_system=system,
                        source_account_id=foreign,
                        account_id=account.account_id,
                    )
        for system, account in (("stripe", self.accounts[0]), ("zendesk", self.accounts[1])):
            self._add(
                "crm_account_links",
                source_system=system,
                source_account_id="ambiguous",
                account_id=account.account_id,
            )

    def _some_id(self, account: _Account) -> str:
        return self.rng.choice(account.ids)

    def _somebody(self, account: _Account) -> str:
        """A contact of the account; now and then one of another company or of an internal account."""
        others = [*self.accounts[-3:], *(one for one in self.accounts if one.is_internal)]
        return self.rng.choice(self.rng.choice([account] * 15 + others).contacts)

    def _owners(self, account: _Account) -> None:
        day: date | None = account.start if self._chance(0.85) else self._day(account.start)
        while day is not None and day <= self.end:
            until = self._day(day + timedelta(days=1), day + timedelta(days=240)) if self._chance(0.8) else None
            self._add(
                "crm_account_owners",
                account_id=self._some_id(account),
                user_id=self.rng.choice(self.csms),
                role="csm",
                valid_from=self._at(day),
                valid_to=None if until is None else self._at(until),
            )
            # The next range starts with the end of this one, after a gap, or before it ends.
            shift = self.rng.choice([0, 0, 0, 9, 40, -7])
            day = None if until is None else max(until + timedelta(days=shift), day + timedelta(days=1))
        self._add(
            "crm_account_owners",
            account_id=account.account_id,
            user_id="am_gus",
            role="account_manager",
            valid_from=self._at(account.start),
            valid_to=None,
        )

    # ----- billing
    def _billing(self, account: _Account) -> None:
        day = account.start
        if self._chance(0.1):  # buys now and then, without a subscription
            self._invoices(account, None, day, self._day(day + timedelta(days=30)))
            return
        for _ in range(self.rng.choice([1, 1, 1, 2, 2, 3])):
            self._chain(account, day)
            day = self._day(account.start)
        if self._chance(0.2):
            self._subscription(account, self._day(account.start), status="incomplete_expired")
        if self._chance(0.3):
            self._subscription(account, self._day(account.start), plan="free")

    def _chain(self, account: _Account, start: date) -> None:
        """A subscription and its renewals by successors, in time, late within the grace days, or too late."""
        predecessor = None
        for _ in range(self.rng.choice([1, 1, 2, 3])):
            subscription, end = self._subscription(account, start, renews=predecessor)
            if end is None or end > self.end:
                return
            predecessor = subscription
            start = end + timedelta(days=self.rng.choice([-3, 0, 0, 1, 12, 30, 31, 50]))

    def _second_successors(self) -> None:
        """A second successor of the same predecessor that starts late, whether or not the first was in time."""
        rows = {row["subscription_id"]: row for row in self.tables["billing_subscriptions"]}
        renewed = [rows[row["renews_subscription_id"]] for row in rows.values() if row["renews_subscription_id"]]
        for row in renewed:
            account = next(account for account in self.accounts if row["account_id"] in account.ids)
            if self._chance(0.3):
                start = row["ended_at"].date() + timedelta(days=self.rng.choice([5, 10]))
                self._subscription(account, start, renews=row["subscription_id"])

    def _own_company(self) -> None:
        """An internal account with a subscription of its own, older than everything else."""
        start = self.first - timedelta(days=self.rng.randint(100, 300))
        account = _Account("acc_own", ["acc_own"], [], start)
        self._add(
            "crm_accounts", account_id="acc_own", account_name="Ourselves", is_internal=True, created_at=self._at(start)
        )
        self._subscription(account, start)

    def _subscription(
        self,
        account: _Account,
        start: date,
        renews: str | None = None,
        status: str = "active",
        plan: str | None = None,
    ) -> tuple[str, date | None]:
        subscription_id = self._id("sub")
        end = None
        if self._chance(0.55):
            end = self._day(start + timedelta(days=self.rng.choice([1, 28, 60, 90, 180])), start + timedelta(days=400))
        started_at = self._at(start)
        ended_at = None if end is None else self._at(end)
        trial = start + timedelta(days=self.rng.choice([7, 14, 30])) if self._chance(0.15) else None
        asked = None
        if end is not None and self._chance(0.7):
            asked = self._at(self._day(start, end))
        self._add(
            "billing_subscriptions",
            subscription_id=subscription_id,
            account_id=self._some_id(account),
            status="canceled" if end is not None and status == "active" else status,
            currency=self.rng.choice(CURRENCIES),
            started_at=started_at,
            trial_start=None if trial is None else started_at,
            trial_end=None if trial is None else self._at(trial),
            cancel_requested_at=asked,
            ended_at=ended_at,
            cancel_reason=self.rng.choice(["too_expensive", "missing_features", "weird reason", None]) if end else None,
            cancel_type=self.rng.choice(["voluntary", "involuntary"]) if end else None,
            renews_subscription_id=renews,
        )
        for _ in range(self.rng.choice([1, 1, 2])):
            self._item(subscription_id, start, started_at, ended_at, end, plan)
        if self._chance(0.2):
            self._add(
                "billing_subscription_items",
                **self._version(self._id("item"), subscription_id, "setup_fee", started_at, None),
                is_recurring=False,
            )
        if self._chance(0.3):
            self._pauses(subscription_id, start, end)
        if self._chance(0.6):
            self._terms(subscription_id, start, end)
        self._invoices(account, subscription_id, start, end)
        return subscription_id, end

    def _version(self, item_id: str, subscription_id: str, plan: str, starts: datetime, ends: datetime | None) -> Row:
        interval, count, factor = self.rng.choice(INTERVALS[:1] * 4 + INTERVALS)
        price = PLANS.get(plan, Decimal(100)) * Decimal(str(factor))
        return {
            "item_version_id": self._id("ver"),
            "item_id": item_id,
            "subscription_id": subscription_id,
            "plan_id": plan,
            "quantity": Decimal(self.rng.choice(["1", "1", "2", "2.5", "5", "10", "25"])),
            "unit_amount": price.quantize(Decimal("0.0001")),
            "discount_pct": Decimal(self.rng.choice(["0", "0", "0", "10", "12.5", "100"])),
            "billing_interval": interval,
            "interval_count": None if count == 1 and self._chance(0.2) else count,
            "effective_from": starts,
            "effective_to": ends,
            "recorded_at": starts,
        }

    def _item(
        self,
        subscription_id: str,
        start: date,
        started_at: datetime,
        ended_at: datetime | None,
        end: date | None,
        plan: str | None,
    ) -> None:
        """One item and its versions: seats, prices, plans and discounts that change, some on one and the same day."""
        item_id = self._id("item")
        starts, day = started_at, start
        last = min(end or self.end, self.end)
        chosen = plan or self.rng.choice(list(PLANS))
        for _ in range(self.rng.choice([0, 0, 1, 2, 4])):
            change = self._day(day, last)
            changes_at = self._at(change)
            if changes_at <= starts or (ended_at is not None and changes_at >= ended_at):
                continue
            self._add(
                "billing_subscription_items",
                **self._version(item_id, subscription_id, chosen, starts, changes_at),
                is_recurring=True,
            )
            if self._chance(0.3):  # a swap the same day: a version of a few hours between two others
                later = min(changes_at + timedelta(hours=2), ended_at or changes_at + timedelta(hours=2))
                self._add(
                    "billing_subscription_items",
                    **self._version(item_id, subscription_id, self.rng.choice(list(PLANS)), changes_at, later),
                    is_recurring=True,
                )
                changes_at = later
            starts, day = changes_at, change
            if plan is None and self._chance(0.4):
                chosen = self.rng.choice(list(PLANS))
        ends = ended_at if ended_at is not None and self._chance(0.5) else None
        if ends is None and ended_at is None and self._chance(0.1):
            ends = self._at(self._day(day + timedelta(days=1), last + timedelta(days=30)))
            ends = ends if ends > starts else None
        self._add(
            "billing_subscription_items",
            **self._version(item_id, subscription_id, chosen, starts, ends),
            is_recurring=True,
        )

    def _pauses(self, subscription_id: str, start: date, end: date | None) -> None:
        day = self._day(start + timedelta(days=5), min(end or self.end, self.end))
        if self._chance(0.15):  # paused from its first day on
            day = start
        for _ in range(self.rng.choice([1, 1, 2])):
            until = self._day(day, day + timedelta(days=70))
            ends_paused = self._chance(0.3)
            paused_from, paused_until = self._at(day), self._at(until)
            if paused_until <= paused_from:
                return
            self._add(
                "billing_subscription_pauses",
                pause_id=self._id("pause"),
                subscription_id=subscription_id,
                paused_from=paused_from,
                paused_until=None if ends_paused else paused_until,
            )
            if ends_paused:
                return
            day = until + timedelta(days=self.rng.choice([0, 1, 45]))

    def _terms(self, subscription_id: str, start: date, end: date | None) -> None:
        length = self.rng.choice([3, 6, 12])
        term_start = start
        last = min(end or self.end, self.end)
        while term_start <= last:
            ends_with_subscription = end is not None and self._chance(0.4) and end > term_start
            term_end = end if ends_with_subscription else add_months(term_start, length)
            self._add(
                "billing_contract_terms",
                term_id=self._id("term"),
                subscription_id=subscription_id,
                term_start=term_start,
                term_end=term_end,
                auto_renew=self._chance(0.5),
            )
            if ends_with_subscription:
                return
            term_start = term_end

    def _invoices(self, account: _Account, subscription_id: str | None, start: date, end: date | None) -> None:
        day = start
        while day <= min(end or self.end, self.end):
            amount = Decimal(self.rng.randint(1000, 500_000)) / 100
            is_paid = self._chance(0.8)
            currency = self.rng.choice(CURRENCIES)
            invoice = self._add(
                "billing_invoices",
                invoice_id=self._id("inv"),
                account_id=self._some_id(account),
                subscription_id=subscription_id,
                issued_at=self._at(day),
                currency=currency,
                amount_subtotal=amount,
                amount_paid=amount if is_paid else Decimal(0),
                status="paid" if is_paid else self.rng.choice(["open", "void", "uncollectible"]),
                paid_at=self._at(day + timedelta(days=self.rng.randint(1, 40))) if is_paid else None,
            )
            if is_paid and self._chance(0.15 if subscription_id else 0.4):
                # what is given back whole at once leaves nothing of its month
                is_whole = self._chance(0.3)
                self._add(
                    "billing_refunds",
                    refund_id=self._id("ref"),
                    invoice_id=invoice["invoice_id"],
                    amount=amount if is_whole else (amount / 3).quantize(Decimal("0.01")),
                    currency=currency,
                    refunded_at=invoice["paid_at"] + timedelta(days=0 if is_whole else self.rng.randint(0, 30)),
                    reason=None,
                )
            day += timedelta(days=self.rng.choice([30, 31, 90]))

    # ----- product
    def _usage(self, account: _Account) -> None:
        users = [f"{account.account_id}_user_{index}" for index in range(self.rng.randint(1, 5))]
        for user in users:
            day = self._day(account.start)
            while day <= self.end:
                for _ in range(self.rng.choice([1, 1, 2])):
                    self._add(
                        "product_events",
                        event_id=self._id("evt"),
                        account_id=self._some_id(account),
                        user_id=user,
                        contact_id=self.rng.choice([*account.contacts, None]),
                        event_name="used",
                        feature_key=self.rng.choice([*FEATURES, None]),
                        occurred_at=self._at(day),
                    )
                day += timedelta(days=self.rng.choice([1, 2, 5, 12, 45]))

    # ----- support
    def _support(self, account: _Account) -> None:
        for _ in range(self.rng.randint(0, 10)):
            self._ticket(account, self._day(account.start))
        for _ in range(self.rng.randint(0, 8)):
            self._sessions(account, self._day(account.start))

    def _ticket(self, account: _Account, day: date) -> None:
        created = self._at(day)
        # The clock of who solves may run behind, so that a ticket is solved before it was created.
        solved = created + timedelta(minutes=self.rng.choice([45, 600, 4000, -1]))
        is_solved = self._chance(0.8)
        ticket = self._add(
            "support_tickets",
            ticket_id=self._id("tic"),
            account_id=self.rng.choice([*account.ids, None]),
            requester_contact_id=self._somebody(account),
            assignee_user_id=self.rng.choice(["agent_eli", "agent_fay", None]),
            channel=self.rng.choice(["email", "chat", "web", None]),
            topic=self.rng.choice(["billing", "login", "reports", None]),
            priority=self.rng.choice(["low", "high", None]),
            status="solved" if is_solved else "open",
            is_spam=self._chance(0.05),
            is_agent_initiated=self._chance(0.08),
            merged_into_ticket_id=account.tickets[-1]["ticket_id"] if account.tickets and self._chance(0.07) else None,
            created_at=created,
        )
        account.tickets.append(ticket)

        def event(kind: str, actor: str, occurred: datetime) -> None:
            self._add(
                "support_ticket_events",
                event_id=self._id("tev"),
                ticket_id=ticket["ticket_id"],
                event_type=kind,
                actor_type=actor,
                occurred_at=occurred,
            )

        if self._chance(0.3):
            event("internal_note", "agent", created + timedelta(minutes=5))
        if self._chance(0.1):
            event("escalated", "agent", created + timedelta(minutes=15))
        for index in range(self.rng.choice([0, 1, 1, 1, 2])):
            event("public_reply", "agent", created + timedelta(minutes=10 + 20 * index))
        if not is_solved:
            return
        event("solved", "agent", solved)
        if not self._chance(0.45):
            return
        # Reopened before, at and after the edge of the seven days; a thank-you is closed without a reply.
        edge = timedelta(days=7)
        reopened = solved + self.rng.choice(
            [timedelta(hours=5), edge - timedelta(seconds=1), edge, edge + timedelta(seconds=1), edge * 2]
        )
        event("public_reply", "customer", reopened)
        event("reopened", self.rng.choice(["customer", "system"]), reopened)
        if self._chance(0.5):
            event("public_reply", "agent", reopened + timedelta(minutes=30))
        if self._chance(0.8):
            event("solved", self.rng.choice(["agent", "system"]), reopened + timedelta(minutes=40))

    def _sessions(self, account: _Account, day: date) -> None:
        contact = self.rng.choice([self._somebody(account)] * 3 + [None])
        topic = self.rng.choice(["billing", "login", None])
        started = self._at(day)
        for index in range(self.rng.choice([1, 1, 2, 3])):
            self._add(
                "support_self_service_sessions",
                session_id=self._id("ses"),
                account_id=self.rng.choice([*account.ids, None]) if contact else self._some_id(account),
                contact_id=contact,
                channel=self.rng.choice(["help_center", "bot", "community", "in_app_guide"]),
                topic=topic,
                started_at=started + timedelta(minutes=25 * index),
                is_resolved=self.rng.choice([True, False, None, None, None]),
            )
        if contact and self._chance(0.35):
            # A ticket at the edge of the 24 hours after the last session.
            created = started + timedelta(minutes=25 * index) + timedelta(seconds=self.rng.choice([60, 86_399, 86_401]))
            self._ticket(account, day)
            ticket = account.tickets[-1]
            shift = created - ticket["created_at"]
            ticket.update(created_at=created, requester_contact_id=contact)
            for row in self.tables["support_ticket_events"]:
                if row["ticket_id"] == ticket["ticket_id"]:
                    row["occurred_at"] += shift

    # ----- customer success
    def _cs_work(self, account: _Account) -> None:
        for _ in range(self.rng.randint(0, 25)):
            self._add(
                "cs_activities",
                activity_id=self._id("act"),
                account_id=self._some_id(account),
                user_id=self.rng.choice(self.csms),
                contact_id=self._somebody(account) if self._chance(0.6) else None,
                activity_type=self.rng.choice(
                    [
                        "email",
                        "call",
                        "meeting",
                        "training",
                        "qbr",
                        "exec_sponsor_visit",
                        "onboarding_session",
                        "onsite",
                    ]
                ),
                direction=self.rng.choice(["outbound", "outbound", "inbound"]),
                is_automated=self._chance(0.15),
                status=self.rng.choice(["completed", "completed", "completed", "no_show", "cancelled", "scheduled"]),
                occurred_at=self._at(self._day(account.start)),
                duration_minutes=None,
                playbook_name=None,
            )
        for _ in range(self.rng.choice([0, 1, 1, 2])):
            self._onboarding(account)
        for _ in range(self.rng.choice([0, 0, 1, 3])):
            requested = self._day(account.start)
            status = self.rng.choice(["requested", "committed", "completed", "completed", "declined"])
            self._add(
                "cs_advocacy",
                advocacy_id=self._id("adv"),
                account_id=self._some_id(account),
                contact_id=self._somebody(account) if self._chance(0.6) else None,
                user_id=self.rng.choice(self.csms),
                advocacy_type=self.rng.choice(["referral", "review", "case_study", "reference_call"]),
                status=status,
                requested_at=self._at(requested) if status != "completed" or self._chance(0.8) else None,
                completed_at=self._at(requested + timedelta(days=self.rng.randint(0, 60)))
                if status == "completed"
                else None,
            )

    def _onboarding(self, account: _Account) -> None:
        started = self._day(account.start)
        fate = self.rng.choice(["value", "value", "value", "open", "cancelled"])
        self._add(
            "cs_onboardings",
            onboarding_id=self._id("onb"),
            account_id=self._some_id(account),
            csm_user_id=self.rng.choice(self.csms),
            purchased_at=self._at(started - timedelta(days=self.rng.choice([0, 5, 20])))
            if self._chance(0.85)
            else None,
            started_at=self._at(started),
            completed_at=None,
            # A milestone reached before the start counts as reached on day 0.
            first_value_at=self._at(started + timedelta(days=self.rng.choice([-2, 0, 3, 10, 25, 60, 100])))
            if fate == "value"
            else None,
            cancelled_at=self._at(started + timedelta(days=self.rng.randint(1, 50))) if fate == "cancelled" else None,
            first_value_milestone=self.rng.choice(["first report", "ten users", None]),
            target_days=self.rng.choice([14, 30, 60, None]),
        )

    # ----- voice of the customer
    def _responses(self, account: _Account) -> None:
        for survey_id, _, low, high, *_ in SURVEYS:
            for _ in range(self.rng.choice([0, 2, 5, 9] if survey_id != "s_nps" else [5, 9, 14])):
                self._response(account, survey_id, low, high)

    def _response(self, account: _Account, survey_id: str, low: int, high: int) -> None:
        sent = self._day(account.start)
        answered = sent + timedelta(days=self.rng.choice([0, 0, 1, 3, 9, 31]))
        is_answered = self._chance(0.75)
        # One past the scale on either side is out of it; the top is drawn more often, for promoters.
        score = self.rng.choice([*range(low - 1, high + 2), *range((low + high) // 2, high + 1), high, None])
        contact = self.rng.choice([self._somebody(account)] * 3 + [None])
        about_ticket = survey_id.startswith("s_csat") and account.tickets and self._chance(0.6)
        sent_at, answered_at = self._at(sent), self._at(answered)
        onboarding = None
        if survey_id == "s_onboarding" and self.tables["cs_onboardings"]:
            onboarding = self.rng.choice([None, self.tables["cs_onboardings"][-1]["onboarding_id"]])
        self._add(
            "survey_responses",
            response_id=self._id("res"),
            survey_id=survey_id,
            account_id=self.rng.choice([*account.ids, *account.ids, None]),
            contact_id=contact,
            sent_at=sent_at if self._chance(0.9) or not is_answered else None,
            responded_at=max(sent_at, answered_at) if is_answered else None,
            score=score if is_answered else None,
            # What has no score on the scale is left without words: the sentiment library is not recomputed.
            comment=self.rng.choice(COMMENTS) if is_answered and score in range(low, high + 1) else None,
            ticket_id=self.rng.choice(account.tickets)["ticket_id"] if about_ticket else None,
            onboarding_id=onboarding,
            interaction_type=self.rng.choice(["upgrade", "renewal", None])
            if survey_id in ("s_ces", "s_effort")
            else None,
            related_user_id=self.rng.choice([*self.csms, None]),
            channel=self.rng.choice(["email", "in_app", None]),
        )

    def _feedback(self, account: _Account) -> None:
        for _ in range(self.rng.randint(0, 6)):
            is_rated = self._chance(0.5)
            worst, best = self.rng.choice([(1, 5), (1, 5), (0, 1)])
            has_sentiment = not is_rated or self._chance(0.3)
            self._add(
                "feedback_items",
                feedback_id=self._id("fb"),
                account_id=self.rng.choice([*account.ids, None]),
                contact_id=self.rng.choice([self._somebody(account)] * 3 + [None]),
                source=self.rng.choice(["interview", "social", "review_site", "in_app_widget", "web_form"]),
                collected_at=self._at(self._day(account.start)),
                body=self.rng.choice(COMMENTS[1:]),
                rating=Decimal(self.rng.randint(worst, best)) if is_rated else None,
                rating_max=Decimal(best),
                sentiment=Decimal(self.rng.choice(["-1", "-0.5", "0", "0.25", "1.5"])) if has_sentiment else None,
                themes=self.rng.choice([None, "pricing", "support,usability"]),
                collected_by_user_id=None,
                url=None,
            )

    def _actions(self) -> None:
        """Playbook runs and follow-ups of detractors, some late, some never, some for no account."""
        asked = [row for row in self.tables["survey_responses"] if row["responded_at"] and row["survey_id"] == "s_nps"]
        for row in asked:
            if self._chance(0.2):
                opened = row["responded_at"] + timedelta(hours=self.rng.randint(1, 30))
                self._action("detractor_followup", row["account_id"], opened, row["response_id"])
        for account in self.accounts:
            if self._chance(0.5):
                self._action("playbook", account.account_id, self._at(self._day(account.start)), None)
        self._action("improvement", None, self._at(self._day(self.first)), None)

    def _action(self, kind: str, account_id: str | None, opened: datetime, trigger: str | None) -> None:
        status = self.rng.choice(["open", "done", "done", "dropped"])
        closed = opened + timedelta(days=self.rng.choice([0, 1, 2, 20]), hours=self.rng.randint(0, 20))
        self._add(
            "cs_actions",
            action_id=self._id("todo"),
            action_type=kind,
            playbook_name="rescue" if kind == "playbook" else None,
            account_id=account_id,
            owner_user_id=self.rng.choice([*self.csms, None]),
            team=None,
            theme=None,
            trigger_ref=trigger,
            target_kpi=None,
            opened_at=opened,
            due_at=opened + timedelta(days=self.rng.choice([2, 30])) if self._chance(0.8) else None,
            closed_at=closed if status != "open" and self._chance(0.9) else None,
            status=status,
            outcome="helped" if status == "done" else None,
        )

    # ----- rows that belong to nobody, costs, and what at-least-once loads do
    def _strangers(self) -> None:
        """Rows whose account id nobody knows or two systems dispute; answers, support and work of them still count."""
        for _ in range(4):
            account_id = self.rng.choice(["ghost", "ambiguous"])
            stranger = _Account(account_id, [account_id], ["con_ghost"], self._day(self.first))
            self._response(stranger, "s_nps", 0, 10)
            self._feedback(stranger)
            self._subscription(stranger, stranger.start)
            self._ticket(stranger, stranger.start)
            self._sessions(stranger, stranger.start)
            self._cs_work(stranger)
            self._response(stranger, "s_onboarding", 1, 5)

    def _before_all_others(self) -> None:
        """A row of nobody's in the month before the first: some kinds count without an account, others nowhere."""
        kinds = [
            "billing_invoices",
            "cs_onboardings",
            "support_tickets",
            "cs_activities",
            "cs_advocacy",
            "product_events",
        ]
        table = self.rng.choice([kind for kind in kinds if self.tables[kind]])
        row = self.rng.choice(self.tables[table])
        key = next(column["column"] for column in contract()[table] if column["key"].startswith("PK"))
        instants = {name: value for name, value in row.items() if isinstance(value, datetime) and name != "_loaded_at"}
        earlier = min(instants.values()) - self._at(self._day(add_months(self.first, -1), self.first - ONE_DAY))
        nobody = {name: None for name in row if name.endswith("contact_id")} | {"account_id": "ghost"}
        shifted = {name: value - earlier for name, value in instants.items()}
        self._add(table, **(row | shifted | nobody | {key: self._id("first")}))

    def _costs(self) -> None:
        month = self.first
        while month <= self.end:
            for account in self.accounts:
                if self._chance(0.15):
                    self._cost(month, self.rng.choice(["acquisition", "retention"]), account=self._some_id(account))
            for csm in self.csms:
                self._cost(month, "cs_team", user=csm)
            self._cost(month, "cs_team")
            month = add_months(month, 1)

    def _cost(self, month: date, kind: str, account: str | None = None, user: str | None = None) -> None:
        self._add(
            "fin_costs",
            cost_id=self._id("cost"),
            cost_month=month,
            cost_type=kind,
            account_id=account,
            user_id=user,
            amount=Decimal(self.rng.randint(1000, 90_000)) / 100,
            currency=self.rng.choice(CURRENCIES),
        )

    def _repeat_and_delete(self) -> None:
        """Exact repeats, superseded versions that arrived earlier, rows deleted later, rows deleted and restored."""
        disturb = {
            "billing_subscription_items": {"quantity": Decimal(999), "discount_pct": Decimal(50)},
            "billing_subscriptions": {"ended_at": None, "status": "active"},
            "survey_responses": {"score": 0, "comment": "superseded"},
            "support_tickets": {"topic": "superseded"},
            "product_events": {"user_id": "superseded"},
            "crm_account_owners": {"user_id": "csm_ana"},
            "cs_activities": {"status": "completed", "is_automated": False},
            "fin_exchange_rates": {"rate": Decimal("77.5")},
            "cs_onboardings": {"first_value_at": None},
            "feedback_items": {"body": "superseded"},
            "fin_costs": {"amount": Decimal("1.00")},
        }
        day = timedelta(days=1)
        for table, changes in disturb.items():
            for row in list(self.tables[table]):
                draw = self.rng.random()
                if draw < 0.03:
                    self.tables[table].append(dict(row))
                elif draw < 0.08:
                    self.tables[table].append(row | changes | {"_loaded_at": row["_loaded_at"] - day})
                elif draw < 0.10:
                    self.tables[table].append(row | {"_deleted": True, "_loaded_at": row["_loaded_at"] - day})
                elif draw < 0.12 and table != "fin_exchange_rates":
                    self.tables[table].append(row | changes | {"_deleted": True, "_loaded_at": row["_loaded_at"] + day})

    def _owners_of_one_day(self) -> None:
        """Ranges that start later on the local day on which another one starts; that one may run on after their end."""
        rng = random.Random(f"owners of one day of {self.seed}")
        starts = {
            (row["account_id"], row["valid_from"]): row
            for row in self.tables["crm_account_owners"]
            if row["role"] == "csm" and not row.get("_deleted")
        }
        for (_, start), row in starts.items():
            local = start.replace(tzinfo=UTC).astimezone(ZoneInfo(self.zone))
            later = local.replace(hour=23, minute=59, second=59).astimezone(UTC).replace(tzinfo=None)
            if later > start and rng.random() < 0.2:
                changes = {
                    "user_id": rng.choice(self.csms),
                    "valid_from": later,
                    "valid_to": later + timedelta(days=rng.randint(1, 90)),
                }
                self.tables["crm_account_owners"].append(row | changes)

    def _owners_for_a_while(self) -> None:
        """Accounts that an account manager covers as their CSM for a time."""
        rng = random.Random(f"owners for a while of {self.seed}")
        covered: dict[tuple[Any, ...], bool] = {}
        for row in self.tables["crm_account_owners"]:
            range_of_csm = (row["account_id"], row["valid_from"])
            if row["role"] == "csm" and covered.setdefault(range_of_csm, rng.random() < 0.1):
                row["user_id"] = "am_gus"

    def _events_of_nobody(self) -> None:
        """Events that have lost their account."""
        rng = random.Random(f"events of nobody of {self.seed}")
        lost: dict[str, bool] = {}
        for row in self.tables["product_events"]:
            if lost.setdefault(row["event_id"], rng.random() < 0.02):
                row["account_id"] = None

    def _void_successors(self) -> None:
        """Successors that end at the instant they start, before, with or after the end of what they renew."""
        rng = random.Random(f"void successors of {self.seed}")
        subscriptions, items = self.tables["billing_subscriptions"], self.tables["billing_subscription_items"]
        ends = {row["subscription_id"]: row["ended_at"] for row in subscriptions if row["ended_at"]}
        successors = {row["subscription_id"]: row for row in subscriptions if row["renews_subscription_id"] in ends}
        priced = {row["subscription_id"]: row for row in items if row["is_recurring"]}
        for successor_id, successor in successors.items():
            if rng.random() < 0.3:
                instant = ends[successor["renews_subscription_id"]] + timedelta(days=rng.choice([-3, 0, 4]))
                void = {"subscription_id": self._id("sub"), "_deleted": None}
                subscriptions.append(successor | void | {"started_at": instant, "ended_at": instant})
                version = {"item_version_id": self._id("ver"), "item_id": self._id("item"), "effective_to": None}
                items.append(priced[successor_id] | void | version | {"effective_from": instant})

    def _trials_to_the_end(self) -> None:
        """Subscriptions that were on trial until they ended, some of them renewed late."""
        rng = random.Random(f"trials to the end of {self.seed}")
        subscriptions = self.tables["billing_subscriptions"]
        ends = {row["subscription_id"]: row["ended_at"] for row in subscriptions if row["ended_at"]}
        renewed = {row["renews_subscription_id"] for row in subscriptions}
        for subscription_id in sorted(ends.keys() & renewed):
            if rng.random() < 0.3:
                for row in subscriptions:
                    if row["subscription_id"] == subscription_id:
                        row.update(trial_start=row["started_at"], trial_end=ends[subscription_id])

    def _spaces_around_events(self) -> None:
        """Spaces, no-break ones too, around every text of an event; some of these rows repeat one without them."""
        rng = random.Random(f"spaces around events of {self.seed}")
        for row in list(self.tables["product_events"]):
            if rng.random() < 0.05:
                texts = {name: value for name, value in row.items() if isinstance(value, str)}
                spaced = {name: rng.choice([f" {text}", f"{text}\u00a0"]) for name, text in texts.items()}
                if rng.random() < 0.5:
                    self.tables["product_events"].append(row | spaced)
                else:
                    row.update(spaced)

    def _ids_of_both_sides_of_a_merge(self) -> None:
        """An id by which one system names the account that is merged away and another one its survivor."""
        rng = random.Random(f"ids of both sides of a merge of {self.seed}")
        for account in self.tables["crm_accounts"]:
            sides = [account["account_id"], account.get("merged_into_account_id")]
            if sides[1] is None:
                continue
            shared = f"shared_{sides[0]}"
            for system, side in zip(("stripe", "segment"), sides, strict=True):
                self._add("crm_account_links", source_system=system, source_account_id=shared, account_id=side)
            for table in ("billing_subscriptions", "product_events", "support_tickets", "cs_activities"):
                for row in self.tables[table]:
                    if row["account_id"] in sides and rng.random() < 0.1:
                        row["account_id"] = shared
