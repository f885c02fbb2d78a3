-- Grain: month x segment ('all' too) x cancel_reason x cancel_type. Why customers left, by money (decision log, D105).
with churns as (
    select * from {{ ref('int_mrr_movements') }}
    where movement_type = 'churn'
),

reasons as (
    select * from {{ ref('int_churn_reasons') }}
),

accounts as (
    select * from {{ ref('int_accounts') }}
),

customer_starts as (
    select account_id, valid_from as customer_since from {{ ref('int_account_states') }}
    where movement_type = 'new'
),

scores as (
    select * from {{ ref('int_health_scores') }}
),

-- seen coming: the last score 30 or more days before the churn, and not older than 90, was red
warned as (
    select
        churns.account_id,
        churns.movement_date,
        scores.colour,
        row_number() over (partition by churns.account_id, churns.movement_date order by scores.score_date desc) as recency
    from churns
    inner join scores
        on
            churns.account_id = scores.account_id
            and scores.score_date <= {{ add_days('churns.movement_date', -30) }}
            and scores.score_date >= {{ add_days('churns.movement_date', -90) }}
),

placed as (
    select
        {{ month_of('churns.movement_date') }} as month,
        accounts.segment,
        reasons.cancel_reason,
        reasons.cancel_type,
        -churns.amount as churned_mrr,
        cast({{ whole_months('customer_starts.customer_since', 'churns.movement_date') }} as double) as tenure_months,
        case when warned.colour = 'red' then 1 else 0 end as was_red
    from churns
    inner join reasons on churns.account_id = reasons.account_id and churns.movement_date = reasons.movement_date
    inner join accounts on churns.account_id = accounts.account_id
    inner join customer_starts on churns.account_id = customer_starts.account_id
    left join warned
        on
            churns.account_id = warned.account_id
            and churns.movement_date = warned.movement_date
            and warned.recency = 1
),

grouped as (
    select
        month,
        case when grouping(segment) = 0 then segment else 'all' end as segment_value,
        cancel_reason,
        cancel_type,
        count(*) as churned_logos,
        sum(churned_mrr) as churned_mrr,
        median(tenure_months) as median_tenure_months,
        sum(was_red) as had_red_health_30d_before
    from placed
    group by grouping sets ((month, cancel_reason, cancel_type), (month, segment, cancel_reason, cancel_type))
),

final as (
    select
        month,
        segment_value,
        cancel_reason,
        cancel_type,
        churned_logos,
        {{ money('churned_mrr') }} as churned_mrr,
        {{ ratio('churned_mrr', 'sum(churned_mrr) over (partition by month, segment_value)') }} as mrr_share,
        median_tenure_months,
        cast(had_red_health_30d_before as bigint) as had_red_health_30d_before
    from grouped
)

select * from final
