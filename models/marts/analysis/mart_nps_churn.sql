-- Grain: month end whose next 180 days have passed x segment ('all' too). Do those who are unhappy leave more often?
with accounts as (
    select * from {{ ref('int_nps_churn_accounts') }}
),

correlations as (
    select * from {{ ref('int_nps_churn_correlations') }}
),

by_segment as (
    select snapshot_date, 'all' as segment_value, nps_group, is_churned from accounts
    union all
    select snapshot_date, segment as segment_value, nps_group, is_churned from accounts
),

{%- set groups = ['detractor', 'passive', 'promoter', 'non_responder'] %}

counted as (
    select
        snapshot_date,
        segment_value,
        count(*) as n_accounts,
        count(case when is_churned then 1 end) as n_churned,
        {%- for group in groups %}
        count(case when nps_group = '{{ group }}' then 1 end) as {{ group }}_n,
        count(case when nps_group = '{{ group }}' and is_churned then 1 end) as {{ group }}_churned{{ ',' if not loop.last }}
        {%- endfor %}
    from by_segment
    group by snapshot_date, segment_value
),

compared as (
    select
        counted.*,
        passive_n + promoter_n as others_n,
        passive_churned + promoter_churned as others_churned
    from counted
),

final as (
    select
        compared.snapshot_date,
        compared.segment_value,
        cast(compared.n_accounts as bigint) as n_accounts,
        {%- for group in groups %}
        cast(compared.{{ group }}_n as bigint) as {{ group }}_n,
        {{ ratio('compared.' ~ group ~ '_churned', 'compared.' ~ group ~ '_n') }} as {{ group }}_churn_rate,
        {%- endfor %}
        {{ ratio('compared.detractor_churned', 'compared.detractor_n') }}
        / nullif({{ ratio('compared.others_churned', 'compared.others_n') }}, 0) as relative_risk_detractor,
        cast(compared.detractor_churned * compared.others_n - compared.others_churned * compared.detractor_n as double)
        / nullif(sqrt(
            cast(compared.detractor_n as double) * compared.others_n
            * (compared.detractor_churned + compared.others_churned)
            * (compared.detractor_n + compared.others_n - compared.detractor_churned - compared.others_churned)
        ), 0) as phi_detractor_churn,
        correlations.spearman as spearman_nps_vs_next_churn,
        cast(coalesce(correlations.n_months, 0) as bigint) as n_months,
        compared.n_churned < 10 as is_low_confidence
    from compared
    left join correlations
        on compared.snapshot_date = correlations.snapshot_date and compared.segment_value = correlations.segment_value
)

select * from final
