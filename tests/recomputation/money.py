"""Exchange rates as of a day, and rounding to cents."""

from bisect import bisect_right
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from functools import cache

from tests.recomputation.landed import Tables

Native = dict[str, Fraction]  # amount by currency


def cents(amount: Fraction | None) -> Decimal | None:
    """Round half away from zero to the cent."""
    if amount is None:
        return None
    return (Decimal(amount.numerator) / Decimal(amount.denominator)).quantize(Decimal("0.01"), ROUND_HALF_UP)


def share(numerator: Fraction | int, denominator: Fraction | int) -> float | None:
    """A quotient, None when there is nothing to divide by."""
    return None if denominator == 0 else float(Fraction(numerator) / Fraction(denominator))


class Rates:
    """Units of the reporting currency for one unit of another, by the last rate on or before a day.

    A currency that is quoted only the other way round, on all days, is turned over.
    """

    def __init__(self, tables: Tables, reporting_currency: str) -> None:
        self.reporting_currency = reporting_currency
        self._quoted: dict[tuple[str, str], list[tuple[date, Fraction]]] = {}
        for row in tables["fin_exchange_rates"]:
            pair = (row["from_currency"], row["to_currency"])
            self._quoted.setdefault(pair, []).append((row["rate_date"], Fraction(row["rate"])))
        for history in self._quoted.values():
            history.sort()
        self.at = cache(self._at)

    def _last(self, source: str, target: str, day: date) -> Fraction | None:
        history = self._quoted.get((source, target), [])
        position = bisect_right(history, day, key=lambda entry: entry[0])
        return history[position - 1][1] if position else None

    def _at(self, currency: str, day: date) -> Fraction:
        if currency == self.reporting_currency:
            return Fraction(1)
        if (currency, self.reporting_currency) in self._quoted:
            rate = self._last(currency, self.reporting_currency, day)
        else:
            turned = self._last(self.reporting_currency, currency, day)
            rate = 1 / turned if turned else None
        if rate is None:
            raise LookupError(f"no rate from {currency} to {self.reporting_currency} on or before {day}")
        return rate

    def value(self, native: Native, day: date) -> Fraction:
        """The amounts together in the reporting currency at the rates of a day."""
        return sum((amount * self.at(currency, day) for currency, amount in native.items() if amount), Fraction(0))
