"""The growth benchmark: its exponents, and that its picture shows every measurement where it belongs."""

from xml.etree import ElementTree

import pytest

from benchmarks.growth import Point, Series, drawing, exponent, findings

SVG = "{http://www.w3.org/2000/svg}"


def series(grows: str, *measured: tuple[int, float, float]) -> Series:
    """A series of (size, seconds of the full build, seconds of the nightly one)."""
    stays = {"accounts": 100, "events": 100}
    return Series(
        grows, [Point(**stays | {grows: size}, full=full, nightly=nightly) for size, full, nightly in measured]
    )


BY_EVENTS = series("events", (1_000, 1, 0.1), (10_000, 10, 0.1), (100_000, 100, 0.1))
BY_ACCOUNTS = series("accounts", (10, 1, 1), (1_000, 1, 1), (100_000, 100, 1_000))


@pytest.mark.parametrize(
    ("sizes", "costs", "slope"),
    [
        ((1, 2, 4), (1, 2, 4), 1.0),
        ((1, 2, 4), (7, 7, 7), 0.0),
        ((1, 2, 4), (3, 12, 48), 2.0),
        ((1, 100), (5, 50), 0.5),
        # the logarithms to base 10 are 0, 1, 2 and 0, 2, 2, so the slope is (1 * 4/3 + 0 + 1 * 2/3) / (1 + 0 + 1)
        ((1, 10, 100), (1, 100, 100), 1.0),
    ],
)
def test_the_exponent_is_the_slope_of_the_logarithms(sizes, costs, slope):
    assert exponent(sizes, costs) == pytest.approx(slope, abs=1e-12)


def test_the_last_night_is_compared_with_the_middle_one():
    exponents = "events grow: exponent 1.00 (full), 0.00 (nightly); "
    assert findings(BY_EVENTS) == exponents + "nightly(last) / nightly(middle) 1.00"
    assert findings(BY_ACCOUNTS).endswith("nightly(last) / nightly(middle) 1000.00")


def test_the_picture_holds_a_point_a_measurement_where_it_belongs():
    picture = ElementTree.fromstring(drawing([BY_EVENTS, BY_ACCOUNTS]))
    circles = {
        circle.findtext(f"{SVG}title"): (float(circle.get("cx")), float(circle.get("cy")))
        for circle in picture.iter(f"{SVG}circle")
    }
    # Plots are 300 wide from 60 and from 430 on, and sizes lie from 20 inside the left to 20 inside the right edge.
    # Costs go from 0.1 s at the bottom, 280, to 10000 s at the top, 60: in proportion to accounts, the first full build
    # of 1 s would cost as much. So a decade is 44 high.
    assert circles == {
        "full, 1,000 events: 1.00 CPU seconds": (80, 236),
        "full, 10,000 events: 10.00 CPU seconds": (210, 192),
        "full, 100,000 events: 100.00 CPU seconds": (340, 148),
        "nightly, 1,000 events: 0.10 CPU seconds": (80, 280),
        "nightly, 10,000 events: 0.10 CPU seconds": (210, 280),
        "nightly, 100,000 events: 0.10 CPU seconds": (340, 280),
        "full, 10 accounts: 1.00 CPU seconds": (450, 236),
        "full, 1,000 accounts: 1.00 CPU seconds": (580, 236),
        "full, 100,000 accounts: 100.00 CPU seconds": (710, 148),
        "nightly, 10 accounts: 1.00 CPU seconds": (450, 236),
        "nightly, 1,000 accounts: 1.00 CPU seconds": (580, 236),
        "nightly, 100,000 accounts: 1000.00 CPU seconds": (710, 104),
    }
