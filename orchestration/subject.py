"""Who is erased: the ids by which tables know a contact or an account, and the words by which texts do.

Ids stand in columns that hold such ids and are replaced there only: a contact, an account and a ticket may all be 5.
In texts (logs, digests, comments of others) only what can't be another word is replaced.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import duckdb

from orchestration.contract import TABLES
from orchestration.loading import LoggedFile
from orchestration.personal import contact_columns, personal_columns
from orchestration.sql import BLANKS, bare, literals
from orchestration.variables import UsageError

ERASED = "[erased]"
# Shorter texts are words that anybody uses.
SHORTEST_TEXT = 16
# What names somebody wherever it stands: not shorter, and neither a plain number nor a plain word.
SHORTEST_WORD = 6
_OTHER_IDS = {"crm_account_links": ("source_account_id",)}


@dataclass
class Subject:
    """Ids, names and words, each with what stands for it. `names` are the names of accounts, `words` whatever texts
    may hold, `users` ids of users in the product by account; `answers` and `items` are keys of survey responses and
    feedback."""

    kind: str
    id: str
    token: str
    accounts: dict[str, str] = field(default_factory=dict)
    contacts: dict[str, str] = field(default_factory=dict)
    users: dict[str, dict[str, str]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)
    items: list[str] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        """All of it as JSON can hold it; `Subject(**facts)` is the subject again."""
        return asdict(self)

    @cached_property
    def _all_words(self) -> Mapping[str, str]:
        return self.words | self.accounts | self.contacts

    @cached_property
    def _user_tokens(self) -> Mapping[str, str]:
        return {user_id: token for users in self.users.values() for user_id, token in users.items()}

    @cached_property
    def _spelled(self) -> Mapping[str, str]:
        telling = {value: text for value, text in self._all_words.items() if is_telling(value)}
        return {spelling: text for value, text in telling.items() for spelling in _spellings(value)}

    @cached_property
    def alternatives(self) -> str:
        """The telling words as a regular expression."""
        return _any_of(self._spelled)

    @cached_property
    def _telling(self) -> re.Pattern[str]:
        return _alone(self.alternatives)

    @cached_property
    def _vague(self) -> re.Pattern[str]:
        return _alone(_any_of(value for value in self._all_words if not is_telling(value)))

    def scrub(self, text: str) -> str:
        """The text without the words that can only mean the subject."""
        return self._telling.sub(lambda found: self._spelled[found.group()], text)

    def may_be_in(self, text: str) -> bool:
        """Whether a text holds a word that may mean the subject or something else."""
        return self._vague.search(text) is not None

    def ids_of(self, table: str) -> dict[str, Mapping[str, str]]:
        """The columns of a raw table that can name the subject, with the tokens for its ids there."""
        columns = TABLES[table].columns
        found = dict.fromkeys(contact_columns()[table], self.contacts)
        found |= {
            one.name: self.accounts
            for one in columns
            if one.references == "crm_accounts" or (table == "crm_accounts" and one.key)
        }
        return {name: tokens for name, tokens in found.items() if tokens}

    def deciding(self, table: str) -> set[str]:
        """The columns of a raw table by which a row is about the subject or not."""
        return {*self.ids_of(table), *(("account_id", "user_id") if table == "product_events" else ())}

    def is_named_by(self, table: str, row: Mapping[str, object]) -> bool:
        """Whether a delivered row, by column, is about the subject. An event is when its user is the subject's, also
        where it names no contact."""

        def told(name: str) -> str:
            return str(row.get(name) or "").strip(BLANKS)

        return any(told(name) in tokens for name, tokens in self.ids_of(table).items()) or (
            table == "product_events" and told("user_id") in self.users.get(told("account_id"), ())
        )

    def names_in(self, table: str) -> str | None:
        """The same of a raw row, in SQL; None for tables that know no such ids."""
        tests = [listed(bare(column), tokens) for column, tokens in self.ids_of(table).items()]
        if table == "product_events":
            account = f"coalesce({bare('account_id')}, '')"
            tests += [f"{listed(account, [one])} and {listed(bare('user_id'), ids)}" for one, ids in self.users.items()]
        return " or ".join(tests) or None

    def replaced_in(self, table: str) -> dict[str, Mapping[str, str]]:
        """The columns whose values are replaced in the subject's rows of a raw table, with what stands for them."""
        found = self.ids_of(table)
        if self.accounts:
            found |= dict.fromkeys(_OTHER_IDS.get(table, ()), self.accounts)
        if table == "crm_accounts":
            found["account_name"] = self.names
        if table == "product_events":
            found["user_id"] = self._user_tokens
        return found


