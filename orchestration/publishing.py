"""Write, audit, publish: the published file is written aside, checked, and swapped in by one rename.

`versions/<published_at>.duckdb` are hard links of the last published files, so each is whole and costs no second copy.
Every function leaves the published file either as it was or complete, wherever it's killed.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from orchestration.personal import pseudonym
from orchestration.sql import quote_literal, quote_name
from orchestration.variables import PROJECT_DIR, UsageError
from orchestration.warehouse import Warehouse, open_database

STAMP = "%Y%m%dT%H%M%S%fZ"
STAMPED = re.compile(r"\d{8}T\d{12}Z")
PART = ".part"
DOCS = PROJECT_DIR / "models" / "docs"


@dataclass(frozen=True)
class Publication:
    """The row of `meta_publication`. Instants are naive UTC; `published_at` names the version."""

    as_of_date: date
    published_at: datetime
    code_version: str
    input_hash: str
    reporting_currency: str
    reporting_timezone: str
    checks_passed: int
    checks_warned: int
    run_id: str
    previous_published_at: datetime | None

    @property
    def version(self) -> str:
        return self.published_at.strftime(STAMP)

    @property
    def previous_version(self) -> str | None:
        """The version that this one followed, None when it was the first."""
        return self.previous_published_at.strftime(STAMP) if self.previous_published_at else None


@dataclass(frozen=True)
class Mart:
    """A table to publish: its name, its key (what orders its rows, too), what its docs say (columns by name), and which
    columns hold text as somebody wrote it or ids of contacts."""

    name: str
    grain: Sequence[str]
    description: str
    columns: Mapping[str, str]
    free_text: frozenset[str] = frozenset()
    contacts: frozenset[str] = frozenset()


FREE_TEXT = "free_text"


def marts_of(manifest: Mapping[str, Any]) -> list[Mart]:
    """The tables in schema `marts` by dbt's manifest; a table's key is what its grain test holds unique, never NULL."""
    keys = _keys(manifest)
    marts = [
        Mart(
            name=node["alias"],
            grain=keys.get(unique_id, ()),
            description=node["description"],
            columns={name: column["description"] for name, column in node["columns"].items()},
            free_text=frozenset(
                name for name, column in node["columns"].items() if FREE_TEXT in column["config"]["tags"]
            ),
            contacts=frozenset(
                name
                for name, column in node["columns"].items()
                if column["config"]["meta"].get("personal") == "contact"
            ),
        )
        for unique_id, node in manifest["nodes"].items()
        if node["resource_type"] == "model" and node["schema"] == "marts"
    ]
    return sorted(marts, key=lambda mart: mart.name)


def _keys(manifest: Mapping[str, Any]) -> dict[str, list[str]]:
    keys = {}
    for node in manifest["nodes"].values():
        test = node.get("test_metadata") or {}
        if test.get("name") == "unique_grain":
            keys[node["attached_node"]] = list(test["kwargs"]["columns"])
        elif test.get("name") == "unique":
            keys.setdefault(node["attached_node"], [test["kwargs"]["column_name"]])
    return keys


def read_publication(file: Path) -> Publication | None:
    """The `meta_publication` row of a published file, or None when there is no such file.

    Raises:
        duckdb.Error: the file is there but isn't a published file.
    """
    if not file.exists():
        return None
    names = [field.name for field in fields(Publication)]
    with duckdb.connect(str(file), read_only=True) as con:
        row = con.execute(f"select {', '.join(names)} from meta_publication").fetchone()
    return Publication(**dict(zip(names, row, strict=True)))


def kept_versions(warehouse: Warehouse) -> list[str]:
    """The versions that a rollback can go to, oldest first; a file that somebody else laid there is none."""
    return sorted(path.stem for path in warehouse.versions.glob("*.duckdb") if STAMPED.fullmatch(path.stem))


def next_instant(warehouse: Warehouse, now: datetime) -> datetime:
    """`now` as naive UTC, or just after the newest version when a clock that went back would break their order."""
    instant = now.replace(tzinfo=None)
    versions = kept_versions(warehouse)
    if versions:
        instant = max(instant, datetime.strptime(versions[-1], STAMP) + timedelta(microseconds=1))
    return instant


def clean_leftovers(warehouse: Warehouse) -> list[str]:
    """Remove what a killed run left half written, and list the published file as a version if it isn't one yet."""
    leftovers = [
        *warehouse.versions.glob(f"*{PART}*"),
        *warehouse.root.glob(f".marts*{PART}*"),
        *warehouse.parquet.glob(f"*{PART}"),
        *warehouse.target.glob("*.new"),
        *(path for folder in (warehouse.build, warehouse.runs, warehouse.alerts) for path in folder.glob("*.new")),
        *warehouse.build.glob("*.tmp"),
    ]
    for path in leftovers:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    _list_current(warehouse)
    return [path.name for path in leftovers]


