"""dbt's data tests, a statement a table.

A test node costs dbt 40 ms where its SQL costs one or two. So the tests are compiled once a code version, and a night
runs all tests of a table as one statement; every test keeps its name, its severity and its own result. `dbt build` and
`dbt test` run the same tests from the same definitions, one by one.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

TESTS_FILE = "data_tests.json"


@dataclass(frozen=True)
class NodeResult:
    """What became of one dbt node. `failures` counts offending rows of a data test; `seconds` is wall time."""

    unique_id: str
    resource_type: str
    name: str
    status: str
    seconds: float
    failures: int
    message: str
    description: str
    compiled_code: str
    attached_node: str | None

    @property
    def is_test(self) -> bool:
        return self.resource_type == "test"

    @property
    def is_broken(self) -> bool:
        return self.status in ("error", "fail", "runtime error")


def write_tests(folder: Path, nodes: Iterable[Any]) -> None:
    """Keep the compiled data tests (dbt's nodes) beside the manifest in `folder`."""
    facts = [
        {
            "unique_id": node.unique_id,
            "name": node.name,
            "description": " ".join((node.description or "").split()),
            "attached_node": getattr(node, "attached_node", None),
            "depends_on": list(node.depends_on.nodes),
            "sql": node.compiled_code,
            "severity": node.config.severity.lower(),
            "failures": node.config.fail_calc,
            "error_if": node.config.error_if,
            "warn_if": node.config.warn_if,
        }
        for node in nodes
    ]
    (folder / TESTS_FILE).write_text(json.dumps(sorted(facts, key=lambda fact: fact["unique_id"])), encoding="utf-8")


def run_tests(
    con: duckdb.DuckDBPyConnection, folder: Path, replace: Mapping[str, str], not_built: Collection[str]
) -> list[NodeResult]:
    """Run every data test on the build.

    Args:
        con: the build file.
        folder: where `write_tests` left them.
        replace: what stood for the values of this night while compiling -> those values.
        not_built: unique ids of nodes that failed or were skipped; what tests them is skipped, too.
    """
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    skipped: list[NodeResult] = []
    for test in json.loads((folder / TESTS_FILE).read_text(encoding="utf-8")):
        for placeholder, value in replace.items():
            test["sql"] = test["sql"].replace(placeholder, value)
        if not_built and not not_built.isdisjoint(test["depends_on"]):
            skipped.append(_result(test, "skipped", 0.0))
        else:
            groups[test["attached_node"] or test["unique_id"]].append(test)
    return [result for tests in groups.values() for result in _run_group(con, tests)] + skipped


def _run_group(con: duckdb.DuckDBPyConnection, tests: list[dict[str, Any]]) -> list[NodeResult]:
    parts = [
        f"select {number} as test, failures, failures {test['error_if']} as errs, failures {test['warn_if']} as warns"
        f" from (select {test['failures']} as failures from (\n{test['sql']}\n))"
        for number, test in enumerate(tests)
    ]
    began = time.perf_counter()
    try:
        rows = con.execute("\nunion all\n".join(parts)).fetchall()
    except duckdb.Error as error:
        if len(tests) > 1:  # find out whose SQL it is
            return [result for test in tests for result in _run_group(con, [test])]
        return [_result(tests[0], "error", time.perf_counter() - began, message=" ".join(str(error).split()))]
    seconds = (time.perf_counter() - began) / len(tests)
    return [_judged(tests[number], failures, errs, warns, seconds) for number, failures, errs, warns in sorted(rows)]


def _judged(test: dict[str, Any], failures: int | None, errs: bool, warns: bool, seconds: float) -> NodeResult:
    failures = int(failures or 0)
    for status, limit, reached in (("fail", test["error_if"], errs), ("warn", test["warn_if"], warns)):
        if reached and (status == "warn" or test["severity"] == "error"):
            message = f"Got {failures} results, configured to {status} if {limit}"
            return _result(test, status, seconds, failures, message)
    return _result(test, "pass", seconds, failures)


def _result(test: dict[str, Any], status: str, seconds: float, failures: int = 0, message: str = "") -> NodeResult:
    return NodeResult(
        unique_id=test["unique_id"],
        resource_type="test",
        name=test["name"],
        status=status,
        seconds=seconds,
        failures=failures,
        message=message,
        description=test["description"],
        compiled_code=test["sql"],
        attached_node=test["attached_node"],
    )
