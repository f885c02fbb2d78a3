-- Grain: month x theme x source in which feedback was collected; source 'all' = every source.
with facts as (
    select * from {{ ref('int_feedback_sentiment_facts') }}
),

months as (
    select * from {{ ref('int_periods') }}
    where period_type = 'month'
),

balances as (
    select period_start, account_id, 12 * closing_mrr as closing_arr from {{ ref('int_account_periods') }}
    where period_type = 'month'
),

actions as (
    select action_id, lower(theme) as theme, row_number() over (partition by lower(theme) order by opened_at desc, action_id desc) as recency
    from {{ ref('stg_cs__actions') }}
    where theme is not null and closed_at is null
),

by_source as (
    select theme, channel as source, collected_on, account_id, sentiment, sentiment_label, nps_category from facts
    union all
    select theme, 'all' as source, collected_on, account_id, sentiment, sentiment_label, nps_category from facts
),

placed as (
    select months.period_start as month, by_source.*
    from by_source
    inner join months on by_source.collected_on >= months.period_start and by_source.collected_on <= months.closing_date
),

-- an account's ARR counts once a theme, however often it speaks of it
affected as (
    select mentions.month, mentions.theme, mentions.source, sum(balances.closing_arr) as arr_affected
    from (select distinct month, theme, source, account_id from placed) as mentions
    inner join balances on mentions.month = balances.period_start and mentions.account_id = balances.account_id
    group by mentions.month, mentions.theme, mentions.source
),

counted as (
    select
        month,
        theme,
        source,
        count(*) as n_items,
        count(distinct account_id) as n_accounts,
        count(sentiment) as n_judged,
        {{ exact_mean('sentiment') }} as mean_sentiment,
        {{ ratio("count(case when sentiment_label = 'negative' then 1 end)", 'count(sentiment)') }} as negative_share,
        {{ ratio("count(case when nps_category = 'promoter' then 1 end)", 'count(nps_category)') }} as promoter_share
    from placed
    group by month, theme, source
),

measured as (
    select
        counted.*,
        {{ exact('coalesce(affected.arr_affected, 0)') }} as arr_affected,
        coalesce(previous.n_items, 0) as n_items_previous
    from counted
    left join affected
        on counted.month = affected.month and counted.theme = affected.theme and counted.source = affected.source
    left join counted as previous
        on
            {{ add_months('counted.month', -1) }} = previous.month
            and counted.theme = previous.theme
            and counted.source = previous.source
),

final as (
    select
        measured.month,
        measured.theme,
        measured.source,
        cast(measured.n_items as bigint) as n_items,
        cast(measured.n_accounts as bigint) as n_accounts,
        {{ money('measured.arr_affected') }} as arr_affected,
        measured.mean_sentiment,
        measured.negative_share,
        measured.promoter_share,
        cast(measured.n_items_previous as bigint) as n_items_previous,
        case
            when months.is_complete then cast(measured.n_items - measured.n_items_previous as bigint)
        end as n_items_change,
        cast(rank() over (
            partition by measured.month, measured.source
            order by cast(measured.arr_affected as double) * coalesce(measured.negative_share, 0) desc
        ) as bigint) as impact_rank,
        actions.action_id as open_action_id,
        case when actions.action_id is not null then 'open' end as open_action_status,
        measured.n_judged < {{ var('min_responses') }} as is_suppressed
    from measured
    inner join months on measured.month = months.period_start
    left join actions on measured.theme = actions.theme and actions.recency = 1
)

select * from final
