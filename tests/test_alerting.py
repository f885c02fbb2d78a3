"""The digest of a night: to a file, to a real web server and to a real mail server; what was told is not told again."""

import json
import smtplib
import socket
import ssl
import subprocess
import threading
from datetime import UTC, date, datetime
from email import message_from_bytes
from email.policy import default
from http.server import BaseHTTPRequestHandler, HTTPServer

import duckdb
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from orchestration.alerting import tell
from orchestration.loading import LoadReport, create_landing_schema
from orchestration.night import BLOCKED, Night, Problem, Stopped
from orchestration.publishing import Publication
from orchestration.reading import Notice
from orchestration.settings import resolve_settings
from orchestration.summary import told_lines
from orchestration.variables import UsageError
from orchestration.warehouse import Warehouse

DELETIONS = Problem(
    "crm_accounts",
    "raw_crm.deletions_are_few, 90 unexpected",
    ("n_rows=90",),
    "mend it",
    rule="raw_crm.deletions_are_few",
)
NULLS = Problem("kpi_mrr", "test not_null: 3 rows fail", (), "mend these", rule="not_null_kpi_mrr")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Inbox:
    """A web server and a mail server on loopback ports, and what they received."""

    def __init__(self):
        self.posts, self.mails, self.status = [], [], 204
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                inbox.posts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(inbox.status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.web = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.web.serve_forever, daemon=True).start()
        mail_port = _free_port()
        self.mail = Controller(
            self, hostname="127.0.0.1", port=mail_port, auth_require_tls=False, authenticator=self.check
        )
        self.mail.start()
        self.webhook = f"http://127.0.0.1:{self.web.server_port}/hook?token=secret"
        self.smtp = (
            f"smtp://nightly:p%40ss@127.0.0.1:{mail_port}?from=csw@example.org&to=ann@example.org,bob@example.org"
        )

    def check(self, server, session, envelope, mechanism, login):
        return AuthResult(success=login.login == b"nightly" and login.password == b"p@ss", handled=False)

    async def handle_DATA(self, server, session, envelope):
        message = message_from_bytes(envelope.content, policy=default)
        self.mails.append((envelope.rcpt_tos, message["Subject"], message.get_content()))
        return "250 OK"

    def close(self):
        if self.mail is not None:
            self.web.shutdown()
            self.web.server_close()
            self.mail.stop()
            self.mail = None


@pytest.fixture
def inbox():
    inbox = Inbox()
    yield inbox
    inbox.close()


