"""`csw erase`: a contact or an account leaves every file of the warehouse folder; what was counted stays counted.

Ids become tokens that nobody can lead back, names and e-mail addresses go, and so does the text that the subject wrote.
Figures rest on rows, not on names, so they stay; themes and moods of an erased text are gone. DuckDB keeps freed blocks
and SQLite freed pages, so every file that held the subject is written anew.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import re
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from orchestration.contract import TABLES
from orchestration.loading import create_landing_schema
from orchestration.personal import contact_columns, personal_columns, pseudonym
from orchestration.publishing import PART, kept_versions, quote_literal, quote_name, read_publication, sync
from orchestration.reading import FORMATS, discover
from orchestration.variables import UsageError
from orchestration.warehouse import Warehouse, open_database

ERASED = "[erased]"
# Shorter texts are words that anybody uses.
SHORTEST_TEXT = 16
TEXT_FILES = frozenset({".md", ".json", ".jsonl", ".log", ".txt", ".html", ".csv", ".svg", ".js", ".yaml", ".yml"})
_OTHER_IDS = {"crm_account_links": ("source_account_id",)}


@dataclass
class Subject:
    """Who is erased. `replacements` maps ids, addresses and names to what stands for them, `users` the ids of users in
    the product; `answers` and `items` are keys of survey responses and feedback items."""

    kind: str
    token: str
    account_ids: set[str] = field(default_factory=set)
    contact_ids: set[str] = field(default_factory=set)
    replacements: dict[str, str] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    answers: set[str] = field(default_factory=set)
    items: set[str] = field(default_factory=set)

    alternatives: str = ""
    _pattern: re.Pattern[str] | None = None

    def replace(self, value: str, replacement: str) -> None:
        """Let this value be replaced wherever it stands by itself."""
        if value:
            self.replacements[value] = replacement

    def close(self) -> None:
        """No more values: the longest match first, and never inside a longer word."""
        # JSON and HTML write some characters otherwise
        self.replacements = {
            spelling: text for value, text in self.replacements.items() for spelling in _spellings(value)
        }
        self.alternatives = "|".join(re.escape(value) for value in sorted(self.replacements, key=len, reverse=True))
        self._pattern = re.compile(rf"(?<![\w-])(?:{self.alternatives})(?![\w-])")

    def scrub(self, text: str) -> str:
        """The text without the subject."""
        return self._pattern.sub(lambda found: self.replacements[found.group()], text)


def _spellings(value: str) -> set[str]:
    in_json = json.dumps(value)[1:-1]
    in_html = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {value, in_json, json.dumps(value, ensure_ascii=False)[1:-1], in_html, in_html.replace('"', "&quot;")}


@dataclass
class ErasureReport:
    """Files that were written anew, landing files that still hold the subject, and the token that stands for it."""

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

    The caller holds the warehouse. With `landing`, files there are rewritten, too, and stay known as loaded.

    Raises:
        UsageError: nothing was loaded yet, or nobody has this id.
    """
    if not warehouse.build_file.exists():
        raise UsageError(f"nothing has been loaded in {warehouse.root}")
    with open_database(str(warehouse.build_file), spill=warehouse.build) as con:
        create_landing_schema(con)
        subject = _contact(con, contact) if contact else _account(con, account)
        for contact_id in subject.contact_ids:
            if pseudonym_key:
                subject.replace(pseudonym(pseudonym_key, contact_id), subject.replacements[contact_id])
        subject.close()
        landed = _landing_files(con, subject, landing)
    report = ErasureReport(subject.token)
    new_hashes = [_rewrite_landed(subject, path) for path in landed] if landing else []
    if landing is None:
        report.still_held = [str(path) for path in landed]
    _rewrite(warehouse.build_file, lambda con: _scrub_build(con, subject, new_hashes, now), warehouse.build)
    report.rewritten += [str(warehouse.build_file), *(str(path) for path in landed if landing)]
    report.rewritten += _rewrite_published(warehouse, subject)
    report.rewritten += _rewrite_others(warehouse, subject)
    return report


# --------------------------------------------------------------------------------------------------------- the subject


def _token() -> str:
    return "erased-" + secrets.token_hex(8)


