"""Grain: distinct text that only the library can judge. A text is scored once by a version of the scorer."""

from orchestration.sentiment import score_texts, scorer_version


def model(dbt, session):
    """Score the texts that wait.

    Args:
        dbt: dbt's model context.
        session: DuckDB connection to the build file.

    Returns:
        One row a text: text_hash, scorer_version, language, sentiment (-1..1, null when it cannot be judged).
    """
    dbt.config(
        materialized="incremental",
        unique_key="text_hash",
        incremental_strategy="delete+insert",
        on_schema_change="fail",
    )
    words = {word: float(valence) for word, valence in dbt.ref("sentiment_lexicon").project("word, valence").fetchall()}
    waiting = dbt.ref("int_feedback_texts").filter("given_sentiment is null and body is not null")
    texts = waiting.project("text_hash, body").distinct()
    if dbt.is_incremental:
        scored = session.table(str(dbt.this)).filter(f"scorer_version = '{scorer_version(words)}'").project("text_hash")
        texts = texts.join(scored, condition="text_hash", how="anti")
    return score_texts(texts.fetchall(), words)
