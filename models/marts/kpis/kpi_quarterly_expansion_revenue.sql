-- Grain: quarter x cut. Ledger expansion x 12, by the owner on the day of the movement, and three red flags.
with rolled as (
    {{ kpi_rollup(
        kpi_id='quarterly_expansion_revenue',
        facts="(select * from " ~ ref('int_mrr_movements') ~ " where movement_type = 'expansion')",
        event_date='movement_date',
        periods=['quarter'],
        sums={
            'expansion': 'sum(amount)',
            'upsell': "sum(case when movement_subtype = 'upsell_quantity' then amount else 0 end)",
            'cross_sell': "sum(case when movement_subtype = 'cross_sell' then amount else 0 end)",
            'price': "sum(case when movement_subtype = 'upgrade_price' then amount else 0 end)",
        },
        distincts={'entity': 'account_id', 'counts': {'expanded_accounts': 'true'}},
        value='12 * expansion',
        n='expanded_accounts',
        columns={
            'expansion_mrr': money('expansion'),
            'expansion_arr': money('12 * expansion'),
            'upsell_arr': money('12 * upsell'),
            'cross_sell_arr': money('12 * cross_sell'),
            'price_arr': money('12 * price'),
        },
    ) | indent(4) }}
),

csms as (
    select * from {{ ref('dim_csms') }}
),

compared as (
    select
        rolled.*,
        lag(value) over (partition by segment_type, segment_value order by period_start) as previous_value,
        lag(value, 2) over (partition by segment_type, segment_value order by period_start) as value_before_previous
    from rolled
),

-- everyone who was a CSM all the quarter counts in the average, with zero where nothing expanded
active_csms as (
    select compared.period_start, csms.csm_user_id, max(case when compared.segment_value = csms.csm_user_id then compared.value end) as value
    from compared
    inner join csms
        on csms.active_from <= compared.period_start and (csms.active_to is null or csms.active_to > compared.period_end)
    where compared.segment_type in ('all', 'csm')
    group by compared.period_start, csms.csm_user_id
),

averages as (
    select period_start, {{ exact_mean('coalesce(value, 0)') }} as mean_value from active_csms group by period_start
),

final as (
    select
        compared.kpi_id,
        compared.period_type,
        compared.period_start,
        compared.period_end,
        compared.segment_type,
        compared.segment_value,
        compared.numerator,
        compared.denominator,
        compared.value,
        compared.n,
        compared.ci_low,
        compared.ci_high,
        compared.is_complete,
        compared.is_suppressed,
        compared.is_low_confidence,
        compared.expansion_mrr,
        compared.expansion_arr,
        compared.upsell_arr,
        compared.cross_sell_arr,
        compared.price_arr,
        {{ ratio('(compared.value - compared.previous_value)', 'compared.previous_value') }} as pct_change_vs_previous,
        coalesce(
            compared.is_complete and compared.value - compared.previous_value <= -0.3 * compared.previous_value and compared.previous_value > 0,
            false
        ) as is_sudden_drop,
        coalesce(
            compared.is_complete
            and compared.value < compared.previous_value
            and compared.previous_value < compared.value_before_previous,
            false
        ) as is_consistent_decrease,
        coalesce(
            compared.is_complete and active_csms.csm_user_id is not null and compared.value < averages.mean_value, false
        ) as is_below_team_average,
        {{ money('averages.mean_value') }} as team_average_arr
    from compared
    left join averages on compared.period_start = averages.period_start
    left join active_csms
        on
            compared.period_start = active_csms.period_start
            and case when compared.segment_type = 'csm' then compared.segment_value end = active_csms.csm_user_id
)

select * from final
