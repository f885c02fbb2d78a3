-- Grain: account x snapshot day x component; appended, never recomputed.
{%- set columns = [
    'account_id', 'score_date', 'component', 'raw_value', 'component_score', 'weight', 'effective_weight', 'points_lost',
    'is_missing', 'data_as_of',
] %}
with accounts as (
    select account_id from {{ ref('int_accounts') }}
),

published as (
    select * from {{ source('history', 'fct_health_components') }}
    where score_date <= {{ as_of_date() }}
),

tonight as (
    select * from {{ ref('int_health_components') }}
),

remembered as (
    select {% for column in columns %}published.{{ column }}{{ ', ' if not loop.last }}{% endfor %}
    from published
    inner join accounts on published.account_id = accounts.account_id
),

final as (
    select {{ columns | join(', ') }} from remembered
    union all
    select {{ columns | join(', ') }} from tonight
)

select * from final
