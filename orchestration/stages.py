"""The stages of a night, in the order in which they run: each takes the `Night`, does its part and notes it there."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import duckdb

from orchestration.night import BLOCKED, REFUSED, Night, Problem, Stopped
from orchestration.settings import Settings
from orchestration.variables import UsageError
from orchestration.warehouse import write_whole

PROJECT = "customer-success-warehouse"


def require_landing(settings: Settings) -> None:
    """Raise UsageError when there is nothing that could be loaded."""
    if not settings.landing.is_dir() and not settings.var("adapters"):
        raise UsageError(f"there is no landing folder {settings.landing}")


def load(night: Night) -> None:
    """Landing folder -> schemas `raw` and `ops`; the previous publication -> schema `history`.

    Raises:
        Stopped: a later day is published, the folder is missing, the sample's files are others now, a file is refused,
            or nothing has ever landed.
    """
    from orchestration.conservation import seal_loads
    from orchestration.history import carry_history
    from orchestration.loading import create_landing_schema, load_landing, load_time
    from orchestration.replaying import close_replaced

    landing = night.settings.landing
    with night.stage("loading"):
        _refuse_earlier_day(night)
        with night.connect() as con:
            create_landing_schema(con)
            # An empty folder may be one whose files were put away: their rows stand, and a sample is none of them.
            if night.settings.sample_if_empty and not _has_landed(con):
                _sample_if_empty(night)
            require_landing(night.settings)
            _refuse_other_company(night, con)
            if landing.is_dir():
                night.load = load_landing(
                    con,
                    landing,
                    run_id=night.run_id,
                    loaded_at=load_time(con, night.published_at),
                    progress=lambda line: night.say(f"  {line}"),
                    as_of=night.settings.as_of,
                )
            # later than its own loads: what restates a figure is told by what came after its publication
            night.published_at = load_time(con, night.published_at)
            seal_loads(con)
            close_replaced(con, run_id=night.run_id, now=night.started_at.replace(tzinfo=None))
            _refuse_unread(night, con)
            carried = carry_history(con, night.warehouse.marts_file)
        night.say(f"  {sum(carried.values()):,} rows carried from the previous publication")


def _refuse_earlier_day(night: Night) -> None:
    from orchestration.publishing import read_publication

    published = read_publication(night.warehouse.marts_file)
    if published and night.settings.as_of < published.as_of_date and not night.settings.forget_later:
        raise UsageError(
            f"{published.as_of_date} is published: a night for {night.settings.as_of} would forget the scores and "
            "alerts of the days since. Go back first with csw rollback --to (csw status lists the versions), or add "
            "--forget-later if that is meant"
        )


def _sample_if_empty(night: Night) -> None:
    """Make a sample company where nothing has landed: beside the folder, so that no run finds half of one.

    The warehouse notes its files, so that nothing else takes their place.
    """
    from orchestration.publishing import PART
    from orchestration.sample import make_sample

    landing = night.settings.landing.resolve()
    if landing.is_dir() and any(landing.iterdir()):
        return
    night.say(f"  {landing} is empty: making a sample company")
    aside = landing.with_name(f".{landing.name}{PART}")
    shutil.rmtree(aside, ignore_errors=True)
    make_sample(aside, end=night.settings.as_of, progress=lambda line: night.say(f"  {line}"))
    files = sorted(path.relative_to(aside).as_posix() for path in aside.rglob("*") if path.is_file())
    write_whole(night.warehouse.sample_file, json.dumps(files))
    try:
        aside.rename(landing)
    except OSError as error:  # a mount point
        shutil.rmtree(aside)
        raise UsageError(
            f"the sample can't take the place of {landing} ({error.strerror}): csw sample --out {landing} writes there"
        ) from error


def _refuse_other_company(night: Night, con: duckdb.DuckDBPyConnection) -> None:
    """Raise UsageError when files of the sample were replaced: what was loaded stays, so both would be published."""
    file, landing = night.warehouse.sample_file, night.settings.landing
    if not file.exists():
        return
    loaded = con.execute(
        """select path, arg_max(content_hash, load_id) from ops.load_log
        where status in ('loaded', 'known') and list_contains($sample, path) group by path order by path""",
        {"sample": json.loads(file.read_text(encoding="utf-8"))},
    ).fetchall()
    others = [path for path, content in loaded if _content_of(landing / path) != content]
    if others:
        raise UsageError(
            f"{night.warehouse.root} holds the sample company, and in {landing} {len(others)} of its files are others "
            f"or gone ({others[0]}): a night would publish both companies as one. Give your own data a landing and a "
            "warehouse folder of their own (--landing, --warehouse), or remove both folders to begin anew"
        )


def _content_of(file: Path) -> str | None:
    """The SHA-256 of a file, None when there is none."""
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None


def _has_landed(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether any row was ever loaded."""
    return con.execute("select count(*) > 0 from ops.load_log where loaded_rows > 0").fetchone()[0]


