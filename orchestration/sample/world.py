"""The frame of the sample company: its calendar, its random streams and the sizes everything else follows."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

NONE = -1_000_000
"""A day that never came: becomes NULL."""

CURRENCIES = ("USD", "EUR", "GBP")
SEGMENTS = ("smb", "mid_market", "enterprise")


@dataclass(frozen=True)
class World:
    """Days are integers counted from `start` (day 0); the last day with data is `days - 1`."""

    accounts: int
    start: date
    days: int
    seed: int

    @classmethod
    def ending(cls, end: date, months: int, accounts: int, seed: int) -> "World":
        """A world of `months` calendar months, the last of which holds `end` (inclusive, the last day with data)."""
        first = np.datetime64(end, "M") - (months - 1)
        start = first.astype("datetime64[D]").item()
        return cls(accounts=accounts, start=start, days=(end - start).days + 1, seed=seed)

    @property
    def weeks(self) -> int:
        return -(-self.days // 7)

    @property
    def month_starts(self) -> np.ndarray:
        """First day (int) of every calendar month of the world, shape [months]."""
        first, last = self.date(0).astype("datetime64[M]"), self.date(self.days - 1).astype("datetime64[M]")
        months = np.arange(first, last + 1).astype("datetime64[D]")
        return (months - np.datetime64(self.start)).astype(np.int64)

    def stream(self, name: str) -> np.random.Generator:
        """A random stream of its own for each purpose, so that one table's draws never shift another's."""
        return np.random.Generator(np.random.SFC64(np.random.SeedSequence([self.seed, zlib.crc32(name.encode())])))

    def date(self, day: np.ndarray | int) -> np.ndarray:
        """Calendar dates (datetime64[D]) of days; NONE becomes NaT."""
        day = np.asarray(day, dtype=np.int64)
        dates = np.datetime64(self.start) + day.astype("timedelta64[D]")
        return np.where(day == NONE, np.datetime64("NaT", "D"), dates)

    def instant(self, day: np.ndarray, second: np.ndarray | int = 0) -> np.ndarray:
        """UTC instants (datetime64[s]) of days plus seconds; NONE becomes NaT."""
        return self.date(day).astype("datetime64[s]") + np.asarray(second, dtype=np.int64).astype("timedelta64[s]")

    def moment(self, days: np.ndarray) -> np.ndarray:
        """UTC instants of fractional days; NaN and moments after the last day become NaT."""
        days = np.asarray(days, dtype=np.float64)
        known = np.isfinite(days) & (days < self.days)
        seconds = np.floor(np.where(known, days, 0) * 86_400).astype(np.int64)
        instants = np.datetime64(self.start, "s") + seconds.astype("timedelta64[s]")
        return np.where(known, instants, np.datetime64("NaT", "s"))

    def known(self, day: np.ndarray) -> np.ndarray:
        """Days that have come by the last day; later ones are not known yet and become NONE."""
        return np.where(day < self.days, day, NONE)

    def add_months(self, day: np.ndarray, months: np.ndarray | int) -> np.ndarray:
        """The same day of the month `months` later, or the last day of that month."""
        dates = self.date(day)
        month = dates.astype("datetime64[M]")
        target = month + np.asarray(months, dtype=np.int64)
        of_month = (dates - month.astype("datetime64[D]")).astype(np.int64)
        length = ((target + 1).astype("datetime64[D]") - target.astype("datetime64[D]")).astype(np.int64)
        moved = target.astype("datetime64[D]") + np.minimum(of_month, length - 1)
        return (moved - np.datetime64(self.start)).astype(np.int64)

    def office_second(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Seconds of the day between 08:00 and 17:00 UTC, so that no usual timezone moves the day."""
        return rng.integers(8 * 3600, 17 * 3600, size)


def text(labels: Sequence[str] | pa.Array, index: np.ndarray) -> pa.Array:
    """Strings labels[index]; an index below zero is NULL."""
    index = np.asarray(index)
    values = labels if isinstance(labels, pa.Array) else pa.array(labels, pa.string())
    return values.take(pa.array(index, mask=index < 0))


def ids(prefix: str, numbers: np.ndarray, width: int = 7) -> pa.Array:
    """Identifiers like A000012."""
    digits = pc.utf8_lpad(pc.cast(pa.array(numbers), pa.string()), width, "0")
    return pc.binary_join_element_wise(prefix, digits, "")


def choose(rng: np.random.Generator, weights: Sequence[float], size: int) -> np.ndarray:
    """Indices drawn with the given weights, shape [size]."""
    edges = np.cumsum(np.asarray(weights, dtype=np.float64))
    return np.minimum(np.searchsorted(edges / edges[-1], rng.random(size), side="right"), len(edges) - 1)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def spread(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Repeat each position counts[i] times: (position of each copy, its number 0.. within the position)."""
    counts = np.asarray(counts, dtype=np.int64)
    owner = np.repeat(np.arange(len(counts)), counts)
    first = np.cumsum(counts) - counts
    return owner, np.arange(len(owner)) - first[owner]
