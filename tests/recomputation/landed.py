"""What a night knows: the winning row per key, deleted rows gone, the future hidden."""

import csv
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.recomputation.calendar import local_day
from tests.recomputation.settings import Settings

Row = dict[str, Any]
Tables = dict[str, list[Row]]

CONTRACT = Path(__file__).resolve().parents[2] / "orchestration" / "raw_contract.csv"

# The instants that make a row happen (the first one given counts); a row after the as-of date is not known.
HAPPENS = {
    "crm_account_owners": ("valid_from",),
    "crm_opportunities": ("created_at",),
    "billing_subscriptions": ("started_at",),
    "billing_subscription_items": ("effective_from",),
    "billing_subscription_pauses": ("paused_from",),
    "billing_contract_terms": ("term_start",),
    "billing_invoices": ("issued_at",),
    "billing_refunds": ("refunded_at",),
    "product_events": ("occurred_at",),
    "support_tickets": ("created_at",),
    "support_ticket_events": ("occurred_at",),
    "support_self_service_sessions": ("started_at",),
    "survey_responses": ("sent_at", "responded_at"),
    "feedback_items": ("collected_at",),
    "cs_activities": ("occurred_at",),
    "cs_onboardings": ("started_at",),
    "cs_advocacy": ("requested_at", "completed_at"),
    "cs_actions": ("opened_at",),
    "cs_health_ratings": ("rated_at",),
    "fin_costs": ("cost_month",),
    "fin_exchange_rates": ("rate_date",),
}

# Instants inside a row that are not known before they come.
LATER = {
    "crm_account_owners": ("valid_to",),
    "billing_subscriptions": ("cancel_requested_at", "ended_at"),
    "billing_subscription_items": ("effective_to",),
    "billing_subscription_pauses": ("paused_until",),
    "billing_invoices": ("paid_at",),
    "survey_responses": ("responded_at",),
    "cs_onboardings": ("purchased_at", "completed_at", "first_value_at", "cancelled_at"),
    "cs_advocacy": ("completed_at",),
    "cs_actions": ("closed_at",),
}


def contract() -> dict[str, list[Row]]:
    """The columns of every raw table, in the order of the contract."""
    tables: dict[str, list[Row]] = {}
    with CONTRACT.open(newline="", encoding="utf-8") as handle:
        for column in csv.DictReader(handle):
            tables.setdefault(column["table"], []).append(column)
    return tables


def parse(text: str | None, type_name: str) -> Any:
    """A landed text cell as the Python value of its contract type; an empty cell is None."""
    text = (text or "").strip()
    if not text:
        return None
    if type_name == "TIMESTAMP":
        return datetime.fromisoformat(text.removesuffix("Z"))
    if type_name == "DATE":
        return date.fromisoformat(text[:10])
    if type_name == "BOOLEAN":
        return text.lower() in ("true", "t", "1")
    if type_name == "INTEGER":
        return int(text)
    if type_name.startswith("DECIMAL") or type_name == "DOUBLE":
        return Decimal(text)
    return text


def read_landing(folder: Path) -> Tables:
    """Read `<folder>/<table>.csv` for every contract table; a missing file is an empty table."""
    landed: Tables = {}
    for table, columns in contract().items():
        path = folder / f"{table}.csv"
        landed[table] = []
        if not path.exists():
            continue
        types = {column["column"]: column["type"] for column in columns} | {"_deleted": "BOOLEAN"}
        with path.open(newline="", encoding="utf-8") as handle:
            for line in csv.DictReader(handle):
                landed[table].append({name: parse(line.get(name), type_name) for name, type_name in types.items()})
    return landed


def day_of(value: date | datetime | None, settings: Settings) -> date | None:
    """The local day of a timestamp; a date is itself."""
    if isinstance(value, datetime):
        return local_day(value, settings.reporting_timezone)
    return value


def winners(rows: list[Row], key: list[str]) -> list[Row]:
    """Per key the row that was loaded last, unless that one says deleted; text is trimmed, empty text is None."""
    last: dict[tuple, Row] = {}
    for row in rows:
        tidy = {name: (value.strip() or None) if isinstance(value, str) else value for name, value in row.items()}
        identity = tuple(tidy[name] for name in key)
        if identity not in last or tidy["_loaded_at"] >= last[identity]["_loaded_at"]:
            last[identity] = tidy
    return [row for row in last.values() if not row.get("_deleted")]


def known(rows: list[Row], table: str, settings: Settings) -> list[Row]:
    """Rows that have happened by the as-of date, with later instants hidden."""
    seen = []
    for row in rows:
        happened = next((row[name] for name in HAPPENS.get(table, ()) if row.get(name) is not None), None)
        if happened is not None and day_of(happened, settings) > settings.as_of:
            continue
        hidden = {
            name: None
            for name in LATER.get(table, ())
            if row.get(name) is not None and day_of(row[name], settings) > settings.as_of
        }
        seen.append(row | hidden)
    return seen


def clean(raw: Tables, settings: Settings) -> Tables:
    """All contract tables as one night knows them, every contract column present."""
    tables: Tables = {}
    for table, columns in contract().items():
        names = [column["column"] for column in columns]
        key = [column["column"] for column in columns if column["key"].startswith("PK")]
        rows = [dict.fromkeys(names) | row for row in raw.get(table, [])]
        tables[table] = known(winners(rows, key), table, settings)
    return tables
