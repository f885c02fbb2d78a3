-- Grain: action: playbook run, action plan, follow-up, interview to hold, improvement shipped (decision log, D51).
with actions as (
    select * from {{ ref('stg_cs__actions') }}
),

balances as (
    select * from {{ ref('int_account_balances') }}
),

rates as (
    select * from {{ ref('int_exchange_rates') }}
),

valued as (
    select
        actions.action_id,
        12 * sum({{ convert('balances.mrr', 'rates.rate') }}) as arr
    from actions
    inner join balances
        on
            actions.account_id = balances.account_id
            and actions.opened_on >= balances.valid_from
            and actions.opened_on < balances.valid_to
    left join rates on {{ rate_on('rates', 'balances.currency', 'actions.opened_on') }}
    group by actions.action_id
),

final as (
    select
        actions.action_id,
        actions.action_type,
        actions.playbook_name,
        actions.account_id,
        actions.owner_user_id,
        actions.team,
        actions.theme,
        actions.trigger_ref,
        case when actions.account_id is not null then {{ money('coalesce(valued.arr, 0)') }} end as expected_impact_arr,
        actions.opened_on,
        actions.due_on,
        actions.closed_on,
        -- closed after the as-of day is not closed yet
        case when actions.closed_on is null then 'open' else actions.status end as status,
        coalesce(actions.closed_on is null and actions.due_on < {{ as_of_date() }}, false) as is_overdue,
        case when actions.closed_on is not null then actions.outcome end as outcome
    from actions
    left join valued on actions.action_id = valued.action_id
)

select * from final
