"""The house rules: one slug finds everything a KPI has, models are short, names and layers hold."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import duckdb
import pytest
import yaml

from dashboard.places import catalogue_places, place_of
from orchestration.contract import TABLES
from orchestration.data_tests import TESTS_FILE

ROOT = Path(__file__).resolve().parents[1]
KPIS = sorted(path.stem.removeprefix("kpi_") for path in (ROOT / "models/marts/kpis").glob("kpi_*.sql"))
MODELS = sorted((ROOT / "models").rglob("*.sql"))
LINE_LIMIT = 120


def seed(name: str) -> list[dict[str, str]]:
    with (ROOT / "seeds" / f"{name}.csv").open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


CATALOG = {row["kpi_id"]: row for row in seed("kpi_catalog")}


def test_the_catalogue_lists_the_files_and_the_roll_call_both():
    roll_call = re.findall(r"^        '(\w+)',$", (ROOT / "macros/kpi_slugs.sql").read_text(), re.M)
    assert sorted(roll_call) == KPIS
    assert sorted(CATALOG) == KPIS
    sources = (ROOT / "macros/restatements.sql").read_text().split("endmacro")[0]
    assert sorted(re.findall(r"^        '(\w+)': ", sources, re.M)) == KPIS, "the raw tables of each KPI"


def test_a_raw_table_that_restates_a_figure_has_days_by_which_a_late_row_is_known():
    """The maps of sources name raw tables; one without days would have its late rows taken for changed definitions."""
    maps, days = (ROOT / "macros/restatements.sql").read_text().split("{% macro days_of_landed_rows()")
    named = {word for word in re.findall(r"'(\w+)'", maps) if word in TABLES}
    assert {"billing_subscriptions", "crm_accounts", "cs_advocacy"} <= named
    assert named <= set(re.findall(r"^        '(\w+)': \(", days, re.M))


def test_the_set_of_headline_kpis_stays_small():
    assert 1 <= sum(row["is_headline"].lower() == "true" for row in CATALOG.values()) <= 8


@pytest.mark.parametrize("slug", KPIS)
def test_a_kpi_has_every_piece(slug):
    contract = yaml.safe_load((ROOT / f"models/marts/kpis/kpi_{slug}.yml").read_text())
    model = next(model for model in contract["models"] if model["name"] == f"kpi_{slug}")
    assert "doc(" in model["description"]
    assert all(column.get("description") and column.get("data_type") for column in model["columns"])
    assert model.get("data_tests"), "no data test holds its grain"
    assert [test for test in contract.get("unit_tests", []) if test["model"] == f"kpi_{slug}"], "no unit test"
    row = CATALOG[slug]
    assert row["category"] in {"team_performance", "usage", "financial", "health"}
    assert all(row[column] for column in ("kpi_name", "unit", "formula", "objective", "owner", "review_by"))
    place_of(row["dashboard_place"])  # raises when the dashboard has no such picture


def test_a_place_that_the_dashboard_does_not_have_is_refused():
    assert place_of("page 1, picture 3").href == "index.html#picture-3"
    assert place_of("page 2, advocacy funnel").href == "second.html#picture-advocacy-funnel"
    assert place_of("KPI page") is None
    for words in ("", "page 1, picture 13", "page 2, picture 3", "page 2, no such picture"):
        with pytest.raises(ValueError, match="no place on the dashboard"):
            place_of(words)
    assert sorted(catalogue_places()) == KPIS


@pytest.mark.parametrize("slug", sorted(slug for slug, row in CATALOG.items() if row["is_headline"].lower() == "true"))
def test_a_headline_kpi_has_a_target(slug):
    assert [row for row in seed("kpi_targets") if row["kpi_id"] == slug and row["segment_type"] == "all"]


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_model_is_short_states_its_grain_and_ends_plainly(path: Path):
    text = path.read_text()
    assert len(text.splitlines()) <= LINE_LIMIT
    assert text.startswith("-- Grain:"), "the first line says the grain"
    assert not re.search(r"\b(current_date|current_timestamp|now\(\)|today\(\))", text, re.I), (
        "the only today is as_of_date"
    )
    assert "{{ target." not in text, "a model names no engine"
    names = ("stg_", "activation", "int_", "dim_", "fct_", "kpi_", "mart_", "first_published_")
    is_adapter = path.parent.parent.name == "adapters"
    assert path.stem.startswith(f"{path.parent.name}__" if is_adapter else names)


# What another engine refuses or computes otherwise, and what is written instead.
UNPORTABLE = {
    "varchar needs a length elsewhere: string": r"as varchar\b(?! *\()",
    "a quotient of decimals has six places elsewhere: 1e0 / 12": r"\d\.\d+ */ *\d",
    "a row is found among columns, not among rows, elsewhere": r"in \(\s*select \(",
}


@pytest.mark.parametrize("pattern", UNPORTABLE.values(), ids=UNPORTABLE)
def test_sql_is_spelled_so_that_other_engines_read_it(pattern):
    files = [path for folder in ("models", "macros", "tests/dbt") for path in (ROOT / folder).rglob("*.sql")]
    sql = {path: re.sub(r"\{#.*?#\}|--[^\n]*", "", path.read_text(encoding="utf-8"), flags=re.S) for path in files}
    assert not [str(path.relative_to(ROOT)) for path in files if re.search(pattern, sql[path])]


def test_columns_of_seeds_are_typed_as_every_engine_names_them():
    for file in (ROOT / "seeds").glob("*.yml"):
        assert not re.search(r"^ +\w+: varchar$", file.read_text(encoding="utf-8"), re.M), file.name


def test_a_decision_that_is_cited_stands_once_in_the_log():
    log = (ROOT / "models/docs/decisions.md").read_text(encoding="utf-8")
    decisions = re.findall(r"^\*\*([A-Z]\d+a?) ", log, re.M)
    assert len(decisions) == len(set(decisions))
    texts = {
        path: path.read_text(encoding="utf-8")
        for folder in ("models", "macros", "seeds", "orchestration", "expectations", "dashboard", "benchmarks")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".sql", ".yml", ".md", ".py"}
    }
    cited = {
        (path.name, decision)
        for path, text in texts.items()
        for listed in re.findall(r"decision log, ((?:[A-Z]\d+a?(?:, | and )?)+)", text)
        for decision in re.findall(r"[A-Z]\d+a?", listed)
    }
    assert cited
    assert not {(name, decision) for name, decision in cited if decision not in decisions}


def test_folders_are_three_deep_at_most():
    assert all(len(path.relative_to(ROOT / "models").parts) <= 3 for path in MODELS)


def test_every_published_table_has_an_enforced_contract_and_described_columns(sample):
    marts = [
        node
        for node in sample.manifest["nodes"].values()
        if node["resource_type"] == "model" and node["schema"] == "marts"
    ]
    assert len(marts) >= 62
    for node in marts:
        assert node["config"]["contract"]["enforced"], node["name"]
        assert node["description"], node["name"]
        missing = [name for name, column in node["columns"].items() if not column["description"]]
        assert not missing, f"{node['name']}: no description of {missing}"
    assert not sample.rows("select table_name, column_name from meta_columns where description is null")


def test_every_published_column_that_names_an_account_is_held_to_be_one(sample):
    names = {"account_id", "parent_account_id", "ultimate_parent_id"}
    expected = {
        (node["name"], name)
        for node in sample.manifest["nodes"].values()
        if node["resource_type"] == "model" and node["schema"] == "marts"
        for name in names & set(node["columns"])
    } | {("mart_alerts", "subject_id")}
    held = {
        (node["attached_node"].rsplit(".", 1)[-1], node["column_name"])
        for node in sample.manifest["nodes"].values()
        if node["resource_type"] == "test" and node.get("test_metadata", {}).get("name") == "published_account"
    }
    assert held == expected


def test_an_account_that_may_not_be_published_is_found(sample, tmp_path):
    """Of five that are named: an internal one, one merged into another and one of no CRM. NULL is nobody known."""
    tests = json.loads((sample.manifest_folder / TESTS_FILE).read_text(encoding="utf-8"))
    [sql] = [test["sql"] for test in tests if ".published_account_fct_tickets_account_id." in test["unique_id"]]
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as con:
        con.execute("create schema staging; create schema marts")
        con.execute(
            """create table staging.stg_crm__account_ids as select * from (values
            ('a1', false, false), ('ours', true, false), ('merged', false, true)
            ) as ids(source_account_id, is_internal, is_merged_away)"""
        )
        named = "select unnest(['a1', 'ours', 'merged', 'ghost', null]) as account_id"
        con.execute(f"create table marts.fct_tickets as {named}")
        found = con.execute(f"select account_id from ({sql}) order by account_id").fetchall()
    assert found == [("ghost",), ("merged",), ("ours",)]


def test_exposures_name_what_is_read(sample):
    exposures = {node["name"]: node for node in sample.manifest["exposures"].values()}
    assert set(exposures) == {"dashboard", "published_file", "postgresql"}
    read = {name: {key.rsplit(".", 1)[-1] for key in node["depends_on"]["nodes"]} for name, node in exposures.items()}
    tables = {table for (table,) in sample.rows("select table_name from duckdb_tables()")}
    published = {table for table in tables if not table.startswith("meta_")}
    assert read["published_file"] == read["postgresql"] == published
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "dashboard").glob("*.py"))
    named = {table for table in published if re.search(rf"\b{table}\b", code)}
    assert read["dashboard"] == named | {f"kpi_{slug}" for slug in KPIS}


def test_every_raw_table_has_a_source_and_a_staging_model(sample):
    contract = ROOT / "orchestration/raw_contract.csv"
    with contract.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    sources = {source["name"]: source for source in sample.manifest["sources"].values() if source["schema"] == "raw"}
    for table in {row["table"] for row in rows}:
        columns = [(row["column"], row["type"].lower()) for row in rows if row["table"] == table]
        described = [(name, column["data_type"]) for name, column in sources[table]["columns"].items()]
        assert described == columns, table
        readers = [
            node["name"]
            for node in sample.manifest["nodes"].values()
            if node["resource_type"] == "model" and sources[table]["unique_id"] in node["depends_on"]["nodes"]
        ]
        assert [name for name in readers if name.startswith(("stg_", "int_usage"))], f"nothing stages {table}"


def test_no_seed_is_unused_and_no_model_is_a_dead_end(sample):
    children = sample.manifest["child_map"]
    for key, node in sample.manifest["nodes"].items():
        if node["resource_type"] in {"seed", "model"} and node["schema"] != "marts":
            readers = [child for child in children[key] if child.startswith("model.")]
            assert readers, f"{node['name']} is read by no model"
