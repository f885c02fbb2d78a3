-- Grain: account (survivors of merges, internal ones excluded), as of the as-of date.
with accounts as (
    select * from {{ ref('int_accounts') }}
),

cuts as (
    select * from {{ ref('int_account_cuts') }}
    where valid_from <= {{ as_of_date() }} and valid_to > {{ as_of_date() }}
),

states as (
    select * from {{ ref('int_account_states') }}
),

current_states as (
    select * from states
    where valid_from <= {{ as_of_date() }} and valid_to > {{ as_of_date() }}
),

customer_starts as (
    select account_id, valid_from as customer_since from states where movement_type = 'new'
),

balances as (
    select balances.account_id, sum({{ convert('balances.mrr', 'rates.rate') }}) as current_mrr
    from {{ ref('int_account_balances') }} as balances
    left join {{ ref('int_exchange_rates') }} as rates on {{ rate_on('rates', 'balances.currency', as_of_date()) }}
    where balances.valid_from <= {{ as_of_date() }} and balances.valid_to > {{ as_of_date() }}
    group by balances.account_id
),

plans as (
    select account_id, plan_ids, row_number() over (partition by account_id order by changed_on desc) as recency
    from {{ ref('int_account_plans') }}
),

usage as (
    select * from {{ ref('int_account_recent_usage') }}
),

final as (
    select
        accounts.account_id,
        accounts.account_name,
        accounts.parent_account_id,
        accounts.ultimate_parent_id,
        accounts.segment,
        accounts.industry,
        accounts.country,
        cuts.tenure_band,
        cuts.lifecycle_stage,
        case
            when cuts.lifecycle_stage = 'prospect' then 'prospect'
            when cuts.lifecycle_stage = 'churned' then 'lost'
            when cuts.tenure_band in ('0-3 months', '3-12 months') then 'new'
            when cuts.tenure_band = '1-2 years' then 'established'
            else 'loyal'
        end as loyalty_band,
        case
            when usage.active_days_28d is null then 'unknown'
            when usage.active_days_28d >= 15 then 'daily'
            when usage.active_days_28d >= 5 then 'regular'
            when usage.active_days_28d >= 1 then 'occasional'
            else 'dormant'
        end as behaviour_band,
        customer_starts.customer_since,
        case when current_states.state = 'gone' then current_states.valid_from end as churned_on,
        coalesce(current_states.state in ('paying', 'paused'), false) as is_customer,
        coalesce(current_states.state = 'paused', false) as is_paused,
        {{ money('coalesce(balances.current_mrr, 0)') }} as current_mrr,
        cuts.csm as csm_user_id,
        plans.plan_ids
    from accounts
    inner join cuts on accounts.account_id = cuts.account_id
    left join current_states on accounts.account_id = current_states.account_id
    left join customer_starts on accounts.account_id = customer_starts.account_id
    left join balances on accounts.account_id = balances.account_id
    left join plans on accounts.account_id = plans.account_id and plans.recency = 1
    left join usage on accounts.account_id = usage.account_id
    -- an account that the CRM got to know after the as-of day, and that never paid before, does not exist yet
    where accounts.created_on <= {{ as_of_date() }} or customer_starts.customer_since is not null
)

select * from final
