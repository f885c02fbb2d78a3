"""Parquet copies of the published tables, for tools that read files: `parquet/<version>/<table>.parquet`.

`parquet/current` is a link to the version in force. It is swapped by one rename after the whole set is written, so who
resolves it once reads one whole version. Versions go when their published file goes.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb

from orchestration.publishing import PART, kept_versions, read_publication, sync
from orchestration.sql import quote_literal, quote_name
from orchestration.warehouse import Warehouse, make_folder, open_database


def publish_parquet(warehouse: Warehouse) -> Path:
    """Let `parquet/current` be copies of the published file, written if they aren't there yet; return their folder.

    Raises:
        OSError, duckdb.Error: the copies could not be written; `current` is as it was.
    """
    publication = read_publication(warehouse.marts_file)
    folder = warehouse.parquet / publication.version
    make_folder(warehouse.parquet)
    if not folder.exists():
        aside = folder.with_name(folder.name + PART)
        shutil.rmtree(aside, ignore_errors=True)
        make_folder(aside)
        _write(warehouse, aside, {"version": publication.version, "as_of_date": str(publication.as_of_date)})
        aside.rename(folder)
    _point(warehouse.parquet, folder.name)
    kept = {*kept_versions(warehouse), publication.version}
    for old in warehouse.parquet.iterdir():
        if not old.is_symlink() and old.name not in kept:
            shutil.rmtree(old)
    return folder


def withdraw_parquet(warehouse: Warehouse) -> None:
    """Remove all copies, so that none stands beside a file of another night."""
    if warehouse.parquet.exists():
        (warehouse.parquet / "current").unlink(missing_ok=True)
        shutil.rmtree(warehouse.parquet)


def _write(warehouse: Warehouse, folder: Path, notes: dict[str, str]) -> None:
    facts = ", ".join(f"{name}: {quote_literal(text)}" for name, text in notes.items())
    with open_database(":memory:", spill=warehouse.build) as con:
        con.execute(f"attach {quote_literal(str(warehouse.marts_file))} as published (read_only)")
        tables = con.execute(
            "select table_name from duckdb_tables() where database_name = 'published' order by table_name"
        ).fetchall()
        for (table,) in tables:
            file = folder / f"{table}.parquet"
            source = f"published.main.{quote_name(table)}"
            con.execute(
                f"copy {source} to {quote_literal(str(file))} "
                f"(format parquet, compression zstd, kv_metadata {{{facts}}})"
            )
            held, written = (
                con.execute(f"select count(*) from {rows}").fetchone()[0]
                for rows in (source, f"read_parquet({quote_literal(str(file))})")
            )
            if held != written:
                raise duckdb.IOException(f"{file.name}: {held} rows published, {written} rows copied")
            file.chmod(0o444)
            sync(file)
    sync(folder)


def _point(root: Path, version: str) -> None:
    aside = root / f"current{PART}"
    aside.unlink(missing_ok=True)
    aside.symlink_to(version)
    aside.replace(root / "current")
    sync(root)
