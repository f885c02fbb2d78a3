"""From delivered values to the contract's types: SQL that converts whole columns, and words for what did not fit.

The row rules (rows.py) are judged in the same pass, on the converted values.

A conversion never guesses: an expression gives the typed value, or NULL for a value that does not fit. Nothing is
rounded away, except the noise that a binary float shows in its last digits.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from orchestration.contract import DELETED, Column, Table
from orchestration.reading import Problem
from orchestration.rows import RowRule, row_rules
from orchestration.sql import BLANKS, bare

_DAY = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_CLOCK = "([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,9})?)?"
_SECONDS = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?"
_OFFSET = "[+-](0[0-9]|1[0-5])(:?[0-5][0-9])?"
_ZONE = f" ?(Z|z|UTC|{_OFFSET})"
_NUMBER = "[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,3})?"
_WHOLE_NUMBERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT"}
_TIMESTAMPS = {"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"}
_NESTED = re.compile(r"STRUCT|MAP|UNION|.*\]$", re.IGNORECASE)


class Source(NamedTuple):
    """Where a column's values come from: an SQL expression and its DuckDB type."""

    sql: str
    type: str


@dataclass(frozen=True)
class Projection:
    """SQL pieces that turn a relation of delivered values into contract columns.

    Select `inner` from the relation, then `values` from that; `problems` is the SQL list of the positions (in
    `faults`) of what is wrong with a row, `is_bad` says whether anything is, and `texts` is the SQL list of the values
    as they came. A fault is a column whose value does not fit or is missing, or a row rule that is broken.
    """

    faults: tuple[Column | RowRule, ...]
    inner: str
    values: str
    is_bad: str
    problems: str
    texts: str


def is_nested(duckdb_type: str) -> bool:
    """Whether a DuckDB type holds more than one value."""
    return bool(_NESTED.match(duckdb_type))


def projection(
    table: Table, sources: Mapping[str, Source], loaded_at: str, now: datetime, also: Sequence[str] = ()
) -> Projection:
    """Build the conversion of a table. Columns without a source are NULL; `_loaded_at` falls back to `loaded_at` (SQL).

    `now` (UTC) is the moment after which nothing can have happened yet; `also` names further columns of the relation
    that `inner` passes on.
    """
    columns = (*table.columns, DELETED)
    inner = list(also)
    values: list[str] = []
    faults: list[tuple[Column | RowRule, str, str]] = []
    for position, column in enumerate(columns):
        source = sources.get(column.name)
        typed = f"CAST(NULL AS {column.type})" if source is None else _convert(column.type, source)
        inner.append(f"{typed} AS v{position}")
        value = f"v{position}"
        if column.name == "_loaded_at":
            value = f"coalesce({value}, {loaded_at})"
        values.append(value)
        if source is None:
            continue
        inner.append(f"{source.sql} AS s{position}")
        text = f"CAST(s{position} AS VARCHAR)"
        missing = _is_blank(f"s{position}") if source.type == "VARCHAR" else f"s{position} IS NULL"
        if column.required:
            is_text = column.type == source.type == "VARCHAR"
            faults.append((column, missing if is_text else f"v{position} IS NULL", text))
        elif not (column.type == "VARCHAR" and source.type == "VARCHAR"):
            faults.append((column, f"CASE WHEN v{position} IS NULL THEN NOT ({missing}) ELSE false END", text))
    place = {column.name: position for position, column in enumerate(columns)}
    for rule in row_rules(table, now):
        if all(name in sources for name in rule.needs):
            broken = rule.broken.format(**{name: f"v{position}" for name, position in place.items()})
            text = f"CAST(s{place[rule.column]} AS VARCHAR)"
            faults.append((rule, f"coalesce({broken}, false)", text))
    marks = ", ".join(f"CASE WHEN {check} THEN {number} END" for number, (_, check, _) in enumerate(faults))
    texts = " ".join(f"WHEN {number} THEN {text}" for number, (*_, text) in enumerate(faults))
    listed = f"list_filter([{marks}], lambda p: p IS NOT NULL)" if faults else "CAST([] AS INTEGER[])"
    return Projection(
        faults=tuple(fault for fault, *_ in faults),
        inner=", ".join(inner),
        values=", ".join(values),
        is_bad=" OR ".join(f"({check})" for _, check, _ in faults) or "false",
        problems=listed,
        texts=f"list_transform({listed}, lambda p: CASE p {texts} END)" if faults else "CAST([] AS VARCHAR[])",
    )


