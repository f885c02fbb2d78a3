"""The choices of one run: the variables of the nightly run and the tables kept in git."""

import csv
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path

SEEDS = Path(__file__).resolve().parents[2] / "seeds"


def read_seed(name: str) -> list[dict[str, str]]:
    """Read `seeds/<name>.csv` as text cells; an absent file is an empty table."""
    path = SEEDS / f"{name}.csv"
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


@dataclass(frozen=True)
class Settings:
    """Variables of the run, by the names of the contract; `seeds` overrides single seed tables by name."""

    as_of: date
    reporting_currency: str = "USD"
    reporting_timezone: str = "UTC"
    fiscal_year_start_month: int = 1
    late_renewal_grace_days: int = 30
    fcr_reopen_window_days: int = 7
    self_service_window_hours: int = 24
    min_responses: int = 5
    min_responses_onboarding: int = 3
    adoption_min_events: int = 1
    purchase_gap_days: int = 90
    lifetime_cap_months: int = 60
    gross_margin_pct: Decimal = Decimal(80)
    finite_discounts: str = "count"
    clv_lifetime_model: str = "sbg"
    discount_rate_annual: Decimal = Decimal("0.10")
    seeds: dict[str, list[dict[str, str]]] = field(default_factory=dict)

    def seed(self, name: str) -> list[dict[str, str]]:
        """Rows of a seed table, text cells."""
        return self.seeds[name] if name in self.seeds else read_seed(name)
