"""Net promoter score, from counted answers."""

from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from math import sqrt

from tests.recomputation.calendar import previous_start
from tests.recomputation.landed import Row
from tests.recomputation.money import share
from tests.recomputation.shape import Lists, standard
from tests.recomputation.subscriptions import Book
from tests.recomputation.surveys import Response, Surveys, response_rate

LOW_CONFIDENCE_BELOW = 30
Z = 1.96


def vote(score: int) -> int:
    """+1 for a promoter, -1 for a detractor, 0 for a passive."""
    return 1 if score >= 9 else 0 if score >= 7 else -1


def band(nps: float) -> str:
    """The label of a score."""
    for label, above in (("outstanding", 70), ("good", 50), ("positive", 0)):
        if nps > above:
            return label
    return "not_positive"


@dataclass(frozen=True)
class Adjusted:
    """The adjusted-Wald view of a count: centre and variance on the scale -1..1, and the adjusted n."""

    centre: float
    variance: float
    n: float

    @classmethod
    def of(cls, promoters: int, detractors: int, n: int) -> "Adjusted":
        """Three answers are added: three quarters each to promoters and detractors, the rest to passives."""
        adjusted_n = n + 3
        high, low = (promoters + 0.75) / adjusted_n, (detractors + 0.75) / adjusted_n
        return cls(high - low, high + low - (high - low) ** 2, adjusted_n)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval on the scale -100..100."""
        half = 100 * Z * sqrt(self.variance / self.n)
        return max(100 * self.centre - half, -100.0), min(100 * self.centre + half, 100.0)

    def differs_from(self, other: "Adjusted") -> bool:
        """Whether the interval of the difference excludes zero."""
        spread = sqrt(self.variance / self.n + other.variance / other.n)
        return abs(self.centre - other.centre) > Z * spread


class Promoters:
    """The NPS table of a company."""

    def __init__(self, surveys: Surveys, book: Book) -> None:
        self.company = surveys.company
        self.surveys = surveys
        self.book = book
        products = {row["plan_id"]: row["product_name"] for row in self.company.settings.seed("plan_products")}
        self.product = lambda plan: products.get(plan, plan)

    def _own(self, response: Response, day) -> dict[str, str]:
        plan = self.company.cuts(response.account, day)["plan"]
        return {"product": self.product(plan)}

    def kpi_net_promoter_score(self) -> list[Row]:
        """Month, quarter and ttm by cut."""
        rows = []
        for period in self.company.periods:
            answers = Lists()
            for one in self.surveys.counted("nps", period):
                answers.add(self.company.cuts(one.account, one.answered_on) | self._own(one, one.answered_on), one)
            asked = self.surveys.asked("nps", period, lambda one: self._own(one, one.asked_on))
            for cut in sorted({cut for cut, _ in answers} | {cut for cut, _ in asked}):
                rows.append(self._row(period, cut, answers.get(cut), asked.get(cut)))
        by_key = {
            (row["period_type"], row["segment_type"], row["segment_value"], row["period_start"]): row for row in rows
        }
        for row in rows:
            previous = previous_start(row.pop("period"))
            key = (row["period_type"], row["segment_type"], row["segment_value"], previous)
            self._compare(row, by_key.get(key))
        for row in rows:
            del row["adjusted"]
        return rows

    def _row(self, period, cut, answers: list[Response], asked: list) -> Row:
        settings = self.company.settings
        votes = [vote(one.row["score"]) for one in answers]
        n, promoters, detractors = len(votes), votes.count(1), votes.count(-1)
        is_suppressed = n < settings.min_responses
        adjusted = Adjusted.of(promoters, detractors, n)
        value = None if is_suppressed else share(100 * (promoters - detractors), n)
        n_surveyed, rate = response_rate(asked)
        return {
            **standard(
                "net_promoter_score",
                period,
                cut,
                numerator=promoters - detractors,
                denominator=n,
                value=value,
                n=n,
                is_suppressed=is_suppressed,
                is_low_confidence=n < LOW_CONFIDENCE_BELOW,
                interval=(None, None) if is_suppressed else adjusted.interval,
            ),
            "n_surveyed": n_surveyed,
            "n_responses": n,
            "response_rate": rate,
            "promoters": promoters,
            "passives": votes.count(0),
            "detractors": detractors,
            "nps_arr_weighted": None if is_suppressed else self._arr_weighted(answers, period.last),
            "nps_band": None if value is None else band(value),
            "promoter_passive_ratio": share(promoters, votes.count(0)),
            "period": period,
            "adjusted": adjusted,
        }

    def _arr_weighted(self, answers: list[Response], day) -> float | None:
        votes = defaultdict(list)
        for one in answers:
            if one.account is not None:
                votes[one.account].append(vote(one.row["score"]))
        weighted = weights = Fraction(0)
        for account, given in votes.items():
            arr = 12 * self.company.rates.value(self.book.holding(account, day).native, day)
            weighted += arr * Fraction(sum(given), len(given))
            weights += arr
        return share(100 * weighted, weights)

    def _compare(self, row: Row, previous: Row | None) -> None:
        before = previous["value"] if previous else None
        row["previous_value"] = before
        row["change"] = None if before is None or row["value"] is None else row["value"] - before
        both = row["change"] is not None and row["is_complete"] and previous["is_complete"]
        row["is_significant_change"] = row["adjusted"].differs_from(previous["adjusted"]) if both else None
