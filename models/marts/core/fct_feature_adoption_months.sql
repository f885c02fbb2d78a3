-- Grain: month x feature that a paying account is entitled to at the month's end (or as_of).
with entitlements as (
    select * from {{ ref('int_account_entitlements') }}
),

periods as (
    select * from {{ ref('int_periods') }}
    where period_type = 'month'
),

answers as (
    select * from {{ ref('int_survey_answers') }}
    where nps_category is not null and reject_reason is null and account_id is not null
),

states as (
    select * from {{ ref('int_account_states') }}
    where movement_type = 'churn'
),

account_nps as (
    select
        account_id,
        {{ month_of('responded_on') }} as month,
        {{ exact_mean("case nps_category when 'promoter' then 100 when 'passive' then 0 else -100 end") }} as nps
    from answers
    group by account_id, {{ month_of('responded_on') }}
),

-- outcomes of months whose 180 days have passed
outcomes as (
    select
        account_months.account_id,
        account_months.month,
        max(case when states.account_id is not null then 1 else 0 end) as has_churned
    from (select distinct account_id, month from entitlements) as account_months
    inner join periods on account_months.month = periods.period_start
    left join states
        on
            account_months.account_id = states.account_id
            and states.valid_from > periods.period_end
            and states.valid_from <= {{ add_days('periods.period_end', 180) }}
    where {{ add_days('periods.period_end', 180) }} <= {{ as_of_date() }}
    group by account_months.account_id, account_months.month
),

final as (
    select
        entitlements.month,
        entitlements.feature_key,
        cast(count(*) as bigint) as n_accounts_entitled,
        cast(sum(case when entitlements.is_used then 1 else 0 end) as bigint) as n_accounts_using,
        {{ ratio('sum(case when entitlements.is_used then 1 else 0 end)', 'count(*)') }} as feature_adoption_rate,
        {{ exact_mean('case when entitlements.is_used then account_nps.nps end') }} as mean_nps_of_users,
        avg(case when entitlements.is_used then cast(outcomes.has_churned as double) end) as churn_rate_users,
        avg(case when not entitlements.is_used then cast(outcomes.has_churned as double) end) as churn_rate_non_users
    from entitlements
    left join account_nps on entitlements.account_id = account_nps.account_id and entitlements.month = account_nps.month
    left join outcomes on entitlements.account_id = outcomes.account_id and entitlements.month = outcomes.month
    group by entitlements.month, entitlements.feature_key
)

select * from final
