-- Grain: account as of the as-of date: what queues, alerts and the account page share.
with accounts as (
    select * from {{ ref('dim_accounts') }}
),

balances as (
    select account_id, closing_mrr from {{ ref('int_account_periods') }}
    where period_type = 'month' and closing_date = {{ as_of_date() }}
),

scores as (
    select
        fct_health_scores.*,
        row_number() over (partition by account_id order by score_date desc) as recency
    from {{ ref('fct_health_scores') }} as fct_health_scores
),

renewals as (
    select
        fct_renewals.*,
        row_number() over (partition by account_id order by due_date, term_id) as term_rank
    from {{ ref('fct_renewals') }} as fct_renewals
    where outcome = 'upcoming'
),

probabilities as (
    select * from {{ ref('int_renewal_probabilities') }}
),

touches as (
    select account_id, max(occurred_on) as last_touch_on
    from {{ ref('int_activities_weighed') }}
    where is_touchpoint and occurred_on <= {{ as_of_date() }}
    group by account_id
),

cancel_requests as (
    select account_id, min(cancel_requested_on) as cancel_requested_on
    from {{ ref('stg_billing__subscriptions') }}
    where cancel_requested_on <= {{ as_of_date() }} and (ended_on is null or ended_on > {{ as_of_date() }})
    group by account_id
),

actions as (
    select
        account_id,
        action_id,
        count(*) over (partition by account_id) as n_open,
        row_number() over (partition by account_id order by opened_at desc, action_id desc) as recency
    from {{ ref('stg_cs__actions') }}
    where closed_at is null and account_id is not null
),

answers as (
    select
        account_id,
        score,
        responded_on,
        row_number() over (
            partition by account_id order by responded_at desc, loaded_at desc, response_id desc
        ) as recency
    from {{ ref('int_survey_answers') }}
    where survey_type = 'nps' and reject_reason is null and account_id is not null
),

final as (
    select
        accounts.account_id,
        accounts.account_name,
        accounts.segment,
        accounts.lifecycle_stage,
        accounts.csm_user_id,
        accounts.customer_since,
        accounts.is_customer,
        accounts.is_customer and not accounts.is_paused as is_paying,
        coalesce(balances.closing_mrr, 0) as mrr,
        scores.score as health_score,
        scores.colour as health_colour,
        scores.drivers_text,
        scores.score_change,
        coalesce(scores.is_drop_alert, false) as is_drop_alert,
        coalesce(scores.is_turned_red, false) as is_turned_red,
        renewals.due_date as next_renewal_on,
        coalesce(renewals.renewal_probability, probabilities.renewal_probability) as renewal_probability,
        touches.last_touch_on,
        cancel_requests.cancel_requested_on,
        coalesce(actions.n_open, 0) as n_open_actions,
        actions.action_id as open_action_id,
        answers.score as last_nps,
        answers.responded_on as last_nps_on
    from accounts
    left join balances on accounts.account_id = balances.account_id
    -- a score of somebody who has left says nothing about today
    left join scores
        on case when accounts.is_customer then accounts.account_id end = scores.account_id and scores.recency = 1
    left join renewals on accounts.account_id = renewals.account_id and renewals.term_rank = 1
    left join probabilities
        on coalesce(scores.colour, 'unknown') = probabilities.health_colour and accounts.segment = probabilities.segment
    left join touches on accounts.account_id = touches.account_id
    left join cancel_requests on accounts.account_id = cancel_requests.account_id
    left join actions on accounts.account_id = actions.account_id and actions.recency = 1
    left join answers on accounts.account_id = answers.account_id and answers.recency = 1
)

select * from final
