{#- Which raw tables can change which KPI, and what day a landed row speaks of. -#}

{#- What the values rest on, whatever the cut. -#}
{% macro sources_of_kpis() -%}
    {%- set revenue = sources_of_revenue() -%}
    {%- set surveys = ['survey_responses', 'surveys', 'crm_contacts'] -%}
    {{ return({
        'mrr': revenue,
        'net_revenue_retention': revenue,
        'gross_revenue_retention': revenue,
        'customer_churn_rate': revenue,
        'customer_retention_rate': revenue,
        'gross_renewal_rate': revenue + ['billing_contract_terms'],
        'quarterly_expansion_revenue': revenue,
        'customer_lifetime_value': revenue + ['billing_invoices', 'billing_refunds', 'fin_costs'],
        'cs_team_roi': revenue + ['fin_costs'],
        'customer_health_score': revenue + surveys + [
            'billing_contract_terms', 'billing_invoices', 'product_events', 'product_features', 'product_plan_features',
            'cs_activities', 'cs_onboardings',
        ],
        'net_promoter_score': surveys,
        'customer_satisfaction_score': surveys,
        'customer_effort_score': surveys,
        'onboarding_rating': surveys + ['cs_onboardings'],
        'feedback_sentiment': surveys + ['feedback_items'],
        'product_adoption_rate': revenue + ['product_events', 'product_features', 'product_plan_features'],
        'usage_frequency': ['product_events'],
        'self_service_rate': ['support_self_service_sessions', 'support_tickets', 'crm_contacts'],
        'time_to_first_value': ['cs_onboardings'],
        'time_to_value': ['cs_onboardings'],
        'first_contact_resolution_rate': ['support_tickets', 'support_ticket_events', 'crm_contacts'],
        'engagement_activity': ['cs_activities', 'crm_contacts'],
        'advocacy_activity': ['cs_advocacy', 'crm_contacts'],
    }) }}
{%- endmacro %}

{#- What decides in which cell of a cut a fact lies; `all`: whether it counts at all; `any`: the cuts that rest on accounts
    and the KPI's own tables. -#}
{% macro sources_of_cuts() -%}
    {%- set accounts = ['crm_accounts', 'crm_account_links', 'crm_account_owners', 'crm_users'] -%}
    {%- set plans = accounts + sources_of_revenue() -%}
    {{ return({
        'all': ['crm_accounts', 'crm_account_links'],
        'any': accounts,
        'plan': plans,
        'product': plans,
        'tenure_band': plans,
        'lifecycle_stage': plans + ['billing_contract_terms', 'cs_onboardings'],
        'trained': accounts + ['cs_activities'],
        'resolution_time_band': accounts + ['support_tickets', 'support_ticket_events'],
    }) }}
{%- endmacro %}

{#- Under which name of sources_of_cuts a cut stands; those of an event itself rest on no account and are as `all`. -#}
{% macro deciding_cut(segment_type) -%}
    case
        when {{ segment_type }} in ('survey', 'interaction_type', 'channel', 'topic', 'agent', 'theme', 'advocacy_type')
            then 'all'
        when {{ segment_type }} in ('{{ sources_of_cuts() | join("', '") }}') then {{ segment_type }}
        else 'any'
    end
{%- endmacro %}

{#- KPIs whose totals change with the segment of an account: weights and fits go by it. -#}
{% macro kpis_by_segment() -%} 'customer_health_score', 'customer_lifetime_value' {%- endmacro %}

{% macro sources_of_revenue() -%}
    {{ return([
        'billing_subscriptions', 'billing_subscription_items', 'billing_subscription_pauses', 'fin_exchange_rates',
    ]) }}
{%- endmacro %}

{#- Such a map as rows. -#}
{% macro source_rows(sources, of) -%}
    {%- for name, tables in sources.items() -%}
    {%- set is_last = loop.last -%}
    {%- for table in tables %}
    select '{{ name }}' as {{ of }}, '{{ table }}' as source_table{{ ' union all' if not (is_last and loop.last) }}
    {%- endfor -%}
    {%- endfor -%}
{%- endmacro %}

{#- Names and the like, whose updates are no news: no figure of a KPI and no cut rests on them. -#}
{% macro columns_that_decide_no_figure() -%}
    {{ return({
        'crm_accounts': ['account_name', 'parent_account_id'],
        'crm_contacts': ['email', 'title', 'contact_role'],
        'crm_users': ['full_name', 'email', 'manager_user_id'],
        'support_tickets': ['status', 'priority'],
        'surveys': ['survey_name'],
    }) }}
{%- endmacro %}

{#- {table: (area, days, describes)}. A row speaks of the latest of its days that has come, but at least of the first of them: an
    instant that it gains in time (an end, a first value) is the usual course of things and no late row. Where a table
    describes something that stays, another version of it is a change that reaches back over all the past. -#}
{% macro days_of_landed_rows() -%}
    {{ return({
        'crm_accounts': ('crm', ['created_at'], true),
        'crm_account_links': ('crm', [], true),
        'crm_users': ('crm', ['active_from'], true),
        'crm_contacts': ('crm', ['created_at'], false),
        'crm_account_owners': ('crm', ['valid_from', 'valid_to'], false),
        'billing_subscriptions': ('billing', ['started_at', 'trial_end', 'cancel_requested_at', 'ended_at'], false),
        'billing_subscription_items': ('billing', ['effective_from', 'effective_to'], false),
        'billing_subscription_pauses': ('billing', ['paused_from', 'paused_until'], false),
        'billing_contract_terms': ('billing', ['term_start'], false),
        'billing_invoices': ('billing', ['issued_at', 'paid_at'], false),
        'billing_refunds': ('billing', ['refunded_at'], false),
        'product_features': ('product', ['released_on', 'retired_on'], false),
        'product_plan_features': ('product', ['valid_from', 'valid_to'], false),
        'product_events': ('product', ['occurred_at'], false),
        'support_tickets': ('support', ['created_at'], false),
        'support_ticket_events': ('support', ['occurred_at'], false),
        'support_self_service_sessions': ('support', ['started_at'], false),
        'surveys': ('surveys', [], true),
        'survey_responses': ('surveys', ['sent_at', 'responded_at'], false),
        'feedback_items': ('surveys', ['collected_at'], false),
        'cs_activities': ('cs', ['occurred_at'], false),
        'cs_onboardings': ('cs', ['purchased_at', 'started_at', 'completed_at', 'first_value_at', 'cancelled_at'], false),
        'cs_advocacy': ('cs', ['requested_at', 'completed_at'], false),
        'fin_costs': ('finance', ['cost_month'], false),
        'fin_exchange_rates': ('finance', ['rate_date'], false),
    }) }}
{%- endmacro %}
