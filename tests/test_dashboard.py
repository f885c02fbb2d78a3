"""The dashboard: every number shown equals its mart, nothing personal is shown, and a real browser draws it."""

from __future__ import annotations

import csv
import json
import math
import multiprocessing
import os
import re
import shutil
from collections import defaultdict
from pathlib import Path

import duckdb
import pytest
from scipy import stats

from dashboard.first import FIRST_PAGE
from dashboard.health import wilson
from dashboard.links import account_file
from dashboard.marts import open_marts
from dashboard.second import SECOND_PAGE
from dashboard.sheet import Sheet
from dashboard.show import Writer
from dashboard.site import render_dashboard, write_pages
from dashboard.team import kaplan_meier
from orchestration.cli import main
from orchestration.night import PUBLISHED, one_night
from orchestration.publishing import read_publication
from orchestration.settings import resolve_settings
from orchestration.stages import draw
from orchestration.summary import summary_of
from orchestration.warehouse import Warehouse
from tests.conftest import ROOT
from tests.pages import Page, number_shown, read_page

WORDY = {"handbook.html", "dictionary.html"}


@pytest.fixture(scope="module")
def folder(sample) -> Path:
    return sample.warehouse / "dashboard"


@pytest.fixture(scope="module")
def pages(folder) -> dict[str, Page]:
    """Every page, parsed, by its address from the folder."""
    files = sorted(folder.rglob("*.html"))
    return {str(path.relative_to(folder)): read_page(path.read_text(encoding="utf-8")) for path in files}


def test_there_is_a_page_for_everything(sample, pages):
    kpis = {f"kpis/{kpi}.html" for (kpi,) in sample.rows("select kpi_id from dim_kpis")}
    accounts = {f"accounts/{account_file(one)}" for (one,) in sample.rows("select account_id from mart_account_360")}
    shared = {"index.html", "second.html", "kpis.html", "accounts.html", *WORDY}
    assert set(pages) == kpis | accounts | shared
    assert len(kpis) == len([*(ROOT / "models/marts/kpis").glob("kpi_*.sql")])
    assert len(accounts) > 150


def test_every_link_leads_to_a_page(folder):
    for path in folder.rglob("*.html"):
        if path.parent.name == "accounts" and path.stem.endswith(tuple("12346789")):
            continue  # they share one template: a tenth of them is enough
        for address in re.findall(r'href="([^"#:]+)["#]', path.read_text(encoding="utf-8")):
            assert (path.parent / address).exists(), f"{path.name}: {address}"


def test_every_number_shown_equals_its_mart(sample, pages):
    asked = defaultdict(list)
    for name, page in pages.items():
        for figure in page.figures:
            key = json.loads(figure.attributes["data-key"])
            what = (figure.attributes["data-mart"], figure.attributes["data-column"], *key)
            asked[figure.attributes.get("data-where", "true"), what].append((name, figure, tuple(key.values())))
    assert sum(map(len, asked.values())) > 10_000
    with duckdb.connect(str(sample.marts_file), read_only=True) as con:
        for (where, (mart, column, *keys)), figures in asked.items():
            # One row a key: a second value under the same key would show as a second row.
            picked = ", ".join(f"cast({key} as varchar)" for key in keys)
            rows = con.execute(f"select {picked}, {column} from {mart} where {where} group by all").fetchall()
            cells = {}
            for *place, value in rows:
                assert tuple(place) not in cells, f"{column} of {mart} is not one value at {place}"
                cells[tuple(place)] = value
            for name, figure, place in figures:
                given = figure.attributes.get("value", figure.attributes.get("data-value"))
                value = cells[place]
                assert given == ("" if value is None else str(value)), f"{name}: {column} of {mart} at {place}"
                if figure.tag in ("data", "text"):
                    _assert_reads_as(figure.text, value, f"{name}: {column} of {mart} at {place}")


