-- Grain: account x currency x [valid_from, valid_to): native MRR between change points; zero balances after a change too.
with segments as (
    select * from {{ ref('int_subscription_segments') }}
),

changes as (
    select account_id, currency, valid_from as changed_on, mrr, paused_mrr from segments
    union all
    select account_id, currency, valid_to as changed_on, -mrr as mrr, -paused_mrr as paused_mrr from segments
),

daily as (
    select account_id, currency, changed_on, sum(mrr) as mrr_change, sum(paused_mrr) as paused_mrr_change
    from changes
    where changed_on <= {{ as_of_date() }}
    group by account_id, currency, changed_on
),

final as (
    select
        account_id,
        currency,
        changed_on as valid_from,
        coalesce(
            lead(changed_on) over (partition by account_id, currency order by changed_on), {{ far_future() }}
        ) as valid_to,
        {{ exact('sum(mrr_change) over (partition by account_id, currency order by changed_on)') }} as mrr,
        {{ exact('mrr_change') }} as mrr_change,
        {{ exact('sum(paused_mrr_change) over (partition by account_id, currency order by changed_on)') }} as paused_mrr,
        {{ exact('paused_mrr_change') }} as paused_mrr_change
    from daily
)

select * from final
