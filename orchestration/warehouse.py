"""The warehouse folder: where its files lie, who may run in it, and what the last run left behind.

marts.duckdb     the published file, what analysts and BI tools open
versions/        the last published files, for rollback
activation/      what other systems were told about accounts, and what is on its way to them
parquet/         copies of the published tables, when they are asked for; parquet/current is the version in force
dashboard        a link to the newest set of pages in pages/
docs/            dbt documentation and column lineage, made by csw docs
build/           the build file, dbt's manifest, the names of the sample's files; only the run opens them
dagster/         the history of runs, as many as there are logs
runs/            one log a run; last.json: how the last run ended; served: which version each server shows
alerts/          one digest a night, and state.json: what was told to whom
.lock            held by the run that is under way
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from orchestration.settings import now_utc
from orchestration.variables import UsageError

LOGS_KEPT = 30
LOCK_TRIES = 4


@dataclass(frozen=True)
class Warehouse:
    """The paths of one warehouse folder (absolute)."""

    root: Path

    @property
    def marts_file(self) -> Path:
        return self.root / "marts.duckdb"

    @property
    def versions(self) -> Path:
        return self.root / "versions"

    @property
    def activation(self) -> Path:
        return self.root / "activation"

    @property
    def parquet(self) -> Path:
        return self.root / "parquet"

    @property
    def dashboard(self) -> Path:
        return self.root / "dashboard"

    @property
    def pages(self) -> Path:
        return self.root / "pages"

    @property
    def docs(self) -> Path:
        return self.root / "docs"

    @property
    def build(self) -> Path:
        return self.root / "build"

    @property
    def build_file(self) -> Path:
        return self.build / "warehouse.duckdb"

    @property
    def sample_file(self) -> Path:
        return self.build / "sample.json"

    @property
    def erasure_file(self) -> Path:
        return self.build / "erasing.json"

    @property
    def target(self) -> Path:
        return self.build / "target"

    @property
    def dagster_home(self) -> Path:
        return self.root / "dagster"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def alerts(self) -> Path:
        return self.root / "alerts"

    @property
    def last_run_file(self) -> Path:
        return self.runs / "last.json"

    @property
    def served_file(self) -> Path:
        return self.runs / "served"  # erasing looks into *.json, where a port may pass for an id

    def prepare(self) -> None:
        """Make the folders. Analysts may enter the root and versions; what holds raw data or logs is the run's alone.

        Raises:
            UsageError: the folder can't be made or written.
        """
        try:
            for folder, mode in (
                (self.root, 0o755),
                (self.versions, 0o755),
                (self.build, 0o700),
                (self.dagster_home, 0o700),
                (self.runs, 0o700),
                (self.alerts, 0o700),
            ):
                make_folder(folder, mode)
        except OSError as error:
            raise UsageError(f"the warehouse folder {self.root} can't be written: {error.strerror}") from error

    def write_last_run(self, outcome: dict[str, Any]) -> None:
        """Replace last.json, how the last run ended."""
        write_whole(self.last_run_file, json.dumps(outcome, indent=1, default=str))

    def read_last_run(self) -> dict[str, Any] | None:
        """How the last run ended, or None when there was none."""
        if not self.last_run_file.exists():
            return None
        return json.loads(self.last_run_file.read_text(encoding="utf-8"))

    def note_served(self, server: str, version: str) -> None:
        """Note which version this server (its label) shows now."""
        write_whole(self.served_file, json.dumps(self.served() | {server: version}, indent=1))

    def served(self) -> dict[str, str]:
        """The version that was last served to each server, by its label."""
        return json.loads(self.served_file.read_text(encoding="utf-8")) if self.served_file.exists() else {}

    def prune_logs(self) -> None:
        """Keep the newest logs only."""
        for old in sorted(self.runs.glob("*.log"))[:-LOGS_KEPT]:
            old.unlink()


def write_whole(file: Path, text: str) -> None:
    """Replace a file by this text (UTF-8), on disk before it has the name: a power cut leaves the one or the other.

    Raises:
        OSError: it can't be written; the file is as it was.
    """
    aside = file.with_suffix(".new")
    with aside.open("w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    aside.replace(file)


def open_database(path: str, *, spill: Path) -> duckdb.DuckDBPyConnection:
    """A writing connection within the memory that CSW_MEMORY_LIMIT grants (else 500MB), spilling to this folder."""
    con = duckdb.connect(path)
    con.execute("set temp_directory = $folder", {"folder": str(spill / "spill.tmp")})
    con.execute("set memory_limit = $limit", {"limit": os.environ.get("CSW_MEMORY_LIMIT") or "500MB"})
    con.execute("set enable_progress_bar = false")  # whoever calls tells of progress
    return con


def make_folder(folder: Path, mode: int = 0o755) -> None:
    """Make a folder, or take the one that is there, with these rights: `mkdir` alone leaves them to the umask."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(mode)


@contextmanager
def exclusive(warehouse: Warehouse) -> Iterator[None]:
    """Hold the warehouse for one run. The lock is the operating system's, so it dies with the process that holds it.

    Raises:
        UsageError: another run holds it.
    """
    handle = os.open(warehouse.root / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _taken(handle):
            holder = os.pread(handle, 200, 0).decode("utf-8", "replace").strip()
            raise UsageError(
                f"another run holds {warehouse.root} ({holder or 'just starting'}): wait for it to end; "
                "nothing was changed"
            )
        with suppress(OSError):  # on a full disk nobody is told who holds it
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()}, since {now_utc():%Y-%m-%d %H:%M:%S} UTC".encode(), 0)
        yield
    finally:
        os.close(handle)


@contextmanager
def activations(warehouse: Warehouse, *, stopped: bool = False) -> Iterator[None]:
    """Hold the folder in which activations note what they told: as one of any number, or alone, with them `stopped`, to
    erase somebody from it, whom one under way would bring back with its next note.

    Raises:
        UsageError: the other side holds it.
    """
    make_folder(warehouse.activation, 0o700)
    handle = os.open(warehouse.activation, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, (fcntl.LOCK_EX if stopped else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            other = "csw activate" if stopped else "csw erase"
            raise UsageError(f"{other} is under way in {warehouse.root}: wait for it to end") from None
        yield
    finally:
        os.close(handle)


def _taken(handle: int) -> bool:
    for _ in range(LOCK_TRIES):  # `csw status` holds the lock for an instant to see whether it's free
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        else:
            return True
    return False


def is_running(warehouse: Warehouse) -> bool:
    """True while a run (or a rollback) holds the warehouse."""
    lock_file = warehouse.root / ".lock"
    if not lock_file.exists():
        return False
    handle = os.open(lock_file, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
