"""The copy in PostgreSQL, for BI tools: a schema a version, and views that are repointed all at once.

`marts_<version>` holds the tables, `marts` the views that analysts read, `marts_bi` those for BI: without free text and
without small cells. A version is loaded, checked and committed whole before anybody sees it; then every view moves to
it in one transaction, so a reader sees one version or the other, and views that analysts made on top stay theirs.
Killed anywhere, the views are as they were, and the next run goes on. A schema's comment is the SHA-256 of the file
that it was loaded from: after `csw erase` the file is another one, and copies of what it was go.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb

from orchestration.publishing import read_publication
from orchestration.sql import literals, quote_literal, quote_name
from orchestration.variables import UsageError
from serving.address import Server
from serving.cells import bi_select
from serving.tables import Table, tables_of

TYPES = {
    "VARCHAR": "text",
    "BIGINT": "bigint",
    "INTEGER": "integer",
    "DOUBLE": "double precision",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIMESTAMP": "timestamp without time zone",
}
LOADED = r"^marts_\d{8}t\d{12}z(_[0-9a-f]{8})?$"  # schemas of versions
LOCK_TIMEOUT_MS = 200
PATIENCE_SECONDS = 120.0
BUSY = ("55P03", "40P01")  # lock_not_available, deadlock_detected
BATCH = 50_000
LONGEST_KEY_BYTES = 2500  # a row of an index holds 2704, with its header and the padding of its columns


@dataclass(frozen=True)
class Served:
    """What serving did: the version in force, whether it had to be loaded, rows loaded, tries until the swap."""

    server: str
    version: str
    rows: int
    tries: int
    notices: tuple[str, ...] = ()

    def text(self) -> str:
        """One line for people."""
        how = f"{self.rows:,} rows loaded" if self.rows else "already loaded"
        return "; ".join([f"{self.server} (version {self.version}, {how})", *self.notices])


def serve_file(
    server: Server,
    marts_file: Path,
    *,
    replace_changed: bool = False,
    patience: float = PATIENCE_SECONDS,
    say: Callable[[str], None] = lambda line: None,
) -> Served:
    """Let the views of this server show this published file. What is still there, byte for byte, is not loaded again.

    Args:
        replace_changed: make views anew whose columns went or changed type, if nothing depends on them.
        patience: seconds to wait for readers that hold a view.

    Raises:
        UsageError: the server can't be reached or refuses, somebody else is serving to it, a view would lose or change
            a column, or readers hold the views. The views are as they were.
    """
    tables = tables_of(marts_file)
    publication = read_publication(marts_file)
    content = _content_of(marts_file)
    with _connection(server) as session:
        own = _own_views(session)
        before = own.get(("marts", "meta_publication"))
        session.roles()
        changed = _changes(session, tables, own)
        if changed:
            _refuse_or_allow(session, changed, replace_changed)
        rows, notices = 0, []
        held = _versions(session)
        schema = next((name for name, loaded in held.items() if loaded == content), None)
        if schema is None:
            schema = _schema_of(publication.version)
            if schema in held:
                schema += f"_{content[:8]}"
            say(f"  loading {schema} into {server.label}")
            rows, notices = _load(session, marts_file, tables, schema, content)
        tries = _swap(session, tables, schema, {view for view, _ in changed}, patience)
        _describe(session, tables)
        notices += _drop_old(session, schema, before, marts_file.parent / "versions")
    return Served(server.label, publication.version, rows, tries, tuple(notices))


class _Session:
    """One connection to the server: short names for its statements."""

    def __init__(self, connection: Any, server: Server) -> None:
        self.connection = connection
        self.server = server

    def run(self, statement: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(statement)

    def rows(self, query: str, *values: Any) -> list[tuple]:
        with self.connection.cursor() as cursor:
            cursor.execute(query, values or None)
            return cursor.fetchall()

    def commit(self) -> None:
        self.connection.commit()

    def rollback(self) -> None:
        self.connection.rollback()

    def roles(self) -> None:
        """Make the two roles and the two schemas of views where they are missing."""
        import adbc_driver_manager

        wanted = (self.server.bi_role, self.server.analyst_role)
        known = {name for (name,) in self.rows(f"select rolname from pg_roles where rolname in ({literals(wanted)})")}
        missing = [role for role in wanted if role not in known]
        try:
            for role in missing:
                self.run(f"create role {role} nologin")
        except adbc_driver_manager.ProgrammingError as error:
            statements = " ".join(f"create role {role} nologin;" for role in missing)
            raise UsageError(
                f"{self.server.label}: this account may not make roles: let its administrator run: {statements}"
            ) from error
        for schema in ("marts", "marts_bi"):
            self.run(f"create schema if not exists {schema}")
        self.run(f"grant usage on schema marts, marts_bi to {self.server.analyst_role}")
        self.run(f"grant usage on schema marts_bi to {self.server.bi_role}")
        self.commit()


@contextmanager
def _connection(server: Server) -> Iterator[_Session]:
    """A connection that nobody else serves by, and whose errors are told without the address and its password."""
    import adbc_driver_manager
    from adbc_driver_postgresql import dbapi

    url = server.url
    if "connect_timeout" not in url:
        url += ("&" if urlsplit(url).query else "?") + "connect_timeout=10"
    try:
        with dbapi.connect(url) as connection:
            session = _Session(connection, server)
            session.run("set application_name = 'csw serve'")
            session.run("set client_encoding = 'UTF8'")  # what the driver sends, whatever the database is kept in
            session.commit()
            if not session.rows("select pg_try_advisory_lock(hashtext('csw serve'))")[0][0]:
                raise UsageError(f"{server.label}: another run is serving to this database; let it end")
            session.commit()
            yield session
    except adbc_driver_manager.Error as error:
        # the driver repeats the address that it was given, password and all
        message = " ".join(server.clean(str(error)).split())
        raise UsageError(f"{server.label}: {message}") from None


def _own_views(session: _Session) -> dict[tuple[str, str], str]:
    """The views of the two schemas that were made here, each with the schema of the version that it shows: such a view
    reads the table of its own name there. What else lies in the two schemas is somebody else's."""
    found = session.rows(
        f"""select distinct place.nspname, view.relname, source.nspname
        from pg_rewrite as rule
        inner join pg_class as view on rule.ev_class = view.oid
        inner join pg_namespace as place on view.relnamespace = place.oid
        inner join pg_depend as link on link.objid = rule.oid and link.classid = 'pg_rewrite'::regclass
        inner join pg_class as used on link.refobjid = used.oid and link.refclassid = 'pg_class'::regclass
        inner join pg_namespace as source on used.relnamespace = source.oid
        where place.nspname in ('marts', 'marts_bi') and used.relname = view.relname
            and source.nspname ~ {quote_literal(LOADED)}"""
    )
    session.commit()
    return {(place, view): schema for place, view, schema in found}