def publish(
    warehouse: Warehouse,
    marts: Sequence[Mart],
    publication: Publication,
    pseudonym_key: str | None = None,
) -> None:
    """Write the marts and `meta_publication` aside, audit them and swap them in; `keep_versions` belongs behind it.

    With a `pseudonym_key`, ids of contacts leave as pseudonyms.

    Raises:
        OSError, duckdb.Error: the file could not be written or differs from the build; the published one is as it was.
    """
    part = warehouse.versions / f"{publication.version}{PART}"
    _write(part, warehouse.build_file, marts, publication, pseudonym_key)
    part.chmod(0o444)
    sync(part)
    sync(warehouse.versions)
    _swap(warehouse, part)


def keep_versions(warehouse: Warehouse, keep: int) -> None:
    """List the published file as a version and keep `keep` of them: this one, the one that it followed (after a
    rollback there are newer ones, which were withdrawn), and the newest of the others.

    Raises:
        OSError: a version could not be listed or removed; what is published stands.
    """
    _list_current(warehouse)
    current = read_publication(warehouse.marts_file)
    by_worth = sorted(
        kept_versions(warehouse),
        key=lambda version: (version == current.version, version == current.previous_version, version),
        reverse=True,
    )
    for version in by_worth[keep:]:
        (warehouse.versions / f"{version}.duckdb").unlink()


def rollback(warehouse: Warehouse, to: str | None = None) -> Publication:
    """Publish an earlier version again: the one that the published version followed, or the one named by `to`.

    Raises:
        UsageError: nothing is published, or there is no such version.
    """
    clean_leftovers(warehouse)
    current = read_publication(warehouse.marts_file)
    if current is None:
        raise UsageError(f"nothing is published in {warehouse.root}")
    kept = kept_versions(warehouse)
    if to is None:
        to = current.previous_version
    if to not in kept:
        wanted = f"version {to} is not kept" if to else "there is no earlier version"
        raise UsageError(f"{wanted}; kept: {', '.join(kept)}")
    part = warehouse.root / f".marts{PART}"
    link(warehouse.versions / f"{to}.duckdb", part)
    _swap(warehouse, part)
    return read_publication(warehouse.marts_file)


def _write(
    part: Path, build_file: Path, marts: Sequence[Mart], publication: Publication, pseudonym_key: str | None
) -> None:
    for stale in (part, part.with_name(part.name + ".wal")):
        stale.unlink(missing_ok=True)
    with open_database(":memory:", spill=build_file.parent) as con:
        con.execute(f"attach {quote_literal(str(build_file))} as {quote_name(build_file.stem)} (read_only)")
        con.execute(f"attach {quote_literal(str(part))} as aside")
        for mart in marts:
            source = f"{quote_name(build_file.stem)}.marts.{quote_name(mart.name)}"
            order = ", ".join(map(quote_name, mart.grain)) or "all"
            rows = _pseudonymised(con, source, mart, pseudonym_key) if pseudonym_key else source
            con.execute(f"create table aside.main.{quote_name(mart.name)} as select * from {rows} order by {order}")
            _comment(con, mart)
            built, written = (
                con.execute(f"select count(*) from {table}").fetchone()[0]
                for table in (source, f"aside.main.{quote_name(mart.name)}")
            )
            if built != written:
                raise duckdb.IOException(f"{mart.name}: {built} rows built, {written} rows written")
        _write_meta(con, publication)
        _write_columns(con, marts)
        con.execute("detach aside")
    if part.with_name(part.name + ".wal").exists():
        raise duckdb.IOException(f"{part.name} was not closed: a .wal lies beside it")
    if read_publication(part) != publication:
        raise duckdb.IOException(f"{part.name} doesn't read back as it was written")


def _pseudonymised(con: duckdb.DuckDBPyConnection, source: str, mart: Mart, key: str) -> str:
    """The source with pseudonyms for the ids of contacts, as a subquery."""
    if not mart.contacts:
        return source
    replaced = []
    for column in sorted(mart.contacts):
        ids = con.execute(f"select distinct {column} from {source} where {column} is not null").fetchall()
        names = {contact_id: pseudonym(key, contact_id) for (contact_id,) in ids}
        table = quote_name(f"pseudonyms of {mart.name}.{column}")
        con.register(table.strip('"'), pa.table({"id": list(names.keys()), "stands_as": list(names.values())}))
        replaced.append(f"(select stands_as from {table} where id = {column}) as {column}")
    return f"(select * replace ({', '.join(replaced)}) from {source})"


