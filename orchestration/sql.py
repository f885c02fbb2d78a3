"""What modules that write SQL share: names and texts as SQL writes them, blanks, and transactions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import duckdb

# What may stand around a text and is no part of it.
BLANKS = " \t\r\n\u00a0\u200b\u202f\ufeff"


def quote_name(identifier: str) -> str:
    """An identifier as SQL writes it."""
    return '"' + identifier.replace('"', '""') + '"'


def quote_literal(text: str | None) -> str:
    """Text as SQL writes it."""
    return "null" if text is None else "'" + text.replace("'", "''") + "'"


def literals(texts: Iterable[str]) -> str:
    """Texts as SQL lists them."""
    return ", ".join(map(quote_literal, texts))


def bare(text: str) -> str:
    """A text (an SQL expression) without the blanks around it."""
    return f"trim({text}, '{BLANKS}')"


@contextmanager
def transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """What is done inside stands as a whole or, when anything is raised, not at all."""
    con.begin()
    try:
        yield
    except BaseException:
        con.rollback()
        raise
    con.commit()
