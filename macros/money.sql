{#- Money: carried with ten decimals, published with two (decision log, D5). -#}

{% macro exact(amount) -%} cast({{ amount }} as decimal(28, 10)) {%- endmacro %}
{#- Eight decimals first: dust in the tenth must not tip a half cent. To round a wide decimal costs twenty times what a double
    costs, so a value is rounded as one wherever it is too far from half a cent, and too small, for the difference to matter. -#}
{% macro money(amount) -%}
    {%- set cents = '100 * cast(' ~ amount ~ ' as double)' -%}
    case
        when abs({{ cents }}) < 1e11 and abs({{ cents }} - round({{ cents }})) < 0.499
            then cast(round({{ cents }}) / 100 as decimal(18, 2))
        else cast(round(round({{ amount }}, 8), 2) as decimal(18, 2))
    end
{%- endmacro %}

{#- The one place where a currency becomes another; rate from int_exchange_rates. -#}
{% macro convert(amount, rate) -%}
    {{ exact('cast(' ~ amount ~ ' as double) * cast(' ~ rate ~ ' as double)') }}
{%- endmacro %}

{#- Sum that is NULL when an addend is: an amount without a rate must not drop out of a sum, it blocks the night (G7). -#}
{% macro whole_sum(amount) -%} case when count(*) = count({{ amount }}) then sum({{ amount }}) end {%- endmacro %}

{#- Join condition: the last rate on or before the day. -#}
{% macro rate_on(rates, currency, day) -%}
    {{ rates }}.currency = {{ currency }} and {{ day }} >= {{ rates }}.valid_from and {{ day }} < {{ rates }}.valid_to
{%- endmacro %}

{#- Undefined, never 0 or infinite, without a denominator. -#}
{% macro ratio(numerator, denominator) -%}
    cast({{ numerator }} as double) / nullif(cast({{ denominator }} as double), 0)
{%- endmacro %}

{#- Sum and mean of fractions as exact decimals. A sum of doubles depends on the order in which threads meet: two nights on
    the same data would differ in the last digits, and a mean of scores could lie above the highest. -#}
{% macro exact_sum(value) -%} cast(sum({{ exact(value) }}) as double) {%- endmacro %}
{% macro exact_mean(value) -%} {{ ratio('sum(' ~ exact(value) ~ ')', 'count(' ~ value ~ ')') }} {%- endmacro %}
