"""The standard shape of a published KPI row, and sums by cut."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

from tests.recomputation.calendar import Period
from tests.recomputation.landed import Row

Cut = tuple[str, str]
ALL: Cut = ("all", "all")
FEW_ACCOUNTS = 3


class Sums:
    """Sums of named components by cut; `all` is there even when nothing was added."""

    def __init__(self) -> None:
        self._sums: dict[Cut, dict[str, Fraction]] = {ALL: defaultdict(Fraction)}

    def add(self, cuts: dict[str, str], **components: Fraction | int) -> None:
        """Add to every cut."""
        for cut in cuts.items():
            sums = self._sums.setdefault(cut, defaultdict(Fraction))
            for name, amount in components.items():
                sums[name] += amount

    def __iter__(self) -> Iterator[tuple[Cut, dict[str, Fraction]]]:
        return iter(sorted(self._sums.items()))


class Lists:
    """Things gathered by cut; `all` is there even when nothing was gathered."""

    def __init__(self) -> None:
        self._lists: dict[Cut, list[Any]] = {ALL: []}

    def add(self, cuts: dict[str, str] | Iterable[Cut], thing: Any) -> None:
        """Gather a thing under every cut."""
        for cut in cuts.items() if isinstance(cuts, dict) else cuts:
            self._lists.setdefault(cut, []).append(thing)

    def get(self, cut: Cut) -> list[Any]:
        """What was gathered under a cut."""
        return self._lists.get(cut, [])

    def __iter__(self) -> Iterator[tuple[Cut, list[Any]]]:
        return iter(sorted(self._lists.items()))


def standard(
    kpi_id: str,
    period: Period,
    cut: Cut,
    *,
    numerator: Fraction | float | None,
    denominator: Fraction | float | None,
    value: Fraction | float | None,
    n: int,
    is_suppressed: bool = False,
    is_low_confidence: bool = False,
    interval: tuple[float | None, float | None] = (None, None),
) -> Row:
    """The columns that every KPI table has."""
    return {
        "kpi_id": kpi_id,
        "period_type": period.type,
        "period_start": period.start,
        "period_end": period.end,
        "segment_type": cut[0],
        "segment_value": cut[1],
        "numerator": None if numerator is None else float(numerator),
        "denominator": None if denominator is None else float(denominator),
        "value": None if value is None else float(value),
        "n": int(n),
        "ci_low": interval[0],
        "ci_high": interval[1],
        "is_complete": period.is_complete,
        "is_suppressed": is_suppressed,
        "is_low_confidence": is_low_confidence,
    }


def few_accounts(cut: Cut, accounts: int) -> bool:
    """Whether a cut of a revenue KPI rests on too few accounts to be shown."""
    return cut != ALL and accounts < FEW_ACCOUNTS
