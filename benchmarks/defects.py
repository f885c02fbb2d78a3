"""`python -m benchmarks.defects`: which defects are found the same night, and how often a clean night alarms.

Options: --nights (clean nights, 200), --prior (nights before the spoiled one, 22), --accounts, --months, --events,
--seed (another company: bands that were set by one company's nights are to hold in another's).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter, defaultdict
from datetime import date
from pathlib import Path

from tests.defects.catalogue import DEFECTS
from tests.defects.company import Company
from tests.defects.measuring import Verdict, measure, set_stage
from tests.defects.nights import accept, empty, run_night

END = date(2026, 10, 31)
# Nights of learning: until then the bands have too little history to judge by.
LEARNING = 14


def table_of(verdicts: list[Verdict]) -> str:
    """Detection by layer and dose, as aligned text."""
    groups: dict[tuple[str, str], list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        groups[verdict.defect.layer, verdict.dose].append(verdict)
        groups["all", "all"].append(verdict)
        if verdict.defect.touches:
            groups["money or identity", "all"].append(verdict)
    lines = [f"{'layer':18} {'dose':10} {'tried':>5} {'found':>7} {'table':>7} {'cause':>7} {'outcome':>7}"]
    for (layer, dose), found in groups.items():
        shares = [
            sum(getattr(verdict, mark) for verdict in found) / len(found)
            for mark in ("is_detected", "is_right_table", "is_right_cause", "is_right_ending")
        ]
        lines.append(f"{layer:18} {dose:10} {len(found):5} " + " ".join(f"{share:7.1%}" for share in shares))
    wrong = [verdict for verdict in verdicts if not (verdict.is_right_cause and verdict.is_right_ending)]
    lines += [
        f"  {one.defect.name} ({one.dose}) in {one.defect.table}: said {one.found or 'nothing'!r}" for one in wrong
    ]
    return "\n".join(lines)


def false_alarms(folder: Path, company: Company, nights: int) -> tuple[int, Counter[str]]:
    """(clean nights judged, alarms by rule and table) over the nights after the learning ones."""
    landing, build_file = folder / "clean", folder / "clean.duckdb"
    alarms: Counter[str] = Counter()
    judged = 0
    for number, day in enumerate([company.first, *company.days()][: nights + LEARNING + 1]):
        empty(landing)
        company.deliver(landing, day)
        outcome = run_night(build_file, landing, day, judge=number > LEARNING)
        accept(build_file, day)
        if number > LEARNING:
            judged += 1
            for finding in outcome.findings:
                alarms[f"{finding.rule} {finding.table}"] += 1
                print(f"  {day} {finding.rule} {finding.table}: {'; '.join(finding.rows[:2])}", flush=True)
    return judged, alarms


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (
        ("nights", 200),
        ("prior", 22),
        ("accounts", 400),
        ("months", 30),
        ("events", 200_000),
        ("seed", 7),
    ):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    size = {name: getattr(options, name) for name in ("accounts", "months", "events", "seed")} | {"end": END}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stage = set_stage(folder, Company(folder / "spoiled", **size, nights=options.prior + 5), options.prior)
        print(table_of(list(measure(stage, DEFECTS))), flush=True)
        if options.nights:
            company = Company(folder / "clean company", **size, nights=options.nights + LEARNING)
            judged, alarms = false_alarms(folder, company, options.nights)
            total = sum(alarms.values())
            print(f"\n{total} false alarms in {judged} clean nights: {100 * total / judged:.2f} in 100")


if __name__ == "__main__":
    sys.exit(main())
