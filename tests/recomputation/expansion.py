"""Expansion revenue quarter by quarter, with its three red flags."""

from datetime import date
from fractions import Fraction
from statistics import mean

from tests.recomputation.calendar import Period, add_months, days, previous_start
from tests.recomputation.landed import Row
from tests.recomputation.money import cents, share
from tests.recomputation.revenue import Ledger
from tests.recomputation.shape import Cut, Sums, few_accounts, standard

SUDDEN_DROP = Fraction(-30, 100)
PARTS = {"upsell_quantity": "upsell_arr", "cross_sell": "cross_sell_arr", "upgrade_price": "price_arr"}


class Expansion:
    """The ledger's expansions by the owner of their day."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.company = ledger.company

    def _whole_quarter_csms(self, period: Period) -> list[str]:
        """CSMs on our staff from the first to the last day of the quarter."""
        return [
            user_id
            for user_id, user in self.company.users.items()
            if user["role"] == "csm"
            and user["active_from"] <= period.start
            and (user["active_to"] is None or user["active_to"] > period.end)
        ]

    def _held(self, period: Period) -> set[Cut]:
        """The cuts that an account was in on any day of the quarter."""
        return {
            cut
            for account in self.company.accounts
            for day in days(period.start, period.last)
            for cut in self.company.cuts(account, day).items()
        }

    def kpi_quarterly_expansion_revenue(self) -> list[Row]:
        """Quarter by cut; a cut that held an account has a row even without expansion."""
        rows = []
        quarters = [period for period in self.company.periods if period.type == "quarter"]
        sums: dict[date, dict[Cut, dict[str, Fraction]]] = {}
        for period in quarters:
            found = Sums()
            for cut in self._held(period):
                found.add(dict([cut]), expansion=0)
            for move in self.ledger.movements:
                if move.type == "expansion" and period.holds(move.day):
                    amounts = {"expansion": move.amount, move.subtype: move.amount}
                    found.add(self.company.cuts(move.account, move.day), **amounts)
            for account in self.company.accounts:
                if self.ledger.book.is_customer(account, period.before):
                    found.add(self.company.cuts(account, period.start), opening_customers=1)
            sums[period.start] = dict(found)
        for period in quarters:
            rows += [self._row(period, cut, sums) for cut in sums[period.start]]
        return rows

    def _row(self, period: Period, cut: Cut, sums: dict) -> Row:
        def expansion(start: date) -> Fraction | None:
            if start not in sums:
                return None
            return sums[start].get(cut, {}).get("expansion", Fraction(0))

        parts, current = sums[period.start].get(cut, {}), expansion(period.start)
        before = expansion(previous_start(period))
        two_before = expansion(add_months(period.start, -6))
        change = (current - before) / before if before else None
        fell = before is not None and current < before
        fell_before = before is not None and two_before is not None and before < two_before
        active = self._whole_quarter_csms(period)
        is_below = False
        if cut[0] == "csm" and cut[1] in active:
            others = [sums[period.start].get(("csm", csm), {}).get("expansion", Fraction(0)) for csm in active]
            is_below = current < mean(others)
        arr = 12 * current
        row = standard(
            "quarterly_expansion_revenue",
            period,
            cut,
            numerator=arr,
            denominator=None,
            value=arr,
            n=0,
            is_suppressed=few_accounts(cut, int(parts.get("opening_customers", 0))),
        )
        del row["n"]
        return row | {
            "expansion_mrr": cents(current),
            "expansion_arr": cents(arr),
            **{column: cents(12 * parts.get(subtype, Fraction(0))) for subtype, column in PARTS.items()},
            "pct_change_vs_previous": None if change is None else share(change, 1),
            "is_sudden_drop": period.is_complete and change is not None and change <= SUDDEN_DROP,
            "is_consistent_decrease": period.is_complete and fell and fell_before,
            "is_below_team_average": period.is_complete and is_below,
        }
