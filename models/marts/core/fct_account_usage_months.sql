-- Grain: account x month with an event, or at whose end (or as_of) it was a customer.
with usage_facts as (
    select * from {{ ref('int_account_usage_facts') }}
),

final as (
    select
        account_id,
        period_start as month,
        n_events,
        monthly_active_users,
        active_days,
        active_user_days,
        {{ ratio('active_user_days', 'monthly_active_users') }} as avg_active_days_per_user,
        {{ ratio('active_user_days', 'n_days * monthly_active_users') }} as stickiness,
        case when is_complete then {{ ratio('n_events', 'previous_n_events') }} - 1 end as change_vs_previous_month,
        cast(days_since_last_event as integer) as days_since_last_event,
        is_dormant
    from usage_facts
)

select * from final
