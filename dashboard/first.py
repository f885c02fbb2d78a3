"""The pictures of the first page, by the numbers under which the catalogue knows them."""

from __future__ import annotations

from collections.abc import Callable

from dashboard.health import back_test, call_list, health
from dashboard.revenue import churn_reasons, mrr, renewals, retention
from dashboard.sheet import Picture, Sheet
from dashboard.team import csm_grid, time_to_value
from dashboard.voice import nps, pain_points

# The place of a KPI in the catalogue (`page 1, picture 3`) names one of these; picture 1 is the row of tiles.
FIRST_PAGE: dict[int, Callable[[Sheet], Picture]] = {
    2: mrr,
    3: retention,
    4: health,
    5: renewals,
    6: nps,
    7: churn_reasons,
    8: pain_points,
    9: csm_grid,
    10: time_to_value,
    11: back_test,
    12: call_list,
}
