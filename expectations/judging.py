"""SQL that lays tonight's figures beside what is usual. History is what earlier published runs saw arrive.

Every band is in standard deviations that grow with the square root of the count, widened by how much the table really
spreads; too little history or too few rows give NULL, which is not judged.
"""

from expectations.raw import COUNTED_FIELDS, DESCRIBED, FILLED
from orchestration.contract import TABLES
from orchestration.rows import KNOWN_VALUES

_AREA = "case table_name " + " ".join(f"when '{t.name}' then '{t.area}'" for t in TABLES.values()) + " end"
_FILLED = ", ".join(f"'{name}'" for name in FILLED)
_COUNTED = "column_name in (" + ", ".join(f"'{name}'" for name in sorted(COUNTED_FIELDS)) + ")"

# values that the contract names need not have come before
_NAMED = " or ".join(
    f"tonight.table_name = '{table}' and tonight.column_name = '{name}'" for table, name in [*KNOWN_VALUES, *DESCRIBED]
)


def _split(figure: str) -> str:
    """A figure as two columns: of fields that KPIs count, and of all others."""
    return (
        f"case when {_COUNTED} then {figure} end as counted_{figure}, "
        f"case when not {_COUNTED} then {figure} end as other_{figure}"
    )


# `expected`: the median of the last six nights of the same weekday. The spread is that of count data, times how much
# more the table has spread so far (by the 80 % quantile, which for counts is 1.64, so that holidays don't count).
# A night is a day: what is delivered later on the same day comes on top of it.
# `common`: by which factor the areas are off tonight, tables aside that come whole every night; of two areas the less,
# of more the middle one. On a holiday all sources are down together, a delivery that isn't whole is down alone. A part
# of a shared change isn't judged.
RAW_TABLES = f"""
create or replace table ops.raw_tables as
with days as (
    select table_name, arrived_on, sum(n_delivered) as n_day, min(rows_before) > 0 as is_night
    from ops.arrivals where delivered_files > 0 group by all
),
nights as (
    select
        table_name, arrived_on, n_day,
        -- the first load of a table is all its history, not a night
        median(n_day) filter (is_night) over same_days as expected,
        count(*) filter (is_night) over same_days as n_same
    from days
    window same_days as (
        partition by table_name, isodow(arrived_on) order by arrived_on rows between 6 preceding and 1 preceding
    )
),
spreads as (
    select
        table_name,
        greatest(1, quantile_cont(power(n_day - expected, 2) / greatest(expected, 1), 0.8) / 1.64) as factor
    from nights where arrived_on <> $today::date and n_same >= 2 group by table_name
),
earlier as (
    select
        area, table_name, count(*) as n_nights, max(arrived_on) as last_arrived_on,
        median(repeated_share) as usual_repeated, min(kept_share) as least_kept, count(kept_share) as n_kept,
        list_max(list(gap)) as longest_gap, max(n_delivered) as most_rows, median(n_rows) as usual_n
    from (
        select
            *, date_diff('day', lag(arrived_on) over (partition by table_name order by arrived_on), arrived_on) as gap
        from ops.arrivals where run_id <> $run and n_rows > 0 and delivered_files > 0
        qualify row_number() over (partition by table_name order by arrived_on desc) <= 60
    )
    group by area, table_name
),
tonight as (
    select
        arrivals.*, nights.n_day, nights.expected, nights.n_same, coalesce(spreads.factor, 1) as factor,
        case when nights.expected >= 8 and n_same >= 3 and coalesce(kept_share, 0) < 0.5
            then nights.n_day / nights.expected end as ratio
    from ops.arrivals
    left join nights using (table_name, arrived_on)
    left join spreads using (table_name)
    where run_id = $run
),
areas as (select area, median(ratio) as ratio from tonight where ratio is not null group by area),
shared as (
    select
        case when count(*) < 2 then 1
            when -quantile_disc(-ratio, 0.5) < 0.65 then -quantile_disc(-ratio, 0.5)
            when quantile_disc(ratio, 0.5) > 1.5 then quantile_disc(ratio, 0.5)
            else 1 end as common
    from areas
),
judged as (
    select
        tonight.*,
        expected * least(1.5, greatest(0.2, common)) as due,
        sqrt(factor * expected * (1 + 1 / n_same) + power(0.4 * (1 - common) * expected, 2)) as deviation
    from tonight cross join shared
)
select
    coalesce(judged.area, earlier.area) as area,
    coalesce(judged.table_name, earlier.table_name) as table_name,
    coalesce(judged.n_rows, 0) as n_rows,
    coalesce(judged.n_delivered, 0) as n_delivered,
    coalesce(judged.n_quarantined, 0) as n_quarantined,
    case when earlier.n_nights > 0 then coalesce(judged.n_conflicts, 0) end as n_conflicts,
    case when earlier.n_nights > 0 then 0 else coalesce(judged.n_conflicts, 0) end as n_first_conflicts,
    coalesce(earlier.n_nights, 0) as n_nights,
    round(judged.expected, 1) as usual_rows,
    case when judged.n_same >= 3 and judged.delivered_files > 0 and judged.expected >= 20
        then (judged.n_day - judged.due) / judged.deviation end as volume_z,
    case when earlier.n_nights >= 10 and judged.n_delivered >= 100
        then judged.n_delivered / earlier.most_rows end as volume_factor,
    -- of a small table, or on a weekday that is not known yet, nothing is a number of rows like others
    case when judged.delivered_files > 0 and judged.n_day = 0 and earlier.n_nights >= 5 and judged.due >= 20
            and judged.due > 2 * judged.deviation
        then 1 else 0 end as n_empty,
    -- came every night and isn't here, or is away for thrice its longest gap
    case when judged.table_name is not null then 0
        when earlier.n_nights >= 10 and earlier.longest_gap = 1 and earlier.usual_n >= 10
        then date_diff('day', earlier.last_arrived_on, $today::date)
        when earlier.n_nights >= 10
        then date_diff('day', earlier.last_arrived_on, $today::date) - 1 - 3 * earlier.longest_gap
        end as overdue_days,
    judged.deleted_share,
    case when judged.n_quarantined >= 5 or (judged.n_rows = 0 and judged.n_quarantined > 1)
        then judged.n_quarantined / (judged.n_rows + judged.n_quarantined) end as lost_share,
    case when earlier.n_nights > 0 then lost_share end as quarantined_share,
    case when earlier.n_nights > 0 then 0 else lost_share end as first_quarantined_share,
    case when earlier.n_nights >= 5 and earlier.usual_repeated < 0.5 and (judged.n_rows >= 5 or judged.n_rows = 0)
        then judged.repeated_share end as sent_again_share,
    case when table_name not in ({_FILLED}) then sent_again_share end as repeated_share,
    case when table_name in ({_FILLED}) then sent_again_share end as filled_share,
    case when earlier.n_kept >= 5 and earlier.least_kept >= 0.95 then judged.n_vanished end as n_vanished
from judged full join earlier using (table_name)
"""

