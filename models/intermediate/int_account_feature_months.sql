-- Grain: account x month x feature with an event, up to the as-of date; internal and unmatched accounts excluded.
with feature_months as (
    select * from {{ ref('int_usage_feature_months') }}
    where n_events > 0
),

account_ids as (
    select * from {{ ref('stg_crm__account_ids') }}
    where not is_internal
),

final as (
    select
        account_ids.account_id,
        feature_months.month,
        feature_months.feature_key,
        cast(sum(feature_months.n_events) as bigint) as n_events
    from feature_months
    inner join account_ids on feature_months.source_account_id = account_ids.source_account_id
    group by account_ids.account_id, feature_months.month, feature_months.feature_key
)

select * from final
