-- Grain: survey response, answered or not, judged once: what it says and whether it can count (decision log, D20, D23).
with responses as (
    select * from {{ ref('stg_surveys__responses') }}
),

surveys as (
    select * from {{ ref('stg_surveys__surveys') }}
),

-- an invitation of the future is not known yet, nor is an unsolicited answer
known as (
    select * from responses
    where responded_at is not null or {{ is_known('sent_at') }}
),

judged as (
    select
        known.response_id,
        known.survey_id,
        surveys.survey_type,
        known.account_id,
        known.contact_id,
        coalesce(known.contact_id, {{ dbt.concat(["'response '", 'known.response_id']) }}) as contact_key,
        known.ticket_id,
        known.onboarding_id,
        known.interaction_type,
        known.related_user_id,
        -- whom an answer about a ticket judges
        case when known.ticket_id is not null then known.related_user_id end as agent,
        known.channel,
        known.sent_on,
        known.responded_at,
        known.responded_on,
        case when known.responded_at is not null then known.score end as score,
        case when known.responded_at is not null then known.comment end as comment,
        known._loaded_at as loaded_at,
        surveys.scale_min,
        surveys.scale_max,
        surveys.higher_is_better,
        surveys.positive_threshold,
        case
            when known.responded_at is null then 'not_answered'
            when surveys.survey_id is null then 'unknown_survey'
            when known.score is null then 'no_score'
            when known.score < surveys.scale_min or known.score > surveys.scale_max then 'out_of_scale'
        end as invalid_reason
    from known
    left join surveys on known.survey_id = surveys.survey_id
),

followed as (
    select
        judged.*,
        invalid_reason is null as is_valid,
        lead(responded_on) over (
            partition by survey_id, contact_key, ticket_id, invalid_reason is null
            order by responded_at nulls last, loaded_at, response_id
        ) as answered_again_on
    from judged
),

final as (
    select
        response_id,
        survey_id,
        survey_type,
        account_id,
        contact_id,
        contact_key,
        ticket_id,
        onboarding_id,
        interaction_type,
        related_user_id,
        agent,
        channel,
        sent_on,
        responded_at,
        responded_on,
        score,
        comment,
        loaded_at,
        is_valid,
        answered_again_on,
        -- of the answers about one ticket only the last of all time is left to count
        is_valid and (ticket_id is null or answered_again_on is null) as is_eligible,
        case
            when not is_valid then invalid_reason
            when ticket_id is not null and answered_again_on is not null then 'superseded'
            when {{ month_of('answered_again_on') }} = {{ month_of('responded_on') }} then 'superseded'
        end as reject_reason,
        case when is_valid and higher_is_better then score >= positive_threshold when is_valid then score <= positive_threshold end
            as is_positive,
        case
            when is_valid and higher_is_better then {{ ratio('(score - scale_min)', '(scale_max - scale_min)') }}
            when is_valid then {{ ratio('(scale_max - score)', '(scale_max - scale_min)') }}
        end as score_share,
        case
            when not is_valid or survey_type <> 'nps' then null
            when score >= 9 then 'promoter'
            when score >= 7 then 'passive'
            else 'detractor'
        end as nps_category
    from followed
)

select * from final