def _contact(con: duckdb.DuckDBPyConnection, contact_id: str) -> Subject:
    subject = Subject("contact", _token(), contact_ids={contact_id})
    subject.replace(contact_id, subject.token)
    _learn(con, subject)
    return subject


def _account(con: duckdb.DuckDBPyConnection, account_id: str) -> Subject:
    subject = Subject("account", _token())
    ids = {account_id}
    while True:  # records merged into it, and what other systems call them
        more = con.execute(
            """select account_id from raw.crm_accounts where merged_into_account_id in $ids
            union select source_account_id from raw.crm_account_links where account_id in $ids""",
            {"ids": list(ids)},
        ).fetchall()
        if {one for (one,) in more} <= ids:
            break
        ids |= {one for (one,) in more}
    subject.account_ids = ids
    subject.replace(account_id, subject.token)
    for other in ids - {account_id}:
        subject.replace(other, _token())
    contacts = con.execute("select distinct contact_id from raw.crm_contacts where account_id in ?", [list(ids)])
    for (contact_id,) in contacts.fetchall():
        subject.contact_ids.add(contact_id)
        subject.replace(contact_id, _token())
    _learn(con, subject)
    names = con.execute("select distinct account_name from raw.crm_accounts where account_id in ?", [list(ids)])
    for (name,) in names.fetchall():
        subject.replace(name, f"Erased account {subject.token[-4:]}")
    return subject


def _learn(con: duckdb.DuckDBPyConnection, subject: Subject) -> None:
    """Find what rows of the subject say of it: addresses, users in the product, texts, and keys of answers."""
    found = 0
    for name in TABLES:
        mine = _is_mine(subject, name)
        if mine is None:
            continue
        found += con.execute(f"select count(*) from raw.{name} where {mine}").fetchone()[0]
        for (table, column), kind in personal_columns().items():
            if table == name:
                values = con.execute(f"select distinct {column} from raw.{name} where {mine}").fetchall()
                # What others wrote word for word is not theirs alone.
                unique = con.execute(
                    f"""select {column} from raw.{name} where length({column}) >= {SHORTEST_TEXT}
                    group by {column} having bool_and({mine})"""
                ).fetchall()
                own_words = {value for (value,) in unique}
                for (value,) in values:
                    if value and (kind == "email" or value in own_words):
                        subject.replace(value, ERASED)
    by_contact = _listed("contact_id", subject.contact_ids)
    by_account = _listed("account_id", subject.account_ids)
    users = con.execute(
        f"select distinct user_id from raw.product_events where {by_contact} or {by_account}"
    ).fetchall()
    subject.users = {user_id: _token() for (user_id,) in users}
    for attribute, key, table in (
        ("answers", "response_id", "survey_responses"),
        ("items", "feedback_id", "feedback_items"),
    ):
        rows = con.execute(f"select distinct {key} from raw.{table} where {by_contact} or {by_account}").fetchall()
        setattr(subject, attribute, {value for (value,) in rows})
    if not found:
        known = ", ".join(sorted(subject.contact_ids or subject.account_ids))
        raise UsageError(f"no loaded row names the {subject.kind} {known}")


def _listed(column: str, ids: Iterable[str]) -> str:
    values = ", ".join(quote_literal(one) for one in sorted(ids))
    return f"coalesce({column} in ({values}), false)" if values else "false"


def _is_mine(subject: Subject, table: str) -> str | None:
    """Whether a raw row is about the subject, in SQL; None for tables that know neither contacts nor accounts."""
    tests = [_listed(column, subject.contact_ids) for column in contact_columns()[table]]
    tests += [_listed(column, subject.account_ids) for column in _account_columns(table)]
    tests = [test for test in tests if test != "false"]
    return " or ".join(tests) or None


def _account_columns(table: str) -> list[str]:
    columns = TABLES[table].columns
    return [one.name for one in columns if one.references == "crm_accounts" or (table == "crm_accounts" and one.key)]


# -------------------------------------------------------------------------------------------------------- the databases


def _rewrite(file: Path, scrub: Callable[[duckdb.DuckDBPyConnection], None], spill: Path) -> None:
    """Replace a DuckDB file by a copy of what `scrub` leaves of it; blocks that were freed are not copied."""
    work, fresh = (file.with_name(f".{file.name}.{name}{PART}") for name in ("work", "fresh"))
    for stale in (work, fresh, work.with_name(work.name + ".wal"), fresh.with_name(fresh.name + ".wal")):
        stale.unlink(missing_ok=True)
    work.write_bytes(file.read_bytes())
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


