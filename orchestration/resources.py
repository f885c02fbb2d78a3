"""The one resource of the job: the night under way."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from orchestration.event_log import prune_runs
from orchestration.night import Night, begin, one_night
from orchestration.settings import resolve_settings

CONFIG = {
    "landing": dg.Field(dg.Noneable(str), default_value=None, description="landing folder (default: CSW_LANDING)"),
    "warehouse": dg.Field(
        dg.Noneable(str), default_value=None, description="warehouse folder (default: CSW_WAREHOUSE)"
    ),
    "as_of": dg.Field(dg.Noneable(str), default_value=None, description="YYYY-MM-DD (default: yesterday)"),
    "forget_later": dg.Field(bool, default_value=False, description="publish a day before the published one"),
    "variables": dg.Field([str], default_value=[], description="vars of the dbt project as NAME=VALUE"),
    "accept": dg.Field([str], default_value=[], description="expectations (suite.rule) that warn tonight, not block"),
    "retries": dg.Field(int, default_value=0, description="how often a stage is tried again after an unexpected error"),
}


@dg.resource(config_schema=CONFIG, description="Holds the warehouse for one run and notes how it ends.")
def night_resource(context: dg.InitResourceContext) -> Iterator[Night]:
    """The night of a run that Dagster started; `csw nightly` hands the job its own instead."""
    config = context.resource_config
    settings = resolve_settings(
        landing=config["landing"],
        warehouse=config["warehouse"],
        as_of=config["as_of"],
        forget_later=config["forget_later"],
        variables=config["variables"],
        accept=config["accept"],
    )
    with one_night(settings) as night:
        night.retries = config["retries"]
        with night.stage("preparing"):
            begin(night)
        yield night
        prune_runs(context.instance)
