"""One run: what it was told, its stages in order, and how it ended.

The stages are plain functions of a `Night`; Dagster's assets call them, so `csw nightly`, the schedule and `dagster
dev` run the same.
"""

from __future__ import annotations

import shutil
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from orchestration.settings import Settings, now_utc
from orchestration.variables import UsageError
from orchestration.warehouse import Warehouse, activations, exclusive, open_database

if TYPE_CHECKING:
    from expectations.judge import Judge
    from expectations.rules import Finding, SuiteResult
    from orchestration.alerting import Told
    from orchestration.conservation import TableAccount
    from orchestration.data_tests import NodeResult
    from orchestration.loading import LoadReport
    from orchestration.publishing import Publication

PUBLISHED, BLOCKED, REFUSED, FAILED, UNFINISHED = 0, 1, 2, 3, 4
# How Python and DuckDB speak of a full disk, and the bytes below which whatever went wrong is put down to it.
DISK_IS_FULL = ("No space left on device", "disk is full")
ALMOST_FULL = 1_000_000
ENDINGS = {
    PUBLISHED: "published",
    BLOCKED: "blocked",
    REFUSED: "refused",
    FAILED: "failed",
    UNFINISHED: "published, but not everywhere",
}


class Stopped(Exception):
    """The run ends here without publishing, for a reason that people can mend: blocked by a check, or refused input."""

    def __init__(self, exit_code: int, problems: list[Problem]) -> None:
        super().__init__("\n".join(problem.text() for problem in problems))
        self.exit_code = exit_code
        self.problems = problems


@dataclass(frozen=True)
class Problem:
    """One reason why a run was blocked or refused, or one warning: where, what, which rows, what to do.

    `rule` names the check (or the file) the same way every night, so that a problem is known again.
    """

    table: str
    what: str
    rows: tuple[str, ...]
    remedy: str
    rule: str = ""

    def text(self) -> str:
        rows = "".join(f"\n      {row}" for row in self.rows)
        return f"{self.table}: {self.what}{rows}\n    -> {self.remedy}"


