-- Grain: customer x day to be scored that answered a survey: what NPS and CSAT said in their windows.
with customers as (
    select * from {{ ref('int_health_accounts') }}
),

answers as (
    select * from {{ ref('int_survey_answers') }}
    where is_valid and survey_type in ('nps', 'csat')
),

windows as (
    select distinct case when component = 'nps' then 'nps' else 'csat' end as survey_type, window_days
    from {{ ref('health_component_rules') }}
    where component in ('nps', 'support_csat')
),

surveyed as (
    select
        customers.account_id,
        customers.score_date,
        answers.survey_type,
        answers.score,
        answers.is_positive,
        answers.responded_on,
        row_number() over (
            partition by customers.account_id, customers.score_date, answers.survey_type, answers.contact_key
            order by answers.responded_at desc, answers.loaded_at desc, answers.response_id desc
        ) as recency
    from customers
    inner join answers
        on
            customers.account_id = answers.account_id
            and customers.score_date >= answers.responded_on
    inner join windows
        on
            answers.survey_type = windows.survey_type
            and {{ add_days('customers.score_date', '-windows.window_days') }} < answers.responded_on
    -- an answer counts until the day of the one that takes its place
    where answers.reject_reason is null or answers.answered_again_on > customers.score_date
),

final as (
    select
        account_id,
        score_date,
        avg(case when survey_type = 'nps' and recency = 1 then cast(score as double) end) as mean_nps,
        count(case when survey_type = 'nps' and recency = 1 then 1 end) as n_nps,
        max(case when survey_type = 'nps' then responded_on end) as nps_on,
        count(case when survey_type = 'csat' then 1 end) as n_csat,
        count(case when survey_type = 'csat' and is_positive then 1 end) as n_satisfied,
        max(case when survey_type = 'csat' then responded_on end) as csat_on
    from surveyed
    group by account_id, score_date
)

select * from final
