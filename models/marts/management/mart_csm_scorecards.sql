-- Grain: period x CSM x segment ('all' = whole book); team rows have csm_user_id 'all' (decision log, D113).
{%- set columns = {
    'accounts': 'bigint', 'book_arr': 'decimal(18, 2)', 'nrr': none, 'grr': none, 'gross_renewal_rate': none, 'logo_churn_rate': none,
    'expansion_arr': 'decimal(18, 2)', 'onboarding_rating': none, 'ttv_median_days': none, 'nps': none, 'nps_n': 'bigint',
    'ces_ease_index': none, 'csat_share': none, 'touchpoints': 'bigint', 'weighted_touchpoints': none, 'coverage_rate': none,
    'advocacy_completed': 'bigint', 'green_arr_share': none, 'red_arr_share': none,
} %}
with measures as (
    select * from {{ ref('int_scorecard_measures') }}
),

expectations as (
    select * from {{ ref('int_nrr_expectations') }}
),

csms as (
    select * from {{ ref('dim_csms') }}
),

books as (
    select distinct csm, segment, csm_segment from {{ ref('int_account_cuts') }}
),

subjects as (
    select 'csm' as segment_type, csm_user_id as segment_value, csm_user_id, full_name, team, 'all' as segment from csms
    union all
    select 'csm_segment', books.csm_segment, csms.csm_user_id, csms.full_name, csms.team, books.segment
    from csms
    inner join books on csms.csm_user_id = books.csm
    union all
    select distinct 'team', team, 'all', team, team, 'all' from csms
),

pivoted as (
    select
        period_type,
        period_start,
        segment_type,
        segment_value,
        max(case when measure = 'opening_accounts' then value end) as opening_accounts,
        {%- for column in columns %}
        max(case when measure = '{{ column }}' then value end) as {{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    from measures
    group by period_type, period_start, segment_type, segment_value
),

final as (
    select
        pivoted.period_type,
        pivoted.period_start,
        subjects.csm_user_id,
        subjects.full_name,
        subjects.team,
        subjects.segment as segment_value,
        {%- for column, data_type in columns.items() %}
        {{ 'cast(pivoted.' ~ column ~ ' as ' ~ data_type ~ ') as ' ~ column if data_type else 'pivoted.' ~ column }},
        {%- endfor %}
        pivoted.nrr - expectations.expected_nrr as nrr_vs_segment,
        coalesce(pivoted.opening_accounts, 0) < 10 as is_low_confidence,
        cast(pivoted.opening_accounts as bigint) as opening_accounts
    from pivoted
    inner join subjects
        on pivoted.segment_type = subjects.segment_type and pivoted.segment_value = subjects.segment_value
    left join expectations
        on
            pivoted.period_type = expectations.period_type
            and pivoted.period_start = expectations.period_start
            and pivoted.segment_type = expectations.segment_type
            and pivoted.segment_value = expectations.segment_value
)

select * from final