def _assert_reads_as(text: str, value: object, what: str) -> None:
    if value is None:
        assert text == "–", what
        return
    shown, half_digit = number_shown(text)
    assert abs(shown - float(value)) <= half_digit * 1.000001 + 1e-12, f"{what}: {text} for {value}"


def test_no_number_stands_on_a_page_without_its_origin(pages):
    loose = {name: page.loose for name, page in pages.items() if name not in WORDY and page.loose}
    assert not loose


def test_headline_tiles_show_the_kpi_tables(sample, pages):
    """The same figures by another way: not mart_kpi_values but each KPI's own table."""
    tiles = {
        json.loads(figure.attributes["data-key"])["kpi_id"]: float(figure.attributes["value"])
        for figure in pages["index.html"].figures
        if figure.tag == "data"
        and figure.attributes["data-column"] == "value"
        and figure.attributes["data-mart"] == "mart_kpi_values"
    }
    headline = sample.rows("select kpi_id from dim_kpis where is_headline")
    for (kpi,) in headline:
        [(value, suppressed)] = sample.rows(
            f"select value, is_suppressed from kpi_{kpi} where segment_type = 'all' and period_type = 'month' "
            "and is_complete order by period_start desc limit 1"
        )
        assert tiles.get(kpi) == (None if suppressed else value), kpi


def test_two_tiles_show_what_their_mean_is_read_with(sample, pages):
    """October's ARR by colour; of the cohorts whose last day is 90 days past on 31 October, July's is the newest."""
    beside = {
        figure.attributes["data-column"]: (json.loads(figure.attributes["data-key"]), float(figure.attributes["value"]))
        for figure in pages["index.html"].figures
        if figure.tag == "data" and '"period_type": "month"' in figure.attributes["data-key"]
    }
    month = {"period_type": "month", "segment_type": "all", "segment_value": "all"}
    [(green, arr)] = sample.rows(
        "select green_arr, red_arr + yellow_arr + green_arr + unknown_arr from kpi_customer_health_score "
        "where segment_type = 'all' and period_type = 'month' and period_start = '2026-10-01'"
    )
    key, share = beside["green_arr_share"]
    assert key == {**month, "period_start": "2026-10-01"}
    assert share == pytest.approx(float(green / arr), abs=1e-6)
    july = sample.rows(
        "select observed_days, status = 'achieved' from fct_onboardings "
        "where started_on between '2026-07-01' and '2026-07-31'"
    )
    key, median = beside["km_median_days"]
    assert key == {**month, "period_start": "2026-07-01"}
    assert median == next(day for day, reached in kaplan_meier(july) if reached >= 0.5)


def test_nothing_personal_is_on_a_page(sample, pages):
    shown = "\n".join(word for page in pages.values() for word in page.words)
    with (sample.landing / "crm_contacts.csv").open(newline="", encoding="utf-8") as handle:
        contacts = list(csv.DictReader(handle))
    assert len(contacts) > 200
    emails = {row["email"] for row in contacts if row["email"]}
    ids = {row["contact_id"] for row in contacts}
    assert not [email for email in emails if email in shown]
    assert not ids & set(re.findall(r"\w+", shown))
    comments = {text for (text,) in sample.rows("select distinct body from fct_feedback_items where length(body) > 20")}
    assert len(comments) > 20
    assert not [text for text in comments if text in shown]


def test_grey_has_its_reason(sample):
    """A suppressed cut shows no value, and says why."""
    rows = sample.rows(
        "select kpi_id, segment_type, replace(segment_value, '_', ' ') from mart_kpi_values where is_suppressed "
        "and is_complete and segment_type in ('segment', 'lifecycle_stage', 'tenure_band') and period_type = 'month' "
        "and period_start = (select max(period_start) from mart_kpi_values where is_complete and period_type = 'month')"
    )
    assert len({kpi for kpi, _, _ in rows}) > 3
    for kpi, cut, value in rows:
        page = (sample.warehouse / "dashboard" / "kpis" / f"{kpi}.html").read_text(encoding="utf-8")
        table = page[page.index(f"<h3>{cut.replace('_', ' ').capitalize()}</h3>") :]
        row = re.search(rf'<tr class="greyed"><td class="name">{re.escape(value)}<br>.*?</tr>', table, re.S)[0]
        assert "too few to show" in row
        assert '">–</data></b>' in row or "<b>–</b>" in row


