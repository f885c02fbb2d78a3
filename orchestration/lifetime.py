"""Expected remaining lifetime of subscribers by the shifted-beta-geometric model, fitted by maximum likelihood.

Source of every formula: Fader & Hardie, "How to Project Customer Retention", Journal of Interactive Marketing 21
(2007), and for the discounting "Customer-Base Valuation in a Contractual Setting", Marketing Science 29 (2010).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import betaln, digamma

HORIZON_MONTHS = 2400  # at one per mille a month of discount the rest beyond is below a tenth of a month


class BetaGeometric(NamedTuple):
    """The two parameters of the mixing distribution of churn probabilities; both positive, without unit."""

    alpha: float
    beta: float


def fit(churned: NDArray[np.float64], surviving: NDArray[np.float64]) -> BetaGeometric:
    """Fit the model to counts of customers.

    `churned[t - 1]` customers, shape (n,), left at their t-th renewal; `surviving[t]`, shape (n + 1,), are
    right-censored after t renewals. The log-likelihood is sum churned ln P(T = t) + sum surviving ln S(t), with
    P(T = t) = B(alpha + 1, beta + t - 1) / B(alpha, beta) and S(t) = B(alpha, beta + t) / B(alpha, beta).

    Raises ValueError when nobody churned: the likelihood then has no maximum.
    """
    if not churned.sum() > 0:
        raise ValueError("nobody churned: the shifted-beta-geometric likelihood has no maximum")
    renewals = np.arange(1, len(churned) + 1)
    survived = np.arange(len(surviving))

    n_customers = churned.sum() + surviving.sum()

    # by mean churn m = alpha / (alpha + beta) and weight w = alpha + beta the likelihood has no slanting ridge: on data
    # without heterogeneity only w grows
    def parameters(point: NDArray[np.float64]) -> tuple[float, float]:
        mean, weight = 1 / (1 + np.exp(-point[0])), np.exp(point[1])
        return mean * weight, (1 - mean) * weight

    def negative_log_likelihood(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """The mean over customers and its gradient by logit m and ln w."""
        alpha, beta = parameters(point)
        likelihood = churned @ betaln(alpha + 1, beta + renewals - 1) + surviving @ betaln(alpha, beta + survived)
        together = churned @ digamma(alpha + beta + renewals) + surviving @ digamma(alpha + beta + survived)
        by_alpha = churned.sum() * digamma(alpha + 1) + surviving.sum() * digamma(alpha) - together
        by_beta = churned @ digamma(beta + renewals - 1) + surviving @ digamma(beta + survived) - together
        by_alpha -= n_customers * (digamma(alpha) - digamma(alpha + beta))
        by_beta -= n_customers * (digamma(beta) - digamma(alpha + beta))
        gradient = np.array([(by_alpha - by_beta) * alpha * beta / (alpha + beta), by_alpha * alpha + by_beta * beta])
        return (n_customers * betaln(alpha, beta) - likelihood) / n_customers, -gradient / n_customers

    # beyond e^14 the mixture is a point: a plain geometric
    best = minimize(
        negative_log_likelihood,
        x0=np.zeros(2),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-20.0, 20.0), (-9.0, 14.0)],
        options={"ftol": 1e-14, "gtol": 1e-9},
    )
    alpha, beta = parameters(best.x)
    return BetaGeometric(float(alpha), float(beta))


def expected_remaining_months(model: BetaGeometric, tenure: int, discount_rate_annual: float, cap: float) -> float:
    """Discounted expected further months of a customer who has renewed `tenure` times: sum S(t + j) / S(t) / (1 + d)^j.

    `discount_rate_annual` is a fraction a year; the result is in months, `cap` at most.
    """
    steps = np.arange(1, HORIZON_MONTHS + 1)
    staying = np.cumprod((model.beta + tenure + steps - 1) / (model.alpha + model.beta + tenure + steps - 1))
    discount = (1 + discount_rate_annual) ** (-steps / 12)
    return float(min(cap, staying @ discount))
