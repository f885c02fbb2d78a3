"""One digest a night: what failed, where, which KPIs and owners it touches, and how to go on.

It is written to `alerts/<as-of>.md` of the warehouse folder and, where told to, sent to a webhook and by mail. What was
told before is marked as still open, not told as new; what is over is told once. A digest that can't be sent is tried
again by the next run and never changes how a night ends.
"""

from __future__ import annotations

import csv
import hashlib
import http.client
import json
import re
import smtplib
import ssl
import urllib.request
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from email.message import EmailMessage
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import duckdb

from orchestration.night import Problem
from orchestration.publishing import read_publication
from orchestration.quarantine import waiting_rows
from orchestration.summary import command_to_go_on, published_now
from orchestration.variables import PROJECT_DIR
from orchestration.warehouse import write_whole

if TYPE_CHECKING:
    from orchestration.night import Night

SECONDS_TO_SEND = 20
SHOWN_ROWS = 5
SHOWN_ALERTS = 10
SHOWN_NAMES = 4
FILES_KEPT = 90


@dataclass(frozen=True)
class Trouble:
    """One problem as the digest tells it. `key` stays the same from night to night, `first_seen` is an as-of date."""

    key: str
    level: str
    table: str
    what: str
    rows: Sequence[str]
    remedy: str
    kpis: Sequence[str]
    owners: Sequence[str]
    first_seen: str = ""

    def lines(self) -> list[str]:
        """The paragraph about this problem, in Markdown."""
        since = f" (since {self.first_seen})" if self.first_seen else ""
        lines = [f"- **{self.table}** [{self.level}] {self.what}{since}"]
        lines += [f"  - row: {row}" for row in self.rows[:SHOWN_ROWS]]
        lines += [f"  - KPIs: {_some(self.kpis)}; owners: {_some(self.owners)}"] if self.kpis else []
        return [*lines, f"  - to do: {self.remedy}"]


@dataclass
class Digest:
    """What one night has to say, by channel-independent parts."""

    title: str
    state: str
    new: list[Trouble]
    still_open: list[Trouble]
    recovered: list[str]
    raised: list[str]
    go_on: str
    is_partial: bool

    def text(self) -> str:
        """The digest as Markdown."""
        parts = [f"# {self.title}", "", self.state]
        for heading, troubles in (("New", self.new), ("Still open", self.still_open)):
            if troubles:
                parts += ["", f"## {heading}", *(line for trouble in troubles for line in trouble.lines())]
        if self.recovered:
            parts += ["", "## Over", *(f"- {what}" for what in self.recovered)]
        if self.raised:
            parts += ["", "## Alerts of the business raised tonight", *self.raised]
        if self.go_on:
            parts += ["", "## To go on", f"    {self.go_on}"]
        return "\n".join(parts) + "\n"

    def has_news(self) -> bool:
        """Whether anything is told that was not told before."""
        return bool(self.new or self.recovered or self.raised)


@dataclass
class Told:
    """What became of a digest: the file, where it was sent, and where it could not be sent and why."""

    file: str | None = None
    sent: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def tell(night: Night) -> Told:
    """Write and send the digest of a night that has ended, and remember what was told to whom.

    Never raises for a file or address that fails: `failed` says so.
    """
    told = Told()
    try:
        memory = _Memory(night)
        troubles = troubles_of(night)
        digest = memory.digest(night, troubles, channel="file")
        file = night.warehouse.alerts / f"{night.settings.as_of}.md"
        try:
            file.write_text(digest.text(), encoding="utf-8")
        except OSError as error:  # a full disk: the other channels have to tell
            told.failed.append(f"digest: {type(error).__name__}: {error}")
        else:
            told.file = str(file)
            memory.note("file", digest, troubles)
        for channel, address, send in _channels(night):
            digest = memory.digest(night, troubles, channel)
            if not memory.is_due(channel, digest):
                continue
            try:
                send(address, digest)
            except (OSError, smtplib.SMTPException, http.client.HTTPException, ValueError) as error:
                told.failed.append(f"{channel} {urlsplit(address).hostname}: {type(error).__name__}: {error}")
            else:
                told.sent.append(channel)
                memory.note(channel, digest, troubles)
        memory.keep(night, troubles)
        for old in sorted(night.warehouse.alerts.glob("*.md"))[:-FILES_KEPT]:
            old.unlink()
    except (OSError, duckdb.Error) as error:
        told.failed.append(f"digest: {type(error).__name__}: {error}")
    return told


def _channels(night: Night) -> Iterable[tuple[str, str, Any]]:
    settings = night.settings
    if settings.alert_webhook:
        yield "webhook", settings.alert_webhook, _post
    if settings.alert_smtp:
        yield "smtp", settings.alert_smtp, _mail


