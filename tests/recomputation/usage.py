"""Product use, counted event by event."""

from collections import defaultdict
from datetime import date
from fractions import Fraction
from functools import cached_property

from tests.recomputation.calendar import ONE_DAY, Period, add_months, month_end, months
from tests.recomputation.landed import Row
from tests.recomputation.money import cents, share
from tests.recomputation.promoters import vote
from tests.recomputation.revenue import Ledger
from tests.recomputation.shape import Sums, standard
from tests.recomputation.subscriptions import Book, runs
from tests.recomputation.surveys import Surveys

DORMANT_AFTER_DAYS = 30
CHURN_DAYS = 180


class Usage:
    """Events, entitlements and adoption of a company."""

    def __init__(self, book: Book, ledger: Ledger, surveys: Surveys) -> None:
        self.book = book
        self.ledger = ledger
        self.surveys = surveys
        self.company = book.company
        self.events = [
            row | {"day": self.company.day(row["occurred_at"])} for row in self.company.counted("product_events")
        ]
        self.features = {row["feature_key"]: row for row in self.company.tables["product_features"]}

    @cached_property
    def _by_account_month(self) -> dict[tuple[str, date], list[Row]]:
        found: dict[tuple[str, date], list[Row]] = defaultdict(list)
        for event in self.events:
            found[event["account"], event["day"].replace(day=1)].append(event)
        return found

    @cached_property
    def _event_days(self) -> dict[str, set[date]]:
        found: dict[str, set[date]] = defaultdict(set)
        for event in self.events:
            found[event["account"]].add(event["day"])
        return found

    def _months(self) -> list[tuple[date, date]]:
        """Every month with its last known day."""
        if self.company.first_month is None:
            return []
        as_of = self.company.settings.as_of
        return [(month, min(month_end(month), as_of)) for month in months(self.company.first_month, as_of)]

    # ----- how often
    def _month(self, account: str, month: date, last: date) -> Row:
        events = self._by_account_month.get((account, month), [])
        users = len({event["user_id"] for event in events})
        user_days = len({(event["user_id"], event["day"]) for event in events})
        before = len(self._by_account_month.get((account, add_months(month, -1)), []))
        last_event = max((day for day in self._event_days[account] if day <= last), default=None)
        silent = None if last_event is None else (last - last_event).days
        is_paying = self.book.holding(account, last).has_mrr
        return {
            "n_events": len(events),
            "monthly_active_users": users,
            "active_days": len({event["day"] for event in events}),
            "active_user_days": user_days,
            "avg_active_days_per_user": share(user_days, users),
            "stickiness": share(user_days, users * ((last - month).days + 1)),
            "change_vs_previous_month": share(len(events) - before, before) if last == month_end(month) else None,
            "days_since_last_event": silent,
            "is_dormant": is_paying and (silent is None or silent >= DORMANT_AFTER_DAYS),
        }

    def fct_account_usage_months(self) -> list[Row]:
        """Account x month with events, or a customer at its end."""
        return [
            {"account_id": account, "month": month} | self._month(account, month, last)
            for month, last in self._months()
            for account in sorted(self.company.accounts)
            if (account, month) in self._by_account_month or self.book.is_customer(account, last)
        ]

    def kpi_usage_frequency(self) -> list[Row]:
        """Active days per active user, month by month."""
        rows = []
        for period in self.company.periods:
            if period.type != "month":
                continue
            sums = Sums()
            for account in self.company.accounts:
                month = self._month(account, period.start, period.last)
                sums.add(
                    self.company.cuts(account, period.last),
                    users=month["monthly_active_users"],
                    user_days=month["active_user_days"],
                    dormant=int(month["is_dormant"]),
                    paying=int(self.book.holding(account, period.last).has_mrr),
                )
            length = (period.last - period.start).days + 1
            for cut, parts in sums:
                users, user_days = parts["users"], parts["user_days"]
                rows.append(
                    {
                        **standard(
                            "usage_frequency",
                            period,
                            cut,
                            numerator=user_days,
                            denominator=users,
                            value=share(user_days, users),
                            n=users,
                        ),
                        "monthly_active_users": int(users),
                        "active_user_days": int(user_days),
                        "stickiness": share(user_days, users * length),
                        "dormant_accounts": int(parts["dormant"]),
                        "paying_accounts": int(parts["paying"]),
                    }
                )
        return rows

    # ----- how much of it
    def entitled(self, account: str, day: date) -> set[str]:
        """Features of the plans in force on a day that are on the market."""
        plans = set(self.book.holding(account, day).plans_in_force)
        features = {
            row["feature_key"]
            for row in self.company.tables["product_plan_features"]
            if row["plan_id"] in plans and runs(row["valid_from"], row["valid_to"], day)
        }
        return {
            feature
            for feature in features & self.features.keys()
            if runs(self.features[feature]["released_on"], self.features[feature]["retired_on"], day)
        }

    def used(self, account: str, month: date) -> set[str]:
        """Features with enough events of the account in the month."""
        counts: dict[str, int] = defaultdict(int)
        for event in self._by_account_month.get((account, month), []):
            if event["feature_key"]:
                counts[event["feature_key"]] += 1
        return {key for key, count in counts.items() if count >= self.company.settings.adoption_min_events}

    def fct_account_adoption_months(self) -> list[Row]:
        """Account x month, paying at its end."""
        rows = []
        for month, last in self._months():
            for account in sorted(self.company.accounts):
                holding = self.book.holding(account, last)
                if not holding.has_mrr:
                    continue
                entitled = self.entitled(account, last)
                used = entitled & self.used(account, month)
                core = {key for key in entitled if self.features[key]["is_core"]}
                seats = max(holding.quantity.values(), default=0)
                users = self._month(account, month, last)["monthly_active_users"]
                rows.append(
                    {
                        "account_id": account,
                        "month": month,
                        "n_entitled": len(entitled),
                        "n_used": len(used),
                        "adoption_rate": share(len(used), len(entitled)),
                        "core_adoption_rate": share(len(core & used), len(core)),
                        "seats": int(seats) if seats else None,
                        "active_users": users,
                        "seat_adoption_rate": share(users, seats),
                        "is_over_use": bool(seats) and users > seats,
                        "unused_features": ", ".join(sorted(entitled - used)) or None,
                    }
                )
        return rows

    def kpi_product_adoption_rate(self) -> list[Row]:
        """Features used of those entitled, pooled over the accounts that pay at the end of the month."""
        adoption: dict[date, list[Row]] = defaultdict(list)
        for row in self.fct_account_adoption_months():
            adoption[row["month"]].append(row)
        rows = []
        for period in self.company.periods:
            if period.type != "month":
                continue
            sums = Sums()
            for row in adoption[period.start]:
                sums.add(
                    self.company.cuts(row["account_id"], period.last),
                    accounts=1,
                    with_entitlement=int(row["n_entitled"] > 0),
                    entitled=row["n_entitled"],
                    used=row["n_used"],
                    rates=row["adoption_rate"] or 0,
                )
            for cut, parts in sums:
                rows.append(
                    {
                        **standard(
                            "product_adoption_rate",
                            period,
                            cut,
                            numerator=parts["used"],
                            denominator=parts["entitled"],
                            value=share(parts["used"], parts["entitled"]),
                            n=parts["with_entitlement"],
                        ),
                        "accounts": int(parts["accounts"]),
                        "accounts_with_entitlement": int(parts["with_entitlement"]),
                        "features_entitled": int(parts["entitled"]),
                        "features_used": int(parts["used"]),
                        "mean_account_adoption_rate": parts["rates"] / parts["with_entitlement"]
                        if parts["with_entitlement"]
                        else None,
                    }
                )
        return rows

    def fct_feature_adoption_months(self) -> list[Row]:
        """Feature x month, over the accounts that pay at its end."""
        rows = []
        churned_on = defaultdict(list)
        for move in self.ledger.movements:
            if move.type == "churn":
                churned_on[move.account].append(move.day)
        for month, last in self._months():
            paying = [account for account in self.company.accounts if self.book.holding(account, last).has_mrr]
            entitled = {account: self.entitled(account, last) for account in paying}
            watched_until = month_end(month) + CHURN_DAYS * ONE_DAY
            gone = {
                account
                for account in paying
                if any(month_end(month) < day <= watched_until for day in churned_on[account])
            }
            for feature in sorted(self.features):
                having = {account for account in paying if feature in entitled[account]}
                using = {account for account in having if feature in self.used(account, month)}
                if having:
                    is_past = watched_until <= self.company.settings.as_of
                    rows.append(
                        {
                            "month": month,
                            "feature_key": feature,
                            "n_accounts_entitled": len(having),
                            "n_accounts_using": len(using),
                            "feature_adoption_rate": share(len(using), len(having)),
                            "mean_nps_of_users": self._mean_nps(using, month, last),
                            "churn_rate_users": share(len(using & gone), len(using)) if is_past else None,
                            "churn_rate_non_users": share(len((having - using) & gone), len(having - using))
                            if is_past
                            else None,
                        }
                    )
        return rows

    def _mean_nps(self, accounts: set[str], month: date, last: date) -> float | None:
        votes = defaultdict(list)
        for one in self.surveys.counted("nps", Period("month", month, last, last, is_complete=True)):
            if one.account in accounts:
                votes[one.account].append(100 * vote(one.row["score"]))
        means = [Fraction(sum(given), len(given)) for given in votes.values()]
        return share(sum(means), len(means))

    def mart_dormancy(self) -> list[Row]:
        """Month x cut: payers who went silent, and customers without a subscription who stopped buying."""
        rows = []
        bought = self._purchase_days()
        for month, last in self._months():
            sums = Sums()
            for account in self.company.accounts:
                paying = self.book.holding(account, last).has_mrr
                dormant = self._month(account, month, last)["is_dormant"]
                mrr = self.company.rates.value(self.book.holding(account, last).native, last)
                parts = {
                    "paying": int(paying),
                    "dormant": int(dormant),
                    "mrr": mrr if dormant else 0,
                    "stopped": int(self._stopped(account, bought[account], last)),
                }
                if any(parts.values()):
                    sums.add(self.company.cuts(account, last), **parts)
            for cut, parts in sums:
                rows.append(
                    {
                        "month": month,
                        "segment_type": cut[0],
                        "segment_value": cut[1],
                        "paying_accounts": int(parts["paying"]),
                        "dormant_accounts": int(parts["dormant"]),
                        "dormant_rate": share(parts["dormant"], parts["paying"]),
                        "dormant_mrr": cents(parts["mrr"]),
                        "stopped_purchasing_accounts": int(parts["stopped"]),
                    }
                )
        return rows

    def _purchase_days(self) -> dict[str, list[date]]:
        found: dict[str, list[date]] = defaultdict(list)
        for row in self.company.counted("billing_invoices"):
            if row["status"] == "paid" and row["paid_at"] is not None and row["amount_paid"] > 0:
                found[row["account"]].append(self.company.day(row["paid_at"]))
        return found

    def _stopped(self, account: str, bought: list[date], last: date) -> bool:
        past = [day for day in bought if day <= last]
        had_mrr = any(move.day <= last for move in self.ledger.by_account[account])
        gap = self.company.settings.purchase_gap_days
        return bool(past) and not had_mrr and (last - max(past)).days >= gap

    def published(self) -> dict[str, list[Row]]:
        """The tables of this module by name."""
        return {
            "fct_account_usage_months": self.fct_account_usage_months(),
            "kpi_usage_frequency": self.kpi_usage_frequency(),
            "fct_account_adoption_months": self.fct_account_adoption_months(),
            "kpi_product_adoption_rate": self.kpi_product_adoption_rate(),
            "fct_feature_adoption_months": self.fct_feature_adoption_months(),
            "mart_dormancy": self.mart_dormancy(),
        }
