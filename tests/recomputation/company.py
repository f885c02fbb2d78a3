"""The accounts of one night: who is who, who owns whom, and in which cut an account falls on a day."""

from collections import Counter
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

from tests.recomputation.calendar import first_of_month, periods
from tests.recomputation.landed import Row, Tables, clean, day_of
from tests.recomputation.money import Rates
from tests.recomputation.settings import Settings

UNKNOWN = "unknown"
UNASSIGNED = "unassigned"
# The tables whose rows belong to an account, each with the column that names a person of it.
NAMES_ACCOUNTS = {
    "crm_contacts": None,
    "crm_account_owners": None,
    "crm_opportunities": None,
    "billing_subscriptions": None,
    "billing_invoices": None,
    "product_events": None,
    "support_tickets": "requester_contact_id",
    "support_self_service_sessions": "contact_id",
    "survey_responses": "contact_id",
    "feedback_items": "contact_id",
    "cs_activities": "contact_id",
    "cs_onboardings": None,
    "cs_advocacy": "contact_id",
    "cs_actions": None,
    "cs_health_ratings": None,
    "fin_costs": None,
}


@dataclass(frozen=True)
class Owner:
    """One stretch of ownership, [start, end); `end` None is open."""

    user_id: str
    start: date
    end: date | None
    since: Any


