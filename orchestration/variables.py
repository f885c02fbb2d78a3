"""The vars of the dbt project that a run can be given: what they take, and what is wrong with a value.

Defaults stand in dbt_project.yml and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from orchestration.contract import TABLES

PROJECT_DIR = Path(__file__).resolve().parents[1]
ADAPTERS_DIR = PROJECT_DIR / "models" / "adapters"


class UsageError(Exception):
    """Something the user can put right: a wrong option, a missing folder, an unreadable file. Ends with exit code 2."""


@cache
def var_defaults() -> Mapping[str, Any]:
    """The vars of dbt_project.yml that a run can be given, with their defaults, in the order of that file."""
    project = yaml.safe_load((PROJECT_DIR / "dbt_project.yml").read_text(encoding="utf-8"))
    return MappingProxyType({name: value for name, value in project["vars"].items() if name != "published_at"})


def _whole(low: int, high: int | None = None) -> Callable[[str], int]:
    def parse(text: str) -> int:
        number = int(text)
        if number < low or (high is not None and number > high):
            raise ValueError
        return number

    parse.__doc__ = f"a whole number from {low}" + (f" to {high}" if high is not None else "")
    return parse


def _number(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        number = float(text)
        if not low <= number <= high:
            raise ValueError
        return number

    parse.__doc__ = f"a number from {low:g} to {high:g}"
    return parse


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError
        return text

    parse.__doc__ = "one of " + ", ".join(choices)
    return parse


def _timezone(text: str) -> str:
    """a name of the IANA time zone database such as Europe/Berlin"""
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        raise ValueError from error
    return text


def _currency(text: str) -> str:
    """a currency code of three letters such as EUR"""
    if not re.fullmatch(r"[A-Za-z]{3}", text):
        raise ValueError
    return text.upper()


def _day(text: str) -> str:
    """a date written YYYY-MM-DD"""
    return date.fromisoformat(text).isoformat()


def _adapters(text: str) -> dict[str, list[str]]:
    """names of folders in models/adapters with commas between them"""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not all(re.fullmatch(r"\w+", name) and (ADAPTERS_DIR / name).is_dir() for name in names):
        raise ValueError
    return {name: _tables_filled(ADAPTERS_DIR / name) for name in names}


def _tables_filled(adapter: Path) -> list[str]:
    """The raw tables that the models of an adapter's folder are named after.

    Raises:
        UsageError: there is none, so nothing would be read.
    """
    models = [path.stem for path in adapter.iterdir() if path.suffix in (".sql", ".py")]
    tables = [table for table in TABLES if f"{adapter.name}__{table}" in models]
    if not tables:
        raise UsageError(
            f"adapter {adapter.name!r} fills no raw table: its models are "
            f"models/adapters/{adapter.name}/{adapter.name}__<raw table>.sql"
        )
    return tables


def _folder(text: str) -> str:
    """an existing folder"""
    if not Path(text).is_dir():
        raise ValueError
    return str(Path(text).absolute())


def _text(text: str) -> str:
    """text"""
    return text


PARSERS: Mapping[str, Callable[[str], Any]] = MappingProxyType(
    {
        "as_of_date": _day,
        "reporting_currency": _currency,
        "reporting_timezone": _timezone,
        "fiscal_year_start_month": _whole(1, 12),
        "late_renewal_grace_days": _whole(0),
        "fcr_reopen_window_days": _whole(0),
        "self_service_window_hours": _whole(0),
        "min_responses": _whole(1),
        "min_responses_onboarding": _whole(1),
        "adoption_min_events": _whole(1),
        "purchase_gap_days": _whole(1),
        "lifetime_cap_months": _whole(1),
        "gross_margin_pct": _number(0, 100),
        "finite_discounts": _one_of("count", "ignore"),
        "clv_lifetime_model": _one_of("sbg", "hazard"),
        "discount_rate_annual": _number(0, 10),
        "adapters": _adapters,
        "ravenstack_dir": _folder,
    }
)


def parse_var(assignment: str) -> tuple[str, Any]:
    """One NAME=VALUE as (name, typed value).

    Raises:
        UsageError: no `=`, a name that dbt_project.yml doesn't know, or a value that doesn't fit the var.
    """
    name, sign, text = assignment.partition("=")
    name = name.strip()
    if not sign:
        raise UsageError(f"--var wants NAME=VALUE, not {assignment!r}")
    if name not in var_defaults():
        raise UsageError(f"there is no var {name!r}\n{describe_vars()}")
    parser = PARSERS.get(name, _text)
    try:
        return name, parser(text.strip())
    except ValueError as error:
        raise UsageError(f"var {name} must be {parser.__doc__}, not {text!r}\n{describe_vars()}") from error


def describe_vars() -> str:
    """The vars, what they take and their defaults, one a line."""
    lines = [
        f"  {name} = {default if default not in (None, {}) else '(none)'}  ({PARSERS.get(name, _text).__doc__})"
        for name, default in var_defaults().items()
    ]
    return "vars:\n" + "\n".join(lines)
