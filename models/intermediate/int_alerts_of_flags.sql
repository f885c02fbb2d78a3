-- Grain: alert rule x cut whose KPI table says of the last complete period that it holds (decision log, D108).
{%- set no_number = 'cast(null as double)' %}
with last_complete as (
    select period_type, max(period_start) as period_start
    from {{ ref('int_periods') }}
    where is_complete
    group by period_type
),

promoters as (
    select scores.*, case when not is_suppressed then promoter_passive_ratio end as ratio
    from {{ ref('kpi_net_promoter_score') }} as scores
    where segment_type in ('all', 'segment') and is_complete
),

expansions as (
    select * from {{ ref('kpi_quarterly_expansion_revenue') }}
    where segment_type in ('all', 'team', 'csm') and not is_suppressed
),

first_values as (
    select
        times.*,
        lag(km_median_days) over (partition by segment_type, segment_value order by period_start) as previous_median,
        row_number() over (partition by segment_type, segment_value order by period_start desc) as recency
    from {{ ref('kpi_time_to_first_value') }} as times
    where
        period_type = 'month'
        and segment_type in ('all', 'segment')
        and period_end <= {{ add_days(as_of_date(), -90) }}
),

-- every complete period of a cut stands in the table: one that is suppressed breaks a run
ratios as (
    select
        promoters.*,
        lag(ratio) over (partition by period_type, segment_type, segment_value order by period_start) as previous_ratio,
        row_number() over (partition by period_type, segment_type, segment_value order by period_start) as period_number
    from promoters
),

-- how many periods in a row up to this one fell
runs as (
    select
        ratios.*,
        period_number - max(case when ratio < previous_ratio then 0 else period_number end) over (
            partition by period_type, segment_type, segment_value order by period_number
        ) as n_falls
    from ratios
),

rules as (
    select * from {{ ref('alert_rules') }}
),

flagged as (
    select 'nps_dip' as alert_type, period_type, period_start, segment_type, segment_value,
        value, previous_value as previous, {{ no_number }} as threshold, 'points' as unit
    from promoters
    where is_significant_change and change < 0
    union all
    select 'promoter_passive_ratio_falling', runs.period_type, runs.period_start, runs.segment_type, runs.segment_value,
        runs.ratio, runs.previous_ratio, runs.previous_ratio, 'points'
    from runs
    inner join rules on rules.alert_type = 'promoter_passive_ratio_falling' and runs.n_falls >= rules.threshold
    union all
    select 'expansion_sudden_drop', expansions.period_type, expansions.period_start, expansions.segment_type,
        expansions.segment_value, expansions.pct_change_vs_previous, {{ no_number }}, rules.threshold, 'ratio'
    from expansions
    inner join rules
        on rules.alert_type = 'expansion_sudden_drop' and round(expansions.pct_change_vs_previous, 9) <= rules.threshold
    union all
    select 'expansion_consistent_decrease', period_type, period_start, segment_type, segment_value,
        value, {{ no_number }}, {{ no_number }}, 'money'
    from expansions
    where is_consistent_decrease
    union all
    select 'expansion_below_team_average', period_type, period_start, segment_type, segment_value,
        value, {{ no_number }}, team_average_arr, 'money'
    from expansions
    where is_below_team_average
    union all
    select 'onboarding_consistently_low', period_type, period_start, segment_type, segment_value,
        value, {{ no_number }}, 3.5, 'points'
    from {{ ref('kpi_onboarding_rating') }}
    where segment_type = 'csm' and is_consistently_low
    union all
    select 'time_to_value_worse', period_type, period_start, segment_type, segment_value,
        km_median_days, previous_median, {{ no_number }}, 'days'
    from first_values
    where recency = 1 and km_median_days > previous_median
),

final as (
    select
        flagged.alert_type,
        rules.kpi_id,
        case
            when rules.subject_type = 'csm' then flagged.segment_value
            else {{ dbt.concat(['flagged.segment_type', "'/'", 'flagged.segment_value']) }}
        end as subject_id,
        flagged.segment_type,
        flagged.segment_value,
        flagged.period_start,
        flagged.value,
        flagged.previous,
        flagged.threshold,
        flagged.unit
    from flagged
    inner join rules on flagged.alert_type = rules.alert_type and flagged.period_type = rules.period_type
    left join last_complete on flagged.period_type = last_complete.period_type
    -- cohorts that are old enough to be judged are older than the last complete month
    where flagged.period_start = last_complete.period_start or flagged.alert_type = 'time_to_value_worse'
)

select * from final
