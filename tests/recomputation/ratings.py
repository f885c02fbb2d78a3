"""Satisfaction, effort and onboarding ratings, from counted answers."""

from fractions import Fraction
from math import sqrt

from tests.recomputation.calendar import Period, previous_start
from tests.recomputation.company import UNASSIGNED, UNKNOWN
from tests.recomputation.landed import Row
from tests.recomputation.money import share
from tests.recomputation.promoters import LOW_CONFIDENCE_BELOW, Z
from tests.recomputation.shape import Cut, Lists, standard
from tests.recomputation.surveys import Response, Surveys, response_rate

LOW_ONBOARDING_BELOW = Fraction(5, 8)  # 3.5 on a scale of 1 to 5


def wilson(hits: int, n: int) -> tuple[float | None, float | None]:
    """The 95 % Wilson interval of a share."""
    if n == 0:
        return None, None
    p, z2 = hits / n, Z * Z
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z * sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(centre - half, 0.0), min(centre + half, 1.0)


class Ratings:
    """The tables that rest on CSAT, CES and onboarding surveys."""

    def __init__(self, surveys: Surveys) -> None:
        self.company = surveys.company
        self.surveys = surveys
        self.settings = self.company.settings
        self.onboarding_csm = {
            row["onboarding_id"]: row["csm_user_id"] for row in self.company.all_but_internal("cs_onboardings")
        }

    def _own(self, one: Response) -> dict[str, str]:
        agent = one.row["related_user_id"] if one.row["ticket_id"] else None
        return {
            "survey": one.row["survey_id"],
            "channel": one.row["channel"] or UNKNOWN,
            "interaction_type": one.row["interaction_type"] or UNKNOWN,
            "agent": agent or UNKNOWN,
        }

    def _answers(self, survey_type: str, period: Period) -> Lists:
        found = Lists()
        for one in self.surveys.counted(survey_type, period):
            found.add(self.company.cuts(one.account, one.answered_on) | self._own(one), one)
        return found

    def kpi_customer_satisfaction_score(self) -> list[Row]:
        """Satisfied share by month and quarter."""
        rows = []
        for period in self.company.periods:
            if period.type == "ttm":
                continue
            answers = self._answers("csat", period)
            asked = self.surveys.asked("csat", period, self._own)
            for cut in sorted({cut for cut, _ in answers} | {cut for cut, _ in asked}):
                given = answers.get(cut)
                n, satisfied = len(given), sum(one.is_positive for one in given)
                hidden = n < self.settings.min_responses
                n_surveyed, rate = response_rate(asked.get(cut))
                rows.append(
                    {
                        **standard(
                            "customer_satisfaction_score",
                            period,
                            cut,
                            numerator=satisfied,
                            denominator=n,
                            value=None if hidden else share(satisfied, n),
                            n=n,
                            is_suppressed=hidden,
                            is_low_confidence=n < LOW_CONFIDENCE_BELOW,
                            interval=(None, None) if hidden else wilson(satisfied, n),
                        ),
                        "n_surveyed": n_surveyed,
                        "n_responses": n,
                        "response_rate": rate,
                        "n_satisfied": satisfied,
                        "mean_score": self._of_one_survey(cut, hidden, sum(one.row["score"] for one in given), n),
                    }
                )
        return rows

    @staticmethod
    def _of_one_survey(cut: Cut, hidden: bool, total: int, n: int) -> float | None:
        """A mean of raw scores, which only makes sense within one survey."""
        return None if hidden or cut[0] != "survey" else share(total, n)

    def kpi_customer_effort_score(self) -> list[Row]:
        """Ease from 0, the hard end, to 100."""
        rows = []
        for period in self.company.periods:
            if period.type == "ttm":
                continue
            for cut, given in self._answers("ces", period):
                n = len(given)
                hidden = n < self.settings.min_responses
                ease = sum((100 * one.position for one in given), Fraction(0))
                value = None if hidden else share(ease, n)
                rows.append(
                    {
                        **standard(
                            "customer_effort_score",
                            period,
                            cut,
                            numerator=ease,
                            denominator=n,
                            value=value,
                            n=n,
                            is_suppressed=hidden,
                            is_low_confidence=n < LOW_CONFIDENCE_BELOW,
                        ),
                        "n_responses": n,
                        "mean_score": self._of_one_survey(cut, hidden, sum(one.row["score"] for one in given), n),
                        "easy_share": self._of_one_survey(cut, hidden, sum(one.is_positive for one in given), n),
                        "ease_index": value,
                    }
                )
        return rows

    def kpi_onboarding_rating(self) -> list[Row]:
        """By quarter; the CSM is the one who ran the onboarding."""
        rows, low = [], {}
        for period in self.company.periods:
            if period.type != "quarter":
                continue
            answers = Lists()
            for one in self.surveys.counted("onboarding", period):
                cuts = self.company.cuts(one.account, one.answered_on)
                csm = self.onboarding_csm.get(one.row["onboarding_id"]) or one.row["related_user_id"] or UNASSIGNED
                who = {"csm": csm, "team": self.company.team(csm), "csm_segment": f"{csm}/{cuts['segment']}"}
                answers.add(cuts | who, one)
            for cut, given in answers:
                n = len(given)
                hidden = n < self.settings.min_responses_onboarding
                is_low = not hidden and sum(one.position for one in given) / n < LOW_ONBOARDING_BELOW
                low[period.start, cut] = is_low
                total = sum(one.row["score"] for one in given)
                value = None if hidden else share(total, n)
                was_low = low.get((previous_start(period), cut), False)
                rows.append(
                    {
                        **standard(
                            "onboarding_rating",
                            period,
                            cut,
                            numerator=total,
                            denominator=n,
                            value=value,
                            n=n,
                            is_suppressed=hidden,
                            is_low_confidence=n < LOW_CONFIDENCE_BELOW,
                        ),
                        "n_responses": n,
                        "mean_rating": value,
                        "positive_share": None if hidden else share(sum(one.is_positive for one in given), n),
                        "is_consistently_low": (is_low and was_low) if period.is_complete else None,
                    }
                )
        return rows

    def published(self) -> dict[str, list[Row]]:
        """The tables of this module by name."""
        return {
            "kpi_customer_satisfaction_score": self.kpi_customer_satisfaction_score(),
            "kpi_customer_effort_score": self.kpi_customer_effort_score(),
            "kpi_onboarding_rating": self.kpi_onboarding_rating(),
        }
