-- Grain: raw table: how old it is at the end of the as-of date, what was refused, what found no account (decision log, D109).
{#- raw table: the staging model that resolves its account; none where rows name no account #}
{%- set tables = {
    'crm': {
        'crm_accounts': none, 'crm_account_links': none, 'crm_contacts': 'stg_crm__contacts', 'crm_users': none,
        'crm_account_owners': 'stg_crm__account_owners', 'crm_opportunities': 'stg_crm__opportunities',
    },
    'billing': {
        'billing_subscriptions': 'stg_billing__subscriptions', 'billing_subscription_items': none,
        'billing_subscription_pauses': none, 'billing_contract_terms': none,
        'billing_invoices': 'stg_billing__invoices', 'billing_refunds': none,
    },
    'product': {'product_features': none, 'product_plan_features': none, 'product_events': none},
    'support': {
        'support_tickets': 'stg_support__tickets', 'support_ticket_events': none,
        'support_self_service_sessions': 'stg_support__self_service_sessions',
    },
    'surveys': {
        'surveys': none, 'survey_responses': 'stg_surveys__responses', 'feedback_items': 'stg_surveys__feedback_items',
    },
    'cs': {
        'cs_activities': 'stg_cs__activities', 'cs_onboardings': 'stg_cs__onboardings', 'cs_advocacy': 'stg_cs__advocacy',
        'cs_actions': 'stg_cs__actions', 'cs_health_ratings': 'stg_cs__health_ratings',
    },
    'finance': {'fin_costs': 'stg_finance__costs', 'fin_exchange_rates': none},
} %}
with landed as (
    {%- for area, area_tables in tables.items() %}
    {%- set last_area = loop.last %}
    {%- for table in area_tables %}
    select '{{ table }}' as source_table, max(_loaded_at) as last_loaded_at, count(*) as rows_total from {{ source(area, table) }}
    {{ 'union all' if not (last_area and loop.last) }}
    {%- endfor %}
    {%- endfor %}
),

unmatched as (
    {%- for area_tables in tables.values() %}
    {%- for table, model in area_tables.items() if model %}
    select '{{ table }}' as source_table, count(*) as n_rows from {{ ref(model) }}
    where source_account_id is not null and account_id is null
    union all
    {%- endfor %}
    {%- endfor %}
    select 'crm_account_links' as source_table, count(*) as n_rows
    from {{ ref('stg_crm__account_links') }} as links
    left join {{ ref('stg_crm__accounts') }} as accounts on links.account_id = accounts.account_id
    where accounts.account_id is null
    union all
    select 'product_events' as source_table, coalesce(sum(user_months.n_events), 0) as n_rows
    from {{ ref('int_usage_user_months') }} as user_months
    left join {{ ref('stg_crm__account_ids') }} as account_ids on user_months.source_account_id = account_ids.source_account_id
    where user_months.source_account_id <> '' and account_ids.account_id is null
),

loads as (
    select
        table_name,
        sum(case when loaded_at = last_run_at then loaded_rows else 0 end) as rows_last_run
    from (select load_log.*, max(loaded_at) over () as last_run_at from {{ source('ops', 'load_log') }} as load_log) as timed
    group by table_name
),

refused as (
    select table_name, count(*) as n_rows from {{ source('ops', 'quarantine') }} group by table_name
),

limits as (
    select landed.source_table, case when source_freshness.source_table is null then rules.threshold else source_freshness.limit_hours end as limit_hours
    from landed
    left join {{ ref('source_freshness') }} as source_freshness on landed.source_table = source_freshness.source_table
    left join {{ ref('alert_rules') }} as rules on rules.alert_type = 'source_stale'
),

aged as (
    select
        landed.*,
        limits.limit_hours,
        case
            when landed.last_loaded_at is null then null
            when limits.limit_hours is null then 0
            else greatest({{ hours_between('landed.last_loaded_at', end_of_as_of()) }} - limits.limit_hours, 0)
        end as hours_late
    from landed
    inner join limits on landed.source_table = limits.source_table
),

final as (
    select
        aged.source_table,
        aged.last_loaded_at,
        cast(coalesce(loads.rows_last_run, 0) as bigint) as rows_last_run,
        aged.rows_total,
        cast(aged.hours_late as double) as hours_late,
        coalesce(aged.hours_late > 0, false) as is_stale,
        coalesce(refused.n_rows, 0) as rejected_rows,
        cast(coalesce(unmatched.n_rows, 0) as bigint) as unmatched_account_rows
    from aged
    left join loads on aged.source_table = loads.table_name
    left join refused on aged.source_table = refused.table_name
    left join unmatched on aged.source_table = unmatched.source_table
)

select * from final
