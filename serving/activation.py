"""Reverse ETL: what other systems are told about accounts, changed rows only, to a CSV file or a webhook.

A state file per consumer says which hash of every account was delivered. Before a batch leaves, it's written there as
pending; once it's acknowledged, as delivered. Both reach the disk before going on. So after a crash nothing that was
acknowledged is sent again, but for a batch whose acknowledgement was cut off: nobody here can know whether it arrived.
That batch goes out once more, byte for byte and under the same `Idempotency-Key`, by which the receiver knows it.
A CSV file has no such doubt: it is delivered by a rename, which either has happened or not.
"""

from __future__ import annotations

import csv
import fcntl
import hashlib
import http.client
import json
import os
import random
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orchestration.publishing import PART, sync
from orchestration.querying import connect_hardened
from orchestration.settings import is_web_address
from orchestration.variables import UsageError
from orchestration.warehouse import Warehouse, activations, write_whole

ROWS_A_BATCH = 100
TRIES = 6
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
TIMEOUT_SECONDS = 30
WORTH_TRYING_AGAIN = (408, 409, 425, 429)


@dataclass(frozen=True)
class Sent:
    """What one activation did: rows delivered now (gone accounts among them), rows that had not changed, batches."""

    rows: int
    unchanged: int
    batches: int
    resumed: bool


class _State:
    """Which hash of every account this consumer was given, and the batch that is on its way, if any."""

    def __init__(self, file: Path, destination: str) -> None:
        self.file = file
        fresh = {"destination": destination, "sequence": 0, "delivered": {}, "pending": None}
        self.facts: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else fresh
        if self.facts["destination"] != destination:
            raise UsageError(
                f"{file.stem} was sent to somewhere else so far, so what it knows isn't known here: name this consumer "
                "with --consumer NAME"
            )

    @property
    def delivered(self) -> dict[str, str]:
        return self.facts["delivered"]

    @property
    def pending(self) -> dict[str, Any] | None:
        return self.facts["pending"]

    def intend(self, batch: dict[str, Any]) -> None:
        """Write down a batch before it leaves."""
        self.facts["pending"] = batch
        self._write()

    def acknowledge(self) -> None:
        """The pending batch was delivered."""
        for account, row_hash in self.pending["hashes"].items():
            if row_hash is None:
                self.delivered.pop(account, None)
            else:
                self.delivered[account] = row_hash
        self.facts["sequence"] += 1
        self.forget()

    def forget(self) -> None:
        """No batch is pending any more: its delivery is noted, or it was delivered to nobody and will be made anew."""
        self.facts["pending"] = None
        self._write()

    def _write(self) -> None:
        write_whole(self.file, json.dumps(self.facts))
        sync(self.file.parent)


def activate_to_webhook(
    warehouse: Warehouse,
    url: str,
    *,
    consumer: str = "webhook",
    token: str | None = None,
    rows_a_batch: int = ROWS_A_BATCH,
    first_pause: float = FIRST_PAUSE_SECONDS,
    say: Callable[[str], None] = print,
) -> Sent:
    """POST the changed rows as JSON, batch by batch; a busy or absent receiver is tried again, later and later.

    Args:
        token: sent as `Authorization: Bearer ...`.

    Raises:
        UsageError: nothing is published, the address is wrong, the token can't stand in a header, another activation of
            this consumer is under way, or the receiver refuses or stays away. What was acknowledged is noted; the next
            call goes on from there.
    """
    if token and not re.fullmatch(r"[!-~]+", token):  # the library's own error would repeat it
        raise UsageError("CSW_ACTIVATE_TOKEN holds a blank, a line break or a letter that no header can hold")
    if not is_web_address(url):
        raise UsageError("a webhook's address begins with http:// or https:// and names a host; no blanks in it")
    parts = urlsplit(url)
    receiver = _Receiver(url, f"{parts.scheme}://{parts.hostname}", token, first_pause, say)
    with _consumer(warehouse, consumer, hashlib.sha256(url.encode()).hexdigest()) as state:
        resumed = state.pending is not None
        rows = batches = 0
        if resumed:
            rows, batches = len(state.pending["hashes"]), 1
            receiver.post(state.pending)
            state.acknowledge()
        publication, changed, unchanged = _changes(warehouse, state)
        for start in range(0, len(changed), rows_a_batch):
            batch = changed[start : start + rows_a_batch]
            body = json.dumps({"consumer": consumer, **publication, "rows": batch}, default=str)
            key = hashlib.sha256(f"{consumer} {state.facts['sequence']} {body}".encode()).hexdigest()
            state.intend({"key": key, "body": body, "hashes": _hashes(batch)})
            receiver.post(state.pending)
            state.acknowledge()
            rows, batches = rows + len(batch), batches + 1
    return Sent(rows, unchanged, batches, resumed)


