"""Onboardings from their start to first value, with the unfinished ones censored."""

from datetime import date
from fractions import Fraction
from math import floor
from statistics import median

from tests.recomputation.calendar import Period
from tests.recomputation.company import Company
from tests.recomputation.landed import Row
from tests.recomputation.money import share
from tests.recomputation.shape import Lists, standard


def percentile(values: list[int], part: Fraction) -> float | None:
    """The percentile of ordered values, interpolated between neighbours; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    place = part * (len(ordered) - 1)
    low = floor(place)
    high = min(low + 1, len(ordered) - 1)
    return float(ordered[low] + (place - low) * (ordered[high] - ordered[low]))


def kaplan_meier_median(observations: list[tuple[int, bool]]) -> float | None:
    """The first day on which at most half are still without value; None if that never comes.

    An observation is (days, whether value was reached then); the others were last seen without it on that day.
    """
    survival = Fraction(1)
    for day in sorted({days for days, reached in observations if reached}):
        at_risk = sum(days >= day for days, _ in observations)
        reached = sum(days == day and is_reached for days, is_reached in observations)
        survival *= 1 - Fraction(reached, at_risk)
        if survival <= Fraction(1, 2):
            return float(day)
    return None


def elapsed(start: date | None, end: date | None) -> int | None:
    """Days between two days, never below zero; None when either is not known."""
    return None if start is None or end is None else max((end - start).days, 0)


class Onboardings:
    """All onboardings of a company."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.as_of = company.settings.as_of
        self.onboardings = [self._onboarding(row) for row in company.counted("cs_onboardings")]

    def _onboarding(self, row: Row) -> Row:
        days = {name: self.company.day(row[f"{name}_at"]) for name in ("started", "first_value", "cancelled")}
        if days["first_value"] is not None:
            status, seen = "achieved", days["first_value"]
        elif days["cancelled"] is not None:
            status, seen = "cancelled", days["cancelled"]
        else:
            status, seen = "open", self.as_of
        purchased = self.company.day(row["purchased_at"])
        observed, target = elapsed(days["started"], seen), row["target_days"]
        is_within = None
        if target is not None and (status == "achieved" or observed > target):
            is_within = observed <= target
        return {
            "row": row,
            "account": row["account"],
            "started": days["started"],
            "purchased": purchased,
            "first_value": days["first_value"],
            "status": status,
            "observed": observed,
            "observed_from_purchase": elapsed(purchased, seen),
            "is_within": is_within,
        }

    def fct_onboardings(self) -> list[Row]:
        """One row an onboarding."""
        return [
            {
                "onboarding_id": one["row"]["onboarding_id"],
                "account_id": one["account"],
                "account_name": self.company.accounts[one["account"]]["account_name"],
                "csm_user_id": one["row"]["csm_user_id"],
                "segment": self.company.segment(one["account"]),
                "purchased_on": one["purchased"],
                "started_on": one["started"],
                "completed_on": self.company.day(one["row"]["completed_at"]),
                "first_value_on": one["first_value"],
                "first_value_milestone": one["row"]["first_value_milestone"],
                "days_to_first_value": elapsed(one["started"], one["first_value"]),
                "days_from_purchase": elapsed(one["purchased"], one["first_value"]),
                "status": one["status"],
                "observed_days": one["observed"],
                "target_days": one["row"]["target_days"],
                "is_within_target": one["is_within"],
            }
            for one in self.onboardings
        ]

    def _cuts(self, one: Row) -> dict[str, str]:
        """The cuts of the start day; the CSM is the one who runs the onboarding."""
        cuts = self.company.cuts(one["account"], one["started"])
        csm = one["row"]["csm_user_id"]
        return cuts | {"csm": csm, "team": self.company.team(csm), "csm_segment": f"{csm}/{cuts['segment']}"}

    def _cohorts(self, period: Period) -> Lists:
        found = Lists()
        for one in self.onboardings:
            if period.holds(one["started"]):
                found.add(self._cuts(one), one)
        return found

    def _kpi(self, kpi_id: str, clock: str) -> list[Row]:
        rows = []
        for period in self.company.periods:
            if period.type == "ttm":
                continue
            for cut, cohort in self._cohorts(period):
                timed = [one for one in cohort if one[clock] is not None]
                status = [one["status"] for one in timed]
                days = [one[clock] for one in timed if one["status"] == "achieved"]
                value = share(sum(days), len(days))
                row = {
                    **standard(
                        kpi_id, period, cut, numerator=sum(days), denominator=len(days), value=value, n=len(days)
                    ),
                    "n_started": len(timed),
                    "n_achieved": len(days),
                    "n_open": status.count("open"),
                    "n_cancelled": status.count("cancelled"),
                    "achieved_rate": share(len(days), len(timed)),
                    "mean_days": value,
                    "median_days": float(median(days)) if days else None,
                    "p90_days": percentile(days, Fraction(9, 10)),
                    "km_median_days": kaplan_meier_median([(one[clock], one["status"] == "achieved") for one in timed]),
                }
                if clock == "observed":
                    row["n_overdue"] = sum(one["status"] == "open" and one["is_within"] is False for one in timed)
                rows.append(row)
        return rows

    def published(self) -> dict[str, list[Row]]:
        """The tables of this module by name."""
        return {
            "fct_onboardings": self.fct_onboardings(),
            "kpi_time_to_first_value": self._kpi("time_to_first_value", "observed"),
            "kpi_time_to_value": self._kpi("time_to_value", "observed_from_purchase"),
        }
