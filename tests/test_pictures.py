"""Pictures of data that the sample company does not have: its published file with other rows here and there."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import duckdb
import pytest

from dashboard import pictures
from dashboard.marts import open_marts
from dashboard.pictures import Sheet
from dashboard.show import Writer

Altered = Callable[..., Sheet]


@pytest.fixture
def altered(sample, tmp_path) -> Iterator[Altered]:
    """A sheet on the published file after these statements."""
    with ExitStack() as stack:

        def alter(*statements: str) -> Sheet:
            file = tmp_path / "marts.duckdb"
            shutil.copyfile(sample.marts_file, file)
            with duckdb.connect(str(file)) as con:
                for statement in statements:
                    con.execute(statement)
            return Sheet(stack.enter_context(open_marts(file)), Writer("USD"))

        yield alter


def test_somebody_who_only_worked_for_a_segment_has_no_cell_in_the_grid(altered):
    """Advocacy for an account that a colleague owns: a scorecard without a book."""
    sheet = altered(
        """insert into mart_csm_scorecards by name
        select 'ttm' as period_type, max(period_start) as period_start, 'helper' as csm_user_id,
            'Hal Perr' as full_name, 'smb' as segment_value, 1 as advocacy_completed, true as is_low_confidence
        from mart_kpi_values where period_type = 'ttm' and is_complete"""
    )
    [panel] = pictures.csm_grid(sheet).panels
    assert panel.svg
    assert "Hal Perr" not in panel.svg


@pytest.mark.parametrize(("auc", "is_told"), [(0.599, True), (0.6, False), ("null", False)])
def test_a_score_that_hardly_ranks_tells_not_to_act_on_the_colour_alone(altered, auc, is_told):
    sheet = altered(
        f"""update mart_health_backtest set auc = {auc} where segment_value = 'all' and horizon_days = 90
        and snapshot_date = (select max(snapshot_date) from mart_health_backtest where horizon_days = 90)"""
    )
    assert ("Do not act on the colour alone" in pictures.back_test(sheet).notes) == is_told
