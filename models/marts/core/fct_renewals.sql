-- Grain: contract term that began.
with renewals as (
    select * from {{ ref('int_renewals') }}
),

accounts as (
    select * from {{ ref('int_accounts') }}
),

cuts as (
    select * from {{ ref('int_account_cuts') }}
),

final as (
    select
        renewals.term_id,
        renewals.account_id,
        accounts.account_name,
        renewals.due_date,
        cuts.csm as csm_user_id,
        cuts.segment,
        {{ money('renewals.renewable_arr') }} as renewable_arr,
        {{ money('renewals.renewed_arr') }} as renewed_arr,
        {{ money('renewals.renewed_arr_capped') }} as renewed_arr_capped,
        {{ money('renewals.downsell_arr') }} as downsell_arr,
        {{ money('renewals.churn_arr') }} as churn_arr,
        {{ money('renewals.expansion_arr') }} as expansion_arr,
        renewals.outcome,
        renewals.days_late,
        renewals.auto_renew,
        renewals.cancel_requested_on,
        cast(null as {{ dbt.type_string() }}) as health_colour,
        cast(null as double) as health_score,
        cast(null as {{ dbt.type_string() }}) as top_driver,
        cast(null as integer) as days_since_last_touch,
        cast(null as double) as renewal_probability,
        cast(null as decimal(18, 2)) as expected_renewed_arr
    from renewals
    inner join accounts on renewals.account_id = accounts.account_id
    inner join cuts
        on
            renewals.account_id = cuts.account_id
            and renewals.cut_date >= cuts.valid_from
            and renewals.cut_date < cuts.valid_to
)

select * from final
