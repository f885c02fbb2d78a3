"""What the customer-success team did: touches, advocacy, actions."""

from collections import defaultdict
from datetime import date, timedelta
from fractions import Fraction

from tests.recomputation.calendar import Period, month_end, months
from tests.recomputation.company import UNASSIGNED, Company
from tests.recomputation.landed import Row
from tests.recomputation.money import cents, share
from tests.recomputation.shape import Sums, standard
from tests.recomputation.subscriptions import Book

PERIOD_TYPES = ("month", "quarter")
COLUMNS = ("email", "call", "meeting", "qbr", "executive_visit", "training")
COLUMN_OF = {"onsite": "meeting", "onboarding_session": "meeting", "exec_sponsor_visit": "executive_visit"}
HIGH_VALUE_FROM = 5
BAND_DAYS = 180


class CsWork:
    """Activities, advocacy and actions of a company."""

    def __init__(self, company: Company, book: Book) -> None:
        self.company = company
        self.book = book
        self.weights = {row["activity_type"]: row for row in company.settings.seed("engagement_weights")}
        done = [
            row | {"day": company.day(row["occurred_at"])}
            for row in company.all_but_internal("cs_activities", "contact_id")
            if row["status"] == "completed" and not row["is_automated"]
        ]
        self.touches = [row for row in done if row["direction"] == "outbound"]
        self.reactive = [row for row in done if row["direction"] == "inbound"]
        self.by_account: dict[str | None, list[Row]] = defaultdict(list)
        for touch in self.touches:
            self.by_account[touch["account"]].append(touch)

    def weight(self, activity: Row) -> Fraction:
        """The weight of an activity's type; a type that is not listed weighs nothing."""
        listed = self.weights.get(activity["activity_type"])
        return Fraction(listed["weight"]) if listed else Fraction(0)

    def column(self, activity: Row) -> str:
        """The count that an activity's type belongs to."""
        kind = activity["activity_type"]
        return COLUMN_OF.get(kind, kind)

    def _by_doer(self, account: str | None, day: date, user: str) -> dict[str, str]:
        """The cuts of an account on a day, those of the CSM by who acted."""
        cuts = self.company.cuts(account, day)
        return cuts | {
            "csm": user,
            "team": self.company.team(user),
            "csm_segment": f"{user}/{cuts['segment']}",
        }

    def kpi_engagement_activity(self) -> list[Row]:
        """Touchpoints by who acted, coverage by who owned at the end of the period."""
        rows = []
        for period in self.company.periods:
            if period.type not in PERIOD_TYPES:
                continue
            sums = Sums()
            for touch in self.touches:
                if period.holds(touch["day"]):
                    weight = self.weight(touch)
                    parts = {
                        "touchpoints": 1,
                        "weighted": weight,
                        "high_value": int(weight >= HIGH_VALUE_FROM),
                        f"kind_{self.column(touch)}": 1,
                    }
                    sums.add(self._by_doer(touch["account"], touch["day"], touch["user_id"]), **parts)
            for touch in self.reactive:
                if period.holds(touch["day"]):
                    sums.add(self._by_doer(touch["account"], touch["day"], touch["user_id"]), reactive=1)
            for account in self.company.accounts:
                if self.company.csm(account, period.last) == UNASSIGNED:
                    continue
                if self.book.is_customer(account, period.last):
                    touched = any(period.holds(touch["day"]) for touch in self.by_account[account])
                    sums.add(self.company.cuts(account, period.last), owned=1, touched=int(touched))
            rows += [self._engagement_row(period, cut, parts) for cut, parts in sums]
        return rows

    def _engagement_row(self, period, cut, parts) -> Row:
        touchpoints = parts["touchpoints"]
        return {
            **standard(
                "engagement_activity",
                period,
                cut,
                numerator=touchpoints,
                denominator=None,
                value=touchpoints,
                n=touchpoints,
            ),
            "touchpoints": int(touchpoints),
            "weighted_touchpoints": float(parts["weighted"]),
            "high_value_touchpoints": int(parts["high_value"]),
            "reactive_touchpoints": int(parts["reactive"]),
            **{f"{column}_touchpoints": int(parts[f"kind_{column}"]) for column in COLUMNS},
            "owned_accounts": int(parts["owned"]),
            "owned_accounts_touched": int(parts["touched"]),
            "coverage_rate": share(parts["touched"], parts["owned"]),
        }

    def fct_account_engagement_months(self) -> list[Row]:
        """Account x month, customers at its end and accounts touched in it."""
        rows = []
        as_of = self.company.settings.as_of
        for month in months(self.company.first_month, as_of) if self.company.first_month else ():
            last = min(month_end(month), as_of)
            customers = [account for account in self.company.accounts if self.book.is_customer(account, last)]
            bands = self._bands(customers, last)
            for account in sorted(self.company.accounts):
                touches = [touch for touch in self.by_account[account] if month <= touch["day"] <= last]
                if not touches and account not in customers:
                    continue
                last_touch = max((one["day"] for one in self.by_account[account] if one["day"] <= last), default=None)
                rows.append(
                    {
                        "month": month,
                        "account_id": account,
                        "touchpoints": len(touches),
                        "weighted_touchpoints": float(sum(map(self.weight, touches))),
                        "last_touch_on": last_touch,
                        "days_since_last_touch": None if last_touch is None else (last - last_touch).days,
                        "engagement_band": bands.get(account),
                    }
                )
        return rows

    def _bands(self, customers: list[str], last: date) -> dict[str, str]:
        """Terciles of the weighted touches of half a year, within each segment."""
        first = last - timedelta(days=BAND_DAYS - 1)
        sums = {
            account: sum(self.weight(one) for one in self.by_account[account] if first <= one["day"] <= last)
            for account in customers
        }
        bands = {}
        for account in customers:
            peers = [other for other in customers if self.company.segment(other) == self.company.segment(account)]
            fewer = sum(sums[other] < sums[account] for other in peers)
            if 3 * fewer < len(peers):
                bands[account] = "low"
            else:
                bands[account] = "medium" if 3 * fewer < 2 * len(peers) else "high"
        return bands

    def completed_advocacy(self, period: Period) -> list[tuple[Row, Fraction]]:
        """What was completed in a period, each with the ARR it influenced: an account's counts with its first one."""
        found, counted = [], set()
        rows = [
            row | {"day": self.company.day(row["completed_at"])}
            for row in self.company.all_but_internal("cs_advocacy", "contact_id")
            if row["status"] == "completed" and period.holds(self.company.day(row["completed_at"]))
        ]
        for row in sorted(rows, key=lambda one: (one["day"], one["advocacy_id"])):
            account, arr = row["account"], Fraction(0)
            if account is not None and account not in counted:
                counted.add(account)
                arr = 12 * self.company.rates.value(self.book.holding(account, row["day"]).native, row["day"])
            found.append((row, arr))
        return found

    def kpi_advocacy_activity(self) -> list[Row]:
        """Requests by day of the request, completions by day of completion, by who drove them."""
        rows = []
        asked = [
            row | {"day": self.company.day(row["requested_at"])}
            for row in self.company.all_but_internal("cs_advocacy", "contact_id")
            if row["requested_at"] is not None
        ]
        for period in self.company.periods:
            if period.type not in PERIOD_TYPES:
                continue
            sums = Sums()
            for row in asked:
                if period.holds(row["day"]):
                    sums.add(self.advocacy_cuts(row), requested=1)
            for row, arr in self.completed_advocacy(period):
                sums.add(self.advocacy_cuts(row), completed=1, arr=arr)
            for cut, parts in sums:
                completed = parts["completed"]
                rows.append(
                    {
                        **standard(
                            "advocacy_activity",
                            period,
                            cut,
                            numerator=completed,
                            denominator=None,
                            value=completed,
                            n=completed,
                        ),
                        "n_requested": int(parts["requested"]),
                        "n_completed": int(completed),
                        "completion_rate": share(completed, parts["requested"]),
                        "influenced_arr": cents(parts["arr"]),
                    }
                )
        return rows

    def advocacy_cuts(self, row: Row) -> dict[str, str]:
        """The cuts of the account on the day, those of the CSM by who drove it, and its own type."""
        own = {"advocacy_type": row["advocacy_type"]}
        return self._by_doer(row["account"], row["day"], row["user_id"]) | own

    def fct_actions(self) -> list[Row]:
        """One row an action."""
        rows = []
        for row in self.company.all_but_internal("cs_actions"):
            opened, due = self.company.day(row["opened_at"]), self.company.day(row["due_at"])
            closed = self.company.day(row["closed_at"])
            arr = None
            if row["account"] is not None:
                arr = 12 * self.company.rates.value(self.book.holding(row["account"], opened).native, opened)
            is_open = closed is None
            rows.append(
                {
                    "action_id": row["action_id"],
                    "action_type": row["action_type"],
                    "playbook_name": row["playbook_name"],
                    "account_id": row["account"],
                    "owner_user_id": row["owner_user_id"],
                    "team": row["team"],
                    "theme": row["theme"],
                    "trigger_ref": row["trigger_ref"],
                    "expected_impact_arr": cents(arr),
                    "opened_on": opened,
                    "due_on": due,
                    "closed_on": closed,
                    "status": "open" if is_open else row["status"],
                    "is_overdue": is_open and due is not None and due < self.company.settings.as_of,
                    "outcome": None if is_open else row["outcome"],
                }
            )
        return rows

    def published(self) -> dict[str, list[Row]]:
        """The tables of this module by name."""
        return {
            "kpi_engagement_activity": self.kpi_engagement_activity(),
            "fct_account_engagement_months": self.fct_account_engagement_months(),
            "kpi_advocacy_activity": self.kpi_advocacy_activity(),
            "fct_actions": self.fct_actions(),
        }