# What is usual is judged by the last sixty nights; a first load of all history is another thing than a night and
# is left out. Lacking are the rows by which tonight has fewer missing or fewer filled values than usual, in as many
# rows as usual: rows that come on top, such as those of a campaign, take nothing away. `factor`: how much more the
# nights differ among each other than chance would have it.
RAW_COLUMNS = f"""
create or replace table ops.raw_columns as
with numbered as (
    select *, median(n_rows) over (partition by table_name, column_name) as usual_rows
    from ops.arrived_columns where run_id <> $run and n_rows > 0
),
nights as (
    select numbered.* from numbered join ops.arrivals using (run_id, table_name)
    where numbered.n_rows <= 20 * usual_rows
    qualify row_number() over (partition by table_name, column_name order by last_load_id desc) <= 60
),
pooled as (
    select
        table_name, column_name, count(*) as n_nights, sum(n_rows) as n_rows, median(n_rows) as usual_rows,
        (sum(n_null) + 0.5) / (sum(n_rows) + 1) as null_share, avg(mean_value) as usual_mean,
        sum(n_positive) as n_positive, sum(mean_log * n_positive) / nullif(sum(n_positive), 0) as usual_log,
        sum(mean_log_squared * n_positive) / nullif(sum(n_positive), 0) as usual_log_squared
    from nights group by all
),
spreads as (
    select
        table_name, column_name,
        avg(power(nights.n_null - nights.n_rows * pooled.null_share, 2)
            / (nights.n_rows * pooled.null_share * (1 - pooled.null_share))) as null_factor,
        avg(power(nights.mean_log - usual_log, 2) * nights.n_positive
            / greatest(usual_log_squared - usual_log * usual_log, 0.0025)) as log_factor
    from nights join pooled using (table_name, column_name) group by all
),
judged as (
    select
        tonight.*, pooled.null_share as usual_null_share, pooled.usual_mean,
        least(tonight.n_rows, pooled.usual_rows) as n_due,
        tonight.n_null / nullif(tonight.n_rows, 0) as null_share,
        pooled.n_nights >= 5 and pooled.n_rows >= 20 as is_judged,
        case when pooled.n_positive >= 20 then tonight.mean_log - pooled.usual_log end as log_shift,
        sqrt(greatest(log_factor, 1) * greatest(usual_log_squared - usual_log * usual_log, 0.0025)
            / nullif(tonight.n_positive, 0)) as log_deviation,
        sqrt(greatest(null_factor, 1) * n_due * pooled.null_share * (1 - pooled.null_share) + 1) as null_deviation,
        greatest(
            n_due * (1 - pooled.null_share) - (tonight.n_rows - tonight.n_null),
            n_due * pooled.null_share - tonight.n_null
        ) as n_lacking
    from ops.arrived_columns as tonight
    left join pooled using (table_name, column_name)
    left join spreads using (table_name, column_name)
    where tonight.run_id = $run and tonight.n_rows > 0
),
measured as (
    select
        area, table_name, column_name, n_rows, n_unknown, n_out_of_range, n_untidy, examples,
        round(null_share, 4) as null_share, round(usual_null_share, 4) as usual_null_share, mean_value, usual_mean,
        case when is_judged and n_lacking > 0.1 * n_due then n_lacking / null_deviation end as null_share_z,
        case when is_judged and abs(log_shift) > 0.7 and n_positive >= 20
            then abs(log_shift) / log_deviation end as scale_z
    from judged
)
select *, {_split("null_share_z")}, {_split("scale_z")} from measured
"""

