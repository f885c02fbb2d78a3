"""Apache Superset on both targets, while nights publish: `make superset WAREHOUSE=<a published warehouse>`.

Installs Superset in target/superset, starts it and a PostgreSQL server, connects it to the published file and to
PostgreSQL (as an account of the BI role), makes the datasets and a chart per headline KPI through its API, and asks
them again and again while the marts are published and served anew. Prints what it asked and found; the exit code is 1
when a chart failed or showed something else than the file. `--keep` leaves it running for a look.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from orchestration.building import read_manifest
from orchestration.publishing import keep_versions, marts_of, next_instant, publish, read_publication
from orchestration.settings import now_utc
from orchestration.warehouse import Warehouse
from serving.address import server_of
from serving.postgres import serve_file
from tests.postgres import Postgres, postgres_server

HERE = Path(__file__).resolve().parent
HOME = HERE.parent / "target" / "superset"
CONFIG = """
import os
SECRET_KEY = os.environ["SUPERSET_SECRET"]
SQLALCHEMY_DATABASE_URI = os.environ["SUPERSET_DATABASE"]
WTF_CSRF_ENABLED = False
TALISMAN_ENABLED = False
RATELIMIT_ENABLED = False
"""
SWAPS = 5
START_SECONDS = 180


def install() -> None:
    """An environment of its own, made once."""
    if (HOME / "bin" / "superset").exists():
        return
    subprocess.run([sys.executable, "-m", "venv", HOME], check=True)
    command = [Path(sys.executable).with_name("uv"), "pip", "install", "--quiet", "-r"]
    subprocess.run(
        [*command, HERE / "superset.requirements.txt"], check=True, env={**os.environ, "VIRTUAL_ENV": str(HOME)}
    )


@dataclass
class Superset:
    """A Superset under way, and its API with a token."""

    port: int
    token: str = ""

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One call of the API.

        Raises:
            RuntimeError: it answers with an error, whose text is told.
        """
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        data = json.dumps(body).encode() if body is not None else None
        if data:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.code} {error.read().decode()[:500]}") from error

    def login(self, password: str) -> None:
        """Wait until it answers, and get a token."""
        account = {"username": "admin", "password": password, "provider": "db", "refresh": True}
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.token = self.call("POST", "/api/v1/security/login", account)["access_token"]
                return
            except (OSError, RuntimeError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)

    def database(self, name: str, uri: str, extra: dict[str, Any]) -> int:
        """Connect a database."""
        body = {"database_name": name, "sqlalchemy_uri": uri, "extra": json.dumps(extra), "expose_in_sqllab": True}
        return self.call("POST", "/api/v1/database/", body)["id"]

    def dataset(self, database: int, schema: str, table: str) -> int:
        """A dataset on a table."""
        body = {"database": database, "schema": schema, "table_name": table}
        return self.call("POST", "/api/v1/dataset/", body)["id"]

    def chart(self, dataset: int, name: str, columns: list[str], filters: list[dict[str, Any]]) -> int:
        """A table chart of these columns, newest first."""
        query = {"columns": columns, "filters": filters, "orderby": [[columns[0], False]], "row_limit": 100}
        context = {
            "datasource": {"id": dataset, "type": "table"},
            "queries": [query],
            "result_format": "json",
            "result_type": "full",
        }
        params = {"viz_type": "table", "datasource": f"{dataset}__table", "query_mode": "raw", "all_columns": columns}
        body = {
            "slice_name": name,
            "viz_type": "table",
            "datasource_id": dataset,
            "datasource_type": "table",
            "params": json.dumps(params),
            "query_context": json.dumps(context),
        }
        return self.call("POST", "/api/v1/chart/", body)["id"]

    def rows(self, chart: int) -> list[dict[str, Any]]:
        """The chart's data, asked anew."""
        return self.call("GET", f"/api/v1/chart/{chart}/data/?force=true")["result"][0]["data"]