def activate_to_csv(warehouse: Warehouse, file: Path, *, consumer: str = "csv") -> Sent:
    """Write the changed rows to a new CSV file, which appears whole; no file when nothing changed.

    Raises:
        UsageError: nothing is published, the file is there already (so nobody has fetched it yet), its folder isn't, or
            another activation of this consumer is under way.
    """
    file = file.absolute()
    with _consumer(warehouse, consumer, "csv") as state:
        resumed = rows = _note_delivery(state)
        publication, changed, unchanged = _changes(warehouse, state)
        if changed:
            if file.exists():
                raise UsageError(f"{file} is there already: fetch it first, or name another file")
            if not file.parent.is_dir():
                raise UsageError(f"there is no folder {file.parent}")
            part = file.with_name(f".{file.name}{PART}")
            with part.open("w", newline="", encoding="utf-8") as out:
                writer = csv.DictWriter(out, [*changed[0], *publication])
                writer.writeheader()
                writer.writerows(row | publication for row in changed)
                out.flush()
                os.fsync(out.fileno())
            state.intend({"part": str(part), "hashes": _hashes(changed)})
            part.rename(file)
            sync(file.parent)
            state.acknowledge()
            rows += len(changed)
    return Sent(rows, unchanged, int(bool(rows)), bool(resumed))


def _note_delivery(state: _State) -> int:
    """What a run that was cut off left: rows of a file that is where it belongs, whose rename was not yet noted. A file
    that wasn't renamed is forgotten: nobody has it, and its place or its rows may not be right any more."""
    if state.pending is None:
        return 0
    part, rows = Path(state.pending["part"]), len(state.pending["hashes"])
    if part.exists():
        state.forget()
        part.unlink()
        return 0
    state.acknowledge()
    return rows


@contextmanager
def _consumer(warehouse: Warehouse, consumer: str, destination: str) -> Iterator[_State]:
    if not re.fullmatch(r"\w[\w-]*", consumer):
        raise UsageError(f"a consumer's name has letters, digits, _ and -, not {consumer!r}")
    folder = warehouse.activation
    with activations(warehouse), (folder / f"{consumer}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"{consumer} is being sent to already: wait for it to end") from None
        yield _State(folder / f"{consumer}.json", destination)


def _changes(warehouse: Warehouse, state: _State) -> tuple[dict[str, str], list[dict[str, Any]], int]:
    """What names the publication; the rows whose hash isn't the delivered one, and accounts that are gone; the count of
    the others."""
    with connect_hardened(warehouse.marts_file) as con:
        if not con.execute("select 1 from duckdb_tables() where table_name = 'activation'").fetchone():
            raise UsageError("what is published holds no table activation yet: publish a night first")
        [[as_of, published_at]] = con.execute("select as_of_date, published_at from meta_publication").fetchall()
        cursor = con.execute("select * from activation order by account_id")
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    changed = [row | {"is_gone": False} for row in rows if state.delivered.get(row["account_id"]) != row["row_hash"]]
    unchanged = len(rows) - len(changed)
    present = {row["account_id"] for row in rows}
    for account in sorted(state.delivered.keys() - present):
        changed.append(dict.fromkeys(names) | {"account_id": account, "is_gone": True})
    return {"as_of": str(as_of), "published_at": published_at.isoformat()}, changed, unchanged


def _hashes(rows: list[dict[str, Any]]) -> dict[str, str | None]:
    return {row["account_id"]: row["row_hash"] for row in rows}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET without its rows."""

    def redirect_request(self, *arguments: Any) -> None:
        return None


@dataclass(frozen=True)
class _Receiver:
    url: str
    label: str
    token: str | None
    first_pause: float
    say: Callable[[str], None]

    def post(self, batch: dict[str, Any]) -> None:
        """Send one batch until it's acknowledged with a 2xx.

        Raises:
            UsageError: it is refused, or was tried as often as is sensible.
        """
        headers = {"Content-Type": "application/json", "Idempotency-Key": batch["key"], "User-Agent": "csw-activate"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(self.url, batch["body"].encode(), headers, method="POST")
        opener = urllib.request.build_opener(_NoRedirect)
        for attempt in range(1, TRIES + 1):
            wait = None
            try:
                with opener.open(request, timeout=TIMEOUT_SECONDS):
                    return
            except urllib.error.HTTPError as error:
                what = f"answered {error.code}"
                error.close()
                if error.code < 500 and error.code not in WORTH_TRYING_AGAIN:
                    raise UsageError(
                        f"{self.label} {what}, so this batch was not taken; mend it and run again"
                    ) from None
                wait = _seconds_to_wait(error.headers)
            except (OSError, http.client.HTTPException) as error:
                what = f"could not be reached ({getattr(error, 'reason', error)})"
            if attempt < TRIES:
                pause = min(self.first_pause * 2 ** (attempt - 1), LONGEST_PAUSE_SECONDS)
                pause = max(pause * random.uniform(0.8, 1.2), wait or 0.0)
                self.say(f"  {self.label} {what}; trying again in {pause:.1f} s")
                time.sleep(pause)
        raise UsageError(f"{self.label} {what}, {TRIES} times; nothing is lost: run again to go on with this batch")


def _seconds_to_wait(headers: Message) -> float | None:
    said = headers.get("Retry-After", "")
    return min(float(said), LONGEST_PAUSE_SECONDS) if said.isdecimal() else None
