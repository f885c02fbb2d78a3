"""dbt in this process: one parse a code version, one build a night.

The manifest and the compiled data tests are kept in the warehouse's own target folder, never in the checkout, under a
key made of the project's files and of every var but the as-of date. So a night parses nothing, and read-only checkouts
and parallel warehouses work.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import duckdb

from orchestration.data_tests import TESTS_FILE, NodeResult, run_tests, write_tests
from orchestration.personal import masked
from orchestration.processes import apart
from orchestration.settings import Settings
from orchestration.sql import transaction
from orchestration.variables import PROJECT_DIR
from orchestration.warehouse import Warehouse

# Where the project's models and seeds go (dbt_project.yml): nothing in there outlives a full build.
MODEL_SCHEMAS = ("seeds", "adapters", "staging", "intermediate", "marts")
DBT_FOLDERS = ("models", "macros", "seeds", "snapshots", "tests/dbt")
CODE_FOLDERS = (*DBT_FOLDERS, "orchestration", "expectations", "serving")
CODE_SUFFIXES = frozenset({".sql", ".yml", ".py", ".md", ".csv"})
# What the run alone knows, and what stands for it while parsing. It must not be found in what was parsed: a config or a
# property that held it would go stale overnight.
PARSED_DAY = "1907-03-11"
RUN_VARS = {"published_at": f"{PARSED_DAY} 01:02:03", "as_of_date": PARSED_DAY}
QUIET = ("--quiet", "--no-print", "--log-level", "none", "--log-level-file", "none", "--no-use-colors")
MODELS_PER_PROGRESS_LINE = 25
# What DuckDB advises in every message of its own that memory ran out.
OUT_OF_MEMORY = "Increasing the memory limit"
MANIFESTS_KEPT = 3
COLUMNS_SHOWN = 8


class BuildError(Exception):
    """dbt could not parse the project or run at all: not the fault of the data."""


def hash_files(folders: Iterable[str], root: Path = PROJECT_DIR) -> str:
    """SHA-256 over names and contents of the code files in these folders and of the dbt project's two files."""
    digest = hashlib.sha256()
    files = [root / "dbt_project.yml", root / "profiles.yml"]
    for folder in folders:
        files += [path for path in (root / folder).rglob("*") if path.suffix in CODE_SUFFIXES]
    for path in sorted(files):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


