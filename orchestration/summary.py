"""What a run tells people: the summary at its end, the scoreboard of headline KPIs, and the status at any time."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import duckdb

from orchestration.conservation import lines_of
from orchestration.night import BLOCKED, FAILED, PUBLISHED, UNFINISHED, Night
from orchestration.warehouse import Warehouse, is_running

PROBLEMS_SHOWN = 20
SLOWEST_SHOWN = 15
NOT_AVAILABLE = "-"

_SCOREBOARD = """
select
    kpis.kpi_name, kpis.unit, board.period_start, board.value, board.target, coalesce(board.target_status, '-')
from (
    select * from mart_kpi_values
    where is_headline and segment_type = 'all' and is_complete and period_type in ('month', 'quarter')
    qualify row_number() over (partition by kpi_id order by period_type, period_start desc) = 1
) as board
join dim_kpis as kpis using (kpi_id)
order by kpis.headline_rank
"""


def summary_of(night: Night) -> str:
    """The lines that a run ends with: files, rows, models, checks, seconds a stage, and where to look."""
    lines = ["", f"Night of {night.settings.as_of}: {night.ending.upper()}"]
    if night.load:
        load = night.load
        files = ", ".join(f"{load.total('files_' + kind)} {kind}" for kind in ("new", "known", "refused"))
        rows = ", ".join(f"{load.total('rows_' + kind):,} {kind}" for kind in ("delivered", "loaded", "quarantined"))
        lines += [f"  files      {files}", f"  rows       {rows}"]
        for refused in load.refused_rows[:PROBLEMS_SHOWN]:
            lines.append(f"    quarantined {refused.message()}")
        extra = {f"{table.table}.{name}" for table in load.tables.values() for name in table.extra_columns}
        if extra:
            lines.append(f"    columns not in the contract, left out: {', '.join(sorted(extra))}")
    lines += (
        [f"  {'kept' if not at else '':9}  {line}" for at, line in enumerate(lines_of(night.accounts))]
        if night.accounts
        else []
    )
    lines += _built_and_checked(night)
    lines.append("  seconds    " + ", ".join(f"{name} {seconds:.1f}" for name, seconds in night.stages.items()))
    lines += _problems(night)
    lines += told_lines(asdict(night.told) if night.told else None)
    if night.exit_code in (PUBLISHED, UNFINISHED):
        lines += [f"  {name:10} {what}" for name, what in night.served.items()]
        lines += [f"  unfinished {problem.text()}" for problem in night.unserved]
        lines += [f"  warning    {problem.text()}" for problem in night.undrawn]
        lines += [f"  published  {night.warehouse.marts_file} (version {night.publication.version})", ""]
        lines += scoreboard(night.warehouse)
    return "\n".join(lines)


def _built_and_checked(night: Night) -> list[str]:
    built = sum(not node.is_test and node.status == "success" for node in night.nodes)
    tests = [node for node in night.nodes if node.is_test]
    rules = sum(len(suite.rules) for suite in night.suites)
    met = sum(len(suite.passed) for suite in night.suites)
    passed = sum(node.status == "pass" for node in tests)
    skipped = sum(node.status == "skipped" for node in night.nodes)
    return [
        f"  built      {built} models and seeds" + (f", {skipped} nodes skipped" if skipped else ""),
        f"  checks     {passed} of {len(tests)} data tests and {met} of {rules} expectations passed, "
        f"{len(night.warnings())} warned, {len(night.errors())} failed",
    ]


def _problems(night: Night) -> list[str]:
    lines = [f"  warning    {problem.text()}" for problem in night.warnings()[:PROBLEMS_SHOWN]]
    if night.stopped:
        shown = night.stopped.problems[:PROBLEMS_SHOWN]
        lines += [f"  {night.ending:9}  {problem.text()}" for problem in shown]
        more = len(night.stopped.problems) - len(shown)
        lines += [f"  and {more} more, all of them in {night.warehouse.last_run_file}"] if more > 0 else []
    if night.exit_code == FAILED:
        lines += [f"  failed     {night.crash}", f"  the trace is in {night.log_file}"]
    if night.exit_code not in (PUBLISHED, UNFINISHED):
        lines += [f"  nothing was published; {published_now(night.warehouse)}"]
    if night.exit_code == BLOCKED:
        again = command_to_go_on(night.outcome(), night.warehouse)
        lines += [f"  to go on   mend what is named above, then: {again}"]
    return lines


def published_now(warehouse: Warehouse) -> str:
    """What the published file stands for, of a night that published nothing."""
    from orchestration.publishing import read_publication

    current = read_publication(warehouse.marts_file)
    return f"{warehouse.marts_file} still stands for {current.as_of_date}" if current else "nothing was before"


def scoreboard(warehouse: Warehouse) -> list[str]:
    """The headline KPIs of the published file: last complete period, value, target and status."""
    with duckdb.connect(str(warehouse.marts_file), read_only=True) as con:
        tables = {name for (name,) in con.execute("select table_name from duckdb_tables()").fetchall()}
        rows = con.execute(_SCOREBOARD).fetchall() if {"mart_kpi_values", "dim_kpis"} <= tables else []
    lines = [f"  {'headline KPI':34} {'period':10} {'value':>14} {'target':>14}  status"]
    for name, unit, period, value, target, status in rows:
        lines.append(f"  {name:34} {period:%Y-%m}    {_figure(value, unit):>14} {_figure(target, unit):>14}  {status}")
    if not rows:
        lines.append("  no complete period yet")
    return [*lines, "", f'  look       csw query "select * from mart_kpi_values limit 10" --warehouse {warehouse.root}']


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return NOT_AVAILABLE
    return f"{value * 100:.2f} %" if unit in ("rate", "share", "percent", "ratio") else f"{value:,.2f}"


def timings_of(night: Night) -> str:
    """Seconds by stage, and the slowest nodes of dbt."""
    lines = ["", "seconds by stage"]
    lines += [f"  {seconds:8.2f}  {name}" for name, seconds in night.stages.items()]
    tests = sum(node.seconds for node in night.nodes if node.is_test)
    models = sum(node.seconds for node in night.nodes if not node.is_test)
    lines += ["seconds by dbt node", f"  {models:8.2f}  all models and seeds", f"  {tests:8.2f}  all data tests"]
    slowest = sorted(night.nodes, key=lambda node: node.seconds, reverse=True)[:SLOWEST_SHOWN]
    lines += [f"  {node.seconds:8.2f}  {node.resource_type} {node.name}" for node in slowest]
    return "\n".join(lines)


def status_of(warehouse: Warehouse) -> str:
    """What is published, what could be rolled back to, how the last run ended, and what to do about it."""
    from orchestration.publishing import kept_versions, read_publication

    current = read_publication(warehouse.marts_file)
    if current is None:
        lines = [f"nothing is published in {warehouse.root}"]
    else:
        lines = [
            f"published  {warehouse.marts_file}",
            f"  as of {current.as_of_date}, published {current.published_at:%Y-%m-%d %H:%M:%S} UTC, "
            f"{current.reporting_currency}, {current.reporting_timezone}",
            f"  version {current.version}, code {current.code_version}, inputs {current.input_hash[:12]}",
            f"  {current.checks_passed} checks passed, {current.checks_warned} warned",
            f"versions   {', '.join(kept_versions(warehouse)) or 'none kept'}",
        ]
    return "\n".join([*lines, *_last_run(warehouse), *_waiting(warehouse)])


def _last_run(warehouse: Warehouse) -> list[str]:
    last: dict[str, Any] | None = warehouse.read_last_run()
    if last is None:
        return ["last run   none yet"]
    if last["outcome"] == "running":
        state = "is under way" if is_running(warehouse) else "was killed; the next run cleans up after it"
        return [f"last run   started {last['started_at']} {state}"]
    lines = [f"last run   {last['outcome']}, as of {last['as_of']}, ended {last['finished_at']}"]
    lines += [f"  {problem}" for problem in last["problems"]]
    if last["crash"]:
        lines += [f"  {last['crash']}", f"  the trace is in {last['log']}"]
    lines += [f"  unfinished {problem}" for problem in last.get("unserved", [])]
    lines += [f"  warning  {warning}" for warning in last["warnings"]]
    if last["version"] is None:
        lines.append(f"  to go on   mend what is named above, then: {command_to_go_on(last, warehouse)}")
    return [*lines, *told_lines(last.get("alert"))]


def _waiting(warehouse: Warehouse) -> list[str]:
    from orchestration.quarantine import waiting_rows

    if is_running(warehouse):  # the run has the build file
        return []
    return [f"quarantine {problem.text()}" for problem in waiting_rows(warehouse)]


def command_to_go_on(last: Mapping[str, Any], warehouse: Warehouse) -> str:
    """The command that runs the night again whose outcome (last.json) this is, as a shell reads it. What it may not
    show is named in a comment."""
    folders = ["--landing", str(last["landing"]), "--warehouse", str(warehouse.root)]
    given = [f"{name}={_plain(value)}" for name, value in last["vars"].items()]
    command = ["csw", "nightly", *folders, "--as-of", str(last["as_of"]), *(["--var", *given] if given else [])]
    command += last.get("options", [])
    withheld = ", ".join(last.get("withheld", []))
    return shlex.join(command) + (f"  # with {withheld} as before" if withheld else "")


def told_lines(told: Mapping[str, Any] | None) -> list[str]:
    """Where the digest lies, where it was sent, and where it could not be sent."""
    if told is None:
        return []
    sent = f", sent by {' and '.join(told['sent'])}" if told["sent"] else ""
    lines = [f"  digest     {told['file']}{sent}"] if told["file"] else []
    return lines + [f"  not sent   {failure}" for failure in told["failed"]]


def _plain(value: Any) -> str:
    return ",".join(value) if isinstance(value, dict) else str(value)
