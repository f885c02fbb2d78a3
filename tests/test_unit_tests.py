"""dbt's unit tests, on a copy of the sample's build file: they need the tables that their inputs are shaped like."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

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
