"""The defect catalogue: what is wrong with a delivery is found the same night, in the right table, with its cause.

The short form runs the defects of one row and of whole loads in a few nights; the long one is `benchmarks.defects`.
"""

from __future__ import annotations

import pytest

from benchmarks.defects import END, false_alarms
from tests.defects.catalogue import DEFECTS, WHOLE
from tests.defects.company import Company
from tests.defects.measuring import Stage, batches, judge, measure, set_stage, spoil

SMALL = {"accounts": 100, "months": 18, "events": 30_000, "end": END}
# What a company of a hundred accounts delivers every night, and enough of it to be judged.
SHORT = (
    *("unknown status", "negative price", "date of 1970", "closed before opened", "exact repeats", "column renamed"),
    *("yesterday's file again", "conflicting copies", "orphan account", "id used again", "no-break spaces"),
)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    folder = tmp_path_factory.mktemp("defects")
    return set_stage(folder, Company(folder / "company", **SMALL, nights=11), 7)


def test_the_catalogue_is_whole() -> None:
    assert len(DEFECTS) >= 60
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS)
    assert set(SHORT) <= {defect.name for defect in DEFECTS}


@pytest.mark.slow
def test_defects_of_every_layer_are_found_the_same_night(stage: Stage) -> None:
    chosen = [defect for defect in DEFECTS if defect.name in SHORT and defect.table in stage.files]
    assert len(chosen) >= 8
    verdicts = []
    for dose in ("one row", "whole load"):
        wanted = [defect for defect in chosen if dose == "one row" or defect.doses == WHOLE]
        for night in batches(wanted, dose):
            outcome = spoil(stage, night, dose, stage.folder / "spoiled")
            verdicts += [judge(defect, dose, outcome) for defect in night]
    wrong = [
        (verdict.defect.name, verdict.dose, verdict.found)
        for verdict in verdicts
        if not (verdict.is_detected and verdict.is_right_table and verdict.is_right_cause and verdict.is_right_ending)
    ]
    assert not wrong


@pytest.mark.long
def test_all_defects_are_found_and_clean_nights_are_quiet(tmp_path) -> None:
    size = {"accounts": 400, "months": 30, "events": 200_000, "end": END}
    stage = set_stage(tmp_path, Company(tmp_path / "company", **size, nights=27), 22)
    verdicts = list(measure(stage, DEFECTS))
    assert sum(verdict.is_detected and verdict.is_right_cause for verdict in verdicts) >= 0.98 * len(verdicts)
    assert [verdict.defect.name for verdict in verdicts if verdict.defect.touches and not verdict.is_detected] == []
    judged, alarms = false_alarms(tmp_path, Company(tmp_path / "clean company", **size, nights=214), 200)
    assert judged >= 200
    assert sum(alarms.values()) <= 0.005 * judged
