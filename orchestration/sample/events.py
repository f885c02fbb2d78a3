"""Product events, day by day in order of time, written as Parquet as they are made.

Whole months are one file each; the last month is one file a day, as a nightly delivery brings them. Text columns are
written from dictionaries, so no string is ever built per event.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from orchestration.sample.billing import Billing
from orchestration.sample.customers import Customers
from orchestration.sample.product import FEATURES, Usage, entitled, released_days
from orchestration.sample.world import World, ids

ROWS_AT_A_TIME = 1_000_000
DAY_US = 86_400_000_000
EVENT_NAMES = ("login", "page_viewed", "feature_used", "report_exported", "record_saved", "search_run")
NAME_OF_FEATURE = {"search": 5, "reports": 3, "scheduled_exports": 3, "projects": 4, "custom_fields": 4}
HOURS = (1, 1, 1, 1, 1, 2, 4, 9, 18, 24, 25, 23, 17, 20, 24, 23, 20, 13, 7, 5, 4, 3, 2, 1)
SCHEMA = pa.schema(
    [
        ("event_id", pa.string()),
        *((name, pa.dictionary(pa.int32(), pa.string())) for name in
          ("account_id", "user_id", "contact_id", "event_name", "feature_key")),
        ("occurred_at", pa.timestamp("us")),
        ("_loaded_at", pa.timestamp("us")),
    ]
)  # fmt: skip


@dataclass(frozen=True)
class _Lookup:
    """Tables that turn random bits into seconds, users and features."""

    second: np.ndarray
    skew: np.ndarray
    features: np.ndarray
    feature_count: np.ndarray
    user_first: np.ndarray
    user_ids: pa.Array
    account_ids: pa.Array


def write_events(
    world: World,
    customers: Customers,
    billing: Billing,
    usage: Usage,
    out: Path,
    events: int,
    progress: Callable[[str], None],
) -> int:
    """Write exactly `events` rows under `out`/product_events (fewer only if no account ever lived); gives the count."""
    folder = out / "product_events"
    folder.mkdir(parents=True, exist_ok=True)
    rng = world.stream("events")
    lookup = _make_lookup(customers, billing, usage)
    months = np.append(world.month_starts, world.days)
    totals = np.concatenate(
        [_weights(world, billing, usage, first, last).sum(axis=1) for first, last in pairwise(months)]
    )
    if totals.sum() == 0:
        return 0
    per_day = _apportion(events, totals)
    if per_day.max() > ROWS_AT_A_TIME:
        raise ValueError(f"sample: {events} events make more than {ROWS_AT_A_TIME} on one day")
    written = 0
    for number, (first, last) in enumerate(pairwise(months)):
        weights = _weights(world, billing, usage, first, last)
        # A gamma factor per account and day: people work in bursts, not evenly.
        weights *= rng.standard_gamma(0.8, weights.shape, dtype=np.float32) + np.float32(0.02)
        is_last = number == len(months) - 2
        for path, days in _files(world, folder, first, last, is_last):
            with pq.ParquetWriter(
                path,
                SCHEMA,
                compression="snappy",
                use_dictionary=[field.name for field in SCHEMA if pa.types.is_dictionary(field.type)],
                dictionary_pagesize_limit=1 << 26,
                column_encoding={"event_id": "DELTA_BYTE_ARRAY", "occurred_at": "DELTA_BINARY_PACKED",
                                 "_loaded_at": "DELTA_BINARY_PACKED"},
                write_page_index=False,
            ) as writer:  # fmt: skip
                for chunk in _chunks(days, per_day):
                    batch = _make_events(
                        world, customers, billing, usage, lookup, rng, weights, first, chunk, per_day, written
                    )
                    writer.write_table(batch, row_group_size=max(len(batch), 1))
                    written += len(batch)
        progress(f"product_events: {written:,} of {events:,} rows, to {world.date(last - 1)}")
    return written


def _files(world: World, folder: Path, first: int, last: int, by_day: bool):
    """(file, days in it) of one month."""
    if not by_day:
        yield folder / f"{str(world.date(first))[:7]}.parquet", np.arange(first, last)
        return
    for day in range(first, last):
        yield folder / f"{world.date(day)}.parquet", np.array([day])


def _chunks(days: np.ndarray, per_day: np.ndarray):
    """Days in groups of about ROWS_AT_A_TIME events; a file gets at least one group, if only an empty one."""
    group = (np.cumsum(per_day[days]) - 1) // ROWS_AT_A_TIME
    return np.split(days, np.flatnonzero(np.diff(group)) + 1)


def _apportion(total: int, weights: np.ndarray) -> np.ndarray:
    """Whole numbers in proportion to the weights that add up to the total."""
    edges = np.floor(np.cumsum(weights.astype(np.float64)) / weights.sum(dtype=np.float64) * total)
    edges[-1] = total
    return np.diff(edges, prepend=0).astype(np.int64)


def _weights(world: World, billing: Billing, usage: Usage, first: int, last: int) -> np.ndarray:
    """Expected share of events [days, accounts] for first <= day < last; 0 outside subscriptions."""
    days = np.arange(first, last)
    dates = world.date(days)
    weekday = (dates.astype(np.int64) + 3) % 7
    month = dates.astype("datetime64[M]").astype(np.int64) % 12
    of_month = (dates - dates.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64)
    calm = np.where((month == 11) & (of_month >= 21), 0.35, np.where(month == 7, 0.85, 1.0))
    pace = np.array((1.0, 1.08, 1.1, 1.05, 0.9, 0.22, 0.18))[weekday] * calm
    weights = usage.weight[:, days // 7].T * pace[:, None].astype(np.float32)
    return weights * _alive(world, billing, first, last)


def _alive(world: World, billing: Billing, first: int, last: int) -> np.ndarray:
    """Whether some subscription covers the whole day [days, accounts]: the first day is left out."""
    subs = billing.subs
    start, end, account = subs.whole("start") + 1, subs.whole("end"), subs.whole("account")
    end = np.where(end < 0, world.days, end)
    change = np.zeros((last - first + 1, world.accounts), dtype=np.int16)
    touching = (start < last) & (end > first) & (start < end)
    start, end, account = start[touching], end[touching], account[touching]
    np.add.at(change, (np.maximum(start, first) - first, account), 1)
    np.add.at(change, (np.minimum(end, last) - first, account), -1)
    return np.cumsum(change, axis=0)[:-1] > 0


def _make_lookup(customers: Customers, billing: Billing, usage: Usage) -> _Lookup:
    hours = np.cumsum(np.array(HOURS, dtype=np.float64))
    quantiles = (np.arange(1 << 16) + 0.5) / (1 << 16)
    second = np.interp(quantiles, np.append(0, hours / hours[-1]), np.arange(25) * 3600.0)
    most = np.maximum(usage.users.max(axis=1), billing.weekly_seats.max(axis=1)).astype(np.int64) + 1
    combinations = [entitled(plan, addon) for addon in (False, True) for plan in range(5)]
    features = np.zeros((10, len(FEATURES)), dtype=np.int8)
    for row, keys in enumerate(combinations):
        features[row, : len(keys)] = keys
    return _Lookup(
        second=(second * 1e6).astype(np.int64),
        skew=(quantiles**1.35).astype(np.float32),
        features=features,
        feature_count=np.array([len(keys) for keys in combinations], dtype=np.int8),
        user_first=(np.cumsum(most) - most).astype(np.int32),
        user_ids=ids("U", np.arange(most.sum())),
        account_ids=customers.segment_id,
    )


def _make_events(
    world: World,
    customers: Customers,
    billing: Billing,
    usage: Usage,
    lookup: _Lookup,
    rng: np.random.Generator,
    weights: np.ndarray,
    first: int,
    days: np.ndarray,
    per_day: np.ndarray,
    written: int,
) -> pa.Table:
    """The events of some days, in order of time."""
    account, day = _draw_accounts(rng, weights, first, days, per_day)
    count = len(account)
    bits = rng.bit_generator.random_raw(count)
    microsecond = _times(customers, lookup, bits, account, day, days[0])
    order = np.sort(microsecond << 21 | np.arange(count))
    row = order & ((1 << 21) - 1)
    microsecond = (order >> 21) + int(days[0]) * DAY_US
    account, bits = account[row], bits[row]
    week = (microsecond // (7 * DAY_US)).astype(np.int32)
    cell = account * np.int32(world.weeks) + week
    user = (lookup.skew[(bits >> np.uint64(16)) & np.uint64(0xFFFF)] * usage.users.ravel()[cell]).astype(np.int32)
    feature = _features(world, billing, usage, lookup, bits, account, cell, microsecond)
    is_contact = user < np.minimum(customers.contacts, 3)[account]
    contact = np.where(is_contact, customers.contact_first.astype(np.int32)[account] + user, 0)
    epoch = (np.datetime64(world.start, "us") - np.datetime64(0, "us")).astype(np.int64)
    arrival = (microsecond // DAY_US + 1 + (bits & np.uint64(0xFF) == 0)) * DAY_US
    arrival = np.minimum(arrival, world.days * DAY_US) + 5_400_000_000
    names = np.array([NAME_OF_FEATURE.get(row[0], 2) for row in FEATURES], dtype=np.int32)
    plain = (bits & np.uint64(1)).astype(np.int32)
    columns = [
        _sequence(written, count),
        pa.DictionaryArray.from_arrays(pa.array(account), lookup.account_ids),
        _compact(lookup.user_first[account] + user, lookup.user_ids, None),
        _compact(contact, customers.contact_id, is_contact),
        pa.DictionaryArray.from_arrays(pa.array(np.where(feature < 0, plain, names[feature])), pa.array(EVENT_NAMES)),
        pa.DictionaryArray.from_arrays(
            pa.array(feature, mask=feature < 0), pa.array([row[0] for row in FEATURES])
        ),
        pa.array(microsecond + epoch, pa.timestamp("us")),
        pa.array(arrival + epoch, pa.timestamp("us")),
    ]  # fmt: skip
    return pa.table(columns, schema=SCHEMA)


def _draw_accounts(
    rng: np.random.Generator, weights: np.ndarray, first: int, days: np.ndarray, per_day: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(account, day) of every event of these days: each day's total shared out in proportion to the weights."""
    accounts = np.arange(weights.shape[1], dtype=np.int32)
    drawn = []
    for day in days:
        edges = np.cumsum(weights[day - first], dtype=np.float64)
        shift = rng.random()
        edges = np.floor(edges / max(edges[-1], 1e-30) * per_day[day] + shift) if edges[-1] > 0 else edges
        edges[-1] = per_day[day]
        drawn.append(np.repeat(accounts, np.diff(np.minimum(edges, per_day[day]), prepend=0).astype(np.int64)))
    return np.concatenate(drawn), np.repeat(days, [len(part) for part in drawn])


