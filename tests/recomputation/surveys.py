"""Which answers of which surveys count, and who was asked."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import cached_property

from tests.recomputation.calendar import Period
from tests.recomputation.company import Company
from tests.recomputation.landed import Row
from tests.recomputation.shape import Lists


@dataclass(frozen=True)
class Response:
    """One invitation or answer; `reject_reason` is None while nothing speaks against counting it."""

    row: Row
    survey: Row
    account: str | None
    asked_on: date | None
    answered_on: date | None
    reject_reason: str | None

    @property
    def is_valid(self) -> bool:
        """Answered, with a score on the survey's scale."""
        return self.reject_reason is None

    @property
    def who(self) -> tuple[str, str]:
        """The contact, or the row itself when no contact is named."""
        contact = self.row["contact_id"]
        return ("contact", contact) if contact else ("row", self.row["response_id"])

    @property
    def order(self) -> tuple:
        """Sorts answers from the oldest to the latest."""
        return (self.row["responded_at"], self.row["_loaded_at"], self.row["response_id"])

    @property
    def position(self) -> Fraction:
        """Where the score lies on the survey's scale: 0 at its bad end, 1 at its good end."""
        low, high = self.survey["scale_min"], self.survey["scale_max"]
        share = Fraction(self.row["score"] - low, high - low)
        return share if self.survey["higher_is_better"] else 1 - share

    @property
    def is_positive(self) -> bool:
        """At or past the survey's positive threshold, in the survey's own direction."""
        score, threshold = self.row["score"], self.survey["positive_threshold"]
        return score >= threshold if self.survey["higher_is_better"] else score <= threshold


def latest(responses: list[Response], key) -> list[Response]:
    """The latest answer for each key."""
    last: dict = {}
    for response in sorted(responses, key=lambda one: one.order):
        last[key(response)] = response
    return list(last.values())


class Surveys:
    """All responses of a company that do not belong to internal accounts."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self._surveys = {row["survey_id"]: row for row in company.tables["surveys"]}
        self.responses = [
            self._response(row)
            for row in company.all_but_internal("survey_responses", "contact_id")
            if row["sent_at"] is not None or row["responded_at"] is not None
        ]

    def _response(self, row: Row) -> Response:
        survey = self._surveys.get(row["survey_id"], {"survey_type": None})
        reason = None
        if row["responded_at"] is None:
            reason = "not_answered"
        elif survey["survey_type"] is None:
            reason = "unknown_survey"
        elif row["score"] is None:
            reason = "no_score"
        elif not survey["scale_min"] <= row["score"] <= survey["scale_max"]:
            reason = "out_of_scale"
        return Response(
            row, survey, row["account"], self.company.day(row["sent_at"]), self.company.day(row["responded_at"]), reason
        )

    def valid(self, survey_type: str) -> list[Response]:
        """Valid answers of all time to a type of survey, less those that a later one about the same ticket replaced."""
        return self._valid.get(survey_type, [])

    @cached_property
    def _valid(self) -> dict[str, list[Response]]:
        """Valid answers by type of survey; of the answers to one ticket by one contact only the last."""
        valid: dict[str, list[Response]] = defaultdict(list)
        for response in self.responses:
            if response.is_valid:
                valid[response.survey["survey_type"]].append(response)
        return {
            kind: [one for one in answers if not one.row["ticket_id"]]
            + latest(
                [one for one in answers if one.row["ticket_id"]],
                lambda one: (one.row["survey_id"], one.row["ticket_id"], one.who),
            )
            for kind, answers in valid.items()
        }

    def counted(self, survey_type: str, period: Period) -> list[Response]:
        """The answers that count in a period: one per survey, contact and period, or per survey, ticket and contact."""
        inside = [one for one in self.valid(survey_type) if period.holds(one.answered_on)]
        return [one for one in inside if one.row["ticket_id"]] + latest(
            [one for one in inside if not one.row["ticket_id"]], lambda one: (one.row["survey_id"], one.who)
        )

    def asked(self, survey_type: str, period: Period, own_cuts=lambda response: {}) -> Lists:
        """By cut of the day asked: (who was asked in the period, whether that invitation was validly answered)."""
        found = Lists()
        for response in self.responses:
            if response.survey["survey_type"] == survey_type and period.holds(response.asked_on):
                cuts = self.company.cuts(response.account, response.asked_on) | own_cuts(response)
                found.add(cuts, (response.who, response.is_valid))
        return found


def response_rate(asked: list[tuple]) -> tuple[int, float | None]:
    """(how many were asked, the share of them who answered)."""
    who = {contact for contact, _ in asked}
    answered = {contact for contact, is_valid in asked if is_valid}
    return len(who), len(answered) / len(who) if who else None
