"""Pictures of data that the sample company does not have: its published file with other rows here and there."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise

import duckdb
import pytest

from dashboard import health, revenue, second, team, tiles, voice
from dashboard.account_pages import account_pages
from dashboard.marts import open_marts
from dashboard.sheet import Sheet
from dashboard.show import BLUE, GREY, INK, LIGHT, SKY, Panel, Writer
from dashboard.site import write_pages
from tests.pages import read_page

Altered = Callable[..., Sheet]


@pytest.fixture
def altered(sample, tmp_path) -> Iterator[Altered]:
    """A sheet on the published file after these statements."""
    with ExitStack() as stack:

        def alter(*statements: str) -> Sheet:
            file = tmp_path / "marts.duckdb"
            shutil.copyfile(sample.marts_file, file)
            with duckdb.connect(str(file)) as con:
                for statement in statements:
                    con.execute(statement)
            return Sheet(stack.enter_context(open_marts(file)), Writer("USD"))

        yield alter


def fills(panel: Panel, column: str, **key: str) -> set[str]:
    """The colours of the marks that show this column of these rows."""
    return {
        mark.attributes["fill"]
        for mark in read_page(panel.svg).figures
        if mark.tag == "path"
        and mark.attributes["data-column"] == column
        and json.loads(mark.attributes["data-key"]).items() >= key.items()
    }


def test_somebody_who_only_worked_for_a_segment_has_no_cell_in_the_grid(altered):
    """Advocacy for an account that a colleague owns: a scorecard without a book."""
    sheet = altered(
        """insert into mart_csm_scorecards by name
        select 'ttm' as period_type, max(period_start) as period_start, 'helper' as csm_user_id,
            'Hal Perr' as full_name, 'smb' as segment_value, 1 as advocacy_completed, true as is_low_confidence
        from mart_kpi_values where period_type = 'ttm' and is_complete"""
    )
    [panel] = team.csm_grid(sheet).panels
    assert panel.svg
    assert "Hal Perr" not in panel.svg


def test_of_more_csms_than_can_be_drawn_the_largest_books_are(altered):
    """Thirty more books of 1,001 to 1,030 accounts: the 24 largest are those of 1,007 and more."""
    sheet = altered(
        """insert into mart_csm_scorecards by name
        select 'ttm' as period_type, max(period_start) as period_start, 'csm ' || number as csm_user_id,
            'Cee Esem ' || number as full_name, segment as segment_value, 1000 + number as accounts, 1.0 as nrr,
            0.0 as nrr_vs_segment
        from mart_kpi_values
        cross join range(1, 31) as numbers (number)
        cross join (values ('all'), ('smb')) as cuts (segment)
        where period_type = 'ttm' and is_complete group by number, segment""",
        """insert into dim_csms by name
        select 'csm ' || number as csm_user_id, 'Cee Esem ' || number as full_name
        from range(1, 31) as numbers (number)""",
    )
    picture = team.csm_grid(sheet)
    named = {int(number) for number in re.findall(r">Cee Esem (\d+)<", picture.panels[0].svg)}
    assert named == set(range(7, 31))
    assert "24 largest of" in picture.notes


def test_a_book_that_was_lost_has_its_cell(altered):
    """Of six accounts nobody stayed in smb, two in mid; two of enterprise became five, of which NRR knows two."""
    sheet = altered(
        """insert into mart_csm_scorecards by name
        select 'ttm' as period_type, max(period_start) as period_start, 'loser' as csm_user_id, books.*
        from mart_kpi_values
        cross join (values
            ('all', 14, 7, 0.3), ('smb', 6, 0, 0.0), ('mid', 6, 2, 0.25), ('enterprise', 2, 5, 1.5)
        ) as books (segment_value, opening_accounts, accounts, nrr)
        where period_type = 'ttm' and is_complete group by all""",
        "insert into dim_csms by name select 'loser' as csm_user_id, 'Lou Serr' as full_name",
    )
    [panel] = team.csm_grid(sheet).panels
    shown = {
        key["segment_value"]: mark.text
        for mark in read_page(panel.svg).figures
        if mark.tag == "text" and (key := json.loads(mark.attributes["data-key"]))["csm_user_id"] == "loser"
    }
    assert shown == {"smb": "0.0 %", "mid": "25.0 %", "enterprise": "n 2"}


def test_a_reason_of_two_kinds_is_one_bar_with_one_sum(altered):
    """A month's 900 + 800 are more than 1,000: 12 x 1,700 = 20,400 of a year, 4 + 7 accounts, 1 + 3 of them red."""
    sheet = altered(
        "delete from mart_churn_reasons",
        """insert into mart_churn_reasons by name
        select date '2026-10-01' as month, 'all' as segment_value, reasons.*
        from (values
            ('price', 'voluntary', 5, 1000, 2),
            ('unknown', 'voluntary', 4, 900, 1),
            ('unknown', 'involuntary', 7, 800, 3)
        ) as reasons (cancel_reason, cancel_type, churned_logos, churned_mrr, had_red_health_30d_before)""",
    )
    picture = revenue.churn_reasons(sheet)
    [panel] = picture.panels
    assert picture.title.endswith("for one reason: unknown")
    figures = read_page(panel.svg).figures
    assert [mark.text for mark in figures if mark.tag == "text"] == ["$20.4k", "$12.0k", "4", "2", "of 11", "of 5"]
    bars = {}
    for mark in figures:
        if mark.tag == "path":
            start, width = map(float, re.match(r"M([\d.]+),[\d.]+h([\d.]+)", mark.attributes["d"]).groups())
            key = json.loads(mark.attributes["data-key"])
            bars[key["cancel_reason"], key["cancel_type"]] = (mark.attributes["fill"], start, start + width)
    assert bars["unknown", "voluntary"][:2] == (BLUE, 0)
    assert bars["unknown", "involuntary"][:2] == (SKY, bars["unknown", "voluntary"][2])
    assert bars["price", "voluntary"][:2] == (BLUE, 0)


