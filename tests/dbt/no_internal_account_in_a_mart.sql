-- Internal account, or one merged into another, that is in a table keyed by account.
{%- set tables = [
    'dim_accounts', 'dim_account_owners', 'fct_mrr_movements', 'fct_account_mrr_months', 'fct_renewals', 'fct_survey_responses',
    'fct_account_lifetime_values', 'fct_health_scores',
] %}
with account_ids as (
    select * from {{ ref('stg_crm__account_ids') }}
    where is_internal or is_merged_away
)

{% for table in tables %}
select '{{ table }}' as table_name, marts.account_id
from {{ ref(table) }} as marts
inner join account_ids on marts.account_id = account_ids.source_account_id
union all
{% endfor %}
select 'mart_alerts' as table_name, alerts.subject_id as account_id
from {{ ref('mart_alerts') }} as alerts
inner join account_ids on alerts.subject_id = account_ids.source_account_id
where alerts.subject_type = 'account'
