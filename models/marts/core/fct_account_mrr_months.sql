-- Grain: account x month with a balance or a movement. Sums of the ledger, so gains and losses inside a month both show.
{%- set movements = ['new', 'reactivation', 'resume', 'expansion', 'contraction', 'pause', 'churn', 'fx'] %}
with parts as (
    select * from {{ ref('int_mrr_month_parts') }}
),

periods as (
    select * from {{ ref('int_periods') }}
    where period_type = 'month'
),

cuts as (
    select * from {{ ref('int_account_cuts') }}
),

summed as (
    select
        account_id,
        month,
        sum(opening_mrr) as opening_mrr,
        {%- for movement in movements %}
        {{ '-' if movement in ['contraction', 'pause', 'churn'] }}sum({{ movement }}_mrr) as {{ movement }}_mrr,
        {%- endfor %}
        sum(closing_mrr) as closing_mrr,
        sum(new_logos + reactivated_logos + churned_logos) as n_customer_changes
    from parts
    group by account_id, month
),

final as (
    select
        summed.account_id,
        summed.month,
        {%- for part in ['opening'] + movements + ['closing'] %}
        {{ money('summed.' ~ part ~ '_mrr') }} as {{ part }}_mrr,
        {%- endfor %}
        cuts.csm as csm_user_id,
        cuts.segment
    from summed
    inner join periods on summed.month = periods.period_start
    inner join cuts
        on
            summed.account_id = cuts.account_id
            and periods.closing_date >= cuts.valid_from
            and periods.closing_date < cuts.valid_to
    -- a month that was paused from its first to its last day has neither balance nor movement
    where
        summed.n_customer_changes > 0
        {%- for part in ['opening'] + movements + ['closing'] %}
        or summed.{{ part }}_mrr <> 0
        {%- endfor %}
)

select * from final
