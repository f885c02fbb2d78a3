-- Grain: period x cut; csm = who acted, for coverage who owned at the end. Completed, not automated, outbound activities.
{%- set kinds = ['email', 'call', 'meeting', 'qbr', 'executive_visit', 'training'] %}
{%- set sums = {
    'touched': 'sum(case when is_touchpoint then 1 else 0 end)',
    'weighted': exact_sum('weight'),
    'high_value': 'sum(case when is_high_value then 1 else 0 end)',
    'reactive': 'sum(case when is_reactive then 1 else 0 end)',
    'owned': 'sum(case when is_owned then 1 else 0 end)',
    'owned_and_touched': 'sum(case when is_owned_and_touched then 1 else 0 end)',
} %}
{%- set columns = {
    'touchpoints': 'cast(touched as bigint)',
    'weighted_touchpoints': 'cast(weighted as double)',
    'high_value_touchpoints': 'cast(high_value as bigint)',
    'reactive_touchpoints': 'cast(reactive as bigint)',
} %}
{%- for kind in kinds %}
{%- do sums.update({kind: "sum(case when counted_as = '" ~ kind ~ "' then 1 else 0 end)"}) %}
{%- do columns.update({kind ~ '_touchpoints': 'cast(' ~ kind ~ ' as bigint)'}) %}
{%- endfor %}
{%- do columns.update({
    'owned_accounts': 'cast(owned as bigint)',
    'owned_accounts_touched': 'cast(owned_and_touched as bigint)',
    'coverage_rate': ratio('owned_and_touched', 'owned'),
}) %}
{{ kpi_rollup(
    kpi_id='engagement_activity',
    facts=ref('int_engagement_facts'),
    actor='credited_user_id',
    periods=['month', 'quarter'],
    sums=sums,
    value='touched',
    n='touched',
    columns=columns,
) }}
