"""Every KPI but the health score, with its facts, in plain Python: row by row and day by day, from the rules alone.

Not here: health scores and what needs them (ARR at risk, saved ARR, renewal probabilities), dimensions, and what is
made from these tables (analyses, scorecards, lists).
"""

from tests.recomputation import renewals, revenue
from tests.recomputation.company import Company
from tests.recomputation.cs_work import CsWork
from tests.recomputation.expansion import Expansion
from tests.recomputation.feedback import Feedback
from tests.recomputation.landed import Tables, contract, read_landing
from tests.recomputation.lifetime import Lifetimes
from tests.recomputation.onboarding import Onboardings
from tests.recomputation.promoters import Promoters
from tests.recomputation.ratings import Ratings
from tests.recomputation.renewals import Renewals
from tests.recomputation.responses import fct_survey_responses
from tests.recomputation.returns import Returns
from tests.recomputation.revenue import Ledger
from tests.recomputation.settings import Settings
from tests.recomputation.subscriptions import Book
from tests.recomputation.support import Support
from tests.recomputation.surveys import Surveys
from tests.recomputation.usage import Usage

__all__ = ["Settings", "read_landing", "recompute"]


def recompute(raw: Tables, settings: Settings) -> Tables:
    """Recompute the published tables from landed rows.

    `raw` holds typed rows by contract table (missing tables and columns are empty); the answer holds rows by published
    table, with the column names of the published interface and only the columns that this package recomputes.
    """
    company = Company(raw, settings)
    book = Book(company)
    surveys = Surveys(company)
    support = Support(company, book, surveys)
    cs_work = CsWork(company, book)
    promoters = Promoters(surveys, book, support, cs_work)
    ledger = Ledger(company, book)
    return {
        **revenue.published(ledger),
        "kpi_quarterly_expansion_revenue": Expansion(ledger).kpi_quarterly_expansion_revenue(),
        "kpi_cs_team_roi": Returns(ledger, cs_work).kpi_cs_team_roi(),
        **Lifetimes(ledger).published(),
        **renewals.published(Renewals(company, book)),
        "kpi_net_promoter_score": promoters.kpi_net_promoter_score(),
        "fct_survey_responses": fct_survey_responses(surveys, promoters),
        **Ratings(surveys).published(),
        **Feedback(surveys, book).published(),
        **Usage(book, ledger, surveys).published(),
        **Onboardings(company).published(),
        **support.published(),
        **cs_work.published(),
        "mart_freshness": [
            {"source_table": table, "unmatched_account_rows": company.unmatched(table)} for table in contract()
        ],
    }
