"""What the contenders of benchmarks/peers.py compute, and each one's way to it.

Two cores, the same for every contender. Each makes one table, keeps it (a table in a DuckDB file, or a Parquet file)
and then checks that no part of its key is null and that no key comes twice.

usage    From landed product events (Parquet as delivered): a row for each account ('' without one), user and month (its
         first day, UTC) with n_events, the number of events, and active_days, the number of different UTC days on which
         they happened. Events without a user don't count. Left out of what int_usage_user_months does: event ids that
         came twice, deletions, the as-of date, other time zones, the number of the load.
ledger   From recurring items (Parquet, a row for each priced version: account_id, quantity, unit_amount_e4 in
         ten-thousandths of the currency, billing_interval, interval_count, effective_from, effective_to or null): a row
         for each account and month end with an MRR other than 0, mrr_cents. A version counts on the days from that of
         effective_from up to, not including, that of effective_to, with unit_amount_e4 x quantity x intervals a year /
         (1200 x interval_count) cents, rounded down to whole ones, so that sums are exact everywhere. Left out of
         what our ledger does: currencies, discounts, trials, pauses, late renewals, the kinds of movement.

Contenders with a function here run as `python contenders.py CORE NAME SOURCE RESULT [MONTH_END ...]` in an environment
that holds none of our packages, so this file imports nothing of ours; a library is imported by whom it belongs to.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas
    import polars

KEYS = {"usage": ("account_id", "user_id", "month"), "ledger": ("account_id", "month_end")}
COLUMNS = {
    "usage": {
        "account_id": "varchar",
        "user_id": "varchar",
        "month": "date",
        "n_events": "bigint",
        "active_days": "bigint",
    },
    "ledger": {"account_id": "varchar", "month_end": "date", "mrr_cents": "bigint"},
}
TIMES_A_YEAR = {"month": 12, "year": 1, "week": 52, "day": 365}


def month_starts(first: date, last: date) -> list[date]:
    """The first days of the months from that of `first` to the one after that of `last`."""
    numbers = range(12 * first.year + first.month - 1, 12 * last.year + last.month + 1)
    return [date(number // 12, number % 12 + 1, 1) for number in numbers]


def usual_usage_sql(source: str) -> str:
    """The events aggregate as most would write it."""
    return f"""
select
    coalesce(account_id, '') as account_id,
    user_id,
    cast(date_trunc('month', occurred_at) as date) as month,
    cast(count(*) as bigint) as n_events,
    cast(count(distinct cast(occurred_at as date)) as bigint) as active_days
from read_parquet('{source}')
where user_id is not null
group by 1, 2, 3
"""


def our_usage_sql(source: str, bounds: tuple[date, date] | None) -> str:
    """The events aggregate as int_usage_user_months does it: a range a month, the days of a month as bits.

    Args:
        bounds: days of the first and the last event; None when there is no event.
    """
    starts = month_starts(*bounds) if bounds else [date(1970, 1, 1), date(1970, 2, 1)]
    ranges = [
        f"""
        select
            coalesce(account_id, '') as account_id,
            user_id,
            date '{first}' as month,
            cast(count(*) as bigint) as n_events,
            bit_or(cast(1 as bigint) << cast(datediff('day', date '{first}', occurred_at) as integer)) as day_mask
        from read_parquet('{source}')
        where occurred_at >= date '{first}' and occurred_at < date '{after}' and user_id is not null
        group by coalesce(account_id, ''), user_id
        """
        for first, after in pairwise(starts)
    ]
    return f"""
select account_id, user_id, month, n_events, cast(bit_count(day_mask) as bigint) as active_days
from ({" union all ".join(ranges)}) as counted
"""


def _versions_sql(source: str) -> str:
    """CTE: the versions of items in cents a month."""
    times = " ".join(f"when '{interval}' then {times}" for interval, times in TIMES_A_YEAR.items())
    return f"""
versions as (
    select
        account_id,
        unit_amount_e4 * quantity * case billing_interval {times} end // (1200 * interval_count) as cents,
        cast(effective_from as date) as from_day,
        cast(effective_to as date) as to_day
    from read_parquet('{source}')
)"""


def _month_ends_sql(month_ends: Sequence[date]) -> str:
    return f"""
month_ends as (
    select month_end from (values {", ".join(f"(date '{day}')" for day in month_ends)}) as days (month_end)
)"""


def usual_ledger_sql(source: str, month_ends: Sequence[date]) -> str:
    """MRR at month ends as it is usually written: every account x every month, joined with what is valid by range."""
    return f"""
with {_versions_sql(source)},
{_month_ends_sql(month_ends)},
accounts as (
    select distinct account_id from versions
)
select
    accounts.account_id,
    month_ends.month_end,
    cast(sum(versions.cents) as bigint) as mrr_cents
from accounts
cross join month_ends
inner join versions
    on
        accounts.account_id = versions.account_id
        and versions.from_day <= month_ends.month_end
        and (versions.to_day is null or versions.to_day > month_ends.month_end)
