"""`csw erase`: a contact or an account leaves every file of the warehouse folder; what was counted stays counted.

Ids become tokens that nobody can lead back, names and e-mail addresses go, and so does the text that the subject wrote.
Figures rest on rows, not on names, so they stay; themes and moods of an erased text are gone. DuckDB keeps freed blocks
and SQLite freed pages, so every file that held the subject is written anew.

What is to be done is written down first (`build/erasing.json`). Every step may be done twice, so an erasure that was
killed is finished by the next one, or by the next night.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from orchestration.contract import TABLES
from orchestration.erasing_landing import Planned, plan_landing, rewrite_landed
from orchestration.loading import create_landing_schema
from orchestration.personal import personal_columns, pseudonym
from orchestration.publishing import (
    PART,
    clean_leftovers,
    kept_versions,
    link,
    read_publication,
    sync,
)
from orchestration.sql import bare, quote_literal, quote_name
from orchestration.subject import ERASED, Subject, find_subject, listed, refused_rows, texts_of
from orchestration.variables import UsageError
from orchestration.warehouse import Warehouse, open_database, write_whole

TEXT_FILES = frozenset({".md", ".json", ".jsonl", ".log", ".txt", ".html", ".csv", ".svg", ".js"})
# Dagster's tables of events, where a row is one thing that was said.
SAID = ("event_logs", "asset_check_executions")


@dataclass
class ErasureReport:
    """Files that were written anew, files of others that still hold the subject, and the token that stands for it."""

    token: str
    rewritten: list[str] = field(default_factory=list)
    still_held: list[str] = field(default_factory=list)


def erase(
    warehouse: Warehouse,
    *,
    contact: str | None = None,
    account: str | None = None,
    landing: Path | None = None,
    pseudonym_key: str | None = None,
    now: datetime,
) -> ErasureReport:
    """Erase one contact, or one account with its contacts, from every file of the warehouse folder.

    The caller holds the warehouse and its activations. With `landing`, files there are rewritten, too, and stay known
    as loaded. An erasure that was killed is finished first; when it was this one, that is all.

    Raises:
        UsageError: nothing was loaded yet, nobody has this id, or a landing file can't be read. Nothing was changed.
    """
    if not warehouse.build_file.exists():
        raise UsageError(f"nothing has been loaded in {warehouse.root}")
    if (finished := finish_erasure(warehouse)) and finished[0] == (contact, account):
        return finished[1]
    clean_leftovers(warehouse)
    with open_database(str(warehouse.build_file), spill=warehouse.build) as con:
        create_landing_schema(con)
        subject = find_subject(con, contact=contact, account=account)
        for contact_id in [*subject.contacts] if pseudonym_key else ():
            subject.contacts[pseudonym(pseudonym_key, contact_id)] = subject.contacts[contact_id]
        held = _landed_paths(con, subject) if landing is None else []
    planned, held = plan_landing(subject, landing) if landing else ([], held)
    plan = {"subject": subject.facts(), "landing": planned, "still_held": held, "now": now.isoformat()}
    write_whole(warehouse.erasure_file, json.dumps(plan))
    sync(warehouse.build)
    return finish_erasure(warehouse)[1]


def finish_erasure(warehouse: Warehouse) -> tuple[tuple[str | None, str | None], ErasureReport] | None:
    """Do what is written down in `build/erasing.json`. Returns contact or account and the report; None when nothing is.

    The caller holds the warehouse and its activations.
    """
    if not warehouse.erasure_file.exists():
        return None
    plan = json.loads(warehouse.erasure_file.read_text(encoding="utf-8"))
    subject = Subject(**plan["subject"])
    planned = [Planned(*one) for one in plan["landing"]]
    now = datetime.fromisoformat(plan["now"])
    report = ErasureReport(subject.token, still_held=plan["still_held"])
    # The books know the new landing files before these are there: a file that is not yet rewritten is rewritten by
    # whoever finishes this, and loaded by nobody.
    _rewrite(warehouse.build_file, lambda con: _scrub_build(con, subject, planned, now), warehouse.build)
    for one in planned:
        rewrite_landed(subject, one)
    report.rewritten += [str(warehouse.build_file), *(one.path for one in planned)]
    report.rewritten += _rewrite_published(warehouse, subject)
    _rewrite_others(warehouse, subject, report)
    has_parquet, has_pages = warehouse.parquet.exists(), warehouse.dashboard.is_symlink()
    _withdraw_copies(warehouse)
    warehouse.erasure_file.unlink()
    sync(warehouse.build)
    report.rewritten += _copies_again(warehouse, has_parquet=has_parquet, has_pages=has_pages)
    who = (subject.id, None) if subject.kind == "contact" else (None, subject.id)
    return who, report


def _landed_paths(con: duckdb.DuckDBPyConnection, subject: Subject) -> list[str]:
    """The landing files that brought rows of the subject, by the load log."""
    paths = set()
    for table in TABLES:
        if (mine := subject.names_in(table)) is not None:
            rows = con.execute(
                f"""select distinct path from ops.load_log
                where load_id in (select _load_id from raw.{table} where {mine})"""
            ).fetchall()
            paths |= {path for (path,) in rows}
    refused = {one for one, *_ in refused_rows(con, subject)}
    rows = con.execute("select distinct path from ops.quarantine where quarantine_id in ?", [sorted(refused)])
    return sorted(paths | {path for (path,) in rows.fetchall()})


# -------------------------------------------------------------------------------------------------------- the databases


def _rewrite(file: Path, scrub: Callable[[duckdb.DuckDBPyConnection], None], spill: Path) -> None:
    """Replace a DuckDB file by a copy of what `scrub` leaves of it; blocks that were freed are not copied."""
    work, fresh = (file.with_name(f".{file.name}.{name}{PART}") for name in ("work", "fresh"))
    for stale in (work, fresh, work.with_name(work.name + ".wal"), fresh.with_name(fresh.name + ".wal")):
        stale.unlink(missing_ok=True)
    shutil.copyfile(file, work)
    with open_database(str(work), spill=spill) as con:
        scrub(con)
        [name] = con.execute("select current_database()").fetchone()
        con.execute(f"attach {quote_literal(str(fresh))} as fresh")
        con.execute(f"copy from database {quote_name(name)} to fresh")
        _copy_comments(con, name)
        con.execute("detach fresh")
    fresh.chmod(file.stat().st_mode & 0o777)
    sync(fresh)
    file.with_name(file.name + ".wal").unlink(missing_ok=True)
    fresh.replace(file)
    work.unlink()
    sync(file.parent)


def _copy_comments(con: duckdb.DuckDBPyConnection, name: str) -> None:
    tables = con.execute(
        "select schema_name, table_name, comment from duckdb_tables() where database_name = ? and comment is not null",
        [name],
    ).fetchall()
    for schema, table, comment in tables:
        con.execute(f"comment on table fresh.{schema}.{quote_name(table)} is {quote_literal(comment)}")
    columns = con.execute(
        """select schema_name, table_name, column_name, comment from duckdb_columns()
        where database_name = ? and comment is not null""",
        [name],
    ).fetchall()
    for schema, table, column, comment in columns:
        place = f"fresh.{schema}.{quote_name(table)}.{quote_name(column)}"
        con.execute(f"comment on column {place} is {quote_literal(comment)}")


def _scrub_build(con: duckdb.DuckDBPyConnection, subject: Subject, planned: list[Planned], now: datetime) -> None:
    """Raw rows and the books of loads; what was built from them is dropped and built anew by the next night."""
    schemas = con.execute(
        "select schema_name from duckdb_schemas() where database_name = current_database() and not internal"
    ).fetchall()
    for (schema,) in schemas:
        if schema not in ("raw", "ops", "main"):
            con.execute(f"drop schema {quote_name(schema)} cascade")
    for name in TABLES:
        _scrub_raw(con, subject, name)
    _scrub_refused(con, subject)
    for table, column in _text_columns(con, "ops"):
        _scrub_words(con, subject, f"ops.{table}", column)
        if column == "examples" and _holds_vaguely(con, subject, f"ops.{table}", column):
            con.execute(f"update ops.{table} set examples = null")
    for one in planned:
        con.execute(
            "update ops.load_log set content_hash = ?, bytes = ? where table_name = ? and content_hash = ?",
            [one.new_hash, one.new_bytes, one.table, one.old_hash],
        )
    con.execute("create table if not exists ops.erasures (kind varchar, token varchar, erased_at timestamp)")
    con.execute("delete from ops.erasures where token = ?", [subject.token])
    con.execute("insert into ops.erasures values (?, ?, ?)", [subject.kind, subject.token, now])
    con.execute("drop table if exists ops.load_seals")
    con.execute("drop table if exists ops.builds")


def _scrub_raw(con: duckdb.DuckDBPyConnection, subject: Subject, table: str) -> None:
    mine = subject.names_in(table)
    if mine is not None:
        changes = [f"{name} = {_replaced(con, name, tokens)}" for name, tokens in subject.replaced_in(table).items()]
        changes += [
            f"{name} = {'null' if TABLES[table].by_name[name].nullable else quote_literal(ERASED)}"
            for owner, name in personal_columns()
            if owner == table
        ]
        con.execute(f"update raw.{table} set {', '.join(changes)} where {mine}")
    for column in texts_of(table):
        _scrub_words(con, subject, f"raw.{table}", column)


def _replaced(con: duckdb.DuckDBPyConnection, column: str, tokens: Mapping[str, str]) -> str:
    """A column with the tokens for the subject's ids in it, in SQL."""
    name = f"tokens_of_{column}"
    sides = [pa.array([*side], pa.string()) for side in (tokens.keys(), tokens.values())]
    con.register(name, pa.table(sides, ["value", "text"]))
    return f"coalesce((select text from {name} where value = {bare(column)}), {column})"