def _times(
    customers: Customers, lookup: _Lookup, bits: np.ndarray, account: np.ndarray, day: np.ndarray, first: int
) -> np.ndarray:
    """Microseconds since the start of day `first`: office hours where the account lives, kept on the same UTC day."""
    fine = ((bits >> np.uint64(48)) * np.uint64(17)).astype(np.int64)
    local = lookup.second[(bits >> np.uint64(32)) & np.uint64(0xFFFF)] + fine
    shift = (customers.utc_hours * -3_600_000_000).astype(np.int64)[account]
    moment = local + shift
    moment += np.where(moment < 0, DAY_US, 0) - np.where(moment >= DAY_US, DAY_US, 0)
    return moment + (day - first) * DAY_US


def _features(
    world: World,
    billing: Billing,
    usage: Usage,
    lookup: _Lookup,
    bits: np.ndarray,
    account: np.ndarray,
    cell: np.ndarray,
    microsecond: np.ndarray,
) -> np.ndarray:
    """Feature of each event (-1 for none): among what the plan allows, as broadly as the account uses it."""
    low = bits & np.uint64(0xFFFF)
    plan = billing.weekly_plan.ravel()[cell] + 5 * billing.weekly_addon.ravel()[cell]
    most = lookup.feature_count[plan].astype(np.float32)
    reach = 1 + (most - 1) * usage.breadth.ravel()[cell]
    place = (lookup.skew[(low >> np.uint64(3)) * np.uint64(8)] * reach).astype(np.int32)
    # The first three features are everybody's; which others come next differs from account to account.
    others = np.maximum(most.astype(np.int32) - 3, 1)
    place = np.where(place < 3, place, 3 + (place - 3 + account % np.int32(7)) % others)
    feature = lookup.features[plan, np.minimum(place, most.astype(np.int32) - 1)].astype(np.int32)
    tries = usage.curious[account] & (low > np.uint64(63_500)) & (plan < 2)
    feature = np.where(tries, np.int32(16), feature)
    first, last = released_days(world)
    day = microsecond // DAY_US
    feature = np.where((day >= first[feature]) & (day < last[feature]), feature, np.int32(0))
    return np.where(low & np.uint64(7) == 0, np.int32(-1), feature).astype(np.int32)


