"""`csw nightly`: the Dagster job `nightly`, executed in this process with the warehouse's own instance."""

from __future__ import annotations

import os
import traceback
import warnings
from typing import TYPE_CHECKING

from orchestration.night import Night, begin, one_night
from orchestration.settings import Settings
from orchestration.stages import require_landing
from orchestration.summary import summary_of, timings_of

if TYPE_CHECKING:
    import dagster as dg

OURS = {"csw/started_by": "csw nightly"}
QUIET_RUN = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def run_night(settings: Settings) -> Night:
    """Run one night and print its summary; the night says how it ended.

    Raises:
        UsageError: another run holds the warehouse, or its folder can't be written.
    """
    with one_night(settings) as night:
        try:
            _execute(night)
        except Exception as error:
            # A stage that failed has noted how; what else goes wrong before the publication is Dagster's.
            if not (night.stopped or night.crash or night.publication):
                night.note_crash(f"the job failed: {type(error).__name__}: {error}", traceback.format_exc())
    night.echo(summary_of(night))
    if settings.timings:
        night.echo(timings_of(night))
    return night


def _execute(night: Night) -> None:
    with night.stage("preparing"):
        begin(night)
        if not night.settings.sample_if_empty:
            require_landing(night.settings)  # before anything costly starts
        warnings.filterwarnings("ignore", module="dagster")
        import dagster as dg

        from orchestration.code_location import definitions_for, write_instance
        from orchestration.event_log import prune_runs
        from orchestration.schedules import JOB

        home = night.warehouse.dagster_home
        os.environ["DAGSTER_HOME"] = str(home)
        write_instance(home)
        job = definitions_for(night.settings).resolve_job_def(JOB)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        _end_killed_runs(instance)
        result = job.execute_in_process(
            run_config=QUIET_RUN,
            instance=instance,
            resources={"night": night},
            tags=OURS,
            raise_on_error=False,
        )
        prune_runs(instance)
    if not result.success and not (night.stopped or night.crash or night.publication):
        errors = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
        traces = "\n".join(error.to_string() for error in errors)
        night.note_crash("the job failed outside its stages", traces)


def _end_killed_runs(instance: dg.DagsterInstance) -> None:
    """Runs of this command that still seem to run were killed: this one holds the warehouse now."""
    import dagster as dg

    for run in instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED], tags=OURS)):
        instance.report_run_failed(run, "killed")