class Company:
    """One night's cleaned tables with accounts resolved (a cleaned row's `account` is its survivor or None)."""

    def __init__(self, raw: Tables, settings: Settings) -> None:
        self.settings = settings
        self.tables = clean(raw, settings)
        self.rates = Rates(self.tables, settings.reporting_currency)
        self._rows = {row["account_id"]: row for row in self.tables["crm_accounts"]}
        self._links: dict[str, set[str]] = {}
        for link in self.tables["crm_account_links"]:
            self._links.setdefault(link["source_account_id"], set()).add(link["account_id"])
        self._contacts = {row["contact_id"]: row for row in self.tables["crm_contacts"]}
        self.users = {row["user_id"]: row for row in self.tables["crm_users"]}
        self.accounts = {
            account_id: row
            for account_id, row in self._rows.items()
            if self.survivor(account_id) == account_id and not row["is_internal"]
        }
        self._owners = self._ownership()
        segments = {row["raw_segment"]: row["segment"] for row in settings.seed("segment_map")}
        self._segment = {
            account_id: segments.get(row["segment"], row["segment"]) or "unsegmented"
            for account_id, row in self.accounts.items()
        }
        spellings = Counter(row["industry"] for row in self._rows.values() if row["industry"])
        self._industry: dict[str, str] = {}
        for name in sorted(spellings, key=lambda name: (-spellings[name], name)):
            self._industry.setdefault(name.lower(), name)
        self._cuts: dict[tuple[str | None, date], dict[str, str]] = {}
        self.main_plan = lambda account_id, day: "none"  # replaced once the recurring revenue is known

    def day(self, instant: Any) -> date | None:
        """The local day of an instant."""
        return day_of(instant, self.settings)

    # ----- who is who
    def survivor(self, account_id: str) -> str:
        """Follow the merges that have happened by the as-of date."""
        row = self._rows[account_id]
        target = row["merged_into_account_id"]
        merged_on = self.day(row["merged_at"])
        if target is None or target not in self._rows or (merged_on is not None and merged_on > self.settings.as_of):
            return account_id
        return self.survivor(target)

    def before_merges(self, account_id: str | None) -> str | None:
        """The account record that an id of any system names, before merges; None when unmatched.

        Of several records that have merged by now it is the survivor, if it is one of them.
        """
        if account_id in self._rows:
            return account_id
        targets = self._links.get(account_id, set()) if account_id else set()
        if not targets <= self._rows.keys():
            return None
        survivors = {self.survivor(target) for target in targets}
        return next(iter(survivors & targets or targets)) if len(survivors) == 1 else None

    def resolve(self, account_id: str | None, contact_id: str | None = None) -> tuple[str | None, bool]:
        """(surviving account or None when unmatched, whether it is internal); no id takes the contact's account."""
        if account_id is None and contact_id in self._contacts:
            account_id = self._contacts[contact_id]["account_id"]
        record = self.before_merges(account_id)
        if record is None:
            return None, False
        survivor = self.survivor(record)
        return survivor, bool(self._rows[survivor]["is_internal"])

    def counted(self, table: str, contact_column: str | None = None) -> list[Row]:
        """Rows of a table that belong to a known customer account, its survivor as `account`."""
        return [row for row in self.all_but_internal(table, contact_column) if row["account"] is not None]

    def all_but_internal(self, table: str, contact_column: str | None = None) -> list[Row]:
        """Rows of a table that do not belong to an internal account; `account` is None when it is not known.

        What somebody of an internal account says for a customer is theirs, but for tickets: those are excluded later.
        """
        kept = []
        for row in self.tables[table]:
            contact_id = row[contact_column] if contact_column else None
            survivor, is_internal = self.resolve(row["account_id"], contact_id)
            if table != "support_tickets":
                is_internal |= self.resolve(None, contact_id)[1]
            if not is_internal:
                kept.append(row | {"account": survivor})
        return kept

    def unmatched(self, table: str) -> int:
        """How many rows of a table name an account that nobody knows; an event without an account names nobody's."""
        if table == "crm_account_links":
            return sum(row["account_id"] not in self._rows for row in self.tables[table])
        if table not in NAMES_ACCOUNTS:
            return 0
        return sum(
            row["account"] is None and (row["account_id"] is not None or table == "product_events")
            for row in self.all_but_internal(table, NAMES_ACCOUNTS[table])
        )

    # ----- who owns whom
    def _ownership(self) -> dict[str, list[Owner]]:
        owners: dict[str, list[Owner]] = {}
        for row in self.tables["crm_account_owners"]:
            record = self.before_merges(row["account_id"])
            if row["role"] != "csm" or record not in self.accounts:
                continue
            owner = Owner(row["user_id"], self.day(row["valid_from"]), self.day(row["valid_to"]), row["valid_from"])
            owners.setdefault(record, []).append(owner)
        return owners

    def csm(self, account_id: str | None, day: date) -> str:
        """Who owns the account at the end of a day; of overlapping ranges the one that started last."""
        if account_id is None:
            return UNKNOWN
        covering = [
            owner
            for owner in self._owners.get(account_id, [])
            if owner.start <= day and (owner.end is None or day < owner.end)
        ]
        return max(covering, key=lambda owner: owner.since).user_id if covering else UNASSIGNED

    def team(self, csm: str) -> str:
        """The team of a CSM."""
        if csm in (UNASSIGNED, UNKNOWN):
            return csm
        return (self.users.get(csm) or {}).get("team") or UNKNOWN

    # ----- in which cut
    def segment(self, account_id: str | None) -> str:
        """Today's segment of an account."""
        return UNKNOWN if account_id is None else self._segment[account_id]

    def cuts(self, account_id: str | None, day: date) -> dict[str, str]:
        """Every cut of an account on a day, `all` included; an event of no known account is 'unknown' in each."""
        if (account_id, day) not in self._cuts:
            self._cuts[account_id, day] = self._cuts_on(account_id, day)
        return self._cuts[account_id, day]

    def _cuts_on(self, account_id: str | None, day: date) -> dict[str, str]:
        if account_id is None:
            names = ("segment", "industry", "country", "plan", "csm", "team")
            return {"all": "all", **dict.fromkeys(names, UNKNOWN), "csm_segment": f"{UNKNOWN}/{UNKNOWN}"}
        row, csm = self.accounts[account_id], self.csm(account_id, day)
        segment = self.segment(account_id)
        return {
            "all": "all",
            "segment": segment,
            "industry": self._industry[row["industry"].lower()] if row["industry"] else UNKNOWN,
            "country": row["country"] or UNKNOWN,
            "csm": csm,
            "team": self.team(csm),
            "csm_segment": f"{csm}/{segment}",
            "plan": self.main_plan(account_id, day),
        }

    # ----- since when
    @cached_property
    def first_month(self) -> date | None:
        """The earliest month of any counted fact."""
        known_subscriptions = {row["subscription_id"] for row in self.counted("billing_subscriptions")}
        instants = [
            row["effective_from"]
            for row in self.tables["billing_subscription_items"]
            if row["is_recurring"] and row["subscription_id"] in known_subscriptions
        ]
        for table, column in (("billing_invoices", "issued_at"), ("cs_onboardings", "started_at")):
            instants += [row[column] for row in self.counted(table)]
        for table, column, contact in (
            ("product_events", "occurred_at", None),
            ("support_tickets", "created_at", "requester_contact_id"),
            ("support_self_service_sessions", "started_at", "contact_id"),
            ("survey_responses", "sent_at", "contact_id"),
            ("survey_responses", "responded_at", "contact_id"),
            ("feedback_items", "collected_at", "contact_id"),
            ("cs_activities", "occurred_at", "contact_id"),
            ("cs_advocacy", "requested_at", "contact_id"),
            ("cs_advocacy", "completed_at", "contact_id"),
            ("cs_actions", "opened_at", None),
        ):
            instants += [row[column] for row in self.all_but_internal(table, contact)]
        found = [self.day(instant) for instant in instants if instant is not None]
        return first_of_month(min(found)) if found else None

    @cached_property
    def periods(self) -> list:
        """The published periods; none without data."""
        if self.first_month is None:
            return []
        return periods(self.first_month, self.settings.as_of, self.settings.fiscal_year_start_month)
