"""Who may do what with the published file: BI accounts of the operating system, and hostile SQL."""

from __future__ import annotations

import errno
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from orchestration.cli import main
from orchestration.publishing import rollback
from orchestration.querying import connect_hardened
from orchestration.warehouse import Warehouse
from serving.parquet import publish_parquet
from tests.test_activation import publish_accounts

NOBODY = 65534


@pytest.fixture(scope="module")
def warehouse() -> Iterator[Warehouse]:
    """A published warehouse in a folder that any account may enter; pytest's own folders are closed."""
    folder = Path(tempfile.mkdtemp(prefix="csw-access-"))
    folder.chmod(0o755)
    warehouse = Warehouse(folder / "warehouse")
    warehouse.prepare()
    for generation, colour in enumerate(("green", "red"), start=1):
        publish_accounts(warehouse, generation, {"A1": colour})
        publish_parquet(warehouse)
    rollback(warehouse)
    publish_parquet(warehouse)
    yield warehouse
    shutil.rmtree(folder)


_AS_NOBODY = """
import os, sys
import duckdb
from pathlib import Path
os.setgroups([]); os.setgid({nobody}); os.setuid({nobody})
root = Path(sys.argv[1])
file = root / "marts.duckdb"
con = duckdb.connect(str(file), read_only=True)
assert con.execute("select health_colour from activation").fetchall() == [("green",)]
copied = root / "parquet" / "current" / "activation.parquet"
assert con.execute(f"select health_colour from '{{copied}}'").fetchall() == [("green",)]
con.close()
copy = sorted((root / "versions").glob("*.duckdb"))[-1]  # not the one that is published now
closed = [root / name for name in ("build", "runs", "dagster")]
attempts = {{
    "write into the file": lambda: duckdb.connect(str(file)).execute("delete from activation"),
    "open the file for writing": lambda: file.open("r+b"),
    "open a version for writing": lambda: copy.open("r+b"),
    "remove the file": file.unlink,
    "remove a version": copy.unlink,
    "swap the file": lambda: copy.replace(file),
    "leave a wal beside the file": lambda: Path(f"{{file}}.wal").write_bytes(b"x"),
    "add a version": lambda: (root / "versions" / "x.duckdb").write_bytes(b"x"),
    "write a parquet file": lambda: next((root / "parquet").rglob("*.parquet")).open("r+b"),
    "swap the parquet link": lambda: (root / "parquet" / "current").unlink(),
    "take the run's lock": lambda: (root / ".lock").open("w"),
    "change the mode": lambda: file.chmod(0o666),
    **{{f"look into {{folder}}": lambda folder=folder: list(folder.iterdir()) for folder in closed}},
}}
for what, attempt in attempts.items():
    try:
        attempt()
    except (OSError, duckdb.Error):
        continue
    print("nobody could", what)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
def test_another_account_reads_what_is_published_and_can_write_nothing(warehouse):
    (warehouse.root / ".lock").touch(mode=0o644)
    before = {path: path.stat().st_mtime_ns for path in warehouse.root.rglob("*")}
    code = _AS_NOBODY.format(nobody=NOBODY)
    said = subprocess.run(
        [sys.executable, "-c", code, str(warehouse.root)], capture_output=True, text=True, check=False
    )
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")
    assert {path: path.stat().st_mtime_ns for path in warehouse.root.rglob("*")} == before


_COMMANDS_AS_NOBODY = """
import os, sys
import dashboard.site, orchestration.erasing, orchestration.publishing, orchestration.replaying, orchestration.summary
from orchestration.cli import main
os.setgroups([]); os.setgid({nobody}); os.setuid({nobody})
for command in (["status"], ["quarantine"], ["replay"], ["rollback"], ["dashboard"], ["erase", "--contact", "c1"]):
    print(command[0], main([*command, "--warehouse", sys.argv[1]]), file=sys.stderr)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
