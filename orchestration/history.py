"""What is carried from night to night. It is read from the previous published file into schema `history` of the build
file before dbt runs: a night that publishes nothing leaves no trace in it, and a rollback rolls it back too.

This is the only list of what is carried; columns are those of the published tables.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from orchestration.sql import quote_literal, quote_name, transaction

CARRIED = {
    "first_published_kpi_values": (
        "kpi_id varchar, period_type varchar, period_start date, segment_type varchar, segment_value varchar, "
        "first_published_value double, first_published_at timestamp, first_published_as_of date"
    ),
    "fct_health_scores": (
        "account_id varchar, account_name varchar, score_date date, segment varchar, csm_user_id varchar, "
        "score double, colour varchar, manual_colour varchar, is_manual_disagreement boolean, weight_coverage double, "
        "n_components_missing integer, top_driver varchar, top_driver_points_lost double, drivers_text varchar, "
        "previous_score double, score_change double, is_drop_alert boolean, is_turned_red boolean, "
        "current_mrr decimal(18,2)"
    ),
    "fct_health_components": (
        "account_id varchar, score_date date, component varchar, raw_value double, component_score double, "
        "weight double, effective_weight double, points_lost double, is_missing boolean, data_as_of date"
    ),
    "mart_alerts": (
        "alert_id varchar, raised_on date, alert_type varchar, severity varchar, kpi_id varchar, "
        "subject_type varchar, subject_id varchar, message varchar, value double, threshold double, "
        "cleared_on date, action_id varchar"
    ),
    "mart_restatements": (
        "kpi_id varchar, period_type varchar, period_start date, segment_type varchar, segment_value varchar, "
        "first_published_value double, first_published_at timestamp, current_value double, difference double, "
        "cause varchar"
    ),
    "meta_publication": (
        "as_of_date date, published_at timestamp, code_version varchar, input_hash varchar, "
        "reporting_currency varchar, reporting_timezone varchar, checks_passed bigint, checks_warned bigint"
    ),
}


def carry_history(con: duckdb.DuckDBPyConnection, marts_file: Path) -> dict[str, int]:
    """Make schema `history` anew in one transaction and return the rows of each table in it.

    A table or column that the previous publication lacks is empty or NULL. Columns that it has beyond the list are
    carried too, so that a mart may grow without this list.
    """
    rows: dict[str, int] = {}
    has_previous = marts_file.exists()
    if has_previous:
        con.execute(f"attach {quote_literal(str(marts_file))} as previous (read_only)")
    try:
        with transaction(con):
            con.execute("create schema if not exists history")
            for table, columns in CARRIED.items():
                con.execute(f"create or replace table history.{table} ({columns})")
                if has_previous and _exists(con, table):
                    _widen(con, table)
                    con.execute(f"insert into history.{table} by name select * from previous.main.{table}")
                rows[table] = con.execute(f"select count(*) from history.{table}").fetchone()[0]
    finally:
        if has_previous:
            con.execute("detach previous")
    return rows


def _exists(con: duckdb.DuckDBPyConnection, table: str) -> bool:
    return bool(
        con.execute(
            "select 1 from duckdb_tables() where database_name = 'previous' and table_name = ?", [table]
        ).fetchone()
    )


def _widen(con: duckdb.DuckDBPyConnection, table: str) -> None:
    extra = con.execute(
        """select column_name, data_type from duckdb_columns()
        where database_name = 'previous' and table_name = $table and column_name not in (
            select column_name from duckdb_columns()
            where database_name = current_database() and schema_name = 'history' and table_name = $table)""",
        {"table": table},
    ).fetchall()
    for name, data_type in extra:
        con.execute(f"alter table history.{table} add column {quote_name(name)} {data_type}")
