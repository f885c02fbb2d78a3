"""A sample company as its sources deliver it: a first load of everything so far, then files of one day each.

A row is delivered the night after it happened, without what happened later, and again the night after each later
instant in it. Accounts, users, features, rights and surveys come whole every night. On holidays little happens; some
rows come days late; once, a plan gets a new price.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import duckdb

from orchestration.contract import TABLES
from orchestration.sample import make_sample

SNAPSHOTS = ("crm_accounts", "crm_account_links", "crm_users", "product_features", "product_plan_features", "surveys")
# The instant by which a row is first delivered, and those that make it be delivered again.
HAPPENS = {
    "crm_contacts": "created_at",
    "crm_account_owners": "valid_from",
    "crm_opportunities": "created_at",
    "billing_subscriptions": "started_at",
    "billing_subscription_items": "coalesce(recorded_at, effective_from)",
    "billing_subscription_pauses": "paused_from",
    "billing_contract_terms": "term_start",
    "billing_invoices": "issued_at",
    "billing_refunds": "refunded_at",
    "product_events": "occurred_at",
    "support_tickets": "created_at",
    "support_ticket_events": "occurred_at",
    "support_self_service_sessions": "started_at",
    "survey_responses": "coalesce(sent_at, responded_at)",
    "feedback_items": "collected_at",
    "cs_activities": "occurred_at",
    "cs_onboardings": "started_at",
    "cs_advocacy": "coalesce(requested_at, completed_at)",
    "cs_actions": "opened_at",
    "cs_health_ratings": "rated_at",
    "fin_costs": "cost_month + interval 1 month",
    "fin_exchange_rates": "rate_date",
}
LATER = {
    "crm_account_owners": ("valid_to",),
    "billing_subscriptions": ("cancel_requested_at", "ended_at"),
    "billing_subscription_items": ("effective_to",),
    "billing_subscription_pauses": ("paused_until",),
    "billing_invoices": ("paid_at",),
    "survey_responses": ("responded_at",),
    "cs_onboardings": ("completed_at", "first_value_at", "cancelled_at"),
    "cs_advocacy": ("completed_at",),
    "cs_actions": ("closed_at",),
}
# What a source says before the instant has come; `known` is the column after its later values are hidden.
BEFORE = {
    ("crm_opportunities", "is_closed"): "is_closed and close_date < delivered_on",
    ("crm_opportunities", "is_won"): "case when close_date < delivered_on then is_won end",
    ("crm_opportunities", "stage"): "case when close_date < delivered_on then stage else 'open' end",
    ("billing_subscriptions", "status"): (
        "case when ended_at < delivered_on then status when status = 'canceled' then 'active' else status end"
    ),
    ("billing_subscriptions", "cancel_reason"): "case when ended_at < delivered_on then cancel_reason end",
    ("billing_subscriptions", "cancel_type"): "case when ended_at < delivered_on then cancel_type end",
    ("billing_invoices", "status"): (
        "case when status = 'paid' and not coalesce(paid_at < delivered_on, false) then 'open' else status end"
    ),
    ("billing_invoices", "amount_paid"): "case when paid_at < delivered_on then amount_paid else 0 end",
    ("support_tickets", "status"): "'new'",
    ("survey_responses", "score"): "case when responded_at < delivered_on then score end",
    ("survey_responses", "comment"): "case when responded_at < delivered_on then comment end",
    (
        "cs_advocacy",
        "status",
    ): "case when status = 'completed' and completed_at >= delivered_on then 'requested' else status end",
    ("cs_actions", "status"): "case when closed_at is null or closed_at < delivered_on then status else 'open' end",
    ("cs_actions", "outcome"): "case when closed_at < delivered_on then outcome end",
}
HOLIDAYS = {(12, 25), (12, 26), (1, 1), (4, 6), (5, 1), (7, 3), (9, 7), (10, 3)}
QUIET_ON_HOLIDAYS = (
    "product_events",
    "support_tickets",
    "support_ticket_events",
    "support_self_service_sessions",
    "cs_activities",
    "survey_responses",
)


class Company:
    """The deliveries of one sample company, in a DuckDB file. `first` is the day of the first load, `last` the last."""

    def __init__(
        self, folder: Path, *, accounts: int, months: int, events: int, end: date, nights: int, seed: int = 7
    ) -> None:
        self.first, self.last = end - timedelta(days=nights), end
        folder.mkdir(parents=True, exist_ok=True)
        self.con = duckdb.connect(str(folder / "company.duckdb"))
        landing = folder / "sample"
        size = {"accounts": accounts, "months": months, "events": events, "end": end, "seed": seed}
        make_sample(landing, **size, progress=lambda _: None)
        for table in TABLES.values():
            files = sorted([*landing.glob(f"{table.name}.*"), *landing.glob(f"{table.name}/*")])
            reader = "read_parquet" if files[0].suffix == ".parquet" else "read_csv"
            names = ", ".join(f"{column.name}::{column.type} as {column.name}" for column in table.columns)
            options = ", header = true, all_varchar = true" if reader == "read_csv" else ""
            self.con.execute(
                f"create table rows_{table.name} as select {names} from {reader}(?{options})", [[*map(str, files)]]
            )
        # an account is in the CRM before anything else of it is told
        told = " union all ".join(
            f"select account_id, min({instant}) as first_at from rows_{name} group by all"
            for name, instant in HAPPENS.items()
            if any(column.name == "account_id" for column in TABLES[name].columns)
        )
        self.con.execute(
            f"""update rows_crm_accounts set created_at = least(created_at, first_at) from (
                select account_id, min(first_at) as first_at from ({told}) group by all
            ) as first_told where first_told.account_id = rows_crm_accounts.account_id"""
        )
        self._raise_prices()
        for name in HAPPENS:
            self._split(name)
        # what happens in a ticket is not told before the ticket
        for name in ("support_ticket_events", "survey_responses"):
            self.con.execute(
                f"""update deliveries_{name} as child set delivered_on = greatest(child.delivered_on, first_on) from (
                    select ticket_id, min(delivered_on) as first_on from deliveries_support_tickets group by all
                ) as tickets where tickets.ticket_id = child.ticket_id"""
            )

    def _raise_prices(self) -> None:
        """In the middle of the nights every running monthly version of the plan `pro` ends, and a dearer one begins."""
        day = self.first + (self.last - self.first) / 2
        table = "rows_billing_subscription_items"
        running = (
            f"plan_id = 'pro' and billing_interval = 'month' and effective_from < date '{day}' - interval 31 day "
            f"and (effective_to is null or effective_to > date '{day}' + interval 31 day)"
        )
        self.con.execute(
            f"""insert into {table} select * replace (
                item_version_id || '-dearer' as item_version_id, round(unit_amount * 1.08, 2) as unit_amount,
                timestamp '{day}' as effective_from, timestamp '{day}' as recorded_at) from {table} where {running}"""
        )
        self.con.execute(f"update {table} set effective_to = timestamp '{day}' where {running}")

    def _split(self, name: str) -> None:
        later = LATER.get(name, ())
        moments = ", ".join([HAPPENS[name], *later])
        key = ", ".join(TABLES[name].key)
        columns = []
        for column in TABLES[name].columns:
            known = BEFORE.get((name, column.name))
            if column.name == "_loaded_at":
                known = "delivered_on + interval 90 minute"
            elif known is None and column.name in later:
                known = f"case when {column.name} < delivered_on then {column.name} end"
            columns.append(f"{known or column.name} as {column.name}")
        self.con.execute(
            f"""create table deliveries_{name} as
            with instants as (
                select *, ({HAPPENS[name]})::date + 1 as first_on,
                    unnest(list_distinct(
                        [moment::date + 1 for moment in [{moments}] if moment is not null]
                    )) as known_on
                from rows_{name}
            ),
            versions as (select * exclude (known_on), known_on as delivered_on from instants where known_on >= first_on)
            select {", ".join(columns)}, delivered_on from versions"""
        )
        self.con.execute(
            f"update deliveries_{name} set delivered_on = '{self.first}' where delivered_on < '{self.first}'"
        )
        # the first load is one file: of each key its newest version
        self.con.execute(
            f"""delete from deliveries_{name} where delivered_on = '{self.first}' and rowid not in (
                select arg_max(rowid, _loaded_at) from deliveries_{name} where delivered_on = '{self.first}'
                group by {key})"""
        )
        if name in QUIET_ON_HOLIDAYS:
            days = ", ".join(f"({month}, {day})" for month, day in HOLIDAYS)
            self.con.execute(
                f"""update deliveries_{name} set delivered_on = delivered_on + 1 + (hash({key}) // 10 % 5)::int
                where hash({key}) % 10 < 7 and delivered_on > '{self.first}'
                    and (month(delivered_on - 1), day(delivered_on - 1)) in ({days})"""
            )
        if name in ("product_events", "cs_activities"):  # phones that were off, calls that were written down later
            self.con.execute(
                f"""update deliveries_{name} set delivered_on = delivered_on + 1 + (hash({key}) // 100 % 4)::int
                where hash({key}) % 100 < 2 and delivered_on > '{self.first}'"""
            )

    def days(self) -> Iterator[date]:
        """The days of the nights after the first load."""
        day = self.first
        while day < self.last:
            day += timedelta(days=1)
            yield day

    def deliver(self, landing: Path, day: date) -> dict[str, Path]:
        """Write the files of one night (of the first load: everything before) and give them by table."""
        written = {}
        for table in TABLES.values():
            names = ", ".join(column.name for column in table.columns)
            if table.name in SNAPSHOTS:
                loaded = f"'{day}'::timestamp + interval 90 minute"
                query = f"select * replace ({loaded} as _loaded_at) from rows_{table.name}"
                if table.name in ("crm_accounts", "crm_account_links"):
                    known = f"select account_id from rows_crm_accounts where created_at < '{day}'"
                    query += f" where account_id in ({known})"
            else:
                query = f"select {names} from deliveries_{table.name} where delivered_on = '{day}'"
            if table.name not in SNAPSHOTS and not self.con.execute(f"select count(*) from ({query})").fetchone()[0]:
                continue
            path = landing / table.name / f"{day}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            self.con.execute(f"copy ({query}) to '{path}' (header, delimiter ',')")
            written[table.name] = path
        return written
