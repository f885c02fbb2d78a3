"""Grain: month x segment ('all' too) x tenure in months: expected remaining months by the shifted-beta-geometric model.

A segment with fewer than 20 accounts, or in which nobody churned yet, uses the company's fit; a company in which nobody
churned gets the cap.
"""

import numpy as np
import pandas as pd

from orchestration import lifetime

SMALL_SEGMENT = 20


def model(dbt, session):
    dbt.config(materialized="table")
    cap = float(dbt.config.get("lifetime_cap_months"))
    discount = float(dbt.config.get("discount_rate_annual"))
    tenures = dbt.ref("int_lifetime_tenures").df()
    rows = []
    for month, of_month in tenures.groupby("month", sort=True):
        company = fitted(of_month)
        parts = [("all", of_month), *of_month.groupby("segment", sort=True)]
        for segment, part in parts:
            own = None if part["n_accounts"].sum() < SMALL_SEGMENT else fitted(part)
            used = own or company
            for tenure in sorted(part.loc[~part["is_churned"], "tenure_months"].unique()):
                expected = lifetime.expected_remaining_months(used, int(tenure), discount, cap) if used else cap
                parameters = used or (None, None)
                rows.append((month, segment, int(tenure), expected, *parameters, own is not None))
    columns = ["month", "segment", "tenure_months", "expected_remaining_months", "alpha", "beta", "is_own_fit"]
    frame = pd.DataFrame(rows, columns=columns)
    floats = ["expected_remaining_months", "alpha", "beta"]
    return frame.astype({"tenure_months": "int64"} | dict.fromkeys(floats, "float64"))


def fitted(part):
    if not part["is_churned"].any():
        return None
    last = int(part["tenure_months"].max())
    churned = np.zeros(last)
    surviving = np.zeros(last + 1)
    for row in part.itertuples():
        if row.is_churned:
            churned[row.tenure_months - 1] += row.n_accounts
        else:
            surviving[row.tenure_months] += row.n_accounts
    return lifetime.fit(churned, surviving)
