"""When the night runs by itself."""

from __future__ import annotations

import dagster as dg

JOB = "nightly"
EVERY_NIGHT = "0 2 * * *"
TRIES_AFTER_A_FAILURE = 2


def nightly_job() -> dg.UnresolvedAssetJobDefinition:
    """Everything from landing to publication, in one process: each one more would import dbt and the rest anew."""
    return dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.all(),
        description="Load, check, build, check, publish.",
    )


def nightly_schedule(job: dg.UnresolvedAssetJobDefinition, timezone: str) -> dg.ScheduleDefinition:
    """02:00 in the reporting timezone, from the start of `dagster dev` or a daemon on until somebody stops it. A stage
    that fails unexpectedly is tried again; a worker that dies, too."""
    return dg.ScheduleDefinition(
        name="every_night",
        job=job,
        cron_schedule=EVERY_NIGHT,
        execution_timezone=timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        run_config={"resources": {"night": {"config": {"retries": TRIES_AFTER_A_FAILURE}}}},
        tags={
            "dagster/max_retries": str(TRIES_AFTER_A_FAILURE),
            "dagster/retry_on_asset_or_op_failure": "false",
            "dagster/retry_strategy": "ALL_STEPS",  # the stages of a night belong together
        },
    )
