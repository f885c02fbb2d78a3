"""Where a KPI stands on the dashboard: the catalogue says it in words, this finds the picture that the words name."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass

from dashboard.first import FIRST_PAGE
from dashboard.second import SECOND_PAGE
from orchestration.variables import PROJECT_DIR

OWN_PAGE = "KPI page"
_FIRST = re.compile(r"page 1, picture (\d+)")


@dataclass(frozen=True)
class Place:
    """A picture: the words of the catalogue, and its address from the folder of the pages."""

    words: str
    href: str


def catalogue_places() -> dict[str, str]:
    """KPI -> `dashboard_place` of the seed kpi_catalog."""
    with (PROJECT_DIR / "seeds" / "kpi_catalog.csv").open(newline="", encoding="utf-8") as handle:
        return {row["kpi_id"]: row["dashboard_place"] for row in csv.DictReader(handle)}


def place_of(words: str) -> Place | None:
    """The picture that these words name, None for a KPI that has its own page only.

    Raises:
        ValueError: there is no such picture.
    """
    if words == OWN_PAGE:
        return None
    first = _FIRST.fullmatch(words)
    if first and int(first[1]) in {1, *FIRST_PAGE}:
        return Place(words, f"index.html#picture-{first[1]}")
    name = words.removeprefix("page 2, ")
    if words.startswith("page 2, ") and name in SECOND_PAGE:
        return Place(words, f"second.html#picture-{name.replace(' ', '-')}")
    raise ValueError(f"{words!r} is no place on the dashboard")
