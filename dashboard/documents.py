"""`csw docs`: dbt's documentation and the column lineage, each as one file that opens without a network.

Not made every night: it takes longer than all the pages together, and changes with the code only.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

from dashboard.site import DOCUMENTS
from orchestration.building import QUIET, BuildError, dbt_environment, project_arguments
from orchestration.variables import UsageError
from orchestration.warehouse import Warehouse, make_folder


def make_documents(warehouse: Warehouse) -> list[Path]:
    """Make both files from the build file and the vars of the last night; returns their paths.

    Raises:
        UsageError: no night has ended here, or the last run was killed.
        BuildError: dbt can't describe the project.
    """
    last = warehouse.read_last_run()
    if last is None or "vars" not in last or not warehouse.build_file.exists():
        raise UsageError(f"the last run in {warehouse.root} left nothing to document: run csw nightly first")
    variables = {"as_of_date": last["as_of"], **last["vars"]}
    make_folder(warehouse.docs)
    with tempfile.TemporaryDirectory(prefix="docs-", suffix=".tmp", dir=warehouse.build) as name:
        aside = Path(name)
        _describe(warehouse, aside, variables)
        made = {"dbt.html": aside / "static_index.html", "lineage.html": _lineage(aside)}
        for file, source in made.items():
            part = warehouse.docs / f"{file}.part"
            part.unlink(missing_ok=True)
            shutil.copyfile(source, part)
            part.chmod(0o444)
            part.replace(warehouse.docs / file)
    return [warehouse.docs / file for file, _ in DOCUMENTS]


def _describe(warehouse: Warehouse, aside: Path, variables: dict[str, Any]) -> None:
    from dbt.cli.main import dbtRunner

    arguments = ["docs", "generate", "--static", "--target-path", str(aside), "--vars", json.dumps(variables)]
    with dbt_environment(warehouse.build_file):
        outcome = dbtRunner().invoke([*arguments, *QUIET, *project_arguments()])
    if not outcome.success:
        raise BuildError(f"dbt can't describe the project: {outcome.exception}")


def _lineage(aside: Path) -> Path:
    """Column lineage of the manifest and the catalogue that dbt has written. Nothing is sent anywhere."""
    from dbt_colibri.lineage_extractor.extractor import DbtColumnLineageExtractor
    from dbt_colibri.report.generator import DbtColibriReportGenerator
    from sqlglot.optimizer.scope import Scope

    # sqlglot 30.11 and later call set operations what dbt-colibri 0.3.7 still calls unions; dagster-dbt needs the newest
    Scope.union_scopes = property(lambda scope: scope.set_operation_scopes)
    unread = _Unread()
    logger = logging.getLogger("colibri")
    logger.addHandler(unread)
    logger.propagate = False
    extractor = DbtColumnLineageExtractor(str(aside / "manifest.json"), str(aside / "catalog.json"))
    report = DbtColibriReportGenerator(extractor, light_mode=True, disable_telemetry=True)
    report.generate_report(str(aside / "lineage"))
    if unread.messages:
        print(f"lineage    {len(unread.messages)} columns or models could not be read, such as: {unread.messages[0]}")
    return aside / "lineage" / "index.html"


class _Unread(logging.Handler):
    """Keeps what dbt-colibri could not read: it logs that and goes on."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
