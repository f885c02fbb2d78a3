"""The defects of real nights: how each gets into the file of a night, and what must become of it.

A corrupter changes the rows of one table's file (dictionaries of text, as they stand in the CSV); the dose picks the
rows that it hits. A defect that makes no sense at a dose leaves it out of its `doses`.
"""

# ruff: noqa: E501 - a defect and what must become of it are one row of a table

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Row = dict[str, str]
Dose = Literal["one row", "1 %", "whole load"]
Ending = Literal["repaired", "quarantined", "flagged", "blocked", "refused"]
ALL: tuple[Dose, ...] = ("one row", "1 %", "whole load")
FEW: tuple[Dose, ...] = ("one row", "1 %")
WHOLE: tuple[Dose, ...] = ("whole load",)


@dataclass(frozen=True)
class Context:
    """What a corrupter may look at beside its rows: the rows of this table that came before, oldest first."""

    earlier: list[Row]
    last_file: list[Row]
    rng: random.Random


Corrupter = Callable[[list[Row], list[Row], Context], list[Row]]


@dataclass(frozen=True)
class Defect:
    """One kind of defect.

    `corrupt(rows, hit, context)` gives the rows of the file. `ending` is what must become of it, by dose where doses
    differ. `causes` are names of checks or words of a reason, any of which names it rightly. `touches` says whether
    money or identity is at stake. `as_bytes` makes the file's bytes where CSV rows can't say it; `alone` keeps the
    defect out of a night with others, `only` names the rows that a dose may pick.
    """

    name: str
    table: str
    corrupt: Corrupter
    ending: Ending | Mapping[Dose, Ending]
    causes: tuple[str, ...]
    layer: Literal["row", "load", "books"]
    doses: tuple[Dose, ...] = ALL
    touches: bool = False
    only: Callable[[Row], bool] = lambda _: True
    as_bytes: Callable[[bytes], bytes] | None = None
    alone: bool = False

    def ending_at(self, dose: Dose) -> Ending:
        return self.ending if isinstance(self.ending, str) else self.ending[dose]


def put(column: str, value: str | Callable[[str], str]) -> Corrupter:
    """Write a value, or what a function makes of the old one, into a column of the rows that are hit."""

    def corrupt(rows: list[Row], hit: list[Row], _: Context) -> list[Row]:
        for row in hit:
            row[column] = value if isinstance(value, str) else value(row[column])
        return rows

    return corrupt


def swap(one: str, other: str) -> Corrupter:
    """Exchange two columns."""

    def corrupt(rows: list[Row], hit: list[Row], _: Context) -> list[Row]:
        for row in hit:
            row[one], row[other] = row[other], row[one]
        return rows

    return corrupt


def copy(make: Callable[[Row], Row]) -> Corrupter:
    """Add a changed copy of each row that is hit."""
    return lambda rows, hit, _: rows + [row | make(row) for row in hit]


def again(make: Callable[[Row], Row], *, at: str, older_than: int = 0) -> Corrupter:
    """Deliver changed versions of rows that came before, as many as are hit, of those that are `older_than` days at
    `at`."""

    def corrupt(rows: list[Row], hit: list[Row], context: Context) -> list[Row]:
        loaded = rows[0]["_loaded_at"]
        edge = str(datetime.fromisoformat(loaded) - timedelta(days=older_than))
        newest = {next(iter(row.values())): row for row in context.earlier}
        old = [row for row in newest.values() if row[at] and row[at] < edge]
        chosen = context.rng.sample(old, min(len(hit), len(old)))
        return rows + [row | make(row) | {"_loaded_at": loaded} for row in chosen]

    return corrupt


def drop(share: float) -> Corrupter:
    """Leave out a share of the rows."""
    return lambda rows, hit, context: [row for row in rows if context.rng.random() >= share]


def vanish(rows: list[Row], hit: list[Row], _: Context) -> list[Row]:
    gone = {id(row) for row in hit}
    return [row for row in rows if id(row) not in gone]