@pytest.fixture
def warehouse(tmp_path):
    warehouse = Warehouse(tmp_path / "warehouse")
    warehouse.prepare()
    with duckdb.connect(str(warehouse.build_file)) as con:
        create_landing_schema(con)
    folder = warehouse.target / "one"
    folder.mkdir(parents=True)
    # Accounts feed two KPIs, one of them through a model between.
    manifest = {
        "sources": {"source.p.crm.crm_accounts": {"name": "crm_accounts", "resource_type": "source"}},
        "nodes": {
            f"model.p.{name}": {"name": name, "resource_type": "model"}
            for name in ("int_accounts", "kpi_mrr", "kpi_net_promoter_score")
        },
        "child_map": {
            "source.p.crm.crm_accounts": ["model.p.int_accounts", "model.p.kpi_net_promoter_score"],
            "model.p.int_accounts": ["model.p.kpi_mrr"],
        },
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return warehouse


def night_of(warehouse, day, problems=(), inbox=None, alerts=()):
    """A night that has ended: blocked by these problems, or published with these business alerts."""
    settings = resolve_settings(
        warehouse=str(warehouse.root),
        landing=str(warehouse.root / "landing"),
        as_of=f"2025-03-{day}",
        alert_webhook=inbox and inbox.webhook,
        alert_smtp=inbox and inbox.smtp,
    )
    moment = datetime(2025, 4, 1, day % 24, tzinfo=UTC)
    night = Night(settings, warehouse, print, moment, moment.replace(tzinfo=None))
    if problems:
        night.stopped = Stopped(BLOCKED, list(problems))
        return night
    with duckdb.connect(str(warehouse.marts_file)) as con:
        con.execute(
            """create or replace table mart_alerts (alert_id varchar, severity varchar, alert_type varchar,
            message varchar, raised_on date, cleared_on date)"""
        )
        for number, message in enumerate(alerts):
            con.execute(
                "insert into mart_alerts values (?, 'warning', 'nps_dip', ?, ?, null)",
                [f"id{number}", message, settings.as_of],
            )
    night.publication = Publication(
        settings.as_of, moment.replace(tzinfo=None), "1", "0", "EUR", "UTC", 1, 0, night.run_id, None
    )
    with duckdb.connect(str(warehouse.marts_file)) as con:
        con.execute(
            f"create or replace table meta_publication as select date '{settings.as_of}' as as_of_date, "
            "timestamp '2025-03-02' as published_at, '' as code_version, '' as input_hash, "
            "'EUR' as reporting_currency, 'UTC' as reporting_timezone, 1 as checks_passed, 0 as checks_warned, "
            "'r' as run_id, null::timestamp as previous_published_at"
        )
    return night


def test_a_blocked_night_names_table_rows_kpis_owners_and_the_way_on(warehouse, inbox):
    told = tell(night_of(warehouse, 10, [DELETIONS], inbox))
    assert (told.failed, told.sent) == ([], ["webhook", "smtp"])
    text = (warehouse.alerts / "2025-03-10.md").read_text()
    for said in (
        "# Night of 2025-03-10: BLOCKED",
        "## New",
        "**crm_accounts** [blocked] raw_crm.deletions_are_few, 90 unexpected",
        "row: n_rows=90",
        "KPIs: mrr, net_promoter_score; owners:",
        "Revenue Operations Lead",  # who owns MRR by the catalogue
        "to do: mend it",
        f"csw nightly --landing {warehouse.root}/landing --warehouse {warehouse.root} --as-of 2025-03-10",
    ):
        assert said in text
    [post] = inbox.posts
    assert post["text"] == text
    assert [trouble["table"] for trouble in post["new"]] == ["crm_accounts"]
    [(recipients, subject, content)] = inbox.mails
    assert recipients == ["ann@example.org", "bob@example.org"]
    assert subject == "Night of 2025-03-10: BLOCKED"
    assert content.replace("\r\n", "\n") == text


def test_a_file_that_belongs_to_no_table_is_told_with_its_remedy(warehouse):
    night = night_of(warehouse, 10)
    night.load = LoadReport({}, notices=[Notice("support_ticket.csv", "no raw table", "rename it to support_tickets")])
    tell(night)
    text = (warehouse.alerts / "2025-03-10.md").read_text()
    assert f"{warehouse.marts_file} stands for 2025-03-10 now" in text
    assert "**support_ticket.csv** [warning] not loaded: no raw table\n  - to do: rename it to support_tickets" in text
    assert night.outcome()["warnings"] == [
        "support_ticket.csv: not loaded: no raw table\n    -> rename it to support_tickets"
    ]


def test_what_was_told_is_still_open_then_over_once(warehouse, inbox):
    tell(night_of(warehouse, 10, [DELETIONS], inbox))
    again = Problem(DELETIONS.table, "raw_crm.deletions_are_few, 93 unexpected", (), "mend it", rule=DELETIONS.rule)
    tell(night_of(warehouse, 11, [again, NULLS], inbox))
    tell(night_of(warehouse, 11, [again, NULLS], inbox))  # the same night again says nothing new
    tell(night_of(warehouse, 12, [], inbox))
    tell(night_of(warehouse, 13, [], inbox))
    posts = [
        ([one["table"] for one in post["new"]], [(one["table"], one["first_seen"]) for one in post["still_open"]])
        for post in inbox.posts
    ]
    assert posts == [
        (["crm_accounts"], []),
        (["kpi_mrr"], [("crm_accounts", "2025-03-10")]),
        ([], []),
    ]
    assert len(inbox.mails) == 3
    over = inbox.posts[-1]["recovered"]
    assert len(over) == 2
    assert any("deletions_are_few" in what and "since 2025-03-10" in what for what in over)
    assert "## Over" in (warehouse.alerts / "2025-03-12.md").read_text()
    assert "## Over" not in (warehouse.alerts / "2025-03-13.md").read_text()


def test_a_night_that_blocks_early_does_not_call_the_rest_over(warehouse, inbox):
    tell(night_of(warehouse, 10, [NULLS], inbox))
    tell(night_of(warehouse, 11, [DELETIONS], inbox))
    assert inbox.posts[-1]["recovered"] == []
    tell(night_of(warehouse, 12, [NULLS], inbox))
    assert [one["first_seen"] for one in inbox.posts[-1]["still_open"]] == ["2025-03-10"]


def test_a_channel_that_fails_is_shown_and_told_later(warehouse, inbox):
    inbox.status = 500
    night = night_of(warehouse, 10, [DELETIONS], inbox)
    told = tell(night)
    assert told.sent == ["smtp"]
    [failure] = told.failed
    assert "webhook 127.0.0.1: HTTPError" in failure
    assert "secret" not in failure
    assert any("not sent   webhook" in line for line in told_lines(told.__dict__))
    assert night.exit_code == BLOCKED
    inbox.status = 204
    inbox.posts.clear()
    assert tell(night_of(warehouse, 10, [DELETIONS], inbox)).sent == ["webhook"]
    assert [one["table"] for one in inbox.posts[0]["new"]] == ["crm_accounts"]


def test_nobody_listens(warehouse, inbox):
    inbox.close()
    told = tell(night_of(warehouse, 10, [DELETIONS], inbox))
    assert len(told.failed) == 2
    assert told.file == str(warehouse.alerts / "2025-03-10.md")


def test_a_wrong_password_is_a_failure_to_send(warehouse, inbox):
    inbox.smtp = inbox.smtp.replace("p%40ss", "wrong")
    told = tell(night_of(warehouse, 10, [DELETIONS], inbox))
    assert told.sent == ["webhook"]
    assert smtplib.SMTPAuthenticationError.__name__ in told.failed[0]
    assert "wrong" not in told.failed[0]


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_password_is_told_to_a_server_that_proves_who_it_is(scheme, warehouse, inbox, tmp_path, monkeypatch):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-keyout", key, "-out", certificate]
    named = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*made, *named], capture_output=True, check=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    wrapped = {"ssl_context": context} if scheme == "smtps" else {"tls_context": context}
    server = Controller(
        inbox, hostname="127.0.0.1", port=_free_port(), auth_require_tls=False, authenticator=inbox.check, **wrapped
    )
    server.start()
    inbox.smtp = f"{scheme}://nightly:p%40ss@127.0.0.1:{server.port}?from=csw@example.org&to=a@example.org&starttls=1"
    if scheme == "smtps":
        inbox.smtp = inbox.smtp.removesuffix("&starttls=1")
    try:
        told = tell(night_of(warehouse, 10, [DELETIONS], inbox))
        assert told.sent == ["webhook"]
        assert "certificate verify failed" in told.failed[0]
        assert inbox.mails == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert tell(night_of(warehouse, 10, [DELETIONS], inbox)).sent == ["smtp"]
        assert len(inbox.mails) == 1
    finally:
        server.stop()


