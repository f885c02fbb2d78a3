-- Grain: month x cut, as of the month's end. Mean health score of the scored customers, and where the ARR stands by colour.
{%- set colours = ['red', 'yellow', 'green', 'unknown'] %}
{%- set sums = {
    'n_accounts': 'count(*)',
    'n_scored': 'count(score)',
    'arr_sum': 'sum(arr)',
} %}
{%- set columns = {'accounts': 'cast(n_accounts as bigint)', 'scored_accounts': 'cast(n_scored as bigint)'} %}
{%- for colour in colours %}
    {%- do sums.update({'n_' ~ colour: "count(case when colour = '" ~ colour ~ "' then 1 end)"}) %}
    {%- do sums.update({'sum_' ~ colour: "sum(case when colour = '" ~ colour ~ "' then arr else 0 end)"}) %}
    {%- do columns.update({colour ~ '_accounts': 'cast(n_' ~ colour ~ ' as bigint)'}) %}
{%- endfor %}
{%- for colour in colours %}
    {%- do columns.update({colour ~ '_arr': money('sum_' ~ colour)}) %}
{%- endfor %}
{%- do columns.update({
    'green_arr_share': ratio('sum_green', 'arr_sum'),
    'red_arr_share': ratio('sum_red', 'arr_sum'),
}) %}
{{ kpi_rollup(
    kpi_id='customer_health_score',
    facts=ref('int_health_facts'),
    periods=['month'],
    sums=sums,
    statistics={'score_sum': exact_sum('score')},
    numerator='score_sum',
    denominator='n_scored',
    n='n_scored',
    columns=columns,
) }}
