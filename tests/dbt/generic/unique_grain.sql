{#- One row per combination of the named columns; none of them is NULL, but for those said to be nullable. -#}
{% test unique_grain(model, columns, nullable=[]) %}
select {{ columns | join(', ') }}, count(*) as n_rows
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1{% for column in columns if column not in nullable %} or {{ column }} is null{% endfor %}
{% endtest %}
