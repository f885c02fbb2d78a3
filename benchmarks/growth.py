"""How the cost of a build grows with the data: with product events while the accounts stay, and the other way round.

Run: python -m benchmarks.growth [--events 1000000 5000000 20000000] [--accounts 500 2000 8000] [--months 30]
     [--folder DIR] [--svg docs/growth.svg]

What does not grow stays at its least size. At each size a sample company is made and its last day of product events
held back; a first build, which is a full one, is run on the rest; that day is landed and the next night's build is
run on what the first one left and published. The cost is CPU seconds of the build's SQL in one process
(benchmarks/yardstick.py); memory is the greatest resident set of the process that builds through dbt. The exponent of
a series is the slope of log cost on log size: 1 is a cost in proportion to the size, 0 a cost that does not depend on
it. The sizes run one after the other, so the machine must be quiet all the while: beside other work the same SQL has
taken 40 % more CPU.
"""

from __future__ import annotations

import argparse
import math
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from benchmarks.nights import END, hold_back, land, landed_sample, settings_for
from benchmarks.processes import peak_memory
from benchmarks.yardstick import recorded_build, replayed
from dashboard.show import BLUE, FONT, INK, LIGHT, MUTED, VERMILLION
from orchestration.building import prepare_manifest
from orchestration.history import CARRIED
from orchestration.processes import apart
from orchestration.variables import PROJECT_DIR
from orchestration.warehouse import Warehouse, open_database


@dataclass(frozen=True)
class Point:
    """What one size costs: CPU seconds of the SQL of the full and of the next night's build, and the peak memory of
    each in bytes."""

    accounts: int
    events: int
    full: float
    nightly: float
    full_peak: int = 0
    nightly_peak: int = 0


