"""What customers said: survey comments and feedback of any other channel, with themes and sentiment.

The sentiment library is not recomputed: an item with neither a sentiment, a score nor a rating is refused.
"""

from fractions import Fraction

from tests.recomputation.landed import Row
from tests.recomputation.money import cents, share
from tests.recomputation.promoters import LOW_CONFIDENCE_BELOW, vote
from tests.recomputation.shape import Lists, standard
from tests.recomputation.subscriptions import Book
from tests.recomputation.surveys import Response, Surveys

UNCLASSIFIED = "unclassified"
SHORT_WORD = 5
NEUTRAL = Fraction(1, 20)


def words(text: str) -> str:
    """Lower-case words with one space before, between and after."""
    return f" {' '.join(''.join(one if one.isalnum() else ' ' for one in text.lower()).split())} "


def clamp(sentiment: Fraction) -> Fraction:
    """At least -1, at most 1."""
    return max(Fraction(-1), min(Fraction(1), sentiment))


def label(sentiment: Fraction) -> str:
    """The name of a sentiment."""
    return "positive" if sentiment >= NEUTRAL else "negative" if sentiment <= -NEUTRAL else "neutral"


class Feedback:
    """All pieces of feedback of a company."""

    def __init__(self, surveys: Surveys, book: Book) -> None:
        self.company = surveys.company
        self.book = book
        self.keywords: list[tuple[str, str]] = [
            (row["theme"], words(row["keyword"]).strip())
            for row in self.company.settings.seed("feedback_theme_keywords")
        ]
        self.items = [self._comment(one) for one in surveys.responses if one.row["comment"] and one.answered_on]
        self.items += [self._item(row) for row in self.company.all_but_internal("feedback_items", "contact_id")]

    def _comment(self, one: Response) -> Row:
        if not one.is_valid:
            raise ValueError(f"the sentiment of {one.row['response_id']} rests on its text alone")
        is_nps = one.survey["survey_type"] == "nps"
        return {
            "feedback_id": f"survey:{one.row['response_id']}",
            "account": one.account,
            "source": "survey",
            "day": one.answered_on,
            "body": one.row["comment"],
            "themes": self.themes(None, one.row["comment"]),
            "sentiment": Fraction(vote(one.row["score"])) if is_nps else 2 * one.position - 1,
            "url": None,
        }

    def _item(self, row: Row) -> Row:
        if row["sentiment"] is not None:
            sentiment = clamp(Fraction(row["sentiment"]))
        elif row["rating"] is not None and (row["rating_max"] or 0) >= max(1, row["rating"]):
            worst = 0 if row["rating_max"] == 1 else 1
            sentiment = clamp(2 * Fraction(row["rating"] - worst) / Fraction(row["rating_max"] - worst) - 1)
        else:
            raise ValueError(f"the sentiment of {row['feedback_id']} rests on its text alone")
        return {
            "feedback_id": row["feedback_id"],
            "account": row["account"],
            "source": row["source"],
            "day": self.company.day(row["collected_at"]),
            "body": row["body"],
            "themes": self.themes(row["themes"], row["body"]),
            "sentiment": sentiment,
            "url": row["url"],
        }

    def themes(self, given: str | None, text: str) -> list[str]:
        """The tool's themes, else those whose keywords the text holds, else 'unclassified'."""
        if given:
            found = {theme.strip().lower() for theme in given.split(",")} - {""}
        else:
            found = {theme for theme, keyword in self.keywords if self._holds(words(text), keyword)}
        return sorted(found) or [UNCLASSIFIED]

    @staticmethod
    def _holds(text: str, keyword: str) -> bool:
        if len(keyword) < SHORT_WORD:
            return f" {keyword} " in text or f" {keyword}s " in text
        return f" {keyword}" in text

    def fct_feedback_items(self) -> list[Row]:
        """One row a piece of feedback; who collected it and what answers it are left out."""
        as_of = self.company.settings.as_of
        return [
            {
                "feedback_id": item["feedback_id"],
                "account_id": item["account"],
                "source": item["source"],
                "collected_on": item["day"],
                "body": item["body"],
                "themes": ", ".join(item["themes"]),
                "sentiment": float(item["sentiment"]),
                "sentiment_label": label(item["sentiment"]),
                "segment": self.company.segment(item["account"]),
                "current_mrr": None
                if item["account"] is None
                else cents(self.company.rates.value(self.book.holding(item["account"], as_of).native, as_of)),
                "url": item["url"],
            }
            for item in self.items
        ]

    def kpi_feedback_sentiment(self) -> list[Row]:
        """By day of collection; an item counts once in each of its themes."""
        rows = []
        for period in self.company.periods:
            if period.type == "ttm":
                continue
            found = Lists()
            for item in self.items:
                if period.holds(item["day"]):
                    cuts = self.company.cuts(item["account"], item["day"]) | {"channel": item["source"]}
                    found.add([*cuts.items(), *(("theme", theme) for theme in item["themes"])], item)
            for cut, items in found:
                n = len(items)
                hidden = n < self.company.settings.min_responses
                total = sum((item["sentiment"] for item in items), Fraction(0))
                labels = [label(item["sentiment"]) for item in items]
                mean = None if hidden else share(total, n)
                shares = {
                    f"{name}_share": None if hidden else share(labels.count(name), n)
                    for name in ("negative", "neutral", "positive")
                }
                rows.append(
                    {
                        **standard(
                            "feedback_sentiment",
                            period,
                            cut,
                            numerator=total,
                            denominator=n,
                            value=mean,
                            n=n,
                            is_suppressed=hidden,
                            is_low_confidence=n < LOW_CONFIDENCE_BELOW,
                        ),
                        "n_items": n,
                        "n_accounts": len({item["account"] for item in items} - {None}),
                        "mean_sentiment": mean,
                        **shares,
                        "unclassified_share": share(sum(item["themes"] == [UNCLASSIFIED] for item in items), n),
                    }
                )
        return rows

    def published(self) -> dict[str, list[Row]]:
        """The tables of this module by name."""
        return {
            "fct_feedback_items": self.fct_feedback_items(),
            "kpi_feedback_sentiment": self.kpi_feedback_sentiment(),
        }
