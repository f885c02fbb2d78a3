"""Every delivered row is accounted for: loaded or quarantined, and of the loaded ones staged, or left out for a reason.

    delivered + replayed = loaded + quarantined + replayed          by file (`ops.load_log`, `ops.quarantine`, `raw`)
    loaded = staged + copies + superseded + deleted + later + internal + lost          by raw table

`copies` repeat another row in every column, `superseded` is an older version of a key, `deleted` says so itself,
`later` speaks of a day after the as-of date, `internal` is of an internal account. `lost` has to be 0. Each load is
sealed by a hash over its rows when it has come, so that a row that is changed afterwards shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from orchestration.contract import TABLES

# Rows up to which all loads of a table are compared with their seals; of a larger table only the newest loads are.
ROWS_COMPARED = 2_000_000
_EVENTS = "product_events"

_SEALS = "create table if not exists ops.load_seals (load_id bigint, engine varchar, n_rows bigint, row_hash hugeint)"


@dataclass(frozen=True)
class TableAccount:
    """The rows of one raw table by what became of them; the columns of `ops.conservation`.

    `replayed`, `replaced` and `dropped` are of the quarantined ones. `misplaced` counts loads whose rows don't add up
    (delivered = loaded + quarantined) or differ from their seal; `lost` counts rows without a reason.
    """

    table_name: str
    delivered: int
    loaded: int
    quarantined: int
    waiting: int
    replayed: int
    replaced: int
    dropped: int
    copies: int
    superseded: int
    deleted: int
    later: int
    internal: int
    staged: int
    lost: int
    misplaced: int


def seal_loads(con: duckdb.DuckDBPyConnection) -> None:
    """Write down a hash over the rows of every load that has none yet: an order-free sum over all columns."""
    con.execute(_SEALS)
    engine = duckdb.__version__
    # another engine may hash otherwise
    con.execute("delete from ops.load_seals where engine <> ?", [engine])
    unsealed = con.execute(
        """select table_name, min(load_id) from ops.load_log
        where loaded_rows > 0 and load_id not in (select load_id from ops.load_seals) group by table_name"""
    ).fetchall()
    for name, first in unsealed:
        con.execute(
            f"""insert into ops.load_seals
            select _load_id, $engine, count(*), sum(hash(landed)) from raw.{name} as landed
            where _load_id >= $first and _load_id not in (select load_id from ops.load_seals) group by _load_id""",
            {"engine": engine, "first": first},
        )


def take_account(
    con: duckdb.DuckDBPyConnection, manifest: Mapping[str, Any], *, as_of: date, timezone: str
) -> list[TableAccount]:
    """Account for the rows of every raw table that anything was delivered for, and lay `ops.conservation` ready.

    `manifest` is dbt's; the staging models say there how they read their tables.
    """
    models = {
        node["config"]["meta"]["staged"]["table"]: (node, node["config"]["meta"]["staged"])
        for node in manifest["nodes"].values()
        if "staged" in node.get("config", {}).get("meta", {})
    }
    adapted = {node["name"].split("__", 1)[1] for node in manifest["nodes"].values() if node["schema"] == "adapters"}
    tomorrow = datetime.combine(as_of + timedelta(days=1), time(), ZoneInfo(timezone)).astimezone(UTC)
    known = f"{{}} < timestamp '{tomorrow:%Y-%m-%d %H:%M:%S}'"
    accounts = []
    for name, ledger in _ledger(con).items():
        if name == _EVENTS:
            # Events of adapters are counted with those that landed, so the sums can't be told apart.
            _, reading = models[name]
            parts = {} if name in adapted else _events(con, reading, known)
        else:
            parts = _staged(con, *models[name], known, as_of)
        named = ("copies", "superseded", "deleted", "later", "internal", "staged")
        accounted = {part: parts.get(part, 0) for part in named}
        lost = ledger["loaded"] - sum(accounted.values()) if parts else 0
        accounts.append(TableAccount(name, **ledger, **accounted, lost=lost, misplaced=_misplaced(con, name)))
    con.execute("create or replace table ops.conservation (is_judged varchar, table_name varchar)")
    for field in fields(TableAccount)[1:]:
        con.execute(f"alter table ops.conservation add column {field.name} bigint")
    for account in accounts:
        values = [getattr(account, field.name) for field in fields(TableAccount)]
        con.execute(f"insert into ops.conservation values ('yes', {', '.join('?' * len(values))})", values)
    return accounts


def _ledger(con: duckdb.DuckDBPyConnection) -> dict[str, dict[str, int]]:
    counts = con.execute(
        """with refused as (
            select
                table_name,
                count(*) as quarantined,
                count(*) filter (status = 'open') as waiting,
                count(*) filter (status = 'replayed') as replayed,
                count(*) filter (status = 'replaced') as replaced,
                count(*) filter (status = 'dropped') as dropped
            from ops.quarantine group by table_name
        )
        select
            table_name, sum(delivered_rows) filter (log.status = 'loaded')::bigint, any_value(quarantined),
            any_value(waiting), any_value(replayed), any_value(replaced), any_value(dropped)
        from ops.load_log as log left join refused using (table_name) group by table_name order by table_name"""
    ).fetchall()
    names = ("delivered", "quarantined", "waiting", "replayed", "replaced", "dropped")
    found = {}
    for name, *figures in counts:
        rows = con.execute(f"select count(*) from raw.{name}").fetchone()[0]
        found[name] = {"loaded": rows} | {key: figure or 0 for key, figure in zip(names, figures, strict=True)}
    return found


def _misplaced(con: duckdb.DuckDBPyConnection, name: str) -> int:
    """Loads of a table whose rows do not add up, or are not those that came."""
    rows = con.execute(f"select count(*) from raw.{name}").fetchone()[0]
    compared = 0
    if rows > ROWS_COMPARED:
        compared = con.execute(
            "select min(load_id) from ops.load_log where run_id = (select arg_max(run_id, load_id) from ops.load_log)"
        ).fetchone()[0]
    return con.execute(
        f"""with present as (select _load_id as load_id, count(*) as n_rows from raw.{name} group by all),
        hashed as (
            select _load_id as load_id, sum(hash(landed)) as row_hash from raw.{name} as landed
            where _load_id >= $compared group by all
        ),
        refused as (select load_id, count(*) as n_rows from ops.quarantine group by all)
        select count(*) from ops.load_log as log
        left join present using (load_id) left join hashed using (load_id) left join refused using (load_id)
        left join ops.load_seals as seals using (load_id)
        where log.table_name = $name and log.status <> 'known' and (
            log.loaded_rows <> coalesce(present.n_rows, 0)
            or log.delivered_rows <> log.loaded_rows + coalesce(refused.n_rows, 0)
            or seals.row_hash <> hashed.row_hash)""",
        {"compared": compared, "name": name},
    ).fetchone()[0]


def _staged(
    con: duckdb.DuckDBPyConnection, node: Mapping[str, Any], reading: Mapping[str, Any], known: str, as_of: date
) -> dict[str, int]:
    """What became of the rows of a table that one staging model reads."""
    raw, staging = f"raw.{reading['table']}", f"{node['schema']}.{node['alias']}"
    keys, resolved = reading["key"], reading["account"]

    def text(column: str) -> str:
        return reading["text"].replace("$", column)

    staged_as = {"account_id": "source_account_id"} if resolved else {}
    same = " and ".join(f"landed.{name} is not distinct from staged.{staged_as.get(name, name)}" for name in keys)
    left_out = " and ".join(f"landed.{name} is not distinct from left_out.{name}" for name in keys)
    types = TABLES[reading["table"]].by_name
    folded = dict.fromkeys(reading["lower"], "lower") | dict.fromkeys(reading["upper"], "upper")
    trimmed = ", ".join(
        f"{folded.get(name, '')}({text(name)}) as {name}" if types[name].type == "VARCHAR" else f"{name} as {name}"
        for name in keys
    )
    happened = reading["happened"] or reading["happened_on"]
    if happened is None:
        is_later = "false"
    elif reading["happened"]:
        is_later = f"{happened} is not null and not ({known.format(happened)})"
    else:
        is_later = f"{happened} > date '{as_of}'"
    owners = [text("account_id") if "account_id" in types else "null::varchar"]
    if reading["contact"]:
        contact_owner = f"""(select any_value(source_account_id) from staging.stg_crm__contacts as contacts
            where contacts.contact_id = {text("landed." + reading["contact"])})"""
        owners = [f"coalesce({owners[0]}, {contact_owner})"]
        if not reading["keep_internal_contacts"]:
            owners.append(contact_owner)
    is_internal = "false"
    if resolved and not reading["keep_internal"]:
        internal = "(select source_account_id from staging.stg_crm__account_ids where is_internal)"
        is_internal = " or ".join(f"coalesce({owner} in {internal}, false)" for owner in owners)
    row = con.execute(
        f"""with landed_keys as (select distinct {trimmed} from {raw}),
        left_out as (
            select * from landed_keys as landed where not exists (select 1 from {staging} as staged where {same})
        ),
        newest as (
            select {", ".join(keys)}, bool_and(is_deleted) as is_deleted, bool_or(is_later) as is_later,
                bool_or(is_internal) as is_internal
            from (
                select
                    {", ".join(keys)},
                    coalesce(_deleted, false) as is_deleted,
                    {is_later} as is_later,
                    {is_internal} as is_internal,
                    _loaded_at = max(_loaded_at) over (partition by {", ".join(keys)}) as is_newest
                from (select * replace ({trimmed}) from {raw}) as landed
                where exists (select 1 from left_out where {left_out})
            ) where is_newest group by {", ".join(keys)}
        )
        select
            (select count(*) from {raw}),
            (select count(distinct hash(landed)) from (select * exclude (_load_id) from {raw}) as landed),
            (select count(*) from landed_keys),
            (select count(*) from left_out),
            count(*) filter (is_deleted),
            count(*) filter (is_later and not is_deleted),
            count(*) filter (is_internal and not is_later and not is_deleted)
        from newest"""
    ).fetchone()
    rows, distinct, n_keys, n_left_out, deleted, later, internal = row
    return {
        "copies": rows - distinct,
        "superseded": distinct - n_keys,
        "deleted": deleted,
        "later": later,
        "internal": internal,
        "staged": n_keys - n_left_out,
    }


def _events(con: duckdb.DuckDBPyConnection, reading: Mapping[str, Any], known: str) -> dict[str, int]:
    """Product events are counted, not staged: what the counts hold, and what repeats, is deleted or is later."""
    is_later = f"not ({known.format('occurred_at')})"
    repeats = "select event_id from staging.stg_product__event_repeats where event_id is not null"
    came_once = f"{reading['text'].replace('$', 'event_id')} not in ({repeats})"
    rows = con.execute(
        f"""select
            (select count(*) from raw.{_EVENTS} where _deleted and {came_once}),
            (select count(*) from raw.{_EVENTS} where {is_later} and not coalesce(_deleted, false) and {came_once}),
            (select count(*) from staging.stg_product__event_repeats where is_current and {is_later}),
            (select count(*) from staging.stg_product__event_repeats where event_id is not null),
            (select count(distinct event_id) from staging.stg_product__event_repeats),
            (select count(*) from staging.stg_product__event_repeats where is_current),
            (select coalesce(sum(n_events), 0)::bigint from intermediate.int_usage_user_months)"""
    ).fetchone()
    deleted, later, later_repeated, repeated, repeated_ids, current, counted = rows
    return {
        "copies": 0,
        "superseded": repeated - repeated_ids,
        "deleted": deleted + repeated_ids - current,
        "later": later + later_repeated,
        "internal": 0,
        "staged": counted,
    }


def lines_of(accounts: list[TableAccount]) -> Iterator[str]:
    """Where the delivered rows went, in one line, and a line for each table that does not add up."""
    total = {
        field.name: sum(getattr(account, field.name) for account in accounts) for field in fields(TableAccount)[1:]
    }
    why = ("copies", "superseded", "deleted", "later", "internal", "waiting", "replaced", "dropped", "lost")
    named = [f"{total[name]:,} {name}" for name in why if total[name]]
    yield f"{total['delivered']:,} delivered so far: " + ", ".join([f"{total['staged']:,} staged", *named])
    for account in accounts:
        if account.lost or account.misplaced:
            yield f"{account.table_name}: {account.lost:,} rows lost, {account.misplaced:,} loads don't add up"
