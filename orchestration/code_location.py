"""Puts assets, checks, job and schedule together for one warehouse."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg

from orchestration.assets import copies, dbt_models, landed_tables, publication
from orchestration.building import prepare_manifest, read_manifest
from orchestration.checks import arrival_checks, mart_checks
from orchestration.resources import night_resource
from orchestration.schedules import nightly_job, nightly_schedule
from orchestration.settings import Settings
from orchestration.warehouse import LOGS_KEPT, Warehouse, write_whole

INSTANCE = """\
# Written by every run: runs are kept in this folder, and nothing is sent anywhere. What a run prints is in runs/, so
# Dagster needs no processes of its own to catch it.
telemetry:
  enabled: false
run_retries:
  enabled: true
  retry_on_asset_or_op_failure: false
event_log_storage:
  module: orchestration.event_log
  class: OpenEventLog
  config:
    base_dir: {history}
retention:
  schedule:
    purge_after_days: {days}
compute_logs:
  module: dagster._core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager
"""


def definitions_for(settings: Settings) -> dg.Definitions:
    """The code location for this warehouse; parses the dbt project when its manifest isn't there yet.

    Raises:
        BuildError: dbt can't parse the project.
        UsageError: the warehouse folder can't be written.
    """
    warehouse = Warehouse(settings.warehouse)
    warehouse.prepare()
    manifest = read_manifest(prepare_manifest(warehouse, settings.given_vars))
    timezone = settings.var("reporting_timezone")
    job = nightly_job()
    return dg.Definitions(
        assets=[
            landed_tables(manifest),
            dbt_models(manifest),
            publication(manifest, timezone),
            *copies(settings),
        ],
        asset_checks=[arrival_checks(), mart_checks(manifest)],
        jobs=[job],
        schedules=[nightly_schedule(job, timezone)],
        resources={"night": night_resource},
        executor=dg.in_process_executor,
    )


def write_instance(home: Path) -> None:
    """Write the settings of the warehouse's Dagster instance; `home` is what DAGSTER_HOME names."""
    history = json.dumps(str(home / "history"))
    write_whole(home / "dagster.yaml", INSTANCE.format(history=history, days=LOGS_KEPT))
