"""What a run is told: folders, the as-of date and the vars of the dbt project, checked before anything starts.

Imports nothing heavy, so that `csw --help` answers at once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

from orchestration.personal import checked_key
from orchestration.variables import UsageError, parse_var, var_defaults
from serving.address import ANALYST_ROLE, BI_ROLE, Server, server_of

VERSIONS_KEPT = 7


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

    `given_vars` holds only what was given (typed), without as_of_date; `forget_later` says whether a day before the
    published one may be published, `accept` the expectations (`suite.rule`) that warn tonight instead of blocking;
    `serve` the PostgreSQL database that gets a copy, `parquet` whether files do.
    """

    landing: Path
    warehouse: Path
    as_of: date
    given_vars: Mapping[str, Any]
    forget_later: bool = False
    versions: int = VERSIONS_KEPT
    accept: frozenset[str] = frozenset()
    sample_if_empty: bool = False
    timings: bool = False
    dashboard: bool = True
    parquet: bool = False
    serve: Server | None = None
    alert_webhook: str | None = None
    alert_smtp: str | None = None
    pseudonym_key: str | None = field(default=None, repr=False)

    def var(self, name: str) -> Any:
        """The value in force of one var."""
        return self.given_vars.get(name, var_defaults()[name])

    @property
    def dbt_vars(self) -> dict[str, Any]:
        """What dbt is given with --vars."""
        return {"as_of_date": self.as_of.isoformat(), **self.given_vars}

    @property
    def options(self) -> list[str]:
        """The options of `csw nightly` that say the same again, without folders, day, vars and what is `withheld`."""
        flags = {
            "--forget-later": self.forget_later,
            "--sample-if-empty": self.sample_if_empty,
            "--timings": self.timings,
            "--no-dashboard": not self.dashboard,
            "--parquet": self.parquet,
        }
        options = [flag for flag, is_on in flags.items() if is_on]
        options += ["--versions", str(self.versions)] if self.versions != VERSIONS_KEPT else []
        options += ["--accept", *sorted(self.accept)] if self.accept else []
        if self.serve and (self.serve.bi_role, self.serve.analyst_role) != (BI_ROLE, ANALYST_ROLE):
            options += ["--bi-role", self.serve.bi_role, "--analyst-role", self.serve.analyst_role]
        return options

    @property
    def withheld(self) -> list[str]:
        """The environment variables of what is never shown: addresses, which may hold a password, and the key."""
        given = {
            "CSW_SERVE": self.serve,
            "CSW_ALERT_WEBHOOK": self.alert_webhook,
            "CSW_ALERT_SMTP": self.alert_smtp,
            "CSW_PSEUDONYM_KEY": self.pseudonym_key,
        }
        return [name for name, value in given.items() if value]


def split_assignments(text: str) -> list[str]:
    """`a=1,b=x,y` -> ['a=1', 'b=x,y']: a comma parts assignments only where a name and `=` follow."""
    return [part for part in re.split(r",\s*(?=\w+=)", text.strip()) if part]


