{#- An identity or a bound that holds on every row; `where` narrows the rows it speaks of. NULL counts as broken. -#}
{% test holds(model, expression, where='true', column_name=none) %}
select *
from {{ model }}
where {{ where }} and not coalesce({{ expression }}, false)
{% endtest %}