def _refuse_unread(night: Night, con: duckdb.DuckDBPyConnection) -> None:
    refused = night.load.refused_files if night.load else []
    if refused:
        # A table without a file that was delivered would be published as if the file had never existed.
        raise Stopped(
            REFUSED,
            [
                Problem(f"raw.{file.table}", f"{file.path}: {file.reason}", (), file.remedy, rule=file.path)
                for file in refused
            ],
        )
    if not _has_landed(con) and not night.settings.var("adapters"):
        raise UsageError(f"nothing has landed yet: {night.settings.landing} holds no rows of a raw table")


def check_arrivals(night: Night) -> None:
    """Great Expectations on what arrived. Errors are noted, not raised: the caller reports every check first."""
    from expectations.arrivals import profile_arrivals
    from expectations.raw import RAW_SUITES

    with night.stage("checking what arrived", after="loading"):
        with night.connect() as con:
            timezone = night.settings.var("reporting_timezone")
            profile_arrivals(con, night.run_id, night.started_at.date(), timezone)
        night.suites += night.judge.run(night.warehouse.build_file, RAW_SUITES)
        _block(night)


def build(night: Night, report: Callable[[str, float], None]) -> None:
    """dbt: seeds, models and data tests. Of each seed and model that was built, `report` gets the unique id and the
    seconds."""
    from orchestration import building

    with night.stage("building", after="checking what arrived"):
        manifest = building.prepare_manifest(night.warehouse, night.settings.given_vars)
        with night.connect() as con:
            full = building.begin_build(con, night.run_id, night.settings)
        variables = {**night.settings.dbt_vars, "published_at": f"{night.published_at:%Y-%m-%d %H:%M:%S.%f}"}
        night.nodes = building.build(
            night.warehouse.build_file, manifest, variables, full_refresh=full, progress=night.say, report=report
        )
        if not any(node.is_broken for node in night.nodes):
            with night.connect() as con:
                building.finish_build(con)
        _block(night)


def check_marts(night: Night) -> None:
    """Great Expectations on what is about to leave."""
    from expectations.marts import MART_SUITES
    from expectations.profiles import profile_marts
    from orchestration import building
    from orchestration.conservation import take_account

    with night.stage("checking the marts", after="building"):
        manifest = building.read_manifest(building.prepare_manifest(night.warehouse, night.settings.given_vars))
        with night.connect() as con:
            zone = night.settings.var("reporting_timezone")
            night.accounts = take_account(con, manifest, as_of=night.settings.as_of, timezone=zone)
            profile_marts(con, night.settings.as_of, night.warehouse.marts_file)
        night.suites += night.judge.run(night.warehouse.build_file, MART_SUITES)
        _block(night)


def _block(night: Night) -> None:
    problems = night.errors()
    night.stopped = Stopped(BLOCKED, problems) if problems else None


