-- Grain: quarter x cut. Mean rating by customers at the end of onboarding; csm = who ran the onboarding.
with cells as (
    {{ kpi_rollup(
        kpi_id='onboarding_rating',
        facts=ref('int_onboarding_rating_facts'),
        periods=['quarter'],
        actor='csm_user_id',
        sums={
            'answers': 'count(*)',
            'positive': 'count(case when is_positive then 1 end)',
            'score_sum': 'sum(score)',
            'share_sum': exact_sum('score_share'),
        },
        numerator='score_sum',
        denominator='answers',
        n='answers',
        suppressed='answers < ' ~ var('min_responses_onboarding'),
        low_confidence='answers < 30',
        hides=true,
        columns={
            'n_responses': 'cast(answers as bigint)',
            'mean_rating': 'case when not is_suppressed then ' ~ ratio('score_sum', 'answers') ~ ' end',
            'positive_share': 'case when not is_suppressed then ' ~ ratio('positive', 'answers') ~ ' end',
            'is_low': 'not is_suppressed and ' ~ ratio('share_sum', 'answers') ~ ' < 0.625',
        },
    ) }}
),

periods as (
    select * from {{ ref('int_periods') }}
),

final as (
    select
        {%- for column in standard_columns() %}
        cells.{{ column }},
        {%- endfor %}
        cells.n_responses,
        cells.mean_rating,
        cells.positive_share,
        -- a quarter that still runs accuses nobody
        case when cells.is_complete then cells.is_low and coalesce(previous.is_low, false) end as is_consistently_low
    from cells
    inner join periods on cells.period_type = periods.period_type and cells.period_start = periods.period_start
    left join cells as previous
        on
            periods.period_type = previous.period_type
            and periods.previous_period_start = previous.period_start
            and cells.segment_type = previous.segment_type
            and cells.segment_value = previous.segment_value
)

select * from final
