"""Every metric of the semantic layer, asked through MetricFlow, gives what its mart gives."""

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

import pytest

from tests.conftest import ROOT

LINKED = ("dbt_project.yml", "profiles.yml", "models", "macros", "seeds", "tests")


@pytest.fixture(scope="module")
def project(sample, tmp_path_factory) -> Path:
    """The project beside what the night parsed, and a copy of its build file."""
    folder = tmp_path_factory.mktemp("metrics")
    for name in LINKED:
        (folder / name).symlink_to(ROOT / name)
    [parsed] = (sample.warehouse / "build" / "target").iterdir()
    (folder / "target").symlink_to(parsed)
    shutil.copy(sample.build_file, folder)
    return folder


def query(project: Path, metrics: Sequence[str], *group_by: str) -> list[dict[str, str]]:
    answer = project / "answer.csv"
    command = [str(Path(sys.executable).with_name("mf")), "query", "--metrics", ",".join(metrics)]
    done = subprocess.run(
        [*command, "--group-by", ",".join(group_by), "--csv", str(answer)],
        cwd=project,
        env={**os.environ, "CSW_BUILD_FILE": str(project / "warehouse.duckdb"), "DBT_PROFILES_DIR": str(project)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with answer.open(newline="", encoding="utf-8") as rows:
        return list(csv.DictReader(rows))


def published(sample, segment_type: str) -> dict[tuple[str, date, str], float]:
    """(KPI, period, segment) -> value, for the shortest period that a KPI has."""
    rows = sample.rows(
        f"""
        select kpi_id, period_start, segment_value, value from mart_kpi_values
        where segment_type = '{segment_type}' and value is not null
        qualify period_type = min(period_type) over (partition by kpi_id)
        """
    )
    return {(kpi, day, segment): value for kpi, day, segment, value in rows}


def told(rows: list[dict[str, str]], kpis: Sequence[str]) -> dict[tuple[str, date, str], float]:
    return {
        (kpi, datetime.fromisoformat(row["metric_time__month"]).date(), row.get("kpi_cell__segment", "all")): float(
            row[kpi]
        )
        for row in rows
        for kpi in kpis
        if row[kpi]
    }


@pytest.mark.parametrize(("segment_type", "by"), [("segment", ["kpi_cell__segment"]), ("all", [])])
def test_every_metric_equals_its_mart(sample, project, segment_type, by):
    kpis = [kpi for (kpi,) in sample.rows("select kpi_id from dim_kpis order by 1")]
    expected = published(sample, segment_type)
    answers = told(query(project, kpis, "metric_time__month", *by), kpis)
    assert {kpi for kpi, _, _ in expected} >= set(kpis) - {"cs_team_roi"}  # costs have no segment
    assert len(expected) > 200
    different = {
        cell: (value, answers.get(cell))
        for cell, value in expected.items()
        if answers.get(cell) != pytest.approx(value, rel=1e-9, abs=1e-9)
    }
    assert different == {}
