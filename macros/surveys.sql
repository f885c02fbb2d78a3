{#- What survey KPIs share. -#}

{#- NPS as +1, 0, -1 with three answers added, 3/4 each to promoters and detractors (adjusted Wald, Rocks 2016). -#}
{% macro nps_centre(promoters, detractors, n) -%}
    (cast({{ promoters }} - {{ detractors }} as double) / ({{ n }} + 3))
{%- endmacro %}
{% macro nps_variance(promoters, detractors, n) -%}
    ((cast({{ promoters }} + {{ detractors }} as double) + 1.5) / ({{ n }} + 3) - power({{ nps_centre(promoters, detractors, n) }}, 2))
{%- endmacro %}

{#- One end of the 95 % interval of an NPS; `side` is + or -. -#}
{% macro nps_bound(promoters, detractors, n, side) -%}
    100 * {{ nps_centre(promoters, detractors, n) }}
    {{ side }} 196 * sqrt({{ nps_variance(promoters, detractors, n) }} / ({{ n }} + 3))
{%- endmacro %}

{#- The columns that every kpi_ table begins with. -#}
{% macro standard_columns() -%}
    {{ return([
        'kpi_id', 'period_type', 'period_start', 'period_end', 'segment_type', 'segment_value', 'numerator', 'denominator',
        'value', 'n', 'ci_low', 'ci_high', 'is_complete', 'is_suppressed', 'is_low_confidence',
    ]) }}
{%- endmacro %}

{#- One end of Wilson's 95 % interval of successes / n; `side` is + or -. Held within 0..1, which rounding may leave by a hair. -#}
{% macro wilson(successes, n, side) -%}
    {{ 'least(1.0, ' if side == '+' else 'greatest(0.0, ' }}(
        cast({{ successes }} as double) + 1.9208
        {{ side }} 1.96 * sqrt(cast({{ successes }} as double) * ({{ n }} - {{ successes }}) / nullif({{ n }}, 0) + 0.9604)
    ) / ({{ n }} + 3.8416))
{%- endmacro %}

{#- Saturdays and Sundays are no business days; holidays are not known. -#}
{% macro second_business_day_after(day) -%}
    {%- set ahead = [] -%}
    {%- for days in [1, 2, 3] -%}
        {%- do ahead.append('case when ' ~ is_weekday(add_days(day, days)) ~ ' then 1 else 0 end') -%}
    {%- endfor -%}
    case
        when {{ ahead[:2] | join(' + ') }} = 2 then {{ add_days(day, 2) }}
        when {{ ahead | join(' + ') }} = 2 then {{ add_days(day, 3) }}
        else {{ add_days(day, 4) }}
    end
{%- endmacro %}
