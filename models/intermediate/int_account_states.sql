-- Grain: account x [valid_from, valid_to): is it paying, paused (still a customer) or gone (decision log, D7).
with balances as (
    select * from {{ ref('int_account_balances') }}
),

-- natives of several currencies may be added here: only their sign is used
daily as (
    select account_id, valid_from as changed_on, sum(mrr_change) as mrr_change, sum(paused_mrr_change) as paused_mrr_change
    from balances
    group by account_id, valid_from
),

running as (
    select
        account_id,
        changed_on,
        sum(mrr_change) over (partition by account_id order by changed_on) as mrr,
        sum(paused_mrr_change) over (partition by account_id order by changed_on) as paused_mrr
    from daily
),

raw_states as (
    select
        account_id,
        changed_on,
        case when mrr > 0 then 'paying' when paused_mrr > 0 then 'paused' else 'gone' end as raw_state
    from running
),

-- a pause keeps a customer only when the last state that was not a pause was a paying one
remembered as (
    select
        account_id,
        changed_on,
        raw_state,
        {{ last_known("case when raw_state <> 'paused' then raw_state end", 'account_id', 'changed_on') }} as last_unpaused_state
    from raw_states
),

states as (
    select
        account_id,
        changed_on,
        case when raw_state = 'paused' and coalesce(last_unpaused_state, 'gone') = 'gone' then 'gone' else raw_state end as state
    from remembered
),

compared as (
    select
        account_id,
        changed_on,
        state,
        coalesce(lag(state) over (partition by account_id order by changed_on), 'gone') as previous_state
    from states
),

-- an account's first transition is from gone to paying
transitions as (
    select
        account_id,
        changed_on,
        state,
        previous_state,
        row_number() over (partition by account_id order by changed_on) as transition_number
    from compared
    where state <> previous_state
),

final as (
    select
        account_id,
        changed_on as valid_from,
        coalesce(lead(changed_on) over (partition by account_id order by changed_on), {{ far_future() }}) as valid_to,
        state,
        previous_state,
        case
            when state = 'paying' and previous_state = 'paused' then 'resume'
            when transition_number = 1 then 'new'
            when state = 'paying' then 'reactivation'
            when state = 'paused' then 'pause'
            else 'churn'
        end as movement_type
    from transitions
)

select * from final
