"""Compare two sets of rows cell by cell."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Row = dict[str, Any]

# Columns that say which row it is or how to read it, not how much there was.
LABELS = frozenset(("is_complete", "is_suppressed", "is_low_confidence", "kpi_id", "previous_value"))


@dataclass(frozen=True)
class Difference:
    """One cell (or one whole row, column None) on which two tables disagree."""

    key: tuple
    column: str | None
    expected: Any
    actual: Any

    def __str__(self) -> str:
        where = " / ".join(str(part) for part in self.key)
        if self.column is None:
            return f"{where}: " + ("row is missing" if self.actual is None else "row is too many")
        return f"{where}: {self.column} is {self.actual!r}, not {self.expected!r}"


def differences(
    expected_rows: Iterable[Row],
    actual_rows: Iterable[Row],
    key: tuple[str, ...],
    money_tolerance: float = 0.005,
    rate_tolerance: float = 5e-7,
    empty_rows_may_differ: bool = False,
) -> list[Difference]:
    """List every cell of the expected rows' columns on which the actual rows differ.

    A Decimal in the expected row is money and is held to `money_tolerance` (plus float dust); a float to
    `rate_tolerance`, above 1 to that share of itself; anything else has to be equal. Columns that only the actual rows
    have are not looked at. With `empty_rows_may_differ` a row in which nothing was counted (other than of the cut
    `all`) may stand on one side only.

    Raises ValueError when a key occurs twice on one side.
    """
    expected, actual = _by_key(expected_rows, key), _by_key(actual_rows, key)
    columns = {column for row in expected.values() for column in row}
    found = []
    for identity in sorted(expected.keys() | actual.keys(), key=lambda parts: tuple(map(str, parts))):
        left, right = expected.get(identity), actual.get(identity)
        if left is None or right is None:
            there = {name: (left or right).get(name) for name in columns}
            if not (empty_rows_may_differ and _is_empty(there, key)):
                found.append(Difference(identity, None, left, right))
            continue
        for column, value in left.items():
            if column not in right or not _same(value, right[column], money_tolerance, rate_tolerance):
                found.append(Difference(identity, column, value, right.get(column, "no such column")))
    return found


def _by_key(rows: Iterable[Row], key: tuple[str, ...]) -> dict[tuple, Row]:
    found: dict[tuple, Row] = {}
    for row in rows:
        identity = tuple(row[name] for name in key)
        if identity in found:
            raise ValueError(f"two rows for {dict(zip(key, identity, strict=True))}")
        found[identity] = row
    return found


def _is_empty(row: Row, key: tuple[str, ...]) -> bool:
    """Whether nothing but its identity distinguishes the row; the total over everything is never empty."""
    if row.get("segment_type") == "all":
        return False
    ignored = {*key, *LABELS, "period_end"}
    return not any(value for name, value in row.items() if name not in ignored)


def _same(expected: Any, actual: Any, money_tolerance: float, rate_tolerance: float) -> bool:
    if expected is None or actual is None:
        return expected is actual
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    if isinstance(expected, Decimal):
        return abs(float(expected) - float(actual)) <= money_tolerance + 1e-9
    if isinstance(expected, float):
        return abs(expected - float(actual)) <= rate_tolerance * max(1.0, abs(expected))
    return expected == actual
