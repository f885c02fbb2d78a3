"""The yardstick of the benchmarks is held to the models: the same SQL without dbt makes the same tables. And no model
costs the square of its rows."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from benchmarks.yardstick import bare_build, recorded_build, replayed
from orchestration.building import dbt_environment, project_arguments
from orchestration.settings import resolve_settings
from orchestration.warehouse import Warehouse
from tests.conftest import SAMPLE_END
from tests.deliveries import built_content


@pytest.mark.long
def test_the_yardstick_makes_what_the_models_make(sample, tmp_path):
    settings = resolve_settings(landing=str(sample.landing), warehouse=str(sample.warehouse), as_of=SAMPLE_END)
    loaded = tmp_path / sample.build_file.name
    shutil.copy(sample.build_file, loaded)
    build = recorded_build(Warehouse(sample.warehouse), loaded, settings, full_refresh=True)
    replay = replayed(build)
    layers = ("staging", "intermediate", "marts")
    by_dbt, by_sql = built_content(build.after, layers), built_content(replay.file, layers)
    assert len(by_dbt) > 150
    assert by_sql == by_dbt
    # what it costs is counted, and dbt costs more
    assert 0 < replay.cpu_seconds < bare_build(build, full_refresh=True)
    # a statement less, a table less
    assert len(build.statements) > len(by_dbt)


def joins_of_all_pairs(plan: dict[str, Any]) -> Iterator[str]:
    """The conditions of joins that compare every row with every other though keys of both sides have to be equal."""
    condition = str(plan["extra_info"].get("Condition", ""))
    if plan["name"].strip() == "BLOCKWISE_NL_JOIN" and " = " in condition:
        yield condition
    for child in plan["children"]:
        yield from joins_of_all_pairs(child)


def test_a_join_of_all_pairs_is_seen():
    con = duckdb.connect()
    con.execute("create table one as select range as id, true as is_paying from range(9)")
    con.execute("create table two as select range as id from range(9)")
    asked = "explain (format json) select * from one left join two on "
    by_left = con.execute(asked + "one.id = two.id and one.is_paying").fetchall()[0][1]
    by_key = con.execute(asked + "case when one.is_paying then one.id end = two.id").fetchall()[0][1]
    assert len([*joins_of_all_pairs(json.loads(by_left)[0])]) == 1
    assert not [*joins_of_all_pairs(json.loads(by_key)[0])]


@pytest.mark.long
def test_no_model_joins_all_pairs(sample, tmp_path):
    from dbt.cli.main import dbtRunner

    file = tmp_path / sample.build_file.name
    shutil.copy(sample.build_file, file)
    call = ["compile", "--quiet", "--target-path", str(tmp_path), *project_arguments(), "--log-path", str(tmp_path)]
    variables = json.dumps({"as_of_date": SAMPLE_END, "published_at": "2026-01-01 00:00:00"})
    with dbt_environment(file):
        assert dbtRunner().invoke([*call, "--vars", variables]).success
    compiled = [path for path in Path(tmp_path, "compiled").rglob("models/**/*.sql") if path.parent.suffix != ".yml"]
    assert len(compiled) > 150
    with duckdb.connect(str(file), read_only=True) as con:
        plans = {path.stem: con.execute(f"explain (format json) {path.read_text()}").fetchall() for path in compiled}
    found = {name: [*joins_of_all_pairs(json.loads(rows[0][1])[0])] for name, rows in plans.items()}
    assert not {name: conditions for name, conditions in found.items() if conditions}