@contextmanager
def environment(name: str, value: str) -> Iterator[None]:
    """Set an environment variable, which profiles.yml reads, for a while."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def dbt_environment(build_file: Path) -> AbstractContextManager[None]:
    """Name the build file to dbt for the length of a call."""
    return environment("CSW_BUILD_FILE", str(build_file))


def memory_limit(limit: str) -> AbstractContextManager[None]:
    """Grant DuckDB this much memory, such as 4GB."""
    return environment("CSW_MEMORY_LIMIT", limit)


def memory_of_the_machine() -> str:
    """What DuckDB takes by itself: most of the memory of the machine, or of the container."""
    with duckdb.connect() as con:
        return con.execute("select current_setting('memory_limit')").fetchone()[0]


def prepare_manifest(warehouse: Warehouse, given_vars: Mapping[str, Any]) -> Path:
    """The folder that holds `manifest.json` and `manifest.msgpack` of the project as it is now; parses when it must.

    Raises:
        BuildError: dbt can't parse the project, or the project uses the as-of date where it's fixed by parsing.
    """
    from dbt.version import __version__ as dbt_version

    facts = json.dumps([hash_files(DBT_FOLDERS), dict(given_vars), dbt_version, str(PROJECT_DIR)], sort_keys=True)
    folder = warehouse.target / hashlib.sha256(facts.encode()).hexdigest()[:16]
    if (folder / TESTS_FILE).exists():  # the last one written
        folder.touch()
        return folder
    warehouse.target.mkdir(parents=True, exist_ok=True)
    aside = folder.with_name(f"{folder.name}.{os.getpid()}.new")
    shutil.rmtree(aside, ignore_errors=True)
    apart(_parse, warehouse, aside, {**given_vars, **RUN_VARS})  # the night goes on to need the memory
    if (folder / TESTS_FILE).exists():  # another process was faster
        shutil.rmtree(aside)
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)
    for old in sorted(warehouse.target.iterdir(), key=lambda path: path.stat().st_mtime)[:-MANIFESTS_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def _parse(warehouse: Warehouse, folder: Path, variables: Mapping[str, Any]) -> None:
    from dbt.cli.main import dbtRunner
    from dbt.parser.manifest import extended_mashumaro_encoder

    common = [*QUIET, *project_arguments(), "--target-path", str(folder), "--vars", json.dumps(dict(variables))]
    with dbt_environment(warehouse.build_file):
        outcome = dbtRunner().invoke(["parse", "--no-partial-parse", *common])
        if not outcome.success:
            raise BuildError(f"dbt can't parse the project: {outcome.exception}")
        manifest = outcome.result
        _refuse_baked(json.loads((folder / "manifest.json").read_text(encoding="utf-8")))
        arguments = ["compile", "--select", "resource_type:test", "--no-write-json", "--no-populate-cache"]
        compiled = dbtRunner(manifest=manifest).invoke([*arguments, *common])
        if not compiled.success:
            raise BuildError(f"dbt can't compile the data tests: {compiled.exception}")
    # what a build reads: of tests, of the files they stand in and of prose it needs nothing
    manifest.nodes = {key: node for key, node in manifest.nodes.items() if node.resource_type != "test"}
    for unread in (manifest.unit_tests, manifest.files, manifest.docs, manifest.flat_graph):
        unread.clear()
    (folder / "manifest.msgpack").write_bytes(manifest.to_msgpack(extended_mashumaro_encoder))
    write_tests(folder, (result.node for result in compiled.result.results))
    for leftover in ("partial_parse.msgpack", "perf_info.json"):
        (folder / leftover).unlink(missing_ok=True)


def _refuse_baked(manifest: Mapping[str, Any]) -> None:
    baked = [key for key, node in manifest["nodes"].items() if PARSED_DAY in json.dumps(node)]
    if baked:
        names = ", ".join(baked)
        raise BuildError(f"{' or '.join(RUN_VARS)} is used where parsing fixes it (a config or a property): {names}")


def project_arguments() -> list[str]:
    """Where dbt finds the project and its profile."""
    return ["--project-dir", str(PROJECT_DIR), "--profiles-dir", str(PROJECT_DIR)]


def read_manifest(folder: Path) -> dict[str, Any]:
    """manifest.json as a dictionary."""
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


def build(
    build_file: Path,
    manifest_folder: Path,
    variables: Mapping[str, Any],
    *,
    full_refresh: bool,
    progress: Callable[[str], None],
    report: Callable[[str, float], None] = lambda unique_id, seconds: None,
    threads: int | None = None,
) -> list[NodeResult]:
    """Run seeds, models and data tests (unit tests are pytest's) and say what became of each node.

    `report` gets the unique id and the seconds of a seed or model as soon as it is built. `threads` models are built at
    a time, as many as the profile says unless given. Where the memory granted runs out, what is missing is built one
    model at a time with that of the machine: the few models of a large company that need more must not end a night.

    Raises:
        BuildError: dbt itself failed; a node that fails is a result, not an exception.
    """
    from dbt.cli.main import dbtRunner
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumuro_decoder

    packed = (manifest_folder / "manifest.msgpack").read_bytes()
    manifest = Manifest.from_msgpack(packed, decoder=extended_mashumuro_decoder)
    manifest.build_flat_graph()
    total = sum(node.resource_type in ("model", "seed") for node in manifest.nodes.values())
    finished: list[str] = []

    def on_event(event: Any) -> None:
        if event.info.name != "NodeFinished":
            return
        node, result = event.data.node_info, event.data.run_result
        if result.status != "success":
            return
        report(node.unique_id, result.execution_time)
        finished.append(node.unique_id)
        if len(finished) % MODELS_PER_PROGRESS_LINE == 0:
            progress(f"  {len(finished)} of {total} models built")

    arguments = ["build", *QUIET, "--no-write-json", "--target-path", str(manifest_folder)]
    arguments += ["--resource-types", "seed", "model", "--vars", json.dumps(dict(variables)), *project_arguments()]
    if full_refresh:
        arguments.append("--full-refresh")

    # dbt closes the file after every node (the profile says so, lest it stay open after the run). Held open here, its
    # connections share this one database: opening the file hundreds of times took half of the build.
    def run(*more: str) -> list[NodeResult]:
        with duckdb.connect(str(build_file)):
            outcome = dbtRunner(manifest=manifest, callbacks=[on_event]).invoke([*arguments, *more])
        if outcome.result is None:
            raise BuildError(f"dbt could not run: {outcome.exception}")
        return [_node_result(result) for result in outcome.result.results]

    with dbt_environment(build_file):
        built = run(*(["--threads", str(threads)] if threads else []))
        # The second run opens the file anew: where memory runs out even for a rollback, DuckDB keeps what the failed
        # transaction held, and who alters the same table meets "write-write conflict" until the file is closed.
        if starved := [node.name for node in built if OUT_OF_MEMORY in node.message]:
            progress(f"  out of memory: {', '.join(starved)}; one model at a time now, with the machine's memory")
            missing = [node.name for node in built if node.status != "success"]
            with memory_limit(memory_of_the_machine()):
                again = {node.unique_id: node for node in run("--threads", "1", "--select", *missing)}
            built = [again.get(node.unique_id, node) for node in built]
        progress("  testing")
        tonight = {placeholder: str(variables[name]) for name, placeholder in RUN_VARS.items()}
        not_built = {node.unique_id for node in built if node.status != "success"}
        with duckdb.connect(str(build_file)) as con:
            return built + run_tests(con, manifest_folder, tonight, not_built)


def _node_result(result: Any) -> NodeResult:
    node = result.node
    return NodeResult(
        unique_id=node.unique_id,
        resource_type=str(node.resource_type),
        name=node.name,
        status=str(result.status),
        seconds=float(result.execution_time),
        failures=int(result.failures or 0),
        message=" ".join((result.message or "").split()),
        description=" ".join((node.description or "").split()),
        compiled_code=getattr(node, "compiled_code", None) or "",
        attached_node=getattr(node, "attached_node", None),
    )


def failing_rows(build_file: Path, result: NodeResult, limit: int = 5) -> list[str]:
    """The first rows that a data test found, as text; none when the test could not run."""
    if not result.is_test or result.status == "error" or not result.compiled_code:
        return []
    # dbt's not_null selects the column that is null and nothing that would name the row.
    sql = re.sub(r"^\s*select\s+\w+\s+from\b", "select * from", result.compiled_code)
    with duckdb.connect(str(build_file), read_only=True) as con:
        found = con.execute(f"select * from ({sql}) as failing limit {int(limit)}")
        names = [column[0] for column in found.description][:COLUMNS_SHOWN]
        return [
            ", ".join(f"{name}={masked(name, value)}" for name, value in zip(names, row, strict=False))
            for row in found.fetchall()
        ]


def begin_build(con: duckdb.DuckDBPyConnection, run_id: str, settings: Settings) -> bool:
    """Note in `ops.builds` that a build begins. True when it must be a full one; what was built before is gone then,
    also the tables of models that are no more.

    What the last build left is only built upon when that build ended well, with the same code and vars, for an as-of
    date that isn't later: otherwise an incremental model could keep rows of a killed, different or future night. And
    only by the same release of the engine, whose hashes are kept.
    """
    facts = json.dumps([hash_files(DBT_FOLDERS), dict(settings.given_vars), duckdb.__version__], sort_keys=True)
    fingerprint = hashlib.sha256(facts.encode()).hexdigest()
    con.execute("create schema if not exists ops")
    con.execute(
        "create table if not exists ops.builds (run_id varchar, fingerprint varchar, as_of date, finished boolean)"
    )
    last = con.execute("select fingerprint, as_of, finished from ops.builds").fetchone()
    with transaction(con):
        con.execute("delete from ops.builds")
        con.execute("insert into ops.builds values (?, ?, ?, false)", [run_id, fingerprint, settings.as_of])
    full = last is None or last[0] != fingerprint or last[1] > settings.as_of or not last[2]
    if full:
        for schema in MODEL_SCHEMAS:
            con.execute(f"drop schema if exists {schema} cascade")
    return full


def finish_build(con: duckdb.DuckDBPyConnection) -> None:
    """Note in `ops.builds` that the build ended well."""
    con.execute("update ops.builds set finished = true")