def test_alerts_of_the_business_are_told_once(warehouse, inbox):
    tell(night_of(warehouse, 10, [], inbox, alerts=["NPS fell to 10"]))
    assert inbox.posts[0]["raised"] == ["- [warning] nps_dip: NPS fell to 10"]
    tell(night_of(warehouse, 10, [], inbox, alerts=["NPS fell to 10"]))
    tell(night_of(warehouse, 10, [], inbox, alerts=["NPS fell to 10", "NPS fell to 9"]))
    assert [post["raised"] for post in inbox.posts[1:]] == [["- [warning] nps_dip: NPS fell to 9"]]


def test_the_file_of_a_day_names_its_alerts_after_every_run(warehouse):
    alerts = ["NPS fell to 10", "NPS fell to 9"]
    file = warehouse.alerts / "2025-03-10.md"
    for problems in ([], [], [NULLS]):  # twice published, then blocked: the alerts stand in the published file
        tell(night_of(warehouse, 10, problems, alerts=alerts))
        assert [line for line in file.read_text().splitlines() if "nps_dip" in line] == [
            "- [warning] nps_dip: NPS fell to 10",
            "- [warning] nps_dip: NPS fell to 9",
        ]
    tell(night_of(warehouse, 11, [NULLS]))
    assert "nps_dip" not in (warehouse.alerts / "2025-03-11.md").read_text(), "alerts of the day before"