def _columns_of_views(session: _Session) -> dict[tuple[str, str], dict[str, str]]:
    """Columns in order, with their types, of every view of the two schemas."""
    views: dict[tuple[str, str], dict[str, str]] = {}
    for place, view, column, data_type in session.rows(
        """select place.nspname, view.relname, col.attname, format_type(col.atttypid, col.atttypmod)
        from pg_class as view
        inner join pg_namespace as place on view.relnamespace = place.oid
        inner join pg_attribute as col on col.attrelid = view.oid and col.attnum > 0
        where place.nspname in ('marts', 'marts_bi') and view.relkind = 'v'
        order by place.nspname, view.relname, col.attnum"""
    ):
        views.setdefault((place, view), {})[column] = data_type
    session.commit()
    return views


def _changes(
    session: _Session, tables: Sequence[Table], own: Collection[tuple[str, str]]
) -> list[tuple[tuple[str, str], str]]:
    """The views that can't simply be repointed, and why."""
    offered = {
        (place, table.name): {column.name: _type(column.data_type) for column in columns}
        for table in tables
        for place, columns in (("marts", table.columns), ("marts_bi", table.columns_without_text))
    }
    changes = []
    for view, columns in _columns_of_views(session).items():
        new = offered.get(view)
        if new is None:
            if view in own:
                changes.append((view, "is not published any more"))
            continue
        gone = [name for name in columns if name not in new]
        retyped = [f"{name} from {old} to {new[name]}" for name, old in columns.items() if new.get(name, old) != old]
        if gone:
            changes.append((view, f"loses {', '.join(gone)}"))
        if retyped:
            changes.append((view, f"changes {', '.join(retyped)}"))
    return changes