@dataclass
class Night:
    """The state of one run. Times are UTC; `stages` holds seconds of wall time by stage.

    `published_at` is later than every earlier publication, and from loading on than every load; it is settled before
    the build, so that what dbt writes down as the moment of publication is that moment.
    `unserved` are copies that were asked for and could not be made, `undrawn` is what else went wrong after the
    publication: it's told, but changes no exit code.
    """

    settings: Settings
    warehouse: Warehouse
    echo: Callable[[str], None]
    started_at: datetime
    published_at: datetime
    retries: int = 0
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    stages: dict[str, float] = field(default_factory=dict)
    load: LoadReport | None = None
    nodes: list[NodeResult] = field(default_factory=list)
    suites: list[SuiteResult] = field(default_factory=list)
    accounts: list[TableAccount] = field(default_factory=list)
    publication: Publication | None = None
    served: dict[str, str] = field(default_factory=dict)
    unserved: list[Problem] = field(default_factory=list)
    undrawn: list[Problem] = field(default_factory=list)
    stopped: Stopped | None = None
    crash: str | None = None
    judge: Judge = field(init=False)
    told: Told | None = None
    _began: float = field(default_factory=time.perf_counter)

    @property
    def log_file(self) -> Path:
        return self.warehouse.runs / f"{self.started_at:%Y%m%dT%H%M%S}-{self.run_id[:8]}.log"

    @property
    def exit_code(self) -> int:
        if self.stopped is not None:
            return self.stopped.exit_code
        if self.crash or self.publication is None:
            return FAILED
        return UNFINISHED if self.unserved else PUBLISHED

    @property
    def ending(self) -> str:
        """The exit code in a word."""
        return ENDINGS[self.exit_code]

    def say(self, text: str) -> None:
        """A line of progress, with the seconds since the start."""
        line = f"[{time.perf_counter() - self._began:7.1f} s] {text}"
        self.echo(line)
        self._log(line + "\n")

    def _log(self, text: str) -> None:
        # The log copies what the terminal shows. On a full disk the night must still get as far as saying so.
        with suppress(OSError), self.log_file.open("a", encoding="utf-8") as log:
            log.write(text)

    @contextmanager
    def stage(self, name: str, *, after: str | None = None) -> Iterator[None]:
        """Time a stage and remember how it failed, if it does. A run that left out the stage before is refused: what
        that stage would have made or checked is of another night."""
        self.say(name)
        began = time.perf_counter()
        try:
            if after is not None and after not in self.stages:
                raise UsageError(f"this run has left out {after!r}: launch the job nightly as a whole")
            yield
        except Stopped as stopped:
            self.stopped = stopped
            raise
        except UsageError as error:
            self.stopped = Stopped(REFUSED, [Problem("input", str(error), (), "set it right and run again")])
            raise self.stopped from error
        except Exception as error:
            self.note_crash(f"{name}: {type(error).__name__}: {error}", traceback.format_exc())
            raise
        else:
            self.crash = None  # a retry went well
        finally:
            self.stages[name] = self.stages.get(name, 0.0) + time.perf_counter() - began

    @contextmanager
    def after_publication(self, name: str, remedy: str, *, is_asked_for: bool = True) -> Iterator[None]:
        """Time a stage that follows the publication. What fails is noted with this remedy; what is published stands.

        The night is unfinished when something fails that was asked for by an option, or when it was interrupted, since
        that takes what would have followed along. A stage that is tried again counts by its last try.

        The error goes on to the caller, so that Dagster shows the step as failed.
        """
        self.say(name)
        began = time.perf_counter()
        for noted in (self.unserved, self.undrawn):
            noted[:] = [problem for problem in noted if problem.table != name]
        try:
            if self.publication is None:
                raise UsageError("this run has published nothing")
            yield
        except BaseException as error:
            if not isinstance(error, UsageError):
                self._log(traceback.format_exc())
            what = str(error) if isinstance(error, UsageError) else f"{type(error).__name__}: {error}"
            is_unfinished = is_asked_for or not isinstance(error, Exception)
            (self.unserved if is_unfinished else self.undrawn).append(Problem(name, what, (), remedy))
            raise
        finally:
            self.stages[name] = self.stages.get(name, 0.0) + time.perf_counter() - began

    def note_crash(self, what: str, trace: str) -> None:
        """The run failed in a way that nobody foresaw; the trace goes into the log."""
        # SQLite calls it an I/O error
        if any(words in what for words in DISK_IS_FULL) or shutil.disk_usage(self.warehouse.root).free < ALMOST_FULL:
            what += "\n  the disk is full: make room for the warehouse and run again, nothing is lost"
        self.crash = what
        self._log(trace)

    @contextmanager
    def connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The build file, open for writing and closed again before dbt or Great Expectations open it."""
        with open_database(str(self.warehouse.build_file), spill=self.warehouse.build) as con:
            yield con

    def warnings(self) -> list[Problem]:
        """What was found but doesn't block, files that belong to no raw table first."""
        ignored = [
            Problem(notice.path, f"not loaded: {notice.reason}", (), notice.remedy, rule="not_loaded")
            for notice in (self.load.notices if self.load else ())
        ]
        return ignored + [problem for severity, problem in self._found() if severity == "warning"]

    def errors(self) -> list[Problem]:
        """What was found and blocks."""
        return [problem for severity, problem in self._found() if severity == "error"]

    def severity_of(self, finding: Finding) -> str:
        """The rule's own severity, unless this night was told to accept it."""
        return "warning" if f"{finding.suite}.{finding.rule}" in self.settings.accept else finding.severity

    def _found(self) -> Iterator[tuple[str, Problem]]:
        for suite in self.suites:
            for found in suite.findings:
                name, severity, remedy = f"{found.suite}.{found.rule}", self.severity_of(found), found.remedy
                if severity == "error":
                    remedy += f" If it is meant, let this night pass by adding: --accept {name}"
                what = f"{name} ({found.expectation}), {found.unexpected} unexpected"
                yield severity, Problem(found.table, what, tuple(found.rows), remedy, name)
        for node in self.nodes:
            if node.is_broken or node.status == "warn":
                yield "error" if node.is_broken else "warning", _node_problem(self, node)

    def outcome(self) -> dict[str, Any]:
        """What last.json says of this run."""
        return {
            "run_id": self.run_id,
            "started_at": self.started_at,
            "finished_at": now_utc(),
            "outcome": self.ending,
            "exit_code": self.exit_code,
            "as_of": self.settings.as_of,
            "landing": self.settings.landing,
            "vars": dict(self.settings.given_vars),
            "options": self.settings.options,
            "withheld": self.settings.withheld,
            "stages": {name: round(seconds, 3) for name, seconds in self.stages.items()},
            "problems": [problem.text() for problem in self.stopped.problems] if self.stopped else [],
            "unserved": [problem.text() for problem in self.unserved],
            "warnings": [problem.text() for problem in [*self.warnings(), *self.undrawn]],
            "crash": self.crash,
            "log": self.log_file,
            "version": self.publication.version if self.publication else None,
            "alert": asdict(self.told) if self.told else None,
        }


