{#- Which raw tables an adapter's models fill. An adapter is a folder models/adapters/<name>/ with one model a table. -#}
{% macro adapter_fills(adapter_name, table) -%}
    {%- set fills = {
        'ravenstack': [
            'crm_accounts', 'billing_subscriptions', 'billing_subscription_items', 'product_features',
            'product_events', 'support_tickets', 'support_ticket_events', 'surveys', 'survey_responses',
            'feedback_items',
        ],
    } -%}
    {{ return(table in fills[adapter_name]) }}
{%- endmacro %}