def _scrub_build(
    con: duckdb.DuckDBPyConnection, subject: Subject, new_hashes: Sequence[tuple[str, str, int]], now: datetime
) -> None:
    """Raw rows and the books of loads; what was built from them is dropped and built anew by the next night."""
    schemas = con.execute(
        "select schema_name from duckdb_schemas() where database_name = current_database() and not internal"
    ).fetchall()
    for (schema,) in schemas:
        if schema not in ("raw", "ops", "main"):
            con.execute(f"drop schema {quote_name(schema)} cascade")
    stands = pa.table({"value": [*subject.replacements], "text": [*subject.replacements.values()]})
    con.register("stands_for", stands)
    con.register("user_tokens", pa.table({"value": [*subject.users], "text": [*subject.users.values()]}))
    for name, table in TABLES.items():
        mine = _is_mine(subject, name)
        if mine is None:
            continue
        ids = {*contact_columns()[name], *_account_columns(name), *_OTHER_IDS.get(name, ())}
        if name == "crm_accounts":
            ids.add("account_name")
        changes = [
            f"{column} = coalesce((select text from stands_for where value = {column}), {column})"
            for column in sorted(ids)
        ]
        for column in table.columns:
            if (name, column.name) in personal_columns():
                changes.append(f"{column.name} = {'null' if column.nullable else quote_literal(ERASED)}")
        if name == "product_events":
            changes.append("user_id = coalesce((select text from user_tokens where value = user_id), user_id)")
        con.execute(f"update raw.{name} set {', '.join(changes)} where {mine}")
    _scrub_tables(con, subject, "ops")
    tokens = "|".join(sorted({*subject.replacements.values()} | {*subject.users.values()}, key=len, reverse=True))
    for table in ("quarantine", "replays"):
        con.execute(
            f"update ops.{table} set raw_line = $erased where regexp_matches(raw_line, $tokens)",
            {"erased": ERASED, "tokens": re.escape(tokens).replace("\\|", "|")},
        )
    con.execute(
        """update ops.quarantine set value = null, row_hash = null,
            status = case when status = 'open' then 'dropped' else status end where raw_line = $erased""",
        {"erased": ERASED},
    )
    for old, new, size in new_hashes:
        con.execute("update ops.load_log set content_hash = ?, bytes = ? where content_hash = ?", [new, size, old])
    con.execute("create table if not exists ops.erasures (kind varchar, token varchar, erased_at timestamp)")
    con.execute("insert into ops.erasures values (?, ?, ?)", [subject.kind, subject.token, now])
    con.execute("drop table if exists ops.load_seals")
    con.execute("drop table if exists ops.builds")


def _scrub_tables(con: duckdb.DuckDBPyConnection, subject: Subject, schema: str) -> None:
    """Replace ids, addresses and names in every text column of a schema."""
    columns = con.execute(
        """select table_name, column_name from duckdb_columns() where schema_name = ? and data_type = 'VARCHAR'
        and database_name = current_database() and not internal""",
        [schema],
    ).fetchall()
    for table, column in columns:
        place, name = f"{schema}.{quote_name(table)}", quote_name(column)
        hits = con.execute(
            f"select distinct {name} from {place} where regexp_matches({name}, ?)", [subject.alternatives]
        ).fetchall()
        changed = {value: subject.scrub(value) for (value,) in hits if subject.scrub(value) != value}
        if changed:
            con.register("scrubbed", pa.table({"_was": [*changed], "_now": [*changed.values()]}))
            con.execute(f"update {place} set {name} = scrubbed._now from scrubbed where {name} = scrubbed._was")


def _scrub_published(con: duckdb.DuckDBPyConnection, subject: Subject) -> None:
    present = {name for (name,) in con.execute("select table_name from duckdb_tables()").fetchall()}
    keyed = (
        ("fct_survey_responses", "comment", "response_id", subject.answers),
        ("fct_feedback_items", "body", "feedback_id", subject.items | {f"survey:{one}" for one in subject.answers}),
        ("fct_feedback_items", "url", "feedback_id", subject.items),
    )
    for table, column, key, values in keyed:
        if table in present and values:
            con.execute(f"update {table} set {column} = null where {_listed(key, values)}")
    _scrub_tables(con, subject, "main")


