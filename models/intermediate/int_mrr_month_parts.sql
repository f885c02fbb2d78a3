-- Grain: account x month x part of the waterfall, each with the day whose owner it belongs to (decision log, D15). A longer
-- period opens with its first month, closes with its last and moves with all of them.
{%- set movements = ['new', 'reactivation', 'resume', 'expansion', 'contraction', 'pause', 'churn', 'fx'] %}
with account_periods as (
    select * from {{ ref('int_account_periods') }}
    where period_type = 'month'
),

months as (
    select * from {{ ref('int_periods') }}
    where period_type = 'month'
),

ledger as (
    select * from {{ ref('int_mrr_movements') }}
),

at_risk as (
    select * from {{ ref('int_mrr_at_risk') }}
),

movement_days as (
    select
        account_id,
        movement_date,
        {%- for movement in movements %}
        sum(case when movement_type = '{{ movement }}' then amount else 0 end) as {{ movement }}_mrr,
        {%- endfor %}
        count(case when movement_type = 'new' then 1 end) as new_logos,
        count(case when movement_type = 'reactivation' then 1 end) as reactivated_logos,
        count(case when movement_type = 'churn' then 1 end) as churned_logos
    from ledger
    group by account_id, movement_date
),

final as (
    select
        account_id,
        period_start as month,
        period_start as cut_date,
        opening_mrr,
        1 as opening_logos,
        {%- for movement in movements %}
        0 as {{ movement }}_mrr,
        {%- endfor %}
        0 as new_logos,
        0 as reactivated_logos,
        0 as churned_logos,
        0 as closing_mrr,
        0 as closing_logos,
        0 as mrr_at_risk
    from account_periods
    where opening_state <> 'gone'
    union all
    select
        movement_days.account_id,
        months.period_start as month,
        movement_days.movement_date as cut_date,
        0 as opening_mrr,
        0 as opening_logos,
        {%- for movement in movements %}
        movement_days.{{ movement }}_mrr,
        {%- endfor %}
        movement_days.new_logos,
        movement_days.reactivated_logos,
        movement_days.churned_logos,
        0 as closing_mrr,
        0 as closing_logos,
        0 as mrr_at_risk
    from movement_days
    inner join months
        on movement_days.movement_date >= months.period_start and movement_days.movement_date <= months.closing_date
    union all
    select
        account_periods.account_id,
        account_periods.period_start as month,
        account_periods.closing_date as cut_date,
        0 as opening_mrr,
        0 as opening_logos,
        {%- for movement in movements %}
        0 as {{ movement }}_mrr,
        {%- endfor %}
        0 as new_logos,
        0 as reactivated_logos,
        0 as churned_logos,
        account_periods.closing_mrr,
        1 as closing_logos,
        case when at_risk.account_id is not null then account_periods.closing_mrr else 0 end as mrr_at_risk
    from account_periods
    left join at_risk on account_periods.account_id = at_risk.account_id and account_periods.period_start = at_risk.month
    where account_periods.closing_state <> 'gone'
)

select * from final