def _sequence(first: int, count: int) -> pa.Array:
    """Message ids e0000000001, built as bytes: one block of ten thousand endings, a beginning for each block."""
    width = 11
    high, low = np.divmod(np.arange(first, first + count, dtype=np.int64), 10_000)
    lowest, highest = first // 10_000, (first + max(count, 1) - 1) // 10_000
    characters = np.empty((count, width), dtype=np.uint8)
    characters[:, 0] = ord("e")
    characters[:, 1:7] = _digits(np.arange(lowest, highest + 1), 6)[high - lowest]
    characters[:, 7:] = _digits(np.arange(10_000), 4)[low]
    offsets = np.arange(0, (count + 1) * width, width, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(offsets), pa.py_buffer(characters)])


def _digits(numbers: np.ndarray, width: int) -> np.ndarray:
    """Decimal digits as ASCII bytes, shape [numbers, width]."""
    return (numbers[:, None] // 10 ** np.arange(width - 1, -1, -1) % 10 + ord("0")).astype(np.uint8)


def _compact(index: np.ndarray, labels: pa.Array, valid: np.ndarray | None) -> pa.DictionaryArray:
    """A dictionary array that carries only the labels in use, so that the file's dictionary stays small."""
    used = np.zeros(len(labels), dtype=bool)
    used[index] = True
    place = np.cumsum(used, dtype=np.int32) - 1
    mask = None if valid is None else ~valid
    return pa.DictionaryArray.from_arrays(pa.array(place[index], mask=mask), labels.filter(pa.array(used)))
