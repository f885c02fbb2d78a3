"""Which columns hold personal data (tagged `personal` in the sources' YAML), and how messages do without it."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

import yaml

from orchestration.contract import TABLES
from orchestration.sql import BLANKS
from orchestration.variables import PROJECT_DIR, UsageError

SHORTEST_KEY = 16
_SHOWN = 80


@cache
def personal_columns() -> Mapping[tuple[str, str], str]:
    """(raw table, column) -> kind: email, name, job_title, free_text or link."""
    found = {}
    for file in sorted((PROJECT_DIR / "models" / "staging").glob("*/_*__sources.yml")):
        for source in yaml.safe_load(file.read_text(encoding="utf-8"))["sources"]:
            for table in source["tables"]:
                for column in table.get("columns", []):
                    kind = column.get("config", {}).get("meta", {}).get("personal")
                    if kind:
                        found[table["name"], column["name"]] = kind
    return MappingProxyType(found)


@cache
def contact_columns() -> Mapping[str, tuple[str, ...]]:
    """Raw table -> its columns that hold contact ids, by the contract."""
    return MappingProxyType(
        {
            table.name: tuple(
                column.name
                for column in table.columns
                if column.references == "crm_contacts" or (table.name == "crm_contacts" and column.key)
            )
            for table in TABLES.values()
        }
    )


def without_value(reason: str, value: str | None, table: str, column: str | None) -> str:
    """A reason as logs and alerts may hold it: the value at fault in full, but its shape only where it is personal.

    Where columns slipped, an e-mail address can stand in any of them.
    """
    shown = (value or "").strip(BLANKS)[:_SHOWN]
    if not shown or ((table, column) not in personal_columns() and "@" not in shown):
        return reason
    return reason.replace(repr(shown), repr(_shape(shown)))


def _shape(text: str) -> str:
    return re.sub(r"\d", "9", re.sub(r"[^\W\d_]", "x", text))


def masked(column: str, value: object) -> object:
    """A value as a message may show it, by the name of its column."""
    is_personal = any(column == name for _, name in personal_columns())
    return "(personal)" if is_personal and value is not None else value


def pseudonym(key: str, contact_id: str) -> str:
    """The name that stands for a contact outside: the same for the same key, and nobody's without it."""
    return "p-" + hmac.new(key.encode(), contact_id.encode(), hashlib.sha256).hexdigest()[:24]


def checked_key(key: str | None) -> str | None:
    """The key of CSW_PSEUDONYM_KEY, None when there is none.

    Raises:
        UsageError: it is too short to be a secret.
    """
    if key and len(key) < SHORTEST_KEY:
        raise UsageError(f"CSW_PSEUDONYM_KEY must have {SHORTEST_KEY} characters or more")
    return key or None
