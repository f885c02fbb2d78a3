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
            "engagement_weights",
            "('webinar', 5, true, 'meeting')",
            "('Webinar', 5, true, 'meeting')",
            "engagement_weights_types_are_lower_case",
        ),
    ],
)
def test_a_typing_error_blocks_by_name(seeds, seed, right, wrong, name):
    assert seeds.failing(seed, right) == {}
    assert seeds.failing(seed, wrong) == {name: "error"}


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
