"""How good sentiment and themes of free text are: our own labelled comments, judged by the warehouse's own models.

Run: python -m benchmarks.comments
"""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

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


if __name__ == "__main__":
    main()
