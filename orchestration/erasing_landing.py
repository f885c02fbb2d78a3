"""Landing files without a subject of `csw erase`: its rows are written anew, every other row stays byte for byte."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from orchestration.contract import TABLES
from orchestration.personal import personal_columns
from orchestration.publishing import PART
from orchestration.reading import FORMATS, discover
from orchestration.subject import ERASED, Subject, texts_of
from orchestration.variables import UsageError


class Planned(NamedTuple):
    """A landing file that holds the subject: what its bytes are, and what they will be."""

    table: str
    path: str
    old_hash: str
    new_hash: str
    new_bytes: int


def plan_landing(subject: Subject, landing: Path) -> list[Planned]:
    """The files of a landing folder that hold the subject; nothing is written yet.

    Raises:
        UsageError: there is no such folder, or a file in it can't be read.
    """
    try:
        found, _ = discover(landing.absolute())
    except NotADirectoryError as error:
        raise UsageError(str(error)) from error
    planned = []
    for table, files in found.items():
        for path, _ in files:
            try:
                old = path.read_bytes()
                new = _without(subject, table, path)
            except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
                raise UsageError(f"{path} can't be read, so nothing was erased: mend it or take it away") from error
            if new != old:
                planned.append(Planned(table, str(path), _hash(old), _hash(new), len(new)))
    return planned


def rewrite_landed(subject: Subject, planned: Planned) -> None:
    """Replace the file by one without the subject; nothing happens when that was done, or the file is gone."""
    path = Path(planned.path)
    if not path.exists() or _hash(path.read_bytes()) == planned.new_hash:
        return
    aside = path.with_name(f".{path.name}{PART}")
    aside.write_bytes(_without(subject, planned.table, path))
    aside.chmod(path.stat().st_mode & 0o777)
    aside.replace(path)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _without(subject: Subject, table: str, path: Path) -> bytes:
    data = path.read_bytes()
    kind = next(kind for kind in FORMATS if path.name.lower().endswith("." + kind))
    if kind == "parquet":
        return _parquet(subject, table, data)
    text = (gzip.decompress(data) if kind == "csv.gz" else data).decode("utf-8", "surrogateescape")
    clean = (_jsonl if kind == "jsonl" else _csv)(subject, table, text)
    if clean == text:
        return data
    new = clean.encode("utf-8", "surrogateescape")
    return gzip.compress(new, mtime=0) if kind == "csv.gz" else new


def _row(subject: Subject, table: str, row: Mapping[str, object]) -> dict[str, object]:
    """A row by the columns of the contract: the subject's own without ids and personal columns, another's without the
    words that name the subject."""
    clean = dict(row)
    if subject.is_named_by(table, row):
        for name, tokens in subject.replaced_in(table).items():
            clean[name] = tokens.get(str(row.get(name)).strip(), row.get(name))
        for owner, name in personal_columns():
            if owner == table and clean.get(name):
                clean[name] = "" if TABLES[table].by_name[name].nullable else ERASED
    for name in texts_of(table):
        if isinstance(clean.get(name), str):
            clean[name] = subject.scrub(clean[name])
    return {name: clean[name] for name in row}


def _columns(table: str, names: list[str]) -> dict[str, str]:
    """The columns of the contract, as this file spells them."""
    return {name.strip().lower(): name for name in names if name.strip().lower() in TABLES[table].by_name}


def _csv(subject: Subject, table: str, text: str) -> str:
    out = io.StringIO(newline="")
    header: list[str] = []
    for raw in _records(text):
        if not header and raw.strip():
            header = next(csv.reader([raw.lstrip("\ufeff")]))
            known = _columns(table, header)
            out.write(raw)
            continue
        fields = next(csv.reader(io.StringIO(raw, newline="")), [])
        if len(fields) == len(header) + 1 and not fields[-1]:  # the loader forgives a comma at the end, too
            fields.pop()
        if len(fields) != len(header):  # a line that waits in quarantine
            out.write(subject.scrub(raw))
            continue
        spelled = dict(zip(header, fields, strict=True))
        row = {name: spelled[spelling] for name, spelling in known.items()}
        clean = _row(subject, table, row)
        if clean == row:
            out.write(raw)
        else:
            spelled |= {known[name]: value for name, value in clean.items()}
            csv.writer(out, lineterminator="\n").writerow(spelled.values())
    return out.getvalue()


def _records(text: str) -> Iterator[str]:
    """The records of a CSV text as they stand, a record ending where its quotes are even."""
    record = ""
    for line in io.StringIO(text, newline=""):
        record += line
        if record.count('"') % 2 == 0:
            yield record
            record = ""
    if record:
        yield record


def _jsonl(subject: Subject, table: str, text: str) -> str:
    return "".join(_json_line(subject, table, line) for line in io.StringIO(text, newline=""))


def _json_line(subject: Subject, table: str, line: str) -> str:
    try:
        # Numbers stay text: a float would lose digits.
        spelled = json.loads(line.lstrip("\ufeff"), parse_float=str, parse_int=str)
    except ValueError:  # a line that waits in quarantine
        return subject.scrub(line)
    if not isinstance(spelled, dict):
        return subject.scrub(line)
    known = _columns(table, list(spelled))
    row = {name: spelled[spelling] for name, spelling in known.items()}
    clean = _row(subject, table, row)
    if clean == row:
        return line
    return json.dumps(spelled | {known[name]: value for name, value in clean.items()}, ensure_ascii=False) + "\n"


def _parquet(subject: Subject, table: str, data: bytes) -> bytes:
    landed = pq.read_table(io.BytesIO(data))
    known = _columns(table, landed.column_names)
    touched = {*subject.replaced_in(table), *texts_of(table)} & known.keys()
    # ids may be numbers, and a token is none
    texts = {name: landed[known[name]].cast(pa.string()).to_pylist() for name in sorted(touched)}
    rows = [dict(zip(texts, values, strict=True)) for values in zip(*texts.values(), strict=True)]
    clean = [_row(subject, table, row) for row in rows]
    if clean == rows:
        return data
    for name in texts:
        if any(new[name] != old[name] for new, old in zip(clean, rows, strict=True)):
            position = landed.column_names.index(known[name])
            landed = landed.set_column(position, known[name], pa.array([row[name] for row in clean], pa.string()))
    out = io.BytesIO()
    pq.write_table(landed, out)
    return out.getvalue()
