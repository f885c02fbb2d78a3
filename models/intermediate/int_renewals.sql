-- Grain: contract term that began: what was due, what became of it, at the rates of the day before due (decision log, D16).
with due_terms as (
    select * from {{ ref('int_renewal_terms') }}
),

successors as (
    select * from {{ ref('int_renewal_successors') }}
),

segments as (
    select * from {{ ref('int_subscription_segments') }}
),

rates as (
    select * from {{ ref('int_exchange_rates') }}
),

continued as (
    select
        due_terms.term_id,
        min(case when not successors.is_late then successors.started_on end) as timely_start,
        min(case when successors.is_late then successors.started_on end) as late_start
    from due_terms
    left join successors on due_terms.term_id = successors.term_id
    group by due_terms.term_id
),

outcomes as (
    select
        due_terms.*,
        case
            when due_terms.due_date > {{ as_of_date() }} then 'upcoming'
            when not due_terms.is_ended or continued.timely_start is not null then 'renewed'
            when continued.late_start is not null then 'renewed_late'
            when due_terms.due_date < due_terms.term_end then 'churned_early'
            else 'churned'
        end as outcome,
        -- the day before due; for an upcoming term that day is not known yet, so it is the as-of day
        least({{ add_days('due_terms.due_date', -1) }}, {{ as_of_date() }}) as renewable_on,
        continued.late_start
    from due_terms
    inner join continued on due_terms.term_id = continued.term_id
),

renewing as (
    select term_id, subscription_id, due_date as renewed_on from outcomes
    where outcome = 'renewed' and not is_ended
    union all
    select outcomes.term_id, successors.subscription_id, outcomes.due_date as renewed_on
    from outcomes
    inner join successors on outcomes.term_id = successors.term_id and not successors.is_late
    where outcomes.outcome = 'renewed'
    union all
    select outcomes.term_id, successors.subscription_id, outcomes.late_start as renewed_on
    from outcomes
    inner join successors on outcomes.term_id = successors.term_id and outcomes.late_start = successors.started_on
    where outcomes.outcome = 'renewed_late'
),

valued as (
    select term_id, {{ exact(0) }} as renewable_mrr, {{ exact(0) }} as renewed_mrr from outcomes
    union all
    select outcomes.term_id, {{ convert('segments.mrr', 'rates.rate') }} as renewable_mrr, {{ exact(0) }} as renewed_mrr
    from outcomes
    inner join segments
        on
            outcomes.subscription_id = segments.subscription_id
            and segments.valid_from <= outcomes.renewable_on
            and segments.valid_to > outcomes.renewable_on
    left join rates on {{ rate_on('rates', 'segments.currency', 'outcomes.renewable_on') }}
    union all
    select outcomes.term_id, {{ exact(0) }} as renewable_mrr, {{ convert('segments.mrr', 'rates.rate') }} as renewed_mrr
    from outcomes
    inner join renewing on outcomes.term_id = renewing.term_id
    inner join segments
        on
            renewing.subscription_id = segments.subscription_id
            and segments.valid_from <= renewing.renewed_on
            and segments.valid_to > renewing.renewed_on
    left join rates on {{ rate_on('rates', 'segments.currency', 'outcomes.renewable_on') }}
),

pairs as (
    select
        term_id,
        {{ exact('12 * ' ~ whole_sum('renewable_mrr')) }} as renewable_arr,
        {{ exact('12 * ' ~ whole_sum('renewed_mrr')) }} as renewed_arr
    from valued group by term_id
),

final as (
    select
        outcomes.term_id,
        outcomes.subscription_id,
        outcomes.account_id,
        outcomes.due_date,
        least(outcomes.due_date, {{ as_of_date() }}) as cut_date,
        outcomes.outcome,
        outcomes.auto_renew,
        outcomes.cancel_requested_on,
        case when outcomes.outcome = 'renewed_late' then cast({{ days_between('outcomes.due_date', 'outcomes.late_start') }} as integer) end
            as days_late,
        outcomes.outcome in ('renewed', 'renewed_late') as is_renewed,
        pairs.renewable_arr,
        case when outcomes.outcome <> 'upcoming' then pairs.renewed_arr end as renewed_arr,
        case when outcomes.outcome <> 'upcoming' then least(pairs.renewed_arr, pairs.renewable_arr) end as renewed_arr_capped,
        case
            when outcomes.outcome in ('renewed', 'renewed_late') then greatest(pairs.renewable_arr - pairs.renewed_arr, 0)
            when outcomes.outcome <> 'upcoming' then 0
        end as downsell_arr,
        case
            when outcomes.outcome in ('churned', 'churned_early') then pairs.renewable_arr
            when outcomes.outcome <> 'upcoming' then 0
        end as churn_arr,
        case when outcomes.outcome <> 'upcoming' then greatest(pairs.renewed_arr - pairs.renewable_arr, 0) end as expansion_arr
    from outcomes
    inner join pairs on outcomes.term_id = pairs.term_id
)

select * from final
