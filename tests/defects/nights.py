"""Nights of loading and checking what arrived, without the build: the stages that find most defects."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path

import duckdb

from expectations.arrivals import accept_arrivals, profile_arrivals
from expectations.raw import RAW_SUITES
from expectations.rules import Finding
from expectations.runner import run_suites
from orchestration.loading import LoadReport, load_landing


@dataclass
class Outcome:
    """What a night said: files refused, rows quarantined, and what the checks found."""

    report: LoadReport
    quarantined: list[tuple[str, str, str]]
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_blocked(self) -> bool:
        return any(finding.severity == "error" for finding in self.findings)


def run_night(build_file: Path, landing: Path, day: date, *, judge: bool = True) -> Outcome:
    """Load the landing folder at two in the morning of `day`, and judge what arrived as a night does."""
    run_id = f"night of {day}"
    with duckdb.connect(str(build_file)) as con:
        now = datetime.combine(day, time(2))
        report = load_landing(con, landing, run_id=run_id, loaded_at=now, progress=lambda _: None)
        refused = con.execute(
            "select table_name, coalesce(column_name, ''), reason from ops.quarantine join ops.load_log "
            "using (table_name, load_id) where run_id = ?",
            [run_id],
        ).fetchall()
        profile_arrivals(con, run_id, day)
    outcome = Outcome(report, refused)
    if judge and not report.refused_files:
        outcome.findings = [found for suite in run_suites(build_file, RAW_SUITES) for found in suite.findings]
    return outcome


def accept(build_file: Path, day: date) -> None:
    """The night was published."""
    with duckdb.connect(str(build_file)) as con:
        accept_arrivals(con, f"night of {day}")


def empty(landing: Path) -> None:
    """Take away what was loaded: the loader knows files by content, so an emptied folder is faster to look through."""
    shutil.rmtree(landing, ignore_errors=True)
    landing.mkdir(parents=True)
