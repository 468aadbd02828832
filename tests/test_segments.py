"""Segments ↔ arrays, in the order of the module."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from timelinelabels.segments import Segment, from_segments, to_segments

BINARY = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 60), st.integers(1, 4)),
    elements=st.sampled_from([0.0, 1.0]),
)
PROBABILITIES = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 60), st.integers(1, 4)),
    elements=st.floats(0, 1),
)


def test_an_empty_or_negative_span_is_no_segment():
    for start, end in ((3, 3), (4, 3), (-1, 2)):
        with pytest.raises(ValueError, match="0 <= start < end"):
            Segment(start=start, end=end, label=0)


def test_runs_at_or_above_the_threshold_become_segments_with_their_mean_as_score():
    probabilities = np.array([[0.5, 0.0], [0.9, 0.6], [0.49, 0.8], [0.7, 0.1]])
    assert to_segments(probabilities, 0.5) == [
        Segment(start=0, end=2, label=0, score=pytest.approx(0.7)),
        Segment(start=1, end=3, label=1, score=pytest.approx(0.7)),
        Segment(start=3, end=4, label=0, score=pytest.approx(0.7)),
    ]


def test_each_label_may_have_a_threshold_of_its_own():
    probabilities = np.full((4, 2), 0.6)
    assert [segment.label for segment in to_segments(probabilities, [0.5, 0.7])] == [0]


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        to_segments(np.array([[np.nan]]), 0.5)


@given(BINARY)
def test_from_segments_is_the_inverse_of_to_segments(targets):
    segments = to_segments(targets, 0.5)
    np.testing.assert_array_equal(from_segments(segments, *targets.shape), targets)


@given(PROBABILITIES, st.floats(0, 1))
def test_segments_of_a_label_neither_touch_nor_overlap_and_scores_reach_the_threshold(
    probabilities, threshold
):
    segments = to_segments(probabilities, threshold)
    for label in range(probabilities.shape[1]):
        own = [segment for segment in segments if segment.label == label]
        assert all(a.end < b.start for a, b in pairwise(own))
        assert all(threshold - 1e-9 <= segment.score <= 1 for segment in own)


def test_what_lies_past_the_length_is_cut_off():
    targets = from_segments([Segment(start=1, end=9, label=0)], length=3, label_count=1)
    assert targets[:, 0].tolist() == [0, 1, 1]
