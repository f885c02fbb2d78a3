{#- Who is named may be published: an account of the CRM, neither internal nor merged into another. NULL is nobody known. -#}
{% test published_account(model, column_name) %}
with named as (
    select * from {{ model }}
    where {{ column_name }} is not null
)

select named.*
from named
left join {{ ref('stg_crm__account_ids') }} as account_ids on named.{{ column_name }} = account_ids.source_account_id
where coalesce(account_ids.is_internal or account_ids.is_merged_away, true)
{% endtest %}