def test_a_plus_in_an_address_is_one(warehouse, inbox):
    inbox.smtp = inbox.smtp.replace("ann@", "ops+kpi@")
    assert tell(night_of(warehouse, 10, [DELETIONS], inbox)).failed == []
    assert inbox.mails[0][0] == ["ops+kpi@example.org", "bob@example.org"]


@pytest.mark.parametrize("left", ["", "\0\0\0", '{"as_of": '])
def test_a_memory_that_a_power_cut_broke_is_lost_and_said_to_be(warehouse, left):
    tell(night_of(warehouse, 10, [DELETIONS]))
    state = warehouse.alerts / "state.json"
    state.write_text(left)
    assert tell(night_of(warehouse, 11, [DELETIONS])).failed == []
    text = (warehouse.alerts / "2025-03-11.md").read_text()
    assert "## New" in text
    assert f"What was told before is told as new: {state} can't be read" in text
    tell(night_of(warehouse, 12, [DELETIONS]))
    text = (warehouse.alerts / "2025-03-12.md").read_text()
    assert "(since 2025-03-11)" in text
    assert "can't be read" not in text


def test_a_memory_is_on_disk_before_it_takes_the_place_of_the_one_before(warehouse, monkeypatch):
    tell(night_of(warehouse, 10, [DELETIONS]))
    before = (warehouse.alerts / "state.json").read_bytes()

    def lost(_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.fsync", lost)
    assert tell(night_of(warehouse, 11, [NULLS])).failed == ["digest: OSError: [Errno 5] Input/output error"]
    assert (warehouse.alerts / "state.json").read_bytes() == before


def test_rows_in_quarantine_stay_open_until_they_are_gone(warehouse, inbox):
    with duckdb.connect(str(warehouse.build_file)) as con:
        con.execute(
            """insert into ops.quarantine by name select 'q1' as quarantine_id, 'crm_accounts' as table_name,
            'crm_accounts/1.csv' as path, 7 as line, 'created_at: ''soon'' is no timestamp' as reason,
            'write YYYY-MM-DD' as remedy, timestamp '2025-03-09' as quarantined_at, 'open' as status"""
        )
    tell(night_of(warehouse, 10, [], inbox))
    [trouble] = inbox.posts[0]["new"]
    assert trouble["what"] == "1 rows wait in quarantine since 2025-03-09"
    assert trouble["rows"] == ["crm_accounts/1.csv:7: created_at: 'soon' is no timestamp"]
    assert "csw replay" in trouble["remedy"]
    with duckdb.connect(str(warehouse.build_file)) as con:
        con.execute("update ops.quarantine set status = 'replayed'")
    tell(night_of(warehouse, 11, [], inbox))
    assert len(inbox.posts[1]["recovered"]) == 1


@pytest.mark.parametrize(
    "given",
    [
        {"alert_webhook": "ftp://host/x"},
        {"alert_webhook": "https://host:port/x"},
        {"alert_webhook": "https://host/hush hush"},
        {"alert_smtp": "smtp://host"},
        {"alert_smtp": "host:25?from=a&to=b"},
    ],
)
def test_an_address_that_can_never_work_is_refused_at_once(given):
    with pytest.raises(UsageError, match="must"):
        resolve_settings(as_of=str(date(2025, 3, 1)), **given)
