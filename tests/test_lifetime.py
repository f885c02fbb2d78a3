"""The shifted-beta-geometric fit against the figures published for it."""

from __future__ import annotations

import numpy as np
import pytest

from orchestration.lifetime import BetaGeometric, expected_remaining_months, fit

# Fader & Hardie (2007), table 1: percent of 1000 customers still there after year 0, 1 ... 7.
SURVIVORS = {
    "regular": [1000, 631, 468, 382, 326, 289, 262, 241],
    "high end": [1000, 869, 743, 653, 593, 551, 517, 491],
}
PUBLISHED = {"regular": (0.704, 1.182), "high end": (0.668, 3.806)}


@pytest.mark.parametrize("cohort", SURVIVORS)
def test_the_fit_reproduces_the_published_parameters(cohort):
    survivors = np.array(SURVIVORS[cohort], dtype=float)
    surviving = np.zeros(len(survivors))
    surviving[-1] = survivors[-1]
    model = fit(-np.diff(survivors), surviving)
    assert (round(model.alpha, 3), round(model.beta, 3)) == PUBLISHED[cohort]


def test_remaining_months_by_hand():
    """alpha = 1, beta = 1: S(t) = 1 / (t + 1), so S(1) = 1/2, S(2) = 1/3, S(3) = 1/4."""
    model = BetaGeometric(1.0, 1.0)
    # sum d^j / (j + 1) over j = 1, 2 ... is -ln(1 - d) / d - 1
    monthly = 1.5 ** (-1 / 12)
    assert expected_remaining_months(model, 0, 0.5, cap=60) == pytest.approx(-np.log(1 - monthly) / monthly - 1)
    assert expected_remaining_months(model, 0, 0.5, cap=2) == 2


def test_those_who_stayed_long_are_expected_to_stay_longer():
    model = BetaGeometric(0.7, 1.2)
    months = [expected_remaining_months(model, tenure, 0.1, cap=1000) for tenure in (0, 6, 24)]
    assert months == sorted(months)


def test_nobody_churned_has_no_maximum():
    with pytest.raises(ValueError, match="nobody churned"):
        fit(np.zeros(3), np.array([0.0, 1, 1, 5]))


def test_censoring_counts():
    """Half of 200 left in the first month; the rest is known to have stayed for 1 month, or for 12."""
    churned = np.zeros(12)
    churned[0] = 100
    short, long = np.zeros(13), np.zeros(13)
    short[1], long[12] = 100, 100
    left, stayed = (expected_remaining_months(fit(churned, known), 0, 0.1, cap=1000) for known in (short, long))
    assert left < stayed
