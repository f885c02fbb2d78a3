"""Nights of landing: what is added night by night is what a full build counts, and what plain Python counts."""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest

from orchestration.building import dbt_environment
from orchestration.loading import create_landing_schema

PROJECT = Path(__file__).parents[1]
MODELS = ("+int_account_usage_months", "+int_account_feature_months")
ACCOUNTS = ("a1", "a2", "a3", "a4")
FEATURES = ("boards", "reports", "exports", None)
FIRST_AS_OF = date(2024, 2, 26)
# The manifest names the database, which is the name of the file.
FILE = "warehouse.duckdb"

pytestmark = pytest.mark.slow

Event = tuple[str, str | None, str, str | None, datetime, datetime, bool, int]
Counts = dict[tuple, tuple]


@dataclass
class Company:
    """Everything landed so far: events (id, account, user, feature, occurred, loaded, deleted, load) and merges."""

    events: list[Event]
    merges: dict[str, str]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    """build(file, as_of, full=False, **vars): the usage models through dbt, parsed once."""
    from dbt.cli.main import dbtRunner
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumaro_encoder, extended_mashumuro_decoder

    target = tmp_path_factory.mktemp("target")
    arguments = ["--quiet", "--log-level-file", "none", "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    arguments += ["--target-path", str(target)]

    with dbt_environment(target / FILE):
        parsed = dbtRunner().invoke(["parse", *arguments, "--vars", json.dumps({"as_of_date": "2024-01-01"})])
    assert parsed.success, parsed.exception
    packed = parsed.result.to_msgpack(extended_mashumaro_encoder)

    def run(file: Path, as_of: date, *, full: bool = False, **variables: object) -> None:
        manifest = Manifest.from_msgpack(packed, decoder=extended_mashumuro_decoder)
        manifest.build_flat_graph()
        settings = json.dumps({"as_of_date": str(as_of), **variables})
        call = ["run", *arguments, "--no-write-json", "--vars", settings, "--select", *MODELS]
        with dbt_environment(file):
            outcome = dbtRunner(manifest=manifest).invoke(call + (["--full-refresh"] if full else []))
        assert outcome.success, [result.message for result in outcome.result or []] or outcome.exception

    return run


def _land(file: Path, company: Company, *, first_load: int = 0) -> None:
    """Land the events of loads from `first_load` on, and the accounts as they are now."""
    with duckdb.connect(str(file)) as con:
        create_landing_schema(con)
        con.execute("delete from raw.crm_accounts")
        for account in (*ACCOUNTS, "internal"):
            merged = company.merges.get(account)
            con.execute(
                "insert into raw.crm_accounts (account_id, account_name, is_internal, created_at, "
                "merged_into_account_id, merged_at, _loaded_at) values (?, ?, ?, '2023-01-01', ?, ?, '2023-01-01')",
                [account, account, account == "internal", merged, datetime(2024, 1, 1) if merged else None],
            )
        rows = [event for event in company.events if event[-1] >= first_load]
        if rows:
            con.executemany(
                "insert into raw.product_events (event_id, account_id, user_id, feature_key, occurred_at, _loaded_at, "
                "_deleted, _load_id, event_name) values (?, ?, ?, ?, ?, ?, ?, ?, 'used')",
                rows,
            )


def _counted(file: Path) -> tuple[Counts, Counts]:
    with duckdb.connect(str(file), read_only=True) as con:
        usage = con.execute(
            "select account_id, month, n_events, monthly_active_users, active_user_days, day_mask "
            "from intermediate.int_account_usage_months"
        ).fetchall()
        features = con.execute(
            "select account_id, month, feature_key, n_events from intermediate.int_account_feature_months"
        ).fetchall()
    return {row[:2]: row[2:] for row in usage}, {row[:3]: row[3:] for row in features}


def _recounted(company: Company, as_of: date, zone: str = "UTC") -> tuple[Counts, Counts]:
    """The same two tables by walking through all landed rows."""
    newest: dict[str, Event] = {}
    for event in company.events:
        if event[0] not in newest or event[5] > newest[event[0]][5]:
            newest[event[0]] = event
    days = defaultdict(set)
    numbers: dict[tuple, int] = defaultdict(int)
    features: dict[tuple, int] = defaultdict(int)
    for _, account, user, feature, occurred, _, deleted, _ in newest.values():
        day = occurred.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).date()
        if deleted or day > as_of or account == "internal":
            continue
        survivor = company.merges.get(account, account) if account in ACCOUNTS else None
        month = day.replace(day=1)
        numbers[survivor, month] += 1
        days[survivor, month].add((user, day))
        if feature is not None and survivor is not None:
            features[survivor, month, feature] += 1
    usage = {
        key: (
            number,
            len({user for user, _ in days[key]}),
            len(days[key]),
            sum(1 << (day - 1) for day in {day.day for _, day in days[key]}),
        )
        for key, number in numbers.items()
    }
    return usage, {key: (number,) for key, number in features.items()}