def resolve_settings(
    *,
    landing: str | None = None,
    warehouse: str | None = None,
    as_of: str | None = None,
    forget_later: bool = False,
    variables: Iterable[str] = (),
    versions: str | int | None = None,
    accept: Iterable[str] = (),
    sample_if_empty: bool = False,
    timings: bool = False,
    no_dashboard: bool = False,
    parquet: bool = False,
    serve: str | None = None,
    bi_role: str | None = None,
    analyst_role: str | None = None,
    alert_webhook: str | None = None,
    alert_smtp: str | None = None,
) -> Settings:
    """Settings from options, then the environment (CSW_LANDING, CSW_WAREHOUSE, CSW_AS_OF, CSW_FORGET_LATER, CSW_VARS,
    CSW_VERSIONS, CSW_ACCEPT, CSW_SAMPLE_IF_EMPTY, CSW_TIMINGS, CSW_NO_DASHBOARD, CSW_PARQUET, CSW_SERVE, CSW_BI_ROLE,
    CSW_ANALYST_ROLE, CSW_ALERT_WEBHOOK, CSW_ALERT_SMTP, CSW_PSEUDONYM_KEY), then defaults. An option given twice keeps
    its last value. CSW_MEMORY_LIMIT, which the engine is given where it's opened, is looked at here.

    Raises:
        UsageError: an unknown var or expectation, a value that doesn't fit, an address that can't be one of PostgreSQL,
            a web server or a mail server, a memory that DuckDB can't be granted, or an as-of date in the future or
            given twice with different days.
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
    today = now_utc().astimezone(zone).date()
    day = _as_day(day_text) if day_text else today - timedelta(days=1)
    if day > today:
        raise UsageError(f"the as-of date {day} lies in the future: it is {today} in {zone}")
    kept_text = versions if versions is not None else env.get("CSW_VERSIONS") or VERSIONS_KEPT
    if not re.fullmatch(r"[1-9]\d*", str(kept_text)):
        raise UsageError(f"--versions must be a whole number from 1, not {kept_text!r}")
    webhook, smtp = alert_webhook or env.get("CSW_ALERT_WEBHOOK"), alert_smtp or env.get("CSW_ALERT_SMTP")
    _check_addresses(webhook, smtp)
    _check_memory(env.get("CSW_MEMORY_LIMIT"))
    return Settings(
        landing=Path(landing or env.get("CSW_LANDING") or "landing").absolute(),
        warehouse=Path(warehouse or env.get("CSW_WAREHOUSE") or "warehouse").absolute(),
        as_of=day,
        given_vars=MappingProxyType(given),
        forget_later=forget_later or _is_on("CSW_FORGET_LATER"),
        versions=int(kept_text),
        accept=_accepted([*accept, *env.get("CSW_ACCEPT", "").split(",")]),
        sample_if_empty=sample_if_empty or _is_on("CSW_SAMPLE_IF_EMPTY"),
        timings=timings or _is_on("CSW_TIMINGS"),
        dashboard=not (no_dashboard or _is_on("CSW_NO_DASHBOARD")),
        parquet=parquet or _is_on("CSW_PARQUET"),
        serve=server_of(address, bi_role or env.get("CSW_BI_ROLE"), analyst_role or env.get("CSW_ANALYST_ROLE"))
        if (address := serve or env.get("CSW_SERVE"))
        else None,
        alert_webhook=webhook or None,
        alert_smtp=smtp or None,
        pseudonym_key=checked_key(env.get("CSW_PSEUDONYM_KEY")),
    )


def _as_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"the as-of date must be written YYYY-MM-DD, not {text!r}") from error


def _check_addresses(webhook: str | None, smtp: str | None) -> None:
    if webhook and not is_web_address(webhook):
        raise UsageError("--alert-webhook must be an address such as https://host/path")
    if smtp:
        parts = urlsplit(smtp)
        if (
            parts.scheme not in ("smtp", "smtps")
            or not parts.hostname
            or not {"from", "to"} <= {*parse_qs(parts.query)}
        ):
            raise UsageError("--alert-smtp must read smtp://[user:password@]host[:port]?from=a@b&to=c@d[,e@f]")


def is_web_address(url: str) -> bool:
    """Whether something can be sent to this address. One that can't is refused early: later errors would repeat it."""
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:  # no port is called that
        return False
    return is_whole and parts.scheme in ("http", "https") and re.fullmatch("[!-~]+", url) is not None


def _check_memory(limit: str | None) -> None:
    import duckdb

    if limit:
        try:
            duckdb.connect(config={"memory_limit": limit}).close()
        except duckdb.Error as error:
            raise UsageError(f"CSW_MEMORY_LIMIT must be a size such as 600MB or 2GB, not {limit!r}") from error


def _accepted(given: Iterable[str]) -> frozenset[str]:
    accepted = frozenset(filter(None, map(str.strip, given)))
    if accepted:
        from expectations.marts import MART_SUITES
        from expectations.raw import RAW_SUITES

        known = {f"{suite.name}.{rule.name}" for suite in (*RAW_SUITES, *MART_SUITES) for rule in suite.rules}
        if strange := sorted(accepted - known):
            raise UsageError(f"--accept names no expectation: {', '.join(strange)}; the summary of a night names them")
    return accepted


def _is_on(name: str) -> bool:
    """Whether a switch of the environment is on; one that can be read neither way is refused."""
    text = os.environ.get(name, "").strip().lower()
    if text not in ("", "0", "false", "no", "off", "1", "true", "yes", "on"):
        raise UsageError(f"{name} must be 1 or 0, not {text!r}")
    return text in ("1", "true", "yes", "on")