group by accounts.account_id, month_ends.month_end
having sum(versions.cents) <> 0
"""


def _balances_sql(source: str) -> str:
    """CTEs up to `balances`, as int_account_balances makes them: a row only where an account's MRR changes."""
    return f"""{_versions_sql(source)},
changes as (
    select account_id, from_day as changed_on, cents from versions
    union all
    select account_id, to_day as changed_on, -cents as cents from versions where to_day is not null
),
daily as (
    select account_id, changed_on, sum(cents) as cents from changes group by account_id, changed_on
),
balances as (
    select
        account_id,
        changed_on as valid_from,
        coalesce(lead(changed_on) over (partition by account_id order by changed_on), date '9999-12-31') as valid_to,
        cast(sum(cents) over (partition by account_id order by changed_on) as bigint) as mrr_cents
    from daily
)"""


def our_ledger_sql(source: str, month_ends: Sequence[date]) -> str:
    """MRR at month ends as our models do it: change points, read at the boundaries that lie within their validity."""
    return f"""
with {_balances_sql(source)},
{_month_ends_sql(month_ends)}
select balances.account_id, month_ends.month_end, balances.mrr_cents
from balances
inner join month_ends
    on balances.valid_from <= month_ends.month_end and balances.valid_to > month_ends.month_end
where balances.mrr_cents <> 0
"""


def asof_ledger_sql(source: str, month_ends: Sequence[date]) -> str:
    """The same change points, read by an as-of join from every account x every month end."""
    return f"""
with {_balances_sql(source)},
{_month_ends_sql(month_ends)},
accounts as (
    select distinct account_id from balances
)
select accounts.account_id, month_ends.month_end, balances.mrr_cents
from accounts
cross join month_ends
asof inner join balances
    on accounts.account_id = balances.account_id and month_ends.month_end >= balances.valid_from
where balances.mrr_cents <> 0
"""


def usual_sql(core: str, source: str, month_ends: Sequence[date]) -> str:
    """The usual SQL of a core."""
    return usual_usage_sql(source) if core == "usage" else usual_ledger_sql(source, month_ends)


def by_duckdb(core: str, name: str, source: str, result: Path, month_ends: Sequence[date]) -> None:
    """`ours`, `asof` or `usual` SQL in one DuckDB process; the table has the core's name."""
    import duckdb

    with duckdb.connect(str(result)) as con:
        if (core, name) == ("usage", "ours"):
            bounds = con.execute(
                f"select cast(min(occurred_at) as date), cast(max(occurred_at) as date) from read_parquet('{source}')"
            ).fetchone()
            sql = our_usage_sql(source, bounds if bounds and bounds[0] else None)
        elif name == "usual":
            sql = usual_sql(core, source, month_ends)
        else:
            sql = (our_ledger_sql if name == "ours" else asof_ledger_sql)(source, month_ends)
        con.execute(f"create table {core} as {sql}")
        key = ", ".join(KEYS[core])
        nulls = " or ".join(f"{column} is null" for column in KEYS[core])
        for check in (
            f"select 1 from {core} where {nulls} limit 1",
            f"select 1 from {core} group by {key} having count(*) > 1 limit 1",
        ):
            _refuse(bool(con.execute(check).fetchall()))


def by_polars(core: str, _name: str, source: str, result: Path, month_ends: Sequence[date]) -> None:
    """Polars: lazy, streamed into a Parquet file."""
    import polars

    frame = _polars_usage(source) if core == "usage" else _polars_ledger(source, month_ends)
    frame.sink_parquet(result, engine="streaming")
    key = polars.read_parquet(result, columns=list(KEYS[core]))
    _refuse(any(column.has_nulls() for column in key) or key.is_duplicated().any())


def _polars_usage(source: str) -> polars.LazyFrame:
    from polars import Int64, col, len, scan_parquet

    day = col("occurred_at").dt.date()
    return (
        scan_parquet(source)
        .filter(col("user_id").is_not_null())
        .select(col("account_id").fill_null(""), "user_id", day.dt.month_start().alias("month"), day.alias("day"))
        .group_by("account_id", "user_id", "month")
        .agg(len().cast(Int64).alias("n_events"), col("day").n_unique().cast(Int64).alias("active_days"))
    )


