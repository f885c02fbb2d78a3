"""What `dagster dev` loads: the warehouse named by the environment (CSW_WAREHOUSE and the rest), else ./warehouse.

No module-level `@dbt_assets` may stand in this file: an `@definitions` function makes Dagster overlook it.
"""

from __future__ import annotations

import dagster as dg

from orchestration.code_location import definitions_for
from orchestration.settings import resolve_settings


@dg.definitions
def nightly() -> dg.Definitions:
    """Assets, checks, job and schedule of the warehouse that the environment names."""
    return definitions_for(resolve_settings())
