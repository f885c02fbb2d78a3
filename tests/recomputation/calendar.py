"""Local days, months, fiscal quarters and the periods that a run publishes."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

ONE_DAY = timedelta(days=1)


def local_day(instant: datetime | None, timezone: str) -> date | None:
    """The day in `timezone` of a naive UTC timestamp."""
    if instant is None:
        return None
    return instant.replace(tzinfo=UTC).astimezone(ZoneInfo(timezone)).date()


def first_of_month(day: date) -> date:
    """The first day of the day's month."""
    return day.replace(day=1)


def add_months(first: date, months: int) -> date:
    """The first day of the month that lies `months` after the month of `first`."""
    index = first.year * 12 + first.month - 1 + months
    return date(index // 12, index % 12 + 1, 1)


def month_end(day: date) -> date:
    """The last day of the day's month."""
    return add_months(day, 1) - ONE_DAY


def quarter_start(day: date, fiscal_year_start_month: int) -> date:
    """The first day of the fiscal quarter that contains the day."""
    return add_months(first_of_month(day), -((day.month - fiscal_year_start_month) % 3))


def days(first: date, last: date) -> Iterator[date]:
    """Every day from `first` to `last`, both included."""
    while first <= last:
        yield first
        first += ONE_DAY


def months(first: date, last: date) -> Iterator[date]:
    """The first day of every month from the month of `first` to the month of `last`."""
    month = first_of_month(first)
    while month <= last:
        yield month
        month = add_months(month, 1)


@dataclass(frozen=True)
class Period:
    """One published window: `start` to `end`, both included; `last` is its last day that is known."""

    type: str
    start: date
    end: date
    last: date
    is_complete: bool

    @property
    def before(self) -> date:
        """The day before the period."""
        return self.start - ONE_DAY

    def holds(self, day: date | None) -> bool:
        """Whether the day lies in the known part of the period."""
        return day is not None and self.start <= day <= self.last


def periods(first_month: date, as_of: date, fiscal_year_start_month: int) -> list[Period]:
    """Months, fiscal quarters and trailing twelve months from the first month with data to the month of `as_of`."""
    windows: dict[tuple[str, date], date] = {}
    for month in months(first_month, as_of):
        quarter = quarter_start(month, fiscal_year_start_month)
        windows["month", month] = month_end(month)
        windows["quarter", quarter] = month_end(add_months(quarter, 2))
        windows["ttm", add_months(month, -11)] = month_end(month)
    return [Period(kind, start, end, min(end, as_of), end <= as_of) for (kind, start), end in sorted(windows.items())]


def previous_start(period: Period) -> date:
    """Where the row before this one starts: a month earlier, for a quarter three."""
    return add_months(period.start, -3 if period.type == "quarter" else -1)
