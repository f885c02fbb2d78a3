"""The yardstick of the benchmarks is held to the models: the same SQL without dbt makes the same tables."""

import shutil

import pytest

from benchmarks.yardstick import recorded_build, replayed
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
    assert 0 < replay.cpu_seconds < build.cpu_seconds
    # a statement less, a table less
    assert len(build.statements) > len(by_dbt)
