-- Grain: period x cut. 100 x (promoters - detractors) / answers, with its adjusted interval and the change on the previous period.
with cells as (
    {{ kpi_rollup(
        kpi_id='net_promoter_score',
        facts=ref('int_nps_facts'),
        own_cuts=['product', 'survey', 'channel', 'onboarding_rating_band', 'trained', 'resolution_time_band'],
        sums={
            'answers': "count(case when role = 'answered' then 1 end)",
            'promoter_answers': "count(case when role = 'answered' and nps_category = 'promoter' then 1 end)",
            'passive_answers': "count(case when role = 'answered' and nps_category = 'passive' then 1 end)",
            'detractor_answers': "count(case when role = 'answered' and nps_category = 'detractor' then 1 end)",
            'weighted_votes': exact_sum("case when role = 'answered' then vote * arr_weight else 0 end"),
            'weights': exact_sum("case when role = 'answered' then arr_weight else 0 end"),
            'followed_up': "count(case when role = 'answered' and is_followed_up_in_time then 1 end)",
            'follow_up_judged': "count(case when role = 'answered' and is_followed_up_in_time is not null then 1 end)",
        },
        distincts={
            'events': ref('int_nps_invitations'), 'entity': 'contact_key', 'event_date': 'sent_on',
            'counts': {'surveyed': 'true', 'surveyed_answered': 'is_valid'},
        },
        statistics={
            'detractor_themes': top_values("case when role = 'spoke' and nps_category = 'detractor' then theme end"),
            'promoter_themes': top_values("case when role = 'spoke' and nps_category = 'promoter' then theme end"),
        },
        numerator='promoter_answers - detractor_answers',
        denominator='answers',
        value=ratio('100 * (promoter_answers - detractor_answers)', 'answers'),
        n='answers',
        suppressed='answers < ' ~ var('min_responses'),
        low_confidence='answers < 30',
        hides=true,
        ci_low='greatest(-100, ' ~ nps_bound('promoter_answers', 'detractor_answers', 'answers', '-') ~ ')',
        ci_high='least(100, ' ~ nps_bound('promoter_answers', 'detractor_answers', 'answers', '+') ~ ')',
        columns={
            'n_surveyed': 'cast(surveyed as bigint)',
            'n_responses': 'cast(answers as bigint)',
            'response_rate': ratio('surveyed_answered', 'surveyed'),
            'promoters': 'cast(promoter_answers as bigint)',
            'passives': 'cast(passive_answers as bigint)',
            'detractors': 'cast(detractor_answers as bigint)',
            'nps_arr_weighted': 'case when not is_suppressed then ' ~ ratio('100 * weighted_votes', 'weights') ~ ' end',
            'promoter_passive_ratio': ratio('promoter_answers', 'passive_answers'),
            'top_detractor_themes': 'detractor_themes',
            'top_promoter_themes': 'promoter_themes',
            'detractors_followed_up_rate': ratio('followed_up', 'follow_up_judged'),
            'adjusted_nps': nps_centre('promoter_answers', 'detractor_answers', 'answers'),
            'adjusted_variance': nps_variance('promoter_answers', 'detractor_answers', 'answers') ~ ' / (answers + 3)',
        },
    ) }}
),

periods as (
    select * from {{ ref('int_periods') }}
),

bands as (
    select * from {{ ref('nps_bands') }}
),

compared as (
    select
        cells.*,
        previous.value as previous_value,
        cells.value - previous.value as change,
        case
            when cells.is_complete and previous.is_complete and cells.value is not null and previous.value is not null
                then
                    abs(cells.adjusted_nps - previous.adjusted_nps)
                    > 1.96 * sqrt(cells.adjusted_variance + previous.adjusted_variance)
        end as is_significant_change
    from cells
    inner join periods on cells.period_type = periods.period_type and cells.period_start = periods.period_start
    left join cells as previous
        on
            periods.period_type = previous.period_type
            and periods.previous_period_start = previous.period_start
            and cells.segment_type = previous.segment_type
            and cells.segment_value = previous.segment_value
),

final as (
    select
        {%- for column in standard_columns() %}
        compared.{{ column }},
        {%- endfor %}
        compared.n_surveyed,
        compared.n_responses,
        compared.response_rate,
        compared.promoters,
        compared.passives,
        compared.detractors,
        compared.nps_arr_weighted,
        case
            when compared.value > coalesce(own_bands.outstanding_above, bands.outstanding_above) then 'outstanding'
            when compared.value > coalesce(own_bands.good_above, bands.good_above) then 'good'
            when compared.value > coalesce(own_bands.positive_above, bands.positive_above) then 'positive'
            when compared.value <= coalesce(own_bands.positive_above, bands.positive_above) then 'not_positive'
        end as nps_band,
        compared.promoter_passive_ratio,
        compared.previous_value,
        compared.change,
        compared.is_significant_change,
        compared.top_detractor_themes,
        compared.top_promoter_themes,
        compared.detractors_followed_up_rate
    from compared
    left join bands on bands.industry = 'all'
    left join bands as own_bands on case when compared.segment_type = 'industry' then compared.segment_value end = own_bands.industry
)

select * from final
