"""What lies in a landing folder, and how its files are read record by record.

This is the careful reader: it knows the physical line and the raw text of every record and goes on after a broken
one. Whole files are normally read by DuckDB (see loading.py); this reader looks at headers, and at every record of a
file in which DuckDB found something wrong. Both split a file into the same records and fields.
"""

import difflib
import gzip
import hashlib
import io
import json
import re
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, NamedTuple
from urllib.parse import unquote

from orchestration.contract import DELETED, TABLES, Table
from orchestration.variables import UsageError

FORMATS = ("csv.gz", "csv", "parquet", "jsonl")
# A record longer than this is a quote that was never closed; DuckDB's own limit is the same.
MAX_RECORD_CHARACTERS = 2_000_000

_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
# Three liberties that DuckDB's reader takes: one space before a quote, any after it, and "a" "b" for "a b".
_QUOTE_OPENS = re.compile(' ?"')
_QUOTE_GOES_ON = re.compile('( +)"')
_QUOTED_TEXT = re.compile('[^"]*(?:""[^"]*)*')
_FIELD_ENDS = re.compile(r" *(?:(,)|[\r\n]*$)")
_PLAIN_FIELD = re.compile(r"[^,\r\n]*(,?)")
_OTHER_MARKS = ";\t|"
_MAGIC = (
    (b"\x1f\x8b", "gzip", "name it .csv.gz"),
    (b"PAR1", "Parquet", "name it .parquet"),
    (b"PK\x03\x04", "a zip archive or a spreadsheet", "export it as CSV"),
    (b"\xff\xfe", "UTF-16 text", "save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text", "save it as UTF-8"),
)


class Problem(NamedTuple):
    """Why a row or a file can't be loaded, and what to do about it."""

    reason: str
    remedy: str
    column: str | None = None
    value: str | None = None


class FileRefused(Exception):
    """A file that can't be loaded at all; `line` is the physical line at fault, counted from 1, if one is known."""

    def __init__(self, problem: Problem, line: int | None = None) -> None:
        super().__init__(problem.reason)
        self.problem = problem
        self.line = line


class Record(NamedTuple):
    """One record of a file: first physical line, raw text without its line end, and its fields or what is wrong."""

    line: int
    raw: str
    fields: Sequence[str | None] | None
    problem: Problem | None


class Notice(NamedTuple):
    """Something in the landing folder that belongs to no raw table and was left alone."""

    path: str
    reason: str
    remedy: str


class Content(NamedTuple):
    """What the rows of a file follow from: the SHA-256 of its bytes, and the columns that its folders give."""

    digest: str
    partition: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True)
class LandedFile:
    """A file of the landing folder; `relative` is its path below the folder, `partition` its hive-style folder keys."""

    table: Table
    path: Path
    relative: str
    format: str
    partition: tuple[tuple[str, str | None], ...]
    bytes: int
    modified_ns: int
    content_hash: str

    @property
    def content(self) -> Content:
        return Content(self.content_hash, self.partition)

    def is_unchanged(self) -> bool:
        """Whether the file on disk still is the one that was hashed, by size and time of modification."""
        try:
            stat = self.path.stat()
        except OSError:
            return False
        return (stat.st_size, stat.st_mtime_ns) == (self.bytes, self.modified_ns)


@dataclass(frozen=True)
class Header:
    """Which contract column stands at which position of a file, and what else the file brings.

    `is_plain` is False when the header is not the whole first physical line: then only the careful reader fits.
    """

    names: tuple[str, ...]
    positions: dict[str, int]
    extra: tuple[str, ...]
    is_plain: bool = True


# ---------------------------------------------------------------------------------------------------------- discovery


