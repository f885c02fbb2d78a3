"""The comparison itself: what it reports and what it lets pass."""

from decimal import Decimal

import pytest

from tests.compare import differences

KEY = ("segment_type", "segment_value")
ROW = {"segment_type": "csm", "segment_value": "ana", "amount": Decimal("10.00"), "rate": 0.5, "n": 3, "label": None}
EMPTY = {"segment_type": "csm", "segment_value": "ben", "amount": Decimal("0.00"), "rate": None, "n": 0, "label": None}


def test_equal_rows_have_no_differences():
    assert differences([ROW], [ROW | {"another_column": 1}], KEY) == []


@pytest.mark.parametrize(
    ("changed", "is_reported"),
    [
        ({"amount": Decimal("10.004")}, False),
        ({"amount": Decimal("10.01")}, True),
        ({"rate": 0.5000004}, False),
        ({"rate": 0.500001}, True),
        ({"rate": None}, True),
        ({"n": 4}, True),
        ({"label": ""}, True),
    ],
)
def test_tolerances_and_types(changed, is_reported):
    found = differences([ROW], [ROW | changed], KEY)
    assert [one.column for one in found] == (list(changed) if is_reported else [])


def test_missing_and_surplus_rows_are_reported():
    assert [str(one) for one in differences([ROW], [], KEY)] == ["csm / ana: row is missing"]
    assert [str(one) for one in differences([], [ROW], KEY)] == ["csm / ana: row is too many"]


def test_missing_column_is_reported():
    without = {name: value for name, value in ROW.items() if name != "rate"}
    assert [one.actual for one in differences([ROW], [without], KEY)] == ["no such column"]


def test_rows_without_content_may_stand_on_one_side():
    assert differences([ROW], [ROW, EMPTY], KEY, empty_rows_may_differ=True) == []
    assert len(differences([ROW], [ROW, EMPTY], KEY)) == 1
    total = EMPTY | {"segment_type": "all", "segment_value": "all"}
    assert len(differences([ROW], [ROW, total], KEY, empty_rows_may_differ=True)) == 1


def test_a_key_that_occurs_twice_is_an_error():
    with pytest.raises(ValueError, match="two rows for"):
        differences([ROW, ROW], [], KEY)
