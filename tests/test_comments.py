"""Sentiment and themes of free text: languages, words of the trade, the figures of the docs, each text scored once."""

from pathlib import Path

import duckdb
import pytest

from benchmarks.comments import (
    build_feedback,
    figures,
    judge_all,
    land,
    measure_themes,
    read_comments,
    read_feedback,
    read_lexicon,
)
from orchestration.sentiment import score_texts, scorer_version

DOCS = Path(__file__).parents[1] / "models" / "docs" / "voice.md"


def _percent(share: float) -> str:
    return f"{round(100 * share)} %"


def _judged(text: str, words: dict[str, float] | None = None) -> tuple[str, float | None]:
    row = score_texts([("hash", text)], read_lexicon() if words is None else words).to_pylist()[0]
    return row["language"], row["sentiment"]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Die Anwendung ist seit dem letzten Update furchtbar langsam.", "de"),
        ("El soporte tarda varios días en contestar nuestras preguntas.", "es"),
        ("Le support ne répond jamais à nos questions.", "fr"),
    ],
)
def test_other_languages_are_not_judged(text: str, language: str) -> None:
    assert _judged(text) == (language, None)


@pytest.mark.parametrize("text", ["-", "n/a", "👍👍", "10/10"])
def test_what_has_no_language_is_not_judged(text: str) -> None:
    assert _judged(text)[1] is None


def test_one_word_of_feeling_is_english() -> None:
    language, sentiment = _judged("laggy")
    assert language == "en"
    assert sentiment < 0


def test_english_without_a_word_of_feeling_is_neutral() -> None:
    assert _judged("We use the standard reports on the first day of the month.") == ("en", 0.0)


def test_words_of_the_trade_are_no_praise() -> None:
    text = "The support team answered our question about the free plan on Monday."
    assert _judged(text, {})[1] > 0
    assert _judged(text)[1] == 0


def test_no_texts_give_no_rows() -> None:
    assert score_texts([], {}).num_rows == 0


def test_version_changes_with_the_words() -> None:
    assert scorer_version({"slow": -1.5}) != scorer_version({"slow": -1.0})
    assert scorer_version({"slow": -1.5, "fast": 1.0}) == scorer_version({"fast": 1.0, "slow": -1.5})


def test_docs_quote_the_measured_sentiment() -> None:
    found, docs = figures(), DOCS.read_text(encoding="utf-8")
    for name, label in [("English, held out", "not looked at"), ("English, tuning", "English, looked at")]:
        line = next(line for line in docs.splitlines() if label in line)
        group, alone = found[name], found[f"{name}, VADER alone"]
        shown = [str(group.comments), *map(_percent, (group.judged_share, group.accuracy, alone.accuracy))]
        assert [cell.strip() for cell in line.split("|")[2:6]] == shown
    assert found["English, held out"].accuracy >= 0.65
    assert found["German"].judged == found["Spanish"].judged == 0


@pytest.mark.slow
def test_warehouse_judges_as_the_library_and_scores_a_text_once(tmp_path: Path) -> None:
    comments, docs = read_comments(), DOCS.read_text(encoding="utf-8")
    build_file, target = tmp_path / "warehouse.duckdb", tmp_path / "target"
    land(build_file, comments)
    build_feedback(build_file, target)
    found = read_feedback(build_file)
    assert {key: label for key, (_, label) in found.items()} == judge_all(comments, read_lexicon())
    themes = measure_themes(comments, found)
    for share in (themes.found_share, themes.false_share, themes.unclassified_share):
        assert _percent(share) in docs.splitlines()[-2]
    assert themes.unclassified_share < 0.4

    with duckdb.connect(str(build_file)) as con:
        con.execute("update intermediate.int_text_sentiments set sentiment = 0.123")
        con.execute("update intermediate.int_text_themes set theme = 'as it was' where theme = 'pricing'")
    blank = {"comment_id": "blank", "comment": "\u200b"}  # landed before such marks were blanks
    land(build_file, [{"comment_id": "new", "comment": "The price is a nasty surprise, awful."}, blank])
    build_feedback(build_file, target)
    again = read_feedback(build_file)
    assert again.pop("new") == ({"pricing"}, "negative")
    assert again.pop("blank") == ({"unclassified"}, "unknown")
    assert {label for _, label in again.values()} == {"positive"}
    assert not any("pricing" in names for names, _ in again.values())
