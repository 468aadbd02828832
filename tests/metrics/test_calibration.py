"""Whether probabilities mean what they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timelinelabels.metrics import expected_calibration_error, reliability_table


def test_calibration_error_of_a_case_worked_out_by_hand():
    probabilities = [0.05, 0.05, 0.92, 0.98, 1.0, 0.55]
    outcomes = [0, 1, 1, 1, 1, 0]
    table = reliability_table(probabilities, outcomes)
    assert [item.count for item in table] == [2, 0, 0, 0, 0, 1, 0, 0, 0, 3]
    assert table[0].mean_probability == pytest.approx(0.05)
    assert table[0].frequency == pytest.approx(0.5)
    assert (table[1].mean_probability, table[1].frequency) == (None, None)
    expected = (2 * 0.45 + 1 * 0.55 + 3 * (1 - 2.9 / 3)) / 6
    assert expected_calibration_error(probabilities, outcomes) == pytest.approx(expected)


def test_who_says_the_frequency_is_calibrated_and_who_is_sure_of_the_wrong_thing_is_not():
    outcomes = np.array([1, 0, 0, 0])
    assert expected_calibration_error(np.full(4, 0.25), outcomes) == 0
    assert expected_calibration_error(np.ones(4), np.zeros(4)) == 1
    assert expected_calibration_error([], []) == 0


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60),
    st.integers(1, 20),
    st.randoms(use_true_random=False),
)
def test_every_prediction_is_in_one_bin_and_order_does_not_matter(items, bins, random):
    probabilities, outcomes = zip(*items, strict=True)
    table = reliability_table(probabilities, outcomes, bins=bins)
    assert sum(item.count for item in table) == len(items)
    assert len(table) == bins
    for item in table:
        if item.count:
            assert item.low - 1e-9 <= item.mean_probability <= item.high + 1e-9
    error = expected_calibration_error(probabilities, outcomes, bins=bins)
    assert 0 <= error <= 1
    mixed = random.sample(items, len(items))
    assert expected_calibration_error(*zip(*mixed, strict=True), bins=bins) == pytest.approx(error)


@pytest.mark.parametrize(
    ("probabilities", "outcomes"),
    [([0.5], [0, 1]), ([1.5], [1]), ([float("nan")], [1]), ([0.5], [2])],
)
def test_what_is_no_probability_is_refused(probabilities, outcomes):
    with pytest.raises(ValueError, match="outcomes"):
        reliability_table(probabilities, outcomes)
