"""The command line of the warehouse.

Exit codes: 0 done, 1 blocked by a check, 2 wrong use or unreadable input, 3 internal failure, 4 published, but a copy
(Parquet, PostgreSQL; after a rollback the pages, too) could not be made.
"""

from __future__ import annotations

import argparse
import errno
import os
import pwd
import sys
import traceback
import uuid
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.night import BLOCKED, FAILED, PUBLISHED, REFUSED, UNFINISHED
from orchestration.settings import Settings, now_utc, resolve_settings
from orchestration.variables import UsageError, describe_vars
from orchestration.warehouse import Warehouse, activations, exclusive

if TYPE_CHECKING:
    from orchestration.publishing import Publication
    from serving.address import Server

REFUSED_SHOWN = 20
# What the operating system answers where another account, or a disk that can be written, is wanted.
NO_ACCESS = (errno.EACCES, errno.EPERM, errno.EROFS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; what a user can cause is told in a line, without a trace."""
    options = _parser().parse_args(arguments)
    try:
        code = options.run(options)
        sys.stdout.flush()
        return code
    except UsageError as error:
        print(f"csw: {error}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("csw: interrupted; csw status says what is published", file=sys.stderr)
        return FAILED
    except BrokenPipeError:  # whoever reads has seen enough, as in `csw query ... | head`: what is left goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if isinstance(error, OSError) and error.errno in NO_ACCESS:
            print(f"csw: {_no_access(error)}", file=sys.stderr)
            return REFUSED
        print(f"csw: internal failure: {type(error).__name__}: {error}\n{_trace_note(options)}", file=sys.stderr)
        return FAILED


def _no_access(error: OSError) -> str:
    try:
        account = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container may run as an account without a name
        account = str(os.geteuid())
    return (
        f"account {account} has no access to {error.filename}: {error.strerror}; run csw as the account that runs the "
        "nights, on a disk that can be written"
    )


def _trace_note(options: argparse.Namespace) -> str:
    trace, log = traceback.format_exc(), _warehouse(options).runs / f"{now_utc():%Y%m%dT%H%M%S}-failure.log"
    try:
        log.write_text(trace, encoding="utf-8")
    except OSError:  # no such folder yet, or a full disk
        return trace
    return f"csw: the trace is in {log}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="csw", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    everywhere = argparse.ArgumentParser(add_help=False)
    everywhere.add_argument("--warehouse", metavar="DIR", help="warehouse folder (CSW_WAREHOUSE, ./warehouse)")
    copies = _copies_parser()
    _add_nightly(commands, everywhere, copies)
    _add_sample(commands)
    command = commands.add_parser("status", parents=[everywhere], help="what is published, and how the last run ended")
    command.set_defaults(run=_status)
    command = commands.add_parser(
        "serve", parents=[everywhere, copies], help="make the copies (Parquet, PostgreSQL) of the published file again"
    )
    command.add_argument(
        "--replace-changed",
        action="store_true",
        help="make views anew whose columns went or changed type, when nothing depends on them",
    )
    command.set_defaults(run=_serve)
    command = commands.add_parser(
        "rollback", parents=[everywhere, copies], help="publish the version before this one again, copies too"
    )
    command.add_argument("--to", metavar="VERSION", help="a version that csw status lists, older or newer")
    command.set_defaults(run=_rollback)
    command = commands.add_parser("quarantine", parents=[everywhere], help="rows that were refused, and why")
    command.add_argument("--table", metavar="RAW_TABLE", help="of this raw table only")
    command.add_argument(
        "--out", type=Path, metavar="FILE", help="write them as CSV, to be mended and given to csw replay"
    )
    command.set_defaults(run=_quarantine)
    command = commands.add_parser("replay", parents=[everywhere], help="load the rows that wait in quarantine again")
    command.add_argument("--table", metavar="RAW_TABLE", help="of this raw table only")
    command.add_argument(
        "--file", type=Path, metavar="FILE", help="rows that csw quarantine --out wrote, with raw_line mended"
    )
    command.set_defaults(run=_replay)
    command = commands.add_parser(
        "activate", parents=[everywhere], help="send the accounts whose health or renewal changed to another system"
    )
    receiver = command.add_mutually_exclusive_group()
    receiver.add_argument("--to-csv", type=Path, metavar="FILE", help="a new CSV file")
    receiver.add_argument("--to-webhook", metavar="URL", help="POST as JSON (CSW_ACTIVATE_WEBHOOK; CSW_ACTIVATE_TOKEN)")
    command.add_argument("--consumer", metavar="NAME", help="who is told, when there are several (csv or webhook)")
    command.set_defaults(run=_activate)
    command = commands.add_parser("dashboard", parents=[everywhere], help="make the pages of the published file again")
    command.set_defaults(run=_dashboard)
    command = commands.add_parser("docs", parents=[everywhere], help="dbt's documentation and the column lineage")
    command.set_defaults(run=_docs)
    command = commands.add_parser("erase", parents=[everywhere], help="erase a contact or an account from every file")
    who = command.add_mutually_exclusive_group(required=True)
    who.add_argument("--contact", metavar="ID")
    who.add_argument("--account", metavar="ID", help="its contacts, too")
    command.add_argument("--landing", type=Path, metavar="DIR", help="rewrite the landing files that hold it, too")
    command.set_defaults(run=_erase)
    command = commands.add_parser("query", parents=[everywhere], help="run a SELECT on the published file")
    command.add_argument("sql")
    command.add_argument("--csv", action="store_true", help="print CSV, all rows")
    command.set_defaults(run=_query)
    return parser


def _copies_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--parquet", action="store_true", help="Parquet copies beside the published file (CSW_PARQUET)")
    parser.add_argument(
        "--serve",
        metavar="URL",
        help="PostgreSQL database to serve to; with a password, rather use CSW_SERVE, which no process list shows",
    )
    parser.add_argument("--bi-role", metavar="NAME", help="role that sees no free text or small cells (CSW_BI_ROLE)")
    parser.add_argument("--analyst-role", metavar="NAME", help="role that sees every mart (CSW_ANALYST_ROLE)")
    return parser


def _add_nightly(
    commands: argparse._SubParsersAction, everywhere: argparse.ArgumentParser, copies: argparse.ArgumentParser
) -> None:
    command = commands.add_parser(
        "nightly",
        parents=[everywhere, copies],
        help="load, check, build, check and publish",
        epilog=describe_vars(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--landing", metavar="DIR", help="landing folder (CSW_LANDING, ./landing)")
    command.add_argument("--as-of", metavar="DATE", help="the day that is reported, YYYY-MM-DD (CSW_AS_OF, yesterday)")
    command.add_argument(
        "--forget-later",
        action="store_true",
        help="publish a day before the published one: what the days since remember is forgotten (CSW_FORGET_LATER)",
    )
    command.add_argument(
        "--var",
        metavar="NAME=VALUE",
        nargs="+",
        action="extend",
        default=[],
        help="a var, or several (CSW_VARS with commas between)",
    )
    command.add_argument("--versions", metavar="N", help="published versions to keep (CSW_VERSIONS, 7)")
    command.add_argument(
        "--accept",
        metavar="SUITE.RULE",
        nargs="+",
        action="extend",
        default=[],
        help="expectations that only warn tonight (CSW_ACCEPT with commas between)",
    )
    command.add_argument(
        "--alert-webhook", metavar="URL", help="post the digest of the night there (CSW_ALERT_WEBHOOK)"
    )
    command.add_argument(
        "--alert-smtp",
        metavar="URL",
        help="mail it: smtp://[user:password@]host:port?from=a@b&to=c@d, smtps:// or &starttls=1 (CSW_ALERT_SMTP)",
    )
    command.add_argument("--sample-if-empty", action="store_true", help="make a sample company when nothing has landed")
    command.add_argument("--no-dashboard", action="store_true", help="draw no pages (CSW_NO_DASHBOARD)")
    command.add_argument("--timings", action="store_true", help="print the seconds by stage and by model")
    command.set_defaults(run=_nightly)


def _add_sample(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("sample", help="make the landing files of a believable company")
    command.add_argument("--accounts", type=int, metavar="N", help="from 60 (400)")
    command.add_argument("--months", type=int, metavar="N", help="of history, from 6 (30)")
    command.add_argument("--events", type=int, metavar="N", help="of the product (200000)")
    command.add_argument("--end", type=date.fromisoformat, metavar="DATE", help="the last day with data (yesterday)")
    command.add_argument("--seed", type=int, metavar="S", help="the same seed, the same files (7)")
    command.add_argument(
        "--dirt", type=float, metavar="SHARE", help="share of rows with everyday defects, 0 to 0.5 (0)"
    )
    command.add_argument(
        "--out", type=Path, metavar="DIR", default=Path("landing"), help="a folder that is new or empty (./landing)"
    )
    command.set_defaults(run=_sample)


def _settings(options: argparse.Namespace) -> Settings:
    return resolve_settings(
        landing=options.landing,
        warehouse=options.warehouse,
        as_of=options.as_of,
        forget_later=options.forget_later,
        variables=options.var,
        versions=options.versions,
        accept=options.accept,
        sample_if_empty=options.sample_if_empty,
        timings=options.timings,
        no_dashboard=options.no_dashboard,
        **_copies(options),
        alert_webhook=options.alert_webhook,
        alert_smtp=options.alert_smtp,
    )


def _copies(options: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(options, name) for name in ("parquet", "serve", "bi_role", "analyst_role")}


def _warehouse(options: argparse.Namespace) -> Warehouse:
    return Warehouse(resolve_settings(warehouse=getattr(options, "warehouse", None)).warehouse)


def _nightly(options: argparse.Namespace) -> int:
    from orchestration.nightly import run_night

    return run_night(_settings(options)).exit_code


def _sample(options: argparse.Namespace) -> int:
    from orchestration.sample import make_sample

    names = ("accounts", "months", "events", "seed", "dirt")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    end = options.end or now_utc().date() - timedelta(days=1)
    if options.out.is_dir() and any(options.out.iterdir()):
        raise UsageError(f"{options.out} is not empty: say --out with a new folder, or remove what is there")
    try:
        make_sample(options.out, end=end, **given, progress=lambda line: print(line, flush=True))
    except ValueError as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise UsageError(f"{options.out} can't be written: {error.strerror}") from error
    return 0


def _status(options: argparse.Namespace) -> int:
    from orchestration.summary import status_of

    print(status_of(_warehouse(options)))
    return 0


def _serve(options: argparse.Namespace) -> int:
    settings = resolve_settings(warehouse=options.warehouse, **_copies(options))
    if not settings.parquet and settings.serve is None:
        raise UsageError("nothing to serve to: say --parquet, --serve URL or both (or CSW_PARQUET, CSW_SERVE)")
    warehouse = _published_warehouse(options)
    with exclusive(warehouse):
        for step in _copying(warehouse, settings, replace_changed=options.replace_changed).values():
            step()
    return 0


def _copying(
    warehouse: Warehouse, settings: Settings, *, replace_changed: bool = False
) -> dict[str, Callable[[], None]]:
    """What makes the copies that are asked for or were made before, by the command that makes the one alone."""
    steps: dict[str, Callable[[], None]] = {}
    if settings.parquet or warehouse.parquet.exists():
        steps["csw serve --parquet"] = lambda: _copy_to_parquet(warehouse)
    if settings.serve:
        steps["csw serve"] = lambda: _copy_to_postgresql(warehouse, settings.serve, replace_changed=replace_changed)
    return steps


def _copy_to_parquet(warehouse: Warehouse) -> None:
    from serving.parquet import publish_parquet

    print(f"parquet    {publish_parquet(warehouse)} (current)")


def _copy_to_postgresql(warehouse: Warehouse, server: Server, *, replace_changed: bool = False) -> None:
    from serving.postgres import serve_file

    served = serve_file(server, warehouse.marts_file, replace_changed=replace_changed, say=print)
    warehouse.note_served(served.server, served.version)
    print(f"postgresql {served.text()}")


def _published_warehouse(options: argparse.Namespace) -> Warehouse:
    warehouse = _warehouse(options)
    if not warehouse.marts_file.exists():
        raise UsageError(f"nothing is published in {warehouse.root}")
    return warehouse


def _rollback(options: argparse.Namespace) -> int:
    from orchestration.publishing import rollback

    settings = resolve_settings(warehouse=options.warehouse, **_copies(options))
    warehouse = _published_warehouse(options)
    with exclusive(warehouse):
        publication = rollback(warehouse, options.to)
        print(f"published again: version {publication.version}, as of {publication.as_of_date}")
        undone = _follow(warehouse, settings, publication, options)
    if undone:
        print("\n".join(["csw: published again, but not everywhere", *undone]), file=sys.stderr)
    return UNFINISHED if undone else PUBLISHED


def _follow(
    warehouse: Warehouse, settings: Settings, publication: Publication, options: argparse.Namespace
) -> list[str]:
    """Make what readers have beside the published file anew, each by itself; returns what still shows another version,
    and what to do about it."""
    steps = _copying(warehouse, settings)
    if warehouse.dashboard.is_symlink():
        steps["csw dashboard"] = lambda: _draw(warehouse)
    undone = []
    for remedy, step in steps.items():
        try:
            step()
        except Exception as error:
            is_known = isinstance(error, UsageError)
            what = str(error) if is_known else f"{type(error).__name__}: {error}\n{_trace_note(options)}"
            undone.append(f"{what}\n  mend it, then: {remedy}")
    for server, version in warehouse.served().items():
        if version != publication.version and not (settings.serve and settings.serve.label == server):
            undone.append(
                f"{server} still shows version {version}\n"
                f"  csw serve --serve with its address; if it is no more, remove it from {warehouse.served_file}"
            )
    return undone


def _dashboard(options: argparse.Namespace) -> int:
    warehouse = _published_warehouse(options)
    with exclusive(warehouse):
        _draw(warehouse)
    return 0


def _docs(options: argparse.Namespace) -> int:
    from dashboard.documents import make_documents

    warehouse = _published_warehouse(options)
    with exclusive(warehouse):
        for path in make_documents(warehouse):
            print(f"docs       {path}")
        _draw(warehouse)  # the pages link to what is there
    return 0


def _draw(warehouse: Warehouse) -> None:
    from dashboard.site import render_dashboard

    print(f"dashboard  {render_dashboard(warehouse)}")


def _quarantine(options: argparse.Namespace) -> int:
    from orchestration.quarantine import export_rows, list_rows

    warehouse = _warehouse(options)
    if options.out is None:
        print("\n".join(list_rows(warehouse, options.table)))
    else:
        print(f"{export_rows(warehouse, options.table, options.out):,} rows written to {options.out}")
    return 0


def _replay(options: argparse.Namespace) -> int:
    from orchestration.quarantine import check_table, read_repaired
    from orchestration.replaying import replay
    from orchestration.warehouse import open_database

    warehouse = _warehouse(options)
    check_table(options.table)
    repaired = read_repaired(options.file) if options.file else None
    if not warehouse.build_file.exists():
        raise UsageError(f"nothing has been loaded in {warehouse.root}")
    with exclusive(warehouse), open_database(str(warehouse.build_file), spill=warehouse.build) as con:
        now = now_utc().replace(tzinfo=None)
        report = replay(con, run_id=uuid.uuid4().hex, now=now, table=options.table, repaired=repaired)
    print(f"{report.replayed:,} rows loaded, {report.dropped:,} dropped, {len(report.refused):,} still in quarantine")
    print("\n".join(f"  {line}" for line in report.refused[:REFUSED_SHOWN]))
    if report.replayed:
        print("the next csw nightly publishes them")
    return BLOCKED if report.refused else PUBLISHED


def _activate(options: argparse.Namespace) -> int:
    from serving.activation import activate_to_csv, activate_to_webhook

    warehouse = _published_warehouse(options)
    named = {"consumer": options.consumer} if options.consumer else {}
    url = options.to_webhook or os.environ.get("CSW_ACTIVATE_WEBHOOK")
    if options.to_csv:
        sent = activate_to_csv(warehouse, options.to_csv, **named)
    elif url:
        sent = activate_to_webhook(warehouse, url, token=os.environ.get("CSW_ACTIVATE_TOKEN"), **named)
    else:
        raise UsageError("nobody to tell: say --to-csv FILE or --to-webhook URL (or CSW_ACTIVATE_WEBHOOK)")
    first = "; what the last run left on its way went first" if sent.resumed else ""
    print(f"{sent.rows:,} accounts sent in {sent.batches} batches, {sent.unchanged:,} unchanged{first}")
    return 0


def _erase(options: argparse.Namespace) -> int:
    from orchestration.erasing import erase

    settings = resolve_settings(warehouse=options.warehouse)
    warehouse = Warehouse(settings.warehouse)
    if options.landing is not None and not options.landing.is_dir():
        raise UsageError(f"there is no landing folder {options.landing}")
    if not warehouse.build_file.exists():
        raise UsageError(f"nothing has been loaded in {warehouse.root}")
    with exclusive(warehouse), activations(warehouse, stopped=True):
        report = erase(
            warehouse,
            contact=options.contact,
            account=options.account,
            landing=options.landing,
            pseudonym_key=settings.pseudonym_key,
            now=now_utc().replace(tzinfo=None),
        )
    print(f"erased; {report.token} stands for it now, in {len(report.rewritten)} files written anew")
    hint = "" if options.landing else " (one that landed is rewritten with --landing DIR)"
    for path in report.still_held:
        print(f"  still in a file of yours: {path}{hint}")
    print(
        "the next csw nightly builds everything anew; copies elsewhere follow with csw serve and your backups with you"
    )
    return PUBLISHED


def _query(options: argparse.Namespace) -> int:
    from orchestration.querying import print_query

    warehouse = _published_warehouse(options)
    print_query(warehouse.marts_file, options.sql, as_csv=options.csv)
    return 0