def discover(landing: Path) -> tuple[dict[str, list[tuple[Path, str]]], list[Notice]]:
    """List the files of a landing folder.

    Returns the files of each raw table as (path, format), sorted by path, and a notice for everything that belongs
    to no table. Names that begin with a dot or an underscore (markers of file systems and writers) are skipped.

    Raises NotADirectoryError when `landing` is not a folder, and UsageError when it or a folder in it can't be read.
    """
    if not landing.is_dir():
        raise NotADirectoryError(f"the landing folder {landing} does not exist or is not a folder")
    files: dict[str, list[tuple[Path, str]]] = {name: [] for name in TABLES}
    notices: list[Notice] = []
    for entry in _entries(landing):
        if entry.is_dir():
            if entry.name not in TABLES:
                notices.append(_unknown_table(entry.name + "/", entry.name))
                continue
            candidates = _walk(entry)
        else:
            candidates = [entry]
        for path in candidates:
            relative = path.relative_to(landing).as_posix()
            file_format = _format(path.name)
            table = entry.name if entry.is_dir() else path.name[: -len(file_format) - 1] if file_format else ""
            if not _is_text(relative):
                notices.append(Notice(_printable(relative), "the file name is not UTF-8", "rename the file"))
            elif file_format is None:
                notices.append(
                    Notice(relative, "unknown file type", "deliver " + ", ".join("." + known for known in FORMATS))
                )
            elif table not in TABLES:
                notices.append(_unknown_table(relative, table))
            else:
                files[table].append((path, file_format))
    return files, notices


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith((".", "_")))
    except OSError as error:
        raise UsageError(f"the folder {folder} can't be read: {error.strerror}") from error


def _walk(folder: Path, above: frozenset[Path] = frozenset()) -> list[Path]:
    """The files below a folder. Links to folders are followed, but not those that lead back up."""
    here = above | {folder.resolve()}
    found = []
    for entry in _entries(folder):
        if not entry.is_dir():
            found.append(entry)
        elif entry.resolve() not in here:
            found += _walk(entry, here)
    return sorted(found)


def _format(name: str) -> str | None:
    lowered = name.lower()
    return next((known for known in FORMATS if lowered.endswith("." + known)), None)


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _printable(name: str) -> str:
    return name.encode("utf-8", "replace").decode("utf-8")


def _unknown_table(path: str, name: str) -> Notice:
    near = difflib.get_close_matches(name.lower(), TABLES, n=1)
    remedy = f"rename it to {near[0]}" if near else "name it after a raw table of the contract, or remove it"
    return Notice(path, f"no raw table is called {name!r}", remedy)


def landed_file(table: Table, path: Path, file_format: str, landing: Path) -> LandedFile:
    """Stat and hash a file (SHA-256 of its bytes). Raises OSError when it can't be read."""
    relative = path.relative_to(landing)
    stat = path.stat()
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return LandedFile(
        table=table,
        path=path,
        relative=relative.as_posix(),
        format=file_format,
        partition=partition_of(table, relative),
        bytes=stat.st_size,
        modified_ns=stat.st_mtime_ns,
        content_hash=digest,
    )


def partition_of(table: Table, relative: Path) -> tuple[tuple[str, str | None], ...]:
    """The hive-style folder keys of a path below the landing folder that are columns of the table.

    Any other key is only a way to file.
    """
    pairs = [part.split("=", 1) for part in relative.parts[1:-1] if "=" in part]
    named = {name.strip().lower(): None if value == _HIVE_NULL else unquote(value) for name, value in pairs}
    return tuple((name, value) for name, value in named.items() if name in table.by_name)


# ------------------------------------------------------------------------------------------------------------ headers


