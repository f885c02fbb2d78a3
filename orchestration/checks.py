"""Great Expectations as asset checks: on the raw tables before dbt, on the marts before publishing. Both block."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from expectations.rules import Finding, SuiteResult
from orchestration import stages
from orchestration.assets import guarded
from orchestration.contract import TABLES
from orchestration.night import Night
from orchestration.publishing import marts_of

NAME = "expectations"


def arrival_checks() -> dg.AssetChecksDefinition:
    """One check a raw table: the rules of its area's suite."""
    return _checks("check_arrivals", "raw", sorted(TABLES), stages.check_arrivals)


def mart_checks(manifest: Mapping[str, Any]) -> dg.AssetChecksDefinition:
    """One check a mart: the rules of its KPI family and of the tables that keep history."""
    return _checks("check_marts", "marts", [mart.name for mart in marts_of(manifest)], stages.check_marts)


def _checks(name: str, schema: str, tables: Sequence[str], stage: Callable[[Night], None]) -> dg.AssetChecksDefinition:
    specs = [dg.AssetCheckSpec(NAME, asset=dg.AssetKey([schema, table]), blocking=True) for table in tables]

    @dg.multi_asset_check(name=name, specs=specs, required_resource_keys={"night"})
    def check(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        night: Night = context.resources.night
        done = len(night.suites)
        with guarded(night):
            stage(night)
        found = _by_table(night.suites[done:])
        for table in tables:
            yield _result(night, dg.AssetKey([schema, table]), found[table])
        with guarded(night):
            if night.stopped:  # whatever isn't about one table of this list blocks as well
                raise night.stopped

    return check


def _by_table(suites: Sequence[SuiteResult]) -> Mapping[str, list[Finding]]:
    found: dict[str, list[Finding]] = defaultdict(list)
    for suite in suites:
        for finding in suite.findings:
            found[finding.table].append(finding)
    return found


def _result(night: Night, key: dg.AssetKey, findings: Sequence[Finding]) -> dg.AssetCheckResult:
    blocks = any(night.severity_of(finding) == "error" for finding in findings)
    return dg.AssetCheckResult(
        passed=not findings,
        asset_key=key,
        check_name=NAME,
        severity=dg.AssetCheckSeverity.ERROR if blocks else dg.AssetCheckSeverity.WARN,
        metadata={
            finding.rule: f"{finding.unexpected} unexpected: {'; '.join(finding.rows)} -> {finding.remedy}"
            for finding in findings
        },
    )
