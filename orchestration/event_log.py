"""Dagster's SQLite event log with its connections kept open, and with an end to what it keeps.

Dagster's own opens, compiles and syncs anew for each of the thousand events of a night, which costs more than building
the models. Configured by the dagster.yaml that the run writes; the files are the same, so either class reads them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster._core.storage.event_log.sqlite import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine, event

from orchestration.schedules import JOB
from orchestration.warehouse import LOGS_KEPT


class OpenEventLog(SqliteEventLogStorage):
    """One engine a shard for the life of the storage."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: dict[str, Engine] = {}
        self._tables: set[str] = set()
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> OpenEventLog:
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._engines.get(shard)
            if engine is None:
                engine = self._engines[shard] = self._open(shard)
            with engine.begin() as connection:
                yield connection

    def _open(self, shard: str) -> Engine:
        engine = create_engine(
            self.conn_string_for_shard(shard), pool_size=1, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
        )
        event.listen(engine, "connect", _trust_the_page_cache)
        self._initdb(engine)
        return engine

    def has_table(self, table_name: str) -> bool:
        """Whether the index has this table; asked again only while it hasn't."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def delete_events(self, run_id: str) -> None:
        """Forget a run. Dagster's own would leave its file behind, emptied, and in the index what its checks found."""
        super().delete_events(run_id)
        self._engines.pop(run_id).dispose()
        for suffix in ("", "-wal", "-shm"):
            Path(self.path_for_shard(run_id) + suffix).unlink(missing_ok=True)
        with self.index_connection() as index:
            index.execute(AssetCheckExecutionsTable.delete().where(AssetCheckExecutionsTable.c.run_id == run_id))

    def dispose(self) -> None:
        """Close what is open."""
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()
        super().dispose()


def prune_runs(instance: DagsterInstance) -> None:
    """Delete the nights that ended, with all that is known of them, but for the newest: as many as there are logs.

    The caller holds the warehouse. Runs of other jobs stay: the instance may be one that others use, too.
    """
    ended = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
    for run_id in instance.get_run_ids(RunsFilter(job_name=JOB, statuses=ended))[LOGS_KEPT:]:
        instance.delete_run(run_id)


def _trust_the_page_cache(connection: Any, _record: Any) -> None:
    # In WAL mode a killed process loses nothing by this; only a power cut could lose the last events, never the file.
    connection.execute("pragma synchronous = normal")