@pytest.mark.parametrize(("auc", "is_told"), [(0.599, True), (0.6, False), ("null", False)])
def test_a_score_that_hardly_ranks_tells_not_to_act_on_the_colour_alone(altered, auc, is_told):
    sheet = altered(
        f"""update mart_health_backtest set auc = {auc} where segment_value = 'all' and horizon_days = 90
        and snapshot_date = (select max(snapshot_date) from mart_health_backtest where horizon_days = 90)"""
    )
    assert ("Do not act on the colour alone" in health.back_test(sheet).notes) == is_told


def test_an_nps_of_few_answers_is_grey_and_says_so(altered):
    """The third quarter rests on 29 answers, the second on more than a hundred, the fourth is not over."""
    sheet = altered(
        """update kpi_net_promoter_score set n = 29, is_low_confidence = true
        where period_type = 'quarter' and segment_type = 'all' and period_start = '2026-07-01'"""
    )
    picture = voice.nps(sheet)
    [panel] = picture.panels
    colours = {f"2026-{month}-01": colour for month, colour in (("04", INK), ("07", GREY), ("10", GREY))}
    for quarter, colour in colours.items():
        assert fills(panel, "value", period_start=quarter) == {colour}
    assert "Few answers (n = <data" in picture.notes


def test_sentiment_of_few_pieces_of_feedback_is_hollow(altered):
    """In a quarter of the sample more than a hundred come by survey and less than 30 by web form."""
    [panel] = second.sentiment(altered()).panels
    assert fills(panel, "value", segment_value="survey", period_start="2026-07-01") == {BLUE}
    assert fills(panel, "value", segment_value="survey", period_start="2026-10-01") == {"white"}
    assert fills(panel, "value", segment_value="web_form") == {"white"}


def test_a_kpi_that_stays_as_it_was_says_so(altered):
    sheet = altered(
        """update mart_kpi_values set trend = 'steady', change_abs = 0 where kpi_id = 'net_promoter_score'
        and period_type = 'month' and period_start = '2026-10-01' and segment_type = 'all'"""
    )
    [tile] = [tile for tile in tiles.tiles(sheet) if "net_promoter_score" in tile.link]
    assert 'class="change steady"' in tile.change
    assert tile.change.endswith(" no change</span>")


def test_the_first_row_leads_with_what_customers_bring(altered):
    """The order of the eight in the requirements (C11); retained revenue before churn (002-32)."""
    assert [re.search(r"kpis/(\w+)\.html", str(tile.link))[1] for tile in tiles.tiles(altered())] == [
        "net_revenue_retention",
        "gross_renewal_rate",
        "customer_churn_rate",
        "customer_health_score",
        "net_promoter_score",
        "customer_satisfaction_score",
        "time_to_first_value",
        "product_adoption_rate",
    ]