def same(rows: list[Row], hit: list[Row], _: Context) -> list[Row]:
    return rows


def resend(rows: list[Row], hit: list[Row], context: Context) -> list[Row]:
    return context.last_file


def later(hours: float) -> Callable[[str], str]:
    """A timestamp some hours later."""
    return lambda text: str(datetime.fromisoformat(text) + timedelta(hours=hours)) if text else text


def times(factor: float, digits: int = 2) -> Callable[[str], str]:
    return lambda text: f"{float(text) * factor:.{digits}f}" if text else text


def has(*columns: str) -> Callable[[Row], bool]:
    """Whether all these columns hold something that is not zero."""
    return lambda row: all(row[column] and row[column].strip("0.") for column in columns)


ROW: Mapping[Dose, Ending] = {"one row": "quarantined", "1 %": "quarantined", "whole load": "blocked"}
REFERENCE: Mapping[Dose, Ending] = {"one row": "flagged", "1 %": "flagged", "whole load": "blocked"}
FULL = ("most_rows_can_be_loaded",)


def _row(name: str, table: str, corrupt: Corrupter, cause: str, **more: object) -> Defect:
    """A defect that a row rule quarantines; a load full of it is blocked."""
    return Defect(name, table, corrupt, ROW, (cause, *FULL), "row", **more)


