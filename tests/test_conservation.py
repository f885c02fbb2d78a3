"""Nothing delivered is lost, and it does not matter how it was delivered: orders, files, formats, repeats."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from orchestration import conservation
from orchestration.conservation import TableAccount, lines_of, seal_loads, take_account
from orchestration.contract import DELETED, TABLES
from orchestration.loading import load_landing
from tests.dbt_runs import EVERYTHING, FILE, prepare_build, run_models
from tests.deliveries import built_content, deliver, raw_content
from tests.histories import history, settings
from tests.recomputation.company import Company
from tests.recomputation.landed import known, winners

pytestmark = pytest.mark.slow

# What says when rows came in, not what they say.
TELL_OF_LOADS = {"marts.mart_freshness"}
LAYERS = ("staging", "intermediate")
LOADED_AT = datetime(2026, 3, 1)
# A row of these is of an internal account, too, when its contact is, whatever account it names.
CONTACTED = ("survey_responses", "feedback_items", "support_self_service_sessions")
MODELS = ("+path:models/staging", "+int_usage_user_months", "+int_usage_feature_months")


def deliver_and_build(
    manifest_folder: Path, folder: Path, seed: int, order: int, *, nights: int = 1, models: Sequence[str] = MODELS
) -> Path:
    """One history, delivered in one of many ways over some nights; returns the build file."""
    folder.mkdir()
    chosen, file = settings(seed, clv_lifetime_model="sbg"), folder / FILE  # the model that the manifest was parsed for
    deliver(history(seed), folder / "delivered", order)
    files = sorted(path for path in (folder / "delivered").rglob("*") if path.is_file())
    for night in range(nights):
        for path in files[night::nights]:
            landed = folder / "landing" / path.relative_to(folder / "delivered")
            landed.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, landed)
        with duckdb.connect(str(file)) as con:
            prepare_build(con)
            report = load_landing(
                con, folder / "landing", run_id=f"run{night}", loaded_at=LOADED_AT, progress=lambda _: None
            )
            assert report.refused_files == []
            seal_loads(con)
        run_models(manifest_folder, file, chosen, models)
    return file


def account(sample, file: Path, seed: int) -> dict[str, TableAccount]:
    chosen = settings(seed)
    with duckdb.connect(str(file)) as con:
        accounts = take_account(con, sample.manifest, as_of=chosen.as_of, timezone=chosen.reporting_timezone)
    return {one.table_name: one for one in accounts}


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 12))])
def test_every_order_of_delivery_stages_the_same_and_every_row_is_accounted_for(sample, tmp_path, seed):
    once = deliver_and_build(sample.manifest_folder, tmp_path / "once", seed, order=10 + seed)
    nightly = deliver_and_build(sample.manifest_folder, tmp_path / "nightly", seed, order=20 + seed, nights=2)
    with duckdb.connect(str(once), read_only=True) as con, duckdb.connect(str(nightly), read_only=True) as other:
        assert raw_content(con, distinct=True) == raw_content(other, distinct=True)
    first, second = built_content(once, LAYERS), built_content(nightly, LAYERS)
    for content in (first, second):
        for name in ("repeats", "hashes"):  # say how often an event came
            del content[f"staging.stg_product__event_{name}"]
    assert first == second
    for file in (once, nightly):
        assert_accounted(account(sample, file, seed), seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 5))
def test_every_order_of_delivery_ends_in_the_same_marts(sample, tmp_path, seed):
    once = deliver_and_build(sample.manifest_folder, tmp_path / "once", seed, order=30 + seed, models=EVERYTHING)
    nights = deliver_and_build(
        sample.manifest_folder, tmp_path / "n", seed, order=40 + seed, nights=3, models=EVERYTHING
    )
    first, second = built_content(once, ("marts",)), built_content(nights, ("marts",))
    assert {name for name in first if first[name] != second[name]} <= TELL_OF_LOADS
    assert len(first) > 60
    assert sum(count for count, _ in first.values()) > 10_000


def assert_accounted(accounts: dict[str, TableAccount], seed: int) -> None:
    """The parts of each table, counted in plain Python from the rows of the history."""
    chosen = settings(seed)
    company = Company(history(seed), chosen)
    for name, rows in history(seed).items():
        if not rows:
            continue
        one = accounts[name]
        key = [column.name for column in TABLES[name].columns if column.key]
        distinct = {tuple(row.get(column.name) for column in (*TABLES[name].columns, DELETED)) for row in rows}
        keys = {tuple(row[part].strip() if isinstance(row[part], str) else row[part] for part in key) for row in rows}
        alive = winners(rows, key)
        seen = known(alive, name, chosen)
        assert (one.lost, one.misplaced, one.waiting, one.quarantined) == (0, 0, 0, 0), name
        assert one.delivered == one.loaded >= len(rows), name
        assert one.deleted == len(keys) - len(alive), name
        assert one.later == len(alive) - len(seen), name
        assert one.staged + one.internal == len(seen), name
        if name in CONTACTED:
            assert one.staged == len(company.all_but_internal(name, "contact_id")), name
        if name != "product_events":
            assert one.superseded == len(distinct) - len(keys), name
        assert one.copies + one.superseded == one.loaded - len(keys), name


@pytest.fixture(scope="module")
def built(sample, tmp_path_factory):
    return deliver_and_build(sample.manifest_folder, tmp_path_factory.mktemp("built") / "one", 2, order=5)


@contextmanager
def tampered(built: Path, folder: Path, *statements: str) -> Iterator[Path]:
    file = folder / FILE
    shutil.copy(built, file)
    with duckdb.connect(str(file)) as con:
        for statement in statements:
            con.execute(statement)
    yield file


@pytest.mark.parametrize(
    ("table", "statement", "lost", "misplaced"),
    [
        (
            "crm_accounts",
            "delete from staging.stg_crm__accounts where rowid = 0",
            1,
            0,
        ),
        ("crm_accounts", "delete from raw.crm_accounts where rowid = 0", None, 1),
        ("crm_accounts", "update raw.crm_accounts set account_name = 'Other' where rowid = 0", 0, 1),
        ("product_events", "delete from intermediate.int_usage_user_months where n_events = 1", "some", 0),
        ("product_events", "update raw.product_events set user_id = 'other' where rowid = 0", 0, 1),
        (
            "first",
            "update ops.load_log set delivered_rows = 9999 where rowid in (select min(rowid) from ops.load_log)",
            0,
            1,
        ),
    ],
)
def test_a_row_that_is_gone_or_changed_shows(sample, built, tmp_path, table, statement, lost, misplaced):
    with tampered(built, tmp_path, statement) as file:
        accounts = account(sample, file, 2)
    one = accounts.pop(table if table != "first" else next(name for name in accounts if accounts[name].misplaced))
    if lost == "some":
        assert one.lost > 0
    elif lost is not None:
        assert one.lost == lost
    assert one.misplaced == misplaced
    assert any(line.startswith(f"{one.table_name}: ") for line in lines_of([one]))
    # an account that is not staged takes nothing else with it
    assert all(other.misplaced == 0 for other in accounts.values())


def test_of_a_large_table_all_loads_of_the_last_run_are_compared(tmp_path, monkeypatch):
    monkeypatch.setattr(conservation, "ROWS_COMPARED", 0)
    landing = tmp_path / "landing"
    costs, links = "cost_id,cost_month,cost_type,amount,currency", "source_system,source_account_id,account_id"
    nights = [
        ({"fin_costs/1.csv": f"{costs}\n1,2025-01-01,cogs,5,USD\n"}, [1]),
        ({f"fin_costs/{cost}.csv": f"{costs}\n{cost},2025-01-01,cogs,5,USD\n" for cost in (2, 3)}, [0, 1, 1]),
        ({"crm_account_links/1.csv": f"{links}\nstripe,cus_1,a1\n"}, [0, 0, 0]),
    ]

    def misplaced(con: duckdb.DuckDBPyConnection, cost: str) -> int:
        """Loads that don't add up when this cost is changed."""
        con.begin()
        con.execute("update raw.fin_costs set amount = 9 where cost_id = ?", [cost])
        found = conservation._misplaced(con, "fin_costs")
        con.rollback()
        return found

    with duckdb.connect() as con:
        for night, (files, expected) in enumerate(nights):
            for name, text in files.items():
                (landing / name).parent.mkdir(parents=True, exist_ok=True)
                (landing / name).write_text(text)
            load_landing(con, landing, run_id=f"run{night}", loaded_at=LOADED_AT, progress=lambda _: None)
            seal_loads(con)
            assert [misplaced(con, str(cost)) for cost in range(1, len(expected) + 1)] == expected
