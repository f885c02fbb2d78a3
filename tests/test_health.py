"""The health score on the sample company: it foretells churn, knows nothing of the future, and is never recomputed."""

from __future__ import annotations

import csv
import random
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from tests.conftest import SAMPLE_END, run_csw


def auc(outcomes: list[tuple[float, bool]]) -> float:
    """Share of (churned, stayed) pairs in which the churned one scored lower, ties counting half."""
    churned = [score for score, left in outcomes if left]
    stayed = [score for score, left in outcomes if not left]
    wins = sum((low < high) + 0.5 * (low == high) for low in churned for high in stayed)
    return wins / (len(churned) * len(stayed))


@pytest.fixture(scope="module")
def outcomes(sample) -> dict[date, list[tuple[float, bool]]]:
    """By month-end snapshot with 90 days behind it: (score, churned within 90 days) of every scored customer."""
    churns = sample.rows("select account_id, movement_date from fct_mrr_movements where movement_type = 'churn'")
    left_on: dict[str, list[date]] = {}
    for account, day in churns:
        left_on.setdefault(account, []).append(day)
    last = date.fromisoformat(SAMPLE_END) - timedelta(days=90)
    found: dict[date, list[tuple[float, bool]]] = {}
    for account, day, score in sample.rows(
        "select account_id, score_date, score from fct_health_scores where score is not null"
    ):
        if day <= last:
            left = any(day < gone <= day + timedelta(days=90) for gone in left_on.get(account, []))
            found.setdefault(day, []).append((score, left))
    return found


def test_the_score_foretells_churn_within_90_days(outcomes):
    pooled = [pair for pairs in outcomes.values() for pair in pairs]
    assert sum(left for _, left in pooled) >= 30
    assert auc(pooled) > 0.75


def test_shuffled_labels_foretell_nothing(outcomes):
    pooled = [pair for pairs in outcomes.values() for pair in pairs]
    chance = random.Random(11)
    values = []
    for _ in range(20):
        labels = [left for _, left in pooled]
        chance.shuffle(labels)
        values.append(auc([(score, left) for (score, _), left in zip(pooled, labels, strict=True)]))
    assert sum(values) / len(values) == pytest.approx(0.5, abs=0.03)


def test_the_backtest_agrees_with_a_count_of_pairs(sample, outcomes):
    published = {
        day: (value, churned)
        for day, value, churned in sample.rows(
            "select snapshot_date, auc, n_churned from mart_health_backtest "
            "where segment_value = 'all' and horizon_days = 90"
        )
    }
    compared = 0
    for day, pairs in outcomes.items():
        if day in published and 0 < sum(left for _, left in pairs) < len(pairs):
            assert published[day][0] == pytest.approx(auc(pairs)), day
            compared += 1
    assert compared >= 6


def test_points_lost_explain_the_score(sample):
    broken = sample.rows(
        "select s.account_id from fct_health_scores s join (select account_id, score_date, sum(points_lost) as lost "
        "from fct_health_components group by all) c using (account_id, score_date) "
        "where s.score is not null and abs(100 - s.score - c.lost) > 1e-6"
    )
    assert broken == []
    text = sample.rows("select drivers_text from fct_health_scores where colour = 'red' limit 1")[0][0]
    assert text
    assert ", -" in text


def scores(warehouse: Path) -> list[tuple]:
    with duckdb.connect(str(warehouse / "marts.duckdb"), read_only=True) as con:
        return con.execute(
            "select account_id, score_date, score, colour, drivers_text from fct_health_scores "
            "where score_date <= '2026-08-31' order by all"
        ).fetchall()


def publish(landing: Path, warehouse: Path, as_of: str) -> None:
    night = run_csw("nightly", "--landing", landing, "--warehouse", warehouse, "--as-of", as_of)
    assert night.returncode == 0, night.stdout + night.stderr


def test_what_happens_later_leaves_past_scores_unchanged(sample, tmp_path):
    """A back-fill on 31 August, and the sample's on 31 October that knows two months more, score August and before
    alike."""
    sample.lend_manifest(tmp_path / "early")
    publish(sample.landing, tmp_path / "early", "2026-08-31")
    early = scores(tmp_path / "early")
    assert len(early) > 1000
    assert scores(sample.warehouse) == early


def read_csv(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def write_csv(file: Path, rows: list[dict[str, str]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.long
def test_a_renewal_that_came_later_leaves_past_scores_unchanged(sample, tmp_path):
    """A subscription ends on 20 August and is renewed on 10 September: a back-fill in October doesn't know that yet."""
    landing = tmp_path / "landing"
    made = run_csw("sample", "--accounts", 60, "--months", 10, "--events", 4000, "--end", SAMPLE_END, "--out", landing)
    assert made.returncode == 0, made.stderr
    file = landing / "billing_subscriptions.csv"
    rows = read_csv(file)
    accounts = [row["account_id"] for row in rows]
    ended = next(
        row
        for row in rows
        if accounts.count(row["account_id"]) == 1
        and row["status"] == "active"
        and not (row["ended_at"] or row["trial_start"] or row["cancel_requested_at"])
        and row["started_at"] < "2026-08"
    )
    renewed = {
        "subscription_id": "renewed",
        "started_at": "2026-09-10 09:00:00",
        "renews_subscription_id": ended["subscription_id"],
    }
    rows.append(ended | renewed)
    ended |= {"status": "canceled", "ended_at": "2026-08-20 09:00:00"}
    write_csv(file, rows)
    file = landing / "billing_subscription_items.csv"
    items = read_csv(file)
    write_csv(
        file,
        items
        + [
            row
            | {name: f"renewed {row[name]}" for name in ("item_id", "item_version_id")}
            | {"subscription_id": "renewed", "effective_from": renewed["started_at"]}
            for row in items
            if row["subscription_id"] == ended["subscription_id"] and not row["effective_to"]
        ],
    )
    # the day before the sample's accounts merge, which restates all history
    for as_of in ("2026-08-31", "2026-10-30"):
        sample.lend_manifest(tmp_path / as_of)
        publish(landing, tmp_path / as_of, as_of)
    early, late = scores(tmp_path / "2026-08-31"), scores(tmp_path / "2026-10-30")
    assert len(early) > 100
    assert late == early
    of_the_account = {score_date.isoformat() for account, score_date, *_ in late if account == ended["account_id"]}
    assert "2026-07-31" in of_the_account
    assert "2026-08-31" not in of_the_account


@pytest.mark.long
def test_published_days_stand_when_facts_arrive_late(sample, tmp_path):
    """A survey answer that arrives late, dated in July, changes the facts but no score that was published."""
    landing, warehouse = tmp_path / "landing", tmp_path / "warehouse"
    made = run_csw("sample", "--accounts", 60, "--months", 10, "--events", 4000, "--end", SAMPLE_END, "--out", landing)
    assert made.returncode == 0, made.stderr
    sample.lend_manifest(warehouse)
    publish(landing, warehouse, "2026-08-31")
    published = scores(warehouse)
    assert len(published) > 100

    responses = landing / "survey_responses.csv"
    rows = read_csv(responses)
    answered = [row for row in rows if row["responded_at"] and row["account_id"] and row["score"]]
    folder = landing / "survey_responses"
    folder.mkdir()
    responses.rename(folder / "first.csv")
    late = {"sent_at": "2026-07-15 09:00:00", "responded_at": "2026-07-15 10:00:00", "score": "0"}
    write_csv(folder / "late.csv", [row | late | {"response_id": f"late-{n}"} for n, row in enumerate(answered)])
    publish(landing, warehouse, "2026-09-01")
    assert scores(warehouse) == published