def is_telling(value: str) -> bool:
    """Whether a value means one thing wherever it stands. The account 5 doesn't, and neither does one called Growth."""
    return len(value) >= SHORTEST_WORD and re.search(r"[^\W\d_]", value) is not None and not value.isalpha()


def texts_of(table: str) -> list[str]:
    """The text columns of a raw table that hold no ids of its own or of other tables."""
    return [one.name for one in TABLES[table].columns if one.type == "VARCHAR" and not (one.key or one.references)]


def listed(expression: str, values: Iterable[str]) -> str:
    """Whether an expression is one of these values, in SQL; never NULL."""
    inside = literals(sorted(values))
    return f"coalesce({expression} in ({inside}), false)" if inside else "false"


def find_subject(con: duckdb.DuckDBPyConnection, *, contact: str | None, account: str | None) -> Subject:
    """The subject as the raw tables and the quarantine know it.

    Raises:
        UsageError: no row names it.
    """
    subject = _contact(contact) if contact else _account(con, account)
    is_known = _learn(con, subject) or any(is_theirs for *_, is_theirs in refused_rows(con, subject))
    if not is_known:
        raise UsageError(f"no loaded row names the {subject.kind} {subject.id}")
    return subject


def refused_rows(con: duckdb.DuckDBPyConnection, subject: Subject) -> Iterator[tuple[str, str, str, bool]]:
    """Rows of the quarantine that name the subject: their id, table and text, and whether they are about it or only
    mention it."""
    every = _any_of([*subject.accounts, *subject.contacts, *subject.words, *subject._spelled, *subject._user_tokens])
    rows = con.execute(
        """select
            kept.quarantine_id, refused.table_name, kept.raw_line, refused.line, refused.load_id,
            log.path, log.content_hash, log.file_format, log.header, log.loaded_at
        from (
            select quarantine_id, raw_line from ops.quarantine union select quarantine_id, raw_line from ops.replays
        ) as kept
        join ops.quarantine as refused using (quarantine_id)
        left join ops.load_log as log on refused.load_id = log.load_id
        where regexp_matches(kept.raw_line, ?)""",
        [every],
    ).fetchall()
    for quarantine_id, table, raw, line, load_id, path, content, kind, header, loaded_at in rows:
        fields = [None]
        if load_id is not None and header is not None:
            logged = LoggedFile(TABLES[table], path, content, kind, tuple(header), load_id, loaded_at)
            positions = logged.positions()
            fields = [record.fields for record in logged.records(line, raw)]
        if None in fields:  # nobody can say which value stands in which column
            values = {value.strip(' \t"') for value in raw.split(",")}
            is_theirs = subject.scrub(raw) != raw or not values.isdisjoint({*subject.accounts, *subject.contacts})
        else:
            is_theirs = any(
                subject.is_named_by(table, {name: one[place] for name, place in positions.items()}) for one in fields
            )
        if is_theirs or subject.scrub(raw) != raw:
            yield quarantine_id, table, raw, is_theirs


# ------------------------------------------------------------------------------------------------------- what is known


def _token() -> str:
    return "erased-" + secrets.token_hex(8)


def _contact(contact_id: str) -> Subject:
    token = _token()
    return Subject("contact", contact_id, token, contacts={contact_id: token})


# records merged into accounts, and what other systems call them
_PARTS = f"""select {bare("account_id")} from raw.crm_accounts where {bare("merged_into_account_id")} in $ids
    union select {bare("source_account_id")} from raw.crm_account_links where {bare("account_id")} in $ids"""
