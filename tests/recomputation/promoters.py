"""Net promoter score, from counted answers."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from math import sqrt
from statistics import median

from tests.recomputation.calendar import ONE_DAY, Period, previous_start
from tests.recomputation.company import UNKNOWN
from tests.recomputation.cs_work import CsWork
from tests.recomputation.landed import Row
from tests.recomputation.money import share
from tests.recomputation.shape import Cut, Lists, standard
from tests.recomputation.subscriptions import Book
from tests.recomputation.support import Support, hours
from tests.recomputation.surveys import Response, Surveys, response_rate

LOW_CONFIDENCE_BELOW = 30
Z = 1.96
DEFAULT_LIMITS = (("outstanding", 70), ("good", 50), ("positive", 0))
ACCOUNT_BANDS = ("product", "onboarding_rating_band", "trained", "resolution_time_band")
CUT_KEY = ("period_type", "segment_type", "segment_value")
HIGH_ONBOARDING_FROM = Fraction(5, 8)  # 3.5 on a scale of 1 to 5
RESOLUTION_DAYS = 90
FOLLOW_UP_WEEKDAYS = 2


def vote(score: int) -> int:
    """+1 for a promoter, -1 for a detractor, 0 for a passive."""
    return 1 if score >= 9 else 0 if score >= 7 else -1


def band(nps: float, limits: tuple[tuple[str, float], ...] = DEFAULT_LIMITS) -> str:
    """The label of a score: the highest one whose limit it passes."""
    for label, above in limits:
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

    def __init__(self, surveys: Surveys, book: Book, support: Support, cs_work: CsWork) -> None:
        self.company = surveys.company
        self.surveys = surveys
        self.book = book
        self.cs_work = cs_work
        products = {row["plan_id"]: row["product_name"] for row in self.company.settings.seed("plan_products")}
        self.product = lambda plan: products.get(plan, plan)
        self._bands: dict[tuple[str, date], dict[str, str]] = {}
        self._solved: dict[str | None, list[tuple[date, float]]] = defaultdict(list)
        for ticket in support.tickets:
            if ticket.first_solved is not None and ticket.exclusion not in ("spam", "merged"):
                span = hours(ticket.row["created_at"], ticket.first_solved)
                self._solved[ticket.account].append((self.company.day(ticket.first_solved), span))
        self._answered: dict[str, list[date]] = defaultdict(list)
        for row in self.company.all_but_internal("cs_actions"):
            if row["action_type"] == "detractor_followup" and row["status"] == "done" and row["closed_at"] is not None:
                self._answered[row["trigger_ref"]].append(self.company.day(row["closed_at"]))
        self._trained: dict[str, list[date]] = defaultdict(list)
        for row in self.company.counted("cs_activities", "contact_id"):
            if row["activity_type"] == "training" and row["status"] == "completed":
                self._trained[row["account"]].append(self.company.day(row["occurred_at"]))
        limits = {row["industry"]: row for row in self.company.settings.seed("nps_bands")}
        self.limits = {
            industry: [(label, float(row[f"{label}_above"])) for label in ("outstanding", "good", "positive")]
            for industry, row in limits.items()
        }

    # ----- own cuts
    def _own(self, one: Response, day: date) -> dict[str, str]:
        """The response's own survey and channel, and the bands of its account on a day."""
        of_response = {"survey": one.row["survey_id"], "channel": one.row["channel"] or UNKNOWN}
        if one.account is None:
            return of_response | dict.fromkeys(ACCOUNT_BANDS, UNKNOWN)
        if (one.account, day) not in self._bands:
            self._bands[one.account, day] = self._bands_on(one.account, day)
        return of_response | self._bands[one.account, day]

    def _bands_on(self, account: str, day: date) -> dict[str, str]:
        trained = any(done <= day for done in self._trained[account])
        return {
            "product": self.product(self.book.main_plan(account, day)),
            "onboarding_rating_band": self._onboarding_band(account, day),
            "trained": "trained" if trained else "untrained",
            "resolution_time_band": self._resolution_band(account, day),
        }

    def _onboarding_band(self, account: str, day: date) -> str:
        positions = [
            one.position
            for one in self.surveys.valid("onboarding")
            if one.account == account and one.answered_on <= day
        ]
        if not positions:
            return "no rating"
        return "high" if sum(positions) / len(positions) >= HIGH_ONBOARDING_FROM else "low"

    def _resolution_band(self, account: str, day: date) -> str:
        first = day - timedelta(days=RESOLUTION_DAYS - 1)
        spans = [span for solved_on, span in self._solved[account] if first <= solved_on <= day]
        if not spans:
            return "no ticket"
        middle = median(spans)
        return "under 1 day" if middle < 24 else "1-3 days" if middle <= 72 else "over 3 days"

    # ----- following up
    def follow_up(self, one: Response) -> tuple[date | None, date | None]:
        """(when a detractor has to hear from us, when it did); both None for other answers."""
        if one.survey["survey_type"] != "nps" or not one.is_valid or vote(one.row["score"]) >= 0:
            return None, None
        due, weekdays = one.answered_on, 0
        while weekdays < FOLLOW_UP_WEEKDAYS:
            due += ONE_DAY
            weekdays += due.weekday() < 5
        answered = list(self._answered[one.row["response_id"]])
        if one.account is not None:
            answered += [
                touch["day"]
                for touch in self.cs_work.by_account[one.account]
                if touch["occurred_at"] >= one.row["responded_at"] and touch["day"] <= due
            ]
        return due, min(answered, default=None)

    # ----- published
    def kpi_net_promoter_score(self) -> list[Row]:
        """Month, quarter and ttm by cut."""
        rows = []
        for period in self.company.periods:
            counted = self.surveys.counted("nps", period)
            weights = self._arr_weights(counted, period.last)
            answers = Lists()
            for one in counted:
                day = one.answered_on
                answers.add(self.company.cuts(one.account, day) | self._own(one, day), one)
            asked = self.surveys.asked("nps", period, lambda one: self._own(one, one.asked_on))
            for cut in sorted({cut for cut, _ in answers} | {cut for cut, _ in asked}):
                rows.append(self._row(period, cut, answers.get(cut), asked.get(cut), weights))
        by_key = {(*(row[name] for name in CUT_KEY), row["period_start"]): row for row in rows}
        for row in rows:
            previous = previous_start(row.pop("period"))
            self._compare(row, by_key.get((*(row[name] for name in CUT_KEY), previous)))
        for row in rows:
            del row["adjusted"]
        return rows

    def _row(self, period: Period, cut: Cut, answers: list[Response], asked: list, weights: dict[str, Fraction]) -> Row:
        settings = self.company.settings
        votes = [vote(one.row["score"]) for one in answers]
        n, promoters, detractors = len(votes), votes.count(1), votes.count(-1)
        is_suppressed = n < settings.min_responses
        adjusted = Adjusted.of(promoters, detractors, n)
        value = None if is_suppressed else share(100 * (promoters - detractors), n)
        n_surveyed, rate = response_rate(asked)
        weighed = sum(weights[one.row["response_id"]] for one in answers)
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
            "nps_arr_weighted": None
            if is_suppressed
            else share(100 * sum(weights[one.row["response_id"]] * vote(one.row["score"]) for one in answers), weighed),
            "nps_band": None if value is None else self._band(cut, value),
            "promoter_passive_ratio": share(promoters, votes.count(0)),
            "detractors_followed_up_rate": self._followed_up_rate(answers),
            "period": period,
            "adjusted": adjusted,
        }

    def _band(self, cut: Cut, nps: float) -> str | None:
        industry = cut[1] if cut[0] == "industry" and cut[1] in self.limits else "all"
        return band(nps, self.limits[industry]) if industry in self.limits else None

    def _arr_weights(self, answers: list[Response], day: date) -> dict[str, Fraction]:
        """Each answer's share of its account's ARR, so that an account weighs once however many answer."""
        given = Counter(one.account for one in answers)
        weights = {}
        for one in answers:
            arr = Fraction(0)
            if one.account is not None:
                arr = 12 * self.company.rates.value(self.book.holding(one.account, day).native, day)
            weights[one.row["response_id"]] = arr / given[one.account]
        return weights

    def _followed_up_rate(self, answers: list[Response]) -> float | None:
        in_time = known = 0
        for one in answers:
            due, done = self.follow_up(one)
            if due is not None:
                is_in_time = done is not None and done <= due
                in_time += is_in_time
                known += is_in_time or due <= self.company.settings.as_of
        return share(in_time, known)

    def _compare(self, row: Row, previous: Row | None) -> None:
        before = previous["value"] if previous else None
        row["previous_value"] = before
        row["change"] = None if before is None or row["value"] is None else row["value"] - before
        both = row["change"] is not None and row["is_complete"] and previous["is_complete"]
        row["is_significant_change"] = row["adjusted"].differs_from(previous["adjusted"]) if both else None