def _post(address: str, digest: Digest) -> None:
    body = {
        "text": digest.text(),
        "title": digest.title,
        "new": [trouble.__dict__ for trouble in digest.new],
        "still_open": [trouble.__dict__ for trouble in digest.still_open],
        "recovered": digest.recovered,
        "raised": digest.raised,
        "go_on": digest.go_on,
    }
    data = json.dumps(body, default=str).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"}, method="POST")
    with urllib.request.urlopen(request, timeout=SECONDS_TO_SEND):
        pass  # urlopen raises for every status that isn't a success


def _mail(address: str, digest: Digest) -> None:
    parts = urlsplit(address)
    query = parse_qs(parts.query.replace("+", "%2B"))  # a plus belongs to an address; forms alone mean a blank by it
    message = EmailMessage()
    message["Subject"] = digest.title
    message["From"] = query["from"][0]
    message["To"] = query["to"][0]
    message.set_content(digest.text())
    trust = ssl.create_default_context()  # by itself smtplib asks no server for its certificate
    client = partial(smtplib.SMTP_SSL, context=trust) if parts.scheme == "smtps" else smtplib.SMTP
    with client(parts.hostname, parts.port or 0, timeout=SECONDS_TO_SEND) as server:
        if query.get("starttls") == ["1"]:
            server.starttls(context=trust)
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
        server.send_message(message)


class _Memory:
    """alerts/state.json: the problems that are open, since when, and which channel was told what.

    problems: key -> {table, what, first_seen, told: [channel]}; over: key -> the same, for channels not told yet;
    raised: alert id -> [channel], of the last as-of date; days: channel -> the as-of date of its last digest.
    """

    def __init__(self, night: Night) -> None:
        self.file = night.warehouse.alerts / "state.json"
        self.loss = ""
        try:
            kept = json.loads(self.file.read_text(encoding="utf-8")) if self.file.exists() else {}
        except ValueError as error:
            kept = {}
            self.loss = f"\n\nWhat was told before is told as new: {self.file} can't be read ({error})"
        self.as_of = str(night.settings.as_of)
        self.problems: dict[str, dict[str, Any]] = kept.get("problems", {})
        self.over: dict[str, dict[str, Any]] = kept.get("over", {})
        self.days: dict[str, str] = kept.get("days", {})
        self.raised: dict[str, list[str]] = kept.get("raised", {}) if kept.get("as_of") == self.as_of else {}
        self.channels = {"file", *(channel for channel, *_ in _channels(night))}
        self.alerts = _business_alerts(night)

    def digest(self, night: Night, troubles: Sequence[Trouble], channel: str) -> Digest:
        """What this channel has to be told."""
        known = {key: entry for key, entry in self.problems.items() if channel in entry["told"]}
        found = {trouble.key for trouble in troubles}
        # A night that ended early has not looked at everything: only one that published says what is over.
        gone = known | {key: entry for key, entry in self.over.items() if channel not in entry["heard"]}
        ended = {key: entry for key, entry in gone.items() if key not in found and night.publication is not None}
        # The file of the day is written anew by every run of the day.
        fresh = [
            line for alert_id, line in self.alerts if channel == "file" or channel not in self.raised.get(alert_id, [])
        ]
        shown = fresh[:SHOWN_ALERTS]
        if len(fresh) > len(shown):
            shown.append(f"- and {len(fresh) - len(shown)} more in mart_alerts")
        return Digest(
            title=f"Night of {night.settings.as_of}: {night.ending.upper()}",
            state=(
                f"{night.warehouse.marts_file} stands for {self.as_of} now"
                if night.publication
                else published_now(night.warehouse)
            )
            + self.loss,
            new=[trouble for trouble in troubles if trouble.key not in known],
            still_open=[
                replace(trouble, first_seen=known[trouble.key]["first_seen"])
                for trouble in troubles
                if trouble.key in known
            ],
            recovered=[
                f"**{entry['table']}** {entry['what']} (since {entry['first_seen']})" for entry in ended.values()
            ],
            raised=shown,
            go_on=command_to_go_on(night.outcome(), night.warehouse) if night.publication is None else "",
            is_partial=night.publication is None,
        )

    def is_due(self, channel: str, digest: Digest) -> bool:
        """A channel hears what is new at once, and of what is still open once a night."""
        return digest.has_news() or (bool(digest.still_open) and self.days.get(channel) != self.as_of)

    def note(self, channel: str, digest: Digest, troubles: Sequence[Trouble]) -> None:
        """This channel was told."""
        found = {trouble.key: trouble for trouble in troubles}
        for key, trouble in found.items():
            entry = self.problems.setdefault(
                key, {"table": trouble.table, "what": trouble.what, "first_seen": self.as_of, "told": []}
            )
            entry["told"] = sorted({*entry["told"], channel})
            self.over.pop(key, None)
        for key, entry in [*self.problems.items(), *self.over.items()]:
            if key not in found and not digest.is_partial:
                entry["heard"] = sorted({*entry.get("heard", []), channel})
        for alert_id, _ in self.alerts:
            self.raised[alert_id] = sorted({*self.raised.get(alert_id, []), channel})
        self.days[channel] = self.as_of

    def keep(self, night: Night, troubles: Sequence[Trouble]) -> None:
        """Write the state down as a whole. What is over stays until every channel that was told of it has heard."""
        found = {trouble.key for trouble in troubles}
        if night.publication is None:
            found |= self.problems.keys()
        ended = self.over | {key: entry for key, entry in self.problems.items() if key not in found}
        over = {
            key: {**entry, "heard": entry.get("heard", [])}
            for key, entry in ended.items()
            if not (set(entry["told"]) & self.channels) <= set(entry.get("heard", []))
        }
        state = {
            "as_of": self.as_of,
            "problems": {key: entry for key, entry in self.problems.items() if key in found},
            "over": over,
            "raised": self.raised,
            "days": self.days,
        }
        write_whole(self.file, json.dumps(state, indent=1))


