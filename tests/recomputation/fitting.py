"""The shifted-beta-geometric model, fitted by a simplex search written out here.

A customer leaves at each renewal with a probability of its own; these are beta distributed over customers.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from math import exp, log

Point = tuple[float, float]
SETTLED = 1e-10
NEGLIGIBLE = 1e-15


def log_likelihood(alpha: float, beta: float, left: Counter[int], stayed: Counter[int]) -> float:
    """Of `left[t]` customers gone at renewal t and `stayed[t]` still there after t renewals."""
    total, log_survival = 0.0, 0.0
    for t in range(max([0, *left, *stayed]) + 1):
        if t:
            at_risk = alpha + beta + t - 1
            total += left[t] * (log_survival + log(alpha / at_risk))
            log_survival += log((beta + t - 1) / at_risk)
        total += stayed[t] * log_survival
    return total


def simplex(score: Callable[[Point], float], start: Point, step: float = 1.0, rounds: int = 600) -> Point:
    """The point with the greatest score, by Nelder and Mead's moves on a triangle."""
    corners = [start, (start[0] + step, start[1]), (start[0], start[1] + step)]
    ranked = sorted(((score(corner), corner) for corner in corners), reverse=True)
    for _ in range(rounds):
        (best, first), (middle, second), (worst, third) = ranked
        if max(abs(p - q) for other in (second, third) for p, q in zip(first, other, strict=True)) < SETTLED:
            break
        centre = ((first[0] + second[0]) / 2, (first[1] + second[1]) / 2)

        def along(factor: float, centre: Point = centre, third: Point = third) -> tuple[float, Point]:
            point = tuple(c + factor * (w - c) for c, w in zip(centre, third, strict=True))
            return score(point), point

        reflected = along(-1.0)
        if reflected[0] > best:
            chosen = max(reflected, along(-2.0))
        elif reflected[0] > middle:
            chosen = reflected
        else:
            chosen = max(along(-0.5), along(0.5))
            if chosen[0] <= worst:
                shrunk = [tuple((p + f) / 2 for p, f in zip(point, first, strict=True)) for point in (second, third)]
                ranked = sorted([(best, first), *((score(point), point) for point in shrunk)], reverse=True)
                continue
        ranked = sorted([ranked[0], ranked[1], chosen], reverse=True)
    return ranked[0][1]


def fit(observations: Iterable[tuple[int, bool]]) -> Point:
    """(alpha, beta) of greatest likelihood for (renewals, whether the customer left at the last of them)."""
    observations = list(observations)
    left = Counter(months for months, is_gone in observations if is_gone)
    stayed = Counter(months for months, is_gone in observations if not is_gone)

    def score(point: Point) -> float:
        if max(map(abs, point)) > 30:
            return float("-inf")
        return log_likelihood(exp(point[0]), exp(point[1]), left, stayed)

    found = simplex(score, (0.0, 0.0))
    found = simplex(score, found, step=0.3)  # a fresh triangle, in case the first one collapsed on its way
    return exp(found[0]), exp(found[1])


def expected_remaining(alpha: float, beta: float, lived: int, cap: int, monthly_rate: float) -> float:
    """Discounted renewals still to come for a customer with `lived` of them behind it; at most `cap`."""
    total, present, t = 0.0, 1.0, lived
    while total < cap and present > NEGLIGIBLE:
        t += 1
        present *= (beta + t - 1) / (alpha + beta + t - 1) / (1 + monthly_rate)
        total += present
    return min(total, float(cap))