@dataclass(frozen=True)
class Series:
    """Points in which one thing (`events` or `accounts`) grows while the other stays, smallest first."""

    grows: str
    points: Sequence[Point]

    @property
    def sizes(self) -> list[int]:
        """The size of each point: how many of what grows."""
        return [getattr(point, self.grows) for point in self.points]

    def costs(self, build: str) -> list[float]:
        """CPU seconds of the builds `full` or `nightly`, in order of size."""
        return [getattr(point, build) for point in self.points]


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The least-squares slope of log cost on log size."""
    return statistics.linear_regression([*map(math.log, sizes)], [*map(math.log, costs)]).slope


def measure(folder: Path, accounts: int, events: int, months: int) -> Point:
    """Make a company of this size, build it in full and once more for the next night."""
    landing, published = folder / "landing", folder / "published.duckdb"
    landed_sample(landing, accounts, events, months)
    last, held_back = hold_back(landing, folder)
    file = Warehouse(folder / "wh").build_file.name
    first, following = folder / "first" / file, folder / "next" / file
    for path in (first, following):
        shutil.rmtree(path.parent, ignore_errors=True)  # left by a run that was ended
        path.parent.mkdir()
    built, full, full_peak = build(first, folder, END - timedelta(days=1), published, is_first=True)
    publish(built, published)
    shutil.move(built, following)
    shutil.rmtree(first.parent)
    shutil.move(held_back, last)
    _built, nightly, nightly_peak = build(following, folder, END, published, is_first=False)
    shutil.rmtree(following.parent)
    published.unlink()
    return Point(accounts, events, full, nightly, full_peak, nightly_peak)


def build(loaded: Path, folder: Path, as_of: date, published: Path, *, is_first: bool) -> tuple[Path, float, int]:
    """Land what is new and build: (the file it made, CPU seconds of its SQL, peak memory in bytes)."""
    land(loaded, folder / "landing", as_of, published)
    return apart(_build, loaded, folder, as_of, is_first)


def _build(loaded: Path, folder: Path, as_of: date, is_first: bool) -> tuple[Path, float, int]:
    settings = settings_for(folder, as_of)
    found = recorded_build(Warehouse(settings.warehouse), loaded, settings, full_refresh=is_first)
    peak = peak_memory()
    return found.after, replayed(found).cpu_seconds, peak


def publish(built: Path, published: Path) -> None:
    """Keep of a build what the next night carries: without it, every health score of the past would be made again."""
    published.unlink(missing_ok=True)
    with open_database(str(built), spill=built.parent) as con:
        found = con.execute("select table_name from duckdb_tables() where schema_name = 'marts'").fetchall()
        con.execute(f"attach '{published}' as published")
        for table in {name for (name,) in found}.intersection(CARRIED):
            con.execute(f"create table published.{table} as from marts.{table}")
        # between the load of the first night and that of the next one: only what is landed later can restate anything
        moment = f"timestamp '{END} 12:00:00'"
        con.execute(f"update published.first_published_kpi_values set first_published_at = {moment}")


def row(point: Point) -> str:
    """A line of the table."""
    sizes = f"{point.accounts:>10,}{point.events:>14,}{point.full:>12.2f}{point.nightly:>12.2f}"
    return (
        f"{sizes}{point.nightly / point.full:>10.3f}{point.full_peak / 1e6:>12,.0f}{point.nightly_peak / 1e6:>12,.0f}"
    )


HEADER = (
    f"{'accounts':>10}{'events':>14}{'full, s':>12}{'nightly, s':>12}{'ratio':>10}{'full, MB':>12}{'nightly, MB':>12}"
)


def findings(series: Series) -> str:
    """Exponents of a series and how much dearer its last night is than its middle one."""
    full, nightly = (exponent(series.sizes, series.costs(name)) for name in ("full", "nightly"))
    costs = series.costs("nightly")
    ratio = costs[-1] / costs[len(costs) // 2]
    return (
        f"{series.grows} grow: exponent {full:.2f} (full), {nightly:.2f} (nightly); "
        f"nightly(last) / nightly(middle) {ratio:.2f}"
    )


@dataclass(frozen=True)
class Scale:
    """A logarithmic axis: the values `low` and `high` lie at the pixels `start` and `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The pixel of a value."""
        return self.start + (self.end - self.start) * math.log(value / self.low) / math.log(self.high / self.low)


WIDTH, HEIGHT = 760, 350
PLOT_LEFTS, PLOT_TOP, PLOT_WIDTH, PLOT_HEIGHT, INSET = (60, 430), 60, 300, 220, 20
COLOURS = {"full": BLUE, "nightly": VERMILLION}


def drawing(both: Sequence[Series]) -> str:
    """The series beside each other as SVG: CPU seconds on size, both axes logarithmic, a circle a measurement. The
    dashed line is what the first full build would cost at each size if the cost grew in proportion."""
    costs = [cost for series in both for name in COLOURS for cost in series.costs(name)]
    costs += [series.points[0].full * series.sizes[-1] / series.sizes[0] for series in both]
    low, high = math.floor(math.log10(min(costs))), math.ceil(math.log10(max(costs)))
    seconds = Scale(10.0**low, 10.0**high, PLOT_TOP + PLOT_HEIGHT, PLOT_TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="{FONT}" font-size="12" fill="{INK}" role="img">',
        "<title>CPU seconds of the SQL of a build as the data grows</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for left, series in zip(PLOT_LEFTS, both, strict=True):
        parts += _plot(left, series, seconds, range(low, high + 1))
    caption = "CPU seconds of the SQL of a build. Dashed: the first full build, if the cost grew in proportion."
    parts.append(f'<text x="{PLOT_LEFTS[0]}" y="{HEIGHT - 10}" fill="{MUTED}">{caption}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _plot(left: int, series: Series, seconds: Scale, decades: range) -> list[str]:
    sizes = series.sizes
    across = Scale(sizes[0], sizes[-1], left + INSET, left + PLOT_WIDTH - INSET)
    bottom = PLOT_TOP + PLOT_HEIGHT
    stays = "accounts" if series.grows == "events" else "events"
    title = f"{series.grows} grow, {getattr(series.points[0], stays):,} {stays}"
    parts = [f'<text x="{left}" y="20" font-weight="bold">{title}</text>']
    for decade in decades:
        y = seconds.at(10.0**decade)
        parts.append(f'<line x1="{left}" x2="{left + PLOT_WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="{LIGHT}"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end" fill="{MUTED}">{10.0**decade:g} s</text>')
    for size in sizes:
        parts.append(f'<text x="{across.at(size):.1f}" y="{bottom + 18}" text-anchor="middle">{size:,}</text>')
    parts.append(f'<text x="{left + PLOT_WIDTH / 2:g}" y="{bottom + 38}" text-anchor="middle">{series.grows}</text>')
    first = series.points[0].full
    ends = [(across.at(size), seconds.at(first * size / sizes[0])) for size in (sizes[0], sizes[-1])]
    parts.append(f'<polyline points="{_joined(ends)}" fill="none" stroke="{MUTED}" stroke-dasharray="3 4"/>')
    for number, (name, colour) in enumerate(COLOURS.items()):
        costs = series.costs(name)
        places = [(across.at(size), seconds.at(cost)) for size, cost in zip(sizes, costs, strict=True)]
        label = f"{name} build, exponent {exponent(sizes, costs):.2f}"
        parts.append(f'<text x="{left + 150 * number}" y="42" fill="{colour}">{label}</text>')
        parts.append(f'<polyline points="{_joined(places)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for (x, y), size, cost in zip(places, sizes, costs, strict=True):
            told = f"<title>{name}, {size:,} {series.grows}: {cost:.2f} CPU seconds</title>"
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}">{told}</circle>')
    return parts


def _joined(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000, 5_000_000, 20_000_000])
    parser.add_argument("--accounts", type=int, nargs="+", default=[500, 2000, 8000])
    parser.add_argument("--months", type=int, default=30)
    parser.add_argument("--folder", type=Path, help="where to work (a new temporary folder)")
    parser.add_argument("--svg", type=Path, default=PROJECT_DIR / "docs" / "growth.svg", help="where to draw it")
    options = parser.parse_args()
    if min(len(set(options.events)), len(set(options.accounts))) < 2:
        parser.error("a series needs two sizes")
    by_events = [(min(options.accounts), events) for events in sorted(set(options.events))]
    by_accounts = [(accounts, min(options.events)) for accounts in sorted(set(options.accounts))]
    points: dict[tuple[int, int], Point] = {}
    print(HEADER, flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        settings = settings_for(folder, END)
        prepare_manifest(Warehouse(settings.warehouse), settings.given_vars)  # parsing is no part of a build's memory
        for size in dict.fromkeys([*by_events, *by_accounts]):  # the least one is of both series
            points[size] = measure(folder, *size, options.months)
            print(row(points[size]), flush=True)
    both = [
        Series("events", [points[size] for size in by_events]),
        Series("accounts", [points[size] for size in by_accounts]),
    ]
    print("\n" + "\n".join(map(findings, both)))
    options.svg.write_text(drawing(both), encoding="utf-8")
    print(f"drawn to {options.svg}")


if __name__ == "__main__":
    main()