def _node_problem(night: Night, node: NodeResult) -> Problem:
    from orchestration.building import OUT_OF_MEMORY, failing_rows

    table = (node.attached_node or node.unique_id).rsplit(".", 1)[-1] if node.is_test else node.name
    if node.is_test and node.status != "error":
        what = f"test {node.name}: {node.failures} rows fail" + (f" ({node.description})" if node.description else "")
        remedy = "mend these rows in the source and deliver them again, then run again"
        if (node.attached_node or "").startswith("seed."):
            remedy = f"mend seeds/{table}.csv, then run again"
    else:
        what = f"{node.resource_type} {node.name} failed: {node.message}"
        remedy = "see the model; the message above is the database's"
        if OUT_OF_MEMORY in node.message:
            remedy = "the machine has too little memory for this model; run it on a larger one"
    return Problem(table, what, tuple(failing_rows(night.warehouse.build_file, node)), remedy, node.name)


def _echo(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def begin(night: Night) -> None:
    """Note that a run is under way, and clean up after a killed one."""
    from orchestration.publishing import clean_leftovers

    warehouse = night.warehouse
    warehouse.write_last_run({"run_id": night.run_id, "started_at": night.started_at, "outcome": "running"})
    for name in clean_leftovers(warehouse):
        night.say(f"removed {name}, left by a run that was killed")
    if warehouse.erasure_file.exists():
        from orchestration.erasing import finish_erasure

        with activations(warehouse, stopped=True):
            finish_erasure(warehouse)
        night.say("finished an erasure that was killed")


@contextmanager
def one_night(settings: Settings, echo: Callable[[str], None] = _echo) -> Iterator[Night]:
    """Hold the warehouse for one run, which calls `begin` in its first stage, and write down how it ended.

    Raises:
        UsageError: another run holds the warehouse, or its folder can't be written.
    """
    from expectations.judge import Judge
    from orchestration.alerting import tell
    from orchestration.publishing import next_instant

    warehouse = Warehouse(settings.warehouse)
    warehouse.prepare()
    with exclusive(warehouse):
        started_at = now_utc()
        night = Night(settings, warehouse, echo, started_at, next_instant(warehouse, started_at))
        try:
            with Judge(night.log_file) as night.judge:
                yield night
        finally:
            night.told = tell(night)
            try:
                warehouse.write_last_run(night.outcome())
                warehouse.prune_logs()
            except OSError as error:
                night.echo(f"csw status can't say how this run ended: {error}")