def _comment(con: duckdb.DuckDBPyConnection, mart: Mart) -> None:
    table = f"aside.main.{quote_name(mart.name)}"
    if mart.description:
        con.execute(f"comment on table {table} is {quote_literal(mart.description)}")
    present = {row[0] for row in con.execute(f"describe {table}").fetchall()}
    for column, description in mart.columns.items():
        if description and column in present:
            con.execute(f"comment on column {table}.{quote_name(column)} is {quote_literal(description)}")


@cache
def _doc_blocks() -> dict[str, str]:
    docs = "".join((DOCS / file).read_text(encoding="utf-8") for file in ("tables.md", "columns.md"))
    return dict(re.findall(r"{% docs (\w+) %}\s*(.*?)\s*{% enddocs %}", docs, re.S))


def _comment_meta(con: duckdb.DuckDBPyConnection, name: str) -> None:
    """Comment a table that is no model, so that no manifest describes it, from the doc blocks of all others."""
    blocks = _doc_blocks()
    columns = [row[0] for row in con.execute(f"describe aside.main.{name}").fetchall()]
    _comment(con, Mart(name, (), blocks[f"table_{name}"], {column: blocks[column] for column in columns}))


def _write_meta(con: duckdb.DuckDBPyConnection, publication: Publication) -> None:
    con.execute(
        """create table aside.main.meta_publication (
            as_of_date date, published_at timestamp, code_version varchar, input_hash varchar,
            reporting_currency varchar, reporting_timezone varchar, checks_passed bigint, checks_warned bigint,
            run_id varchar, previous_published_at timestamp)"""
    )
    con.execute(
        "insert into aside.main.meta_publication values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [getattr(publication, field.name) for field in fields(Publication)],
    )
    _comment_meta(con, "meta_publication")


def _write_columns(con: duckdb.DuckDBPyConnection, marts: Sequence[Mart]) -> None:
    """What a copy of the tables elsewhere must know and the tables can't say: keys, and where free text is."""
    con.execute(
        """create table aside.main.meta_columns (
            table_name varchar, column_name varchar, position integer, data_type varchar, key_position integer,
            is_free_text boolean, description varchar)"""
    )
    _comment_meta(con, "meta_columns")  # before its rows are read off the comments
    con.execute(
        "create temp table known (table_name varchar, column_name varchar, key_position integer, is_text boolean)"
    )
    known = [
        [mart.name, name, mart.grain.index(name) + 1 if name in mart.grain else None, name in mart.free_text]
        for mart in marts
        for name in {*mart.grain, *mart.free_text}
    ]
    if known:
        con.executemany("insert into known values (?, ?, ?, ?)", known)
    con.execute(
        """insert into aside.main.meta_columns
        select columns.table_name, columns.column_name, columns.column_index, columns.data_type, known.key_position,
            coalesce(known.is_text, false), columns.comment
        from duckdb_columns() as columns
        left join known using (table_name, column_name)
        where columns.database_name = 'aside'
        order by columns.table_name, columns.column_index"""
    )


def _swap(warehouse: Warehouse, part: Path) -> None:
    # A .wal that somebody's writing connection left would be replayed into the new file and break it.
    warehouse.marts_file.with_name("marts.duckdb.wal").unlink(missing_ok=True)
    part.replace(warehouse.marts_file)
    part.unlink(missing_ok=True)  # rename(2) does nothing between two names of one file
    sync(warehouse.root)


def _list_current(warehouse: Warehouse) -> None:
    current = read_publication(warehouse.marts_file)
    if current is None:
        return
    listed = warehouse.versions / f"{current.version}.duckdb"
    if not listed.exists():
        link(warehouse.marts_file, listed)
        sync(warehouse.versions)


def link(source: Path, target: Path) -> None:
    """Let `target` be this file under a second name, or a copy of it where the file system has no hard links."""
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:  # no hard links there: a copy, made aside so that it's never half there
        aside = target.with_name(target.name + PART)
        shutil.copy2(source, aside)
        sync(aside)
        aside.replace(target)


def sync(path: Path) -> None:
    """Let a file, or the names in a folder, reach the disk before going on."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
