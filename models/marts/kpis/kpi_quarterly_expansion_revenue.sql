-- Grain: quarter x cut. Ledger expansion x 12, by the owner on the day of the movement, and three red flags.
with rolled as (
    {{ kpi_rollup(
        kpi_id='quarterly_expansion_revenue',
        facts=ref('int_expansion_facts'),
        event_date='happened_on',
        months={'first': ['opening_customers'], 'last': []},
        periods=['quarter'],
        sums={
            'expansion': 'sum(amount)',
            'upsell': "sum(case when movement_subtype = 'upsell_quantity' then amount else 0 end)",
            'cross_sell': "sum(case when movement_subtype = 'cross_sell' then amount else 0 end)",
            'price': "sum(case when movement_subtype = 'upgrade_price' then amount else 0 end)",
            'opening_customers': 'sum(is_opening_customer)',
        },
        distincts={
            'entity': 'account_id',
            'counts': {'expanded_accounts': 'true'},
            'events': '(select * from facts where is_opening_customer = 0)',
        },
        value='12 * expansion',
        n='expanded_accounts',
        suppressed=few_accounts('opening_customers'),
        columns={
            'expansion_mrr': money('expansion'),
            'expansion_arr': money('12 * expansion'),
            'upsell_arr': money('12 * upsell'),
            'cross_sell_arr': money('12 * cross_sell'),
            'price_arr': money('12 * price'),
        },
    ) | indent(4) }}
),

-- by their role: who only covered an account for a while (dim_csms holds them) would be a zero in every quarter's average
csms as (
    select * from {{ ref('stg_crm__users') }}
    where role = 'csm'
),

quarters as (
    select period_start from {{ ref('int_periods') }}
    where period_type = 'quarter'
),

cuts as (
    select distinct segment_type, segment_value from rolled
),

-- a cut has no row of a quarter in which it held nobody: it earned 0 then, and that is what the next quarter compares with
earlier as (
    select
        quarters.period_start,
        cuts.segment_type,
        cuts.segment_value,
        {%- for name, quarters_back in [('previous_value', 1), ('value_before_previous', 2)] %}
        lag(coalesce(rolled.value, 0), {{ quarters_back }}) over (
            partition by cuts.segment_type, cuts.segment_value order by quarters.period_start
        ) as {{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from quarters
    cross join cuts
    left join rolled
        on
            quarters.period_start = rolled.period_start
            and cuts.segment_type = rolled.segment_type
            and cuts.segment_value = rolled.segment_value
),

-- everyone who was a CSM all the quarter counts in the average, with zero where nothing expanded
active_csms as (
    select rolled.period_start, csms.user_id as csm_user_id, max(case when rolled.segment_value = csms.user_id then rolled.value end) as value
    from rolled
    inner join csms
        on csms.active_from <= rolled.period_start and (csms.active_to is null or csms.active_to > rolled.period_end)
    where rolled.segment_type in ('all', 'csm')
    group by rolled.period_start, csms.user_id
),

averages as (
    select period_start, {{ exact_mean('coalesce(value, 0)') }} as mean_value from active_csms group by period_start
),

final as (
    select
        rolled.*,
        {{ ratio('(rolled.value - earlier.previous_value)', 'earlier.previous_value') }} as pct_change_vs_previous,
        coalesce(
            -- a fall of exactly 30 % is one, whatever binary fractions make of it
            rolled.is_complete and round(rolled.value - 0.7 * earlier.previous_value, 9) <= 0 and earlier.previous_value > 0,
            false
        ) as is_sudden_drop,
        coalesce(
            rolled.is_complete
            and rolled.value < earlier.previous_value
            and earlier.previous_value < earlier.value_before_previous,
            false
        ) as is_consistent_decrease,
        coalesce(
            rolled.is_complete and active_csms.csm_user_id is not null and rolled.value < averages.mean_value, false
        ) as is_below_team_average,
        {{ money('averages.mean_value') }} as team_average_arr
    from rolled
    inner join earlier
        on
            rolled.period_start = earlier.period_start
            and rolled.segment_type = earlier.segment_type
            and rolled.segment_value = earlier.segment_value
    left join averages on rolled.period_start = averages.period_start
    left join active_csms
        on
            rolled.period_start = active_csms.period_start
            and case when rolled.segment_type = 'csm' then rolled.segment_value end = active_csms.csm_user_id
)

select * from final