def test_a_rate_of_a_month_stands_beside_that_of_its_year(altered):
    """Retention, renewals and churn of October, and of the twelve months that end with it."""
    sheet = altered()
    for tile in tiles.tiles(sheet)[:3]:
        kpi = re.search(r"kpis/(\w+)\.html", str(tile.link))[1]
        window = "period_type = 'ttm' and segment_type = 'all' and period_end = '2026-10-31'"
        [(year,)] = sheet.marts.con.execute(f"select value from kpi_{kpi} where {window}").fetchall()
        assert f'value="{year}"' in tile.beside, kpi
        assert re.sub("<[^>]+>", "", tile.beside).endswith(" % in the twelve months to October 2026")


def test_an_account_that_lost_its_score_did_not_get_better(altered):
    """Of three red accounts one stayed red, one turned yellow and one can't be scored any more; one came to a score."""
    sheet = altered(
        "delete from fct_health_scores",
        """insert into fct_health_scores by name
        select account_id, colour, cast(day as date) as score_date, 100 as current_mrr
        from (values
            ('a', '2026-09-30', 'red'), ('a', '2026-10-31', 'red'),
            ('b', '2026-09-30', 'red'), ('b', '2026-10-31', 'yellow'),
            ('c', '2026-09-30', 'red'), ('c', '2026-10-31', 'unknown'),
            ('d', '2026-09-30', 'unknown'), ('d', '2026-10-31', 'red')
        ) as scores(account_id, day, colour)""",
    )
    _, grid = health.health(sheet).panels
    colours = {
        (then, now): fills(grid, "sum(12 * today.current_mrr)", **key)
        for then, now in (("red", "red"), ("red", "yellow"), ("red", "unknown"), ("unknown", "red"))
        for key in [{"coalesce(earlier.colour, 'unknown')": then, "coalesce(today.colour, 'unknown')": now}]
    }
    assert colours[("red", "yellow")] == {"#bfe6d8"}
    assert colours[("red", "red")] == {LIGHT}
    assert colours[("red", "unknown")] == colours[("unknown", "red")] == {"#d5d9df"}


def test_months_without_a_score_or_mrr_keep_their_place(altered):
    """A customer from January to March and again from September 2026: of nine months four have a point and a bar."""
    months = ("2026-01-31", "2026-02-28", "2026-03-31", "2026-09-20", "2026-09-29")
    sheet = altered(
        "delete from fct_health_scores",
        f"""insert into fct_health_scores by name
        select account_id, unnest({list(months)})::date as score_date, 50 as score, 'yellow' as colour
        from (select min(account_id) as account_id from mart_account_360)""",
        "delete from fct_account_mrr_months",
        f"""insert into fct_account_mrr_months by name
        select account_id, unnest({[f"{day[:7]}-01" for day in months[:4]]})::date as month, 100 as closing_mrr
        from (select min(account_id) as account_id from mart_account_360)""",
    )
    [(account,)] = sheet.marts.con.execute("select min(account_id) from mart_account_360").fetchall()
    [page] = [page for path, _, page in account_pages(sheet) if path == f"accounts/{account}.html"]
    dots = [float(mark.attributes["cx"]) for mark in read_page(page["score_line"]).figures]
    bars = [float(mark.attributes["x"]) for mark in read_page(page["mrr_bars"]).figures if mark.tag == "rect"]
    for places in (dots, bars):
        first, *_, last = places
        assert [(place - first) / (last - first) * 8 for place in places] == pytest.approx([0, 1, 2, 8], abs=0.01)
    [run] = re.findall('class="run" d="(.*?)"', page["score_line"])
    assert re.findall("[ML]", run) == ["M", "L", "L", "M"]


def test_two_csms_of_one_name_are_two(altered):
    """Their bars had stood on each other, and their cells of the grid had been one."""
    sheet = altered("update dim_csms set full_name = 'Ada Abbott'")
    ids = [csm for (csm,) in sheet.marts.con.execute("select csm_user_id from dim_csms").fetchall()]
    names = {f"Ada Abbott ({csm})" for csm in ids}
    assert len(names) >= 4
    for picture in (team.csm_grid(sheet), second.expansion(sheet)):
        [panel] = picture.panels
        shown = {name for name in names if f">{name}<" in panel.svg}
        assert len(shown) >= 3
        assert ">Ada Abbott<" not in panel.svg