def troubles_of(night: Night) -> list[Trouble]:
    """The problems of a night: what stopped it, what it warned of, and the rows that wait in quarantine."""
    blocking = night.stopped.problems if night.stopped else []
    found = [(night.ending, problem) for problem in blocking]
    found += [("unfinished", problem) for problem in night.unserved]
    found += [("warning", problem) for problem in night.warnings()]
    found += [("quarantine", problem) for problem in waiting_rows(night.warehouse)]
    if night.crash:
        crash = Problem("run", night.crash, (), f"the trace is in {night.log_file}", rule="crash")
        found.append((night.ending, crash))
    lineage = _Lineage(night)
    return [lineage.trouble(level, problem) for level, problem in found]


class _Lineage:
    """Which KPIs hang on a table, by dbt's manifest, and who owns them, by the catalogue."""

    def __init__(self, night: Night) -> None:
        with (PROJECT_DIR / "seeds" / "kpi_catalog.csv").open(newline="", encoding="utf-8") as handle:
            self.owners = {row["kpi_id"]: row["owner"] for row in csv.DictReader(handle)}
        manifests = sorted(night.warehouse.target.glob("*/manifest.json"), key=lambda file: file.stat().st_mtime)
        manifest: Mapping[str, Any] = json.loads(manifests[-1].read_text(encoding="utf-8")) if manifests else {}
        self.children: Mapping[str, Sequence[str]] = manifest.get("child_map", {})
        nodes = {**manifest.get("sources", {}), **manifest.get("nodes", {})}
        self.keys = {node["name"]: key for key, node in nodes.items() if node["resource_type"] != "test"}

    def trouble(self, level: str, problem: Problem) -> Trouble:
        table = problem.table.rsplit(".", 1)[-1]
        kpis = self.kpis_of(table)
        owners = [owner for owner, _ in Counter(self.owners[kpi] for kpi in kpis).most_common()]
        identity = problem.rule or re.sub(r"\d[\d,.]*", "#", problem.what)
        return Trouble(
            key=hashlib.sha256(f"{level}\n{problem.table}\n{identity}".encode()).hexdigest()[:16],
            level=level,
            table=problem.table,
            what=problem.what,
            rows=problem.rows,
            remedy=problem.remedy,
            kpis=["all KPIs"] if len(kpis) == len(self.owners) else kpis,
            owners=owners,
        )

    def kpis_of(self, table: str) -> list[str]:
        """The KPIs that are computed from this table, by id."""
        todo, seen = [self.keys[table]] if table in self.keys else [], set()
        while todo:
            key = todo.pop()
            if key not in seen:
                seen.add(key)
                todo += self.children.get(key, [])
        names = {key.rsplit(".", 1)[-1].removeprefix("kpi_") for key in seen if key.startswith("model.")}
        return sorted(names & self.owners.keys())


def _business_alerts(night: Night) -> list[tuple[str, str]]:
    """Alerts that the publication of this day raised, of this run or one before: id and line, the gravest first."""
    published = night.publication or read_publication(night.warehouse.marts_file)
    if published is None or published.as_of_date != night.settings.as_of:
        return []
    with duckdb.connect(str(night.warehouse.marts_file), read_only=True) as con:
        if not con.execute("select 1 from duckdb_tables() where table_name = 'mart_alerts'").fetchone():
            return []
        rows = con.execute(
            """select alert_id, severity, alert_type, message from mart_alerts
            where raised_on = $day and cleared_on is null
            order by case severity when 'critical' then 0 when 'warning' then 1 else 2 end, alert_type, alert_id""",
            {"day": night.settings.as_of},
        ).fetchall()
    return [(alert_id, f"- [{severity}] {kind}: {message}") for alert_id, severity, kind, message in rows]


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN_NAMES
    return ", ".join(names[:SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")
