-- Grain: recurring item version x [valid_from, valid_to) with one state (paying or paused), whatever its price; trials are left out.
with versions as (
    select * from {{ ref('int_subscription_versions') }}
),

subscriptions as (
    select * from {{ ref('stg_billing__subscriptions') }}
    where account_id is not null and {{ has_begun('status') }}
),

pauses as (
    select * from {{ ref('stg_billing__subscription_pauses') }}
),

pause_ranges as (
    select
        versions.item_version_id,
        pauses.paused_from_on as paused_from,
        case
            when pauses.paused_until_on is null or pauses.paused_until_on >= subscriptions.ended_on then {{ far_future() }}
            else pauses.paused_until_on
        end as paused_to
    from versions
    inner join pauses on versions.subscription_id = pauses.subscription_id
    inner join subscriptions on versions.subscription_id = subscriptions.subscription_id
    -- what a late successor continues is not paused by what came after the end
    where subscriptions.ended_on is null or pauses.paused_from_on < subscriptions.ended_on
),

cuts as (
    select item_version_id, valid_from as cut_on from versions
    union
    select item_version_id, trial_from from versions where trial_from is not null
    union
    select item_version_id, trial_to from versions where trial_from is not null
    union
    select item_version_id, paused_from from pause_ranges
    union
    select item_version_id, paused_to from pause_ranges
),

pieces as (
    select
        versions.*,
        cuts.cut_on as piece_from,
        coalesce(
            lead(cuts.cut_on) over (partition by versions.item_version_id order by cuts.cut_on), versions.valid_to
        ) as piece_to
    from versions
    inner join cuts
        on
            versions.item_version_id = cuts.item_version_id
            and cuts.cut_on >= versions.valid_from
            and cuts.cut_on < versions.valid_to
),

flagged as (
    select
        pieces.item_version_id,
        pieces.piece_from,
        max(case when pause_ranges.item_version_id is not null then 1 else 0 end) = 1 as is_paused
    from pieces
    left join pause_ranges
        on
            pieces.item_version_id = pause_ranges.item_version_id
            and pieces.piece_from >= pause_ranges.paused_from
            and pieces.piece_from < pause_ranges.paused_to
    group by pieces.item_version_id, pieces.piece_from
),

final as (
    select
        pieces.account_id,
        pieces.subscription_id,
        pieces.item_id,
        pieces.item_version_id,
        pieces.plan_id,
        pieces.product_name,
        pieces.currency,
        pieces.piece_from as valid_from,
        pieces.piece_to as valid_to,
        pieces.quantity,
        flagged.is_paused,
        case when flagged.is_paused then 0 else pieces.mrr end as mrr,
        case when flagged.is_paused then pieces.mrr else 0 end as paused_mrr
    from pieces
    inner join flagged on pieces.item_version_id = flagged.item_version_id and pieces.piece_from = flagged.piece_from
    where
        not (pieces.trial_from is not null and pieces.piece_from >= pieces.trial_from and pieces.piece_from < pieces.trial_to)
)

select * from final