def _header(rename: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda content: rename(content.split(b"\n", 1)[0]) + b"\n" + content.split(b"\n", 1)[1]


DEFECTS = [
    # ----- the row
    _row("unknown status", "billing_subscriptions", put("status", "actve"), "status", touches=True),
    _row("unknown currency", "billing_invoices", put("currency", "EURO"), "currency", touches=True),
    _row("unknown interval", "billing_subscription_items", put("billing_interval", "mon"), "one of day", touches=True),
    _row("unknown event type", "support_ticket_events", put("event_type", "resolved"), "event_type"),
    _row("unknown survey type", "surveys", put("survey_type", "net"), "survey_type", doses=("one row", "whole load")),
    _row("unknown direction", "cs_activities", put("direction", "both"), "direction"),
    _row("number as text", "billing_invoices", put("amount_subtotal", "twelve"), "is no number", touches=True),
    _row("comma for the point", "billing_invoices", put("amount_subtotal", "1.234,50"), "no number", touches=True),
    _row("negative price", "billing_subscription_items", put("unit_amount", "-10"), "unit_amount", touches=True),
    _row("price of 1e9", "billing_subscription_items", put("unit_amount", "1000000000"), "unit_amount", touches=True),
    _row("negative invoice", "billing_invoices", put("amount_subtotal", "-5.00"), "amount_subtotal", touches=True),
    _row("discount above 100", "billing_subscription_items", put("discount_pct", "120"), "discount_pct", touches=True),
    _row("rate of zero", "fin_exchange_rates", put("rate", "0"), "rate", touches=True),
    _row("score of 999", "survey_responses", put("score", "999"), "score"),
    _row("date in the future", "product_events", put("occurred_at", "2031-01-01 10:00:00"), "future"),
    _row("date of 1970", "support_tickets", put("created_at", "1970-01-01 00:00:00"), "before 1980"),
    _row("date of 1900", "billing_invoices", put("issued_at", "1900-01-01 00:00:00"), "before 1980", touches=True),
    _row("30 February", "cs_activities", put("occurred_at", "2026-02-30 10:00:00"), "no timestamp"),
    _row("day and month swapped", "support_tickets", put("created_at", "31.10.2026 10:00"), "no timestamp"),
    _row("end before start", "billing_subscriptions", put("ended_at", "2020-01-01 00:00:00"), "ended_at", touches=True),
    _row("version ends before it begins", "billing_subscription_items", put("effective_to", "2015-01-01"), "effective_to",
         touches=True),
    _row("closed before opened", "cs_actions", put("closed_at", "2020-01-01 00:00:00"), "closed_at"),
    _row("answered before sent", "survey_responses", put("responded_at", "2020-01-01"), "responded_at", only=has("sent_at")),
    _row("null key", "support_tickets", put("ticket_id", ""), "ticket_id is required"),
    _row("null account", "billing_subscriptions", put("account_id", ""), "account_id is required", touches=True),
    _row("truth value in words", "support_tickets", put("is_spam", "perhaps"), "is_spam"),
    _row("shifted columns", "cs_activities", swap("occurred_at", "direction"), "occurred_at"),
    _row("merged into itself", "crm_accounts", lambda rows, hit, _: [
        row | ({"merged_into_account_id": row["account_id"]} if any(row is one for one in hit) else {}) for row in rows
    ], "merged_into_account_id", touches=True),
    _row("arrival in the future", "billing_invoices", put("_loaded_at", "2032-01-01 00:00:00"), "_loaded_at", touches=True),
    # ----- repaired without a word: what it means is beyond doubt
    Defect("upper case and spaces", "billing_invoices", put("status", lambda text: f" {text.upper()} "), "repaired", (), "row"),
    Defect("currency in lower case", "billing_invoices", put("currency", str.lower), "repaired", (), "row"),
    Defect("exact repeats", "support_tickets", copy(lambda row: {}), "repaired", (), "row", touches=True),
    Defect("another offset", "product_events", put("occurred_at", lambda text: later(2)(text) + "+02:00"), "repaired", (), "row"),
    Defect("binary noise", "billing_invoices", put("amount_paid", lambda text: f"{text}000000000002"), "repaired", (), "row",
           touches=True, only=has("amount_paid")),
    Defect("SQL in a name", "crm_accounts", put("account_name", "Robert'); DROP TABLE raw.crm_accounts;--"), "repaired", (),
           "row", doses=FEW),
    Defect("rows out of order", "product_events", lambda rows, hit, _: rows[::-1], "repaired", (), "row", doses=WHOLE),
    # ----- repaired and shown
    Defect("no-break spaces", "crm_accounts", put("account_name", lambda text: text.replace(" ", "\u00a0")), "flagged",
           ("text_is_tidy",), "load"),
    Defect("accents apart", "crm_users", put("full_name", lambda text: unicodedata.normalize("NFD", "Zoé " + text)),
           "flagged", ("text_is_tidy",), "load"),
    Defect("mojibake", "crm_accounts", put("account_name", lambda text: ("Müller " + text).encode().decode("cp1252")),
           "flagged", ("text_is_tidy",), "load"),
    # ----- the file
    Defect("column renamed", "billing_invoices", same, "refused", ("required column",), "load", WHOLE, True,
           as_bytes=_header(lambda head: head.replace(b"amount_subtotal", b"subtotal"))),
    Defect("column lost", "support_tickets", lambda rows, hit, _: [
        {name: text for name, text in row.items() if name != "created_at"} for row in rows
    ], "refused", ("required column",), "load", WHOLE),
    Defect("no header", "cs_activities", same, "refused", ("no header",), "load", WHOLE,
           as_bytes=lambda content: content.split(b"\n", 1)[1]),
    Defect("semicolons", "fin_exchange_rates", same, "refused", ("separated by",), "load", WHOLE, True,
           as_bytes=lambda content: content.replace(b",", b";")),
    Defect("no byte", "crm_users", same, "refused", ("the file is empty",), "load", WHOLE, True, as_bytes=lambda _: b""),
    Defect("UTF-16", "crm_accounts", same, "refused", ("UTF-16",), "load", WHOLE, True,
           as_bytes=lambda content: content.decode().encode("utf-16")),
    Defect("Latin 1", "survey_responses", put("comment", "Größe"), "refused", ("not UTF-8",), "load", WHOLE,
           as_bytes=lambda content: content.decode().encode("latin-1", "replace")),
    Defect("cut in a row", "support_ticket_events", same, "quarantined", ("fields where",), "row", ("one row",),
           as_bytes=lambda content: content[:-45]),
    Defect("open quote", "support_self_service_sessions", same, "quarantined", ("quote",), "row", ("one row",),
           as_bytes=lambda content: content.rstrip(b"\n") + b'\n"open,x\n'),
    Defect("header only", "product_events", lambda rows, hit, _: [], "blocked", ("delivery_is_not_empty",), "load", WHOLE,
           alone=True, as_bytes=lambda content: content.split(b"\n", 1)[0] + b"\n"),
    Defect("40 % missing", "product_events", drop(0.4), "blocked", ("delivery_is_whole",), "load", WHOLE, alone=True),
    Defect("10 % missing of whole accounts", "crm_accounts", drop(0.1), "flagged", ("rows_do_not_vanish",), "load", WHOLE, True),
    Defect("one account vanished", "crm_accounts", vanish, "flagged", ("rows_do_not_vanish",), "load", FEW, True),
    Defect("yesterday's file again", "product_events", resend, "blocked", ("delivery_is_new",), "load", WHOLE, alone=True),
    Defect("yesterday's tickets again", "support_ticket_events", resend, "blocked", ("delivery_is_new",), "load", WHOLE),
    # ----- drift
    Defect("invoices in cents", "billing_invoices", put("amount_subtotal", times(100)), "blocked",
           ("scale_is_usual", "invoice_does_not_fit_its_account"), "load", ALL, True, has("amount_subtotal")),
    Defect("prices in cents", "billing_subscription_items", put("unit_amount", times(100)), "blocked",
           ("scale_is_usual", "price_does_not_fit_its_plan"), "load", ALL, True,
           lambda row: has("unit_amount")(row) and row["is_recurring"] == "true" and row["billing_interval"] == "month"),
    Defect("rates turned over", "fin_exchange_rates", put("rate", lambda text: f"{1 / float(text) * 3:.8f}"), "blocked",
           ("rate_jumps", "scale_is_usual"), "books", ALL, True),
    Defect("clock 9 hours off", "product_events", put("occurred_at", later(-9)), "blocked", ("clock_is_usual",), "load", WHOLE,
           alone=True),
    Defect("clock 1 hour off", "product_events", put("occurred_at", later(-1)), "flagged", ("clock_is_usual_to_the_hour",), "load", WHOLE,
           alone=True),
    Defect("scores on 1 to 5", "survey_responses",
           put("score", lambda text: str(max(1, round(int(text) / 2))) if text else text), "blocked",
           ("scores_keep_their_scale",), "load", WHOLE, only=lambda row: row["survey_id"] == "nps_relationship"),
    Defect("score off its scale", "survey_responses", put("score", "11"), "flagged", ("score_off_its_scale",), "books", FEW,
           only=lambda row: row["survey_id"] == "nps_relationship" and bool(row["score"])),
    Defect("features emptied", "product_events", put("feature_key", ""), "blocked", ("missing_values_are_usual",), "load", WHOLE),
    Defect("accounts of events emptied", "product_events", put("account_id", ""), "blocked", ("missing_values_are_usual",),
           "load", WHOLE, True),
    Defect("contacts emptied", "cs_activities", put("contact_id", ""), "flagged", ("missing_values_are_usual",), "load", WHOLE),
    Defect("segment shifted", "crm_accounts", put("segment", "enterprise"), "blocked", ("shares_are_usual",), "load", WHOLE),
    Defect("columns swapped", "crm_accounts", swap("industry", "country"), "flagged",
           ("values_were_seen_before", "shares_are_usual"), "load", WHOLE),
    Defect("unknown channel", "support_tickets", put("channel", "fax"), "flagged", ("values_are_known",), "load", FEW),
    Defect("currency relabelled", "billing_invoices", put("currency", "JPY"), "blocked",
           ("invoice_contradicts_subscription", "shares_are_usual"), "books", ALL, True, has("subscription_id")),
    # ----- the books
    Defect("orphan account", "cs_activities", put("account_id", "X999999"), REFERENCE, ("parents_are_known",), "load"),
    Defect("orphan subscription", "billing_subscription_items", put("subscription_id", "SUBX"), REFERENCE,
           ("parents_are_known",), "load", ALL, True),
    Defect("orphan ticket", "support_ticket_events", put("ticket_id", "TKX"), REFERENCE, ("parents_are_known",), "load"),
    Defect("conflicting copies", "billing_invoices", copy(lambda row: {"amount_subtotal": times(1.5)(row["amount_subtotal"])}),
           "blocked", ("copies_agree",), "load", ALL, True, has("amount_subtotal")),
    Defect("conflicting tickets", "support_tickets", copy(lambda row: {"topic": "other"}), "blocked", ("copies_agree",), "load"),
    Defect("same ticket, new id", "support_tickets", copy(lambda row: {"ticket_id": row["ticket_id"] + "b"}), "flagged",
           ("ticket_comes_twice",), "books", FEW, only=has("account_id", "requester_contact_id")),
    Defect("id used again", "crm_accounts", lambda rows, hit, _: [
        row | ({"account_name": "Somebody Else SA", "created_at": "2019-05-05 00:00:00"}
               if any(row is one for one in hit) else {}) for row in rows], "blocked", ("id_is_used_again",), "books",
           FEW, True),
    Defect("subscription of another account", "billing_subscriptions",
           again(lambda row: {"account_id": "A000001"}, at="started_at"), "blocked", ("subscription_changes_hands",), "books",
           FEW, True),
    Defect("currency of a subscription flipped", "billing_subscriptions",
           again(lambda row: {"currency": "JPY"}, at="started_at"), "blocked", ("subscription_changes_hands",), "books", FEW,
           True),
    Defect("closed invoice changed", "billing_invoices",
           again(lambda row: {"amount_subtotal": times(1.2)(row["amount_subtotal"])}, at="issued_at", older_than=90),
           "blocked", ("closed_history_is_rewritten",), "books", FEW, True),
    Defect("closed price changed", "billing_subscription_items",
           again(lambda row: {"unit_amount": times(0.9, 4)(row["unit_amount"])}, at="effective_from", older_than=90),
           "blocked", ("closed_prices_are_rewritten",), "books", FEW, True),
    Defect("versions overlap", "billing_subscription_items",
           again(lambda row: {"item_version_id": row["item_version_id"] + "-again"}, at="effective_from", older_than=5),
           "blocked", ("versions_overlap",), "books", FEW, True),
    Defect("canceled without an end", "billing_subscriptions",
           again(lambda row: {"status": "canceled", "ended_at": "", "cancel_requested_at": ""}, at="started_at"), "blocked",
           ("ended_without_a_date",), "books", FEW, True),
    Defect("paid more than billed", "billing_invoices", put("amount_paid", "99999.00"), "flagged", ("paid_more_than_billed",),
           "books", FEW, True),
    Defect("owners overlap", "crm_account_owners",
           again(lambda row: {"valid_from": "2026-10-01 00:00:00", "valid_to": ""}, at="valid_from", older_than=60),
           "flagged", ("owners_overlap",), "books", FEW, False),
    Defect("merged into nobody", "crm_accounts", put("merged_into_account_id", "A999999"), "blocked",
           ("merged_into_nobody", "most_parents_are_known"), "books", FEW, True),
    Defect("test account", "crm_accounts", put("account_name", "Test account 3"), "flagged", ("test_account",), "books", FEW),
    Defect("event before its ticket", "support_ticket_events", put("occurred_at", "2024-01-02 00:00:00"), "flagged",
           ("solved_before_it_was_opened",), "books", FEW),
]  # fmt: skip
