-- Grain: account as the source names it ('' without one) x feature x local month; rows of 0 events are left where all went.
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['source_account_id', 'feature_key', 'month'],
    pre_hook='{{ start_over_unless(counted_so_far()) }}',
) }}
{{ usage_months(by='feature_key') }}
