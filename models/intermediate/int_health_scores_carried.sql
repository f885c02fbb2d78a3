-- Grain: account x snapshot day published up to the as-of day: as it was, in today's reporting currency (decision log, D90).
{{ config(materialized='view') }}
with scores as (
    select * from {{ source('history', 'fct_health_scores') }}
    where score_date <= {{ as_of_date() }}
),

-- one row, whatever the last publication says of itself: no score is lost for it
publication as (
    select max(reporting_currency) as reporting_currency from {{ source('history', 'meta_publication') }}
),

rates as (
    select * from {{ ref('int_exchange_rates') }}
),

{%- set columns = [
    'account_id', 'score_date', 'segment', 'csm_user_id', 'score', 'colour', 'manual_colour', 'is_manual_disagreement',
    'weight_coverage', 'n_components_missing', 'top_driver', 'top_driver_points_lost', 'drivers_text', 'previous_score',
    'score_change', 'is_drop_alert', 'is_turned_red',
] %}

final as (
    select
        {%- for column in columns %}
        scores.{{ column }},
        {%- endfor %}
        {{ money(convert('scores.current_mrr', 'rates.rate')) }} as current_mrr
    from scores
    cross join publication
    left join rates on {{ rate_on('rates', 'publication.reporting_currency', 'scores.score_date') }}
)

select * from final