# One row a column: what its usual values lack tonight. `distance` is the share of the usual rows that are missing from
# their values; rows that come on top, such as those of a campaign, take nothing away. `unseen_share` is that of values
# that never came before.
RAW_VALUES = f"""
create or replace table ops.raw_values as
with sizes as (
    select table_name, column_name, run_id, sum(n_rows) as n_night
    from ops.arrived_values group by all
),
usual_sizes as (
    select table_name, column_name, median(n_night) as usual_night from sizes where run_id <> $run group by all
),
nights as (
    select sizes.* from sizes join usual_sizes using (table_name, column_name)
    join ops.arrivals using (run_id, table_name)
    where run_id <> $run and n_night <= 20 * usual_night
    qualify row_number() over (partition by table_name, column_name order by last_load_id desc) <= 60
),
pooled as (
    select table_name, column_name, value, sum(n_rows) as n_rows
    from ops.arrived_values join nights using (table_name, column_name, run_id) group by all
),
totals as (
    select table_name, column_name, sum(n_rows) as n_history, count(*) as n_values
    from pooled group by all
),
counts as (select table_name, column_name, count(*) as n_nights from nights group by all),
-- every night, tonight too, against the pool: value by value where the pool or the night has it
each_night as (
    select table_name, column_name, run_id, n_night from nights
    union all
    select table_name, column_name, run_id, n_night from sizes where run_id = $run
),
expected as (
    select
        each_night.*, pooled.value, pooled.n_rows / totals.n_history as usual_share,
        coalesce(arrived.n_rows, 0) as n_rows,
        least(each_night.n_night, usual_sizes.usual_night) as n_due,
        greatest(n_due * usual_share - coalesce(arrived.n_rows, 0), 0) as n_lacking
    from each_night
    join usual_sizes using (table_name, column_name)
    join totals using (table_name, column_name)
    join pooled using (table_name, column_name)
    left join ops.arrived_values as arrived using (table_name, column_name, run_id, value)
),
measured as (
    select
        table_name, column_name, run_id, any_value(n_night) as n_night,
        sum(power(n_lacking, 2) / (n_due * usual_share + 1)) as chi_squared,
        sum(n_lacking) / any_value(n_due) as distance,
        arg_max(value, n_lacking) as lacking_value
    from expected group by all
),
spreads as (
    select
        table_name, column_name, quantile_cont(chi_squared, 0.9) as usual_chi_squared, avg(distance) as usual_distance
    from measured where run_id <> $run group by all
),
-- what never came in any night, the first load included
unseen as (
    select tonight.table_name, tonight.column_name, sum(tonight.n_rows) as n_new
    from ops.arrived_values as tonight
    left join (select distinct table_name, column_name, value from ops.arrived_values where run_id <> $run) as known
        using (table_name, column_name, value)
    where tonight.run_id = $run and known.value is null and not ({_NAMED}) group by all
),
judged as (
    select
        {_AREA} as area, table_name, column_name, measured.n_night as n_rows, lacking_value,
        round(distance, 3) as distance,
        case when n_nights >= 5 and n_history >= 100 and distance > 0.25 and distance > 2 * usual_distance
            then chi_squared / greatest(usual_chi_squared, n_values) end as share_factor,
        case when n_nights >= 5 and n_history >= 100 and n_new >= 3 then n_new / measured.n_night end as unseen_share
    from measured
    join totals using (table_name, column_name)
    join counts using (table_name, column_name)
    join spreads using (table_name, column_name)
    left join unseen using (table_name, column_name)
    where run_id = $run
)
select *, {_split("share_factor")} from judged
"""