@pytest.mark.skipif(
    not all(folder.stat().st_mode & 0o001 for folder in Path(__file__).resolve().parents),
    reason="the project lies in a folder that is closed to other accounts, so none could run csw",
)
def test_commands_of_another_account_are_refused_in_a_line(warehouse):
    (warehouse.root / ".lock").touch(mode=0o644)
    code = _COMMANDS_AS_NOBODY.format(nobody=NOBODY)
    said = subprocess.run(
        [sys.executable, "-c", code, str(warehouse.root)], capture_output=True, text=True, check=False
    )
    no_access = f"csw: account {pwd.getpwuid(NOBODY).pw_name} has no access to {warehouse.root}/"
    way_on = ": Permission denied; run csw as the account that runs the nights, on a disk that can be written"
    lines = said.stderr.splitlines()
    assert [line.removeprefix(no_access).removesuffix(way_on) for line in lines] == [
        *("runs/last.json", "status 2"),
        *("build/warehouse.duckdb", "quarantine 2"),
        *("build/warehouse.duckdb", "replay 2"),
        *(".lock", "rollback 2"),
        *(".lock", "dashboard 2"),
        *("build/warehouse.duckdb", "erase 2"),
    ]


def test_a_disk_that_cannot_be_written_is_said(warehouse, monkeypatch, capsys):
    def read_only(path, *_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr("os.open", read_only)
    assert main(["rollback", "--warehouse", str(warehouse.root)]) == 2
    assert f"no access to {warehouse.root / '.lock'}: Read-only file system" in capsys.readouterr().err


def test_even_the_owner_does_not_write_into_a_published_file_by_mistake(warehouse):
    published = [warehouse.marts_file, *warehouse.versions.iterdir(), *warehouse.parquet.rglob("*.parquet")]
    assert {path.stat().st_mode & 0o777 for path in published} == {0o444}


HOSTILE = [
    "select * from '/etc/passwd'",
    "select * from read_csv('/etc/passwd')",
    "select * from read_csv('https://example.org/x.csv')",
    "select * from read_blob('/etc/shadow')",
    "select * from read_parquet('{root}/parquet/current/*.parquet')",
    "select * from read_json('/etc/hosts')",
    "select * from sniff_csv('/etc/passwd')",
    "select * from glob('/*')",
    "copy (select 1) to '{root}/stolen.csv'",
    "copy activation from '/etc/passwd'",
    "copy from database marts to elsewhere",
    "export database '{root}/stolen'",
    "import database '{root}/stolen'",
    "attach '{root}/versions/x.duckdb' as other",
    "attach ':memory:' as other",
    "attach 'host=127.0.0.1' as other (type postgres)",
    "install httpfs",
    "load httpfs",
    "load '{root}/evil.duckdb_extension'",
    "create table mine as select 1",
    "create view mine as select 1",
    "create schema mine",
    "create macro mine() as 1",
    "create secret mine (type s3, key_id 'x', secret 'y')",
    "insert into activation select * from activation",
    "update activation set health_colour = 'green'",
    "delete from activation",
    "truncate activation",
    "alter table activation add column x integer",
    "drop table activation",
    "comment on table activation is 'mine'",
    "begin; delete from activation; commit",
    "set enable_external_access = true",
    "set lock_configuration = false",
    "set threads = 1",
    "reset enable_external_access",
    "pragma enable_external_access",
    "pragma memory_limit = '1TB'",
    "select getenv('HOME')",
]


@pytest.mark.parametrize("sql", HOSTILE)
def test_hostile_sql_is_refused(sql, warehouse, capsys):
    sql = sql.format(root=warehouse.root)
    before = {path: path.stat().st_mtime_ns for path in warehouse.root.rglob("*") if path.name != ".lock"}
    with connect_hardened(warehouse.marts_file) as con, pytest.raises(duckdb.Error):
        con.execute(sql).fetchall()
    assert main(["query", sql, "--warehouse", str(warehouse.root)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "root:" not in said.err
    assert {path: path.stat().st_mtime_ns for path in warehouse.root.rglob("*") if path.name != ".lock"} == before


def test_honest_sql_is_answered(warehouse, capsys):
    assert main(["query", "select count(*) as n from activation", "--csv", "--warehouse", str(warehouse.root)]) == 0
    assert capsys.readouterr().out.split() == ["n", "1"]
