"""What every picture is drawn from, and what it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

import altair as alt
from markupsafe import Markup

from dashboard.marts import Marts
from dashboard.show import Canvas, Panel, Writer

GRAIN = ("period_type", "period_start", "segment_type", "segment_value")
WHOLE = "segment_type = 'all'"
MONTHS_SHOWN = 13


@dataclass(frozen=True)
class Picture:
    """A picture of a page: its title says what one sees, the caption how to read it."""

    title: Markup
    caption: str
    panels: Sequence[Panel] = ()
    notes: Markup = field(default_factory=Markup)
    span: int = 1


@dataclass(frozen=True)
class Sheet:
    """What pictures are drawn from."""

    marts: Marts
    writer: Writer

    def canvas(self) -> Canvas:
        return Canvas(self.writer)

    def money_axis(self, title: str, **options: Any) -> alt.Axis:
        """An axis in thousands or millions of the reporting currency."""
        amount = "replace(format(abs(datum.value), '~s'), 'G', 'bn')"
        expression = f"(datum.value < 0 ? '−' : '') + '{self.writer.symbol}' + {amount}"
        return alt.Axis(title=title, labelExpr=expression, tickCount=5, **options)

    def last_complete(self, period_type: str) -> date | None:
        """The start of the last complete month, quarter or window of twelve months."""
        return self.marts.scalar(
            "select max(period_start) from mart_kpi_values where is_complete and "
            f"period_type = '{period_type}' and segment_type = 'all'"
        )

    @cached_property
    def month(self) -> date | None:
        return self.last_complete("month")

    @cached_property
    def quarter(self) -> date | None:
        return self.last_complete("quarter")

    @cached_property
    def window(self) -> date | None:
        return self.last_complete("ttm")


def nothing(title: str, caption: str, reason: str, span: int = 1) -> Picture:
    """A picture that can't be drawn yet."""
    return Picture(Markup(title), caption, [Panel(None, reason=reason)], span=span)
