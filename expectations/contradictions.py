"""What two rows say of the same thing and can't both be true: found in the newest raw rows before anything is built.

Only contradictions in which a row of tonight takes part are judged, so that one is told of once and not every night. A
first night has nothing before it: there, causes that would block are only shown.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from expectations.rules import Severity
from orchestration.contract import TABLES, Column, Table
from orchestration.rows import CURRENCY_COLUMNS, KNOWN_VALUES

# Tables of which the newest version of every row is looked at; events are looked at by themselves.
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
# Those of which what was usual before tonight is asked: a table that comes whole has only rows of tonight.
_COMPARED = ("billing_subscriptions", "billing_subscription_items", "billing_invoices", "fin_costs")


@dataclass(frozen=True)
class Cause:
    """One kind of contradiction. `sql` selects (subject, is_new) from the newest rows `now_<table>` of tables, whose
    `_load_id` is above `$settled` when they came tonight."""

    name: str
    table: str
    severity: Severity
    sql: str
    remedy: str

    @property
    def area(self) -> str:
        return TABLES[self.table].area


_PAIR = "({a}._load_id > $settled or {b}._load_id > $settled)"
# A subscription that has begun, is not over and is not only a trial or an attempt.
_NEVER = "timestamp '9999-12-31'"
_LIVE = "status in ('active', 'past_due', 'paused', 'unpaid') and ended_at is null"

CAUSES = (
    Cause(
        "gone_in_crm_but_live_in_billing",
        "billing_subscriptions",
        "error",
        f"""select subs.subscription_id, accounts._load_id > $settled or subs._load_id > $settled
        from now_billing_subscriptions as subs join gone_crm_accounts as accounts using (account_id)
        where {_LIVE}""",
        "The account is deleted in the CRM while billing goes on, so its revenue would leave the books without a "
        "churn. Deliver the account again, or end its subscriptions.",
    ),
    Cause(
        "lost_in_crm_but_live_in_billing",
        "billing_subscriptions",
        "warning",
        f"""select subs.subscription_id, deals._load_id > $settled
        from now_crm_opportunities as deals
        join now_billing_subscriptions as subs using (account_id)
        left join now_crm_opportunities as later on later.account_id = deals.account_id
            and later.opportunity_type = 'renewal' and later.close_date > deals.close_date
        where deals.opportunity_type = 'renewal' and deals.is_closed and deals.is_won = false and {_LIVE}
            and later.opportunity_id is null and subs.cancel_requested_at is null
            and subs.started_at < deals.close_date""",
        "The CRM calls the renewal lost while the subscription runs without a cancel request. Ask the CSM which is "
        "true; the books follow billing.",
    ),
    Cause(
        "usage_after_churn",
        "product_events",
        "warning",
        """select billed.account_id, true
        from (
            select trim(account_id) as account_id, max(occurred_at) as last_seen from raw.product_events
            where _load_id > $settled group by 1
        ) as events
        join (
            select account_id, max(coalesce(ended_at, timestamp '9999-12-31')) as left_at
            from now_billing_subscriptions group by account_id
        ) as billed on billed.account_id = survivor(events.account_id)
        where events.last_seen > billed.left_at + interval 30 day""",
        "The account has been used for more than 30 days after its last subscription ended. Ask whether it churned, or "
        "whether the end date or the account id is wrong; the books follow billing.",
    ),
    Cause(
        "versions_overlap",
        "billing_subscription_items",
        "error",
        f"""select distinct one.item_id, {_PAIR.format(a="one", b="two")}
        from now_billing_subscription_items as one join now_billing_subscription_items as two using (item_id)
        where one.item_version_id < two.item_version_id
            and one.effective_from < coalesce(two.effective_to, timestamp '9999-12-31')
            and two.effective_from < coalesce(one.effective_to, timestamp '9999-12-31')
            and one.effective_from <> one.effective_to is distinct from false
            and two.effective_from <> two.effective_to is distinct from false""",
        "Two priced versions of one item are in force at once and would be counted twice. Close the earlier one with "
        "effective_to and deliver it again.",
    ),
    Cause(
        "subscriptions_overlap",
        "billing_subscriptions",
        "warning",
        f"""select distinct greatest(one.subscription_id, two.subscription_id), {_PAIR.format(a="one", b="two")}
        from now_billing_subscription_items as first_item
        join now_billing_subscription_items as second_item using (plan_id)
        join now_billing_subscriptions as one on first_item.subscription_id = one.subscription_id
        join now_billing_subscriptions as two on second_item.subscription_id = two.subscription_id
        where one.account_id = two.account_id and one.subscription_id < two.subscription_id
            and first_item.is_recurring and second_item.is_recurring
            and first_item.unit_amount > 0 and second_item.unit_amount > 0
            and first_item.effective_from + interval 3 day
                < least(coalesce(second_item.effective_to, {_NEVER}), coalesce(two.ended_at, {_NEVER}))
            and second_item.effective_from + interval 3 day
                < least(coalesce(first_item.effective_to, {_NEVER}), coalesce(one.ended_at, {_NEVER}))""",
        "The account holds the same plan in two subscriptions at once. Both count, as billing says; see whether one "
        "was entered twice.",
    ),
    Cause(
        "owners_overlap",
        "crm_account_owners",
        "warning",
        f"""select distinct one.account_id, {_PAIR.format(a="one", b="two")}
        from now_crm_account_owners as one join now_crm_account_owners as two using (account_id, role)
        where one.valid_from < two.valid_from and two.valid_from < coalesce(one.valid_to, timestamp '9999-12-31')""",
        "Two people own the account at once. The later start holds; close the earlier range.",
    ),
    Cause(
        "invoice_contradicts_subscription",
        "billing_invoices",
        "error",
        f"""select invoices.invoice_id, {_PAIR.format(a="invoices", b="subs")}
        from now_billing_invoices as invoices join now_billing_subscriptions as subs using (subscription_id)
        where invoices.currency <> subs.currency or invoices.account_id <> subs.account_id""",
        "The invoice has another account or currency than its subscription. Deliver the one that is wrong again, "
        "corrected or with _deleted = true, then run again.",
    ),
    Cause(
        "paid_more_than_billed",
        "billing_invoices",
        "warning",
        """select invoice_id, _load_id > $settled from now_billing_invoices where amount_paid > amount_subtotal""",
        "More was paid than billed: see whether the two columns are swapped or the payment holds tax.",
    ),
    Cause(
        "refund_contradicts_invoice",
        "billing_refunds",
        "warning",
        f"""select refunds.refund_id, {_PAIR.format(a="refunds", b="invoices")}
        from now_billing_refunds as refunds join now_billing_invoices as invoices using (invoice_id)
        where refunds.amount > invoices.amount_subtotal * 1.3 or refunds.currency <> invoices.currency""",
        "The refund is greater than its invoice with tax, or in another currency: see units and currency.",
    ),
    Cause(
        "ended_without_a_date",
        "billing_subscriptions",
        "error",
        # who asked to leave may stay for the year it paid for, and the row comes but once: judged when that is over
        """select subscription_id, _load_id > $settled or cancel_requested_at + interval 400 day >= settled_at
        from now_billing_subscriptions cross join (
            select max(_loaded_at) as loaded_at, max(_loaded_at) filter (_load_id <= $settled) as settled_at
            from raw.billing_subscriptions
        )
        where status = 'canceled' and ended_at is null
            and (cancel_requested_at is null or cancel_requested_at + interval 400 day < loaded_at)""",
        "The subscription is canceled but has no ended_at, so its revenue would never end. Deliver the date.",
    ),
    Cause(
        "price_does_not_fit_its_plan",
        "billing_subscription_items",
        "error",
        """with before as (
            select items.*, currency
            from before_billing_subscription_items as items join before_billing_subscriptions using (subscription_id)
        ),
        usual as (
            select plan_id, billing_interval, interval_count, currency, median(unit_amount) as price
            from before where is_recurring group by all having count(*) >= 8
        )
        select items.item_version_id, items.unit_amount is distinct from before.unit_amount
        from now_billing_subscription_items as items
        join now_billing_subscriptions using (subscription_id)
        join usual using (plan_id, billing_interval, interval_count, currency)
        left join before using (item_version_id)
        where items.is_recurring and usual.price > 0 and items.unit_amount > 0
            and (items.unit_amount > 25 * usual.price or items.unit_amount < usual.price / 25)""",
        "The price is more than 25 times off the usual one of its plan: see whether it is in cents or in another "
        "currency. If it is meant, let the night pass with --accept.",
    ),
    Cause(
        "invoice_does_not_fit_its_account",
        "billing_invoices",
        "error",
        # of its own subscription: an account may have a small one beside a large one
        """select invoice_id, true
        from now_billing_invoices as invoices left join (
            select coalesce(subscription_id, account_id) as billed_for, currency, max(amount_subtotal) as most
            from before_billing_invoices group by all
        ) as before on before.billed_for = coalesce(invoices.subscription_id, invoices.account_id)
            and before.currency = invoices.currency
        left join (
            select subscription_id, sum(price) as price from (
                select subscription_id, item_id, max(quantity * unit_amount) as price
                from now_billing_subscription_items group by all
            ) group by all
        ) as items using (subscription_id)
        where invoices._load_id > $settled and $settled > 0
            and amount_subtotal > 25 * nullif(greatest(most, price), 0)""",
        "The invoice is more than 25 times its subscription's largest before and the price of all its items: see "
        "whether it is in cents. If it is meant, let the night pass with --accept.",
    ),
    Cause(
        "cost_does_not_fit_its_type",
        "fin_costs",
        "error",
        """select cost_id, true
        from now_fin_costs join (
            select cost_type, currency, account_id is null as is_shared, max(abs(amount)) as most
            from before_fin_costs group by all having count(*) >= 8
        ) as usual using (cost_type, currency)
        where _load_id > $settled and usual.is_shared = (account_id is null) and most > 0
            and abs(amount) > 30 * most""",
        "The cost is more than 30 times the largest of its type before: see whether it is in cents. If it is meant, "
        "let the night pass with --accept.",
    ),
    Cause(
        "rate_jumps",
        "fin_exchange_rates",
        "error",
        """select from_currency || '/' || to_currency || ' ' || rate_date, _load_id > $settled
        from (
            select *, lag(rate) over (partition by from_currency, to_currency order by rate_date) as before,
                lag(rate_date) over (partition by from_currency, to_currency order by rate_date) as before_date
            from now_fin_exchange_rates
        ) where (rate > 1.5 * before or rate < before / 1.5) and rate_date - before_date <= 10""",
        "The exchange rate moved by more than half in some days: see whether it is turned over or has another base.",
    ),
    Cause(
        "score_off_its_scale",
        "survey_responses",
        "warning",
        """select response_id, answers._load_id > $settled
        from now_survey_responses as answers join now_surveys as surveys using (survey_id)
        where score < scale_min or score > scale_max""",
        "The score is not on its survey's scale. The answer is kept with reject_reason in fct_survey_responses and "
        "counts nowhere; correct it in the source.",
    ),
    Cause(
        "solved_before_it_was_opened",
        "support_ticket_events",
        "warning",
        """select events.event_id, true
        from raw.support_ticket_events as events join now_support_tickets as tickets using (ticket_id)
        where events._load_id > $settled and events.occurred_at < tickets.created_at - interval 1 day""",
        "The event is older than its ticket: see the time zone of both, and deliver them again.",
    ),
    Cause(
        "test_account",
        "crm_accounts",
        "warning",
        r"""select account_id, _load_id > $settled from now_crm_accounts
        where not is_internal
            and regexp_matches(lower(account_name),
                '^(test|demo|dummy|sandbox|qa)([ _-]*(account|company|customer|user|[0-9]+))*$')""",
        "The name is that of a test account: set is_internal, and it leaves every mart.",
    ),
    Cause(
        "merged_into_nobody",
        "crm_accounts",
        "error",
        """select losers.account_id, losers._load_id > $settled
        from now_crm_accounts as losers
        left join now_crm_accounts as survivors on losers.merged_into_account_id = survivors.account_id
        where losers.merged_into_account_id is not null
            and (survivors.account_id is null or survivors.merged_into_account_id = losers.account_id)""",
        "The account is merged into one that does not exist, or the two are merged into each other. Correct "
        "merged_into_account_id.",
    ),
    Cause(
        "closed_history_is_rewritten",
        "billing_invoices",
        "error",
        """select invoices.invoice_id, true
        from raw.billing_invoices as invoices
        join (
            select trim(invoice_id) as invoice_id, arg_max(amount_subtotal, _loaded_at) as amount,
                arg_max(issued_at, _loaded_at) as issued_at
            from raw.billing_invoices where _load_id <= $settled group by 1
        ) as before using (invoice_id)
        where invoices._load_id > $settled and before.issued_at < invoices._loaded_at - interval 62 day
            and (coalesce(invoices._deleted, false) or invoices.amount_subtotal <> before.amount
                or invoices.issued_at <> before.issued_at)""",
        "An invoice of a closed month was changed or deleted; a correction is a refund or a new invoice. If it is "
        "meant, let the night pass with --accept: the changed KPIs are then listed in mart_restatements.",
    ),
    Cause(
        "closed_prices_are_rewritten",
        "billing_subscription_items",
        "error",
        """select items.item_version_id, true
        from raw.billing_subscription_items as items
        join (
            select trim(item_version_id) as item_version_id, arg_max(unit_amount, _loaded_at) as unit_amount,
                arg_max(quantity, _loaded_at) as quantity, arg_max(effective_from, _loaded_at) as effective_from,
                arg_max(discount_pct, _loaded_at) as discount_pct
            from raw.billing_subscription_items where _load_id <= $settled group by 1
        ) as before using (item_version_id)
        where items._load_id > $settled and before.effective_from < items._loaded_at - interval 62 day
            and (coalesce(items._deleted, false) or items.unit_amount <> before.unit_amount
                or items.quantity <> before.quantity or items.discount_pct <> before.discount_pct
                or items.effective_from <> before.effective_from)""",
        "A priced version of a closed month was changed or deleted; a new price is a new version. If it is meant, let "
        "the night pass with --accept: the changed KPIs are then listed in mart_restatements.",
    ),
    Cause(
        "subscription_changes_hands",
        "billing_subscriptions",
        "error",
        """select subs.subscription_id, true
        from raw.billing_subscriptions as subs
        join (
            select trim(subscription_id) as subscription_id, arg_max(trim(account_id), _loaded_at) as account_id,
                arg_max(upper(trim(currency)), _loaded_at) as currency
            from raw.billing_subscriptions where _load_id <= $settled group by 1
        ) as before using (subscription_id)
        where subs._load_id > $settled
            and (upper(trim(subs.currency)) <> before.currency
                or survivor(trim(subs.account_id)) <> survivor(before.account_id))""",
        "The subscription has another account or currency than before; neither can change. Deliver the true one, or "
        "give the new subscription an id of its own. If its account was merged, deliver the account that is gone with "
        "merged_into_account_id and without _deleted, or the rest of its history counts for nobody.",
    ),
    Cause(
        "ticket_comes_twice",
        "support_tickets",
        "warning",
        """select greatest(one.ticket_id, two.ticket_id), one._load_id > $settled or two._load_id > $settled
        from now_support_tickets as one join now_support_tickets as two
            using (account_id, requester_contact_id, created_at)
        where one.ticket_id < two.ticket_id and one.topic is not distinct from two.topic
            and one.merged_into_ticket_id is null and two.merged_into_ticket_id is null""",
        "Two tickets of the same requester were opened in the same second about the same topic: the source gave one "
        "ticket a new id. Mark one of them merged or deleted.",
    ),
    Cause(
        "id_is_used_again",
        "crm_accounts",
        "error",
        """select accounts.account_id, true
        from raw.crm_accounts as accounts
        join (
            select trim(account_id) as account_id, arg_max(created_at, _loaded_at) as created_at,
                arg_max(lower(account_name), _loaded_at) as account_name
            from raw.crm_accounts where _load_id <= $settled group by 1
        ) as before using (account_id)
        where accounts._load_id > $settled and abs(date_diff('day', before.created_at, accounts.created_at)) > 1
            and lower(accounts.account_name) <> before.account_name""",
        "The account has another name and another birthday than before: its id was given to somebody else, who would "
        "inherit the history. Give the new account an id of its own.",
    ),
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


def find_contradictions(con: duckdb.DuckDBPyConnection, settled: int) -> None:
    """Lay `ops.raw_contradictions` ready: one row a cause, with those of tonight counted and named.

    `settled` is the last load of the last published run; above it is tonight.
    """
    for name in ("crm_accounts", "crm_account_links"):
        _newest(con, name, settled)
    con.execute(_SURVIVORS)
    for name in _VERSIONED:
        _newest(con, name, settled)
    con.execute(
        """create or replace table ops.raw_contradictions (
        cause varchar, table_name varchar, n_new bigint, n_all bigint, examples varchar, n_judged bigint)"""
    )
    for cause in CAUSES:
        is_first = not settled and cause.severity == "error"
        con.execute(
            f"""insert into ops.raw_contradictions
            with found(subject, is_new) as ({cause.sql}),
            subjects as (select subject, bool_or(is_new) as is_new from found group by subject)
            select ?, ?, count(*) filter (is_new), count(*),
                array_to_string(list_sort(list(subject::varchar) filter (is_new))[:5], ', '),
                case when ? then null else count(*) filter (is_new) end
            from subjects""".replace("$settled", str(int(settled))),
            [cause.name, cause.table, is_first],
        )


def _newest(con: duckdb.DuckDBPyConnection, name: str, settled: int) -> None:
    """Temporary tables of the newest rows: `now_<table>` and, where amounts are compared with usual ones,
    `before_<table>` as it stood before tonight; of accounts, `gone_<table>` are the deleted ones."""
    table = TABLES[name]
    columns = ", ".join(f"{_as_read(table, column)} as {column.name}" for column in table.columns)
    # other sources may name an account by an id of their own, or by one that was merged away since
    names_account = table.area != "crm" and "account_id" in table.by_name
    resolved = "replace (survivor(account_id) as account_id)" if names_account else ""

    def lay(prefix: str, where: str, landed: str = "true") -> None:
        con.execute(
            f"""create or replace temp table {prefix}_{name} as select * {resolved} from (
                select * from (
                    select {columns}, _load_id, coalesce(_deleted, false) as is_gone from raw.{name} where {landed}
                ) qualify row_number() over (
                    partition by {", ".join(table.key)} order by _loaded_at desc, is_gone, _load_id desc) = 1
            ) where {where}"""
        )

    lay("now", "not is_gone")
    if name in _COMPARED:
        lay("before", "not is_gone", f"_load_id <= {int(settled)}")
    if name == "crm_accounts":
        lay("gone", "is_gone")


def _as_read(table: Table, column: Column) -> str:
    """The column as staging reads it: without outer spaces, in one case where case says nothing."""
    if column.name in CURRENCY_COLUMNS:
        return f"upper(trim({column.name}))"
    if (table.name, column.name) in KNOWN_VALUES:
        return f"lower(trim({column.name}))"
    return f"trim({column.name})" if column.type == "VARCHAR" else column.name
