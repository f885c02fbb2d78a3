"""What two rows say of the same thing and can't both be true: found in the newest raw rows before anything is built.

Only contradictions in which a row of tonight says something new are judged, so that one is told of once and not every
night. The first load of a table has nothing before it: there, causes that would block are only shown.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from expectations.rules import Severity
from expectations.versions import lay_versions
from orchestration.contract import TABLES
from orchestration.sql import bare


@dataclass(frozen=True)
class Cause:
    """One kind of contradiction. `sql` selects (subject, is_new) from the tables of versions.py; where it reads raw
    tables, rows whose `_load_id` is above `$settled` came tonight."""

    name: str
    table: str
    severity: Severity
    sql: str
    remedy: str

    @property
    def area(self) -> str:
        return TABLES[self.table].area


_PAIR = "({a}.is_new or {b}.is_new)"
_NEVER = "timestamp '9999-12-31'"
# A subscription that has begun, is not over and is not only a trial or an attempt.
_LIVE = "status in ('active', 'past_due', 'paused', 'unpaid') and ended_at is null"
# It counts for something, as staging and macros/mrr.sql say: a start that lies ahead has not come.
_HAS_BEGUN = (
    "{0}.status not in ('incomplete', 'incomplete_expired') and {0}.started_at < {0}._loaded_at + interval 1 day"
)
_IF_MEANT = "If it is meant, let the night pass with --accept: the changed KPIs are then listed in mart_restatements."
# What is older than the month before last is closed: a row `now` may add to it, not change it.
_CLOSED = "(now._loaded_at - interval 62 day)"
# The columns of a priced version that decide a figure, but for its end: a version that replaces it ends it.
_PRICED = (
    *("subscription_id", "plan_id", "quantity", "unit_amount", "discount_pct"),
    *("billing_interval", "is_recurring", "effective_from"),
)


def _misfits(name: str, table: str, sql: str, what: str) -> tuple[Cause, Cause]:
    """The two causes of an amount far off the usual ones: near a power of ten, which is another unit (cents), and any
    other, which an introductory price or a set-up fee may be.

    `sql` selects (subject, is_new, amount, usual: a list), `name` has a gap for the verb, and `what` says how far off.
    """
    # within a factor of 1.4, as far as prices of one plan differ
    power = "log10(amount / each)"
    near = f"list_bool_or([abs({power}) > 1.5 and abs({power} - round({power})) < 0.15 for each in usual if each > 0])"
    is_unit = f"coalesce({near}, false)"
    return (
        Cause(
            name.format("does_not_fit"),
            table,
            "error",
            f"select subject, is_new from ({sql}) where {is_unit}",
            f"{what}, by a power of ten: see whether it is in cents. If it is meant, let the night pass with --accept.",
        ),
        Cause(
            name.format("is_unusual_for"),
            table,
            "warning",
            f"select subject, is_new from ({sql}) where not {is_unit}",
            f"{what}: see whether unit and currency are right.",
        ),
    )


def _differ(*columns: str) -> str:
    """Whether a row `now` differs from `before` in one of these columns."""
    return f"(({_listed('now', columns)}) is distinct from ({_listed('before', columns)}))"


def _listed(rows: str, columns: tuple[str, ...]) -> str:
    return ", ".join(f"{rows}.{column}" for column in columns)


CAUSES = (
    Cause(
        "gone_in_crm_but_live_in_billing",
        "billing_subscriptions",
        "error",
        f"""select subs.subscription_id, {_PAIR.format(a="accounts", b="subs")}
        from now_billing_subscriptions as subs join newest_crm_accounts as accounts using (account_id)
        where accounts.is_gone and {_LIVE}""",
        "The account is deleted in the CRM while billing goes on, so its revenue would leave the books without a "
        "churn. Deliver the account again, or end its subscriptions.",
    ),
    Cause(
        "internal_in_crm_but_live_in_billing",
        "crm_accounts",
        "error",
        f"""with billed as (
            select
                account_id, coalesce(now.is_internal, false) and not coalesce(before.is_internal, false) as has_turned
            from now_crm_accounts as now join before_crm_accounts as before using (account_id)
            where account_id in (select account_id from now_billing_subscriptions where {_LIVE})
        )
        select account_id, true from billed
        where has_turned
            and (select count(*) filter (has_turned) >= 3 and avg(has_turned::int) > 0.1 from billed)""",
        "More than a tenth of the accounts that billing goes on for would be the company's own from tonight on, and "
        "their revenue would leave all history. Deliver the accounts with is_internal as it is.",
    ),
    Cause(
        "lost_in_crm_but_live_in_billing",
        "billing_subscriptions",
        "warning",
        f"""select subs.subscription_id, deals.is_new
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
        f"""select billed.account_id, true
        from (
            select {bare("account_id")} as account_id, max(occurred_at) as last_seen from raw.product_events
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
        where invoices.currency <> subs.currency
            or (invoices.account_id <> subs.account_id and family(invoices.account_id) <> family(subs.account_id))""",
        "The invoice has another currency than its subscription, or an account of another family of parents. Deliver "
        "the one that is wrong again, corrected or with _deleted = true, then run again.",
    ),
    Cause(
        "paid_more_than_billed",
        "billing_invoices",
        "warning",
        """select invoice_id, is_new from now_billing_invoices where amount_paid > amount_subtotal""",
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
        """select subscription_id, is_new or cancel_requested_at + interval 400 day >= settled_at
        from now_billing_subscriptions cross join (
            select max(_loaded_at) as loaded_at, max(_loaded_at) filter (_load_id <= $settled) as settled_at
            from raw.billing_subscriptions
        )
        where status = 'canceled' and ended_at is null
            and (cancel_requested_at is null or cancel_requested_at + interval 400 day < loaded_at)""",
        "The subscription is canceled but has no ended_at, so its revenue would never end. Deliver the date.",
    ),
    *_misfits(
        "price_{}_its_plan",
        "billing_subscription_items",
        """with before as (
            select items.*, currency
            from before_billing_subscription_items as items join before_billing_subscriptions as subs
                using (subscription_id)
            where not items.is_gone and not subs.is_gone
        ),
        usual as (
            select plan_id, billing_interval, interval_count, currency, median(unit_amount) as price
            from before where is_recurring group by all having count(*) >= 8
        )
        select items.item_version_id as subject, items.unit_amount is distinct from before.unit_amount as is_new,
            items.unit_amount as amount, [usual.price] as usual
        from now_billing_subscription_items as items
        join now_billing_subscriptions using (subscription_id)
        join usual using (plan_id, billing_interval, interval_count, currency)
        left join before using (item_version_id)
        where items.is_recurring and usual.price > 0 and items.unit_amount > 0
            and (items.unit_amount > 25 * usual.price or items.unit_amount < usual.price / 25)""",
        "The price is more than 25 times off the usual one of its plan",
    ),
    *_misfits(
        "invoice_{}_its_account",
        "billing_invoices",
        # of its own subscription: an account may have a small one beside a large one
        """select invoice_id as subject, is_new, amount_subtotal as amount,
            [last::double, lasting::double, greatest(most, price)::double] as usual
        from now_billing_invoices as invoices left join (
            select coalesce(subscription_id, account_id) as billed_for, currency, max(amount_subtotal) as most,
                arg_max(amount_subtotal, issued_at) as last
            from before_billing_invoices where not is_gone group by all
        ) as before on before.billed_for = coalesce(invoices.subscription_id, invoices.account_id)
            and before.currency = invoices.currency
        left join (
            select subscription_id, sum(price) as price, sum(price) filter (is_recurring) as lasting from (
                select subscription_id, item_id, is_recurring, max(quantity * unit_amount) as price
                from now_billing_subscription_items group by all
            ) group by all
        ) as items using (subscription_id)
        where is_new and amount_subtotal > 25 * nullif(greatest(most, price), 0)""",
        "The invoice is more than 25 times its subscription's largest before and the price of all its items",
    ),
    *_misfits(
        "cost_{}_its_type",
        "fin_costs",
        """select cost_id as subject, is_new, abs(amount) as amount, [most] as usual
        from now_fin_costs join (
            select cost_type, currency, account_id is null as is_shared, max(abs(amount)) as most
            from before_fin_costs where not is_gone group by all having count(*) >= 8
        ) as usual using (cost_type, currency)
        where is_new and usual.is_shared = (account_id is null) and most > 0 and abs(amount) > 30 * most""",
        "The cost is more than 30 times the largest of its type before",
    ),
    Cause(
        "rate_jumps",
        "fin_exchange_rates",
        "error",
        # to the day before, and to what was said of the same day: a whole history can be turned over
        """with days as (
            select *, lag(rate) over known as other_rate, is_new or lag(is_new) over known as is_news
            from now_fin_exchange_rates
            window known as (partition by from_currency, to_currency order by rate_date)
            qualify rate_date - lag(rate_date) over known <= 10
        ),
        compared as (
            select from_currency, to_currency, rate_date, rate, other_rate, is_news from days
            union all
            select from_currency, to_currency, rate_date, now.rate, before.rate, now.is_new
            from now_fin_exchange_rates as now
            join before_fin_exchange_rates as before using (from_currency, to_currency, rate_date)
        ),
        logs as (select *, ln(rate::double) as log, ln(other_rate::double) as other from compared)
        select from_currency || '/' || to_currency || ' ' || rate_date, is_news from logs
        where abs(log - other) > ln(1.5)
            -- four times nearer to the inverse; from rates near 1 nobody can tell
            or (abs(other) > 0.02 and abs(log + other) < abs(log - other) / 4)""",
        "The exchange rate moved by more than half in some days, or lies near its inverse: see whether it is turned "
        "over or has another base. Deliver the true one, then run again; if it is meant, let the night pass with "
        "--accept.",
    ),
    Cause(
        "score_off_its_scale",
        "survey_responses",
        "warning",
        """select response_id, answers.is_new
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
        r"""select account_id, is_new from now_crm_accounts
        where not is_internal
            and regexp_matches(lower(account_name),
                '^(test|demo|dummy|sandbox|qa)([ _-]*(account|company|customer|user|[0-9]+))*$')""",
        "The name is that of a test account: set is_internal, and it leaves every mart.",
    ),
    Cause(
        "merged_into_nobody",
        "crm_accounts",
        "error",
        """select losers.account_id, losers.is_new
        from now_crm_accounts as losers
        left join now_crm_accounts as survivors on losers.merged_into_account_id = survivors.account_id
        where losers.merged_into_account_id is not null
            and (survivors.account_id is null or survivors.merged_into_account_id = losers.account_id)""",
        "The account is merged into one that does not exist, or the two are merged into each other. Correct "
        "merged_into_account_id.",
    ),
    Cause(
        "parents_in_a_circle",
        "crm_accounts",
        "warning",
        "select account_id, is_new from families where is_circle",
        "Each of the accounts is a parent of itself by way of the others, so none is their top: correct "
        "parent_account_id of one.",
    ),
    Cause(
        "closed_history_is_rewritten",
        "billing_invoices",
        "error",
        f"""select invoice_id, now.is_new
        from newest_billing_invoices as now join before_billing_invoices as before using (invoice_id)
        where not before.is_gone and before.issued_at < {_CLOSED} and (now.is_gone
            or {_differ("amount_subtotal", "issued_at", "currency", "account_id")})""",
        "An invoice of a closed month was changed or deleted; a correction is a refund or a new invoice. " + _IF_MEANT,
    ),
    Cause(
        "closed_prices_are_rewritten",
        "billing_subscription_items",
        "error",
        f"""select item_version_id, now.is_new
        from newest_billing_subscription_items as now
        join before_billing_subscription_items as before using (item_version_id)
        where not before.is_gone and before.effective_from < {_CLOSED} and (now.is_gone or {_differ(*_PRICED)}
            or coalesce(now.interval_count, 1) <> coalesce(before.interval_count, 1))""",
        "A priced version of a closed month was changed or deleted; a new price is a new version. " + _IF_MEANT,
    ),
    Cause(
        "closed_subscriptions_are_rewritten",
        "billing_subscriptions",
        "error",
        f"""select subscription_id, now.is_new
        from newest_billing_subscriptions as now
        join before_billing_subscriptions as before using (subscription_id)
        join (
            select subscription_id, min(effective_from) as priced_from from before_billing_subscription_items
            where is_recurring and not is_gone and unit_amount * quantity > 0 group by all
        ) as items using (subscription_id)
        where not before.is_gone and {_HAS_BEGUN.format("before")}
            and greatest(priced_from, before.trial_end) < least(coalesce(before.ended_at, {_NEVER}), {_CLOSED})
            and (now.is_gone or not ({_HAS_BEGUN.format("now")}))""",
        "The subscription was paid for in closed months and is now deleted or has never begun, so their revenue would "
        "be gone. Deliver the true one, then run again. " + _IF_MEANT,
    ),
    Cause(
        "subscription_changes_hands",
        "billing_subscriptions",
        "error",
        f"""select subscription_id, now.is_new
        from now_billing_subscriptions as now join before_billing_subscriptions as before using (subscription_id)
        where {_differ("account_id", "currency")}""",
        "The subscription has another account or currency than before; neither can change. Deliver the true one, or "
        "give the new subscription an id of its own. If its account was merged, deliver the account that is gone with "
        "merged_into_account_id and without _deleted, or the rest of its history counts for nobody.",
    ),
    Cause(
        "ticket_comes_twice",
        "support_tickets",
        "warning",
        f"""select greatest(one.ticket_id, two.ticket_id), {_PAIR.format(a="one", b="two")}
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
        """select account_id, now.is_new
        from now_crm_accounts as now join before_crm_accounts as before using (account_id)
        where abs(date_diff('day', before.created_at, now.created_at)) > 1
            and lower(now.account_name) <> lower(before.account_name)""",
        "The account has another name and another birthday than before: its id was given to somebody else, who would "
        "inherit the history. Give the new account an id of its own.",
    ),
)


def find_contradictions(con: duckdb.DuckDBPyConnection, settled: int) -> None:
    """Lay `ops.raw_contradictions` ready: one row a cause, with those of tonight counted and named, and how many of
    them are judged or, of a first load, only shown.

    `settled` is the last load of the last published run; above it is tonight.
    """
    lay_versions(con, settled)
    con.execute(
        """create or replace table ops.raw_contradictions (
        cause varchar, table_name varchar, n_new bigint, n_all bigint, examples varchar, n_judged bigint,
        n_first bigint)"""
    )
    shown = "is_news or is_first"
    for cause in CAUSES:
        judged = "is_news" if cause.severity == "error" else shown
        con.execute(
            f"""insert into ops.raw_contradictions
            with found(subject, is_new) as ({cause.sql}),
            subjects as (
                select subject, coalesce(bool_or(is_new), false) as is_news, bool_or(is_new is null) as is_first
                from found group by subject
            )
            select ?, ?, count(*) filter ({shown}), count(*),
                array_to_string(list_sort(list(subject::varchar) filter ({shown}))[:5], ', '),
                count(*) filter ({judged}), count(*) filter (({shown}) and not ({judged}))
            from subjects""".replace("$settled", str(int(settled))),
            [cause.name, cause.table],
        )
