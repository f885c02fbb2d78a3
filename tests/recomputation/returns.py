"""What the customer-success team cost and brought, quarter by quarter."""

from collections.abc import Iterator
from datetime import date
from fractions import Fraction

from tests.recomputation.calendar import Period, month_end
from tests.recomputation.company import UNASSIGNED
from tests.recomputation.cs_work import CsWork
from tests.recomputation.landed import Row
from tests.recomputation.money import cents, share
from tests.recomputation.revenue import Ledger
from tests.recomputation.shape import Sums, standard


class Returns:
    """Costs, book and expansion of the team; what was saved rests on health scores and is left out."""

    def __init__(self, ledger: Ledger, cs_work: CsWork) -> None:
        self.ledger = ledger
        self.company = ledger.company
        self.cs_work = cs_work
        self.margin = Fraction(self.company.settings.gross_margin_pct) / 100

    def _who(self, csm: str) -> dict[str, str]:
        return {"all": "all", "csm": csm, "team": self.company.team(csm)}

    def _books(self, day: date) -> list[tuple[str, Fraction]]:
        """(owner, MRR) of every account that pays at the end of a day."""
        return [
            (self.company.csm(account, day), self.ledger.balance(account, day))
            for account in self.company.accounts
            if self.ledger.book.holding(account, day).has_mrr
        ]

    def _costs(self, period: Period) -> Iterator[tuple[str, Fraction]]:
        """(CSM, cost): tagged costs to whom they are tagged, the others by share of the closing MRR."""
        books = self._books(period.last)
        total = sum(mrr for _, mrr in books)
        for row in self.company.all_but_internal("fin_costs"):
            if row["cost_type"] != "cs_team" or not period.holds(row["cost_month"]):
                continue
            day = min(month_end(row["cost_month"]), self.company.settings.as_of)
            cost = Fraction(row["amount"]) * self.company.rates.at(row["currency"], day)
            if row["user_id"]:
                yield row["user_id"], cost
            elif row["account"] is not None:
                yield self.company.csm(row["account"], day), cost
            elif total:
                yield from ((owner, cost * mrr / total) for owner, mrr in books)
            else:
                yield UNASSIGNED, cost

    def kpi_cs_team_roi(self) -> list[Row]:
        """Quarter by all, team and CSM."""
        rows = []
        for period in self.company.periods:
            if period.type != "quarter":
                continue
            sums = Sums()
            for csm, cost in self._costs(period):
                sums.add(self._who(csm), cost=cost)
            for csm, mrr in self._books(period.last):
                sums.add(self._who(csm), book=12 * mrr)
            for account in self.company.accounts:
                if self.ledger.book.is_customer(account, period.last):
                    sums.add(self._who(self.company.csm(account, period.last)), customers=1)
            for move in self.ledger.movements:
                if move.type == "expansion" and period.holds(move.day):
                    sums.add(self._who(self.company.csm(move.account, move.day)), expansion=12 * move.amount)
            for row, arr in self.cs_work.completed_advocacy(period):
                sums.add(self._who(row["user_id"]), advocacy=arr)
            for cut, parts in sums:
                cost, gain = parts["cost"], parts["expansion"] * self.margin
                row = standard(
                    "cs_team_roi",
                    period,
                    cut,
                    numerator=gain - cost,
                    denominator=cost,
                    value=share(gain - cost, cost),
                    n=parts["customers"],
                )
                rows.append(
                    row
                    | {
                        "cs_cost": cents(cost),
                        "book_arr": cents(parts["book"]),
                        "expansion_arr": cents(parts["expansion"]),
                        "advocacy_influenced_arr": cents(parts["advocacy"]),
                        "roi_expansion_only": row["value"],
                        "cost_per_account": cents(cost / parts["customers"]) if parts["customers"] else None,
                    }
                )
        return rows
