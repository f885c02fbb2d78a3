-- Grain: month x segment_type x segment_value that has an account in it. Two meanings of churn beside the contractual one.
with measured as (
    {{ kpi_rollup(
        kpi_id='dormancy',
        facts=ref('int_dormancy_facts'),
        periods=['month'],
        sums={
            'paying': 'sum(case when is_paying then 1 else 0 end)',
            'dormant': 'sum(case when is_dormant then 1 else 0 end)',
            'silent_mrr': 'sum(case when is_dormant then closing_mrr else 0 end)',
            'stopped': 'sum(case when is_stopped then 1 else 0 end)',
        },
        numerator='dormant',
        denominator='paying',
        n='paying',
        columns={
            'paying_accounts': 'cast(paying as bigint)',
            'dormant_accounts': 'cast(dormant as bigint)',
            'dormant_mrr': money('silent_mrr'),
            'stopped_purchasing_accounts': 'cast(stopped as bigint)',
        },
    ) | indent(4) }}
),

final as (
    select
        period_start as month,
        segment_type,
        segment_value,
        paying_accounts,
        dormant_accounts,
        value as dormant_rate,
        dormant_mrr,
        stopped_purchasing_accounts
    from measured
)

select * from final