def _text(sql: str) -> str:
    return f"nullif({bare(sql)}, '')"


def _is_blank(sql: str) -> str:
    # Text that begins with a printing ASCII character is not blank: that spares most rows the trimming.
    return f"CASE WHEN {sql} >= '!' AND {sql} < '\u007f' THEN false ELSE {_text(sql)} IS NULL END"


def _convert(wanted: str, source: Source) -> str:
    value, given = source
    if wanted == "VARCHAR":
        # Blank text in CSV can't be told from no value, so it is no value in every format.
        return f"nullif(CAST({value} AS VARCHAR), '')"
    if given == wanted:
        return f"CASE WHEN isfinite({value}) THEN {value} END" if wanted in ("DOUBLE", "DATE", "TIMESTAMP") else value
    if wanted == "TIMESTAMP":
        if given in _TIMESTAMPS or given == "DATE":
            return f"CASE WHEN isfinite({value}) THEN CAST({value} AS TIMESTAMP) END"
        if given == "TIMESTAMP WITH TIME ZONE":
            return f"CASE WHEN isfinite({value}) THEN timezone('UTC', {value}) END"
    if wanted == "DATE" and given in _TIMESTAMPS:
        return f"CASE WHEN CAST({value} AS TIME) = TIME '00:00' THEN CAST({value} AS DATE) END"
    if given in _WHOLE_NUMBERS and wanted != "BOOLEAN" and wanted not in ("DATE", "TIMESTAMP"):
        return f"try_cast({value} AS {wanted})"
    if given == "FLOAT" and wanted == "DOUBLE":
        return f"CASE WHEN isfinite({value}) THEN CAST({value} AS DOUBLE) END"
    text = value if given == "VARCHAR" else f"CAST({value} AS VARCHAR)"
    # Nearly every value needs no trimming, which costs more than the conversion.
    return f"coalesce({_from_text(wanted, text)}, {_from_text(wanted, _text(text))})"


def _from_text(wanted: str, text: str) -> str:
    """The value of a text without blanks around it."""
    if wanted == "BOOLEAN":
        lowered = f"lower({text})"
        return (
            f"CASE WHEN {lowered} IN ('true', 't', '1', 'yes') THEN true "
            f"WHEN {lowered} IN ('false', 'f', '0', 'no') THEN false END"
        )
    if wanted == "INTEGER":
        return (
            f"CASE WHEN regexp_full_match({text}, '[+-]?[0-9]+([.]0*)?') "
            f"THEN try_cast(split_part({text}, '.', 1) AS INTEGER) END"
        )
    if wanted == "DOUBLE":
        number = f"try_cast({text} AS DOUBLE)"
        return f"CASE WHEN regexp_full_match({text}, '{_NUMBER}') AND isfinite({number}) THEN {number} END"
    if wanted == "TIMESTAMP":
        return _timestamp(text)
    if wanted == "DATE":
        moment = _timestamp(text)
        return (
            f"CASE WHEN regexp_full_match({text}, '{_DAY}') THEN try_cast({text} AS DATE) "
            f"WHEN CAST({moment} AS TIME) = TIME '00:00' THEN CAST({moment} AS DATE) END"
        )
    if decimal := re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", wanted):
        return _decimal(text, wanted, int(decimal[2]))
    raise ValueError(f"no conversion to {wanted}")