def _scrub_refused(con: duckdb.DuckDBPyConnection, subject: Subject) -> None:
    for quarantine_id, _, raw, is_theirs in list(refused_rows(con, subject)):
        clean = ERASED if is_theirs else subject.scrub(raw)
        for table in ("quarantine", "replays"):
            con.execute(
                f"update ops.{table} set raw_line = ? where quarantine_id = ? and raw_line = ?",
                [clean, quarantine_id, raw],
            )
    con.execute(
        """update ops.quarantine set value = null, row_hash = null,
            status = case when status = 'open' then 'dropped' else status end where raw_line = $erased""",
        {"erased": ERASED},
    )


def _text_columns(con: duckdb.DuckDBPyConnection, schema: str) -> list[tuple[str, str]]:
    return con.execute(
        """select table_name, column_name from duckdb_columns() where schema_name = ? and data_type = 'VARCHAR'
        and database_name = current_database() and not internal""",
        [schema],
    ).fetchall()


def _scrub_words(con: duckdb.DuckDBPyConnection, subject: Subject, place: str, column: str) -> None:
    """Replace the words that can only mean the subject in a text column."""
    name = quote_name(column)
    hits = con.execute(
        f"select distinct {name} from {place} where regexp_matches({name}, ?)", [subject.alternatives]
    ).fetchall()
    changed = {value: subject.scrub(value) for (value,) in hits if subject.scrub(value) != value}
    if changed:
        con.register("scrubbed", pa.table({"_was": [*changed], "_now": [*changed.values()]}))
        con.execute(f"update {place} set {name} = scrubbed._now from scrubbed where {name} = scrubbed._was")