def start_superset(folder: Path, port: int, password: str, server: Postgres) -> subprocess.Popen[bytes]:
    """Make Superset's own database and account, and start it.

    Its database is in PostgreSQL: in SQLite it can't hold a dataset of the same name twice, of each target one.
    """
    secret = secrets.token_hex(12)
    with server.connect() as con:
        con.execute(f"create role superset login password '{secret}'")
        con.execute("create database superset owner superset")
    config = folder / "superset_config.py"
    config.write_text(CONFIG)
    environment = {
        **os.environ,
        "SUPERSET_CONFIG_PATH": str(config),
        "SUPERSET_SECRET": secrets.token_hex(32),
        "SUPERSET_HOME": str(folder),
        "SUPERSET_DATABASE": f"postgresql+psycopg2://superset:{secret}@127.0.0.1:{server.port}/superset",
        "FLASK_APP": "superset.app:create_app()",
    }
    command = str(HOME / "bin" / "superset")
    account = ("--username", "admin", "--firstname", "a", "--lastname", "b", "--email", "a@example.org")
    log = (folder / "superset.log").open("wb")
    for arguments in (["db", "upgrade"], ["fab", "create-admin", *account, "--password", password], ["init"]):
        print(f"superset {arguments[0]}", flush=True)
        subprocess.run([command, *arguments], check=True, env=environment, stdout=log, stderr=log)
    serve = [command, "run", "--port", str(port), "--with-threads"]
    return subprocess.Popen(serve, env=environment, stdout=log, stderr=log, start_new_session=True)


def headlines(marts_file: Path) -> list[tuple[str, str]]:
    """Headline KPIs with the shortest period that they have."""
    with duckdb.connect(str(marts_file), read_only=True) as con:
        return con.execute(
            """select kpi_id, min(period_type) from mart_kpi_values
            where is_headline and period_type in ('month', 'quarter') group by kpi_id order by kpi_id"""
        ).fetchall()


def expected_rows(marts_file: Path, kpi: str, period: str) -> list[tuple[str, float | None]]:
    """What the file says of a headline KPI, without small cells, newest first."""
    with duckdb.connect(str(marts_file), read_only=True) as con:
        found = con.execute(
            """select period_start, value from mart_kpi_values
            where kpi_id = ? and period_type = ? and segment_type = 'all' and not is_suppressed
            order by period_start desc limit 100""",
            [kpi, period],
        ).fetchall()
    return [(str(day), rounded(value)) for day, value in found]


def rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.9g}")


def day_of(value: Any) -> str:
    """A day as Superset gives it: milliseconds since 1970, or text."""
    return str(datetime.fromtimestamp(value / 1000, tz=None).date()) if isinstance(value, int | float) else value[:10]


def make_charts(superset: Superset, marts_file: Path, server: Postgres, bi_password: str) -> dict[str, dict[str, int]]:
    """Both databases, their datasets, a chart per headline KPI and one that says which version it sees."""
    bi = f"postgresql+psycopg2://bea:{bi_password}@127.0.0.1:{server.port}/{server.database}"
    read_only = {"engine_params": {"connect_args": {"read_only": True}}}
    targets = {
        "file": (superset.database("marts file", f"duckdb:///{marts_file}", read_only), "main"),
        "postgresql": (superset.database("marts server", bi, {}), "marts_bi"),
    }
    charts: dict[str, dict[str, int]] = {}
    for target, (database, schema) in targets.items():
        values = superset.dataset(database, schema, "mart_kpi_values")
        meta = superset.dataset(database, schema, "meta_publication")
        charts[target] = {"version": superset.chart(meta, f"Version ({target})", ["published_at"], [])}
        for kpi, period in headlines(marts_file):
            filters = [
                {"col": "kpi_id", "op": "==", "val": kpi},
                {"col": "period_type", "op": "==", "val": period},
                {"col": "segment_type", "op": "==", "val": "all"},
                {"col": "is_suppressed", "op": "IS FALSE"},
            ]
            charts[target][kpi] = superset.chart(values, f"{kpi} ({target})", ["period_start", "value"], filters)
    return charts


def publisher(warehouse: Warehouse, server: Postgres) -> Callable[[], None]:
    """What publishes the marts of the build file again, to both targets."""
    [folder] = [path.parent for path in warehouse.target.glob("*/manifest.json")][:1]
    marts = marts_of(read_manifest(folder))

    def publish_again() -> None:
        current = read_publication(warehouse.marts_file)
        after = next_instant(warehouse, now_utc())
        publish(warehouse, marts, replace(current, published_at=after, previous_published_at=current.published_at))
        keep_versions(warehouse, 3)
        serve_file(server_of(server.url), warehouse.marts_file)

    return publish_again


