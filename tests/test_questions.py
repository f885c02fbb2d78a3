"""The twelve questions of Monday morning, as they stand in the docs, on the published sample company."""

from __future__ import annotations

import itertools
import re
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "questions.sql").read_text(encoding="utf-8")
QUESTIONS = dict(re.findall(r"^-- (Q\d+)\..*\n(select .*);$", TEXT, flags=re.MULTILINE))
CENT = 0.01


def answer(sample, number: str) -> list[dict[str, Any]]:
    """The rows of a question by column name; the query runs with nothing but the published file open."""
    with duckdb.connect(str(sample.marts_file), read_only=True) as con:
        cursor = con.execute(QUESTIONS[number])
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def test_the_file_holds_twelve():
    assert list(QUESTIONS) == [f"Q{number}" for number in range(1, 13)]


@pytest.mark.parametrize("number", QUESTIONS)
def test_a_question_has_an_answer(sample, number):
    assert answer(sample, number)


def test_q1_the_movements_lead_from_opening_to_closing(sample):
    rows = answer(sample, "Q1")
    assert len(rows) == 13
    for row in rows:
        gains = sum(row[name] for name in ("new_mrr", "reactivation_mrr", "resume_mrr", "expansion_mrr", "fx_mrr"))
        losses = row["contraction"] + row["paused"] + row["churn"]
        assert abs(row["opening_mrr"] + gains + losses - row["closing_mrr"]) <= 6 * CENT
        assert abs(12 * row["closing_mrr"] - row["closing_arr"]) <= 12 * CENT
    for later, earlier in itertools.pairwise(rows):
        assert abs(later["opening_mrr"] - earlier["closing_mrr"]) <= CENT


def test_q2_every_csm_has_a_first_call_and_every_call_a_reason_and_a_playbook(sample):
    rows = answer(sample, "Q2")
    by_csm: dict[str, list[int]] = {}
    for row in rows:
        by_csm.setdefault(row["csm_user_id"], []).append(row["priority"])
        assert row["reason"]
        assert row["suggested_playbook"]
    assert all(priorities == list(range(1, len(priorities) + 1)) for priorities in by_csm.values())


def test_q3_the_arr_at_risk_is_that_of_the_terms_listed(sample):
    rows = answer(sample, "Q3")
    assert {row["arr_at_risk"] for row in rows} == {sum(row["renewable_arr"] for row in rows)}
    assert all(0 <= row["renewal_probability"] <= 1 for row in rows)


def test_q4_what_is_listed_misses_its_target(sample):
    lower_is_better = {"customer_churn_rate", "time_to_first_value"}
    for row in answer(sample, "Q4"):
        assert row["target_owner"]
        assert row["target_due"]
        missed_by = row["value"] - row["target"]
        assert (missed_by > 0) if row["kpi_id"] in lower_is_better else (missed_by < 0)


def test_q5_the_interval_holds_the_adjusted_score(sample):
    for row in answer(sample, "Q5"):
        if row["nps"] is not None:
            assert row["n_responses"] >= 5
            assert -100 <= row["ci_low"] < row["ci_high"] <= 100


def test_q6_logos_and_money_agree_with_the_ledger(sample):
    rows = answer(sample, "Q6")
    [(logos, arr)] = sample.rows(
        """select count(*), -12 * sum(amount) from fct_mrr_movements
        where movement_type = 'churn'
        and movement_date >= (select max(quarter) from dim_dates where is_as_of) - interval 6 month"""
    )
    assert sum(row["logos"] for row in rows) == logos
    assert abs(sum(row["arr_lost"] for row in rows) - arr) <= 12 * CENT * len(rows)
    assert all(0 <= row["seen_coming"] <= row["logos"] for row in rows)


def test_q7_the_books_of_a_csm_add_up_and_the_company_is_beaten_as_often_as_it_beats(sample):
    rows = answer(sample, "Q7")
    whole = {row["full_name"]: row for row in rows if row["segment_value"] == "all"}
    for name, row in whole.items():
        parts = [part for part in rows if part["full_name"] == name and part["segment_value"] != "all"]
        if parts:
            assert sum(part["accounts"] or 0 for part in parts) == row["accounts"]
    against = [row["nrr_vs_segment"] for row in rows if row["nrr_vs_segment"] is not None]
    assert min(against) < 0 < max(against)


