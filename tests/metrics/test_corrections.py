"""What a person still has to do, by hand-worked cases and properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from timelines import LABELS, shifted, timelines

from timelinelabels.metrics import Corrections, count_corrections, merge_spans


def count(video):
    return sum(len(merge_spans(items)) for items in video.values())


@pytest.mark.parametrize(
    ("said", "true", "expected"),
    [
        ({"a": [(0, 10)]}, {"a": [(0, 10)]}, {}),
        ({"a": [(0.4, 9.6)]}, {"a": [(0, 10)]}, {}),  # within the tolerance
        ({"a": [(0, 8)]}, {"a": [(0, 10)]}, {"move": 1}),
        ({"a": [(2, 8)]}, {"a": [(0, 10)]}, {"move": 1}),  # both boundaries: one region to drag
        ({}, {"a": [(0, 10)]}, {"add": 1}),
        ({"a": [(0, 10)]}, {}, {"delete": 1}),
        ({"b": [(0.3, 10)]}, {"a": [(0, 10)]}, {"relabel": 1}),
        ({"b": [(3, 10)]}, {"a": [(0, 10)]}, {"add": 1, "delete": 1}),
        ({"a": [(0, 10)]}, {"a": [(20, 30)]}, {"add": 1, "delete": 1}),  # nothing to drag
        ({"a": [(0, 4), (6, 10)]}, {"a": [(0, 10)]}, {"move": 1, "delete": 1}),
        ({"a": [(0, 30)]}, {"a": [(0, 10), (20, 30)]}, {"move": 1, "add": 1}),
        ({"a": [(0, 5), (5, 10)]}, {"a": [(0, 10)]}, {}),  # regions that touch say the same
        # the right one is kept although the wrong label fits as well
        ({"a": [(0, 10)], "b": [(0, 10)]}, {"a": [(0, 10)]}, {"delete": 1}),
        # relabelling the second costs what moving the first does, and fits better
        ({"a": [(0, 6)], "b": [(5, 15)]}, {"a": [(5, 15)]}, {"relabel": 1, "delete": 1}),
        (
            {"a": [(0, 6)], "b": [(10, 20)]},
            {"a": [(0, 9)], "c": [(10, 20)]},
            {"move": 1, "relabel": 1},
        ),
        ({}, {}, {}),
    ],
)
def test_corrections_of_cases_worked_out_by_hand(said, true, expected):
    assert count_corrections(said, true) == Corrections(**expected)


def test_corrections_add_up():
    total = Corrections(add=1, move=2) + Corrections(delete=3, relabel=4)
    assert total == Corrections(add=1, delete=3, move=2, relabel=4)
    assert total.total == 10


@given(timelines)
def test_the_truth_itself_needs_none_and_an_empty_timeline_needs_every_region(true):
    assert count_corrections(true, true).total == 0
    assert count_corrections({}, true) == Corrections(add=count(true))
    assert count_corrections(true, {}) == Corrections(delete=count(true))


@given(timelines, timelines)
def test_every_region_is_accounted_for_once(said, true):
    found = count_corrections(said, true)
    kept = count(said) - found.delete
    assert kept == count(true) - found.add
    assert 0 <= found.move + found.relabel <= kept
    assert abs(count(said) - count(true)) <= found.total <= count(said) + count(true)


@given(timelines, timelines)
def test_exchanging_truth_and_prediction_exchanges_adding_and_deleting(said, true):
    one, other = count_corrections(said, true), count_corrections(true, said)
    assert one.total == other.total
    assert one.add - one.delete == other.delete - other.add


@given(timelines, timelines, st.integers(-50, 50), st.permutations(LABELS))
def test_shifting_in_time_and_renaming_labels_change_nothing(said, true, by, names):
    renamed = dict(zip(LABELS, names, strict=True))
    moved = [
        {renamed[label]: items for label, items in shifted(video, by).items()}
        for video in (said, true)
    ]
    assert count_corrections(*moved).total == count_corrections(said, true).total


@given(timelines, timelines, st.floats(0, 5), st.floats(0, 5))
def test_more_tolerance_never_needs_more_corrections(said, true, one, other):
    strict, lax = sorted((one, other))
    assert (
        count_corrections(said, true, tolerance=lax).total
        <= count_corrections(said, true, tolerance=strict).total
    )


@given(timelines, timelines, st.sampled_from(LABELS), st.integers(0, 50), st.integers(1, 9))
def test_a_region_that_nothing_predicted_costs_exactly_one_more(said, true, label, start, length):
    far = 1000 + start  # where nothing else lies
    more = {**true, label: [*true.get(label, ()), (far, far + length)]}
    assert count_corrections(said, more).total == count_corrections(said, true).total + 1