def publish(night: Night) -> None:
    """Write the marts aside, audit, swap, and let what arrived tonight become history."""
    from orchestration import building, publishing

    with night.stage("publishing", after="checking the marts"):
        manifest = building.read_manifest(building.prepare_manifest(night.warehouse, night.settings.given_vars))
        code = building.hash_files(building.CODE_FOLDERS)
        publication = publishing.Publication(
            as_of_date=night.settings.as_of,
            published_at=night.published_at,
            code_version=f"{version(PROJECT)}+{code[:12]}",
            input_hash=_input_hash(night),
            reporting_currency=night.settings.var("reporting_currency"),
            reporting_timezone=night.settings.var("reporting_timezone"),
            checks_passed=passed_checks(night),
            checks_warned=len(night.warnings()),
            run_id=night.run_id,
            previous_published_at=_followed(night),
        )
        publishing.publish(
            night.warehouse,
            publishing.marts_of(manifest),
            publication,
            night.settings.pseudonym_key,
        )
        night.publication = publication
    _settle(night)


def _followed(night: Night) -> datetime | None:
    """When the version was published that this night's follows."""
    from orchestration.publishing import read_publication

    previous = read_publication(night.warehouse.marts_file)
    if previous and previous.published_at == night.published_at:  # a try of this night that failed behind its swap
        return previous.previous_published_at
    return previous.published_at if previous else None


def _settle(night: Night) -> None:
    """What belongs to the swap and can't be part of it: it is noted when it fails, and copies follow all the same."""
    from expectations.arrivals import accept_arrivals
    from orchestration.publishing import keep_versions
    from serving.parquet import withdraw_parquet

    later = "nothing is to be done: the next night lists and removes what this one could not"
    with suppress(Exception), night.after_publication("keeping versions", later, is_asked_for=False):
        keep_versions(night.warehouse, night.settings.versions)
    again = "nothing is to be done: the next night judges what arrived tonight once more"
    with (
        suppress(Exception),
        night.after_publication("settling what arrived", again, is_asked_for=False),
        night.connect() as con,
    ):
        accept_arrivals(con, night.run_id)
    if night.warehouse.parquet.exists() and not night.settings.parquet:
        stale = f"they are of an earlier night: remove {night.warehouse.parquet}"
        with suppress(Exception), night.after_publication("withdrawing parquet copies", stale):
            withdraw_parquet(night.warehouse)


SERVE_AGAIN = "mend it, then: csw serve (nothing is built again)"


def copy_to_parquet(night: Night) -> None:
    """Parquet copies beside the published file."""
    from serving.parquet import publish_parquet

    with night.after_publication("copying to parquet", SERVE_AGAIN):
        night.served["parquet"] = f"{publish_parquet(night.warehouse)} (current)"


def serve(night: Night) -> None:
    """The copy in PostgreSQL."""
    from serving.postgres import serve_file

    with night.after_publication("serving postgresql", SERVE_AGAIN):
        served = serve_file(night.settings.serve, night.warehouse.marts_file, say=night.say)
        night.warehouse.note_served(served.server, served.version)
        night.served["postgresql"] = served.text()


def draw(night: Night) -> None:
    """The pages of what was just published."""
    from dashboard.site import render_dashboard

    again = f"the pages of an earlier night stay; mend it, then: csw dashboard --warehouse {night.warehouse.root}"
    with night.after_publication("drawing the dashboard", again, is_asked_for=False):
        night.served["dashboard"] = str(render_dashboard(night.warehouse))


def passed_checks(night: Night) -> int:
    """dbt's data tests and the expectations that passed."""
    tests = sum(node.is_test and node.status == "pass" for node in night.nodes)
    return tests + sum(len(suite.passed) for suite in night.suites)


def _input_hash(night: Night) -> str:
    """SHA-256 over what was loaded, in no order, over what adapters read, and over the vars: the same inputs, the same
    hash."""
    with duckdb.connect(str(night.warehouse.build_file), read_only=True) as con:
        contents = con.execute(
            "select table_name, content_hash from ops.load_log where status = 'loaded' order by all"
        ).fetchall()
    folders = [Path(value) for name, value in night.settings.given_vars.items() if name.endswith("_dir")]
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    contents += [(path.name, _content_of(path)) for path in files]
    facts = json.dumps([contents, night.settings.dbt_vars], sort_keys=True)
    return hashlib.sha256(facts.encode()).hexdigest()