def test_q8_a_cohort_is_at_most_all_achieved(sample):
    for row in answer(sample, "Q8"):
        assert row["n_overdue"] + row["n_cancelled"] <= row["n_started"]
        assert row["achieved_rate"] is None or 0 <= row["achieved_rate"] <= 1


def test_q9_pain_points_touch_money(sample):
    assert all(row["arr_affected"] >= 0 and row["n_accounts"] <= row["n_items"] for row in answer(sample, "Q9"))


def test_q9_a_theme_is_suppressed_where_its_kpi_is(sample):
    cells = sample.rows(
        """select themes.is_suppressed, cells.is_suppressed, count(*)
        from mart_feedback_themes as themes
        inner join kpi_feedback_sentiment as cells
            on cells.period_type = 'month' and cells.period_start = themes.month
            and cells.segment_type = 'theme' and cells.segment_value = themes.theme
        where themes.source = 'all' group by all"""
    )
    assert {(theme, cell) for theme, cell, _ in cells} == {(True, True), (False, False)}
    assert sum(count for *_, count in cells) > 100


def test_q10_the_score_tells_who_leaves_and_shuffled_scores_do_not(sample):
    rows = answer(sample, "Q10")
    pooled = [
        (score, account in churned)
        for snapshot, account, score in sample.rows(
            """select score_date, account_id, score from fct_health_scores
            where score is not null and score_date in (select snapshot_date from mart_health_backtest)"""
        )
        for churned in [churned_within(sample, snapshot, 90)]
        if snapshot in {row["snapshot_date"] for row in rows}
    ]
    assert auc(pooled) > 0.75
    # every score of one snapshot dealt to the next account in the list: what the colour knew is gone
    scores = [score for score, _ in pooled]
    shuffled = [(scores[(7919 * i) % len(scores)], left) for i, (_, left) in enumerate(pooled)]
    assert abs(auc(shuffled) - 0.5) < 0.15


_CHURNED: dict[tuple[date, int], set[str]] = {}


def churned_within(sample, snapshot: date, days: int) -> set[str]:
    key = (snapshot, days)
    if key not in _CHURNED:
        rows = sample.rows(
            f"""select distinct account_id from fct_mrr_movements where movement_type = 'churn'
            and movement_date > date '{snapshot}' and movement_date <= date '{snapshot}' + {days}"""
        )
        _CHURNED[key] = {account for (account,) in rows}
    return _CHURNED[key]


def auc(scored: list[tuple[float, bool]]) -> float:
    """Share of the pairs of a leaver and a stayer in which the leaver scored lower, ties one half."""
    left = [score for score, has_left in scored if has_left]
    stayed = [score for score, has_left in scored if not has_left]
    won = sum(1.0 if mine < theirs else 0.5 if mine == theirs else 0.0 for mine in left for theirs in stayed)
    return won / (len(left) * len(stayed))


def test_q10_agrees_with_every_pair_looked_at(sample):
    row = answer(sample, "Q10")[0]
    scores = sample.rows(
        f"""select account_id, score from fct_health_scores
        where score is not null and score_date = date '{row["snapshot_date"]}'"""
    )
    churned = churned_within(sample, row["snapshot_date"], 90)
    if any(account in churned for account, _ in scores):
        assert row["auc"] == pytest.approx(auc([(score, account in churned) for account, score in scores]))


def test_q11_a_sudden_drop_is_thirty_percent(sample):
    for row in answer(sample, "Q11"):
        change = row["pct_change_vs_previous"]
        assert row["is_sudden_drop"] == (change is not None and change <= -0.3)


def test_q12_the_return_follows_from_its_pieces(sample):
    for row in answer(sample, "Q12"):
        earned = 0.8 * float(row["expansion_arr"])
        cost = float(row["cs_cost"])
        assert row["roi_expansion_only"] == pytest.approx((earned - cost) / cost, abs=1e-4)
        assert row["roi_with_saved"] == pytest.approx((earned + float(row["saved_arr"]) - cost) / cost, abs=1e-4)
