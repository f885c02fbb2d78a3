"""Assets from landing to publication: 28 raw tables, dbt's models with their tests, the published file."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from queue import SimpleQueue
from threading import Thread
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, dbt_assets

from orchestration import stages
from orchestration.contract import TABLES
from orchestration.data_tests import NodeResult
from orchestration.history import CARRIED
from orchestration.night import Night, Stopped
from orchestration.publishing import marts_of
from orchestration.settings import Settings

PUBLICATION = dg.AssetKey(["publication", "marts"])
LATEST_HOUR = "0 6 * * *"
SECONDS_BETWEEN_TRIES = 60


class Translator(DagsterDbtTranslator):
    """Names a source by the schema and table it lies in, so that raw tables and dbt's sources are the same assets."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        if dbt_resource_props["resource_type"] == "source":
            return dg.AssetKey([dbt_resource_props["schema"], dbt_resource_props["identifier"]])
        return super().get_asset_key(dbt_resource_props)

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        return dbt_resource_props["schema"]


@contextmanager
def guarded(night: Night) -> Iterator[None]:
    """Tell Dagster how a stage failed: what people must mend is never retried, the unexpected as often as was asked."""
    try:
        yield
    except Stopped as stopped:
        raise dg.Failure(description=str(stopped), allow_retries=False) from stopped
    except Exception as error:
        if night.retries:
            raise dg.RetryRequested(max_retries=night.retries, seconds_to_wait=SECONDS_BETWEEN_TRIES) from error
        raise


def reported(work: Callable[[Callable[..., None]], None]) -> Iterator[tuple[Any, ...]]:
    """What `work` reports, while it goes on in a thread of its own. What it raises is raised here.

    Args:
        work: is given a function; the arguments of every call of that are yielded as a tuple.
    """
    queue: SimpleQueue[tuple[Any, ...] | None] = SimpleQueue()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work(lambda *report: queue.put(report))
        except BaseException as error:
            failures.append(error)
        finally:
            queue.put(None)

    # A daemon: an interrupted night ends at once, and what it leaves is what a killed one leaves.
    Thread(target=run, name="reported", daemon=True).start()
    yield from iter(queue.get, None)
    if failures:
        raise failures[0]


def landed_tables(manifest: Mapping[str, Any]) -> dg.AssetsDefinition:
    """The raw tables, and what else dbt reads but doesn't make (load log, history)."""
    keys = {dg.AssetKey([source["schema"], source["identifier"]]) for source in manifest["sources"].values()}
    keys |= {dg.AssetKey(["raw", name]) for name in TABLES}
    keys |= {dg.AssetKey(["history", name]) for name in CARRIED}
    specs = [
        dg.AssetSpec(
            key,
            group_name=key.path[0],
            description=f"{key.path[1]} as landed, by the raw contract." if key.path[1] in TABLES else None,
            kinds={"duckdb"},
        )
        for key in sorted(keys)
    ]

    @dg.multi_asset(name="landing", specs=specs, required_resource_keys={"night"})
    def landing(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        night: Night = context.resources.night
        with guarded(night):
            stages.load(night)
        for spec in specs:
            load = night.load.tables.get(spec.key.path[1]) if night.load and spec.key.path[0] == "raw" else None
            metadata = (
                {
                    "new files": load.files_new,
                    "rows delivered": load.rows_delivered,
                    "rows loaded": load.rows_loaded,
                    "rows quarantined": load.rows_quarantined,
                }
                if load
                else {}
            )
            yield dg.MaterializeResult(asset_key=spec.key, metadata=metadata)

    return landing


def dbt_models(manifest: Mapping[str, Any]) -> dg.AssetsDefinition:
    """dbt's seeds, models and snapshots as assets, its data tests as their checks, run in this process."""
    from dagster_dbt.asset_utils import get_asset_check_key_for_test

    translator = Translator()

    @dbt_assets(
        manifest=manifest,
        exclude="resource_type:unit_test",
        name="dbt_build",
        dagster_dbt_translator=translator,
        required_resource_keys={"night"},
    )
    def dbt_build(context: dg.AssetExecutionContext) -> Iterator[dg.Output | dg.AssetCheckResult]:
        night: Night = context.resources.night
        output_names = {key: name for name, key in context.assets_def.keys_by_output_name.items()}
        declared = context.assets_def.check_keys
        # Dagster takes a table as soon as it is built, while dbt builds the next one.
        with guarded(night):
            for unique_id, seconds in reported(lambda report: stages.build(night, report)):
                key = translator.get_asset_key(manifest["nodes"][unique_id])
                yield dg.Output(None, output_names[key], metadata={"seconds": round(seconds, 3)})
        for node in night.nodes:
            if node.is_test and node.status != "skipped":
                key = get_asset_check_key_for_test(manifest, translator, node.unique_id, None)
                if key in declared:
                    yield _check_result(key, node)
        with guarded(night):
            if night.stopped:
                raise night.stopped

    return dbt_build


def _check_result(key: dg.AssetCheckKey, node: NodeResult) -> dg.AssetCheckResult:
    is_warning = node.status == "warn"
    return dg.AssetCheckResult(
        passed=node.status == "pass",
        asset_key=key.asset_key,
        check_name=key.name,
        severity=dg.AssetCheckSeverity.WARN if is_warning else dg.AssetCheckSeverity.ERROR,
        metadata={"failing rows": node.failures, "seconds": round(node.seconds, 3), "message": node.message},
    )


def publication(manifest: Mapping[str, Any], timezone: str) -> dg.AssetsDefinition:
    """The published file. It hangs on every mart, so nothing is published when one of them or its check fails."""

    @dg.asset(
        key=PUBLICATION,
        deps=[dg.AssetKey(["marts", mart.name]) for mart in marts_of(manifest)],
        group_name="publication",
        kinds={"duckdb"},
        description="marts.duckdb: what analysts and BI tools read.",
        required_resource_keys={"night"},
        freshness_policy=dg.FreshnessPolicy.cron(
            deadline_cron=LATEST_HOUR, lower_bound_delta=timedelta(hours=6), timezone=timezone
        ),
    )
    def publish(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        night: Night = context.resources.night
        with guarded(night):
            stages.publish(night)
        return dg.MaterializeResult(
            metadata={
                "as of": str(night.settings.as_of),
                "version": night.publication.version,
                "checks passed": night.publication.checks_passed,
                "checks warned": night.publication.checks_warned,
                "file": dg.MetadataValue.path(str(night.warehouse.marts_file)),
            }
        )

    return publish


def copies(settings: Settings) -> list[dg.AssetsDefinition]:
    """What the night makes of the published file: the dashboard; when told to, Parquet files, a copy in PostgreSQL."""
    wanted = []
    if settings.dashboard:
        wanted.append(_copy("dashboard", "Static pages: pictures, KPIs, accounts.", stages.draw))
    if settings.parquet:
        wanted.append(_copy("parquet", "Parquet copies of the published tables.", stages.copy_to_parquet))
    if settings.serve:
        wanted.append(_copy("postgresql", f"The marts in {settings.serve.label}.", stages.serve))
    return wanted


def _copy(kind: str, description: str, stage: Callable[[Night], None]) -> dg.AssetsDefinition:
    @dg.asset(
        key=dg.AssetKey(["publication", kind]),
        deps=[PUBLICATION],
        group_name="publication",
        kinds={kind},
        description=description,
        required_resource_keys={"night"},
    )
    def copy(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        night: Night = context.resources.night
        with guarded(night):
            stage(night)
        return dg.MaterializeResult(metadata={"version": night.publication.version, "copy": night.served[kind]})

    return copy
