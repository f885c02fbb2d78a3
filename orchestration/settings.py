"""What a run is told: folders, the as-of date and the vars of the dbt project, checked before anything starts.

Imports nothing heavy, so that `csw --help` answers at once. Defaults of vars stand in dbt_project.yml and nowhere else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

PROJECT_DIR = Path(__file__).resolve().parents[1]
VERSIONS_KEPT = 7


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


def _names(text: str) -> list[str]:
    """names with commas between them"""
    names = [name.strip() for name in text.strip("[] ").split(",") if name.strip()]
    if not all(re.fullmatch(r"\w+", name) for name in names):
        raise ValueError
    return names


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
        "adapters": _names,
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
        f"  {name} = {default if default not in (None, []) else '(none)'}  ({PARSERS.get(name, _text).__doc__})"
        for name, default in var_defaults().items()
    ]
    return "vars:\n" + "\n".join(lines)


def now_utc() -> datetime:
    """The run's clock: UTC now, or the instant in CSW_NOW (ISO 8601), by which a night can be replayed or tested.

    Raises:
        UsageError: CSW_NOW is not an instant.
    """
    text = os.environ.get("CSW_NOW")
    if not text:
        return datetime.now(UTC)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"CSW_NOW must be an ISO 8601 instant, not {text!r}") from error
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


@dataclass(frozen=True)
class Settings:
    """Everything a run is told.

    `given_vars` holds only what was given (typed), without as_of_date; `accept` the expectations (`suite.rule`) that
    warn tonight instead of blocking.
    """

    landing: Path
    warehouse: Path
    as_of: date
    given_vars: Mapping[str, Any]
    versions: int = VERSIONS_KEPT
    accept: frozenset[str] = frozenset()
    sample_if_empty: bool = False
    timings: bool = False

    def var(self, name: str) -> Any:
        """The value in force of one var."""
        return self.given_vars.get(name, var_defaults()[name])

    @property
    def dbt_vars(self) -> dict[str, Any]:
        """What dbt is given with --vars."""
        return {"as_of_date": self.as_of.isoformat(), **self.given_vars}


def split_assignments(text: str) -> list[str]:
    """`a=1,b=x,y` -> ['a=1', 'b=x,y']: a comma parts assignments only where a name and `=` follow."""
    return [part for part in re.split(r",\s*(?=\w+=)", text.strip()) if part]


def resolve_settings(
    *,
    landing: str | None = None,
    warehouse: str | None = None,
    as_of: str | None = None,
    variables: Iterable[str] = (),
    versions: str | int | None = None,
    accept: Iterable[str] = (),
    sample_if_empty: bool = False,
    timings: bool = False,
) -> Settings:
    """Settings from options, then the environment (CSW_LANDING, CSW_WAREHOUSE, CSW_AS_OF, CSW_VARS, CSW_VERSIONS,
    CSW_ACCEPT, CSW_SAMPLE_IF_EMPTY, CSW_TIMINGS), then defaults. An option given twice keeps its last value.

    Raises:
        UsageError: an unknown var, a value that doesn't fit, or an as-of date given twice with different days.
    """
    env = os.environ
    given: dict[str, Any] = {}
    for assignment in [*split_assignments(env.get("CSW_VARS", "")), *variables]:
        name, value = parse_var(assignment)
        given[name] = value
    day_from_vars = given.pop("as_of_date", None)
    day_text = as_of or day_from_vars or env.get("CSW_AS_OF")
    if as_of and day_from_vars and _as_day(as_of) != _as_day(day_from_vars):
        raise UsageError(f"the as-of date is given twice: --as-of {as_of} and as_of_date={day_from_vars}")
    zone = ZoneInfo(given.get("reporting_timezone", var_defaults()["reporting_timezone"]))
    day = _as_day(day_text) if day_text else now_utc().astimezone(zone).date() - timedelta(days=1)
    kept_text = versions if versions is not None else env.get("CSW_VERSIONS") or VERSIONS_KEPT
    try:
        kept = _whole(1)(str(kept_text))
    except ValueError as error:
        raise UsageError(f"--versions must be a whole number from 1, not {kept_text!r}") from error
    return Settings(
        landing=Path(landing or env.get("CSW_LANDING") or "landing").absolute(),
        warehouse=Path(warehouse or env.get("CSW_WAREHOUSE") or "warehouse").absolute(),
        as_of=day,
        given_vars=MappingProxyType(given),
        versions=kept,
        accept=frozenset([*accept, *filter(None, env.get("CSW_ACCEPT", "").split(","))]),
        sample_if_empty=sample_if_empty or _is_on(env.get("CSW_SAMPLE_IF_EMPTY")),
        timings=timings or _is_on(env.get("CSW_TIMINGS")),
    )


def _as_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"the as-of date must be written YYYY-MM-DD, not {text!r}") from error


def _is_on(text: str | None) -> bool:
    return (text or "").strip().lower() in ("1", "true", "yes", "on")
