-- Grain: account as the source names it ('' without one) x feature x local month; rows of 0 events are left where all went.
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['source_account_id', 'feature_key', 'month'],
    pre_hook='{{ usage_reset() }}',
) }}
{{ usage_months(by='feature_key') }}