def _decimal(text: str, wanted: str, scale: int) -> str:
    exact = f"[+-]?([0-9]+([.][0-9]{{0,{scale}}}0*)?|[.][0-9]{{1,{scale}}}0*)"
    number, double = f"try_cast({text} AS {wanted})", f"try_cast({text} AS DOUBLE)"
    # 19.990000000000002 is how a binary float prints 19.99: the same number to its last bits, and far below the scale.
    noise = f"abs({double} - CAST({number} AS DOUBLE)) <= least(1e-13 * abs({double}), 1e-{scale + 3})"
    return (
        f"CASE WHEN regexp_full_match({text}, '{exact}') THEN {number} "
        f"WHEN regexp_full_match({text}, '{_NUMBER}') AND {noise} THEN {number} END"
    )


def _timestamp(text: str) -> str:
    local = f"try_cast(regexp_extract({text}, '^({_DAY}[ T]{_CLOCK})', 1) AS TIMESTAMP)"
    sign = f"CASE regexp_extract({text}, '([+-])[0-9]{{2}}:?([0-9]{{2}})?$', 1) WHEN '-' THEN -1 ELSE 1 END"
    hours = f"coalesce(try_cast(regexp_extract({text}, '[+-]([0-9]{{2}}):?([0-9]{{2}})?$', 1) AS INTEGER), 0)"
    minutes = f"coalesce(try_cast(regexp_extract({text}, '[+-][0-9]{{2}}:?([0-9]{{2}})$', 1) AS INTEGER), 0)"
    # DuckDB's own cast reads an offset only after seconds and without a space.
    return (
        f"CASE WHEN regexp_full_match({text}, '{_DAY}([ T]{_CLOCK}Z?)?') THEN try_cast({text} AS TIMESTAMP) "
        f"WHEN regexp_full_match({text}, '{_DAY}[ T]{_SECONDS}{_OFFSET}') "
        f"THEN timezone('UTC', try_cast({text} AS TIMESTAMP WITH TIME ZONE)) "
        f"WHEN regexp_full_match({text}, '{_DAY}[ T]{_CLOCK}{_ZONE}') "
        f"THEN {local} - to_minutes({sign} * (60 * {hours} + {minutes})) END"
    )


# ------------------------------------------------------------------------------------------------------------ reasons


def explain(fault: Column | RowRule, text: str | None) -> Problem:
    """Say why a value does not fit its column or which row rule it breaks, and what to do."""
    stripped = (text or "").strip(BLANKS)
    if isinstance(fault, RowRule):
        return Problem(f"{fault.column}: {stripped[:80]!r} {fault.reason}", fault.remedy, fault.column, text)
    column = fault
    if not stripped:
        reason, remedy = f"{column.name} is required and has no value", f"deliver a value for {column.name}"
    else:
        reason, remedy = _explain_value(column.type, stripped)
        reason = f"{column.name}: {stripped[:80]!r} {reason}"
        if column.nullable:
            remedy += ", or leave it empty when there is none"
    return Problem(reason, remedy, column.name, text)


def _explain_value(wanted: str, text: str) -> tuple[str, str]:
    is_number = re.fullmatch(_NUMBER, text) is not None
    if decimal := re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", wanted):
        digits, scale = int(decimal[1]), int(decimal[2])
        if not is_number:
            return "is no number", "write digits with a decimal point and no separators, such as 1234.5"
        if abs(Decimal(text)) >= 10 ** (digits - scale):
            return f"is too large for {wanted}", f"deliver at most {digits - scale} digits before the point"
        return f"has more than {scale} decimals", f"round at the source to {scale} decimals"
    if wanted == "INTEGER":
        if not is_number:
            return "is no whole number", "write digits only"
        if abs(Decimal(text)) >= 2**31:
            return "is too large for INTEGER", "deliver a whole number below 2,147,483,648"
        return "is no whole number", "write digits only, without decimals or exponent"
    if wanted == "DOUBLE":
        return "is no finite number", "write digits with a decimal point, such as 4.5"
    if wanted == "BOOLEAN":
        return "is neither true nor false", "write true or false"
    if wanted == "DATE":
        return "is no date", "write YYYY-MM-DD"
    return "is no timestamp", "write YYYY-MM-DD HH:MM:SS in UTC, or with an offset such as +02:00"