# The shift of the clock that explains tonight's hours best, and by how much better (logarithm of the odds) than none,
# beyond what it does in any night before: Saturdays begin later every week, and summer time is new only once. Beyond
# its usual number an hour counts only as far as other hours lack rows: what comes on top, such as an import, was not
# moved there.
RAW_HOURS = f"""
create or replace table ops.raw_hours as
with nights as (
    select arrived_hours.*, run_id = $run as is_tonight
    from ops.arrived_hours join ops.arrivals using (run_id, table_name)
    where rows_before > 0
    qualify dense_rank() over (partition by table_name, column_name, is_tonight order by last_load_id desc) <= 60
),
sizes as (
    select table_name, column_name, run_id, is_tonight, sum(n_rows) as n_night from nights group by all
),
totals as (
    select table_name, column_name, sum(n_night) as n_rows, median(n_night) as usual_night from sizes
    where not is_tonight group by all having count(*) >= 7 and sum(n_night) >= 500
),
earlier as (
    select table_name, column_name, hour, sum(n_rows) as n_rows from nights where not is_tonight group by all
),
profiles as (
    select totals.table_name, totals.column_name, hours.hour, usual_night,
        coalesce(earlier.n_rows, 0) / totals.n_rows as usual_share,
        ln((coalesce(earlier.n_rows, 0) + 1.0) / (totals.n_rows + 24)) as weight
    from totals cross join (select range as hour from range(24)) as hours
    left join earlier using (table_name, column_name, hour)
),
each_hour as (
    select
        sizes.*, profiles.hour, coalesce(nights.n_rows, 0) as n_hour,
        least(n_night, usual_night) * usual_share as n_due,
        sum(greatest(n_due - n_hour, 0)) over same_night as n_lacking,
        sum(greatest(n_hour - n_due, 0)) over same_night as n_on_top,
        least(n_hour, n_due) + coalesce(greatest(n_hour - n_due, 0) * n_lacking / nullif(n_on_top, 0), 0) as n_moved
    from sizes join profiles using (table_name, column_name)
    left join nights using (table_name, column_name, run_id, is_tonight, hour)
    window same_night as (partition by table_name, column_name, run_id)
),
fits as (
    select
        run_id, is_tonight, table_name, column_name, shift, sum(n_hour) as n_rows, sum(n_moved * weight) as fit
    from each_hour cross join (select range - 11 as shift from range(24))
    join profiles using (table_name, column_name)
    where profiles.hour = (each_hour.hour - shift + 24) % 24
    group by all
),
evidences as (
    select *, fit - max(fit) filter (shift = 0) over (partition by run_id, table_name, column_name) as evidence
    from fits
),
shifts as (
    select *, evidence - coalesce(greatest(0, max(evidence) filter (not is_tonight) over same_shift), 0) as new_evidence
    from evidences
    window same_shift as (partition by table_name, column_name, shift)
    qualify is_tonight
),
judged as (
    select
        table_name, column_name, any_value(n_rows)::bigint as n_rows, arg_max(shift, evidence) as shift_hours,
        arg_max(new_evidence, evidence) as new_evidence
    from shifts group by all
)
select
    {_AREA} as area, table_name, column_name, n_rows, shift_hours,
    case when abs(shift_hours) > 1 then new_evidence end as shift_evidence,
    case when abs(shift_hours) = 1 then new_evidence end as hour_evidence
from judged
"""

