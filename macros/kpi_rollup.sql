{#- The one way a KPI becomes a table: place component facts in periods and cuts, sum, divide, suppress.

    facts        relation with account_id, and period_type, period_start, cut_date (the day whose owner and bands apply);
                 with event_date given, only that day: it is placed in every period that contains it
    months       instead: the facts are of a `month`, all sums of a period add up from its months but those named here:
                 {first: sums of its first month alone, last: of its last alone}
    sums         {name: aggregate}: 0 where a cell has no facts      statistics  {name: aggregate}: NULL there
    distincts    {events: relation of one row an event, entity, event_date, counts: {name: condition}}: how many entities
                 have such an event in the period, each once however many it has
    columns      {published column: expression of sums and statistics}, in the order of the contract
    value        defaults to numerator / denominator; `hides` makes it NULL where suppressed
    own_cuts     further columns of the facts that are cuts of this KPI alone
    actor        column of the facts naming who acted: replaces the owner in the csm cuts -#}

{% macro cut_columns() -%}
    {{ return(['segment', 'industry', 'country', 'tenure_band', 'lifecycle_stage', 'plan', 'csm', 'team', 'csm_segment']) }}
{%- endmacro %}

{#- The cuts of an account on a day, and its rows' own ones; without an account, unknown. -#}
{% macro cut_values(relation, cuts, own_cuts) -%}
        {%- for cut in cuts %}
        coalesce(cuts.{{ cut }}, '{{ 'unknown/unknown' if cut == 'csm_segment' else 'unknown' }}') as cut_{{ cut }},
        {%- endfor %}
        {%- for cut in own_cuts %}
        coalesce({{ relation }}.{{ cut }}, 'unknown') as cut_{{ cut }},
        {%- endfor %}
{%- endmacro %}
{% macro join_cuts(relation, day) -%}
    left join {{ ref('int_account_cuts') }} as cuts
        on
            {{ relation }}.account_id = cuts.account_id
            and {{ relation }}.{{ day }} >= cuts.valid_from
            and {{ relation }}.{{ day }} < cuts.valid_to
{%- endmacro %}

{% macro kpi_rollup(
    kpi_id, facts, sums, columns, n, numerator=none, denominator=none, value=none, statistics={}, distincts=none, months=none, periods=['month', 'quarter', 'ttm'],
    event_date=none, own_cuts=[], actor=none, suppressed='false', low_confidence='false', hides=false, ci_low='null', ci_high='null', cuts=none
) -%}
{%- set cuts = cut_columns() if cuts is none else cuts -%}
{%- set period_list = "('" ~ periods | join("', '") ~ "')" -%}
{%- set placing = ['month'] if months else ['period_type', 'period_start'] -%}
with facts as (
    select * from {{ facts }}
),

placed as (
    select
        facts.*,
        {%- if event_date %}
        periods.period_type,
        periods.period_start,
        {%- endif %}
        {{- cut_values('facts', cuts | reject('in', ['csm', 'team', 'csm_segment'] if actor else []), own_cuts) }}
        {%- if actor %}
        coalesce(facts.{{ actor }}, 'unassigned') as cut_csm,
        case when facts.{{ actor }} is null then 'unassigned' else coalesce(actors.team, 'unknown') end as cut_team,
        {{ dbt.concat(["coalesce(facts." ~ actor ~ ", 'unassigned')", "'/'", "coalesce(cuts.segment, 'unknown')"]) }} as cut_csm_segment,
        {%- endif %}
        1 as n_rows
    from facts
    {%- if event_date %}
    inner join {{ ref('int_periods') }} as periods
        on
            facts.{{ event_date }} >= periods.period_start
            and facts.{{ event_date }} <= periods.closing_date
            and periods.period_type in {{ period_list }}
    {%- endif %}
    {{ join_cuts('facts', event_date or 'cut_date') }}
    {%- if actor %}
    left join {{ ref('stg_crm__users') }} as actors on facts.{{ actor }} = actors.user_id
    {%- endif %}
    {%- if not event_date and not months %}
    where facts.period_type in {{ period_list }}
    {%- endif %}
),

{{ 'grouped_months' if months else 'grouped' }} as (
    select
        {{ placing | join(', ') }},
        case
            {%- for cut in cuts + own_cuts %}
            when grouping(cut_{{ cut }}) = 0 then '{{ cut }}'
            {%- endfor %}
            else 'all'
        end as segment_type,
        case
            {%- for cut in cuts + own_cuts %}
            when grouping(cut_{{ cut }}) = 0 then cut_{{ cut }}
            {%- endfor %}
            else 'all'
        end as segment_value,
        {%- for name, aggregate in (sums.items() | list) + (statistics.items() | list) %}
        {{ aggregate }} as {{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from placed
    group by grouping sets (
        ({{ placing | join(', ') }})
        {%- for cut in cuts + own_cuts %},
        ({{ placing | join(', ') }}, cut_{{ cut }})
        {%- endfor %}
    )
),

{%- if months %}

grouped as (
    select
        periods.period_type,
        periods.period_start,
        grouped_months.segment_type,
        grouped_months.segment_value,
        {%- for name in sums %}
        {%- set of_month = 'grouped_months.' ~ name %}
        {%- if name in months.first + months.last %}
            {%- set month = 'periods.period_start' if name in months.first else month_of('periods.closing_date') %}
            {%- set of_month = 'case when grouped_months.month = ' ~ month ~ ' then ' ~ of_month ~ ' else 0 end' %}
        {%- endif %}
        sum({{ of_month }}) as {{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from grouped_months
    inner join {{ ref('int_periods') }} as periods
        on
            grouped_months.month >= periods.period_start
            and grouped_months.month <= periods.closing_date
            and periods.period_type in {{ period_list }}
    group by periods.period_type, periods.period_start, grouped_months.segment_type, grouped_months.segment_value
),
{%- endif %}

{%- if distincts %}

events as (
    select
        events.{{ distincts.entity }} as entity,
        {{ month_of('events.' ~ distincts.event_date) }} as month,
        {{- cut_values('events', cuts, own_cuts) }}
        {%- for name, condition in distincts.counts.items() %}
        {{ condition }} as is_{{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ distincts.events }} as events
    {{ join_cuts('events', distincts.event_date) }}
    where events.{{ distincts.entity }} is not null and events.{{ distincts.event_date }} <= {{ as_of_date() }}
),

events_of_cells as (
    {%- for name in distincts.counts %}
    {%- set outer_loop = loop %}
    {%- for cut in ['all'] + cuts + own_cuts %}
    select '{{ name }}' as counted, '{{ cut }}' as segment_type, {{ "'all'" if cut == 'all' else 'cut_' ~ cut }} as segment_value, entity, month
    from events
    where is_{{ name }}
    {{ 'union all' if not (loop.last and outer_loop.last) }}
    {%- endfor %}
    {%- endfor %}
),

followed as (
    select *, lead(month) over (partition by counted, segment_type, segment_value, entity order by month) as month_after
    from events_of_cells
),

-- few rows: periods are whole months, so it does not matter whose event it was
followed_months as (
    select counted, segment_type, segment_value, month, month_after, count(*) as n_events
    from followed
    where month_after is null or month_after > month
    group by counted, segment_type, segment_value, month, month_after
),

entities as (
    select
        periods.period_type,
        periods.period_start,
        followed_months.segment_type,
        followed_months.segment_value,
        {%- for name in distincts.counts %}
        sum(case when followed_months.counted = '{{ name }}' then followed_months.n_events else 0 end) as {{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from followed_months
    inner join {{ ref('int_periods') }} as periods
        on
            followed_months.month >= periods.period_start
            and followed_months.month <= periods.closing_date
            and (followed_months.month_after is null or followed_months.month_after > periods.closing_date)
            and periods.period_type in {{ period_list }}
    group by periods.period_type, periods.period_start, followed_months.segment_type, followed_months.segment_value
),
{%- endif %}

cells as (
    select * from {{ ref('int_cut_cells') }}
    where period_type in {{ period_list }} and segment_type in ('{{ (['all'] + cuts) | join("', '") }}')
),

{%- set key = ['period_type', 'period_start', 'segment_type', 'segment_value'] %}

measured as (
    select
        {%- for column in key %}
        coalesce(cells.{{ column }}, grouped.{{ column }}{{ ', entities.' ~ column if distincts }}) as {{ column }},
        {%- endfor %}
        {%- for name in distincts.counts if distincts %}
        coalesce(entities.{{ name }}, 0) as {{ name }},
        {%- endfor %}
        {%- for name in sums %}
        coalesce(grouped.{{ name }}, 0) as {{ name }},
        {%- endfor %}
        {%- for name in statistics %}
        grouped.{{ name }},
        {%- endfor %}
        1 as n_cells
    from cells
    full outer join grouped
        on
            {%- for column in key %}
            {{ 'and ' if not loop.first }}cells.{{ column }} = grouped.{{ column }}
            {%- endfor %}
    {%- if distincts %}
    full outer join entities
        on
            {%- for column in key %}
            {{ 'and ' if not loop.first }}coalesce(cells.{{ column }}, grouped.{{ column }}) = entities.{{ column }}
            {%- endfor %}
    {%- endif %}
),

judged as (
    select
        measured.*,
        periods.period_end,
        periods.is_complete,
        {{ suppressed }} as is_suppressed
    from measured
    inner join {{ ref('int_periods') }} as periods
        on measured.period_type = periods.period_type and measured.period_start = periods.period_start
),

final as (
    select
        '{{ kpi_id }}' as kpi_id,
        period_type,
        period_start,
        period_end,
        segment_type,
        segment_value,
        cast({{ numerator or value }} as double) as numerator,
        cast({{ denominator or 'null' }} as double) as denominator,
        {%- set result = value or ratio('(' ~ numerator ~ ')', '(' ~ denominator ~ ')') %}
        cast({{ 'case when not is_suppressed then ' ~ result ~ ' end' if hides else result }} as double) as value,
        cast({{ n }} as bigint) as n,
        {%- for bound, expression in [('ci_low', ci_low), ('ci_high', ci_high)] %}
        cast({{ 'case when not is_suppressed then ' ~ expression ~ ' end' if hides else expression }} as double) as {{ bound }},
        {%- endfor %}
        is_complete,
        is_suppressed,
        {{ low_confidence }} as is_low_confidence
        {%- for name, expression in columns.items() %},
        {{ expression }} as {{ name }}
        {%- endfor %}
    from judged
)

select * from final
{%- endmacro %}

{#- Cuts with fewer than three opening accounts are marked; the value stays (kpi_rules.md, G10). -#}
{% macro few_accounts(n) -%} segment_type <> 'all' and {{ n }} < 3 {%- endmacro %}