def match_header(file: LandedFile, names: Sequence[str], *, is_plain: bool = True, line: int | None = 1) -> Header:
    """Find the contract columns among a file's column names (case and outer spaces don't count).

    Raises FileRefused when a required column is missing or a column comes twice.
    """
    table = file.table
    wanted = {column.name for column in (*table.columns, DELETED)}
    positions: dict[str, int] = {}
    extra: list[str] = []
    for position, name in enumerate(names):
        known = name.strip().lower()
        if known not in wanted:
            extra.append(name.strip() or f"(column {position + 1} without a name)")
        elif known in positions:
            raise FileRefused(Problem(f"column {known} comes twice", "keep one column of that name", known, name), line)
        else:
            positions[known] = position
    present = positions.keys() | dict(file.partition).keys()
    missing = [column.name for column in table.columns if column.required and column.name not in present]
    if missing:
        raise FileRefused(_missing_columns(missing, names, bool(positions), has_header=line is not None), line)
    return Header(tuple(names), positions, tuple(extra), is_plain)


def _separated_by(mark: str, value: str) -> Problem:
    return Problem(f"the columns are separated by {mark!r}", "separate the columns by commas", value=value)


def _missing_columns(missing: Sequence[str], names: Sequence[str], any_known: bool, *, has_header: bool) -> Problem:
    listed = ", ".join(missing)
    if len(names) == 1 and (other := next((mark for mark in _OTHER_MARKS if mark in names[0]), None)):
        return _separated_by(other, names[0])
    if not any_known and has_header:
        return Problem(
            "the first line is no header: it names no column of the contract",
            f"begin the file with a line of column names (required: {listed})",
            value=",".join(names)[:200],
        )
    plural = "s" if len(missing) > 1 else ""
    return Problem(
        f"required column{plural} missing: {listed}", f"deliver the file with the column{plural} {listed}", missing[0]
    )


def csv_header(file: LandedFile) -> Header:
    """Read and match the header of a CSV file. Raises FileRefused when there is none that fits."""
    with _open_lines(file) as lines:
        record = next(_csv_records(lines, None), None)
    if record is None:
        raise FileRefused(Problem("the file is empty: it has no header", "deliver a header even without rows"), 1)
    if record.problem is not None:
        # names in quotes: what follows the first closing quote
        mark = (record.problem.value or "")[:1]
        wrong = _separated_by(mark, record.raw[:200]) if mark and mark in _OTHER_MARKS else record.problem
        raise FileRefused(wrong, record.line)
    names = [name or "" for name in record.fields or ()]
    is_plain = record.line == 1 and not re.search(r"[\r\n]", record.raw)
    return match_header(file, names, is_plain=is_plain, line=record.line)


def check_bytes(file: LandedFile) -> None:
    """Refuse a file that is empty, is not what its name says, or is a gzip file that is cut off or damaged.

    Raises FileRefused.
    """
    if file.bytes == 0:
        raise FileRefused(Problem("the file is empty (0 bytes)", "deliver it again; a file without rows has a header"))
    with file.path.open("rb") as stream:
        start = stream.read(4)
    if file.format in ("csv", "jsonl"):
        for magic, what, remedy in _MAGIC:
            if start.startswith(magic):
                raise FileRefused(Problem(f"the file is {what}, not {file.format.upper()} text", remedy))
    if file.format == "csv.gz":
        try:
            with gzip.open(file.path, "rb") as stream:
                while stream.read(1 << 20):
                    pass
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise FileRefused(
                Problem(f"the gzip file is cut off or damaged: {error}", "deliver the whole file again")
            ) from error


# ------------------------------------------------------------------------------------------------------------ records


class _Lines:
    """Physical lines of a text, with their line ends; lines can be put back. `number` counts the lines taken."""

    def __init__(self, stream: Iterable[str]) -> None:
        self._stream = iter(stream)
        self._waiting: deque[str] = deque()
        self.number = 0

    def take(self) -> str | None:
        line = self._waiting.popleft() if self._waiting else next(self._stream, None)
        if line is not None:
            self.number += 1
        return line

    def put_back(self, lines: Sequence[str]) -> None:
        self._waiting.extendleft(reversed(lines))
        self.number -= len(lines)