def _holds_vaguely(con: duckdb.DuckDBPyConnection, subject: Subject, place: str, column: str) -> bool:
    rows = con.execute(f"select distinct {column} from {place} where {column} is not null").fetchall()
    return any(subject.may_be_in(value) for (value,) in rows)


def _scrub_published(con: duckdb.DuckDBPyConnection, subject: Subject) -> None:
    """The marts: ids by the columns that hold such ids, names and texts by the ids of their rows, words anywhere."""
    columns = _text_columns(con, "main")
    for table, column, key, values in (
        ("fct_survey_responses", "comment", "response_id", subject.answers),
        ("fct_feedback_items", "body", "feedback_id", [*subject.items, *(f"survey:{one}" for one in subject.answers)]),
        ("fct_feedback_items", "url", "feedback_id", subject.items),
    ):
        if (table, column) in columns:
            con.execute(f"update {table} set {column} = null where {listed(key, values)}")
    for table, column in columns:
        if column == "account_name":
            con.execute(
                f"update {table} set account_name = {_replaced(con, column, subject.names)} "
                f"where {listed('account_id', subject.accounts)}"
            )
    if ("mart_alerts", "subject_id") in columns:
        _scrub_alerts(con, subject)
    for table, column in columns:
        tokens = ids_in_marts(subject, column)
        if tokens:
            con.execute(
                f"update {table} set {column} = {_replaced(con, column, tokens)} where {listed(column, tokens)}"
            )
        elif tokens is None and column != "account_name" and not table.startswith("meta_"):
            _scrub_words(con, subject, table, column)


