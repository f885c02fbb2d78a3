"""What BI accounts don't see of a table: cells that too few answers or accounts stand behind.

A KPI cell says so itself (`is_suppressed`). Of the other tables, one row a cell, `is_low_confidence` says it where the
table has it, and the number of accounts where it hasn't.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from orchestration.sql import quote_name
from serving.tables import Table

CELL = ("kpi_id", "period_type", "period_start", "segment_type", "segment_value")
FEWEST_ACCOUNTS = 3
ACCOUNTS = {
    "mart_segment_scorecards": "accounts",
    "mart_cohort_retention": "cohort_logos",
    "mart_dormancy": "paying_accounts",
    "mart_engagement_effect": "n_accounts",
}
# What a cell says of an earlier one, which may have been small; and how far back that one lies.
EARLIER = {
    "previous_value": "before",
    "change_abs": "before",
    "change": "before",
    "pct_change_vs_previous": "before",
    "value_last_year": "year_before",
}
# What a scorecard repeats of KPIs, and which cell of them it is: shown where that cell is.
REPEATED = {
    "mart_csm_scorecards": {"gross_renewal_rate": "gross_renewal_rate"},
    "mart_segment_scorecards": {
        "nrr_ttm": "net_revenue_retention",
        "grr_ttm": "gross_revenue_retention",
        "logo_churn_rate_ttm": "customer_churn_rate",
    },
}
CELL_OF_ROW = {
    "mart_csm_scorecards": {
        "period_type": "card.period_type",
        "period_start": "card.period_start",
        "segment_type": "case when card.csm_user_id = 'all' then 'team' when card.segment_value = 'all' then 'csm' "
        "else 'csm_segment' end",
        "segment_value": "case when card.csm_user_id = 'all' then card.team when card.segment_value = 'all' "
        "then card.csm_user_id else card.csm_user_id || '/' || card.segment_value end",
    },
    "mart_segment_scorecards": {
        "period_type": "'ttm'",
        "period_start": "cast(card.month - interval '11 months' as date)",
        "segment_type": "card.segment_type",
        "segment_value": "card.segment_value",
    },
}
STEPS = {
    "before": "case cell.period_type when 'quarter' then interval '3 months' else interval '1 month' end",
    "year_before": "interval '1 year'",
}


def bi_select(table: Table, columns: Sequence[str], schema: str, published: Collection[str]) -> str:
    """The SELECT behind a BI view: these columns of the rows that are no small cells."""
    names = {column.name for column in table.columns}
    source = f"{schema}.{quote_name(table.name)}"
    if "is_suppressed" in names:
        return _unsuppressed(columns, source, is_cell=names >= {*CELL})
    chosen = ", ".join(map(quote_name, columns))
    if names >= {*CELL} and "mart_kpi_values" in published:
        same = " and ".join(f"shown.{name} = cell.{name}" for name in CELL)
        return (
            f"select {chosen} from {source} as cell where exists "
            f"(select 1 from {schema}.mart_kpi_values as shown where {same} and not shown.is_suppressed)"
        )
    if table.name in REPEATED and "mart_kpi_values" in published:
        chosen = ", ".join(_repeated(table.name, column, schema) for column in columns)
    shown = f"select {chosen} from {source} as card"
    if "is_low_confidence" in names:
        return f"{shown} where not is_low_confidence"
    if table.name in ACCOUNTS:
        return f"{shown} where {ACCOUNTS[table.name]} >= {FEWEST_ACCOUNTS}"
    return shown


def _repeated(table: str, column: str, schema: str) -> str:
    kpi = REPEATED[table].get(column)
    if not kpi:
        return f"card.{quote_name(column)}"
    same = " and ".join(f"cell.{name} = {value}" for name, value in CELL_OF_ROW[table].items())
    return (
        f"case when exists (select 1 from {schema}.mart_kpi_values as cell "
        f"where cell.kpi_id = '{kpi}' and {same} and not cell.is_suppressed) then card.{column} end as {column}"
    )


def _unsuppressed(columns: Sequence[str], source: str, *, is_cell: bool) -> str:
    earlier = EARLIER if is_cell else {}
    chosen = [
        f"case when not {earlier[name]}.is_suppressed then cell.{name} end as {name}"
        if name in earlier
        else f"cell.{quote_name(name)}"
        for name in columns
    ]
    joins = "".join(
        f" left join {source} as {alias} on "
        + " and ".join(f"{alias}.{name} = cell.{name}" for name in CELL if name != "period_start")
        + f" and {alias}.period_start = cast(cell.period_start - {STEPS[alias]} as date)"
        for alias in sorted({earlier[name] for name in columns if name in earlier})
    )
    return f"select {', '.join(chosen)} from {source} as cell{joins} where not cell.is_suppressed"