def test_the_select_of_a_kpi_page_gives_its_trend(sample, folder):
    for path in sorted((folder / "kpis").glob("*.html")):
        sql = re.search(r'<pre class="sql select">(.*?)</pre>', path.read_text(encoding="utf-8"), re.S)[1]
        rows = sample.rows(sql.replace("&#39;", "'").replace("&lt;", "<"))
        assert rows, path.stem


@pytest.mark.parametrize("picture", [*FIRST_PAGE.values(), *SECOND_PAGE.values()], ids=lambda picture: picture.__name__)
def test_a_picture_of_an_empty_warehouse_gives_its_reason(picture, empty_marts):
    drawn = picture(Sheet(empty_marts, Writer("EUR")))
    assert all(panel.svg is None and panel.reason for panel in drawn.panels) or "nothing" in str(drawn.notes)


def test_pages_of_an_empty_warehouse_can_be_made(empty_marts, tmp_path):
    write_pages(empty_marts, tmp_path)
    for path in tmp_path.rglob("*.html"):
        read_page(path.read_text(encoding="utf-8"))
    assert (tmp_path / "index.html").exists()


@pytest.fixture(scope="module")
def empty_marts(sample, tmp_path_factory):
    """The tables of the published file without rows, but for the day it stands for."""
    file = tmp_path_factory.mktemp("empty") / "marts.duckdb"
    with duckdb.connect(str(file)) as con:
        con.execute(f"attach '{sample.marts_file}' as full_marts (read_only)")
        for (table,) in con.execute(
            "select table_name from duckdb_tables() where database_name = 'full_marts'"
        ).fetchall():
            keep = "" if table.startswith("meta_") else " limit 0"
            con.execute(f"create table {table} as select * from full_marts.{table}{keep}")
    with open_marts(file) as marts:
        yield marts


def test_kaplan_meier_agrees_with_scipy():
    seen = [(5, True), (8, False), (8, True), (12, True), (12, False), (20, True), (31, False)]
    waits = stats.CensoredData(
        uncensored=[days for days, reached in seen if reached], right=[days for days, reached in seen if not reached]
    )
    fitted = stats.ecdf(waits).cdf
    assert all(math.isclose(share, float(fitted.evaluate(day)), abs_tol=1e-12) for day, share in kaplan_meier(seen))


def test_wilson_agrees_with_scipy():
    [low], [high] = (
        duckdb.sql(f"select {wilson('rate', 'n', side)} from (select 7 / 22.0 as rate, 22 as n)").fetchone()
        for side in (-1, 1)
    )
    interval = stats.binomtest(7, 22).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((interval.low, interval.high), abs=1e-7)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.9534, "ratio", "95.3 %"),
        (-0.0081, "+ratio", "−0.8 pp"),
        (0.0125, "goal", "1.25 %"),
        (1.0064, "goal", "100.64 %"),
        (0.9, "goal", "90.0 %"),
        (1234567.0, "money", "$1.23M"),
        (999960.0, "money", "$1.00M"),
        (-1279.0, "+money", "−$1,279"),
        (0.0, "+money", "$0"),
        (-0.0004, "+ratio", "0.0 pp"),
        (41.53, "score", "41.5"),
        (4.6, "score", "4.60"),
        (24.875, "days", "24.9 d"),
        (None, "money", "–"),
    ],
)
def test_a_figure_is_written_in_its_unit(value, unit, text):
    assert Writer("USD").text(value, unit) == text


# ----- the pages and the published file -----


@pytest.fixture
def copied(sample, tmp_path) -> Path:
    """A warehouse folder of its own with the published file."""
    for name in ("runs", "versions"):
        (tmp_path / name).mkdir()
    shutil.copy(sample.marts_file, tmp_path / "marts.duckdb")
    return tmp_path


