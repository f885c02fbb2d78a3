"""dbt's unit tests, on a copy of the sample's build file: they need the tables that their inputs are shaped like.

And a data test, on rows made by hand.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from orchestration.data_tests import TESTS_FILE
from tests.conftest import ROOT, SAMPLE_END


def _results(sample, folder: Path, selected: str, **variables: str) -> list[dict]:
    build_file = folder / "warehouse.duckdb"
    shutil.copy(sample.build_file, build_file)
    target = folder / "target"
    command = [
        str(Path(sys.executable).with_name("dbt")),
        *("--quiet", "--log-level-file", "none", "test", "--select", selected, "--project-dir", str(ROOT)),
        *("--profiles-dir", str(ROOT), "--target-path", str(target), "--log-path", str(folder)),
        *("--vars", json.dumps({"as_of_date": SAMPLE_END, **variables})),
    ]
    environment = {"CSW_BUILD_FILE": str(build_file), "PATH": str(Path(sys.executable).parent)}
    outcome = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    results = json.loads((target / "run_results.json").read_text())["results"]
    failed = [f"{result['unique_id']}: {result['message']}" for result in results if result["status"] != "pass"]
    assert outcome.returncode == 0, "\n".join([*failed, outcome.stdout, outcome.stderr])
    assert not failed
    return results


def test_every_dbt_unit_test_passes(sample, tmp_path):
    assert len(_results(sample, tmp_path, "test_type:unit")) >= 120


def test_the_other_lifetime_model_passes_its_own(sample, tmp_path):
    """int_lifetime_hazards is enabled by a variable only, and its unit test with it."""
    assert _results(sample, tmp_path, "int_lifetime_hazards,test_type:unit", clv_lifetime_model="hazard")


# From 100 million on, the last digits of doubles may differ: 1e-12 of the whole.
@pytest.mark.parametrize(
    ("whole", "lacks", "is_found"), [(100, 0.00009, False), (100, 0.00011, True), (1e12, 0.9, False), (1e12, 1.1, True)]
)
def test_a_cut_whose_parts_are_not_the_whole_is_found(sample, whole, lacks, is_found):
    tests = json.loads((sample.manifest_folder / TESTS_FILE).read_text())
    [query] = [test["sql"] for test in tests if test["name"].startswith("cuts_sum_to_all_kpi_gross_revenue_retention")]
    cuts = {cut for (cut,) in sample.rows("select distinct segment_type from kpi_gross_revenue_retention")} - {"all"}
    assert len(cuts) == 9
    rows = [("all", 10, whole)]
    for cut in cuts:
        rows += [(cut, 4, whole / 4), (cut, 6, whole * 3 / 4 - lacks)]
    with duckdb.connect() as con:
        con.execute("attach ':memory:' as warehouse; create schema warehouse.marts")
        con.execute(
            """create table warehouse.marts.kpi_gross_revenue_retention (
            segment_type varchar, numerator double, denominator double,
            period_type varchar default 'month', period_start date default '2024-01-01')"""
        )
        table = "warehouse.marts.kpi_gross_revenue_retention (segment_type, numerator, denominator)"
        con.executemany(f"insert into {table} values (?, ?, ?)", rows)
        found = {row[2] for row in con.execute(query).fetchall()}
    assert found == (cuts if is_found else set())
