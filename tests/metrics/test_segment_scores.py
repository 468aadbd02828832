"""Scores segment by segment, against hand-computed cases, an exact matching, and properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from timelines import mirrored, shifted, spans, timelines, video_pairs

from timelinelabels.metrics import (
    edit_score,
    merge_spans,
    segment_counts,
    segmental_f1,
    spans_of,
    temporal_iou,
)
from timelinelabels.metrics.segments import span_iou

IOUS = (0.1, 0.25, 0.5)
SCORES = {
    **{f"F1@{iou}": lambda said, true, iou=iou: segmental_f1(said, true, iou) for iou in IOUS},
    "edit": edit_score,
    "tIoU": temporal_iou,
}


@pytest.fixture(params=SCORES.values(), ids=SCORES)
def score(request):
    return request.param


def test_runs_of_each_column_become_spans():
    targets = np.array([[1, 0], [1, 0], [0, 0], [1, 1]])
    assert spans_of(targets) == {0: [(0, 2), (3, 4)], 1: [(3, 4)]}
    assert spans_of(np.zeros((0, 1))) == {0: []}


@given(hnp.arrays(bool, st.tuples(st.integers(0, 40), st.integers(1, 3))))
def test_spans_of_an_array_draw_the_same_array_and_are_already_merged(targets):
    drawn = np.zeros_like(targets)
    for column, items in spans_of(targets).items():
        assert merge_spans(items) == items
        for start, end in items:
            drawn[start:end, column] = True
    np.testing.assert_array_equal(drawn, targets)


def test_spans_that_touch_or_overlap_are_one():
    assert merge_spans([(5, 9), (0, 2), (2, 3), (8, 12)]) == [(0, 3), (5, 12)]
    assert merge_spans([(0, 10), (2, 3)]) == [(0, 10)]
    with pytest.raises(ValueError, match="start < end"):
        merge_spans([(3, 3)])


def test_iou_of_cases_worked_out_by_hand():
    assert span_iou((0, 10), (5, 15)) == pytest.approx(5 / 15)
    assert span_iou((0, 10), (0, 10)) == 1
    assert span_iou((0, 10), (10, 20)) == 0
    assert span_iou((0, 10), (2, 7)) == 0.5


def test_segmental_f1_of_a_case_worked_out_by_hand():
    truth = [{"a": [(0, 10), (20, 30)], "b": [(10, 20)]}, {"a": [(0, 100)]}]
    said = [{"a": [(0, 9), (24, 40)], "c": [(50, 60)]}, {"a": [(0, 30), (60, 100)]}]
    # a: (0,9)–(0,10) IoU 0.9; (24,40)–(20,30) IoU 6/20 = 0.3; second video: 0.3 and 0.4, one truth
    # b is missed, c is claimed wrongly: 4 true, 5 claimed
    assert segmental_f1(said, truth, 0.5) == pytest.approx(2 * 1 / 9)
    assert segmental_f1(said, truth, 0.3) == pytest.approx(2 * 3 / 9)
    assert segmental_f1(said, truth, 0.25) == pytest.approx(2 * 3 / 9)
    assert segmental_f1(said, truth, 0.95) == 0


def test_one_segment_split_into_pieces_counts_the_pieces_as_wrong_claims():
    truth, pieces = [{"a": [(0, 100)]}], [{"a": [(0, 60), (62, 80), (82, 100)]}]
    assert segmental_f1(pieces, truth, 0.5) == pytest.approx(2 / 4)


def test_counts_are_pooled_and_not_averaged():
    truth = [{"a": [(0, 10)]}, {"a": [(0, 10), (20, 30), (40, 50)]}]
    said = [{"a": [(0, 10)]}, {}]
    assert segmental_f1(said, truth, 0.5) == pytest.approx(2 * 1 / 5)


@given(spans, spans, st.sampled_from([0.05, 0.1, 0.25, 0.3, 0.5, 0.9]))
def test_the_matching_is_the_largest_one_to_one_matching(said, true, iou):
    counts = segment_counts(said, true, iou)
    ours, theirs = merge_spans(said), merge_spans(true)
    matches = np.array([[span_iou(one, other) >= iou for other in theirs] for one in ours])
    best = 0
    if matches.size and matches.any():
        pairs = maximum_bipartite_matching(csr_array(matches.astype(int)), perm_type="column")
        best = int((pairs >= 0).sum())
    assert (counts.hits, counts.claimed, counts.true) == (best, len(ours), len(theirs))


@pytest.mark.parametrize("iou", [0, -1, 1.5])
def test_an_iou_threshold_outside_0_to_1_is_refused(iou):
    with pytest.raises(ValueError, match="IoU threshold"):
        segment_counts([], [], iou)


def test_edit_score_of_cases_worked_out_by_hand():
    truth = [{"walk": [(0, 10), (30, 40)], "sit": [(10, 30)]}]  # walk sit walk
    assert edit_score([{"walk": [(5, 6), (8, 9)], "sit": [(7, 8)]}], truth) == 1.0
    assert edit_score([{"walk": [(0, 10)], "sit": [(10, 30)]}], truth) == pytest.approx(2 / 3)
    assert edit_score([{"lie": [(0, 5)]}], truth) == 0.0
    # sit walk walk sit → walk sit walk: delete sit, replace the second walk by sit, sit by walk
    assert edit_score(
        [{"sit": [(0, 1), (6, 7)], "walk": [(2, 3), (4, 5)]}], truth
    ) == pytest.approx(1 - 3 / 4)


def test_the_edit_score_is_a_mean_over_videos():
    truth, said = [{"a": [(0, 1)]}, {"a": [(0, 1)]}], [{"a": [(0, 1)]}, {"b": [(0, 1)]}]
    assert edit_score(said, truth) == 0.5


def test_temporal_iou_of_a_case_worked_out_by_hand():
    truth = [{"a": [(0, 10), (20, 30)]}, {"b": [(0, 4)]}]
    said = [{"a": [(0, 5), (18, 30)], "b": [(0, 9)]}, {}]
    assert temporal_iou(said, truth) == pytest.approx((0.5 + 10 / 12 + 0) / 3)


def test_empty_cases(score):
    segment = [{"a": [(0, 5)]}]
    assert score([{}], [{}]) == 1
    assert score([], []) == 1
    assert score([{}], segment) == 0
    assert score([{"a": []}], [{}]) == 1


def test_a_wrong_claim_where_there_is_nothing_lowers_f1_and_edit_only():
    claim = [{"a": [(0, 5)]}]
    assert segmental_f1(claim, [{}], 0.1) == 0
    assert edit_score(claim, [{}]) == 0
    assert temporal_iou(claim, [{}]) == 1


@given(video_pairs)
def test_every_score_lies_in_0_to_1_and_the_truth_itself_scores_1(pairs):
    said, true = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    for function in SCORES.values():
        assert 0 <= function(said, true) <= 1
        assert function(true, true) == 1


@given(video_pairs, st.randoms(use_true_random=False))
def test_the_order_of_videos_and_of_regions_does_not_matter(pairs, random):
    said, true = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    shuffled = random.sample(pairs, len(pairs))
    mixed = [
        {label: random.sample(items, len(items)) for label, items in pair[0].items()}
        for pair in shuffled
    ]
    for function in SCORES.values():
        assert function(mixed, [pair[1] for pair in shuffled]) == pytest.approx(
            function(said, true)
        )


@given(video_pairs, st.integers(-100, 100))
def test_shifting_a_video_and_its_truth_together_changes_nothing(pairs, by):
    said, true = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    moved = [shifted(video, by) for video in said], [shifted(video, by) for video in true]
    for function in SCORES.values():
        assert function(*moved) == pytest.approx(function(said, true))


@given(video_pairs)
def test_a_video_played_backwards_has_the_same_segmental_scores(pairs):
    said, true = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    backwards = [mirrored(video) for video in said], [mirrored(video) for video in true]
    for iou in IOUS:
        assert segmental_f1(*backwards, iou) == segmental_f1(said, true, iou)
    assert temporal_iou(*backwards) == pytest.approx(temporal_iou(said, true))


@given(timelines, timelines)
def test_f1_and_edit_treat_truth_and_prediction_alike(said, true):
    for iou in IOUS:
        assert segmental_f1([said], [true], iou) == segmental_f1([true], [said], iou)
    assert edit_score([said], [true]) == edit_score([true], [said])


@given(timelines, timelines)
def test_cutting_regions_in_two_where_they_touch_changes_nothing(said, true):
    def cut(video):
        return {
            label: [
                piece
                for start, end in items
                for piece in (
                    [(start, start + 1), (start + 1, end)] if end - start > 1 else [(start, end)]
                )
            ]
            for label, items in video.items()
        }

    for function in SCORES.values():
        assert function([cut(said)], [cut(true)]) == pytest.approx(function([said], [true]))


@given(timelines, timelines)
def test_a_stricter_iou_never_gives_a_higher_f1(said, true):
    scores = [segmental_f1([said], [true], iou) for iou in (0.1, 0.25, 0.5, 0.9)]
    assert scores == sorted(scores, reverse=True)
