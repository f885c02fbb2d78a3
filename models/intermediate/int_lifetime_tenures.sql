-- Grain: month x segment x tenure in months x churned or not: how many accounts.
{{ config(enabled=var('clv_lifetime_model') == 'sbg') }}
with life_months as (
    select * from {{ ref('int_account_life_months') }}
    where tenure_months is not null
),

final as (
    select month, segment, tenure_months, state = 'gone' as is_churned, count(*) as n_accounts
    from life_months
    group by month, segment, tenure_months, state = 'gone'
)

select * from final
