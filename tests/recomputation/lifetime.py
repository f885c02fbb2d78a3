"""What an account has brought, what it cost, and what it may still bring."""

from collections import defaultdict
from datetime import date
from fractions import Fraction
from functools import cached_property

from tests.recomputation.calendar import ONE_DAY, add_months, first_of_month, month_end, months
from tests.recomputation.company import Company
from tests.recomputation.fitting import expected_remaining, fit
from tests.recomputation.landed import Row
from tests.recomputation.money import cents, share
from tests.recomputation.revenue import Ledger
from tests.recomputation.shape import Sums, few_accounts, standard

SMALL_SEGMENT = 20
COSTS = ("acquisition", "retention")


def whole_months(start: date, end: date) -> int:
    """How many monthly anniversaries of `start` lie on or before `end`; the 31st is a shorter month's last day."""
    count = (end.year - start.year) * 12 + end.month - start.month
    last_day = month_end(end).day
    return count if end.day >= min(start.day, last_day) else count - 1


def begun_months(start: date, end: date) -> int:
    """Months of which at least a part has passed."""
    whole = whole_months(start, end)
    month = add_months(first_of_month(start), whole)
    anniversary = month.replace(day=min(start.day, month_end(month).day))
    return whole + (anniversary < end)


class Lifetimes:
    """Lifetime values at any day, with what was known at its end."""

    def __init__(self, ledger: Ledger) -> None:
        self.company: Company = ledger.company
        self.ledger = ledger
        self.book = ledger.book
        self.settings = self.company.settings
        self.margin = Fraction(self.settings.gross_margin_pct) / 100
        self._fits: dict[tuple[date, str | None], tuple[float, float] | None] = {}

    # ----- money
    @cached_property
    def _receipts(self) -> dict[str, list[tuple[date, Fraction]]]:
        """Paid invoices and refunds of each account, in the reporting currency."""
        found: dict[str, list[tuple[date, Fraction]]] = defaultdict(list)
        owner = {}
        for row in self.company.counted("billing_invoices"):
            owner[row["invoice_id"]] = row["account"]
            if row["status"] == "paid" and row["paid_at"] is not None:
                day = self.company.day(row["paid_at"])
                found[row["account"]].append((day, Fraction(row["amount_paid"]) * self._rate(row["currency"], day)))
        for row in self.company.tables["billing_refunds"]:
            if row["invoice_id"] in owner:
                day = self.company.day(row["refunded_at"])
                found[owner[row["invoice_id"]]].append(
                    (day, -Fraction(row["amount"]) * self._rate(row["currency"], day))
                )
        return found

    @cached_property
    def _costs(self) -> dict[tuple[str, str], list[tuple[date, Fraction]]]:
        """Costs tagged with an account, by account and type."""
        found: dict[tuple[str, str], list[tuple[date, Fraction]]] = defaultdict(list)
        for row in self.company.counted("fin_costs"):
            day = min(month_end(row["cost_month"]), self.settings.as_of)
            amount = Fraction(row["amount"]) * self._rate(row["currency"], day)
            found[row["account"], row["cost_type"]].append((row["cost_month"], amount))
        return found

    def _rate(self, currency: str, day: date) -> Fraction:
        return self.company.rates.at(currency, day)

    # ----- life
    @cached_property
    def _first_mrr(self) -> dict[str, date]:
        first: dict[str, date] = {}
        for move in self.ledger.movements:
            if move.type == "new":
                first.setdefault(move.account, move.day)
        return first

    def _first_paid(self, account: str) -> date | None:
        return min((day for day, amount in self._receipts[account] if amount > 0), default=None)

    def _start(self, account: str) -> date | None:
        """The day from which an account counts: its first MRR or its first paid invoice."""
        starts = [self._first_mrr.get(account), self._first_paid(account)]
        return min((start for start in starts if start is not None), default=None)

    def _observation(self, account: str, day: date) -> tuple[int, bool] | None:
        """(renewals, whether the account left at the last of them); None before its first MRR."""
        start = self._first_mrr.get(account)
        if start is None or start > day:
            return None
        if self.book.is_customer(account, day):
            return whole_months(start, day), False
        left = max(move.day for move in self.ledger.by_account[account] if move.type == "churn" and move.day <= day)
        return max(begun_months(start, left), 1), True

    def _observations(self, day: date, segment: str | None) -> list[tuple[int, bool]]:
        found = [
            self._observation(account, day)
            for account in self.company.accounts
            if segment is None or self.company.segment(account) == segment
        ]
        return [one for one in found if one is not None]

    def _fit(self, day: date, segment: str | None) -> tuple[float, float] | None:
        """The fit of a segment, the company's (segment None) if it is small or lost nobody; None without any loss."""
        if (day, segment) not in self._fits:
            seen = self._observations(day, segment)
            has_losses = any(is_gone for _, is_gone in seen)
            if segment is not None and (len(seen) < SMALL_SEGMENT or not has_losses):
                self._fits[day, segment] = self._fit(day, None)
            else:
                self._fits[day, segment] = fit(seen) if has_losses else None
        return self._fits[day, segment]

    def _hazard_months(self, day: date, segment: str | None) -> float:
        members = [
            account for account in self.company.accounts if segment is None or self.company.segment(account) == segment
        ]
        if segment is not None and sum(self.book.is_customer(account, day) for account in members) < SMALL_SEGMENT:
            return self._hazard_months(day, None)
        last_complete = first_of_month(day) if day == month_end(day) else add_months(first_of_month(day), -1)
        opened = gone = 0
        for month in months(add_months(last_complete, -11), last_complete):
            for account in members:
                if self.book.holding(account, month - ONE_DAY).has_mrr:
                    opened += 1
                    gone += not self.book.is_customer(account, month_end(month))
        cap = self.settings.lifetime_cap_months
        return min(float(cap), opened / gone) if gone else float(cap)

    def remaining_months(self, account: str, day: date) -> float:
        """Months that the account is expected to stay on; 0 for one that is no customer."""
        if not self.book.is_customer(account, day):
            return 0.0
        segment, cap = self.company.segment(account), self.settings.lifetime_cap_months
        if self.settings.clv_lifetime_model == "hazard":
            return self._hazard_months(day, segment)
        fitted = self._fit(day, segment)
        if fitted is None:
            return float(cap)
        monthly_rate = (1 + float(self.settings.discount_rate_annual)) ** (1 / 12) - 1
        lived, _ = self._observation(account, day)
        return expected_remaining(*fitted, lived, cap, monthly_rate)

    # ----- value
    def value(self, account: str, day: date) -> Row | None:
        """All parts of an account's lifetime value at the end of a day; None before it ever paid."""
        start = self._start(account)
        if start is None or start > day:
            return None
        revenue = sum((amount for when, amount in self._receipts[account] if when <= day), Fraction(0))
        acquisition, retention = (
            sum((amount for when, amount in self._costs[account, kind] if when <= day), Fraction(0)) for kind in COSTS
        )
        historical = revenue * self.margin - acquisition - retention
        expected = self.remaining_months(account, day)
        remaining = to_come = Fraction(0)
        if expected:
            lived = (day.year - start.year) * 12 + day.month - start.month + 1
            mrr = self.company.rates.value(self.book.holding(account, day).native, day)
            to_come = mrr * Fraction(expected)
            remaining = (mrr * self.margin - retention / lived) * Fraction(expected)
        return {
            "net_revenue": revenue,
            "acquisition_cost": acquisition,
            "retention_cost": retention,
            "historical_clv": historical,
            "predicted_remaining_value": remaining,
            "predicted_total_clv": historical + remaining,
            "predicted_total_revenue": revenue + to_come,
            "expected_remaining_months": expected,
        }

    def fct_account_lifetime_values(self) -> list[Row]:
        """One row an account, as of the run; rank and decile are left out."""
        as_of, rows = self.settings.as_of, []
        for account in sorted(self.company.accounts):
            value = self.value(account, as_of)
            if value is not None:
                expected = value.pop("expected_remaining_months")
                rows.append(
                    {
                        "account_id": account,
                        "as_of": as_of,
                        "segment": self.company.segment(account),
                        **{name: cents(amount) for name, amount in value.items()},
                        "expected_remaining_months": expected,
                        "clv_to_cac": share(value["predicted_total_clv"], value["acquisition_cost"]),
                    }
                )
        return rows

    def kpi_customer_lifetime_value(self) -> list[Row]:
        """Month by month, each as of its end."""
        rows = []
        for period in self.company.periods:
            if period.type != "month":
                continue
            sums = Sums()
            for account in self.company.accounts:
                value = self.value(account, period.last)
                if value is not None:
                    value.pop("expected_remaining_months")
                    sums.add(self.company.cuts(account, period.last), accounts=1, **value)
            for cut, parts in sums:
                accounts, total = int(parts.pop("accounts", 0)), parts["predicted_total_clv"]
                rows.append(
                    {
                        **standard(
                            "customer_lifetime_value",
                            period,
                            cut,
                            numerator=total,
                            denominator=accounts,
                            value=share(total, accounts),
                            n=accounts,
                            is_suppressed=few_accounts(cut, accounts),
                        ),
                        "accounts": accounts,
                        "net_revenue": cents(parts["net_revenue"]),
                        "acquisition_cost": cents(parts["acquisition_cost"]),
                        "retention_cost": cents(parts["retention_cost"]),
                        "historical_clv": cents(parts["historical_clv"]),
                        "predicted_remaining_value": cents(parts["predicted_remaining_value"]),
                        "predicted_total_clv": cents(total),
                        "predicted_total_revenue": cents(parts["predicted_total_revenue"]),
                        "clv_to_cac": share(total, parts["acquisition_cost"]),
                    }
                )
        return rows

    def published(self) -> dict[str, list[Row]]:
        """The tables of this module by name."""
        return {
            "fct_account_lifetime_values": self.fct_account_lifetime_values(),
            "kpi_customer_lifetime_value": self.kpi_customer_lifetime_value(),
        }
