{#- One row per combination of the named columns. In a published table none of them is NULL. -#}
{% test unique_grain(model, columns) %}
select {{ columns | join(', ') }}, count(*) as n_rows
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{%- if model.schema == 'marts' %}
{%- for column in columns %} or {{ column }} is null{% endfor %}
{%- endif %}
{% endtest %}
