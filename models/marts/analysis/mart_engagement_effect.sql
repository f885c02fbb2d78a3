-- Grain: snapshot x segment ('all' too) x engagement band. What followed within 180 days; bands are those within the segment.
with outcomes as (
    select * from {{ ref('int_engagement_outcomes') }}
),

placed as (
    select 'all' as segment_value, outcomes.* from outcomes
    union all
    select segment as segment_value, outcomes.* from outcomes
),

final as (
    select
        snapshot_date,
        segment_value,
        engagement_band,
        cast(count(*) as bigint) as n_accounts,
        {{ ratio('sum(case when is_churned then 1 else 0 end)', 'count(*)') }} as churn_rate_next_180d,
        {{ ratio('sum(case when opening_mrr > 0 then closing_mrr else 0 end)', 'sum(opening_mrr)') }} as nrr_next_180d,
        {{ money(exact(ratio('sum(gross_margin)', 'count(*)'))) }} as gross_margin_per_account,
        {{ ratio('100 * sum(n_advocacy)', 'count(*)') }} as advocacy_per_100_accounts
    from placed
    group by snapshot_date, segment_value, engagement_band
)

select * from final