class _open_lines:
    """Context manager: the lines of a file as UTF-8 text. Bytes that are no UTF-8 raise FileRefused."""

    def __init__(self, file: LandedFile) -> None:
        self._file = file

    def __enter__(self) -> _Lines:
        self._binary = _open_binary(self._file)
        return _Lines(io.TextIOWrapper(self._binary, encoding="utf-8-sig", newline=""))

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        self._binary.close()
        if isinstance(error, UnicodeDecodeError):
            raise FileRefused(*_not_utf8(self._file)) from error


def _open_binary(file: LandedFile) -> IO[bytes]:
    return gzip.open(file.path, "rb") if file.format == "csv.gz" else file.path.open("rb")


def _not_utf8(file: LandedFile) -> tuple[Problem, int]:
    with _open_binary(file) as stream:
        for number, line in enumerate(stream, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                around = line[max(error.start - 20, 0) : error.end + 20].decode("utf-8", "backslashreplace")
                problem = Problem("the file is not UTF-8 text", "save the file as UTF-8", value=around.strip())
                return problem, number
    raise AssertionError("a file that could not be decoded has no bad line")


def csv_records(file: LandedFile, header: Header) -> Iterator[Record]:
    """The records of a CSV file after its header; fields stand in the order of the header.

    A record with a wrong number of fields or a broken quote carries a problem. Blank lines are no records.

    Raises FileRefused when the bytes are not UTF-8.
    """
    with _open_lines(file) as lines:
        records = _csv_records(lines, len(header.names))
        next(records)
        yield from records


def records_of_text(text: str, width: int) -> list[Record]:
    """The records of a piece of CSV text that has `width` columns, without a header."""
    return list(_csv_records(_Lines(io.StringIO(text, newline="")), width))


def csv_pieces(text: str) -> Iterator[tuple[str, Record | None]]:
    """A CSV text cut behind each of its records, the header first: the text as it stands, and the record in it."""
    physical = io.StringIO(text, newline="")
    lines = _Lines(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    cut = 0
    header = [*islice(_csv_records(lines, None), 1)]
    width = len(header[0].fields) if header and header[0].fields else None
    for record in chain(header, _csv_records(lines, width)):
        yield "".join(islice(physical, lines.number - cut)), record
        cut = lines.number
    yield physical.read(), None


def _csv_records(lines: _Lines, width: int | None) -> Iterator[Record]:
    while (line := lines.take()) is not None:
        number = lines.number
        raw = line.rstrip("\r\n")
        if not raw:
            continue
        if '"' not in raw:
            fields = raw.split(",")
        else:
            taken = [line]
            outcome = _quoted_fields(lines, taken)
            if isinstance(outcome, Problem):
                lines.put_back(taken[1:])
                yield Record(number, raw, None, outcome)
                continue
            fields = outcome
            raw = "".join(taken).rstrip("\r\n")
        if width is not None and len(fields) != width:
            # One comma too many at the end of a line is a habit of some exporters; DuckDB forgives it as well.
            if len(fields) == width + 1 and fields[-1] == "" and not raw.endswith('"'):
                fields = fields[:-1]
            else:
                reason = f"{len(fields)} fields where the header names {width} columns"
                remedy = "quote fields that hold commas or line breaks, and deliver every column"
                yield Record(number, raw, None, Problem(reason, remedy))
                continue
        yield Record(number, raw, fields, None)


def _quoted_fields(lines: _Lines, taken: list[str]) -> list[str] | Problem:
    """Split a record that holds quotes; `taken` holds its first line and receives the further lines it needs."""
    line = taken[0]
    position = 0
    length = len(line)
    fields: list[str] = []
    while True:
        if opening := _QUOTE_OPENS.match(line, position):
            position = opening.end()
            parts: list[str] = []
            while True:
                text = _QUOTED_TEXT.match(line, position)
                parts.append(text.group())
                position = text.end()
                if position < len(line):
                    position += 1
                    if more := _QUOTE_GOES_ON.match(line, position):
                        parts.append(more.group(1))
                        position = more.end()
                        continue
                    break
                following = lines.take() if length <= MAX_RECORD_CHARACTERS else None
                if following is None:
                    return Problem("a quote is opened and never closed", 'close the quote, or write "" for a quote')
                taken.append(following)
                length += len(following)
                line, position = following, 0
            fields.append("".join(parts).replace('""', '"'))
            ending = _FIELD_ENDS.match(line, position)
            if ending is None:
                rest = line[position : position + 40].rstrip("\r\n")
                remedy = 'write "" for a quote inside a quoted field'
                return Problem(f"text after a closing quote: {rest!r}", remedy, value=rest)
        else:
            ending = _PLAIN_FIELD.match(line, position)
            text_end = ending.start(1) if ending.group(1) else ending.end()
            fields.append(line[position:text_end])
        position = ending.end()
        if not ending.group(1):
            return fields


class JsonLines:
    """The records of a JSONL file, one object a line; fields stand in contract order, then `_deleted`.

    After the iteration `extra` holds the names that the contract doesn't know, and `header` those that came.
    Iterating raises FileRefused when the bytes are not UTF-8, when the file is one JSON array, holds nothing, or
    when a required column comes in no line.
    """

    def __init__(self, file: LandedFile) -> None:
        self._file = file
        self.columns = [column.name for column in (*file.table.columns, DELETED)]
        self._index = {name: index for index, name in enumerate(self.columns)}
        self._known: dict[str, int | None] = {}
        self.delivered = 0

    @property
    def header(self) -> tuple[str, ...]:
        return tuple(map(_printable, self._known))

    @property
    def extra(self) -> tuple[str, ...]:
        return tuple(_printable(name) for name, index in self._known.items() if index is None)

    def __iter__(self) -> Iterator[Record]:
        parsed = 0
        with _open_lines(self._file) as lines:
            while (line := lines.take()) is not None:
                raw = line.strip("\r\n")
                if not raw.strip():
                    continue
                if not self.delivered and raw.lstrip().startswith("["):
                    raise FileRefused(Problem("the file is a JSON array", "deliver one JSON object a line"), 1)
                self.delivered += 1
                record = self.record(lines.number, raw)
                parsed += record.problem is None
                yield record
        if not self.delivered:
            raise FileRefused(Problem("the file holds no line", "deliver one JSON object a line"), 1)
        if parsed:
            # Lines may spell a name differently; together they bring it once.
            spellings = {name.strip().lower(): name for name in self.header}
            match_header(self._file, list(spellings.values()), line=None)

    def record(self, number: int, raw: str) -> Record:
        """One line as a record."""
        remedy = "deliver one JSON object a line, values without nesting"
        try:
            # Numbers stay text: a float would lose digits before the column's type is known.
            row = json.loads(raw, parse_float=str, parse_int=str, parse_constant=str)
        except (ValueError, RecursionError) as error:
            return Record(number, raw, None, Problem(f"the line is no JSON: {error}", remedy))
        if not isinstance(row, dict):
            return Record(number, raw, None, Problem("the line is no JSON object", remedy))
        fields: list[str | None] = [None] * len(self.columns)
        for name, value in row.items():
            index = self._known[name] if name in self._known else self._learn(name)
            if index is None or value is None:
                continue
            if isinstance(value, dict | list):
                return Record(
                    number, raw, None, Problem("a nested value", remedy, self.columns[index], json.dumps(value))
                )
            fields[index] = value if isinstance(value, str) else "true" if value else "false"
            if not _is_text(fields[index]):
                problem = Problem("half of a surrogate pair", "deliver whole characters", self.columns[index])
                return Record(number, raw, None, problem)
        return Record(number, raw, fields, None)

    def _learn(self, name: str) -> int | None:
        self._known[name] = self._index.get(name.strip().lower())
        return self._known[name]