def _polars_ledger(source: str, month_ends: Sequence[date]) -> polars.LazyFrame:
    from polars import Int64, LazyFrame, col, scan_parquet

    times = col("billing_interval").replace_strict(TIMES_A_YEAR, return_dtype=Int64)
    versions = scan_parquet(source).select(
        "account_id",
        (col("unit_amount_e4") * col("quantity") * times // (1200 * col("interval_count"))).alias("mrr_cents"),
        col("effective_from").dt.date().alias("from_day"),
        col("effective_to").dt.date().alias("to_day"),
    )
    return (
        versions.select("account_id")
        .unique()
        .join(LazyFrame({"month_end": list(month_ends)}), how="cross")
        .join(versions, on="account_id")
        .filter(col("from_day") <= col("month_end"), col("to_day").is_null() | (col("to_day") > col("month_end")))
        .group_by("account_id", "month_end")
        .agg(col("mrr_cents").sum())
        .filter(col("mrr_cents") != 0)
    )


def by_pandas(core: str, _name: str, source: str, result: Path, month_ends: Sequence[date]) -> None:
    """pandas, into a Parquet file."""
    frame = _pandas_usage(source) if core == "usage" else _pandas_ledger(source, month_ends)
    frame.to_parquet(result, index=False)
    key = frame[list(KEYS[core])]
    _refuse(bool(key.isna().any(axis=None) or key.duplicated().any()))


def _pandas_usage(source: str) -> pandas.DataFrame:
    from pandas import read_parquet

    # pandas takes the folder: it knows no patterns
    events = read_parquet(Path(source).parent, columns=["account_id", "user_id", "occurred_at"])
    events = events[events.user_id.notna()]
    events = events.assign(
        month=events.occurred_at.dt.to_period("M").dt.to_timestamp(), day=events.occurred_at.dt.normalize()
    )
    key, options = list(KEYS["usage"]), {"sort": False, "observed": True, "dropna": False}
    # by day first: faster here than counting the different days of a group
    days = events.groupby([*key, "day"], **options).size().reset_index(name="n_events")
    months = days.groupby(key, **options).agg(n_events=("n_events", "sum"), active_days=("n_events", "size"))
    months = months.reset_index()
    # '' for the accounts that are missing: at the end, because a dictionary column takes no new word
    return months.assign(account_id=months.account_id.astype(object).fillna(""))


def _pandas_ledger(source: str, month_ends: Sequence[date]) -> pandas.DataFrame:
    from pandas import DataFrame, read_parquet, to_datetime

    items = read_parquet(source)
    times = items.billing_interval.map(TIMES_A_YEAR).astype("int64")
    versions = DataFrame(
        {
            "account_id": items.account_id,
            "mrr_cents": items.unit_amount_e4 * items.quantity * times // (1200 * items.interval_count),
            "from_day": items.effective_from.dt.normalize(),
            "to_day": items.effective_to.dt.normalize(),
        }
    )
    spine = (
        versions[["account_id"]]
        .drop_duplicates()
        .merge(DataFrame({"month_end": to_datetime(list(month_ends))}), how="cross")
    )
    joined = spine.merge(versions, on="account_id")
    valid = (joined.from_day <= joined.month_end) & (joined.to_day.isna() | (joined.to_day > joined.month_end))
    ledger = joined[valid].groupby(list(KEYS["ledger"]), sort=False, as_index=False).mrr_cents.sum()
    return ledger[ledger.mrr_cents != 0]


def _refuse(is_broken: bool) -> None:
    if is_broken:
        raise SystemExit("a key is null or comes twice")


Contender = Callable[[str, str, str, Path, Sequence[date]], None]
IN_PROCESS: dict[str, Contender] = {
    "ours": by_duckdb,
    "asof": by_duckdb,
    "usual": by_duckdb,
    "polars": by_polars,
    "pandas": by_pandas,
}


def write_dbt_project(folder: Path, core: str, sql: str, result: Path) -> list[str]:
    """A dbt project of one table model and its data tests; returns what to run in the folder, after `bin/`."""
    key = ", ".join(KEYS[core])
    not_null = "\n".join(f"      - name: {column}\n        data_tests: [not_null]" for column in KEYS[core])
    files = {
        "dbt_project.yml": 'name: peer\nversion: "1.0.0"\nprofile: peer\n',
        "profiles.yml": f"peer:\n  target: peer\n  outputs:\n    peer: {{type: duckdb, path: '{result}'}}\n",
        f"models/{core}.sql": f"{{{{ config(materialized='table') }}}}\n{sql}",
        f"models/{core}.yml": f"""models:
  - name: {core}
    data_tests:
      - unique_combination: {{arguments: {{columns: [{key}]}}}}
    columns:
{not_null}
""",
        "tests/generic/unique_combination.sql": """{% test unique_combination(model, columns) %}
select {{ columns | join(', ') }} from {{ model }} group by {{ columns | join(', ') }} having count(*) > 1
{% endtest %}
""",
    }
    _write(folder, files)
    return ["dbt", "build", "--project-dir", ".", "--profiles-dir", "."]


def write_sqlmesh_project(folder: Path, core: str, sql: str, result: Path) -> list[str]:
    """A SQLMesh project of one full model and its audits; returns what to run in the folder, after `bin/`."""
    key = ", ".join(KEYS[core])
    files = {
        "config.yaml": f"""gateways:
  peer:
    connection: {{type: duckdb, database: '{result}'}}
default_gateway: peer
model_defaults: {{dialect: duckdb, start: '2020-01-01'}}
disable_anonymized_analytics: true
""",
        f"models/{core}.sql": f"""MODEL (
    name main.{core},
    kind FULL,
    audits (
        not_null(columns := ({key})),
        unique_combination_of_columns(columns := ({key}))
    )
);
{sql}""",
    }
    _write(folder, files)
    return ["sqlmesh", "plan", "--auto-apply", "--no-prompts"]


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    _core, _contender, _source, _result, *_month_ends = sys.argv[1:]
    IN_PROCESS[_contender](_core, _contender, _source, Path(_result), [date.fromisoformat(day) for day in _month_ends])