def _refuse_or_allow(session: _Session, changes: Sequence[tuple[tuple[str, str], str]], allowed: bool) -> None:
    lines = []
    blocked = False
    for view in sorted({view for view, _ in changes}):
        dependents = _dependents(session, view)
        blocked |= bool(dependents)
        what = " and ".join(why for changed, why in changes if changed == view)
        lines.append(f"  {'.'.join(view)} {what}; depending on it: {', '.join(dependents) or 'nothing'}")
    if allowed and not blocked:
        return
    remedy = (
        "drop or change what depends on it, then: csw serve --replace-changed"
        if blocked
        else "nothing depends on it: csw serve --replace-changed"
    )
    said = f"{session.server.label}: readers would lose columns, so the views are as they were"
    raise UsageError("\n".join([said, *lines, f"  {remedy}"]))


def _dependents(session: _Session, view: tuple[str, str]) -> list[str]:
    """The views and materialised views, of whatever schema, that stand on this one, at any distance."""
    place, name = map(quote_literal, view)
    rows = session.rows(
        f"""with recursive standing as (
            select to_regclass(quote_ident({place}) || '.' || quote_ident({name}))::oid as oid
            union
            select rule.ev_class
            from standing
            inner join pg_depend as link
                on link.refobjid = standing.oid and link.refclassid = 'pg_class'::regclass
                    and link.classid = 'pg_rewrite'::regclass
            inner join pg_rewrite as rule on link.objid = rule.oid
        )
        select oid::regclass::text from standing where oid <> (select oid from standing limit 1) order by 1"""
    )
    session.commit()
    return [dependent for (dependent,) in rows]


def _type(duckdb_type: str) -> str:
    if duckdb_type.startswith("DECIMAL("):
        return "numeric" + duckdb_type.removeprefix("DECIMAL").replace(" ", "")
    if duckdb_type not in TYPES:
        raise UsageError(f"there is no PostgreSQL type for {duckdb_type}: say one in serving/postgres.py")
    return TYPES[duckdb_type]


def _schema_of(version: str) -> str:
    return f"marts_{version.lower()}"


