"""What several tests share: a sample company, landed, built and published once a session by the command line."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import pytest

ROOT = Path(__file__).resolve().parents[1]
CSW = [str(Path(sys.executable).with_name("csw"))]
SAMPLE_END = "2026-10-31"


# Planted into the sample's landing files, one for each column of personal data.
CANARIES = {
    ("crm_contacts", "email"): "canary.contact@leak.example",
    ("crm_contacts", "title"): "Canary Keeper Xyzzy",
    ("crm_users", "full_name"): "Ahoy Canaryname",
    ("crm_users", "email"): "canary.staff@leak.example",
    ("survey_responses", "comment"): "canarycomment, please call me on +49 170 5550199",
    ("feedback_items", "body"): "canarybody, please write to canary.text@leak.example",
    ("feedback_items", "url"): "https://canary.example/u/ada",
    ("cs_health_ratings", "comment"): "canarypulse, her phone is +49 170 5550188",
}


def plant_canaries(landing: Path) -> str:
    """Overwrite personal values with canaries; returns the contact they speak of, who answered, wrote and asked."""
    with (landing / "survey_responses.csv").open(newline="") as handle:
        contact = next(row["contact_id"] for row in csv.DictReader(handle) if row["comment"] and row["contact_id"])
    for table in {table for table, _ in CANARIES}:
        file = landing / f"{table}.csv"
        with file.open(newline="") as handle:
            reader = csv.DictReader(handle)
            names, rows = reader.fieldnames, list(reader)
        is_theirs = {"crm_contacts": "contact_id", "survey_responses": "contact_id"}.get(table)
        row = next(row for row in rows if is_theirs is None or (row[is_theirs] == contact and row.get("comment", "-")))
        row |= {column: text for (name, column), text in CANARIES.items() if name == table}
        if table == "feedback_items":
            row["contact_id"] = contact
        with file.open("w", newline="") as handle:
            writer = csv.DictWriter(handle, names, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    return contact


@dataclass(frozen=True)
class Published:
    """A warehouse folder after a night that published, and what that night printed."""

    warehouse: Path
    landing: Path
    output: str
    canary_contact: str

    @property
    def marts_file(self) -> Path:
        return self.warehouse / "marts.duckdb"

    @property
    def build_file(self) -> Path:
        return self.warehouse / "build" / "warehouse.duckdb"

    @property
    def manifest_folder(self) -> Path:
        """Where the parsed project lies."""
        [folder] = (self.warehouse / "build" / "target").iterdir()
        return folder

    @cached_property
    def manifest(self) -> dict[str, Any]:
        return json.loads((self.manifest_folder / "manifest.json").read_text())

    def lend_manifest(self, warehouse: Path) -> None:
        """Spare another warehouse that is run with the same vars the parsing."""
        shutil.copytree(self.manifest_folder, warehouse / "build" / "target" / self.manifest_folder.name)

    def rows(self, query: str) -> list[tuple]:
        """Rows of a SELECT on the published file."""
        with duckdb.connect(str(self.marts_file), read_only=True) as con:
            return con.execute(query).fetchall()


# Dozens of nights are run; one of them (the sample's) draws the dashboard, and the tests of the dashboard look at it.
os.environ["CSW_NO_DASHBOARD"] = "1"


# A minute and more each, the longest first.
SLOW_FILES = (
    *("test_orchestration.py", "test_ravenstack.py", "test_privacy.py", "test_second_night.py", "test_health.py"),
    *("test_expectations.py", "test_conservation.py", "test_usage_nights.py", "test_unit_tests.py", "test_defects.py"),
    *("test_recomputation.py", "test_publishing.py", "test_comments.py", "test_retelling.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow files first, so that no worker ends with one of them alone."""
    order = {name: place for place, name in enumerate(SLOW_FILES)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


def run_csw(*arguments: str | Path, draws: bool = False) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user would; stdout and stderr are kept as text."""
    command = [*CSW, *map(str, arguments)]
    environment = {**os.environ, "CSW_NO_DASHBOARD": "" if draws else "1"}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, env=environment)


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """The sample company of 200 accounts over 26 months, published once for all workers of the session.

    CSW_TEST_WAREHOUSE names a folder to keep it in, for the next session to find.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = Path(os.environ.get("CSW_TEST_WAREHOUSE", shared / "sample"))
    folder.mkdir(parents=True, exist_ok=True)
    landing, warehouse, output = folder / "landing", folder / "warehouse", folder / "output.txt"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not output.exists():
            size = ("--accounts", 200, "--months", 26, "--events", 60000)
            made = run_csw("sample", *size, "--end", SAMPLE_END, "--out", landing)
            assert made.returncode == 0, made.stdout + made.stderr
            (folder / "canary.txt").write_text(plant_canaries(landing))
            night = run_csw(
                "nightly", "--landing", landing, "--warehouse", warehouse, "--as-of", SAMPLE_END, draws=True
            )
            assert night.returncode == 0, night.stdout + night.stderr
            output.write_text(night.stdout + night.stderr)
    return Published(warehouse, landing, output.read_text(), (folder / "canary.txt").read_text())
