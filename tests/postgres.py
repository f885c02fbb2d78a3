"""A real PostgreSQL server for the tests: a folder of its own, a loopback port, gone when the tests are."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

PASSWORD = "s3cr%20t/pw"  # has to be written differently in an address
QUOTED = "s3cr%2520t%2Fpw"
_INITDB = ("-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8", "--no-locale", "--no-sync")


@dataclass
class Postgres:
    """A server under way. `url` is that of an account that may make roles and schemas, as a publisher has."""

    process: subprocess.Popen[bytes]
    port: int
    database: str = "warehouse"

    @property
    def url(self) -> str:
        return f"postgresql://publisher:{QUOTED}@127.0.0.1:{self.port}/{self.database}"

    def connect(self, user: str = "postgres") -> psycopg.Connection:
        """A connection that commits at once."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=user, password=PASSWORD, dbname=self.database, autocommit=True
        )

    def rows(self, query: str, user: str = "postgres") -> list[tuple]:
        """The rows of one query by this account."""
        with self.connect(user) as con:
            return con.execute(query).fetchall()

    def new_database(self, name: str, encoding: str = "UTF8") -> Postgres:
        """An empty database of the same server, owned by the publisher."""
        with self.connect() as con:
            con.execute(f"create database {name} owner publisher encoding '{encoding}' template template0")
        return Postgres(self.process, self.port, name)


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    assert found, "PostgreSQL isn't installed: make system-packages"
    return found[-1]


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    """Start a server of the newest PostgreSQL that is installed; as user postgres, since it refuses to run as root."""
    folder = Path(tempfile.mkdtemp(prefix="csw-postgres-"))
    account = {}
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        account = {"user": owner.pw_uid, "group": owner.pw_gid}
    secret = folder / "password"
    secret.write_text(PASSWORD)
    data, log = folder / "data", folder / "log"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    try:
        subprocess.run(
            [_binaries() / "initdb", "-D", data, *_INITDB, f"--pwfile={secret}"],
            check=True,
            capture_output=True,
            cwd=folder,
            **account,
        )
        options = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": folder, "fsync": "off"}
        with log.open("wb") as out:
            process = subprocess.Popen(
                [_binaries() / "postgres", "-D", data, *(f"-c{name}={value}" for name, value in options.items())],
                stdout=out,
                stderr=out,
                cwd=folder,
                **account,
            )
        try:
            ready = [_binaries() / "pg_isready", "-h", "127.0.0.1", "-p", str(port), "-t", "1"]
            for _ in range(100):
                assert process.poll() is None, log.read_text()
                if subprocess.run(ready, capture_output=True, check=False).returncode == 0:
                    break
                subprocess.run(["sleep", "0.1"], check=True)
            server = Postgres(process, port, "postgres")
            with server.connect() as con:
                con.execute(f"create role publisher login createrole password '{PASSWORD}'")
            yield server.new_database("warehouse")
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)
    finally:
        shutil.rmtree(folder)
