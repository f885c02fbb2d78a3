"""Sentiment of free text, judged by VADER with the company's own words; texts that are not English are not judged."""

from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import md5
from importlib.metadata import version

import pyarrow as pa
from py3langid.langid import MODEL_FILE, LanguageIdentifier
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

# Few enough that short texts can be told apart, wide enough that other languages do not pass for English.
LANGUAGES = (
    "en", "de", "es", "fr", "it", "nl", "pt", "sv", "da", "no", "fi", "pl", "cs",
    "tr", "ro", "hu", "ru", "uk", "el", "ja", "zh", "ko", "ar", "he", "hi",
)  # fmt: skip
SURE = 0.5
UNDETERMINED = "und"
SCORES = pa.schema(
    [
        ("text_hash", pa.string()),
        ("scorer_version", pa.string()),
        ("language", pa.string()),
        ("sentiment", pa.float64()),
    ]
)


def scorer_version(words: Mapping[str, float]) -> str:
    """Name the scorer, so that a text is scored again when a library, a rule or a word of the seed changes.

    Args:
        words: word -> valence (-4..4), added to VADER's own.
    """
    listed = ",".join(f"{word}={valence:g}" for word, valence in sorted(words.items()))
    return f"vader {version('vaderSentiment')}, langid {version('py3langid')}, {md5(listed.encode()).hexdigest()[:8]}"


@cache
def _identifier() -> LanguageIdentifier:
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(list(LANGUAGES))
    return identifier


def judge(text: str, analyzer: SentimentIntensityAnalyzer) -> tuple[str, float | None]:
    """Judge one text.

    Args:
        text: the comment as it was written.
        analyzer: VADER with the words in force.

    Returns:
        Language (ISO 639-1, or 'und') and sentiment -1..1; None when the text is not English.
    """
    found = analyzer.polarity_scores(text)
    language, probability = _identifier().classify(text)
    if probability < SURE:
        # too short for letters to tell: English if English words of feeling are in it
        language = "en" if found["pos"] + found["neg"] > 0 else UNDETERMINED
    return language, found["compound"] if language == "en" else None


def score_texts(texts: Iterable[tuple[str, str]], words: Mapping[str, float]) -> pa.Table:
    """Judge texts.

    Args:
        texts: (text_hash, text) pairs.
        words: word -> valence (-4..4), added to VADER's own.

    Returns:
        Table of schema SCORES, one row a text.
    """
    analyzer = SentimentIntensityAnalyzer()
    analyzer.lexicon.update(words)
    scorer = scorer_version(words)
    rows = [(text_hash, scorer, *judge(text, analyzer)) for text_hash, text in texts]
    columns = list(zip(*rows, strict=True)) or [()] * len(SCORES)
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, SCORES, strict=True)], schema=SCORES
    )