def test_csw_dashboard_makes_the_pages_again_and_keeps_the_set_before(copied, capsys):
    sets = []
    for umask in (0o077, 0o002):
        before = os.umask(umask)
        try:
            assert main(["dashboard", "--warehouse", str(copied)]) == 0
        finally:
            os.umask(before)
        pages = [copied / "pages", *(copied / "dashboard").resolve().rglob("*")]
        assert {(path.is_dir(), path.stat().st_mode & 0o777) for path in pages} == {(True, 0o755), (False, 0o444)}
        assert (copied / "dashboard" / "index.html").exists()
        sets.append((copied / "dashboard").resolve())
    assert str(copied / "dashboard" / "index.html") in capsys.readouterr().out
    assert len(set(sets)) == 2
    assert sorted(path.resolve() for path in (copied / "pages").iterdir()) == sorted(sets)


def test_when_the_process_that_draws_is_killed_nothing_is_half_made(copied, monkeypatch):
    def killed(*_pages, **_parts):
        for other in multiprocessing.active_children():
            other.kill()

    monkeypatch.setattr("dashboard.site.write_pages", killed)
    with pytest.raises(RuntimeError, match="draws the pages behind the first ones was killed"):
        render_dashboard(Warehouse(copied))
    assert not (copied / "dashboard").exists()
    assert not list((copied / "pages").iterdir())


def test_a_dashboard_that_fails_leaves_the_night_published_and_is_told(copied):
    (copied / "dashboard").mkdir()
    (copied / "dashboard" / "mine.txt").write_text("not to be overwritten")
    assert main(["dashboard", "--warehouse", str(copied)]) == 2
    said: list[str] = []
    settings = resolve_settings(landing=str(copied), warehouse=str(copied), as_of="2026-10-31")
    with one_night(settings, said.append) as night:
        night.publication = read_publication(night.warehouse.marts_file)
        with pytest.raises(Exception, match="move it away"):
            draw(night)
        assert night.exit_code == PUBLISHED
        summary = summary_of(night)
    assert "warning    drawing the dashboard" in summary
    assert "csw dashboard --warehouse" in summary
    assert (copied / "dashboard" / "mine.txt").exists()
    assert "drawing the dashboard" in (copied / "runs" / "last.json").read_text()