def ids_in_marts(subject: Subject, column: str) -> Mapping[str, str] | None:
    """The subject's ids that a column of a mart may hold, by its name; None when it holds other things."""
    if column.endswith("account_id") or column == "ultimate_parent_id":
        return subject.accounts
    return subject.contacts if column.endswith("contact_id") else None


def _scrub_alerts(con: duckdb.DuckDBPyConnection, subject: Subject) -> None:
    """Alerts about an account name it in their message."""
    about = f"subject_type = 'account' and {listed('subject_id', subject.accounts)}"
    rows = con.execute(f"select distinct message from mart_alerts where {about}").fetchall()
    for (message,) in rows:
        clean = message
        for name, text in subject.names.items():
            clean = clean.replace(name, text)
        con.execute(f"update mart_alerts set message = ? where message = ? and {about}", [clean, message])
    con.execute(f"update mart_alerts set subject_id = {_replaced(con, 'subject_id', subject.accounts)} where {about}")


def _rewrite_published(warehouse: Warehouse, subject: Subject) -> list[str]:
    """The published file and the versions kept: the current version stays one file under two names."""
    current = read_publication(warehouse.marts_file)
    files = [warehouse.versions / f"{version}.duckdb" for version in kept_versions(warehouse)]
    for file in files:
        _rewrite(file, lambda con: _scrub_published(con, subject), warehouse.build)
        if current is not None and file.stem == current.version:
            part = warehouse.root / f".marts{PART}"
            link(file, part)
            part.replace(warehouse.marts_file)
    if current is not None and warehouse.versions / f"{current.version}.duckdb" not in files:
        _rewrite(warehouse.marts_file, lambda con: _scrub_published(con, subject), warehouse.build)
    return [str(file) for file in files] + ([str(warehouse.marts_file)] if current is not None else [])


# ------------------------------------------------------------------------------------------------------ all other files


def _withdraw_copies(warehouse: Warehouse) -> None:
    from serving.parquet import withdraw_parquet

    withdraw_parquet(warehouse)
    if warehouse.dashboard.is_symlink():
        warehouse.dashboard.unlink()
        shutil.rmtree(warehouse.pages)


def _copies_again(warehouse: Warehouse, *, has_parquet: bool, has_pages: bool) -> list[str]:
    """Parquet copies and pages are made from the published file, so they are made anew from what it is now."""
    from dashboard.site import render_dashboard
    from serving.parquet import publish_parquet

    again = [str(publish_parquet(warehouse))] if has_parquet else []
    return again + ([str(render_dashboard(warehouse))] if has_pages else [])


