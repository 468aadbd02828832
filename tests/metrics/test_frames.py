"""Scores frame by frame, against hand-computed cases and scikit-learn."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from timelinelabels.metrics import (
    average_precision,
    frame_scores,
    label_f1,
    precision_recall,
)

boolean_pairs = st.tuples(st.integers(1, 40), st.integers(1, 4)).flatmap(
    lambda shape: st.tuples(hnp.arrays(bool, shape), hnp.arrays(bool, shape))
)


def test_f1_and_accuracy_of_a_case_worked_out_by_hand():
    truth = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    predicted = np.array([[1, 0, 0], [1, 0, 1], [0, 1, 0], [0, 0, 0]])
    scores = frame_scores(predicted, truth)
    # label 0: 2·2/(3+2) = 0.8; label 1: 2·1/(2+1) = 2/3; label 2 is not in the truth
    assert scores.f1 == pytest.approx((0.8 + 2 / 3) / 2)
    assert scores.f1_micro == pytest.approx(2 * 3 / (5 + 4))
    assert scores.accuracy == pytest.approx(9 / 12)
    assert label_f1(predicted, truth) == [pytest.approx(0.8), pytest.approx(2 / 3), None]


def test_with_nothing_to_find_the_score_is_whether_nothing_was_claimed():
    nothing = np.zeros((5, 2), dtype=bool)
    assert frame_scores(nothing, nothing).f1 == 1.0
    assert frame_scores(nothing, nothing).f1_micro == 1.0
    assert frame_scores(~nothing, nothing).f1 == 0.0
    assert frame_scores(~nothing, nothing).f1_micro == 0.0
    assert frame_scores(nothing[:0], nothing[:0]).accuracy == 0.0


@pytest.mark.slow
@settings(max_examples=25)
@given(boolean_pairs)
def test_f1_agrees_with_scikit_learn(pair):
    from sklearn.metrics import f1_score

    predicted, truth = pair
    scores = frame_scores(predicted, truth)
    occurring = truth.any(axis=0)
    if occurring.any():
        each = [
            f1_score(truth[:, column], predicted[:, column], zero_division=0)
            for column in np.flatnonzero(occurring)
        ]
        assert scores.f1 == pytest.approx(np.mean(each))
    if truth.any() or predicted.any():
        micro = f1_score(truth.ravel(), predicted.ravel(), zero_division=0)
        assert scores.f1_micro == pytest.approx(micro)
    assert scores.accuracy == pytest.approx((truth == predicted).mean())


@given(boolean_pairs, st.randoms(use_true_random=False))
def test_the_order_of_frames_and_labels_does_not_matter_and_the_truth_itself_scores_1(pair, random):
    predicted, truth = pair
    rows, columns = list(range(truth.shape[0])), list(range(truth.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    shuffled = frame_scores(predicted[rows][:, columns], truth[rows][:, columns])
    given_order = frame_scores(predicted, truth)
    assert shuffled.f1 == pytest.approx(given_order.f1)
    assert shuffled.f1_micro == given_order.f1_micro
    assert shuffled.accuracy == given_order.accuracy
    itself = frame_scores(truth, truth)
    assert (itself.f1, itself.f1_micro, itself.accuracy) == (1.0, 1.0, 1.0)
    for value in vars(given_order).values():
        assert 0 <= value <= 1


def test_tensors_are_scored_as_arrays_are():
    truth = torch.tensor([[True, False], [True, True]])
    predicted = torch.tensor([[True, False], [False, True]])
    assert frame_scores(predicted, truth) == frame_scores(predicted.numpy(), truth.numpy())


def test_average_precision_of_a_case_worked_out_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.1], [0.7, 0.1], [0.1, 0.1]])
    truth = np.array([[1, 0], [0, 0], [1, 0], [0, 0]])
    # by falling probability: hit (precision 1, recall ½), miss, hit (precision ⅔, recall 1)
    assert average_precision(probabilities, truth) == [pytest.approx(0.5 + 0.5 * 2 / 3), None]


def test_the_precision_recall_curve_rises_in_recall():
    precision, recall = precision_recall([0.9, 0.8, 0.7, 0.1], [1, 0, 1, 0])
    assert recall.tolist() == sorted(recall.tolist())
    assert (recall[0], recall[-1]) == (0.0, 1.0)
    assert precision[recall == 0.5].max() == 1.0


@pytest.mark.parametrize("function", [frame_scores, label_f1, average_precision])
def test_arrays_that_do_not_belong_together_are_refused(function):
    with pytest.raises(ValueError, match=r"\(N, C\)"):
        function(np.zeros((3, 2)), np.zeros((3, 3)))
    with pytest.raises(ValueError, match=r"\(N, C\)"):
        function(np.zeros(3), np.zeros(3))


def test_a_probability_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        average_precision(np.array([[np.nan]]), np.array([[True]]))


def test_importing_the_metrics_costs_numpy_alone():
    script = (
        "import sys; import timelinelabels.metrics; "
        "print(sorted({'torch', 'sklearn', 'scipy', 'av'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
