-- Grain: month end whose next 180 days have passed x customer on it: what its contacts said, and whether it left (decision log, D30).
with snapshots as (
    select period_end as snapshot_date from {{ ref('int_periods') }}
    where period_type = 'month' and is_complete and {{ add_days('period_end', 180) }} <= {{ as_of_date() }}
),

states as (
    select * from {{ ref('int_account_states') }}
),

accounts as (
    select * from {{ ref('int_accounts') }}
),

answers as (
    select * from {{ ref('int_survey_answers') }}
    where survey_type = 'nps' and is_valid and account_id is not null
),

customers as (
    select snapshots.snapshot_date, states.account_id, accounts.segment
    from snapshots
    inner join states
        on states.valid_from <= snapshots.snapshot_date and states.valid_to > snapshots.snapshot_date and states.state <> 'gone'
    inner join accounts on states.account_id = accounts.account_id
),

recent as (
    select
        snapshots.snapshot_date,
        answers.account_id,
        answers.score,
        row_number() over (
            partition by snapshots.snapshot_date, answers.account_id, answers.contact_key
            order by answers.responded_at desc, answers.loaded_at desc, answers.response_id desc
        ) as recency
    from snapshots
    inner join answers
        on
            answers.responded_on <= snapshots.snapshot_date
            and answers.responded_on > {{ add_days('snapshots.snapshot_date', -180) }}
),

scores as (
    select snapshot_date, account_id, avg(cast(score as double)) as mean_score from recent
    where recency = 1
    group by snapshot_date, account_id
),

departures as (
    select distinct snapshots.snapshot_date, states.account_id
    from snapshots
    inner join states
        on
            states.movement_type = 'churn'
            and states.valid_from > snapshots.snapshot_date
            and states.valid_from <= {{ add_days('snapshots.snapshot_date', 180) }}
),

final as (
    select
        customers.snapshot_date,
        customers.account_id,
        customers.segment,
        case
            when scores.mean_score < 7 then 'detractor'
            when scores.mean_score < 9 then 'passive'
            when scores.mean_score is not null then 'promoter'
            else 'non_responder'
        end as nps_group,
        departures.account_id is not null as is_churned
    from customers
    left join scores on customers.snapshot_date = scores.snapshot_date and customers.account_id = scores.account_id
    left join departures
        on customers.snapshot_date = departures.snapshot_date and customers.account_id = departures.account_id
)

select * from final
