{#- The one way a KPI becomes a table: place component facts in periods and cuts, sum, divide, suppress.

    facts        relation with account_id, and period_type, period_start, cut_date (the day whose owner and bands apply);
                 with event_date given, only that day: it is placed in every period that contains it
    months       instead: the facts are of a `month`, all sums of a period add up from its months but those named here:
                 {first: sums of its first month alone, last: of its last alone}
    sums         {name: aggregate}: 0 where a cell has no facts; of facts with event_date they add up from months, unless
                 there are statistics
    statistics   {name: aggregate}: NULL where a cell has no facts
    distincts    {entity, counts: {name: condition}}: how many entities have such a fact in the period, each once however
                 many it has; of other rows than the facts {events: relation, event_date} as well
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

{#- One row for all and one for each value of each cut; and which of them a row is. -#}
{% macro group_by_cut(columns, cuts) -%}
    group by grouping sets (
        ({{ columns | join(', ') }})
        {%- for cut in cuts %},
        ({{ columns | join(', ') }}, cut_{{ cut }})
        {%- endfor %}
    )
{%- endmacro %}
{% macro cut_of_grouping(cuts) %}
        {%- for column in ['segment_type', 'segment_value'] %}
        case
            {%- for cut in cuts %}
            when grouping(cut_{{ cut }}) = 0 then {{ "'" ~ cut ~ "'" if column == 'segment_type' else 'cut_' ~ cut }}
            {%- endfor %}
            else 'all'
        end as {{ column }},
        {%- endfor %}
{%- endmacro %}

{% macro kpi_rollup(
    kpi_id, facts, sums, columns, n, numerator=none, denominator=none, value=none, statistics={}, distincts=none, months=none, periods=['month', 'quarter', 'ttm'],
    event_date=none, own_cuts=[], actor=none, suppressed='false', low_confidence='false', hides=false, ci_low='null', ci_high='null', cuts=none
) -%}
{%- set cuts = cut_columns() if cuts is none else cuts -%}
{%- set period_list = "('" ~ periods | join("', '") ~ "')" -%}
{%- set months = months or ({'first': [], 'last': []} if event_date and not statistics) -%}
{%- set placing = ['month'] if months else ['period_type', 'period_start'] -%}
{%- set is_placed_by_day = event_date and not months -%}
with facts as (
    select * from {{ facts }}
),

placed as (
    select
        facts.*,
        {%- if is_placed_by_day %}
        periods.period_type,
        periods.period_start,
        {%- elif event_date %}
        {{ month_of('facts.' ~ event_date) }} as month,
        {%- endif %}
        {{- cut_values('facts', cuts | reject('in', ['csm', 'team', 'csm_segment'] if actor else []), own_cuts) }}
        {%- if actor %}
        coalesce(facts.{{ actor }}, 'unassigned') as cut_csm,
        case when facts.{{ actor }} is null then 'unassigned' else coalesce(actors.team, 'unknown') end as cut_team,
        {{ dbt.concat(["coalesce(facts." ~ actor ~ ", 'unassigned')", "'/'", "coalesce(cuts.segment, 'unknown')"]) }} as cut_csm_segment,
        {%- endif %}
        1 as n_rows
    from facts
    {%- if is_placed_by_day %}
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
    {%- if not months and not event_date %}
    where facts.period_type in {{ period_list }}
    {%- elif event_date and not is_placed_by_day %}
    where facts.{{ event_date }} <= {{ as_of_date() }}
    {%- endif %}
),

{{ 'grouped_months' if months else 'grouped' }} as (
    select
        {{ placing | join(', ') }},
        {{- cut_of_grouping(cuts + own_cuts) }}
        {%- for name, aggregate in (sums.items() | list) + (statistics.items() | list) %}
        {{ aggregate }} as {{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from placed
    {{ group_by_cut(placing, cuts + own_cuts) }}
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

{%- set day = distincts.event_date or event_date %}

events as (
    select
        events.{{ distincts.entity }} as entity,
        {{ month_of('events.' ~ day) }} as month,
        {{- cut_values('events', cuts, own_cuts) }}
        {%- for name, condition in distincts.counts.items() %}
        {{ condition }} as is_{{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ distincts.events or 'facts' }} as events
    {{ join_cuts('events', day) }}
    where events.{{ distincts.entity }} is not null and events.{{ day }} <= {{ as_of_date() }}
),

months as (
    select distinct month, {{ fiscal_year_of('month') }} as fiscal_year from events
),

-- the months of a fiscal year as bits 12 to 23; as bits 0 to 11, for windows that reach back, those of the year before it
month_bits as (
    {%- for years, first_bit in [(0, 12)] + ([(1, 0)] if 'ttm' in periods else []) %}
    select
        month,
        {{ add_months('fiscal_year', 12 * years) }} as fiscal_year,
        {{ bit_at(dbt.datediff('fiscal_year', 'month', 'month') ~ ' + ' ~ first_bit) }} as month_bit
    from months
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

months_of_entities as (
    select
        month_bits.fiscal_year,
        {{- cut_of_grouping(cuts + own_cuts) }}
        {%- for name in distincts.counts %}
        {{ bits_joined('case when events.is_' ~ name ~ ' then month_bits.month_bit else 0 end') }} as {{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from events
    inner join month_bits on events.month = month_bits.month
    {{ group_by_cut(['fiscal_year', 'entity'], cuts + own_cuts) }}
),

-- few rows: it does not matter whose months they are
entities_of_months as (
    select fiscal_year, segment_type, segment_value, {{ distincts.counts | join(', ') }}, count(*) as n_entities
    from months_of_entities
    group by fiscal_year, segment_type, segment_value, {{ distincts.counts | join(', ') }}
),

-- a period is told by the year in which it closes
period_bits as (
    select periods.period_type, periods.period_start, month_bits.fiscal_year, sum(month_bits.month_bit) as period_bits
    from {{ ref('int_periods') }} as periods
    inner join month_bits
        on
            month_bits.month >= periods.period_start
            and month_bits.month <= periods.closing_date
            and month_bits.fiscal_year = {{ fiscal_year_of('periods.closing_date') }}
    where periods.period_type in {{ period_list }}
    group by periods.period_type, periods.period_start, month_bits.fiscal_year
),

counted as (
    select
        period_bits.period_type,
        period_bits.period_start,
        entities_of_months.segment_type,
        entities_of_months.segment_value,
        {%- for name in distincts.counts %}
        sum(case when {{ bits_shared('entities_of_months.' ~ name, 'period_bits.period_bits') }} then entities_of_months.n_entities else 0 end) as {{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from entities_of_months
    inner join period_bits on entities_of_months.fiscal_year = period_bits.fiscal_year
    group by period_bits.period_type, period_bits.period_start, entities_of_months.segment_type, entities_of_months.segment_value
),

entities as (
    select * from counted
    where {{ distincts.counts | join(' + ') }} > 0
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
