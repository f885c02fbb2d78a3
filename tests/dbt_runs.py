"""Some models of the project built into a file of the test's own, by a manifest that is there already."""

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import duckdb

from orchestration.building import dbt_environment
from orchestration.conservation import seal_loads
from orchestration.history import carry_history
from orchestration.loading import create_landing_schema
from tests.conftest import ROOT
from tests.recomputation import Settings

# The manifest names the database, which is the name of the file.
FILE = "warehouse.duckdb"
EVERYTHING = ("path:seeds", "path:models")


def variables_of(settings: Settings) -> dict[str, Any]:
    """The vars of the project that make these settings, those that differ from the defaults."""
    names = [field.name for field in fields(settings) if field.name not in ("as_of", "seeds")]
    defaults = {field.name: field.default for field in fields(settings)}
    return {name: getattr(settings, name) for name in names if getattr(settings, name) != defaults[name]}


def prepare_build(con: duckdb.DuckDBPyConnection) -> None:
    """The schemas that a night has before dbt runs, when nothing was published before."""
    create_landing_schema(con)
    seal_loads(con)
    carry_history(con, Path("no publication yet"))


def run_models(
    manifest_folder: Path, file: Path, settings: Settings, select: Sequence[str], *, full_refresh: bool = False
) -> None:
    """Build the selected seeds and models, no tests; fails when one of them does."""
    from dbt.cli.main import dbtRunner
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumuro_decoder

    packed = (manifest_folder / "manifest.msgpack").read_bytes()
    manifest = Manifest.from_msgpack(packed, decoder=extended_mashumuro_decoder)
    manifest.build_flat_graph()
    variables = {"as_of_date": str(settings.as_of), **variables_of(settings)}
    call = ["build", "--quiet", "--log-level", "none", "--log-level-file", "none", "--no-write-json"]
    call += ["--project-dir", str(ROOT), "--profiles-dir", str(ROOT), "--target-path", str(file.parent / "target")]
    call += ["--exclude-resource-types", "unit_test", "test", "--vars", json.dumps(variables, default=str)]
    call += ["--select", *select]
    with dbt_environment(file):
        outcome = dbtRunner(manifest=manifest).invoke(call + (["--full-refresh"] if full_refresh else []))
    assert outcome.success, [result.message for result in outcome.result or []] or outcome.exception
