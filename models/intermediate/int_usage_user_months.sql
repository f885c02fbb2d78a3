-- Grain: account as the source names it ('' without one) x user x local month; rows of 0 events are left where all went.
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['source_account_id', 'user_id', 'month'],
    pre_hook='{{ start_over_unless(counted_so_far()) }}',
) }}
{{ usage_months(by='user_id') }}
