-- Grain: account x month at whose end (or as_of) it pays.
with adoption_facts as (
    select * from {{ ref('int_account_adoption_facts') }}
),

final as (
    select
        account_id,
        period_start as month,
        cast(n_entitled as bigint) as n_entitled,
        cast(n_used as bigint) as n_used,
        adoption_rate,
        {{ ratio('n_core_used', 'n_core_entitled') }} as core_adoption_rate,
        cast(floor(n_seats) as bigint) as seats,
        active_users,
        {{ ratio('active_users', 'n_seats') }} as seat_adoption_rate,
        unused_features,
        coalesce(active_users > n_seats, false) as is_over_use
    from adoption_facts
)

select * from final