def _content_of(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _versions(session: _Session) -> dict[str, str | None]:
    """The schemas of versions, oldest first, each with the hash of the file that it was loaded from."""
    found = session.rows(
        f"""select nspname, obj_description(oid, 'pg_namespace') from pg_namespace
        where nspname ~ {quote_literal(LOADED)} order by nspname"""
    )
    session.commit()
    return dict(found)


def _load(
    session: _Session, marts_file: Path, tables: Sequence[Table], schema: str, content: str
) -> tuple[int, list[str]]:
    """Make the schema of this version and fill it, in one transaction: it's there whole or not at all. Returns the rows
    and what is to be told."""
    total, notices = 0, []
    session.run(f"create schema {schema}")
    session.run(f"comment on schema {schema} is {quote_literal(content)}")
    with duckdb.connect(str(marts_file), read_only=True) as con:
        for table in tables:
            is_too_long = _longest_key(con, table) > LONGEST_KEY_BYTES
            if is_too_long:
                notices.append(f"{table.name} has no primary key: that of a row is longer than an index can hold")
            session.run(_create_table(schema, table, has_key=bool(table.key) and not is_too_long))
            # PostgreSQL's text can't hold the character of code 0
            chosen = ", ".join(
                f"replace({quote_name(column.name)}, chr(0), '') as {quote_name(column.name)}"
                if column.data_type == "VARCHAR"
                else quote_name(column.name)
                for column in table.columns
            )
            reader = con.execute(f"select {chosen} from {quote_name(table.name)}").to_arrow_reader(BATCH)
            with session.connection.cursor() as cursor:
                cursor.adbc_ingest(table.name, reader, mode="append", db_schema_name=schema)
            session.run(f"analyze {schema}.{quote_name(table.name)}")
            held = con.execute(f"select count(*) from {quote_name(table.name)}").fetchone()[0]
            [[loaded]] = session.rows(f"select count(*) from {schema}.{quote_name(table.name)}")
            if held != loaded:
                raise UsageError(f"{session.server.label}: {table.name}: {held} rows published, {loaded} rows loaded")
            total += loaded
    session.commit()
    return total, notices


def _longest_key(con: duckdb.DuckDBPyConnection, table: Table) -> int:
    """The bytes of the longest text in the key of a row; its other columns, all texts together."""
    texts = [column.name for column in table.columns if column.key_position and column.data_type == "VARCHAR"]
    lengths = " + ".join(f"strlen({quote_name(name)})" for name in texts) or "0"
    return con.execute(f"select coalesce(max({lengths}), 0) from {quote_name(table.name)}").fetchone()[0]


def _create_table(schema: str, table: Table, *, has_key: bool) -> str:
    lines = [
        f"{quote_name(column.name)} {_type(column.data_type)}{' not null' if column.key_position else ''}"
        for column in table.columns
    ]
    if has_key:
        lines.append(f"primary key ({', '.join(map(quote_name, table.key))})")
    return f"create table {schema}.{quote_name(table.name)} ({', '.join(lines)})"


def _swap(
    session: _Session, tables: Sequence[Table], schema: str, replaced: Iterable[tuple[str, str]], patience: float
) -> int:
    """Point every view of both schemas to this version, all of them or none; return how many tries it took.

    A reader in a long query holds its views. Waiting for it would hold up every reader that comes after, so it's waited
    for in short tries only.
    """
    import adbc_driver_manager

    statement = _in_one_go(_view_statements(session, tables, schema, replaced))
    deadline = time.monotonic() + patience
    tries = 0
    while True:
        tries += 1
        try:
            session.run(f"set local lock_timeout = {LOCK_TIMEOUT_MS}")
            session.run(statement)
            session.commit()
            return tries
        except adbc_driver_manager.Error as error:
            session.rollback()
            if error.sqlstate not in BUSY:
                raise
            if time.monotonic() > deadline:
                raise UsageError(
                    f"{session.server.label}: readers have held the views for {patience:.0f} seconds, so they still "
                    f"show the version before; end these, then: csw serve\n{_holders(session)}"
                ) from None
        time.sleep(random.uniform(0.05, 0.4))  # not in step with a reader that comes again and again


def _view_statements(
    session: _Session, tables: Sequence[Table], schema: str, replaced: Iterable[tuple[str, str]]
) -> list[str]:
    replaced = set(replaced)
    present = _columns_of_views(session)
    names = {table.name for table in tables}
    statements = [f"drop view {place}.{quote_name(view)}" for place, view in sorted(replaced)]
    for table in tables:
        for place in ("marts", "marts_bi"):
            view = (place, table.name)
            # a view keeps the order of its columns; new ones come last
            order = [] if view in replaced else list(present.get(view, ()))
            columns = [column.name for column in table.columns if place == "marts" or not column.is_free_text]
            columns.sort(key=lambda name, order=order: order.index(name) if name in order else len(order))
            select = (
                f"select {', '.join(map(quote_name, columns))} from {schema}.{quote_name(table.name)}"
                if place == "marts"
                else bi_select(table, columns, schema, names)
            )
            # a barrier: a reader's own function can't look at rows that the view leaves out
            barrier = " with (security_barrier = true)" if place == "marts_bi" else ""
            statements.append(f"create or replace view {place}.{quote_name(table.name)}{barrier} as {select}")
    in_marts, in_bi = (
        ", ".join(f"{place}.{quote_name(table.name)}" for table in tables) for place in ("marts", "marts_bi")
    )
    server = session.server
    return [
        *statements,
        f"grant select on {in_marts}, {in_bi} to {server.analyst_role}",
        f"grant select on {in_bi} to {server.bi_role}",
    ]


def _holders(session: _Session) -> str:
    rows = session.rows(
        """select activity.pid, activity.usename, activity.state, min(view.relname), left(activity.query, 80)
        from pg_locks as held
        inner join pg_class as view on held.relation = view.oid
        inner join pg_namespace as place on view.relnamespace = place.oid
        inner join pg_stat_activity as activity on held.pid = activity.pid
        where place.nspname in ('marts', 'marts_bi') and held.pid <> pg_backend_pid() and held.granted
        group by activity.pid, activity.usename, activity.state, activity.query"""
    )
    session.commit()
    return "\n".join(
        f"  process {pid} of {user} ({state}) on {view}: {' '.join(query.split())}"
        for pid, user, state, view, query in rows
    )


def _describe(session: _Session, tables: Sequence[Table]) -> None:
    """Comments on the views and their columns, where they differ from the docs."""
    said: Mapping[tuple[str, str, str | None], str] = {
        (place, view, column): text
        for place, view, column, text in session.rows(
            """select place.nspname, view.relname, col.attname, note.description
            from pg_description as note
            inner join pg_class as view on note.objoid = view.oid and note.classoid = 'pg_class'::regclass
            inner join pg_namespace as place on view.relnamespace = place.oid
            left join pg_attribute as col on col.attrelid = view.oid and col.attnum = note.objsubid and col.attnum > 0
            where place.nspname in ('marts', 'marts_bi')"""
        )
    }
    statements = []
    for table in tables:
        for place in ("marts", "marts_bi"):
            where = f"{place}.{quote_name(table.name)}"
            if table.description and said.get((place, table.name, None)) != table.description:
                statements.append(f"comment on view {where} is {quote_literal(table.description)}")
            for column in table.columns if place == "marts" else table.columns_without_text:
                if column.description and said.get((place, table.name, column.name)) != column.description:
                    target = f"{where}.{quote_name(column.name)}"
                    statements.append(f"comment on column {target} is {quote_literal(column.description)}")
    if statements:
        session.run(_in_one_go(statements))
    session.commit()


def _in_one_go(statements: Sequence[str]) -> str:
    """One statement that runs all of these: one journey to the server, however far it is."""
    tag = "$csw$"
    while any(tag in statement for statement in statements):
        tag = f"$csw{random.randrange(10**9)}$"
    return f"do {tag} begin {'; '.join(statements)}; end {tag}"


def _drop_old(session: _Session, schema: str, before: str | None, files: Path) -> list[str]:
    """Drop the versions but this one and the one before, which goes as well when its file in the folder `files` was
    rewritten since or is gone; one that somebody still reads goes another night."""
    import adbc_driver_manager

    held = _versions(session)
    others = [name for name in held if name != schema]
    kept = before if before in others else others[-1] if others else None
    if kept is not None:
        file = next((file for file in files.glob("*.duckdb") if kept.startswith(_schema_of(file.stem))), None)
        kept = kept if file is not None and _content_of(file) == held[kept] else None
    notices = []
    for old in others:
        if old == kept:
            continue
        try:
            session.run(f"set local lock_timeout = {LOCK_TIMEOUT_MS}")
            tables = session.rows(f"select tablename from pg_tables where schemaname = {quote_literal(old)}")
            # not "cascade": what somebody built on a table of an old version would go with it
            names = ", ".join(f"{old}.{quote_name(name)}" for (name,) in tables)
            session.run(f"drop table {names}")
            session.run(f"drop schema {old}")
            session.commit()
        except adbc_driver_manager.Error as error:
            session.rollback()
            notices.append(f"{old} could not be dropped yet: {' '.join(str(error).split())}")
    return notices
