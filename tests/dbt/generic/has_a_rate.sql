{#- Money of a row can be converted on every day from its first one on: a rate holds until the next, so one on that day does. -#}
{% test has_a_rate(model, currency, first_day) %}
select rows_with_money.*
from {{ model }} as rows_with_money
left join {{ ref('int_exchange_rates') }} as rates
    on {{ rate_on('rates', 'rows_with_money.' ~ currency, 'rows_with_money.' ~ first_day) }}
where rates.currency is null
{% endtest %}
