-- Grain: raw table: its rows, its newest arrival, and the rows that name an account nobody knows.
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
    where account_ids.account_id is null
),

final as (
    select landed.source_table, landed.last_loaded_at, landed.rows_total, coalesce(unmatched.n_rows, 0) as unmatched_account_rows
    from landed
    left join unmatched on landed.source_table = unmatched.source_table
)

select * from final
