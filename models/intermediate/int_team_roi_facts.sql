-- Grain: quarter x piece of what the team costs and brings, each with the CSM it is credited to (decision log, D103).
{{ config(materialized='view') }}
{%- set measures = ['cs_cost', 'book_arr', 'n_accounts', 'expansion_arr', 'saved_arr', 'advocacy_influenced_arr'] %}
with periods as (
    select * from {{ ref('int_periods') }}
    where period_type = 'quarter'
),

owners as (
    select * from {{ ref('int_account_owners') }}
),

costs as (
    select * from {{ ref('int_team_costs') }}
),

customers as (
    select * from {{ ref('int_account_periods') }}
    where period_type = 'quarter' and closing_state <> 'gone'
),

expansions as (
    select * from {{ ref('int_mrr_movements') }}
    where movement_type = 'expansion'
),

saved as (
    select * from {{ ref('int_saved_renewals') }}
),

advocacy as (
    select * from {{ ref('int_advocacy_facts') }}
    where period_type = 'quarter' and n_completed = 1
),

by_account as (
    select period_start, account_id, closing_date as happened_on, 'book_arr' as measure, {{ exact('12 * closing_mrr') }} as amount
    from customers
    union all
    select period_start, account_id, closing_date as happened_on, 'n_accounts' as measure, 1 as amount
    from customers
    union all
    select
        periods.period_start,
        expansions.account_id,
        expansions.movement_date as happened_on,
        'expansion_arr' as measure,
        {{ exact('12 * expansions.amount') }} as amount
    from periods
    inner join expansions
        on expansions.movement_date >= periods.period_start and expansions.movement_date <= periods.closing_date
    union all
    select period_start, account_id, due_date as happened_on, 'saved_arr' as measure, saved_arr as amount
    from saved
),

credited as (
    select
        by_account.period_start,
        by_account.account_id,
        by_account.happened_on,
        owners.csm_user_id,
        by_account.measure,
        by_account.amount
    from by_account
    inner join owners
        on
            by_account.account_id = owners.account_id
            and by_account.happened_on >= owners.valid_from
            and by_account.happened_on < owners.valid_to
    union all
    select period_start, account_id, cut_date as happened_on, csm_user_id, 'cs_cost' as measure, cs_cost as amount
    from costs
    union all
    select
        period_start,
        account_id,
        cut_date as happened_on,
        user_id as csm_user_id,
        'advocacy_influenced_arr' as measure,
        influenced_arr as amount
    from advocacy
),

final as (
    select
        'quarter' as period_type,
        period_start,
        happened_on as cut_date,
        account_id,
        -- the roll-up names what belongs to nobody
        nullif(csm_user_id, 'unassigned') as csm_user_id,
        {%- for measure in measures %}
        case when measure = '{{ measure }}' then amount else 0 end as {{ measure }}{{ ',' if not loop.last }}
        {%- endfor %}
    from credited
)

select * from final
