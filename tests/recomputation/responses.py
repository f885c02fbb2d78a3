"""Every answer and invitation, with whether it counts."""

from tests.recomputation.company import UNASSIGNED
from tests.recomputation.landed import Row
from tests.recomputation.promoters import Promoters
from tests.recomputation.surveys import Surveys


def fct_survey_responses(surveys: Surveys, promoters: Promoters) -> list[Row]:
    """One row a response; whether it counts is judged by month."""
    company = surveys.company
    counted = {
        one.row["response_id"]
        for period in company.periods
        if period.type == "month"
        for kind in {response.survey["survey_type"] for response in surveys.responses}
        for one in surveys.counted(kind, period)
    }
    rows = []
    for one in surveys.responses:
        is_counted = one.row["response_id"] in counted
        due, followed_up = promoters.follow_up(one)
        rows.append(
            {
                "response_id": one.row["response_id"],
                "survey_id": one.row["survey_id"],
                "survey_type": one.survey["survey_type"],
                "account_id": one.account,
                "contact_id": one.row["contact_id"],
                "responded_on": one.answered_on,
                "score": None if one.answered_on is None or one.row["score"] is None else float(one.row["score"]),
                "csm_user_id": UNASSIGNED
                if one.account is None
                else company.csm(one.account, one.answered_on or one.asked_on),
                "segment": company.segment(one.account),
                "interaction_type": one.row["interaction_type"],
                "channel": one.row["channel"],
                "is_counted": is_counted,
                "reject_reason": one.reject_reason or (None if is_counted else "superseded"),
                "follow_up_due": due,
                "followed_up_on": followed_up,
            }
        )
    return rows