def _rewrite_others(warehouse: Warehouse, subject: Subject, report: ErasureReport) -> None:
    """Digests, logs, the history of runs, and whatever else lies in the folder. What a word like 5 may mean in a log or
    a digest nobody can tell, so such a file goes as a whole."""
    versions = (warehouse.versions / f"{version}.duckdb" for version in kept_versions(warehouse))
    own = {warehouse.build_file, warehouse.marts_file, warehouse.erasure_file, *versions}
    # made anew, or made of the code and not of the data
    elsewhere = (warehouse.target, warehouse.docs, warehouse.parquet, warehouse.pages)
    for file in sorted(warehouse.root.rglob("*")):
        if file in own or file.is_symlink() or not file.is_file() or {*elsewhere} & {*file.parents}:
            continue
        if _is_sqlite(file):
            changed = _scrub_sqlite(file, subject)
        elif _is_duckdb(file):
            _rewrite(file, lambda con: _scrub_published(con, subject), warehouse.build)
            changed = True
        elif file.parent == warehouse.activation and file.suffix == ".json":
            changed = _scrub_activation(file, subject)
        elif file.suffix in TEXT_FILES:
            changed = _scrub_text(file, subject)
            if subject.may_be_in(_text_of(file)):
                if file.parent in (warehouse.runs, warehouse.alerts):
                    file.unlink()
                    changed = True
                else:
                    report.still_held.append(str(file))
        else:
            continue
        if changed:
            report.rewritten.append(str(file))


def _is_sqlite(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(16) == b"SQLite format 3\x00"


def _is_duckdb(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(12)[8:] == b"DUCK"


def _text_of(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="surrogateescape")


def _scrub_text(file: Path, subject: Subject) -> bool:
    return _replace_text(file, subject.scrub(_text_of(file)))


def _replace_text(file: Path, clean: str) -> bool:
    if clean == _text_of(file):
        return False
    aside = file.with_name(file.name + PART)
    aside.write_text(clean, encoding="utf-8", errors="surrogateescape")
    aside.chmod(file.stat().st_mode & 0o777)
    aside.replace(file)
    return True


def _scrub_activation(file: Path, subject: Subject) -> bool:
    """What a consumer was told: hashes by account, and the batch that is on its way to a webhook. A CSV file that did
    not get as far as its rename was delivered to nobody: it goes, and the next activation makes it anew."""

    def told(hashes: Mapping[str, str]) -> dict[str, str]:
        return {subject.accounts.get(account, account): row_hash for account, row_hash in hashes.items()}

    facts = json.loads(_text_of(file))
    facts["delivered"] = told(facts["delivered"])
    undelivered = None
    if (batch := facts["pending"]) is not None:
        if "part" in batch and Path(batch["part"]).exists():
            undelivered, batch["hashes"] = Path(batch["part"]), {}
        batch["hashes"] = told(batch["hashes"])
        if "body" in batch:
            body = json.loads(batch["body"])
            for row in body["rows"]:
                if row["account_id"] in subject.accounts:
                    row["account_id"] = subject.accounts[row["account_id"]]
                    row["account_name"] = subject.names.get(row["account_name"], row["account_name"])
            batch["body"] = json.dumps(body)
    changed = _replace_text(file, json.dumps(facts))
    if undelivered:  # only now: killed before, this is done again; a batch without its file counts as delivered
        undelivered.unlink()
    return changed


def _scrub_sqlite(file: Path, subject: Subject) -> bool:
    """Dagster keeps runs as JSON in SQLite; freed pages go with a vacuum."""
    changed = 0
    with closing(sqlite3.connect(file)) as con:
        con.create_function("scrub", 1, lambda value: subject.scrub(value) if isinstance(value, str) else value)
        con.create_function("vague", 1, lambda value: isinstance(value, str) and subject.may_be_in(value))
        tables = con.execute(
            "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'"
        ).fetchall()
        for (table,) in tables:
            for _, column, *_ in con.execute(f"pragma table_info({quote_name(table)})").fetchall():
                name = quote_name(column)
                changed += con.execute(
                    f"update {quote_name(table)} set {name} = scrub({name}) where scrub({name}) is not {name}"
                ).rowcount
                if table in SAID:
                    changed += con.execute(f"delete from {quote_name(table)} where vague({name})").rowcount
        con.commit()
        if changed:
            con.execute("vacuum")
            con.execute("pragma wal_checkpoint(truncate)")
    return changed > 0