def ask_under_swaps(
    superset: Superset, charts: dict[str, dict[str, int]], expected: dict[str, list], publish_again: Callable[[], None]
) -> dict[str, dict[str, int]]:
    """Ask every chart in turn while another thread publishes; count answers, failures, wrong ones, versions."""
    counts = {target: {"asked": 0, "failed": 0, "wrong": 0, "versions": 0} for target in charts}
    versions: dict[str, set] = {target: set() for target in charts}
    troubles: list[BaseException] = []

    def publish_them() -> None:
        try:
            for _ in range(SWAPS):
                publish_again()
                time.sleep(2)
        except BaseException as error:
            troubles.append(error)

    thread = threading.Thread(target=publish_them)
    thread.start()
    last_round = False
    while True:
        for target, by_kpi in charts.items():
            for kpi, chart in by_kpi.items():
                counts[target]["asked"] += 1
                try:
                    rows = superset.rows(chart)
                except RuntimeError as error:
                    print(error)
                    counts[target]["failed"] += 1
                    continue
                if kpi == "version":
                    versions[target].add(str(rows))
                else:
                    found = [(day_of(row["period_start"]), rounded(row["value"])) for row in rows]
                    counts[target]["wrong"] += found != expected[kpi]
        if last_round:
            break
        last_round = not thread.is_alive()
    thread.join()
    if troubles:
        raise troubles[0]
    for target, seen in versions.items():
        counts[target]["versions"] = len(seen)
    return counts


def main() -> int:
    """Run it all; 0 when every chart answered right under every swap."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--warehouse", type=Path, default=Path("warehouse"))
    parser.add_argument("--keep", action="store_true", help="leave it running until Ctrl-C")
    options = parser.parse_args()
    if not (options.warehouse / "marts.duckdb").exists():
        print(f"nothing is published in {options.warehouse}: make run first", file=sys.stderr)
        return 2
    os.environ["TZ"] = "UTC"
    time.tzset()
    install()
    folder = Path(tempfile.mkdtemp(prefix="csw-superset-"))
    password, bi_password = secrets.token_hex(12), secrets.token_hex(12)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = None
    try:
        warehouse = Warehouse(folder / "warehouse")
        shutil.copytree(options.warehouse, warehouse.root, ignore=shutil.ignore_patterns("dagster", "runs", "versions"))
        warehouse.prepare()
        with postgres_server() as server:
            publish_again = publisher(warehouse, server)
            publish_again()
            with server.connect() as con:
                con.execute(f"create role bea login password '{bi_password}' in role csw_bi")
            process = start_superset(folder, port, password, server)
            superset = Superset(port)
            superset.login(password)
            charts = make_charts(superset, warehouse.marts_file, server, bi_password)
            expected = {
                kpi: expected_rows(warehouse.marts_file, kpi, period) for kpi, period in headlines(warehouse.marts_file)
            }
            print(f"{sum(map(len, charts.values()))} charts on 4 datasets of 2 databases", flush=True)
            counts = ask_under_swaps(superset, charts, expected, publish_again)
            for target, numbers in counts.items():
                print(f"{target:10} " + ", ".join(f"{number} {name}" for name, number in numbers.items()), flush=True)
            if options.keep:
                print(f"http://127.0.0.1:{port} as admin with {password}; Ctrl-C ends it", flush=True)
                process.wait()
    except KeyboardInterrupt:
        return 0
    except BaseException:
        print(f"Superset's log: {(folder / 'superset.log').read_text(errors='replace')[-3000:]}", file=sys.stderr)
        raise
    finally:
        if process is not None:
            process.terminate()
            process.wait()
        shutil.rmtree(folder)
    bad = sum(numbers["failed"] + numbers["wrong"] for numbers in counts.values())
    few = any(numbers["versions"] < 2 for numbers in counts.values())
    return int(bool(bad) or few)


if __name__ == "__main__":
    sys.exit(main())
