-- Grain: customer that needs action, as of the run; priority = rank within its CSM by ARR x (1 - renewal probability) x number of reasons.
{%- set reasons = ['cancel_requested', 'turned_red', 'champion_gone', 'renewal_due', 'detractor_unanswered', 'no_touch'] %}
with reasons as (
    select * from {{ ref('int_action_reasons') }}
),

overviews as (
    select * from {{ ref('int_account_overviews') }}
),

playbooks as (
    select * from {{ ref('playbooks') }}
),

{#- one text in the order of the reasons, each but the first with its separator #}
told as (
    select
        account_id,
        {%- for reason in reasons %}
        max(case when reason = '{{ reason }}' then reason_text end) as {{ reason }},
        {%- endfor %}
        count(*) as n_reasons
    from reasons
    group by account_id
),

joined as (
    select
        account_id,
        {%- set parts = [] %}
        {%- for reason in reasons %}
            {%- if not loop.first %}
                {%- set earlier = 'coalesce(' ~ (reasons[:loop.index0] | join(', ')) ~ ')' %}
                {%- do parts.append('case when ' ~ reason ~ ' is not null and ' ~ earlier ~ " is not null then '; ' else '' end") %}
            {%- endif %}
            {%- do parts.append('coalesce(' ~ reason ~ ", '')") %}
        {%- endfor %}
        {{ dbt.concat(parts) }} as reason,
        n_reasons
    from told
),

-- the most urgent reason; of its playbooks the one that names the stage, then the one that names the segment
suggested as (
    select
        reasons.account_id,
        playbooks.suggested_playbook,
        row_number() over (
            partition by reasons.account_id
            order by
                playbooks.reason_rank,
                case when playbooks.lifecycle_stage = '*' then 1 else 0 end,
                case when playbooks.segment = '*' then 1 else 0 end
        ) as playbook_rank
    from reasons
    inner join overviews on reasons.account_id = overviews.account_id
    inner join playbooks
        on
            reasons.reason = playbooks.reason
            and playbooks.segment in ('*', overviews.segment)
            and playbooks.lifecycle_stage in ('*', overviews.lifecycle_stage)
),

final as (
    select
        {{ as_of_date() }} as as_of,
        overviews.csm_user_id,
        cast(row_number() over (
            partition by overviews.csm_user_id
            order by
                cast(overviews.mrr as double) * (1 - coalesce(overviews.renewal_probability, 0)) * joined.n_reasons desc,
                overviews.mrr desc,
                overviews.account_id
        ) as bigint) as priority,
        overviews.account_id,
        overviews.account_name,
        {{ money('12 * overviews.mrr') }} as arr,
        overviews.health_colour,
        overviews.score_change,
        overviews.next_renewal_on,
        joined.reason,
        suggested.suggested_playbook,
        overviews.last_touch_on,
        overviews.open_action_id,
        overviews.renewal_probability
    from joined
    inner join overviews on joined.account_id = overviews.account_id
    left join suggested on joined.account_id = suggested.account_id and suggested.playbook_rank = 1
)

select * from final
