"""Runs suites with Great Expectations on the profile tables of the build file, read-only.

The import costs seconds of CPU, so it happens inside functions, once a run.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from expectations.rules import Finding, Rule, Suite, SuiteResult

ROWS_SHOWN = 10
# Great Expectations cuts even a complete list of unexpected rows at this count, 20 if it isn't told.
ROWS_ASKED = 1_000_000


def load_great_expectations() -> None:
    """Import it now, silent."""
    import great_expectations  # noqa: F401

    logging.getLogger("great_expectations").setLevel(logging.ERROR)


def run_suites(build_file: Path, suites: Sequence[Suite]) -> list[SuiteResult]:
    """Validate each suite. A rule that raises has not been checked and is a finding of severity error."""
    if not suites:
        return []
    load_great_expectations()
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_sql(
        name="build",
        connection_string=f"duckdb:///{build_file}",
        create_temp_table=False,
        kwargs={"connect_args": {"read_only": True}},
    )
    engine = source.get_execution_engine().engine
    _buffer_rows(engine)
    try:
        batches = {
            profile: source.add_table_asset(name=profile, table_name=profile, schema_name="ops")
            .add_batch_definition_whole_table("all")
            .get_batch()
            for profile in sorted({rule.profile for suite in suites for rule in suite.rules})
        }
        return _judge(suites, batches)
    finally:
        engine.dispose()
        source.get_engine().dispose()


def _buffer_rows(engine: Any) -> None:
    # Great Expectations closes the connection before it reads the rows, and DuckDB drops a closed connection's result.
    from sqlalchemy import event
    from sqlalchemy.engine.cursor import FullyBufferedCursorFetchStrategy

    @event.listens_for(engine, "after_cursor_execute")
    def buffer(_connection: Any, cursor: Any, _sql: str, _values: Any, context: Any, _many: bool) -> None:
        if cursor.description is not None:
            context.cursor_fetch_strategy = FullyBufferedCursorFetchStrategy(cursor, initial_buffer=cursor.fetchall())


class _Judged(NamedTuple):
    """A rule and its suite. Rules that differ only in their rows are one question to Great Expectations."""

    suite: Suite
    rule: Rule

    @property
    def question(self) -> tuple[Any, ...]:
        rule = self.rule
        return rule.profile, rule.kind, repr(sorted(rule.arguments.items())), rule.where[0], tuple(rule.identify)


def _judge(suites: Sequence[Suite], batches: Mapping[str, Any]) -> list[SuiteResult]:
    """What each rule found. An expectation costs some hundredths of a second however few rows it reads, so a question
    that several rules ask of different rows is asked once of all rows; where it fails, once more for the rows."""
    questions: dict[tuple[Any, ...], list[_Judged]] = defaultdict(list)
    for suite in suites:
        for rule in suite.rules:
            questions[_Judged(suite, rule).question].append(_Judged(suite, rule))
    failed: list[tuple[_Judged, Any]] = []
    for profile, batch in batches.items():
        asked = [judged for question, judged in questions.items() if question[0] == profile]
        results = _validate(batch, [judged[0].rule for judged in asked], {"result_format": "BOOLEAN_ONLY"})
        for judged, result in zip(asked, results, strict=True):
            if not result.success:
                rule = judged[0].rule
                names = [rule.where[0], *(name for name in rule.identify if name != rule.where[0])]
                rows_wanted = {
                    "result_format": "COMPLETE",
                    "unexpected_index_column_names": names,
                    "partial_unexpected_count": ROWS_ASKED,
                }
                [detail] = _validate(batch, [rule], rows_wanted)
                failed += [(one, detail) for one in judged]
    findings: dict[str, list[Finding]] = defaultdict(list)
    not_passed = set()
    for one, detail in failed:
        found = _findings(one.suite, one.rule, detail)
        findings[one.suite.name] += found
        if found:
            not_passed.add((one.suite.name, one.rule.name))
    return [
        SuiteResult(
            suite.name,
            [rule.name for rule in suite.rules],
            [rule.name for rule in suite.rules if (suite.name, rule.name) not in not_passed],
            findings[suite.name],
        )
        for suite in suites
    ]


def _validate(batch: Any, rules: Sequence[Rule], result_format: Any) -> list[Any]:
    import great_expectations as gx

    expectations = [
        getattr(gx.expectations, rule.kind)(**rule.arguments, meta={"number": number})
        for number, rule in enumerate(rules)
    ]
    outcome = batch.validate(gx.ExpectationSuite(name="rules", expectations=expectations), result_format=result_format)
    return sorted(outcome.results, key=lambda result: result.expectation_config.meta["number"])


def _findings(suite: Suite, rule: Rule, result: Any) -> list[Finding]:
    raised = _exception_of(result.exception_info)
    if raised:
        remedy = "The rule could not be checked, so nothing is published. Mend the rule or the table it reads."
        table = f"ops.{rule.profile}"
        return [Finding(suite.name, rule.name, rule.kind, table, "error", 0, [raised], remedy)]
    by_table: dict[str, list[str]] = defaultdict(list)
    where, value = rule.where
    for row in result.result["unexpected_index_list"]:
        if str(row[where]) == value:
            named = {name: row[name] for name in (*rule.identify[1:], *set(row) - {where, *rule.identify})}
            text = ", ".join(f"{name}={_short(each)}" for name, each in named.items())
            by_table[str(row[rule.identify[0]])].append(text)
    return [
        Finding(
            suite.name, rule.name, rule.kind, table, rule.severity, len(rows), sorted(rows)[:ROWS_SHOWN], rule.remedy
        )
        for table, rows in sorted(by_table.items())
    ]


def _short(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def _exception_of(info: Any) -> str:
    """The message of an exception inside an expectation; it comes plain or under one key a metric."""
    details = [info, *info.values()] if isinstance(info, dict) else []
    for detail in details:
        if isinstance(detail, dict) and detail.get("raised_exception"):
            return str(detail.get("exception_message") or "the expectation raised an exception")
    return ""