def _night(company: Company, rng: random.Random, number: int, as_of: date) -> None:
    """Land a night: new, late and too early events, repeats, moves, deletions, revivals; one night nothing."""
    loads = (10 * number + 1, 10 * number + 2)
    known = [event[0] for event in company.events]
    versions = {event[0]: event for event in company.events}

    def add(event_id: str, account: str | None, user: str, occurred: datetime, deleted: bool = False) -> None:
        loaded = datetime(2024, 6, 1) + timedelta(hours=number, seconds=len(company.events))
        row = (event_id, account, user, rng.choice(FEATURES), occurred, loaded, deleted, rng.choice(loads))
        company.events.append(row)

    def moment(day: date) -> datetime:
        return datetime(day.year, day.month, day.day) + timedelta(minutes=rng.choice((0, 30, 700, 1439)))

    def somebody() -> tuple[str | None, str]:
        return rng.choice((*ACCOUNTS, *ACCOUNTS, None, "internal", "stranger")), rng.choice(("u1", "u2", "u3"))

    if number == 5:
        return
    for position in range(30):
        late = rng.choice((0, 0, 0, 0, -1, 1, 2, 20, 45))
        add(f"e{number}_{position}", *somebody(), moment(as_of - timedelta(days=late)))
    for event_id in rng.sample(known, min(len(known), 12)):
        _, account, user, _, occurred, _, deleted, _ = versions[event_id]
        kind = rng.choice(("again", "moved", "other account", "deleted", "twice"))
        if kind == "moved":
            add(event_id, account, user, moment(as_of - timedelta(days=rng.choice((0, 3, 40)))))
        elif kind == "other account":
            add(event_id, *somebody(), occurred)
        elif kind == "deleted" and not deleted:
            add(event_id, account, user, occurred, deleted=True)
        else:
            for _ in range(2 if kind == "twice" else 1):
                add(event_id, account, user, occurred)
    add(f"gone{number}", "a1", "u9", moment(as_of), deleted=True)
    if number == 4:
        company.merges["a4"] = "a1"


@pytest.mark.parametrize(
    ("seed", "zone", "nights"),
    [(1, "UTC", 8), (2, "America/New_York", 8), pytest.param(3, "Asia/Kolkata", 366, marks=pytest.mark.long)],
)
def test_nights_add_up_to_a_full_build(
    tmp_path: Path, build: Callable[..., None], seed: int, zone: str, nights: int
) -> None:
    rng = random.Random(seed)
    company = Company([], {})
    nightly = tmp_path / FILE
    for number in range(nights):
        as_of = FIRST_AS_OF + timedelta(days=number)
        _night(company, rng, number, as_of)
        _land(nightly, company, first_load=10 * number)
        build(nightly, as_of, reporting_timezone=zone)
        counted = _counted(nightly)
        assert counted == _recounted(company, as_of, zone), f"night {number}"
    (tmp_path / "full").mkdir()
    full = tmp_path / "full" / FILE
    _land(full, company)
    build(full, as_of, reporting_timezone=zone)
    assert _counted(full) == counted


def test_an_earlier_day_or_another_zone_counts_from_the_start(tmp_path: Path, build: Callable[..., None]) -> None:
    rng = random.Random(3)
    company = Company([], {})
    file = tmp_path / FILE
    for number in range(3):
        _night(company, rng, number, FIRST_AS_OF + timedelta(days=number))
    _land(file, company)
    last = FIRST_AS_OF + timedelta(days=2)
    for as_of, zone in ((last, "UTC"), (FIRST_AS_OF, "UTC"), (last, "UTC"), (last, "Asia/Tokyo")):
        build(file, as_of, reporting_timezone=zone)
        assert _counted(file) == _recounted(company, as_of, zone)


HISTORY = 2_000_000
ROW_GROUP = 122_880


@pytest.fixture
def rows_read(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Rows that dbt's statements have read since, by table: what their scans touched, not what they gave."""
    from dbt.adapters.duckdb.environments.local import DuckDBCursorWrapper

    read: Counter[str] = Counter()
    execute = DuckDBCursorWrapper.execute

    def walk(operator: dict) -> None:
        table = operator.get("extra_info", {}).get("Table", "")
        read[table.rpartition(".")[2]] += operator.get("operator_rows_scanned", 0)
        for child in operator.get("children", []):
            walk(child)

    def watched(self, sql, bindings=None):
        self._cursor.execute("set enable_profiling = 'no_output'")
        self._cursor.execute(
            """set custom_profiling_settings = '{"OPERATOR_ROWS_SCANNED": "true", "EXTRA_INFO": "true"}'"""
        )
        result = execute(self, sql, bindings)
        if profile := self._cursor.get_profiling_information():
            walk(json.loads(profile))
        return result

    monkeypatch.setattr(DuckDBCursorWrapper, "execute", watched)
    return read


def test_a_night_reads_what_arrived_and_no_history(tmp_path: Path, build: Callable[..., None], rows_read) -> None:
    """The gate against a lost partition predicate or a full rebuild: rows are counted, not seconds. Ids come in no
    order, so that the range of the new ones excludes no old one."""
    file, first, second = tmp_path / FILE, date(2026, 1, 31), date(2026, 2, 1)
    _land(file, Company([], {}))
    arrive = """insert into raw.product_events (event_id, account_id, user_id, feature_key, occurred_at, _loaded_at,
        _deleted, _load_id, event_name)
        select md5('{prefix}' || number), 'a' || number % 4 + 1, 'u' || number % 500, 'boards', {moment}, {moment},
        false, {load}, 'used' from range({count}) as numbers (number)"""
    with duckdb.connect(str(file)) as con:
        moment = f"timestamp '2024-02-01' + interval 1 second * (number * {730 * 86_400} // {HISTORY})"
        con.execute(arrive.format(prefix="e", moment=moment, load=1, count=HISTORY))
    build(file, first)
    assert rows_read["product_events"] >= HISTORY
    rows_read.clear()
    with duckdb.connect(str(file)) as con:
        con.execute(arrive.format(prefix="n", moment="timestamp '2026-02-01 12:00:00'", load=2, count=3000))
        con.execute(arrive.format(prefix="late", moment="timestamp '2024-09-09 12:00:00'", load=2, count=1))
    build(file, second)
    # the scans skip every row group of history
    assert 3001 <= rows_read["product_events"] < ROW_GROUP
    with duckdb.connect(str(file), read_only=True) as con:
        counted = con.execute("select sum(n_events) from intermediate.int_account_usage_months").fetchone()
    assert counted == (HISTORY + 3001,)
