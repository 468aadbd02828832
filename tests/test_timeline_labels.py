"""Regions ↔ arrays: the guide's converters."""

import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timelinelabels.labelstudio.regions import (
    convert_probs_to_timelinelabels,
    convert_timelinelabels_to_probs,
)

LABEL_MAP = {"label1": 0, "label2": 1, "label3": 2}


def region(start, end, *labels, **changes):
    return {
        "id": "r",
        "type": "timelinelabels",
        "from_name": "label",
        "to_name": "video",
        "value": {"ranges": [{"start": start, "end": end}], "timelinelabels": list(labels)},
    } | changes


def ranges_of(regions):
    return [
        (
            *r["value"]["timelinelabels"],
            r["value"]["ranges"][0]["start"],
            r["value"]["ranges"][0]["end"],
        )
        for r in regions
    ]


@pytest.mark.parametrize(
    ("probs", "threshold", "expected"),
    [
        # the guide's own example: labels [label3, label2, label1] in the frames 1, 2, 3
        (
            [[0, 0, 1], [0, 1, 0], [1, 0, 0]],
            0.5,
            [("label3", 1, 1), ("label2", 2, 2), ("label1", 3, 3)],
        ),
        ([[0.6, 0, 0], [0.7, 0, 0], [0.4, 0, 0]], 0.5, [("label1", 1, 2)]),
        ([[0.5, 0, 0]], 0.5, [("label1", 1, 1)]),  # at the threshold
        ([[0.9, 0.9, 0], [0.9, 0.9, 0]], 0.5, [("label1", 1, 2), ("label2", 1, 2)]),
        ([[0.9, 0, 0], [0.1, 0, 0], [0.9, 0, 0]], 0.5, [("label1", 1, 1), ("label1", 3, 3)]),
        ([[0.4, 0.4, 0.4]], 0.5, []),
        ([[0.4, 0.4, 0.4]], 0.3, [("label1", 1, 1), ("label2", 1, 1), ("label3", 1, 1)]),
        ([], 0.5, []),
    ],
)
def test_convert_probs_to_timelinelabels(probs, threshold, expected):
    regions = convert_probs_to_timelinelabels(probs, LABEL_MAP, "label", threshold)
    assert ranges_of(regions) == expected
    assert all(r["from_name"] == "label" and r["type"] == "timelinelabels" for r in regions)
    assert len({r["id"] for r in regions}) == len(regions)


@pytest.mark.parametrize(
    ("regions", "expected"),
    [
        ([region(2, 3, "label1")], [[0, 0, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]]),
        ([region(1, 1, "label2", "label3")], [[0, 1, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0]]),
        ([region(4, 99, "label1")], [[0, 0, 0], [0, 0, 0], [0, 0, 0], [1, 0, 0]]),
        ([region(0, 1, "label1")], [[1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]),
        ([region(3, 2, "label1")], [[0, 0, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]]),
        ([region(9, 12, "label1")], np.zeros((4, 3))),
        ([region(1, 2)], np.zeros((4, 3))),  # allowEmpty
        ([], np.zeros((4, 3))),
    ],
)
def test_convert_timelinelabels_to_probs(regions, expected):
    np.testing.assert_array_equal(convert_timelinelabels_to_probs(regions, LABEL_MAP, 4), expected)


def test_several_ranges_of_one_region_all_count():
    value = {
        "ranges": [{"start": 1, "end": 1}, {"start": 4, "end": 4}],
        "timelinelabels": ["label1"],
    }
    array = convert_timelinelabels_to_probs([region(0, 0, value=value)], LABEL_MAP, 4)
    assert array[:, 0].tolist() == [1, 0, 0, 1]


def test_other_controls_and_other_types_are_passed_over_silently(caplog):
    others = [
        region(1, 4, "label1", from_name="other"),
        {"type": "choices", "from_name": "label", "value": {"choices": ["good"]}},
        {"type": "relation", "from_id": "a", "to_id": "b"},
    ]
    array = convert_timelinelabels_to_probs(others, LABEL_MAP, 4, from_name="label")
    assert not array.any()
    assert not caplog.records


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (region(1, 2, "gone"), "'gone' is not in the labeling config"),
        (region(1, 2, "label1", value=None), "no value"),
        ({"type": "timelinelabels", "from_name": "label"}, "no value"),
        ("text", "not a record"),
        (None, "not a record"),
        (region("x", None, "label1"), "ill-formed"),
        (region(float("nan"), 2, "label1"), "ill-formed"),
        (region(1, 2, "label1", value={"ranges": [7], "timelinelabels": ["label1"]}), "ill-formed"),
        (region(1, 2, "label1", value={"ranges": [], "timelinelabels": ["label1"]}), "no range"),
        (region(1, 2, {"a": 1}), "not in the labeling config"),
    ],
)
def test_what_cannot_be_learned_is_skipped_and_counted_in_the_log(record, reason, caplog):
    with caplog.at_level(logging.WARNING):
        array = convert_timelinelabels_to_probs([record, region(2, 2, "label1")], LABEL_MAP, 4)
    assert array.sum() == 1
    assert "Skipped 1 region(s)" in caplog.text
    assert reason in caplog.text


def test_regions_carry_what_label_studio_needs_and_equal_calls_give_equal_regions():
    probs = np.array([[0.9, 0.2, 0.2]] * 5)
    first = convert_probs_to_timelinelabels(probs, LABEL_MAP, "tl", 0.5, to_name="vid")
    assert first == convert_probs_to_timelinelabels(probs, LABEL_MAP, "tl", 0.5, to_name="vid")
    (only,) = first
    assert only["to_name"] == "vid"
    assert isinstance(only["id"], str)
    assert only["score"] == 0.9
    assert only["value"] == {"ranges": [{"start": 1, "end": 5}], "timelinelabels": ["label1"]}
    assert all(type(number) is int for number in only["value"]["ranges"][0].values())


def test_columns_that_the_label_map_does_not_name_are_left_out():
    probs = np.ones((3, 3))
    assert ranges_of(convert_probs_to_timelinelabels(probs, {"label2": 1}, "tl")) == [
        ("label2", 1, 3)
    ]


def test_a_probability_that_is_not_finite_is_an_error():
    with pytest.raises(ValueError, match="not finite"):
        convert_probs_to_timelinelabels([[float("inf")]], {"a": 0}, "tl")


@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30), st.sampled_from(list(LABEL_MAP))))
)
def test_converting_to_an_array_and_back_gives_the_union_of_the_regions(drawn):
    regions = [region(min(a, b), max(a, b), label) for a, b, label in drawn]
    array = convert_timelinelabels_to_probs(regions, LABEL_MAP, 30)
    back = convert_probs_to_timelinelabels(array, LABEL_MAP, "label")
    np.testing.assert_array_equal(convert_timelinelabels_to_probs(back, LABEL_MAP, 30), array)
    assert len({r["id"] for r in back}) == len(back)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["value", "ranges", "timelinelabels", "type", "start", "end", "x"]),
                inner,
            )
        ),
        max_leaves=20,
    )
)
def test_no_record_however_ill_formed_breaks_the_conversion(record):
    array = convert_timelinelabels_to_probs([record], LABEL_MAP, 10)
    assert array.shape == (10, 3)
