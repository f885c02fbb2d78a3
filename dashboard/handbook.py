"""The KPI handbook and the data dictionary, made of what builds the warehouse: doc blocks, YAML, unit tests, seeds.

A worked example is never written here: the numbers are the rows that dbt's unit tests are given and expect.
"""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup

from dashboard.marts import Marts
from dashboard.prose import bullets, inline
from dashboard.show import in_words
from orchestration.variables import PROJECT_DIR

ROWS_SHOWN = 12
_REF = re.compile(r"ref\('(\w+)'\)")
_DECISION = re.compile(r"\*\*([A-Z]\w*)(?: \([^)]*\))? ([^*]+?)\*\*\s*(.*)", re.S)


def handbook_pages(marts: Marts, extras: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(path, template, context) of the handbook and of the data dictionary."""
    tests, seeds = _unit_tests(), _seed_descriptions()
    targets: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in _seed("kpi_targets"):
        targets[row["kpi_id"]].append(row)
    kpis = []
    for row in _seed("kpi_catalog"):
        slug = row["kpi_id"]
        model = (PROJECT_DIR / "models" / "marts" / "kpis" / f"kpi_{slug}.sql").read_text(encoding="utf-8")
        kpis.append(
            {
                "slug": slug,
                "name": row["kpi_name"],
                "formula": row["formula"],
                "category": in_words(row["category"]),
                "prose": bullets(marts.comments[f"kpi_{slug}"]),
                "cases": tests[f"kpi_{slug}"] + [case for name in _REF.findall(model) for case in tests[name]],
                "targets": [one for one in targets[slug] if one["segment_type"] == "all"],
            }
        )
    yield "handbook.html", "handbook.html", {"kpis": kpis, "decisions": decisions(), "here": "handbook"}
    yield (
        "dictionary.html",
        "dictionary.html",
        {"tables": _tables(marts), "seeds": seeds, "extras": extras, "here": "dictionary"},
    )


def _seed(name: str) -> list[dict[str, str]]:
    with (PROJECT_DIR / "seeds" / f"{name}.csv").open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def _load(path: Path) -> dict[str, Any]:
    # libyaml's loader reads the project in a tenth of the time
    return yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}


def _unit_tests() -> dict[str, list[dict[str, Any]]]:
    """Unit tests by the model that they hold: name in words, description, and tables of given and expected rows."""
    tests: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for path in sorted((PROJECT_DIR / "models").rglob("*.yml")):
        for test in _load(path).get("unit_tests", []):
            given = [(_source_name(source["input"]), _table(source)) for source in test["given"]]
            tests[test["model"]].append(
                {
                    "name": in_words(test["name"]).capitalize(),
                    "model": test["model"],
                    "description": inline(test.get("description", "")),
                    "given": [(name, table) for name, table in given if table],
                    "expect": _table(test["expect"]),
                }
            )
    return tests


def _source_name(reference: str) -> str:
    found = re.findall(r"'(\w+)'", reference)
    return ".".join(found) or reference


def _table(rows: dict[str, Any]) -> dict[str, Any] | None:
    """Rows of a unit test as a table: names, the first rows, how many more; None for a source without rows."""
    given = rows.get("rows") or []
    if isinstance(given, str):
        if rows.get("format") == "sql":
            return None
        given = list(csv.DictReader(io.StringIO(given.strip())))
    if not given:
        return None
    names = list(dict.fromkeys(name for row in given for name in row))
    shown = [["" if row.get(name) is None else str(row[name]) for name in names] for row in given[:ROWS_SHOWN]]
    return {"names": names, "rows": shown, "more": max(len(given) - ROWS_SHOWN, 0)}


def decisions() -> list[tuple[str, list[tuple[str, str, Markup]]]]:
    """The decision log: (chapter, [(id, title, words)])."""
    chapters: list[tuple[str, list[tuple[str, str, Markup]]]] = []
    text = (PROJECT_DIR / "models" / "docs" / "decisions.md").read_text(encoding="utf-8")
    for block in re.split(r"\n\s*\n", text):
        if block.startswith("## "):
            chapters.append((block.removeprefix("## ").strip(), []))
        elif chapters and (found := _DECISION.match(block.strip())):
            key, title, words = found.groups()
            chapters[-1][1].append((key, title.strip().rstrip("."), inline(words)))
    return chapters


def _seed_descriptions() -> list[tuple[str, Markup]]:
    seeds = []
    for path in sorted((PROJECT_DIR / "seeds").glob("*.yml")):
        seeds += [(seed["name"], inline(seed.get("description", ""))) for seed in _load(path).get("seeds", [])]
    return sorted(seeds)


def _tables(marts: Marts) -> list[dict[str, Any]]:
    """Every table of the published file with what it says of itself and of its columns."""
    columns: dict[str, list[tuple[str, str, Markup]]] = defaultdict(list)
    for table, name, kind, comment in marts.con.execute(
        "select table_name, column_name, data_type, comment from duckdb_columns() order by table_name, column_index"
    ).fetchall():
        columns[table].append((name, kind, inline(comment or "")))
    return [
        {"name": name, "prose": bullets(comment), "columns": columns[name]} for name, comment in marts.comments.items()
    ]
