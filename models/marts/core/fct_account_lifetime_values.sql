-- Grain: account that ever paid, as of the as-of date; clv_rank 1 and clv_decile 1 are the most valuable.
with lifetimes as (
    select * from {{ ref('int_account_lifetime_values') }}
    where cut_date = {{ as_of_date() }}
),

totals as (
    select lifetimes.*, historical_clv + predicted_remaining_value as predicted_total_clv from lifetimes
),

ranked as (
    select
        totals.*,
        row_number() over (order by predicted_total_clv desc, account_id) as clv_rank,
        ntile(10) over (order by predicted_total_clv desc, account_id) as clv_decile
    from totals
),

final as (
    select
        account_id,
        cut_date as as_of,
        segment,
        {{ money('net_revenue') }} as net_revenue,
        {{ money('acquisition_cost') }} as acquisition_cost,
        {{ money('retention_cost') }} as retention_cost,
        {{ money('historical_clv') }} as historical_clv,
        expected_remaining_months,
        {{ money('predicted_remaining_value') }} as predicted_remaining_value,
        {{ money('predicted_total_clv') }} as predicted_total_clv,
        cast(clv_rank as bigint) as clv_rank,
        cast(clv_decile as integer) as clv_decile,
        {{ ratio('predicted_total_clv', 'acquisition_cost') }} as clv_to_cac,
        {{ money('predicted_total_revenue') }} as predicted_total_revenue
    from ranked
)

select * from final
