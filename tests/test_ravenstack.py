"""A third party's data set through its adapter; read where it lies, skipped where it is absent."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import duckdb
import pytest

from tests.conftest import ROOT, run_csw

FOLDER = Path(os.environ.get("CSW_RAVENSTACK_DIR", ROOT.parent / "shared/data/ravenstack"))

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"the RavenStack data set is not at {FOLDER}")


@pytest.fixture(scope="module")
def marts(tmp_path_factory):
    base = tmp_path_factory.mktemp("ravenstack")
    (base / "landing").mkdir()
    arguments = ["--landing", base / "landing", "--warehouse", base / "warehouse", "--as-of", "2024-12-31"]
    night = run_csw("nightly", *arguments, "--var", "adapters=ravenstack", f"ravenstack_dir={FOLDER}")
    assert night.returncode == 0, night.stdout + night.stderr
    with duckdb.connect(str(base / "warehouse" / "marts.duckdb"), read_only=True) as con:
        yield con


def table(name: str) -> list[dict[str, str]]:
    with (FOLDER / f"ravenstack_{name}.csv").open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def test_mrr_of_the_last_day_is_the_sum_of_running_subscriptions(marts):
    running = [row for row in table("subscriptions") if row["end_date"] in ("", "None") and row["is_trial"] == "False"]
    value, logos = marts.execute(
        "select closing_mrr, closing_logos from kpi_mrr "
        "where segment_type = 'all' and period_type = 'month' and period_start = '2024-12-01'"
    ).fetchone()
    assert value == sum(int(row["mrr_amount"]) for row in running)
    assert logos == len({row["account_id"] for row in running})


def test_contradictions_come_out_counted(marts):
    found = dict(marts.execute("select finding, n_rows from ravenstack__findings").fetchall())
    ids = [row["usage_id"] for row in table("feature_usage")]
    assert found["usage_ids_of_several_events"] == len(ids) - len(set(ids)) > 0
    bounds = {row["subscription_id"]: (row["start_date"], row["end_date"] or "9999") for row in table("subscriptions")}
    outside = sum(
        not bounds[row["subscription_id"]][0] <= row["usage_date"] < bounds[row["subscription_id"]][1]
        for row in table("feature_usage")
    )
    assert found["usage_outside_its_subscription"] == outside > 0
    flagged = {row["account_id"] for row in table("accounts") if row["churn_flag"] == "True"}
    live = {row["account_id"] for row in table("subscriptions") if not row["end_date"] and row["is_trial"] == "False"}
    assert found["accounts_flagged_churned_with_running_subscriptions"] == len(flagged & live) > 0


def test_no_usage_row_is_lost(marts):
    assert marts.execute("select sum(n_events) from fct_account_usage_months").fetchone()[0] == len(
        table("feature_usage")
    )


def test_satisfaction_is_the_share_of_four_and_five(marts):
    scores = [float(row["satisfaction_score"]) for row in table("support_tickets") if row["satisfaction_score"]]
    n, satisfied = marts.execute(
        "select sum(n_responses), sum(n_satisfied) from kpi_customer_satisfaction_score "
        "where segment_type = 'all' and period_type = 'month'"
    ).fetchone()
    assert (n, satisfied) == (len(scores), sum(score >= 4 for score in scores))