def _rewrite_published(warehouse: Warehouse, subject: Subject) -> list[str]:
    """The published file and the versions kept: the current version stays one file under two names."""
    current = read_publication(warehouse.marts_file)
    files = [warehouse.versions / f"{version}.duckdb" for version in kept_versions(warehouse)]
    for file in files:
        _rewrite(file, lambda con: _scrub_published(con, subject), warehouse.build)
        if current is not None and file.stem == current.version:
            part = warehouse.root / f".marts{PART}"
            part.unlink(missing_ok=True)
            part.hardlink_to(file)
            part.replace(warehouse.marts_file)
    if current is not None and warehouse.versions / f"{current.version}.duckdb" not in files:
        _rewrite(warehouse.marts_file, lambda con: _scrub_published(con, subject), warehouse.build)
    return [str(file) for file in files] + ([str(warehouse.marts_file)] if current is not None else [])


# ------------------------------------------------------------------------------------------------------ all other files


def _rewrite_others(warehouse: Warehouse, subject: Subject) -> list[str]:
    """Digests, logs, pages, the history of runs; Parquet copies are made anew from what was rewritten."""
    from serving.parquet import publish_parquet, withdraw_parquet

    rewritten = []
    if warehouse.parquet.exists():
        withdraw_parquet(warehouse)
        publish_parquet(warehouse)
        rewritten.append(str(warehouse.parquet))
    own = {warehouse.build_file, warehouse.marts_file, *warehouse.versions.glob("*.duckdb")}
    for file in sorted(warehouse.root.rglob("*")):
        if file in own or file.is_symlink() or not file.is_file() or warehouse.parquet in file.parents:
            continue
        if _is_sqlite(file):
            changed = _scrub_sqlite(file, subject)
        elif _is_duckdb(file):
            _rewrite(file, lambda con: _scrub_tables(con, subject, "main"), warehouse.build)
            changed = True
        elif file.suffix in TEXT_FILES:
            changed = _scrub_text(file, subject)
        else:
            continue
        if changed:
            rewritten.append(str(file))
    return rewritten


