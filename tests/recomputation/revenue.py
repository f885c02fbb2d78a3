"""The ledger of recurring revenue, walked account by account and day by day, and the KPIs read off it."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import cached_property

from tests.recomputation.calendar import ONE_DAY, Period, days, month_end, months
from tests.recomputation.company import Company
from tests.recomputation.landed import Row
from tests.recomputation.money import cents, share
from tests.recomputation.shape import Cut, Sums, few_accounts, standard
from tests.recomputation.subscriptions import Book, Holding

FLOWS = ("new", "reactivation", "resume", "expansion", "contraction", "pause", "churn", "fx")
LOSSES = ("contraction", "pause", "churn")


@dataclass(frozen=True)
class Movement:
    """One change of an account's recurring revenue, signed, unrounded."""

    account: str
    day: date
    type: str
    subtype: str
    amount: Fraction


class Ledger:
    """All movements from the first month with data to the as-of date."""

    def __init__(self, company: Company, book: Book) -> None:
        self.company = company
        self.book = book
        self.rates = company.rates
        products = {row["plan_id"]: row["product_name"] for row in company.settings.seed("plan_products")}
        self.product = lambda plan: products.get(plan, plan)
        self.movements: list[Movement] = []
        if company.first_month is not None:
            for account in sorted(company.accounts):
                self._walk(account)

    @cached_property
    def by_account(self) -> dict[str, list[Movement]]:
        """Movements of each account."""
        found: dict[str, list[Movement]] = defaultdict(list)
        for movement in self.movements:
            found[movement.account].append(movement)
        return found

    def balance(self, account: str, day: date, rate_day: date | None = None) -> Fraction:
        """MRR at the end of a day, at the rates of that day or of another."""
        return self.rates.value(self.book.holding(account, day).native, rate_day or day)

    def _walk(self, account: str) -> None:
        as_of = self.company.settings.as_of
        was_customer = False
        products: set[str] = set()
        for month in months(self.company.first_month, as_of):
            last = min(month_end(month), as_of)
            opening = self.balance(account, month - ONE_DAY)
            rate_day = month - ONE_DAY if opening > 0 else last
            flows = Fraction(0)
            for day in days(month, last):
                for movement in self._compare(account, day, rate_day, was_customer, products):
                    self.movements.append(movement)
                    flows += movement.amount
                after = self.book.holding(account, day)
                was_customer = was_customer or after.has_mrr
                products |= {self.product(plan) for plan in after.held}
            fx = self.balance(account, last) - opening - flows
            if fx:
                self.movements.append(Movement(account, last, "fx", "fx", fx))

    def _compare(
        self, account: str, day: date, rate_day: date, was_customer: bool, products: set[str]
    ) -> list[Movement]:
        """The movements of one account on one day."""
        before, after = self.book.before(account, day), self.book.holding(account, day)
        was, is_now = self.book.is_customer(account, day - ONE_DAY), self.book.is_customer(account, day)
        if before.native == after.native and was == is_now:
            return []
        change = self.rates.value(after.native, rate_day) - self.rates.value(before.native, rate_day)
        if is_now and not was:
            kind = "reactivation" if was_customer else "new"
        elif was and not is_now:
            kind = "churn"
        elif after.has_mrr and not before.has_mrr:
            kind = "resume"
        elif before.has_mrr and not after.has_mrr:
            kind = "pause"
        elif change == 0:
            return []
        else:
            return self._split(account, day, rate_day, before, after, change, products)
        return [Movement(account, day, kind, kind, change)]

    def _split(
        self,
        account: str,
        day: date,
        rate_day: date,
        before: Holding,
        after: Holding,
        change: Fraction,
        products: set[str],
    ) -> list[Movement]:
        """An expansion or contraction, shared over the plans that moved its way."""
        sign = 1 if change > 0 else -1
        kind = "expansion" if change > 0 else "contraction"
        moved: dict[str, Fraction] = defaultdict(Fraction)
        for plan in before.held | after.held:
            by = self.rates.value(after.plans.get(plan, {}), rate_day) - self.rates.value(
                before.plans.get(plan, {}), rate_day
            )
            if by * sign > 0:
                subtype = self._rise(plan, before, after, products) if sign > 0 else self._fall(plan, before, after)
                moved[subtype] += by
        together = sum(moved.values())
        return [Movement(account, day, kind, subtype, change * by / together) for subtype, by in sorted(moved.items())]

    def _rise(self, plan: str, before: Holding, after: Holding, products: set[str]) -> str:
        if plan not in before.held:
            is_cross_sell = self.product(plan) not in products and not before.held - after.held
            return "cross_sell" if is_cross_sell else "upgrade_price"
        return "upsell_quantity" if after.quantity[plan] > before.quantity[plan] else "upgrade_price"

    def _fall(self, plan: str, before: Holding, after: Holding) -> str:
        if plan not in after.held:
            is_dropped = bool(before.held & after.held) and not after.held - before.held
            return "product_dropped" if is_dropped else "downgrade_price"
        return "downgrade_quantity" if after.quantity[plan] < before.quantity[plan] else "downgrade_price"

    # ----- published
    def fct_mrr_movements(self) -> list[Row]:
        """Account x day x type x subtype."""
        rows = []
        for movement in self.movements:
            csm = self.company.csm(movement.account, movement.day)
            rows.append(
                {
                    "account_id": movement.account,
                    "movement_date": movement.day,
                    "movement_type": movement.type,
                    "movement_subtype": movement.subtype,
                    "amount": cents(movement.amount),
                    "csm_user_id": csm,
                    "team": self.company.team(csm),
                    "segment": self.company.segment(movement.account),
                }
            )
        return rows

    def fct_account_mrr_months(self) -> list[Row]:
        """Account x month with a balance or a movement."""
        if self.company.first_month is None:
            return []
        rows = []
        for account in sorted(self.company.accounts):
            for month in months(self.company.first_month, self.company.settings.as_of):
                last = min(month_end(month), self.company.settings.as_of)
                found = [move for move in self.by_account[account] if month <= move.day <= last]
                opening, closing = self.balance(account, month - ONE_DAY), self.balance(account, last)
                if opening or closing or found:
                    sums = defaultdict(Fraction)
                    for move in found:
                        sums[move.type] += abs(move.amount) if move.type in LOSSES else move.amount
                    rows.append(
                        {
                            "account_id": account,
                            "month": month,
                            "opening_mrr": cents(opening),
                            **{f"{kind}_mrr": cents(sums[kind]) for kind in FLOWS},
                            "closing_mrr": cents(closing),
                            "csm_user_id": self.company.csm(account, last),
                            "segment": self.company.segment(account),
                        }
                    )
        return rows

    def kpi_mrr(self) -> list[Row]:
        """Opening balance, movements and closing balance of every period and cut."""
        rows = []
        for period in self.company.periods:
            sums = Sums()
            for account in self.company.accounts:
                self._count(sums, account, period)
            rows += [self._kpi_mrr_row(period, cut, parts) for cut, parts in sums]
        return rows

    def _count(self, sums: Sums, account: str, period: Period) -> None:
        if self.book.is_customer(account, period.before):
            sums.add(
                self.company.cuts(account, period.start),
                opening=self.balance(account, period.before),
                opening_logos=1,
            )
        if self.book.is_customer(account, period.last):
            sums.add(
                self.company.cuts(account, period.last), closing=self.balance(account, period.last), closing_logos=1
            )
        for move in self.by_account[account]:
            if period.holds(move.day):
                amount = abs(move.amount) if move.type in LOSSES else move.amount
                cuts = self.company.cuts(account, move.day)
                sums.add(cuts, **{move.type: amount, f"{move.type}_events": 1})

    def _kpi_mrr_row(self, period: Period, cut: Cut, parts: dict[str, Fraction]) -> Row:
        gained = parts["new"] + parts["expansion"] + parts["reactivation"] + parts["resume"]
        lost = sum(parts[kind] for kind in LOSSES)
        closing, logos = parts["closing"], parts["closing_logos"]
        return {
            **standard(
                "mrr",
                period,
                cut,
                numerator=closing,
                denominator=None,
                value=closing,
                n=logos,
                is_suppressed=few_accounts(cut, parts["opening_logos"]),
            ),
            "opening_mrr": cents(parts["opening"]),
            **{f"{kind}_mrr": cents(parts[kind]) for kind in FLOWS},
            "closing_mrr": cents(closing),
            "closing_arr": cents(12 * closing),
            "net_new_mrr": cents(gained - lost),
            "quick_ratio": share(gained, lost),
            "arpa": cents(closing / logos) if logos else None,
            "opening_logos": int(parts["opening_logos"]),
            "new_logos": int(parts["new_events"]),
            "reactivated_logos": int(parts["reactivation_events"]),
            "churned_logos": int(parts["churn_events"]),
            "churn_events": int(parts["churn_events"]),
            "closing_logos": int(logos),
        }

    # ----- one cohort, point to point
    def cohort_kpis(self) -> dict[str, list[Row]]:
        """The four KPIs that follow the payers of the day before a period to its end."""
        tables: dict[str, list[Row]] = defaultdict(list)
        for period in self.company.periods:
            sums = Sums()
            for account in self.company.accounts:
                self._follow(sums, account, period)
            for cut, parts in sums:
                for table, row in self._cohort_rows(period, cut, parts).items():
                    tables[table].append(row)
        return dict(tables)

    def _follow(self, sums: Sums, account: str, period: Period) -> None:
        cuts = self.company.cuts(account, period.start)
        stayed = self.book.is_customer(account, period.last)
        if stayed:
            sums.add(cuts, closing_logos_total=1)
        if self.book.is_customer(account, period.before):
            sums.add(cuts, opening_logos_total=1)
        if not self.book.holding(account, period.before).has_mrr:
            return
        opening = self.balance(account, period.before)
        closing = self.balance(account, period.last, rate_day=period.before)
        sums.add(
            cuts,
            accounts=1,
            opening=opening,
            expansion=max(closing - opening, Fraction(0)) if stayed else 0,
            contraction=max(opening - closing, Fraction(0)) if stayed else 0,
            churn=0 if stayed else opening,
            gone=0 if stayed else 1,
            closing=closing,
            closing_reported=self.balance(account, period.last),
        )

    def _cohort_rows(self, period: Period, cut: Cut, parts: dict[str, Fraction]) -> dict[str, Row]:
        opening, accounts = parts["opening"], int(parts["accounts"])
        gone = int(parts["gone"])
        kept = opening - parts["contraction"] - parts["churn"]

        def row(kpi_id: str, numerator: Fraction | int, denominator: Fraction | int) -> Row:
            return standard(
                kpi_id,
                period,
                cut,
                numerator=numerator,
                denominator=denominator,
                value=share(numerator, denominator),
                n=accounts,
                is_suppressed=few_accounts(cut, accounts),
            )

        return {
            "kpi_net_revenue_retention": {
                **row("net_revenue_retention", kept + parts["expansion"], opening),
                "opening_mrr": cents(opening),
                "expansion_mrr": cents(parts["expansion"]),
                "contraction_mrr": cents(parts["contraction"]),
                "churn_mrr": cents(parts["churn"]),
                "closing_cohort_mrr": cents(parts["closing"]),
                "closing_cohort_mrr_reported": cents(parts["closing_reported"]),
                "nrr_reported": share(parts["closing_reported"], opening),
            },
            "kpi_gross_revenue_retention": {
                **row("gross_revenue_retention", kept, opening),
                "opening_mrr": cents(opening),
                "contraction_mrr": cents(parts["contraction"]),
                "churn_mrr": cents(parts["churn"]),
            },
            "kpi_customer_churn_rate": {
                **row("customer_churn_rate", gone, accounts),
                "opening_logos": accounts,
                "churned_logos": gone,
                "opening_mrr": cents(opening),
                "churn_mrr": cents(parts["churn"]),
                "mrr_churn_rate": share(parts["churn"], opening),
            },
            "kpi_customer_retention_rate": {
                **row("customer_retention_rate", accounts - gone, accounts),
                "opening_logos": accounts,
                "retained_logos": accounts - gone,
                "closing_logos_total": int(parts["closing_logos_total"]),
                "naive_end_over_start": share(parts["closing_logos_total"], parts["opening_logos_total"]),
                "opening_logos_total": int(parts["opening_logos_total"]),
            },
        }


def published(ledger: Ledger) -> dict[str, list[Row]]:
    """The tables of this module by name."""
    return {
        "fct_mrr_movements": ledger.fct_mrr_movements(),
        "fct_account_mrr_months": ledger.fct_account_mrr_months(),
        "kpi_mrr": ledger.kpi_mrr(),
        **ledger.cohort_kpis(),
    }
