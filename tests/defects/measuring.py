"""Puts the defects of the catalogue into a night and says what became of each.

Defects of one dose share a night as long as each has a table of its own: a finding is attributed by its table and
cause.
"""

from __future__ import annotations

import csv
import io
import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from orchestration.contract import TABLES
from tests.defects.catalogue import ALL, Context, Defect, Dose, Row
from tests.defects.company import Company
from tests.defects.nights import Outcome, accept, empty, run_night


@dataclass(frozen=True)
class Verdict:
    """What became of one defect at one dose. `found` is what the night said of its table, as text."""

    defect: Defect
    dose: Dose
    is_detected: bool
    is_right_table: bool
    is_right_cause: bool
    is_right_ending: bool
    found: str


@dataclass(frozen=True)
class Stage:
    """A warehouse after some clean nights, and the files of the night that is to be spoiled."""

    folder: Path
    build_file: Path
    day: date
    files: dict[str, Path]

    def rows(self, table: str) -> list[Row]:
        with self.files[table].open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines))


def set_stage(folder: Path, company: Company, nights: int) -> Stage:
    """Load the company's first delivery and `nights` nights after it, and deliver the files of the next one."""
    landing, build_file = folder / "landing", folder / "warehouse.duckdb"
    empty(landing)
    days = [company.first, *company.days()][: nights + 2]
    for day in days[:-1]:
        empty(landing)
        company.deliver(landing, day)
        run_night(build_file, landing, day, judge=False)
        accept(build_file, day)
    empty(landing)
    return Stage(folder, build_file, days[-1], company.deliver(landing, days[-1]))


def spoil(stage: Stage, defects: Sequence[Defect], dose: Dose, folder: Path) -> Outcome:
    """Run the night with these defects in it, on a copy of the stage."""
    landing, build_file = folder / "landing", folder / "warehouse.duckdb"
    empty(landing)
    shutil.copy(stage.build_file, build_file)
    for table, path in stage.files.items():
        target = landing / table / path.name
        target.parent.mkdir(parents=True)
        shutil.copy(path, target)
    for defect in defects:
        (landing / defect.table / stage.files[defect.table].name).write_bytes(_spoiled(stage, defect, dose))
    return run_night(build_file, landing, stage.day)


def _spoiled(stage: Stage, defect: Defect, dose: Dose) -> bytes:
    rng = random.Random(f"{defect.name} {dose}")
    rows = stage.rows(defect.table)
    possible = [row for row in rows if defect.only(row)]
    assert possible, f"{defect.name}: the night holds no row of {defect.table} that it could hit"
    count = {"one row": 1, "1 %": max(1, round(len(rows) / 100)), "whole load": len(possible)}[dose]
    hit = rng.sample(possible, min(count, len(possible)))
    spoiled = defect.corrupt(rows, hit, _context(stage, defect.table, rng))
    text = io.StringIO()
    names = list(spoiled[0] if spoiled else rows[0])
    writer = csv.DictWriter(text, names, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(spoiled or ([] if defect.as_bytes is None else rows))
    content = text.getvalue().encode()
    return defect.as_bytes(content) if defect.as_bytes else content


def _context(stage: Stage, table: str, rng: random.Random) -> Context:
    names = [column.name for column in TABLES[table].columns]
    with duckdb.connect(str(stage.build_file), read_only=True) as con:
        found = con.execute(
            f"select {', '.join(f'{name}::varchar' for name in names)}, _load_id from raw.{table} order by _loaded_at"
        ).fetchall()
    earlier = [{name: value or "" for name, value in zip(names, row, strict=False)} for row in found]
    last = max(row[-1] for row in found)
    return Context(earlier, [row for row, (*_, load) in zip(earlier, found, strict=True) if load == last], rng)


def judge(defect: Defect, dose: Dose, outcome: Outcome) -> Verdict:
    """Compare what the night said with what the catalogue expects."""
    refused = [one.reason for one in outcome.report.refused_files if one.table == defect.table]
    held = [reason for table, _, reason in outcome.quarantined if table == defect.table]
    findings = [one for one in outcome.findings if one.table == defect.table]
    said = [*refused, *held, *(f"{one.rule} [{one.severity}]" for one in findings)]
    ending = defect.ending_at(dose)
    if ending == "repaired":
        is_silent = not said
        return Verdict(defect, dose, is_silent, is_silent, is_silent, is_silent, "; ".join(said))
    named = [text for text in said if any(cause in text for cause in defect.causes)]
    is_right_ending = {
        "refused": bool(refused),
        "quarantined": bool(held),
        "flagged": any("[" in text for text in named),
        "blocked": any("[error]" in text for text in said),
    }[ending]
    elsewhere = outcome.findings or outcome.quarantined or outcome.report.refused_files
    return Verdict(
        defect, dose, bool(said or (defect.alone and elsewhere)), bool(said), bool(named), is_right_ending,
        "; ".join(dict.fromkeys(said))[:160],
    )  # fmt: skip


def batches(defects: Sequence[Defect], dose: Dose) -> Iterator[list[Defect]]:
    """The defects of a dose, as few nights as keep them apart."""
    nights: list[list[Defect]] = []
    for defect in defects:
        if dose not in defect.doses:
            continue
        # a refused file ends the night before anything is judged
        kind = defect.ending_at(dose) == "refused"
        fitting = (
            night
            for night in nights
            if not defect.alone
            and not night[0].alone
            and (night[0].ending_at(dose) == "refused") == kind
            and all(other.table != defect.table for other in night)
        )
        night = next(fitting, None)
        if night is None:
            nights.append([defect])
        else:
            night.append(defect)
    yield from nights


def measure(stage: Stage, defects: Sequence[Defect], doses: Sequence[Dose] = ALL) -> Iterator[Verdict]:
    """Every defect at every dose."""
    folder = stage.folder / "spoiled"
    for dose in doses:
        for night in batches(defects, dose):
            outcome = spoil(stage, night, dose, folder)
            for defect in night:
                yield judge(defect, dose, outcome)
