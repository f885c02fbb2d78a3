"""How a figure is written: units, colours, the HTML that carries its origin, and drawing a chart as inline SVG."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from dashboard.marts import Figure

if TYPE_CHECKING:
    import altair as alt

NONE = "–"
SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹"}
# Okabe and Ito's palette, which the colour-blind tell apart; health colours carry their letter as well.
BLUE, SKY, ORANGE, VERMILLION, GREEN, YELLOW, PURPLE, INK = (
    "#0072B2",
    "#56B4E9",
    "#E69F00",
    "#D55E00",
    "#009E73",
    "#F0E442",
    "#CC79A7",
    "#20262e",
)
GREY, LIGHT, MUTED = "#b4bac2", "#e6e9ed", "#5b6570"
HEALTH = {"green": GREEN, "yellow": YELLOW, "red": VERMILLION, "unknown": GREY}
# worst first
COLOURS = ("red", "yellow", "green", "unknown")
LETTERS = {"green": "G", "yellow": "Y", "red": "R", "unknown": "?"}
# Its widths are those that the drawing library reckons with, on every system.
FONT = "Arial, 'Liberation Sans', Helvetica, sans-serif"
PANEL_WIDTH = 370
_TOKEN = re.compile(r'<(\w+) aria-label="§(\d+)"([^>]*?)(/?)>')


def in_words(value: Any) -> str:
    """A label of the data as people write it: `mid_market` -> `mid market`, NULL -> `unknown`."""
    return "unknown" if value is None else str(value).replace("_", " ")


def month_name(day: date, long: bool = False) -> str:
    """`Oct 26`, or `October 2026`."""
    return f"{day:%B %Y}" if long else f"{day:%b} {day:%y}"


def quarter_name(day: date) -> str:
    """A quarter by its months, since fiscal quarters may start in any: `Jul-Sep 26`."""
    last = date(day.year + (day.month + 1) // 12, (day.month + 1) % 12 + 1, 1)
    return f"{day:%b}-{last:%b} {last:%y}"


@dataclass(frozen=True)
class Writer:
    """Writes values in their unit: ratio, goal, share, money, score, days, count, fine; a leading + writes the sign."""

    currency: str

    @property
    def symbol(self) -> str:
        return SYMBOLS.get(self.currency, f"{self.currency} ")

    def text(self, value: Any, unit: str) -> str:
        """The value as text; NULL is a dash."""
        if value is None:
            return NONE
        signed, unit = unit.startswith("+"), unit.removeprefix("+")
        if isinstance(value, date):
            return f"{value:%Y-%m-%d}"
        number = float(value)
        sign = "−" if number < 0 else "+" if signed and number > 0 else ""
        written = self._unsigned(abs(number), unit, signed)
        return sign + written if re.search("[1-9]", written) else written

    def _unsigned(self, number: float, unit: str, signed: bool) -> str:
        if unit == "ratio":
            return f"{number * 100:.1f} {'pp' if signed else '%'}"
        if unit == "goal":
            return f"{f'{number * 100:.2f}'.removesuffix('0')} %"
        if unit == "share":
            return f"{number * 100:.0f} %"
        if unit == "money":
            if number < 9999.5:
                return f"{self.symbol}{number:,.0f}"
            return f"{self.symbol}{number / 1e3:,.1f}k" if number < 999_950 else f"{self.symbol}{number / 1e6:,.2f}M"
        if unit == "count":
            return f"{number:,.0f}" if number == int(number) else f"{number:,.1f}"
        if unit == "days":
            return f"{number:,.1f} d"
        if unit == "fine":
            return f"{number:.2f}"
        return f"{number:,.2f}" if number < 10 else f"{number:,.1f}"

    def goal(self, figure: Figure, unit: str) -> Markup:
        """A target, which a value is held against: of a rate its hundredths are told as well, 1.25 % and not 1.2 %."""
        return self.show(figure, "goal" if unit == "ratio" else unit)

    def show(self, figure: Figure, unit: str) -> Markup:
        """A figure as HTML that names its mart, column and key."""
        # Pages hold tens of thousands of these: put together and escaped by hand, since Markup.format is slow.
        return Markup(f'<data class="f" {origin(figure)}>{escape(self.text(figure.value, unit))}</data>')


def origin(figure: Figure) -> Markup:
    """The attributes that say where a figure comes from."""
    value = "" if figure.value is None else str(figure.value)
    where = f' data-where="{escape(figure.where)}"' if figure.where else ""
    return Markup(
        f'value="{escape(value)}" data-mart="{escape(figure.mart)}" data-column="{escape(figure.column)}" '
        f'data-key="{escape(figure.key_json)}"{where}'
    )


def time(day: date | None, words: str | None = None) -> Markup:
    """A day as HTML."""
    if day is None:
        return Markup(NONE)
    iso = day.isoformat()[:10]
    return Markup(f'<time datetime="{iso}">{escape(words or iso)}</time>')


def colour_badge(colour: str | None) -> Markup:
    """A health colour with its letter."""
    colour = colour if colour in HEALTH else "unknown"
    return Markup('<span class="rag {}" title="{}">{}</span>').format(colour, colour, LETTERS[colour])


@dataclass(frozen=True)
class Panel:
    """One drawing, with the numbers behind it as a table; or the reason why there is none."""

    svg: Markup | None
    numbers: Sequence[tuple[str, Markup]] = ()
    reason: str = ""


@dataclass
class Canvas:
    """Draws one chart. `mark` gives a token that a mark or text of the chart takes as its description; after drawing,
    the token is replaced by what it stands for."""

    writer: Writer
    marks: list[tuple[str, Figure, str]] = field(default_factory=list)
    datasets: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    validate: bool = False

    def data(self, rows: list[dict[str, Any]]) -> alt.NamedData:
        """Rows of plain values for a chart. They are put in by name when it is drawn: charts are copied a lot."""
        import altair

        name = f"rows{len(self.datasets)}"
        self.datasets[name] = rows
        return altair.NamedData(name=name)

    def mark(self, label: str, figure: Figure, unit: str) -> str:
        """The token of a mark that shows this figure."""
        self.marks.append((label, figure, unit))
        return f"§{len(self.marks) - 1}"

    def draw(self, chart: alt.TopLevelMixin, title: str) -> Panel:
        """The chart as SVG that scales with its place, its marks carrying origin and a tooltip."""
        import vl_convert

        svg = vl_convert.vegalite_to_svg({**themed(chart).to_dict(validate=self.validate), "datasets": self.datasets})
        svg = _TOKEN.sub(self._replaced, svg)
        svg = re.sub(
            r'^<svg [^>]*?width="([\d.]+)" height="([\d.]+)" viewBox="([^"]*)">',
            lambda found: (
                f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" aria-label="{escape(title)}" '
                f'viewBox="{found[3]}" style="max-width:{float(found[1]) * 1.25:.0f}px">'
            ),
            svg,
        )
        return Panel(Markup(svg), self._numbers())

    def _numbers(self) -> list[tuple[str, Markup]]:
        seen: dict[tuple[str, Figure], Markup] = {}
        for label, figure, unit in self.marks:
            seen.setdefault((label, figure), self.writer.show(figure, unit))
        return [(label, shown) for (label, _), shown in seen.items()]

    def _replaced(self, found: re.Match[str]) -> str:
        tag, token, rest, closed = found.groups()
        label, figure, unit = self.marks[int(token)]
        said = f"{label}: {self.writer.text(figure.value, unit)}"
        attributes = str(origin(figure)).replace('value="', 'data-value="', 1)
        opening = f'<{tag} aria-label="{escape(said)}" {attributes}{rest}>'
        return f"{opening}<title>{escape(said)}</title></{tag}>" if closed else opening


def themed(chart: alt.TopLevelMixin) -> alt.TopLevelMixin:
    """The look that all charts share: no frame, quiet grid, one font."""
    quiet = {"labelColor": MUTED, "titleColor": MUTED, "labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": 400}
    return chart.configure(
        background="transparent",
        font=FONT,
        padding=4,
        view={"stroke": None},
        axis={**quiet, "grid": True, "gridColor": LIGHT, "domain": False, "ticks": False, "labelPadding": 5},
        header={**quiet, "labelFontWeight": 600, "labelColor": INK, "title": None},
        legend={**quiet, "orient": "top", "title": None, "symbolSize": 90, "columnPadding": 10, "offset": 6},
        text={"fontSize": 11, "color": INK},
        title={"fontSize": 11.5, "fontWeight": 600, "color": INK, "anchor": "start", "offset": 6},
    )
