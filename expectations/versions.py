"""The newest version of every row, beside the one before tonight: what contradictions are looked for in."""

from __future__ import annotations

import duckdb

from orchestration.contract import TABLES, Column, Table
from orchestration.rows import CURRENCY_COLUMNS, KNOWN_VALUES
from orchestration.sql import bare

# Accounts and their links go first: other tables are read with the ids that these lead to. Events are looked at by
# themselves.
_IDENTITIES = ("crm_accounts", "crm_account_links")
_VERSIONED = (
    "crm_account_owners",
    "crm_opportunities",
    "billing_subscriptions",
    "billing_subscription_items",
    "billing_contract_terms",
    "billing_invoices",
    "billing_refunds",
    "support_tickets",
    "surveys",
    "survey_responses",
    "fin_costs",
    "fin_exchange_rates",
)

# Which account an id stands for, as stg_crm__account_ids says: through the links, then through the merges.
_SURVIVORS = """
create or replace temp table survivors as
with recursive merges as (
    select account_id, account_id as survivor_id, merged_into_account_id as next_id, 0 as hops
    from now_crm_accounts where merged_into_account_id is not null
    union all
    select merges.account_id, winners.account_id, winners.merged_into_account_id, hops + 1
    from merges join now_crm_accounts as winners on merges.next_id = winners.account_id
    where hops < 64
),
merged as (select account_id, arg_max(survivor_id, hops) as survivor_id from merges group by all),
linked as (
    select source_account_id, min(account_id) as account_id from now_crm_account_links
    where source_account_id not in (select account_id from now_crm_accounts)
    group by all having count(distinct account_id) = 1
)
select account_id as named_id, survivor_id from merged
union all
select source_account_id, coalesce(survivor_id, account_id) from linked left join merged using (account_id);
create or replace temp macro survivor(id) as
    coalesce((select survivor_id from survivors where named_id = id), id)
"""

# The company at the top of each account's parents, as int_accounts says, and who is a parent of itself that way.
_FAMILIES = """
create or replace temp table families as
with recursive parents as (
    select account_id, nullif(survivor(parent_account_id), account_id) as parent_id, is_new from now_crm_accounts
),
climbs as (
    select account_id, account_id as top_id, parent_id as next_id, is_new, 0 as hops
    from parents where parent_id is not null
    union all
    select climbs.account_id, parents.account_id, parents.parent_id, climbs.is_new or parents.is_new, hops + 1
    from climbs join parents on climbs.next_id = parents.account_id
    where hops < 64 and climbs.next_id <> climbs.account_id
)
select
    account_id, arg_max(top_id, hops) as top_id, bool_or(next_id is not distinct from account_id) as is_circle,
    bool_or(is_new) as is_new
from climbs group by account_id;
create or replace temp macro family(id) as coalesce((select top_id from families where account_id = id), id)
"""


def lay_versions(con: duckdb.DuckDBPyConnection, settled: int) -> None:
    """Temporary tables of raw rows as staging reads them: `newest_<table>`, of which `now_<table>` aren't deleted
    (`is_gone`), and `before_<table>` as of load `settled`; macros `survivor(id)` and `family(id)` of an account.

    `is_new` says that tonight's row differs from its version before; of a table that had no rows before tonight it is
    NULL, since nothing can be compared with.
    """
    for name in _IDENTITIES:
        _lay(con, TABLES[name], settled)
    con.execute(_SURVIVORS)
    con.execute(_FAMILIES)
    for name in _VERSIONED:
        _lay(con, TABLES[name], settled)


def newest_first(table: Table, is_gone: str = "coalesce(_deleted, false)") -> str:
    """The order of a key's rows in staging (macros/staged.sql), in SQL: the first is the one that is read. What arrived
    at the same instant is settled by content there, whatever came in the later load."""
    content = [
        f"{column.name} desc nulls last" for column in table.columns if not column.key and column.name != "_loaded_at"
    ]
    return ", ".join(["_loaded_at desc", is_gone, *content])


def _lay(con: duckdb.DuckDBPyConnection, table: Table, settled: int) -> None:
    read = {column.name: _as_read(table, column) for column in table.columns}
    columns = ", ".join(f"{text} as {name}" for name, text in read.items())
    content = ", ".join(text for name, text in read.items() if name != "_loaded_at")
    key = ", ".join(table.key)
    # other sources may name an account by an id of their own, or by one that was merged away since
    names_account = table.area != "crm" and "account_id" in table.by_name
    resolved = "replace (survivor(account_id) as account_id)" if names_account else ""

    def newest(landed: str) -> str:
        return f"""select * {resolved} from (
            select {columns}, _load_id, coalesce(_deleted, false) as is_gone, hash({content}, is_gone) as content
            from raw.{table.name} where {landed}
        ) qualify row_number() over (partition by {key} order by {newest_first(table, "is_gone")}) = 1"""

    con.execute(f"create or replace temp table before_{table.name} as {newest(f'_load_id <= {int(settled)}')}")
    con.execute(
        f"""create or replace temp table newest_{table.name} as
        select newest.*, case when exists (select 1 from before_{table.name})
            then newest._load_id > {int(settled)} and newest.content is distinct from before.content end as is_new
        from ({newest("true")}) as newest
        left join (select {key}, content from before_{table.name}) as before using ({key})"""
    )
    con.execute(f"create or replace temp view now_{table.name} as select * from newest_{table.name} where not is_gone")


def _as_read(table: Table, column: Column) -> str:
    """The column as staging reads it: without outer blanks, in one case where case says nothing."""
    if column.name in CURRENCY_COLUMNS:
        return f"upper({bare(column.name)})"
    if (table.name, column.name) in KNOWN_VALUES:
        return f"lower({bare(column.name)})"
    return bare(column.name) if column.type == "VARCHAR" else column.name
