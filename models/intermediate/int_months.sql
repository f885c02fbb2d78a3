-- Grain: month, from the first month with data to the month of the as-of date (decision log, D2).
with days as (
    -- items name no account: those of internal accounts go with their subscriptions
    select items.effective_from_on as happened_on
    from {{ ref('stg_billing__subscription_items') }} as items
    inner join {{ ref('stg_billing__subscriptions') }} as subscriptions on items.subscription_id = subscriptions.subscription_id
    where items.is_recurring and subscriptions.account_id is not null
    -- neither do invoices and onboardings of accounts that nobody knows count anywhere
    {%- for model, day in [('stg_billing__invoices', 'issued_on'), ('stg_cs__onboardings', 'started_on')] %}
    union all
    select {{ day }} as happened_on from {{ ref(model) }} where account_id is not null
    {%- endfor %}
    {%- set facts = [
        ('int_account_usage_months', 'month'),
        ('stg_support__tickets', 'created_on'),
        ('stg_support__self_service_sessions', 'started_on'),
        ('stg_surveys__responses', 'sent_on'),
        ('stg_surveys__responses', 'responded_on'),
        ('stg_surveys__feedback_items', 'collected_on'),
        ('stg_cs__activities', 'occurred_on'),
        ('stg_cs__advocacy', 'requested_on'),
        ('stg_cs__advocacy', 'completed_on'),
        ('stg_cs__actions', 'opened_on'),
    ] %}
    {%- for model, day in facts %}
    union all
    select {{ day }} as happened_on from {{ ref(model) }}
    {%- endfor %}
),

bounds as (
    select {{ month_of('min(happened_on)') }} as first_month from days
),

numbers as (
    {{ dbt.generate_series(1200) }}
),

months as (
    select {{ add_months('bounds.first_month', 'cast(numbers.generated_number as integer) - 1') }} as month
    from bounds
    cross join numbers
    where bounds.first_month is not null
),

final as (
    select
        month,
        {{ add_days(add_months('month', 1), -1) }} as month_end,
        {{ quarter_of('month') }} as quarter
    from months
    where month <= {{ as_of_date() }}
)

select * from final
