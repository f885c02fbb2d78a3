"""Reverse ETL: changed rows only, nothing twice and nothing lost, whatever the receiver does, wherever it's killed."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import duckdb
import pytest

from orchestration.cli import main
from orchestration.publishing import Mart, keep_versions, publish, read_publication
from orchestration.variables import UsageError
from orchestration.warehouse import Warehouse
from serving.activation import TRIES, activate_to_csv, activate_to_webhook
from tests.test_publishing import publication

ACTIVATION = Mart("activation", ["account_id"], "", {})


class Listener(ThreadingHTTPServer):
    """A receiver that keeps a batch once per key, as the protocol asks of it, and answers as it's told to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[int] = []  # the next answers; 200 when there are none
        self.requests: list[tuple[str, bytes, dict[str, str]]] = []
        self.kept: dict[str, bytes] = {}
        self.seconds_to_answer = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook?secret=hush"

    def rows(self) -> list[dict]:
        """What was kept, in order."""
        return [row for body in self.kept.values() for row in json.loads(body)["rows"]]


class _Handler(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        key = self.headers["Idempotency-Key"]
        self.server.requests.append((key, body, dict(self.headers)))
        answer = self.server.answers.pop(0) if self.server.answers else 200
        if answer == 0:  # says nothing and hangs up
            self.close_connection = True
            return
        if answer == 200:
            assert self.server.kept.setdefault(key, body) == body, "one key, two bodies"
        time.sleep(self.server.seconds_to_answer)
        try:
            self.send_response(answer)
            self.send_header("Content-Length", "0")
            if answer in (301, 302):
                self.send_header("Location", "/elsewhere")
            self.end_headers()
        except OSError:
            pass  # the sender was killed

    def log_message(self, *arguments) -> None:
        pass


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        yield listener
        listener.shutdown()


@pytest.fixture
def warehouse(tmp_path) -> Warehouse:
    warehouse = Warehouse(tmp_path / "wh")
    warehouse.prepare()
    return warehouse


def publish_accounts(warehouse: Warehouse, generation: int, accounts: dict[str, str]) -> None:
    """Publish a table activation of these accounts; the hash of a row is what is said of it."""
    rows = [[account, colour, f"hash of {account} {colour}"] for account, colour in accounts.items()]
    with duckdb.connect(str(warehouse.build_file)) as con:
        con.execute("create schema if not exists marts")
        con.execute(
            """create or replace table marts.activation as
            select unnest.a as account_id, unnest.c as health_colour, date '2025-06-01' as next_renewal_on,
                unnest.h as row_hash
            from unnest(cast(? as struct(a varchar, c varchar, h varchar)[]))""",
            [[{"a": account, "c": colour, "h": row_hash} for account, colour, row_hash in rows]],
        )
    publish(warehouse, [ACTIVATION], publication(generation, read_publication(warehouse.marts_file)))
    keep_versions(warehouse, 7)


def many(colour: str, number: int = 250) -> dict[str, str]:
    return {f"A{n:04}": colour for n in range(number)}


def send(warehouse: Warehouse, listener: Listener, **options):
    return activate_to_webhook(warehouse, listener.url, first_pause=0.01, say=lambda line: None, **options)


def read_csv(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def test_everything_once_then_what_changed_then_what_is_gone(warehouse, listener):
    publish_accounts(warehouse, 1, many("green"))
    first = send(warehouse, listener)
    assert (first.rows, first.unchanged, first.batches) == (250, 0, 3)
    assert send(warehouse, listener).rows == 0
    assert len(listener.requests) == 3
    changed = many("green", 249) | {"A0007": "red", "A0300": "yellow"}  # one worse, one new, the last one gone
    publish_accounts(warehouse, 2, changed)
    second = send(warehouse, listener)
    assert (second.rows, second.unchanged, second.batches) == (3, 248, 1)
    assert [(row["account_id"], row["health_colour"], row["is_gone"]) for row in listener.rows()[250:]] == [
        ("A0007", "red", False),
        ("A0300", "yellow", False),
        ("A0249", None, True),
    ]
    assert send(warehouse, listener).rows == 0
    body = json.loads(listener.requests[-1][1])
    assert (body["consumer"], body["as_of"], body["published_at"]) == ("webhook", "2025-03-31", "2025-04-01T02:00:00")
    assert body["rows"][0]["next_renewal_on"] == "2025-06-01"


def test_a_change_that_comes_back_is_sent_again(warehouse, listener):
    for generation, colour in enumerate(["green", "red", "green"], start=1):
        publish_accounts(warehouse, generation, {"A1": colour})
        assert send(warehouse, listener).rows == 1
    assert [row["health_colour"] for row in listener.rows()] == ["green", "red", "green"]


def test_a_busy_receiver_is_tried_again_with_the_same_key_and_bytes(warehouse, listener):
    publish_accounts(warehouse, 1, many("green", 3))
    listener.answers = [500, 503, 0, 429, 200]
    began = time.monotonic()
    assert send(warehouse, listener).rows == 3
    assert len({(key, body) for key, body, _ in listener.requests}) == 1
    assert len(listener.requests) == 5
    assert time.monotonic() - began >= 0.8 * 0.01 * (1 + 2 + 4 + 8)  # each pause twice the one before
    assert len(listener.rows()) == 3


def test_a_receiver_that_stays_away_loses_nothing(warehouse, listener):
    publish_accounts(warehouse, 1, many("green"))
    listener.answers = [200] + [500] * TRIES
    with pytest.raises(UsageError, match="run again to go on"):
        send(warehouse, listener)
    publish_accounts(warehouse, 2, many("green") | {"A0000": "red"})
    again = send(warehouse, listener)
    assert again.resumed
    assert again.rows == 151  # two batches of the first night, and what has changed since
    colours = Counter((row["account_id"], row["health_colour"]) for row in listener.rows())
    assert set(colours.values()) == {1}
    assert len(colours) == 251


@pytest.mark.parametrize("answer", [400, 401, 404, 302])
def test_a_refusal_stops_at_once(answer, warehouse, listener):
    publish_accounts(warehouse, 1, many("green", 3))
    listener.answers = [answer]
    with pytest.raises(UsageError, match=str(answer)) as stopped:
        send(warehouse, listener)
    assert "hush" not in str(stopped.value)
    assert len(listener.requests) == 1
    assert send(warehouse, listener).rows == 3


_ACTIVATE = """
import sys
from pathlib import Path
from orchestration.warehouse import Warehouse
from serving.activation import activate_to_webhook
activate_to_webhook(Warehouse(Path(sys.argv[1])), sys.argv[2], rows_a_batch=10, first_pause=0.01)
"""


def start(warehouse: Warehouse, listener: Listener) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", _ACTIVATE, str(warehouse.root), listener.url])


def wait_for(condition) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never came to that")


def test_killed_before_the_answer_the_batch_goes_again_under_its_key_and_nothing_else(warehouse, listener):
    publish_accounts(warehouse, 1, many("green", 50))
    listener.seconds_to_answer = 0.3
    process = start(warehouse, listener)
    wait_for(lambda: len(listener.requests) == 3)
    os.kill(process.pid, signal.SIGKILL)  # two were acknowledged, the third has arrived, its answer hasn't
    process.wait()
    listener.seconds_to_answer = 0.0
    assert start(warehouse, listener).wait() == 0
    keys = [key for key, _, _ in listener.requests]
    assert keys[2] == keys[3]
    assert len(set(keys)) == 5
    assert len(keys) == 6
    assert Counter(row["account_id"] for row in listener.rows()) == Counter(many("green", 50).keys())


def test_killed_anywhere_every_account_is_taken_once(warehouse, listener):
    chance = random.Random(5)
    publish_accounts(warehouse, 1, many("green", 300))
    kills = 0
    listener.seconds_to_answer = 0.01
    while True:
        process = start(warehouse, listener)
        seen = len(listener.requests)
        wait_for(lambda seen=seen, process=process: len(listener.requests) > seen or process.poll() is not None)
        time.sleep(chance.random() * 0.15)
        if process.poll() is not None:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
    assert process.returncode == 0
    assert kills >= 3
    assert Counter(row["account_id"] for row in listener.rows()) == Counter(many("green", 300).keys())
    # what goes again is at most the batch that was on its way at each kill
    assert len(listener.requests) - len({key for key, _, _ in listener.requests}) <= kills


def test_two_at_once_are_refused_and_other_consumers_are_not(warehouse, listener):
    publish_accounts(warehouse, 1, many("green", 20))
    listener.seconds_to_answer = 0.5
    process = start(warehouse, listener)
    wait_for(lambda: listener.requests)
    with pytest.raises(UsageError, match="already"):
        send(warehouse, listener)
    assert send(warehouse, listener, consumer="second").rows == 20
    assert process.wait() == 0


def test_another_address_is_another_consumer(warehouse, listener):
    publish_accounts(warehouse, 1, many("green", 2))
    send(warehouse, listener)
    with pytest.raises(UsageError, match="--consumer"):
        activate_to_webhook(warehouse, listener.url + "2")
    assert send(warehouse, listener, consumer="crm").rows == 2


def test_the_command_sends_with_the_token_and_keeps_secrets_to_itself(warehouse, listener, monkeypatch, capsys):
    publish_accounts(warehouse, 1, many("green", 2))
    monkeypatch.setenv("CSW_ACTIVATE_WEBHOOK", listener.url)
    monkeypatch.setenv("CSW_ACTIVATE_TOKEN", "t0k3n")
    assert main(["activate", "--warehouse", str(warehouse.root)]) == 0
    assert listener.requests[0][2]["Authorization"] == "Bearer t0k3n"
    said = capsys.readouterr()
    assert said.out == "2 accounts sent in 1 batches, 0 unchanged\n"
    kept = "".join(path.read_text() for path in warehouse.activation.iterdir())
    assert not any(secret in said.out + said.err + kept for secret in ("t0k3n", "hush"))
    assert warehouse.activation.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("token", ["t0k3n\n", "t0 k3n", "t0k3n\u20ac"])
def test_a_token_that_no_header_can_hold_is_refused_and_not_repeated(token, warehouse, listener, monkeypatch, capsys):
    publish_accounts(warehouse, 1, many("green", 2))
    monkeypatch.setenv("CSW_ACTIVATE_TOKEN", token)
    assert main(["activate", "--to-webhook", listener.url, "--warehouse", str(warehouse.root)]) == 2
    said = capsys.readouterr().err
    assert "CSW_ACTIVATE_TOKEN" in said
    assert "t0" not in said
    assert listener.requests == []


# --- CSV ------------------------------------------------------------------------------------------------------------


def test_csv_holds_what_changed_since_the_last_file(warehouse, tmp_path, capsys):
    publish_accounts(warehouse, 1, many("green", 5))
    first, second, third = (tmp_path / f"{number}.csv" for number in (1, 2, 3))
    command = ["activate", "--warehouse", str(warehouse.root), "--to-csv"]
    assert main([*command, str(first)]) == 0
    assert [row["account_id"] for row in read_csv(first)] == sorted(many("green", 5))
    publish_accounts(warehouse, 2, many("green", 4) | {"A0001": "red"})
    assert main([*command, str(second)]) == 0
    assert [(row["account_id"], row["is_gone"], row["as_of"]) for row in read_csv(second)] == [
        ("A0001", "False", "2025-03-31"),
        ("A0004", "True", "2025-03-31"),
    ]
    assert main([*command, str(third)]) == 0
    assert not third.exists()
    assert "0 accounts sent in 0 batches, 4 unchanged" in capsys.readouterr().out


def test_a_file_that_nobody_fetched_is_not_overwritten(warehouse, tmp_path):
    publish_accounts(warehouse, 1, many("green", 5))
    file = tmp_path / "out.csv"
    activate_to_csv(warehouse, file)
    publish_accounts(warehouse, 2, many("red", 5))
    with pytest.raises(UsageError, match="fetch it first"):
        activate_to_csv(warehouse, file)
    assert {row["health_colour"] for row in read_csv(file)} == {"green"}
    another = tmp_path / "another.csv"
    assert activate_to_csv(warehouse, another).rows == 5
    assert {row["health_colour"] for row in read_csv(another)} == {"red"}
    publish_accounts(warehouse, 3, many("yellow", 5))
    file.unlink()
    assert activate_to_csv(warehouse, file).rows == 5
    assert {row["health_colour"] for row in read_csv(file)} == {"yellow"}


@pytest.mark.parametrize(("step", "is_delivered"), [("rename", False), ("acknowledge", True)])
def test_killed_around_the_rename_the_rows_are_delivered_once(step, is_delivered, warehouse, tmp_path):
    publish_accounts(warehouse, 1, many("green", 5))
    killer = f"""
import os, signal, sys
from pathlib import Path
from orchestration.warehouse import Warehouse
from serving import activation
def die(*arguments): os.kill(os.getpid(), signal.SIGKILL)
{"Path.rename = die" if step == "rename" else "activation._State.acknowledge = die"}
activation.activate_to_csv(Warehouse(Path(sys.argv[1])), Path(sys.argv[2]))
"""
    first, second = tmp_path / "1.csv", tmp_path / "2.csv"
    process = subprocess.run([sys.executable, "-c", killer, str(warehouse.root), str(first)], check=False)
    assert process.returncode == -signal.SIGKILL
    assert first.exists() == is_delivered
    if is_delivered:
        first.rename(tmp_path / "fetched.csv")  # the receiver is fast
    sent = activate_to_csv(warehouse, second)
    assert (sent.rows, sent.resumed) == (5, is_delivered)
    assert second.exists() != is_delivered  # what nobody has is made anew, where it's asked for now
    assert not list(tmp_path.glob(".*.part"))
    files = [path for path in tmp_path.iterdir() if path.suffix == ".csv"]
    assert [row["account_id"] for file in files for row in read_csv(file)] == sorted(many("green", 5))


# --- wrong use ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nobody to tell"),
        (["--to-webhook", "ftp://host/x"], "http"),
        (["--to-webhook", "https://host:port/x"], "http"),
        (["--to-webhook", "https://host/hush hush"], "blanks"),
        (["--to-csv", "/no/such/folder/out.csv"], "no folder"),
        (["--to-csv", "x.csv", "--consumer", "../x"], "name"),
    ],
)
def test_wrong_use_says_why(arguments, said, warehouse, capsys, monkeypatch):
    monkeypatch.delenv("CSW_ACTIVATE_WEBHOOK", raising=False)
    publish_accounts(warehouse, 1, {"A1": "green"})
    assert main(["activate", "--warehouse", str(warehouse.root), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_the_sample_company_is_told_once(sample, listener, tmp_path):
    warehouse = Warehouse(tmp_path / "wh")
    warehouse.prepare()
    warehouse.marts_file.symlink_to(sample.marts_file)
    [(accounts,)] = sample.rows("select count(*) from activation")
    assert accounts == sample.rows("select count(*) from mart_account_360")[0][0] > 100
    assert send(warehouse, listener).rows == accounts
    assert send(warehouse, listener).rows == 0
    told = {row["account_id"]: (row["health_colour"], row["health_score"]) for row in listener.rows()}
    for account, colour, score in sample.rows("select account_id, health_colour, health_score from mart_account_360"):
        assert told[account][0] == colour
        assert told[account][1] == (None if score is None else pytest.approx(score, abs=0.0500001))
