-- Grain: month-end snapshot x segment ('all' too) x horizon in days that has fully passed. Did red leave more than green (decision log, D106)?
{%- set colours = ['red', 'yellow', 'green'] %}
with scores as (
    select * from {{ ref('int_health_scores') }}
    where score_date = {{ add_days(add_months(month_of('score_date'), 1), -1) }}
),

accounts as (
    select * from {{ ref('int_accounts') }}
),

states as (
    select * from {{ ref('int_account_states') }}
),

horizons as (
    {%- for days in [30, 90, 180] %}
    select {{ days }} as horizon_days
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

left_later as (
    select scores.account_id, scores.score_date, min(states.valid_from) as churned_on
    from scores
    inner join states
        on scores.account_id = states.account_id and states.movement_type = 'churn' and states.valid_from > scores.score_date
    group by scores.account_id, scores.score_date
),

-- of the customers of that day as known today: a published score may be about an account that had left, or is internal since
observed as (
    select
        scores.account_id,
        accounts.segment,
        scores.score_date as snapshot_date,
        scores.score,
        scores.colour,
        case scores.manual_colour when 'red' then 1 when 'yellow' then 2 when 'green' then 3 end as manual_rank,
        left_later.churned_on
    from scores
    inner join accounts on scores.account_id = accounts.account_id
    inner join states on scores.account_id = states.account_id and states.state <> 'gone'
    left join left_later on scores.account_id = left_later.account_id and scores.score_date = left_later.score_date
    where scores.score_date >= states.valid_from and scores.score_date < states.valid_to
),

by_segment as (
    select observed.*, 'all' as segment_value from observed
    union all
    select observed.*, segment as segment_value from observed
),

-- mean rank of ties: the rank sum of the churned gives the AUC (Mann and Whitney)
ranked as (
    select
        by_segment.*,
        {%- for measure in ['score', 'manual_rank'] %}
        case
            when {{ measure }} is not null
                then rank() over (partition by snapshot_date, segment_value order by {{ measure }} nulls last)
                    + (count(*) over (partition by snapshot_date, segment_value, {{ measure }}) - 1) / 2.0
        end as {{ measure }}_position{{ ',' if not loop.last }}
        {%- endfor %}
    from by_segment
),

judged as (
    select
        ranked.*,
        horizons.horizon_days,
        case when ranked.churned_on <= {{ add_days('ranked.snapshot_date', 'horizons.horizon_days') }} then 1 else 0 end as is_churned
    from ranked
    cross join horizons
    where {{ add_days('ranked.snapshot_date', 'horizons.horizon_days') }} <= {{ as_of_date() }}
),

{%- set cell = 'snapshot_date, horizon_days, segment_value' %}

summed as (
    select
        {{ cell }},
        count(*) as n_accounts,
        sum(is_churned) as n_churned,
        {%- for colour in colours %}
        count(case when colour = '{{ colour }}' then 1 end) as {{ colour }}_n,
        sum(case when colour = '{{ colour }}' then is_churned else 0 end) as {{ colour }}_churned,
        {%- endfor %}
        {%- for measure in ['score', 'manual_rank'] %}
        cast(sum(case when is_churned = 1 then {{ measure }}_position end) as double) as {{ measure }}_position_sum,
        cast(count(case when is_churned = 1 then {{ measure }} end) as double) as {{ measure }}_churned,
        cast(count(case when is_churned = 0 then {{ measure }} end) as double) as {{ measure }}_stayed{{ ',' if not loop.last }}
        {%- endfor %}
    from judged
    group by {{ cell }}
),

final as (
    select
        snapshot_date,
        segment_value,
        horizon_days,
        n_accounts,
        cast(n_churned as bigint) as n_churned,
        {{ ratio('n_churned', 'n_accounts') }} as base_churn_rate,
        {%- set pairs_lost = '(score_position_sum - score_churned * (score_churned + 1) / 2)' %}
        1 - {{ ratio(pairs_lost, '(score_churned * score_stayed)') }} as auc,
        {%- for colour in colours %}
        {{ colour }}_n,
        {{ ratio(colour ~ '_churned', colour ~ '_n') }} as {{ colour }}_churn_rate,
        {{ ratio(colour ~ '_churned', colour ~ '_n') }} / nullif({{ ratio('n_churned', 'n_accounts') }}, 0) as {{ colour }}_lift,
        {%- endfor %}
        {{ ratio('red_churned', 'n_churned') }} as red_recall,
        {%- set pairs_lost = '(manual_rank_position_sum - manual_rank_churned * (manual_rank_churned + 1) / 2)' %}
        1 - {{ ratio(pairs_lost, '(manual_rank_churned * manual_rank_stayed)') }} as manual_auc,
        n_churned < 10 as is_low_confidence
    from summed
)

select * from final
