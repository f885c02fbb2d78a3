"""Makes all pages beside the ones that are read, and puts them in their place by one rename.

`pages/<version>-<letters>/` is a whole set of pages, `dashboard` a link to the newest set. The set before stays, so
that a reader in the middle of it finds its files.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import jinja2
from altair.utils.schemapi import debug_mode
from markupsafe import Markup

from dashboard.account_pages import account_pages
from dashboard.first import FIRST_PAGE
from dashboard.handbook import handbook_pages
from dashboard.kpi_pages import kpi_pages
from dashboard.marts import Marts, open_marts
from dashboard.places import catalogue_places, place_of
from dashboard.second import SECOND_PAGE
from dashboard.sheet import Sheet
from dashboard.show import Writer
from dashboard.tiles import tiles
from orchestration.variables import UsageError
from orchestration.warehouse import Warehouse, make_folder

TEMPLATES = Path(__file__).parent / "templates"
SETS_KEPT = 2
# path of a page, its template, what the template shows
Page = tuple[str, str, dict[str, Any]]
Part = Callable[[Sheet, Sequence[tuple[str, str]]], Iterator[Page]]
DOCUMENTS = (("dbt.html", "dbt documentation"), ("lineage.html", "column lineage"))


def render_dashboard(warehouse: Warehouse) -> Path:
    """Make the pages of the published file and swap them in; returns the first page.

    Raises:
        UsageError: nothing is published, or something else lies where the pages belong.
    """
    if not warehouse.marts_file.exists():
        raise UsageError(f"nothing is published in {warehouse.root}")
    place = warehouse.dashboard
    if place.exists() and not place.is_symlink():
        raise UsageError(f"{place} is not a link that this command made: move it away, then run csw dashboard")
    make_folder(warehouse.pages)
    with open_marts(warehouse.marts_file) as marts:
        aside = Path(tempfile.mkdtemp(prefix=f"{marts.publication.version}-", dir=warehouse.pages))
        extras = documents(warehouse)
        # half of the pages in a process of its own: both cores draw
        context = multiprocessing.get_context("spawn")
        heard, told = context.Pipe(duplex=False)
        # not a Pool, which waits for ever when its process is killed
        rest = context.Process(target=_write_rest, args=(warehouse.marts_file, aside, extras, told), daemon=True)
        rest.start()
        told.close()
        try:
            write_pages(marts, aside, extras, parts=(_pictures,))
            _hear(heard)
        except BaseException:
            rest.terminate()
            rest.join()
            shutil.rmtree(aside)
            raise
        rest.join()
    for path in (aside, *aside.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o444)
    link = warehouse.pages / "newest"
    link.unlink(missing_ok=True)
    link.symlink_to(Path(warehouse.pages.name) / aside.name)
    os.replace(link, place)  # noqa: PTH105  (Path.replace resolves nothing either, this says what it is)
    sets = sorted((path for path in warehouse.pages.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    for old in [path for path in sets if path != aside][: -SETS_KEPT + 1]:
        shutil.rmtree(old)
    return place / "index.html"


def documents(warehouse: Warehouse) -> list[tuple[str, str]]:
    """The documents of `csw docs` that are there, as addresses from the pages."""
    return [
        (f"../{warehouse.docs.name}/{name}", words) for name, words in DOCUMENTS if (warehouse.docs / name).exists()
    ]


def _write_rest(marts_file: Path, folder: Path, extras: Sequence[tuple[str, str]], told: Connection) -> None:
    """Write the pages behind the first ones, and tell how that ended: None or the error."""
    try:
        with open_marts(marts_file) as marts:
            write_pages(marts, folder, extras, parts=(_pages_behind,))
    except Exception as error:
        told.send(error)
    else:
        told.send(None)


def _hear(heard: Connection) -> None:
    try:
        error = heard.recv()
    except EOFError:
        raise RuntimeError("the process that draws the pages behind the first ones was killed") from None
    if error:
        raise error


def write_pages(
    marts: Marts, folder: Path, extras: Sequence[tuple[str, str]] = (), parts: Sequence[Part] | None = None
) -> None:
    """Write the pages of a published file into this folder, all parts of them unless some are named; `extras` are
    further documents: address and words."""
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    writer = Writer(marts.publication.reporting_currency)
    shutil.copyfile(TEMPLATES / "style.css", folder / "style.css")
    with debug_mode(False):  # that every chart is valid is for the tests to say; each night it would cost seconds
        for path, template, context in _pages(Sheet(marts, writer), extras, parts or (_pictures, _pages_behind)):
            target = folder / path
            target.parent.mkdir(exist_ok=True)
            page = templates.get_template(template).render(
                root="../" * path.count("/"), publication=marts.publication, **context
            )
            target.write_text(page, encoding="utf-8")


def _pages(sheet: Sheet, extras: Sequence[tuple[str, str]], parts: Sequence[Part]) -> Iterator[Page]:
    for part in parts:
        yield from part(sheet, extras)


def _pictures(sheet: Sheet, _extras: Sequence[tuple[str, str]]) -> Iterator[Page]:
    pictures = [(number, draw(sheet)) for number, draw in FIRST_PAGE.items()]
    late = late_sources(sheet.marts, sheet.writer)
    yield "index.html", "index.html", {"tiles": tiles(sheet), "pictures": pictures, "late": late, "here": "index"}
    deeper = [(name, draw(sheet)) for name, draw in SECOND_PAGE.items()]
    yield "second.html", "second.html", {"pictures": deeper, "here": "second"}


def _pages_behind(sheet: Sheet, extras: Sequence[tuple[str, str]]) -> Iterator[Page]:
    yield from kpi_pages(sheet, {kpi: place_of(words) for kpi, words in catalogue_places().items()})
    yield from account_pages(sheet)
    yield from handbook_pages(sheet.marts, extras)


def late_sources(marts: Marts, writer: Writer) -> list[Markup]:
    """The raw tables that are later than they may be, with their hours."""
    rows = marts.read("mart_freshness", ["source_table"], ["hours_late"], "is_stale", order="hours_late desc")
    return [
        Markup("{} ({} h)").format(row["source_table"], writer.show(row.figure("hours_late"), "count")) for row in rows
    ]
