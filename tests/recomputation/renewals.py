"""Every signed term at its due day: what could be renewed and what was."""

from datetime import date
from fractions import Fraction

from tests.recomputation.calendar import ONE_DAY
from tests.recomputation.company import Company
from tests.recomputation.landed import Row
from tests.recomputation.money import cents, share
from tests.recomputation.shape import Sums, few_accounts, standard
from tests.recomputation.subscriptions import NEVER_STARTED, Book, Subscription

PARTS = ("renewable", "downsell", "churn", "expansion", "renewed")


class Renewals:
    """The terms of a company, each with its outcome as of the run."""

    def __init__(self, company: Company, book: Book) -> None:
        self.company = company
        self.book = book
        self.as_of = company.settings.as_of
        self.terms = [
            term
            for row in company.tables["billing_contract_terms"]
            if row["subscription_id"] in book.subscriptions
            for term in [self._term(row, book.subscriptions[row["subscription_id"]])]
            if term is not None
        ]

    def _arr(self, subscription: Subscription, day: date, rate_day: date) -> Fraction:
        return 12 * subscription.mrr(day) * self.company.rates.at(subscription.currency, rate_day)

    def _term(self, row: Row, subscription: Subscription) -> Row | None:
        ended = subscription.ended
        if subscription.row["status"] in NEVER_STARTED or (ended is not None and ended <= row["term_start"]):
            return None
        due = row["term_end"] if ended is None else min(row["term_end"], ended)
        is_upcoming = due > self.as_of
        day_before = min(due - ONE_DAY, self.as_of)
        term = {
            "row": row,
            "account": subscription.account,
            "due": due,
            "on": self.as_of if is_upcoming else due,
            "cancel_requested_on": self.company.day(subscription.row["cancel_requested_at"]),
            "renewable": self._arr(subscription, day_before, day_before),
            "days_late": None,
        }
        if is_upcoming:
            return term | {"outcome": "upcoming", **dict.fromkeys(PARTS[1:])}
        return term | self._outcome(term, subscription)

    def _outcome(self, term: Row, subscription: Subscription) -> Row:
        due, rate_day, renewable = term["due"], term["due"] - ONE_DAY, term["renewable"]
        goes_on = subscription.ended is None or subscription.ended > due
        others = self.book.successors(subscription)
        in_time = [other for other in others if other.started <= due and (other.ended is None or other.ended > due)]
        late_start = None if goes_on or in_time else self.book.late_start(subscription)
        days_late = None
        if goes_on or in_time:
            outcome = "renewed"
            renewed = sum((self._arr(other, due, rate_day) for other in in_time), Fraction(0))
            renewed += self._arr(subscription, due, rate_day) if goes_on else 0
        elif late_start is not None:
            outcome, days_late = "renewed_late", (late_start - due).days
            renewed = sum(
                (self._arr(other, late_start, rate_day) for other in others if other.started == late_start),
                Fraction(0),
            )
        else:
            outcome = "churned_early" if due < term["row"]["term_end"] else "churned"
            renewed = Fraction(0)
        is_lost = outcome.startswith("churned")
        return {
            "outcome": outcome,
            "days_late": days_late,
            "renewed": renewed,
            "downsell": Fraction(0) if is_lost else max(renewable - renewed, Fraction(0)),
            "churn": renewable if is_lost else Fraction(0),
            "expansion": max(renewed - renewable, Fraction(0)),
        }

    def fct_renewals(self) -> list[Row]:
        """One row a term; what rests on health or engagement is left out."""
        return [
            {
                "term_id": term["row"]["term_id"],
                "account_id": term["account"],
                "account_name": self.company.accounts[term["account"]]["account_name"],
                "due_date": term["due"],
                "csm_user_id": self.company.csm(term["account"], term["on"]),
                "segment": self.company.segment(term["account"]),
                "renewable_arr": cents(term["renewable"]),
                "renewed_arr": cents(term["renewed"]),
                "renewed_arr_capped": None
                if term["renewed"] is None
                else cents(min(term["renewed"], term["renewable"])),
                "downsell_arr": cents(term["downsell"]),
                "churn_arr": cents(term["churn"]),
                "expansion_arr": cents(term["expansion"]),
                "outcome": term["outcome"],
                "days_late": term["days_late"],
                "auto_renew": term["row"]["auto_renew"],
                "cancel_requested_on": term["cancel_requested_on"],
            }
            for term in self.terms
        ]

    def kpi_gross_renewal_rate(self) -> list[Row]:
        """Decided terms by due day."""
        rows = []
        for period in self.company.periods:
            sums = Sums()
            for term in self.terms:
                if term["outcome"] != "upcoming" and period.holds(term["due"]):
                    sums.add(
                        self.company.cuts(term["account"], term["due"]),
                        **{part: term[part] for part in PARTS},
                        due=1,
                        kept=int(term["outcome"] in ("renewed", "renewed_late")),
                    )
            for cut, parts in sums:
                renewable, due = parts["renewable"], int(parts["due"])
                gross = renewable - parts["downsell"] - parts["churn"]
                rows.append(
                    {
                        **standard(
                            "gross_renewal_rate",
                            period,
                            cut,
                            numerator=gross,
                            denominator=renewable,
                            value=share(gross, renewable),
                            n=due,
                            is_suppressed=few_accounts(cut, due),
                        ),
                        "renewable_arr": cents(renewable),
                        "downsell_arr": cents(parts["downsell"]),
                        "churn_arr": cents(parts["churn"]),
                        "expansion_arr": cents(parts["expansion"]),
                        "net_renewal_rate": share(parts["renewed"], renewable),
                        "terms_due": due,
                        "terms_renewed": int(parts["kept"]),
                        "logo_renewal_rate": share(parts["kept"], due),
                    }
                )
        return rows


def published(renewals: Renewals) -> dict[str, list[Row]]:
    """The tables of this module by name."""
    return {
        "fct_renewals": renewals.fct_renewals(),
        "kpi_gross_renewal_rate": renewals.kpi_gross_renewal_rate(),
    }
