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

healths as (
    select * from {{ ref('int_renewal_healths') }}
),

probabilities as (
    select * from {{ ref('int_renewal_probabilities') }}
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
        healths.health_colour,
        healths.health_score,
        healths.top_driver,
        healths.days_since_last_touch,
        -- what has happened has no probability
        case when renewals.outcome = 'upcoming' then probabilities.renewal_probability end as renewal_probability,
        case
            when renewals.outcome = 'upcoming'
                then {{ money('cast(renewals.renewable_arr as double) * probabilities.renewal_probability') }}
        end as expected_renewed_arr,
        case when renewals.outcome = 'upcoming' then probabilities.renewal_probability_n end as renewal_probability_n
    from renewals
    inner join accounts on renewals.account_id = accounts.account_id
    inner join cuts
        on
            renewals.account_id = cuts.account_id
            and renewals.cut_date >= cuts.valid_from
            and renewals.cut_date < cuts.valid_to
    inner join healths on renewals.term_id = healths.term_id
    left join probabilities
        on coalesce(healths.health_colour, 'unknown') = probabilities.health_colour and healths.segment = probabilities.segment
)

select * from final
