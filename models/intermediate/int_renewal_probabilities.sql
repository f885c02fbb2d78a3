-- Grain: health colour x segment: how often terms like that were renewed, and on how many that rests (decision log, D101).
{%- set colours = ['red', 'yellow', 'green', 'unknown'] %}
{%- set least_terms = 20 %}
with due_terms as (
    select segment, coalesce(health_colour, 'unknown') as health_colour, is_renewed
    from {{ ref('int_renewal_healths') }}
    where outcome <> 'upcoming'
),

accounts as (
    select * from {{ ref('int_accounts') }}
),

colours as (
    {%- for colour in colours %}
    select '{{ colour }}' as health_colour
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

pairs as (
    select distinct colours.health_colour, accounts.segment
    from accounts
    cross join colours
),

by_both as (
    select health_colour, segment, count(*) as n_terms, count(case when is_renewed then 1 end) as n_renewed
    from due_terms
    group by health_colour, segment
),

by_colour as (
    select health_colour, sum(n_terms) as n_terms, sum(n_renewed) as n_renewed
    from by_both
    group by health_colour
),

overall as (
    select sum(n_terms) as n_terms, sum(n_renewed) as n_renewed from by_both
),

chosen as (
    select
        pairs.health_colour,
        pairs.segment,
        {%- for column in ['n_terms', 'n_renewed'] %}
        case
            when by_both.n_terms >= {{ least_terms }} then by_both.{{ column }}
            when by_colour.n_terms > 0 then by_colour.{{ column }}
            else overall.{{ column }}
        end as {{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    from pairs
    cross join overall
    left join by_both on pairs.health_colour = by_both.health_colour and pairs.segment = by_both.segment
    left join by_colour on pairs.health_colour = by_colour.health_colour
),

final as (
    select
        health_colour,
        segment,
        {{ ratio('n_renewed', 'n_terms') }} as renewal_probability,
        cast(coalesce(n_terms, 0) as bigint) as renewal_probability_n
    from chosen
)

select * from final
