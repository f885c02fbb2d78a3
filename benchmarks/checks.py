"""What the Great Expectations stage costs beside the same checks as dbt tests, in one run.

Run: python -m benchmarks.checks [--accounts 400] [--events 250000] [--months 30] [--folder DIR]

A sample company is loaded for some nights and built. Of its next night, the suites of the arrivals and of the marts are
judged twice, in turn: by Great Expectations in its process, as a night does, and by `dbt test` on a small project in
which every expectation is a singular test on the same table `ops.*`. The project holds nothing else and is parsed
before it is timed, which favours dbt; a second project asks each condition once of all rows, as Great Expectations is
asked, and so holds the fewest tests that say the same.

Before anything is timed, both sides must refuse the same number of rows of every expectation: on a night whose delivery
is spoiled, and on figures that lie beyond every bound. All costs are CPU seconds of every process, medians of three.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.nights import END, command_line, settings_for
from benchmarks.processes import cpu_seconds
from expectations.arrivals import profile_arrivals
from expectations.judge import Judge
from expectations.marts import MART_SUITES
from expectations.profiles import profile_marts
from expectations.raw import RAW_SUITES
from expectations.rules import Rule
from orchestration import building
from orchestration.conservation import seal_loads, take_account
from orchestration.history import carry_history
from orchestration.warehouse import Warehouse
from tests.defects.catalogue import DEFECTS
from tests.defects.company import Company
from tests.defects.measuring import Stage, judge, set_stage, spoil

SUITES = [*RAW_SUITES, *MART_SUITES]
RULES = {f"{suite.name}__{rule.name}": rule for suite in SUITES for rule in suite.rules}
# Nights after the first load: with fewer, nothing is usual yet and most figures are not judged.
PRIOR_NIGHTS = 8
SPOILED_BY = ("features emptied", "segment shifted")
ROUNDS = 3

# Rows that a rule refuses, by the name of the rule.
Refused = dict[str, int]


def condition(rule: Rule) -> str:
    """What is true in SQL of the rows that a rule refuses; never true where a figure is NULL, which passes.

    Raises:
        ValueError: a kind of expectation or an argument that has no translation here.
    """
    given = dict(rule.arguments)
    if rule.kind == "ExpectColumnValuesToBeBetween":
        column = given.pop("column")
        bounds = [(sign, given.pop(name)) for name, sign in (("min_value", "<"), ("max_value", ">")) if name in given]
        said = " or ".join(f"{column} {sign} {bound}" for sign, bound in bounds)
    elif rule.kind == "ExpectColumnPairValuesAToBeGreaterThanB":
        upper, lower = given.pop("column_A"), given.pop("column_B")
        if given.pop("ignore_row_if") != "either_value_is_missing":
            raise ValueError(f"{rule.name}: missing values are judged")
        said = f"{upper} {'<' if given.pop('or_equal') else '<='} {lower}"
    else:
        raise ValueError(f"{rule.name}: {rule.kind} has no translation")
    if given:
        raise ValueError(f"{rule.name}: {', '.join(given)} has no translation")
    return said


def tests_by_expectation() -> dict[str, str]:
    """A singular dbt test an expectation: its name and SQL."""
    tests = {}
    for name, rule in RULES.items():
        column, value = rule.where
        sql = f"select * from ops.{rule.profile} where {column} = '{value}' and ({condition(rule)})"
        tests[name] = f"{{{{ config(severity='{'warn' if rule.severity == 'warning' else 'error'}') }}}}\n{sql}\n"
    return tests


def tests_by_condition() -> dict[str, str]:
    """A singular dbt test a condition, of all rows of its table."""
    asked = sorted({f"select * from ops.{rule.profile} where {condition(rule)}\n" for rule in RULES.values()})
    return {f"condition_{number}": sql for number, sql in enumerate(asked)}


class Project:
    """A dbt project that holds nothing but these tests (name -> SQL), on this file."""

    def __init__(self, folder: Path, build_file: Path, tests: Mapping[str, str]) -> None:
        self.folder, self.tests = folder, tests
        (folder / "tests").mkdir(parents=True)
        for name, sql in tests.items():
            (folder / "tests" / f"{name}.sql").write_text(sql, encoding="utf-8")
        flags = {"send_anonymous_usage_stats": False}
        project = {"name": "checks", "version": "1.0", "profile": "checks", "test-paths": ["tests"], "flags": flags}
        output = {"type": "duckdb", "path": str(build_file), "threads": 1}
        profile = {"checks": {"target": "file", "outputs": {"file": output}}}
        for name, content in (("dbt_project", project), ("profiles", profile)):
            (folder / f"{name}.yml").write_text(json.dumps(content), encoding="utf-8")

    def run(self) -> Refused:
        """`dbt test`: the rows that each test finds.

        Raises:
            SystemExit: a test could not run.
        """
        command = [str(Path(sys.executable).with_name("dbt")), "test", "--project-dir", ".", "--profiles-dir", "."]
        results = self.folder / "target" / "run_results.json"
        results.unlink(missing_ok=True)
        ended = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        found = json.loads(results.read_text(encoding="utf-8"))["results"] if results.exists() else []
        if len(found) != len(self.tests) or any(one["status"] not in ("pass", "fail", "warn") for one in found):
            raise SystemExit(f"dbt could not run every test:\n{ended.stdout[-3000:]}")
        return {one["unique_id"].split(".")[2]: one["failures"] for one in found}


def by_great_expectations(build_file: Path) -> Refused:
    """The two requests of a night to a process of its own: the rows that each expectation refuses.

    Raises:
        SystemExit: an expectation could not be checked.
    """
    with Judge(build_file.parent / "judge.log") as other:
        results = [*other.run(build_file, RAW_SUITES), *other.run(build_file, MART_SUITES)]
    refused = dict.fromkeys(RULES, 0)
    for result in results:
        for finding in result.findings:
            if not finding.unexpected:
                raise SystemExit(f"{finding.suite}.{finding.rule} could not be checked: {finding.rows}")
            refused[f"{finding.suite}__{finding.rule}"] += finding.unexpected
    return refused


def require_same(title: str, by_gx: Refused, by_dbt: Refused) -> None:
    """Say how many expectations refuse something.

    Raises:
        SystemExit: the two sides differ.
    """
    differing = [
        f"{name}: {by_gx.get(name)} rows by Great Expectations, {by_dbt.get(name)} by dbt"
        for name in sorted({*by_gx, *by_dbt})
        if by_gx.get(name) != by_dbt.get(name)
    ]
    if differing:
        raise SystemExit("\n".join([f"{title}: the two sides differ", *differing]))
    refusing = sum(rows > 0 for rows in by_gx.values())
    print(f"{title}: {refusing} of {len(by_gx)} expectations refuse rows, the same on both sides", flush=True)


def build_marts(folder: Path, stage: Stage) -> Callable[[duckdb.DuckDBPyConnection], None]:
    """Build the marts of the stage by the nights that it holds; the function given measures them as a night does."""
    settings = settings_for(folder, stage.day - timedelta(days=1))
    manifest_folder = building.prepare_manifest(Warehouse(settings.warehouse), settings.given_vars)
    unpublished = folder / "no publication yet"
    with duckdb.connect(str(stage.build_file)) as con:
        seal_loads(con)
        carry_history(con, unpublished)
    variables = {**settings.dbt_vars, "published_at": "2026-01-01 00:00:00"}
    nodes = building.build(stage.build_file, manifest_folder, variables, full_refresh=True, progress=lambda _line: None)
    if broken := [node.name for node in nodes if node.is_broken]:
        raise SystemExit(f"the build fails: {', '.join(broken)}")
    manifest = building.read_manifest(manifest_folder)

    def profile(con: duckdb.DuckDBPyConnection) -> None:
        take_account(con, manifest, as_of=settings.as_of, timezone=settings.var("reporting_timezone"))
        profile_marts(con, settings.as_of, unpublished)

    return profile


def spoil_figures(build_file: Path) -> None:
    """Put every figure that a rule judges beyond one of its bounds."""
    with duckdb.connect(str(build_file)) as con:
        for rule in RULES.values():
            given = rule.arguments
            if "column_A" in given:
                beyond = f"{given['column_A']} = 0, {given['column_B']} = 1"
            else:
                value = given["max_value"] + 1 if "max_value" in given else given["min_value"] - 1
                beyond = f"{given['column']} = {value}"
            con.execute(f"update ops.{rule.profile} set {beyond}")


def counted(run: Callable[[], Any]) -> tuple[Any, float]:
    """What a call returns and its CPU seconds, those of the processes that it started included."""
    began = cpu_seconds()
    return run(), cpu_seconds() - began


def report(accounts: int, events: int, months: int, folder: Path) -> None:
    """Prepare the nights, hold both sides to each other, time them and print the ratios."""
    size = {"accounts": accounts, "months": months, "events": events, "end": END}
    stage = set_stage(folder, Company(folder / "company", **size, nights=PRIOR_NIGHTS + 2), PRIOR_NIGHTS)
    profile = build_marts(folder, stage)
    with duckdb.connect(str(stage.build_file)) as con:
        profile(con)

    # dbt reads its project anew when the path of the file changes, so each night is judged under the same name
    judged = folder / "judged" / stage.build_file.name
    judged.parent.mkdir()
    each = Project(folder / "each", judged, tests_by_expectation())
    fewest = Project(folder / "fewest", judged, tests_by_condition())

    defects = [defect for defect in DEFECTS if defect.name in SPOILED_BY]
    outcome = spoil(stage, defects, "whole load", folder / "spoiled")
    if missed := [one.name for one in defects if not judge(one, "whole load", outcome).is_detected]:
        raise SystemExit(f"a night does not find: {', '.join(missed)}")
    shutil.copy(folder / "spoiled" / judged.name, judged)
    require_same(f"a delivery with {' and '.join(SPOILED_BY)}", by_great_expectations(judged), each.run())
    spoil_figures(judged)
    require_same("figures beyond every bound", by_great_expectations(judged), each.run())
    fewest.run()  # reads its project, so that this is not timed

    spoil(stage, [], "whole load", folder / "spoiled")  # nothing is put in: the night as it came
    shutil.copy(folder / "spoiled" / judged.name, judged)
    gx, dbt, few, profiling = [], [], [], []
    for number in range(ROUNDS):
        found, seconds = counted(lambda: by_great_expectations(judged))
        gx.append(seconds)
        found_by_dbt, seconds = counted(each.run)
        dbt.append(seconds)
        few.append(counted(fewest.run)[1])
        profiling.append(counted(lambda: measure_again(stage, judged, profile))[1])
        if not number:
            require_same("the night as it came", found, found_by_dbt)

    measured = statistics.median(profiling)
    print(f"\n{accounts:,} accounts, {events:,} events; CPU seconds, medians of {ROUNDS}")
    print(f"{'':48}{'checks':>10}{'with the measuring':>20}")
    sides = (
        (f"Great Expectations, {len(RULES)} expectations", gx),
        (f"dbt test, one an expectation ({len(each.tests)})", dbt),
        (f"dbt test, one a condition ({len(fewest.tests)})", few),
    )
    for label, costs in sides:
        print(f"{label:48}{statistics.median(costs):10.2f}{statistics.median(costs) + measured:20.2f}")
    ours = statistics.median(gx)
    for label, costs in sides[1:]:
        theirs = statistics.median(costs)
        ratios = f"{ours / theirs:10.2f}{(ours + measured) / (theirs + measured):20.2f}"
        print(f"{'Great Expectations / ' + label.split(' (')[0]:48}{ratios}")


def measure_again(stage: Stage, judged: Path, profile: Callable[[duckdb.DuckDBPyConnection], None]) -> None:
    """The SQL that measures what the checks judge: what arrived and what was built."""
    with duckdb.connect(str(judged)) as con:
        profile_arrivals(con, f"night of {stage.day}", stage.day)
        profile(con)


if __name__ == "__main__":
    command_line(__doc__, report, accounts=400, events=250_000)
