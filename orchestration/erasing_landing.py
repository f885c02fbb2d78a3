"""Landing files without a subject of `csw erase`: its rows are written anew, every other row stays byte for byte."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import shutil
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orchestration.contract import DELETED, TABLES
from orchestration.personal import personal_columns
from orchestration.publishing import PART
from orchestration.reading import FORMATS, csv_pieces, discover, partition_of
from orchestration.sql import BLANKS
from orchestration.subject import ERASED, Subject, texts_of
from orchestration.variables import UsageError


class Planned(NamedTuple):
    """A landing file that holds the subject: what its bytes are, and what they will be."""

    table: str
    path: str
    old_hash: str
    new_hash: str
    new_bytes: int


def plan_landing(subject: Subject, landing: Path) -> tuple[list[Planned], list[str]]:
    """The files of a landing folder that hold the subject, and those that may hold it even when they were written anew:
    a folder's name tells, or a line that can't be read by columns. Nothing is written yet.

    Raises:
        UsageError: there is no such folder, or a file in it can't be read.
    """
    landing = landing.absolute()
    try:
        found, _ = discover(landing)
    except NotADirectoryError as error:
        raise UsageError(str(error)) from error
    planned, held = [], []
    for table, files in found.items():
        for path, _ in files:
            try:
                old = path.read_bytes()
                new, is_unsure = _without(subject, table, path, old)
            except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
                raise UsageError(f"{path} can't be read, so nothing was erased: mend it or take it away") from error
            if new != old:
                planned.append(Planned(table, str(path), _hash(old), _hash(new), len(new)))
            folders = dict(partition_of(TABLES[table], path.relative_to(landing)))
            if is_unsure or subject.is_named_by(table, folders):
                held.append(str(path))
    return planned, held


def rewrite_landed(subject: Subject, planned: Planned) -> None:
    """Replace the file by one without the subject; nothing happens when that was done, or the file is gone."""
    path = Path(planned.path)
    if not path.exists() or _hash(old := path.read_bytes()) == planned.new_hash:
        return
    aside = path.with_name(f".{path.name}{PART}")
    aside.write_bytes(_without(subject, planned.table, path, old)[0])
    shutil.copystat(path, aside)  # by its time a file is known that was moved
    aside.replace(path)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _without(subject: Subject, table: str, path: Path, data: bytes) -> tuple[bytes, bool]:
    """What a file holds without the subject, and whether that may name it all the same."""
    cleaner = _Cleaner(subject, table)
    kind = next(kind for kind in FORMATS if path.name.lower().endswith("." + kind))
    if kind == "parquet":
        return cleaner.parquet(data), False
    text = (gzip.decompress(data) if kind == "csv.gz" else data).decode("utf-8", "surrogateescape")
    clean = (cleaner.jsonl if kind == "jsonl" else cleaner.csv)(text)
    if clean == text:
        return data, cleaner.is_unsure
    new = clean.encode("utf-8", "surrogateescape")
    return gzip.compress(new, mtime=0) if kind == "csv.gz" else new, cleaner.is_unsure


class _Cleaner:
    """Takes the subject out of a file of a raw table. `is_unsure` once a line that nobody can read by columns holds a
    word that may mean the subject or something else."""

    def __init__(self, subject: Subject, table: str) -> None:
        self.subject = subject
        self.table = table
        self.is_unsure = False
        self._ids = subject.replaced_in(table)
        self._texts = {*texts_of(table)}
        self._read = {*self._ids, *self._texts, *subject.deciding(table)}

    def csv(self, text: str) -> str:
        pieces = csv_pieces(text)
        piece, header = next(pieces)
        names = self._columns(header.fields or ()) if header else []
        if not any(names):  # a file that was refused
            return self._unread(text)
        out = [piece]
        for piece, record in pieces:
            if record is None or record.fields is None:
                out.append(self._unread(piece))
                continue
            clean = self._row(names, record.fields)
            out.append(piece if clean == record.fields else piece.replace(record.raw, _csv_line(clean), 1))
        return "".join(out)

    def jsonl(self, text: str) -> str:
        return "".join(self._json_line(line) for line in io.StringIO(text, newline=""))

    def _json_line(self, line: str) -> str:
        try:
            # Numbers stay text: a float would lose digits.
            row = json.loads(line.lstrip("\ufeff"), parse_float=str, parse_int=str)
        except (ValueError, RecursionError):
            return self._unread(line)
        if not isinstance(row, dict):
            return self._unread(line)
        clean = self._row(self._columns(row), [*row.values()])
        if clean == [*row.values()]:
            return line
        return json.dumps(dict(zip(row, clean, strict=True)), ensure_ascii=False) + "\n"

    def parquet(self, data: bytes) -> bytes:
        landed = pq.read_table(io.BytesIO(data))
        names = self._columns(landed.column_names)
        places = [at for at, name in enumerate(names) if name is None or name in self._read]
        # ids may be numbers, and a token is none
        texts = [names[at] is not None or _is_text(landed[at].type) for at in places]
        columns = [
            landed[at].cast(pa.string()) if is_text else landed[at] for at, is_text in zip(places, texts, strict=True)
        ]
        rows = [[*row] for row in zip(*(column.to_pylist() for column in columns), strict=True)]
        clean = [self._row([names[at] for at in places], row) for row in rows]
        if clean == rows:
            return data
        for at, is_text, column, before, after in zip(
            places, texts, columns, zip(*rows, strict=True), zip(*clean, strict=True), strict=True
        ):
            touched = [new is not old and new != old for new, old in zip(after, before, strict=True)]
            if any(touched):
                without = pa.array(after, pa.string()) if is_text else pc.if_else(pa.array(touched), None, column)
                landed = landed.set_column(at, landed.column_names[at], without)
        out = io.BytesIO()
        pq.write_table(landed, out)
        return out.getvalue()

    def _columns(self, names: Iterable[str | None]) -> list[str | None]:
        """The column of the contract that each name of a file means, None for columns of its own."""
        meant = [(name or "").strip().lower() for name in names]
        return [name if name in TABLES[self.table].by_name or name == DELETED.name else None for name in meant]

    def _row(self, names: Sequence[str | None], values: Sequence[object]) -> list[object]:
        """A row without the subject: its own without ids, personal columns and what the contract doesn't know,
        another's without the words that name the subject."""
        known = {name: value for name, value in zip(names, values, strict=True) if name}
        is_theirs = self.subject.is_named_by(self.table, known)
        return [
            self._scrubbed(name, self._erased(name, value) if is_theirs else value)
            for name, value in zip(names, values, strict=True)
        ]

    def _erased(self, name: str | None, value: object) -> object:
        if name is None:
            return None
        if (self.table, name) in personal_columns() and value:
            return "" if TABLES[self.table].by_name[name].nullable else ERASED
        return self._ids.get(name, {}).get(str(value).strip(BLANKS), value)

    def _scrubbed(self, name: str | None, value: object) -> object:
        is_text = isinstance(value, str) and (name is None or name in self._texts)
        return self.subject.scrub(value) if is_text else value

    def _unread(self, line: str) -> str:
        """A line that waits in quarantine."""
        self.is_unsure |= self.subject.may_be_in(line)
        return self.subject.scrub(line)


def _csv_line(values: Sequence[object]) -> str:
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\r\n").writerow(values)
    return line.getvalue().removesuffix("\r\n")


def _is_text(kind: pa.DataType) -> bool:
    return kind in (pa.string(), pa.large_string()) or (pa.types.is_dictionary(kind) and _is_text(kind.value_type))