# By how much better (logarithm of the odds) their own shares explain tonight's answers to a survey than the usual ones
# do: one that is far off may be an unhappy customer, and fewer than five prove no other scale.
RAW_SCORES = """
create or replace table ops.raw_scores as
with nights as (
    select
        arrived_answers.*, dense_rank() over (partition by survey_id order by last_load_id desc) as nights_ago
    from ops.arrived_answers join ops.arrivals using (run_id)
    where table_name = 'survey_responses'
    qualify nights_ago <= 61
),
answers as (
    select
        survey_id, share, max(nights_ago) as n_nights,
        coalesce(sum(n_rows) filter (run_id = $run), 0) as n_tonight,
        coalesce(sum(n_rows) filter (run_id <> $run), 0) as n_earlier
    from nights group by all
),
surveys as (
    select
        survey_id, sum(n_tonight) as n_rows, sum(n_earlier) as n_history, max(n_nights) as n_nights,
        sum(share * n_tonight) / sum(n_tonight) as mean_share,
        sum(share * n_earlier) / nullif(sum(n_earlier), 0) as usual_share
    from answers group by survey_id having sum(n_tonight) > 0
),
evidences as (
    select survey_id, sum(n_tonight * ln((n_tonight / n_rows) / ((n_earlier + 1) / (n_history + 1)))) as evidence
    from surveys join answers using (survey_id) where n_tonight > 0 group by survey_id
)
select
    'surveys' as area, 'survey_responses' as table_name, survey_id, n_rows::bigint as n_rows,
    round(mean_share, 3) as mean_share, round(usual_share, 3) as usual_share,
    case when n_nights > 5 and n_history >= 30 and n_rows >= 5
            and (abs(mean_share - usual_share) > 0.2 or mean_share not between 0 and 1)
        then evidence end as scale_evidence
from surveys join evidences using (survey_id)
"""
