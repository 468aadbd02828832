"""Boundaries are moved to the frame at which the picture changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from timelinelabels.temporal_head.boundaries import REACH_SECONDS, sharpened
from timelinelabels.thumbnails import CELLS

TIMES = np.arange(100) / 25


def film(*changes):
    """Thumbnails that change at the frames `changes`, over a little noise."""
    noise = np.random.default_rng(0).integers(0, 2, (100, CELLS))
    levels = 40 * np.searchsorted(changes, np.arange(100), side="right")
    return (noise + levels[:, None]).astype(np.uint8)


def held(probabilities, level=0.5):
    return np.flatnonzero(probabilities[:, 0] >= level).tolist()


def hill(first, last):
    values = np.full((100, 1), 0.1, np.float32)
    values[first:last] = 0.9
    return values


@pytest.mark.parametrize("first", [26, 30, 33])
@pytest.mark.parametrize("last", [57, 60, 64])
def test_a_region_begins_and_ends_where_the_picture_changes(first, last):
    result = sharpened(hill(first, last), [0.5], film(30, 60), TIMES)
    assert held(result) == list(range(30, 60))


def test_where_nothing_stands_out_boundaries_stay():
    given = hill(26, 57)
    np.testing.assert_array_equal(sharpened(given, [0.5], film(), TIMES), given)
    still = np.zeros((100, CELLS), np.uint8)
    np.testing.assert_array_equal(sharpened(given, [0.5], still, TIMES), given)


def test_a_change_that_is_too_far_away_does_not_attract():
    far = 30 + round(REACH_SECONDS * 25) + 2
    given = hill(30, 90)
    np.testing.assert_array_equal(sharpened(given, [0.5], film(far), TIMES), given)


def test_the_level_of_the_label_decides_where_it_crosses():
    slope = np.linspace(0, 1, 100, dtype=np.float32)[:, None]
    assert held(sharpened(slope, [0.3], film(32), TIMES), 0.3)[0] == 32
    assert held(sharpened(slope, [0.5], film(32), TIMES), 0.5)[0] == held(slope)[0]


@given(
    arrays.arrays(np.float32, (100, 2), elements=st.floats(0, 1, width=32)),
    st.lists(st.integers(1, 99), max_size=6, unique=True).map(sorted),
)
def test_no_region_appears_or_vanishes(probabilities, changes):
    def crossings(values):
        return np.count_nonzero(np.diff((values >= 0.5).astype(int), axis=0), axis=0).tolist()

    result = sharpened(probabilities, [0.5, 0.5], film(*changes), TIMES)
    assert crossings(result) == crossings(probabilities)
    assert ((result >= 0) & (result <= 1)).all()
