"""How good sentiment and themes of free text are: our own labelled comments, judged by the warehouse's own models.

Run: python -m benchmarks.comments
"""

import csv
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from orchestration.building import dbt_environment
from orchestration.loading import create_landing_schema
from orchestration.sentiment import score_texts

ROOT = Path(__file__).resolve().parents[1]
COMMENTS = ROOT / "tests" / "data" / "labelled_comments.csv"
LEXICON = ROOT / "seeds" / "sentiment_lexicon.csv"
POSITIVE_FROM = 0.05  # as in int_feedback_items


@dataclass(frozen=True)
class Figures:
    """How a group of comments was judged.

    comments: how many; judged: how many got a sentiment; right: how many of those got the labelled one;
    shares are fractions 0..1, accuracy is right / judged, None when none was judged.
    """

    comments: int
    judged: int
    right: int

    @property
    def judged_share(self) -> float:
        """Comments with a sentiment / comments."""
        return self.judged / self.comments

    @property
    def accuracy(self) -> float | None:
        """Rightly judged / judged comments."""
        return self.right / self.judged if self.judged else None


def read_comments() -> list[dict[str, str]]:
    """The labelled comments: comment_id, part (tuning, held_out), language, sentiment, theme ('' = none), comment."""
    with COMMENTS.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def read_lexicon() -> dict[str, float]:
    """The seed sentiment_lexicon as word -> valence."""
    with LEXICON.open(newline="", encoding="utf-8") as handle:
        return {row["word"]: float(row["valence"]) for row in csv.DictReader(handle)}


def label(sentiment: float | None) -> str:
    """The label of a sentiment, as in int_feedback_items."""
    if sentiment is None:
        return "unknown"
    return "positive" if sentiment >= POSITIVE_FROM else "negative" if sentiment <= -POSITIVE_FROM else "neutral"


def judge_all(comments: Sequence[Mapping[str, str]], words: Mapping[str, float]) -> dict[str, str]:
    """comment_id -> label by the library with `words` laid over its own."""
    scores = score_texts([(row["comment_id"], row["comment"]) for row in comments], words).to_pylist()
    return {row["text_hash"]: label(row["sentiment"]) for row in scores}


def measure(
    comments: Sequence[Mapping[str, str]], words: Mapping[str, float], chosen: Callable[[Mapping[str, str]], bool]
) -> Figures:
    """Figures of the comments that `chosen` picks."""
    picked = [row for row in comments if chosen(row)]
    labels = judge_all(picked, words)
    judged = [row for row in picked if labels[row["comment_id"]] != "unknown"]
    right = [row for row in judged if labels[row["comment_id"]] == row["sentiment"]]
    return Figures(len(picked), len(judged), len(right))


def land(build_file: Path, comments: Sequence[Mapping[str, str]]) -> None:
    """Put comments into the raw table of feedback as a tool would that gives neither rating nor theme."""
    with duckdb.connect(str(build_file)) as con:
        create_landing_schema(con)
        con.executemany(
            "insert into raw.feedback_items (feedback_id, source, collected_at, body, _loaded_at, _load_id) "
            "values (?, 'social', '2025-01-15', ?, '2025-01-16', 1)",
            [(row["comment_id"], row["comment"]) for row in comments],
        )


def build_feedback(build_file: Path, target: Path) -> None:
    """Run the models up to int_feedback_items.

    Raises:
        RuntimeError: dbt could not build them.
    """
    from dbt.cli.main import dbtRunner

    select = ["--select", "+int_feedback_items", "--resource-type", "model", "--resource-type", "seed"]
    arguments = ["--quiet", "--log-level-file", "none", "--project-dir", str(ROOT), "--profiles-dir", str(ROOT)]
    variables = ["--target-path", str(target), "--vars", json.dumps({"as_of_date": "2025-01-31"})]
    with dbt_environment(build_file):
        outcome = dbtRunner().invoke(["build", *arguments, *variables, *select])
    if not outcome.success:
        raise RuntimeError(outcome.exception or [result.message for result in outcome.result])


def read_feedback(build_file: Path) -> dict[str, tuple[set[str], str]]:
    """feedback_id -> (themes, sentiment label) as the warehouse built them."""
    with duckdb.connect(str(build_file), read_only=True) as con:
        rows = con.execute(
            "select feedback_id, themes, sentiment_label from intermediate.int_feedback_items"
        ).fetchall()
    return {feedback_id: (set(themes.split(", ")), found) for feedback_id, themes, found in rows}


@dataclass(frozen=True)
class ThemeFigures:
    """How the keyword seed did: fractions 0..1.

    unclassified_share: comments without any theme; found_share: comments labelled with a theme in which it was found;
    false_share: comments labelled with none in which one was found.
    """

    unclassified_share: float
    found_share: float
    false_share: float


def measure_themes(comments: Sequence[Mapping[str, str]], found: Mapping[str, tuple[set[str], str]]) -> ThemeFigures:
    """Compare the themes that the warehouse found with the labelled ones."""
    themes = {row["comment_id"]: found[row["comment_id"]][0] for row in comments}
    labelled = [row for row in comments if row["theme"]]
    empty = [row for row in comments if not row["theme"]]
    return ThemeFigures(
        sum(one == {"unclassified"} for one in themes.values()) / len(comments),
        sum(row["theme"] in themes[row["comment_id"]] for row in labelled) / len(labelled),
        sum(themes[row["comment_id"]] != {"unclassified"} for row in empty) / len(empty),
    )


def figures() -> dict[str, Figures]:
    """The figures that the docs of int_text_sentiments quote, by name."""
    comments, words = read_comments(), read_lexicon()
    english = [row for row in comments if row["language"] == "en"]
    return {
        "English, held out": measure(english, words, lambda row: row["part"] == "held_out"),
        "English, held out, VADER alone": measure(english, {}, lambda row: row["part"] == "held_out"),
        "English, tuning": measure(english, words, lambda row: row["part"] == "tuning"),
        "English, tuning, VADER alone": measure(english, {}, lambda row: row["part"] == "tuning"),
        "German": measure(comments, words, lambda row: row["language"] == "de"),
        "Spanish": measure(comments, words, lambda row: row["language"] == "es"),
        "mixed": measure(comments, words, lambda row: row["language"] == "mixed"),
        "all": measure(comments, words, lambda row: True),
    }


def main() -> None:
    """Print the figures, one JSON object a line."""
    for name, found in figures().items():
        accuracy = None if found.accuracy is None else round(found.accuracy, 3)
        line = {"comments": found.comments, "judged_share": round(found.judged_share, 3), "accuracy": accuracy}
        print(json.dumps({"group": name, **line}))
    comments = read_comments()
    with tempfile.TemporaryDirectory() as folder:
        build_file = Path(folder) / "warehouse.duckdb"
        land(build_file, comments)
        build_feedback(build_file, Path(folder) / "target")
        found = read_feedback(build_file)
    print(
        json.dumps(
            {
                "group": "themes",
                **{name: round(share, 3) for name, share in vars(measure_themes(comments, found)).items()},
            }
        )
    )


if __name__ == "__main__":
    main()