def _is_sqlite(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(16) == b"SQLite format 3\x00"


def _is_duckdb(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(12)[8:] == b"DUCK"


def _scrub_text(file: Path, subject: Subject) -> bool:
    text = file.read_text(encoding="utf-8", errors="surrogateescape")
    clean = subject.scrub(text)
    if clean == text:
        return False
    aside = file.with_name(file.name + PART)
    aside.write_text(clean, encoding="utf-8", errors="surrogateescape")
    aside.chmod(file.stat().st_mode & 0o777)
    aside.replace(file)
    return True


def _scrub_sqlite(file: Path, subject: Subject) -> bool:
    """Dagster keeps runs as JSON in SQLite; freed pages go with a vacuum."""
    changed = 0
    with closing(sqlite3.connect(file)) as con:
        con.create_function("scrub", 1, lambda value: subject.scrub(value) if isinstance(value, str) else value)
        tables = con.execute(
            "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'"
        ).fetchall()
        for (table,) in tables:
            for _, column, *_ in con.execute(f"pragma table_info({quote_name(table)})").fetchall():
                name = quote_name(column)
                changed += con.execute(
                    f"update {quote_name(table)} set {name} = scrub({name}) where scrub({name}) is not {name}"
                ).rowcount
        con.commit()
        if changed:
            con.execute("vacuum")
            con.execute("pragma wal_checkpoint(truncate)")
    return changed > 0


# -------------------------------------------------------------------------------------------------------- landing files


def _landing_files(con: duckdb.DuckDBPyConnection, subject: Subject, landing: Path | None) -> list[Path]:
    """The files that hold the subject: all of `landing`, or by the load log those that brought rows of it."""
    if landing is not None:
        found, _ = discover(landing.absolute())
        return [path for files in found.values() for path, kind in files if _holds(path, kind, subject)]
    paths: set[str] = set()
    for name in TABLES:
        if (mine := _is_mine(subject, name)) is not None:
            rows = con.execute(
                f"""select distinct path from ops.load_log
                where load_id in (select _load_id from raw.{name} where {mine})"""
            ).fetchall()
            paths |= {path for (path,) in rows}
    refused = con.execute(
        "select distinct path from ops.quarantine where regexp_matches(raw_line, ?)", [subject.alternatives]
    )
    return [Path(path) for path in sorted(paths | {path for (path,) in refused.fetchall()})]


def _kind(path: Path) -> str:
    return next(kind for kind in FORMATS if path.name.lower().endswith("." + kind))


def _holds(path: Path, kind: str, subject: Subject) -> bool:
    if kind == "parquet":
        rows = pq.read_table(path).to_pylist()
        return any(subject.scrub(str(value)) != str(value) for row in rows for value in row.values())
    text = _read_text(path)
    return subject.scrub(text) != text


def _read_text(path: Path) -> str:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.name.lower().endswith(".gz") else data).decode("utf-8", "surrogateescape")


def _rewrite_landed(subject: Subject, path: Path) -> tuple[str, str, int]:
    """Rewrite a landing file in place; returns its old hash, its new hash and its new size."""
    old = hashlib.sha256(path.read_bytes()).hexdigest()
    table = next(
        name
        for name in TABLES
        if name in (path.parent.name, path.name.split(".", 1)[0], *(p.name for p in path.parents))
    )
    aside = path.with_name(path.name + PART)
    kind = _kind(path)
    if kind == "parquet":
        landed = pq.read_table(path)
        rows = [_scrub_row(subject, table, row) for row in landed.to_pylist()]
        pq.write_table(pa.Table.from_pylist(rows, schema=landed.schema), aside)
    else:
        clean = (
            _scrub_jsonl(subject, table, _read_text(path))
            if kind == "jsonl"
            else _scrub_csv(subject, table, _read_text(path))
        )
        data = clean.encode("utf-8", "surrogateescape")
        aside.write_bytes(gzip.compress(data) if kind == "csv.gz" else data)
    aside.replace(path)
    return old, hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size


def _scrub_row(subject: Subject, table: str, row: Mapping[str, object]) -> dict[str, object]:
    """A row of the subject without its personal columns; any other as it is."""
    clean = {name: subject.scrub(value) if isinstance(value, str) else value for name, value in row.items()}
    if clean == row:
        return clean
    for name in clean:
        known = name.strip().lower()
        if (table, known) in personal_columns() and clean[name] is not None:
            clean[name] = None if TABLES[table].by_name[known].nullable else ERASED
        if table == "product_events" and known == "user_id":
            clean[name] = subject.users.get(str(clean[name]), clean[name])
    return clean


def _scrub_jsonl(subject: Subject, table: str, text: str) -> str:
    lines = []
    for line in text.splitlines(keepends=True):
        if subject.scrub(line) != line:
            try:
                line = json.dumps(_scrub_row(subject, table, json.loads(line)), ensure_ascii=False) + "\n"
            except ValueError:  # a line that waits in quarantine
                line = subject.scrub(line)
        lines.append(line)
    return "".join(lines)


def _scrub_csv(subject: Subject, table: str, text: str) -> str:
    """Records of the subject are written anew, all others stay byte for byte."""
    out = io.StringIO(newline="")
    header: list[str] = []
    for raw in _records(text):
        if not header:
            header = next(csv.reader([raw.lstrip("\ufeff")]))
            out.write(raw)
        elif subject.scrub(raw) == raw:
            out.write(raw)
        else:
            fields = next(csv.reader(io.StringIO(raw, newline="")))
            if len(fields) != len(header):  # a line that waits in quarantine
                out.write(subject.scrub(raw))
                continue
            row = _scrub_row(subject, table, dict(zip(header, fields, strict=True)))
            csv.writer(out, lineterminator="\n").writerow([row[name] for name in header])
    return out.getvalue()


def _records(text: str) -> Iterator[str]:
    """The records of a CSV text as they stand, a record ending where its quotes are even."""
    record = ""
    for line in text.splitlines(keepends=True):
        record += line
        if record.count('"') % 2 == 0:
            yield record
            record = ""
    if record:
        yield record
