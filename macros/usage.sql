{#- Product events are read when they arrive, and once: the aggregates above them are kept per account as the source names
    it, so that merges, links and internal accounts can change later without reading an event again. -#}

{#- In the order of the contract, which settles equal arrival times. Named here because unit tests know no sources. -#}
{% macro event_columns() -%}
    {{ return(['account_id', 'user_id', 'contact_id', 'event_name', 'feature_key', 'occurred_at']) }}
{%- endmacro %}

{#- Text is repaired as in every staging model. Stands in every FROM by itself: a CTE that is read twice is a copy of all
    events to DuckDB. -#}
{% macro landed_events() -%}
    {%- set columns = ['_loaded_at', '_deleted'] -%}
    {%- for name in ['event_id'] + event_columns() -%}
        {%- do columns.append(name if name == 'occurred_at' else tidied(name) ~ ' as ' ~ name) -%}
    {%- endfor -%}
    {%- set names = columns | join(', ') -%}
    (
        select {{ names }}, _load_id from {{ source('product', 'product_events') }}
        {%- for adapter_name in adapters_filling('product_events') %}
        union all
        select {{ names }}, 0 as _load_id from {{ ref(adapter_name ~ '__product_events') }}
        {%- endfor %}
    ) as landed
{%- endmacro %}

{#- True where `this` can be added to: an adapter's rows have no loads, so they are counted anew every night. -#}
{% macro adds_to_what_stands() -%}
    {{ return(execute and is_incremental() and not adapters_filling('product_events')) }}
{%- endmacro %}

{#- The first row of a query as a list, at run time only. -#}
{% macro first_row(query) -%}
    {{ return((run_query(query).rows | list)[0]) }}
{%- endmacro %}

{#- How far `this` has counted: {load_id, as_of}; none when it has to count from the start, because the zone changed or the
    as-of date went back. `usage_reset` then empties it in the same transaction. -#}
{% macro counted_so_far() -%}
    {%- if adds_to_what_stands() -%}
        {%- set row = first_row('select max(last_load_id), max(counted_to), min(reporting_timezone), max(reporting_timezone) from ' ~ this) -%}
        {%- set zone = var('reporting_timezone') -%}
        {%- if row[0] is not none and row[2] == zone and row[3] == zone and row[1] | string <= var('as_of_date') | string -%}
            {{ return({'load_id': row[0], 'as_of': row[1] | string}) }}
        {%- endif -%}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro %}

{#- Before a table is added to: all of it goes when what was found in it is nothing to add to. -#}
{% macro start_over_unless(found) -%}
    {%- if is_incremental() and found is none -%} delete from {{ this }} where true {%- endif -%}
{%- endmacro %}

{#- The newest load in stg_product__event_hashes; none when it has to begin from the start. -#}
{% macro hashed_so_far() -%}
    {{ return(first_row('select max(_load_id) from ' ~ this)[0] if adds_to_what_stands() else none) }}
{%- endmacro %}

{#- The newest load that stg_product__event_repeats has looked at; none when it has to look at all. -#}
{% macro examined_so_far() -%}
    {{ return(first_row('select max(_load_id) from ' ~ this ~ ' where event_id is null')[0] if adds_to_what_stands() else none) }}
{%- endmacro %}

{#- What may be counted: not deleted, known by now, and (unless no id was) not of an event id that landed more than once. -#}
{% macro is_countable(has_repeats=true) -%}
    not coalesce(_deleted, false) and {{ is_known('occurred_at') }}
    {%- if has_repeats %} and event_id not in (select event_id from repeats){% endif %}
{%- endmacro %}

{#- Local months in which an event id landed that landed more than once: only there do ids have to be compared. -#}
{% macro months_with_repeats() -%}
    {%- set months = [] -%}
    {%- if execute -%}
        {%- set month = month_of(local_date('occurred_at')) -%}
        {%- for row in run_query('select distinct ' ~ month ~ ' from ' ~ ref('stg_product__event_repeats') ~ ' where event_id is not null').rows -%}
            {%- do months.append("cast('" ~ row[0] ~ "' as date)") -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(months) }}
{%- endmacro %}

{#- First and last month that can have an event, as years x 12 + months; one more at each side for the zone. -#}
{% macro landed_months() -%}
    {%- if execute -%}
        {%- set bounds = first_row('select min(occurred_at), max(occurred_at) from ' ~ source('product', 'product_events')) -%}
        {%- if bounds[0] is not none -%}
            {{ return([bounds[0].year * 12 + bounds[0].month - 1, bounds[1].year * 12 + bounds[1].month + 1]) }}
        {%- endif -%}
    {%- endif -%}
    {{ return([]) }}
{%- endmacro %}

{#- Ranges of months that a count from the start is cut into, so that memory is bounded by a month of events and none is
    sorted into a month one by one: [{first, last}), open at both ends, a month in between. -#}
{% macro usage_ranges() -%}
    {%- set bounds = landed_months() -%}
    {%- set firsts = [] -%}
    {%- if bounds -%}
        {%- for number in range([bounds[0], bounds[1] - 120] | max, bounds[1] + 1) -%}
            {%- do firsts.append("cast('%04d-%02d-01' as date)" | format((number - 1) // 12, (number - 1) % 12 + 1)) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- set ranges = [] -%}
    {%- for first in [none] + firsts -%}
        {%- do ranges.append({'first': first, 'last': firsts[loop.index0] if loop.index0 < firsts | length else none}) -%}
    {%- endfor -%}
    {{ return(ranges) }}
{%- endmacro %}

{#- All events of a range of months, counted. -#}
{% macro range_counted(by, first, last, months) -%}
    {%- set in_range -%}
        true
        {%- if first %} and occurred_at >= {{ end_of_day(add_days(first, -1)) }}{% endif %}
        {%- if last %} and occurred_at < {{ end_of_day(add_days(last, -1)) }}{% endif %}
    {%- endset -%}
    {%- set is_month = first and last -%}
    {%- set day = local_date('occurred_at') -%}
    {%- set has_repeats = not is_month or first in months %}
    select
        source_account_id,
        {{ by }},
        {{ first if is_month else month_of(day) }} as month,
        cast(count(*) as bigint) as n_events,
        {{ bits_joined(bit_at(days_between(first, day) if is_month else 'extract(day from ' ~ day ~ ') - 1')) }} as day_mask,
        max(_load_id) as last_load_id
    from (
        select coalesce(account_id, '') as source_account_id, {{ by }}, occurred_at, _load_id
        from {{ landed_events() }}
        where {{ in_range }} and {{ is_countable(has_repeats) }}
        {%- if has_repeats %}
        union all
        select coalesce(account_id, '') as source_account_id, {{ by }}, occurred_at, _load_id
        from repeats
        where {{ in_range }} and is_current and {{ is_known('occurred_at') }}
        {%- endif %}
    ) as range_events
    where {{ by }} is not null
    group by source_account_id, {{ by }}{{ '' if is_month else ', ' ~ month_of(day) }}
{%- endmacro %}

{#- The columns of an event that counting needs. -#}
{% macro event_row() -%}
        coalesce(account_id, '') as source_account_id,
        user_id,
        feature_key,
        {{ local_date('occurred_at') }} as occurred_on,
        {{ month_of(local_date('occurred_at')) }} as month,
        _load_id
{%- endmacro %}

{#- Rows that landed before the last count and have become known since (decision log, D1). -#}
{% macro is_known_since(counted) -%}
    occurred_at >= {{ end_of_day("cast('" ~ counted.as_of ~ "' as date)") }} and {{ is_known('occurred_at') }}
{%- endmacro %}

{#- Account-months to count anew: those of every version of an event id of which a version is new. The old one must go. -#}
{% macro rebuilt_months(counted) -%}
    {%- set repeats = ref('stg_product__event_repeats') -%}
    select distinct coalesce(account_id, '') as source_account_id, {{ month_of(local_date('occurred_at')) }} as month
    from {{ repeats }}
    where
        {{ is_known('occurred_at') }}
        and event_id in (
            select event_id from {{ repeats }}
            where event_id is not null and (_load_id > {{ counted.load_id }} or ({{ is_known_since(counted) }}))
        )
{%- endmacro %}

{#- CTEs: `rebuilt`, the account-months whose counts are dropped first, and `events`, what is counted into the table. -#}
{% macro usage_events(counted) -%}
rebuilt as (
    {{ rebuilt_months(counted) }}
),

arrived as (
    select {{ event_row() }}
    from {{ landed_events() }}
    where _load_id > {{ counted.load_id }} and {{ is_countable() }}
    union all
    select {{ event_row() }}
    from {{ landed_events() }}
    where _load_id <= {{ counted.load_id }} and {{ is_known_since(counted) }} and {{ is_countable() }}
),

-- one branch a month, so that each reads its own range of the events only
reread as (
    select * from arrived where false
    {%- for row in run_query('select distinct month from (' ~ rebuilt_months(counted) ~ ') as months order by month').rows %}
    {%- set month = "cast('" ~ row[0] ~ "' as date)" %}
    union all
    select {{ event_row() }}
    from {{ landed_events() }}
    where
        occurred_at >= {{ end_of_day(add_days(month, -1)) }} and occurred_at < {{ end_of_day(add_days(add_months(month, 1), -1)) }}
        and coalesce(account_id, '') in (select rebuilt.source_account_id from rebuilt where rebuilt.month = {{ month }})
        and {{ is_countable() }}
    {%- endfor %}
    union all
    select {{ event_row() }} from repeats where is_current and {{ is_known('occurred_at') }}
),

events as (
    select arrived.*
    from arrived
    left join rebuilt on arrived.source_account_id = rebuilt.source_account_id and arrived.month = rebuilt.month
    where rebuilt.source_account_id is null
    union all
    select reread.*
    from reread
    inner join rebuilt on reread.source_account_id = rebuilt.source_account_id and reread.month = rebuilt.month
),
{%- endmacro %}

{#- CTE `summed`: what stands in the table for the keys that change, with `events` added and rebuilt months begun from 0. -#}
{% macro added_to_standing(by, key) -%}
added as (
    select
        {{ key | join(', ') }},
        cast(count(*) as bigint) as n_events,
        {{ bits_joined(bit_at("extract(day from occurred_on) - 1")) }} as day_mask,
        max(_load_id) as last_load_id
    from events
    where {{ by }} is not null
    group by {{ key | join(', ') }}
),

-- lets the engine skip every other month of the table
changed_months as (
    select month from added
    union
    select month from rebuilt
),

standing as (
    select
        {% for column in key %}standing.{{ column }}, {% endfor %}
        case when rebuilt.month is null then standing.n_events else 0 end as n_events,
        case when rebuilt.month is null then standing.day_mask else 0 end as day_mask,
        case when rebuilt.month is null then standing.last_load_id end as last_load_id
    from {{ this }} as standing
    inner join changed_months on standing.month = changed_months.month
    left join rebuilt on standing.source_account_id = rebuilt.source_account_id and standing.month = rebuilt.month
    left join added on {% for column in key %}standing.{{ column }} = added.{{ column }}{{ ' and ' if not loop.last }}{% endfor %}
    where rebuilt.month is not null or added.month is not null
),

summed as (
    select
        {{ key | join(', ') }},
        cast(sum(n_events) as bigint) as n_events,
        {{ bits_joined('day_mask') }} as day_mask,
        max(last_load_id) as last_load_id
    from (select * from added union all select * from standing) as parts
    group by {{ key | join(', ') }}
),
{%- endmacro %}

{#- Events per account as the source names it, month and one more column; kept from night to night, added to.
    `day_mask` has bit 0 set when there was an event on the first of the month. Rows of 0 events are left where all went. -#}
{% macro usage_months(by) -%}
{%- set counted = counted_so_far() -%}
{%- set key = ['source_account_id', by, 'month'] -%}
with repeats as (
    select * from {{ ref('stg_product__event_repeats') }}
    where event_id is not null
),
{% if counted is none %}
{%- set months = months_with_repeats() %}
summed as (
    {%- for range in usage_ranges() %}
    {{ range_counted(by, range.first, range.last, months) }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),
{%- else %}
{{ usage_events(counted) }}

{{ added_to_standing(by, key) }}
{%- endif %}

final as (
    select
        {{ key | join(', ') }},
        n_events,
        day_mask,
        last_load_id,
        {{ as_of_date() }} as counted_to,
        '{{ var("reporting_timezone") }}' as reporting_timezone
    from summed
)

select * from final
{%- endmacro %}