# what accounts were merged into, or what they are called here
_WHOLES = f"""select {bare("merged_into_account_id")} from raw.crm_accounts where {bare("account_id")} in $ids
    union select {bare("account_id")} from raw.crm_account_links where {bare("source_account_id")} in $ids"""


def _reached(con: duckdb.DuckDBPyConnection, account_id: str, ways: str) -> set[str]:
    """An account and what is found from it on these ways."""
    ids = {account_id}
    while more := {one for (one,) in con.execute(ways, {"ids": list(ids)}).fetchall() if one} - ids:
        ids |= more
    return ids


def _account(con: duckdb.DuckDBPyConnection, account_id: str) -> Subject:
    ids = _reached(con, account_id, _PARTS)
    token = _token()
    subject = Subject("account", account_id, token, accounts={account_id: token})
    subject.accounts |= {other: _token() for other in sorted(ids - {account_id})}
    mine = listed(bare("account_id"), ids)
    contacts = con.execute(f"select distinct {bare('contact_id')} from raw.crm_contacts where {mine}").fetchall()
    subject.contacts = {contact_id: _token() for (contact_id,) in contacts}
    names = con.execute(
        f"select {bare('account_name')}, bool_and({mine}) from raw.crm_accounts group by 1 having bool_or({mine})"
    ).fetchall()
    for name, is_theirs_alone in names:
        subject.names[name] = f"Erased account {token[-4:]}"
        if is_theirs_alone:
            subject.words[name] = subject.names[name]
    return subject


def _learn(con: duckdb.DuckDBPyConnection, subject: Subject) -> bool:
    """Find what rows of the subject say of it: addresses, texts, users in the product, keys of answers. False when no
    row names it."""
    is_known = False
    for table in TABLES:
        mine = subject.names_in(table)
        if mine is None:
            continue
        is_known |= con.execute(f"select exists (from raw.{table} where {mine})").fetchone()[0]
        for (name, column), kind in personal_columns().items():
            if name == table:
                # What others wrote word for word is not theirs alone.
                rows = con.execute(
                    f"""select {column} from raw.{table} where {column} <> '' group by 1 having bool_or({mine})
                    and ({kind == "email"} or (length({column}) >= {SHORTEST_TEXT} and bool_and({mine})))"""
                ).fetchall()
                subject.words |= {value.strip(BLANKS): ERASED for (value,) in rows}
    by_contact = listed(bare("contact_id"), subject.contacts)
    by_account = listed(bare("account_id"), subject.accounts)

    def keys(table: str, column: str) -> list[str]:
        sql = f"select distinct {bare(column)} from raw.{table} where {by_contact} or {by_account} order by 1"
        return [value for (value,) in con.execute(sql).fetchall()]

    # A user is one of its account, by whatever id events name that.
    tokens = {user_id: _token() for user_id in keys("product_events", "user_id")}
    seen = con.execute(
        f"""select coalesce({bare("account_id")}, ''), list(distinct {bare("user_id")}) from raw.product_events
        where {by_contact} or {by_account} group by 1 order by 1"""
    ).fetchall()
    for account_id, users in seen:
        for one in _reached(con, account_id, f"{_PARTS} union {_WHOLES}"):
            subject.users.setdefault(one, {}).update((user_id, tokens[user_id]) for user_id in users)
    subject.answers = keys("survey_responses", "response_id")
    subject.items = keys("feedback_items", "feedback_id")
    return is_known


def _spellings(value: str) -> set[str]:
    """JSON and HTML write some characters otherwise."""
    in_json = json.dumps(value)[1:-1]
    in_html = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {value, in_json, json.dumps(value, ensure_ascii=False)[1:-1], in_html, in_html.replace('"', "&quot;")}


def _any_of(values: Iterable[str]) -> str:
    """Any of these values, the longest first; nothing at all when there is none."""
    return "|".join(re.escape(value) for value in sorted({*values} - {""}, key=len, reverse=True)) or r"[^\s\S]"


def _alone(alternatives: str) -> re.Pattern[str]:
    """Never inside a longer word."""
    return re.compile(rf"(?<![\w-])(?:{alternatives})(?![\w-])")
