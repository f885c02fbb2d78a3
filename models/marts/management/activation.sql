-- Grain: account, as of the run: what other systems are told about it.
{%- set told = [
    'accounts.account_id', 'accounts.account_name', 'accounts.health_colour', as_text(tenths('accounts.health_score')),
    'accounts.drivers_text', as_text('accounts.next_renewal_on'), 'rule_set.score_version',
] %}
{%- set parts = [] %}
{%- for value in told %}
    {#- what is unknown reads '-', so that it differs from an empty text -#}
    {%- do parts.append('coalesce(' ~ dbt.concat(["'='", value]) ~ ", '-')") %}
    {%- do parts.append("'|'") %}
{%- endfor %}
with accounts as (
    select * from {{ ref('mart_account_360') }}
),

rules as (
    select
        {{ dbt.concat(["'weight '", 'segment', "'/'", 'lifecycle_stage', "'/'", 'component', "' '", as_text('weight')]) }} as rule
    from {{ ref('health_weights') }}
    union all
    select
        {{ dbt.concat(["'curve '", 'component', "' '", 'coalesce(' ~ as_text('window_days') ~ ", '-')", "' '",
            as_text('raw_value'), "' '", as_text('component_score')]) }} as rule
    from {{ ref('health_component_rules') }}
),

rule_set as (
    select substr({{ dbt.hash(joined_text('rule', '; ')) }}, 1, 12) as score_version from rules
),

final as (
    select
        accounts.account_id,
        accounts.account_name,
        accounts.health_colour,
        {{ tenths('accounts.health_score') }} as health_score,
        accounts.drivers_text,
        accounts.next_renewal_on,
        rule_set.score_version,
        {{ dbt.hash(dbt.concat(parts)) }} as row_hash
    from accounts
    cross join rule_set
)

select * from final