# ----- in a browser -----

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
LOOKED_AT = (
    "index.html", "second.html", "kpis.html", "accounts.html", "kpis/net_revenue_retention.html",
    "kpis/net_promoter_score.html", "handbook.html", "dictionary.html",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium; `make system-packages` installs it."""
    from playwright.sync_api import sync_playwright

    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium on this machine, and `make system-packages` has not installed one")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield chromium
        chromium.close()


MARKS = """() => [...document.querySelectorAll('svg [data-mart]')].map(mark => {
    const box = mark.getBoundingClientRect();
    return {value: mark.dataset.value, text: mark.tagName === 'text' ? mark.textContent : null, tag: mark.tagName,
            width: box.width, height: box.height, x: box.x + scrollX, middle: box.y + box.height / 2,
            column: mark.dataset.column, mart: mark.dataset.mart,
            picture: mark.closest('section') ? mark.closest('section').id : ''};
})"""


@pytest.mark.parametrize("width", [1280, 390])
def test_the_browser_draws_the_pages_and_asks_for_nothing_else(sample, folder, browser, tmp_path, width):
    [(account,)] = sample.rows(
        "select account_id from mart_account_360 where health_colour = 'red' order by mrr desc limit 1"
    )
    context = browser.new_context(
        viewport={"width": width, "height": 900}, is_mobile=width < 500, device_scale_factor=1
    )
    page, requests, complaints = context.new_page(), [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    for name in (*LOOKED_AT, f"accounts/{account_file(account)}"):
        page.goto((folder / name).as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} is wider than the screen"
        marks = page.evaluate(MARKS)
        flat = [mark for mark in marks if float(mark["value"] or 0) and not mark["width"] + mark["height"] > 0]
        assert not flat, f"{name}: marks that are not drawn"
        outside = [mark for mark in marks if mark["x"] < -1 or mark["x"] + mark["width"] > width + 1]
        assert not outside, f"{name}: marks beyond the edge"
        if name == "index.html":
            drawn = {mark["picture"] for mark in marks}
            assert drawn >= {"", *(f"picture-{number}" for number in range(2, 12))} - {""}
        if name == "second.html":
            assert len({mark["picture"] for mark in marks}) >= 6
        page.screenshot(path=tmp_path / f"{name.replace('/', '-')}-{width}.png", full_page=True)
    context.close()
    assert requests
    assert not [url for url in requests if not url.startswith(folder.as_uri().rsplit("/", 1)[0]) and url != "data:,"]
    assert not complaints
    assert len(list(tmp_path.glob("*.png"))) == len(LOOKED_AT) + 1


@pytest.mark.parametrize("width", [1280, 390])
def test_names_of_cuts_can_be_read_beside_their_targets(folder, browser, width):
    """A target beside the value had left a name no more than the width of a letter."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    for slug in ("net_revenue_retention", "time_to_first_value"):
        page.goto((folder / f"kpis/{slug}.html").as_uri())
        assert page.locator(".cut .status").count() >= 3
        sizes = page.evaluate(
            """() => [...document.querySelectorAll('.cut')].map(table => [
                Math.min(...[...table.querySelectorAll('td.name')].map(cell => cell.getBoundingClientRect().width)),
                table.getBoundingClientRect().right - table.parentElement.getBoundingClientRect().right])"""
        )
        assert min(name for name, _ in sizes) >= 100
        assert max(beyond for _, beyond in sizes) <= 0
    page.close()


def test_marks_stand_where_their_value_says(sample, folder, browser):
    """A picture that is drawn wrongly would still name right values: places on the screen must follow them."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto((folder / "kpis/net_revenue_retention.html").as_uri())
    dots = [(float(mark["value"]), mark["middle"]) for mark in page.evaluate(MARKS) if mark["tag"] == "path"]
    _assert_on_a_line(dots, within=0.6)
    page.goto((folder / "index.html").as_uri())
    bars = [
        (float(mark["value"]), mark["width"])
        for mark in page.evaluate(MARKS)
        if mark["picture"] == "picture-7" and mark["tag"] == "path" and "churned_mrr" in mark["column"]
    ]
    page.close()
    _assert_on_a_line(bars, within=0.6)
    longest = max(bars)
    assert all(math.isclose(width, value / longest[0] * longest[1], abs_tol=0.6) for value, width in bars)


def _assert_on_a_line(points: list[tuple[float, float]], within: float) -> None:
    assert len({value for value, _ in points}) >= 3
    fit = stats.linregress([value for value, _ in points], [place for _, place in points])
    assert all(abs(fit.intercept + fit.slope * value - place) <= within for value, place in points)


# ----- documents -----


@pytest.mark.long
def test_csw_docs_makes_two_files_that_open_without_a_network(sample, browser, tmp_path, capsys):
    copied = tmp_path / "warehouse"
    shutil.copytree(sample.warehouse, copied, symlinks=True)
    assert main(["docs", "--warehouse", str(copied)]) == 0, capsys.readouterr().err
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page, away = context.new_page(), []
    page.on("request", lambda request: away.append(request.url))
    for name, words in (("dbt.html", "kpi_net_revenue_retention"), ("lineage.html", "kpi_net_revenue_retention")):
        assert words in (copied / "docs" / name).read_text(encoding="utf-8")
        page.goto((copied / "docs" / name).as_uri())
        page.wait_for_timeout(2000)
        assert page.inner_text("body").strip()
    context.close()
    assert not [url for url in away if url.startswith(("http:", "https:"))]
    dictionary = (copied / "dashboard" / "dictionary.html").read_text(encoding="utf-8")
    assert '<a href="../docs/lineage.html">' in dictionary
