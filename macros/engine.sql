{#- What engines write differently; models never name an engine. -#}

{% macro last_known(value, partition_by, order_by) -%}
    {{ return(adapter.dispatch('last_known')(value, partition_by, order_by)) }}
{%- endmacro %}
{% macro default__last_known(value, partition_by, order_by) -%}
    last_value({{ value }} ignore nulls) over (
        partition by {{ partition_by }} order by {{ order_by }} rows between unbounded preceding and current row
    )
{%- endmacro %}
{% macro spark__last_known(value, partition_by, order_by) -%}
    last_value({{ value }}, true) over (
        partition by {{ partition_by }} order by {{ order_by }} rows between unbounded preceding and current row
    )
{%- endmacro %}

{#- Values joined in order of the values themselves, each once; NULL without one. -#}
{% macro joined_text(value, separator=', ') -%} {{ return(adapter.dispatch('joined_text')(value, separator)) }} {%- endmacro %}
{% macro default__joined_text(value, separator) -%}
    {#- string_agg sorts every group by itself, at three times the cost -#}
    nullif(array_to_string(list_sort(list_distinct(list({{ value }}))), '{{ separator }}'), '')
{%- endmacro %}
{% macro spark__joined_text(value, separator) -%}
    nullif(array_join(sort_array(collect_set({{ value }})), '{{ separator }}'), '')
{%- endmacro %}

{#- The value, NULL too, of the row whose rank is least. -#}
{% macro value_at_least(value, rank) -%} {{ return(adapter.dispatch('value_at_least')(value, rank)) }} {%- endmacro %}
{% macro default__value_at_least(value, rank) -%} arg_min_null({{ value }}, {{ rank }}) {%- endmacro %}
{% macro spark__value_at_least(value, rank) -%} min_by({{ value }}, {{ rank }}) {%- endmacro %}

{% macro is_weekday(day) -%} {{ return(adapter.dispatch('is_weekday')(day)) }} {%- endmacro %}
{% macro default__is_weekday(day) -%} isodow({{ day }}) <= 5 {%- endmacro %}
{% macro spark__is_weekday(day) -%} weekday({{ day }}) <= 4 {%- endmacro %}

{#- The three most frequent values with their counts, most frequent first, equal ones by name: `a (4), b (2)`. -#}
{% macro top_values(value) -%} {{ return(adapter.dispatch('top_values')(value)) }} {%- endmacro %}
{% macro default__top_values(value) -%}
    nullif(array_to_string(
        list_transform(
            list_slice(list_sort(list_transform(
                map_entries(histogram({{ value }})), lambda entry: {'rarity': -cast(entry.value as bigint), 'value': entry.key}
            )), 1, 3),
            lambda entry: entry.value || ' (' || -entry.rarity || ')'
        ), ', '
    ), '')
{%- endmacro %}
{% macro spark__top_values(value) -%}
    nullif(array_join(
        transform(
            slice(array_sort(transform(
                array_distinct(collect_list({{ value }})),
                entry -> named_struct('rarity', -size(filter(collect_list({{ value }}), other -> other = entry)), 'value', entry)
            )), 1, 3),
            entry -> concat(entry.value, ' (', -entry.rarity, ')')
        ), ', '
    ), '')
{%- endmacro %}

{#- Pearson's correlation. -#}
{% macro correlation(first, second) -%} {{ return(adapter.dispatch('correlation')(first, second)) }} {%- endmacro %}
{% macro default__correlation(first, second) -%} corr({{ first }}, {{ second }}) {%- endmacro %}
{% macro spark__correlation(first, second) -%}
    {#- its corr() divides by zero where one of the two never varies, also in groups that no case asks for -#}
    covar_pop({{ first }}, {{ second }}) / nullif(stddev_pop({{ first }}) * stddev_pop({{ second }}), 0)
{%- endmacro %}

{#- Hours from one instant to another, with their fraction. -#}
{% macro hours_between(first, last) -%} {{ return(adapter.dispatch('hours_between')(first, last)) }} {%- endmacro %}
{% macro default__hours_between(first, last) -%}
    cast(extract(epoch from ({{ last }} - {{ first }})) as double) / 3600
{%- endmacro %}
{% macro spark__hours_between(first, last) -%}
    (cast({{ last }} as double) - cast({{ first }} as double)) / 3600
{%- endmacro %}

{#- One row for each value of a comma-separated list; stands in a select list. -#}
{% macro each_of(list) -%} {{ return(adapter.dispatch('each_of')(list)) }} {%- endmacro %}
{% macro default__each_of(list) -%} unnest(string_split({{ list }}, ',')) {%- endmacro %}
{% macro spark__each_of(list) -%} explode(split({{ list }}, ',')) {%- endmacro %}

{#- Lower case, one space around every word, nothing but letters and digits. -#}
{% macro plain_words(text) -%} {{ return(adapter.dispatch('plain_words')(text)) }} {%- endmacro %}
{% macro default__plain_words(text) -%}
    ' ' || trim(regexp_replace(lower({{ text }}), '[^\p{L}\p{N}]+', ' ', 'g')) || ' '
{%- endmacro %}
{% macro spark__plain_words(text) -%}
    concat(' ', trim(regexp_replace(lower({{ text }}), '[^\\p{L}\\p{N}]+', ' ')), ' ')
{%- endmacro %}

{#- A set of small numbers (0 to 62) as the bits of a bigint. -#}
{% macro bit_at(position) -%} {{ return(adapter.dispatch('bit_at')(position)) }} {%- endmacro %}
{% macro default__bit_at(position) -%} (cast(1 as bigint) << cast({{ position }} as integer)) {%- endmacro %}
{% macro spark__bit_at(position) -%} shiftleft(cast(1 as bigint), cast({{ position }} as int)) {%- endmacro %}
{% macro bits_joined(bits) -%} cast(bit_or({{ bits }}) as bigint) {%- endmacro %}
{% macro bits_counted(bits) -%} cast(bit_count({{ bits }}) as bigint) {%- endmacro %}
{% macro bits_shared(bits, others) -%} ({{ bits }} & {{ others }}) <> 0 {%- endmacro %}
{#- Position of the highest bit; NULL without one. -#}
{% macro last_bit(bits) -%} cast(floor(log2(nullif({{ bits }}, 0))) as integer) {%- endmacro %}

{#- Kaplan-Meier estimate of a group as a list of (day, factor): on each day on which the event came, the share of those still
    waiting to whom it did not. `observed` = days until the event or the end of observation, `reached` = the same only where
    the event came. -#}
{% macro kaplan_meier_steps(observed, reached) -%} {{ return(adapter.dispatch('kaplan_meier_steps')(observed, reached)) }} {%- endmacro %}
{% macro default__kaplan_meier_steps(observed, reached) -%}
    {%- set all_days = 'array_agg(' ~ observed ~ ') filter (where ' ~ observed ~ ' is not null)' -%}
    {%- set event_days = 'array_agg(' ~ reached ~ ') filter (where ' ~ reached ~ ' is not null)' -%}
    list_transform(list_distinct({{ event_days }}), lambda event_day: {
        'day': event_day,
        'factor': 1 - len(list_filter({{ event_days }}, lambda other: other = event_day))
            / len(list_filter({{ all_days }}, lambda other: other >= event_day))
    })
{%- endmacro %}
{% macro spark__kaplan_meier_steps(observed, reached) -%}
    {%- set all_days = 'collect_list(' ~ observed ~ ')' -%}
    {%- set event_days = 'collect_list(' ~ reached ~ ')' -%}
    transform(array_distinct({{ event_days }}), event_day -> named_struct(
        'day', event_day,
        'factor', 1 - size(filter({{ event_days }}, other -> other = event_day))
            / size(filter({{ all_days }}, other -> other >= event_day))
    ))
{%- endmacro %}

{#- The first day on which the estimated share still waiting is one half or less; NULL when it never falls that far. The
    billionth is for products that are exactly one half. -#}
{% macro kaplan_meier_median(steps) -%} {{ return(adapter.dispatch('kaplan_meier_median')(steps)) }} {%- endmacro %}
{% macro default__kaplan_meier_median(steps) -%}
    list_min(list_transform(
        list_filter({{ steps }}, lambda candidate: list_product(list_transform(
            list_filter({{ steps }}, lambda earlier: earlier.day <= candidate.day), lambda earlier: earlier.factor
        )) <= 0.5 + 1e-9),
        lambda candidate: candidate.day
    ))
{%- endmacro %}
{% macro spark__kaplan_meier_median(steps) -%}
    array_min(transform(
        filter({{ steps }}, candidate -> aggregate(
            filter({{ steps }}, earlier -> earlier.day <= candidate.day), cast(1 as double), (share, earlier) -> share * earlier.factor
        ) <= 0.5 + 1e-9),
        candidate -> candidate.day
    ))
{%- endmacro %}

{#- 64 bits of a list of values: equal values, equal bits. -#}
{% macro hash_of(values) -%} {{ return(adapter.dispatch('hash_of')(values)) }} {%- endmacro %}
{% macro default__hash_of(values) -%} hash({{ values | join(', ') }}) {%- endmacro %}
{% macro spark__hash_of(values) -%}
    {#- it passes over NULL: without the second column (x, NULL) would be (NULL, x) -#}
    xxhash64({% for value in values %}{{ value }}, {{ value }} is null{{ ', ' if not loop.last }}{% endfor %})
{%- endmacro %}
