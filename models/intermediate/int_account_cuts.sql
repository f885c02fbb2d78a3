-- Grain: account x [valid_from, valid_to) with every cut. Cuts are attached here and nowhere else.
with accounts as (
    select * from {{ ref('int_accounts') }}
),

owners as (
    select * from {{ ref('int_account_owners') }}
),

states as (
    select * from {{ ref('int_account_states') }}
),

plans as (
    select * from {{ ref('int_account_plans') }}
),

phases as (
    select * from {{ ref('int_account_phases') }}
),

customer_starts as (
    select account_id, valid_from as customer_since from states where movement_type = 'new'
),

{%- set text = 'cast(null as ' ~ dbt.type_string() ~ ')' %}
{%- set tenures = [('0-3 months', 0), ('3-12 months', 3), ('1-2 years', 12), ('2+ years', 24)] %}

changes as (
    select
        account_id, valid_from as changed_on,
        csm_user_id as csm, team, {{ text }} as plan, {{ text }} as state, {{ text }} as tenure_band, 0 as onboarding, 0 as renewal
    from owners
    union all
    select account_id, {{ beginning() }}, {{ text }}, {{ text }}, 'none', 'prospect', 'prospect', 0, 0 from accounts
    union all
    select account_id, changed_on, {{ text }}, {{ text }}, main_plan_id, {{ text }}, {{ text }}, 0, 0 from plans
    union all
    select account_id, valid_from, {{ text }}, {{ text }}, {{ text }}, state, {{ text }}, 0, 0 from states
    {%- for band, months in tenures %}
    union all
    select account_id, {{ add_months('customer_since', months) }}, {{ text }}, {{ text }}, {{ text }}, {{ text }}, '{{ band }}', 0, 0 from customer_starts
    {%- endfor %}
    {%- for day, sign in [('opens_on', 1), ('closes_on', -1)] %}
    union all
    select
        account_id, {{ day }}, {{ text }}, {{ text }}, {{ text }}, {{ text }}, {{ text }},
        case when phase = 'onboarding' then {{ sign }} else 0 end, case when phase = 'renewal' then {{ sign }} else 0 end
    from phases where {{ day }} is not null
    {%- endfor %}
),

daily as (
    select
        account_id,
        changed_on,
        {%- for column in ['csm', 'team', 'plan', 'state', 'tenure_band'] %}
        max({{ column }}) as {{ column }},
        {%- endfor %}
        sum(onboarding) as onboarding,
        sum(renewal) as renewal
    from changes
    where changed_on <= {{ as_of_date() }}
    group by account_id, changed_on
),

filled as (
    select
        account_id,
        changed_on as valid_from,
        coalesce(lead(changed_on) over (partition by account_id order by changed_on), {{ far_future() }}) as valid_to,
        {%- for column in ['csm', 'team', 'plan', 'state', 'tenure_band'] %}
        {{ last_known(column, 'account_id', 'changed_on') }} as {{ column }},
        {%- endfor %}
        sum(onboarding) over (partition by account_id order by changed_on) > 0 as is_onboarding,
        sum(renewal) over (partition by account_id order by changed_on) > 0 as is_renewing
    from daily
),

final as (
    select
        filled.account_id,
        filled.valid_from,
        filled.valid_to,
        accounts.segment,
        accounts.industry,
        accounts.country,
        filled.tenure_band,
        case
            when filled.state = 'gone' then 'churned'
            when filled.state in ('prospect', 'paused') then filled.state
            when filled.is_onboarding then 'onboarding'
            when filled.is_renewing then 'renewal'
            when filled.tenure_band in ('0-3 months', '3-12 months') then 'growth'
            else 'established'
        end as lifecycle_stage,
        filled.plan,
        filled.csm,
        filled.team,
        {{ dbt.concat(['filled.csm', "'/'", 'accounts.segment']) }} as csm_segment
    from filled
    inner join accounts on filled.account_id = accounts.account_id
)

select * from final
