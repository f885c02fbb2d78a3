"""The seeds that people edit: a typing error is told by the name of one data test, what is right passes.

The data tests are asked on rows made by hand.
"""

from __future__ import annotations

import json
from types import SimpleNamespace

import duckdb
import pytest

from orchestration.data_tests import TESTS_FILE, NodeResult
from orchestration.night import _node_problem

TARGET = "'2024-01-01', '2024-12-31', 'Head', 'Lose fewer'"
RULE = "null, 'message', 'description'"


class Seeds:
    """Empty seeds in a database of the name that the tests were compiled for, and the tests of each."""

    def __init__(self, sample, con: duckdb.DuckDBPyConnection):
        self.con = con
        self.tests = json.loads((sample.manifest_folder / TESTS_FILE).read_text(encoding="utf-8"))
        con.execute("attach ':memory:' as warehouse; use warehouse; create schema seeds; create schema intermediate")
        for node in sample.manifest["nodes"].values():
            if node["resource_type"] == "seed":
                columns = ", ".join(f"{name} {kind}" for name, kind in node["config"]["column_types"].items())
                con.execute(f"create table seeds.{node['name']} ({columns})")

    def failing(self, seed: str, rows: str) -> dict[str, str]:
        """The tests that fail when these rows are all that the seed holds, with their severity."""
        self.con.execute(f"delete from seeds.{seed}")
        self.con.execute(f"insert into seeds.{seed} values {rows}")
        asked = [test for test in self.tests if (test["attached_node"] or "").endswith(f".{seed}")]
        assert asked
        return {test["name"]: test["severity"] for test in asked if self.con.execute(test["sql"]).fetchall()}


@pytest.fixture
def seeds(sample):
    with duckdb.connect() as con:
        yield Seeds(sample, con)


@pytest.mark.parametrize(
    ("last", "failing"), [("11.2", {}), ("11.1", {"health_weights_sets_add_up_to_100": "error"})], ids=["100", "99.9"]
)
def test_weights_with_a_decimal_add_up_to_100_when_they_do(seeds, last, failing):
    """As doubles 22.2 + 22.2 + 22.2 + 11.1 + 11.1 + 11.2 is 99.99999999999999."""
    weights = {"adoption": 22.2, "usage": 22.2, "support_csat": 22.2, "nps": 11.1, "engagement": 11.1, "billing": last}
    rows = ", ".join(f"('*', '*', '{component}', {weight})" for component, weight in weights.items())
    assert seeds.failing("health_weights", rows) == failing


@pytest.mark.parametrize(
    ("seed", "right", "wrong", "name"),
    [
        (
            "health_weights",
            "('*', '*', 'usage', 100), ('smb', 'paused', 'usage', 100)",
            "('*', '*', 'usage', 100), ('smb', 'pausd', 'usage', 100)",
            "health_weights_stages_are_those_of_customers",
        ),
        (
            "playbooks",
            "('no_touch', '*', '*', 6, 'check_in', 'Get in touch')",
            "('no_touch', '*', 'onbording', 6, 'check_in', 'Get in touch')",
            "playbooks_stages_are_those_of_customers",
        ),
        (
            "health_component_rules",
            "('nps', 30, 0, 0), ('nps', 30, 10, 100), ('billing', null, 0, 100)",
            "('nps', 30, 0, 0), ('nps', 60, 10, 100), ('billing', null, 0, 100)",
            "health_component_rules_one_window_a_component",
        ),
        (
            "health_component_rules",
            "('usage', 14, 0, 0)",
            "('usage', null, 0, 0)",
            "health_component_rules_one_window_a_component",
        ),
        (
            "health_component_rules",
            "('billing', null, 0, 100)",
            "('billing', 90, 0, 100)",
            "health_component_rules_one_window_a_component",
        ),
        (
            "engagement_weights",
            "('webinar', 5, true, 'meeting')",
            "('Webinar', 5, true, 'meeting')",
            "engagement_weights_types_are_lower_case",
        ),
        (
            "alert_rules",
            f"('fcr_drop', 'info', null, 'cut', 'quarter', {RULE})",
            f"('frc_drop', 'info', null, 'cut', 'quarter', {RULE})",
            "alert_rules_have_a_condition",
        ),
        *(
            (
                "alert_rules",
                f"('{alert}', 'info', null, 'cut', '{right}', {RULE})",
                f"('{alert}', 'info', null, 'cut', '{wrong}', {RULE})",
                "alert_rules_judge_periods_that_they_can",
            )
            for alert, right, wrong in [
                ("dormant_14_days", "day", "month"),
                ("expansion_sudden_drop", "quarter", "month"),
                ("time_to_value_worse", "month", "quarter"),
                ("nps_dip", "month", "day"),
            ]
        ),
        (
            "source_freshness",
            "('crm_accounts', 24)",
            "('crm_acounts', 24)",
            "source_freshness_tables_exist",
        ),
        ("segment_map", "('key account', 'enterprise')", "('Key account', 'enterprise')", "segment_map_is_lower_case"),
        ("churn_reason_map", "('too dear', 'price')", "('too dear ', 'price')", "churn_reason_map_is_lower_case"),
    ],
)
def test_a_typing_error_blocks_by_name(seeds, seed, right, wrong, name):
    seeds.con.execute("create table intermediate.int_landed_tables as select 'crm_accounts' as source_table")
    assert seeds.failing(seed, right) == {}
    assert seeds.failing(seed, wrong) == {name: "error"}


@pytest.mark.parametrize(
    ("target", "is_met"),
    [
        ("'month', 'industry', 'airlines'", True),
        ("'month', 'industry', 'airline'", False),
        ("'month', 'industri', 'airlines'", False),
        # the CRM may yet name a customer of this segment, and a company of three months has no ttm
        ("'month', 'segment', 'smb'", True),
        ("'ttm', 'industry', 'airline'", True),
    ],
)
def test_a_target_of_a_cut_that_does_not_exist_is_shown(seeds, target, is_met):
    seeds.con.execute("insert into seeds.kpi_catalog (kpi_id) values ('customer_churn_rate')")
    seeds.con.execute("insert into seeds.segment_map values ('small', 'smb')")
    seeds.con.execute(
        """create table intermediate.int_kpi_values as
        select 'customer_churn_rate' as kpi_id, 'month' as period_type, * from (values
        ('all', 'all'), ('industry', 'airlines')) as cells(segment_type, segment_value)"""
    )
    expected = {} if is_met else {"kpi_targets_are_for_cuts_that_exist": "warn"}
    assert seeds.failing("kpi_targets", f"('customer_churn_rate', {target}, 0.02, 0.01, {TARGET})") == expected


@pytest.mark.parametrize(
    ("attached", "remedy"),
    [
        ("seed.project.health_weights", "mend seeds/health_weights.csv, then run again"),
        ("model.project.stg_crm__accounts", "mend these rows in the source and deliver them again, then run again"),
    ],
)
def test_the_remedy_of_a_seed_is_its_file(tmp_path, attached, remedy):
    node = NodeResult("test.t", "test", "t", "fail", 0.1, 1, "Got 1 result", "", "", attached)
    night = SimpleNamespace(warehouse=SimpleNamespace(build_file=tmp_path / "none.duckdb"))
    assert _node_problem(night, node).remedy == remedy