def test_every_segment_has_its_retention(altered):
    """Six segments beside the company, two more than stand in a row."""
    segments = [f"sector {letter}" for letter in "abcdef"]
    sheet = altered(
        *(
            f"""insert into {table} by name
            select * replace ('segment' as segment_type, unnest({segments}) as segment_value)
            from {table} where period_type = 'ttm' and segment_type = 'all'"""
            for table in ("kpi_net_revenue_retention", "kpi_gross_revenue_retention")
        )
    )
    [panel] = revenue.retention(sheet).panels
    shown = [json.loads(mark.attributes["data-key"])["segment_value"] for mark in read_page(panel.svg).figures]
    assert set(shown) >= {"all", *segments}


@pytest.mark.parametrize(
    ("against", "title"), [("-0.1", "No book is above its segment"), ("0.1", " is furthest above the segment")]
)
def test_nobody_is_called_best_who_is_below_the_segment(altered, against, title):
    sheet = altered(f"update mart_csm_scorecards set nrr_vs_segment = {against} where nrr_vs_segment is not null")
    assert team.csm_grid(sheet).title.endswith(title)


@pytest.mark.parametrize(("share", "is_told"), [("0", False), ("0.2", True)])
def test_a_theme_of_which_nobody_complains_hurts_no_revenue(altered, share, is_told):
    sheet = altered(f"update mart_feedback_themes set negative_share = {share}")
    assert ("hurts most revenue" in voice.pain_points(sheet).title) == is_told


def test_a_theme_is_not_charged_with_the_revenue_of_those_who_praise_it(altered):
    """arr_affected is of all who spoke of the theme: a title that names it names the share of complaints as well."""
    title = voice.pain_points(altered("update mart_feedback_themes set negative_share = 0.444")).title
    assert re.sub("<[^>]+>", "", title).split(": ")[1].startswith("44 % negative, by accounts of $")


@pytest.mark.parametrize("shown", ["integrations", "none"])
def test_a_theme_of_too_little_feedback_is_not_drawn_and_hurts_nothing(altered, shown):
    """Pricing would be the first of its month, but only the theme that is shown may be named."""
    sheet = altered(
        f"""update mart_feedback_themes set is_suppressed = theme <> '{shown}', negative_share = 0.5,
        impact_rank = if(theme = 'pricing', 1, 2)"""
    )
    picture = voice.pain_points(sheet)
    [panel] = picture.panels
    figures = read_page(panel.svg).figures if panel.svg else []
    assert {json.loads(mark.attributes["data-key"])["theme"] for mark in figures} == {shown} - {"none"}
    assert picture.title.startswith("Integrations hurts most revenue" if figures else "What customers talk about")


def test_the_share_of_feedback_without_a_theme_stands_below_the_themes(altered):
    sheet = altered("update kpi_feedback_sentiment set unclassified_share = 0.125 where segment_type = 'all'")
    assert ">12 %</data> of the feedback of <time" in voice.pain_points(sheet).notes


def test_a_month_that_is_suppressed_keeps_its_place_in_the_trend(altered):
    """Where August would be there is a gap."""
    sheet = altered(
        """update mart_kpi_values set value = null, is_suppressed = true where period_type = 'month'
        and kpi_id = 'customer_satisfaction_score' and period_start = '2026-08-01'"""
    )
    panel = second.service(sheet).panels[0]
    dots = sorted(
        float(re.match(r"translate\(([\d.]+)", mark.attributes["transform"])[1])
        for mark in read_page(panel.svg).figures
        if mark.tag == "path"
    )
    steps = [later - earlier for earlier, later in pairwise(dots)]
    # thirteen months to October 2026: after the tenth dot, July, one place is free
    assert len(dots) == 12
    assert steps[9] == pytest.approx(2 * steps[0], rel=1e-3)
    assert steps[:9] + steps[10:] == pytest.approx([steps[0]] * 10, rel=1e-3)


def test_an_account_without_a_score_is_not_said_to_have_one(altered, tmp_path):
    """The customer with the smallest id loses its score, the one with the greatest keeps it."""
    scored = "from mart_account_360 where health_score is not null"
    sheet = altered(
        f"create table chosen as select min(account_id) as without, max(account_id) as scored {scored}",
        "update mart_account_360 set health_score = null where account_id = (select without from chosen)",
    )
    [(without, scored)] = sheet.marts.con.execute("select * from chosen").fetchall()
    write_pages(sheet.marts, tmp_path, parts=(lambda one, _: account_pages(one),))
    said = {account: (tmp_path / "accounts" / f"{account}.html").read_text() for account in (without, scored)}
    assert "No score: less than half of the weight has data." in said[without]
    assert "The score is 100 minus the points lost." in said[scored]
    assert "The score is 100 minus the points lost." not in said[without]
